"""A client's connection when the other end does not play along."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.client import client as client_module
from swn_torture.dcerpc.client import connection as client_connection
from swn_torture.dcerpc.client.bound_client import bound_client
from swn_torture.dcerpc.client.client import RpcClient, connect
from swn_torture.dcerpc.errors import (
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    RemoteProtocolError,
)
from swn_torture.dcerpc.pdu.bind import BindAck, ContextResult
from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.pdu.pdus import Response
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.stubdata.syntax import NDR32
from tests.dcerpc.rpc_pair import ECHO, KEEP, Echo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOST = "127.0.0.1"
ACK = BindAck(call_id=1, results=(ContextResult(0, 0, NDR32), ContextResult(3, 3)), assoc_group=9)


class Peer:
    """Whoever accepted the connection of a client: it reads only when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer


@asynccontextmanager
async def meeting() -> AsyncIterator[tuple[RpcClient, Peer]]:
    """A client, and a peer that speaks no protocol of its own."""
    met: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set_result(Peer(reader, writer))

    async with await asyncio.start_server(serve, HOST, 0) as server:
        rpc = await connect(HOST, server.sockets[0].getsockname()[1])
        peer = await met
        try:
            async with asyncio.timeout(30):
                yield rpc, peer
        finally:
            await rpc.close(abort=True)
            peer.writer.transport.abort()


def test_nobody_lets_it_in() -> None:
    """A full backlog: the kernel does not answer the handshake, and the client gives up in time."""

    async def scene(port: int) -> None:
        with pytest.raises(DeadlineExceeded, match=rf"127\.0\.0\.1 port {port}: no connection in 0\.2 s"):
            await connect(HOST, port, timeout=0.2)

    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server((HOST, 0), backlog=0))
        address = listener.getsockname()
        for _ in range(8):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the name says what
            waiting.connect_ex(address)
        asyncio.run(scene(address[1]))


def test_a_server_that_skips_authentication_is_not_believed() -> None:
    """A bind_ack without a token would otherwise downgrade the connection to no security at all."""

    async def scene() -> None:
        async with meeting() as (rpc, peer):
            binding = asyncio.ensure_future(
                rpc.bind(ECHO, level=AuthLevel.INTEGRITY, credentials=Credentials("witness", "Passw0rd!"))
            )
            await peer.reader.readexactly(16)
            peer.writer.write(ACK.pack())

            with pytest.raises(AuthenticationError, match="sent no token, though the exchange is not"):
                await binding

    asyncio.run(scene())


def test_a_bind_on_a_connection_that_has_gone() -> None:
    async def scene() -> None:
        async with meeting() as (rpc, peer):
            peer.writer.close()
            await rpc.wait_closed()

            with pytest.raises(ConnectionLost):
                await rpc.bind(ECHO)

    asyncio.run(scene())


def test_a_peer_that_does_not_read_cannot_keep_a_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_CLOSE_PATIENCE", 0.05)

    async def scene() -> None:
        async with meeting() as (rpc, peer):
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            rpc.write(bytes(64 * 1024 * 1024))
            await rpc.close()

            assert rpc.closed.is_set()
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            with pytest.raises(ConnectionResetError):
                await peer.reader.read()

    asyncio.run(scene())


def test_nothing_is_believed_after_nonsense() -> None:
    async def scene() -> None:
        async with meeting() as (rpc, peer):
            binding = asyncio.ensure_future(rpc.bind(ECHO))
            await peer.reader.readexactly(16)
            peer.writer.write(b"nonsense" * 4)
            with pytest.raises(RemoteProtocolError) as caught:
                await binding
            peer.writer.write(ACK.pack())
            peer.writer.close()
            await rpc.wait_closed()

            with pytest.raises(RemoteProtocolError) as again:
                await rpc.bind(ECHO)
            assert str(again.value) == str(caught.value)

    asyncio.run(scene())


def test_a_response_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_connection, "MAX_RESPONSE", 10_000)

    async def scene() -> None:
        async with meeting() as (rpc, peer):
            call = rpc.expect(2)
            rpc.core.send(rpc.core.bind(()))
            rpc.core.request(0, b"", call_id=2)
            flags = PfcFlags.FIRST
            for _ in range(3):
                peer.writer.write(Response(call_id=2, stub=bytes(4000), flags=flags).pack())
                flags = PfcFlags(0)

            with pytest.raises(RemoteProtocolError, match="a response of more than 10000 octets"):
                await call.reply()

    asyncio.run(scene())


def test_a_call_inside_an_errand_has_its_own_deadline() -> None:
    """The error names what was waited for, not the errand, which has time left."""

    async def scene() -> None:
        server = RpcServer([Echo()])
        port = await server.start(HOST)
        try:
            async with bound_client(HOST, port, ECHO, 30) as rpc:
                call = rpc.call(KEEP, b"")
                assert repr(call) == "<Call 2 opnum=1 outstanding>"
                await call.reply(0.01)
        finally:
            await server.stop(reset=True)

    with pytest.raises(DeadlineExceeded, match=r"^call 2 \(opnum 1\): nothing in 0\.01 s"):
        asyncio.run(scene())
