"""The client over TCP when the server does not answer, breaks the protocol, or closes."""

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
    """The other end of a client's connection. It reads only when the test reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[RpcClient, Peer]]:
    """A client, and a peer without a protocol of its own."""
    accepted: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(Peer(reader, writer))

    async with await asyncio.start_server(serve, HOST, 0) as server:
        rpc = await connect(HOST, server.sockets[0].getsockname()[1])
        peer = await accepted
        try:
            async with asyncio.timeout(30):
                yield rpc, peer
        finally:
            await rpc.close(abort=True)
            peer.writer.transport.abort()


def test_a_connect_without_an_answer_exceeds_its_deadline() -> None:
    """With a full backlog the kernel does not answer the handshake."""

    async def scenario(port: int) -> None:
        with pytest.raises(DeadlineExceeded, match=rf"127\.0\.0\.1 port {port}: no connection in 0\.2 s"):
            await connect(HOST, port, timeout=0.2)

    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server((HOST, 0), backlog=0))
        address = listener.getsockname()
        for _ in range(8):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the name says what
            waiting.connect_ex(address)
        asyncio.run(scenario(address[1]))


def test_a_bind_ack_without_a_token_is_an_error() -> None:
    """Otherwise a bind_ack without a token would remove the protection of the connection."""

    async def scenario() -> None:
        async with connected() as (rpc, peer):
            binding = asyncio.ensure_future(
                rpc.bind(ECHO, level=AuthLevel.INTEGRITY, credentials=Credentials("witness", "Passw0rd!"))
            )
            await peer.reader.readexactly(16)
            peer.writer.write(ACK.pack())

            with pytest.raises(
                AuthenticationError, match="sent no token, but the security context is not complete"
            ):
                await binding

    asyncio.run(scenario())


def test_a_bind_after_the_end_raises_connection_lost() -> None:
    async def scenario() -> None:
        async with connected() as (rpc, peer):
            peer.writer.close()
            await rpc.wait_closed()

            with pytest.raises(ConnectionLost):
                await rpc.bind(ECHO)

    asyncio.run(scenario())


def test_close_resets_if_the_peer_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_CLOSE_TIMEOUT", 0.05)

    async def scenario() -> None:
        async with connected() as (rpc, peer):
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            rpc.write(bytes(64 * 1024 * 1024))
            await rpc.close()

            assert rpc.closed.is_set()
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            with pytest.raises(ConnectionResetError):
                await peer.reader.read()

    asyncio.run(scenario())


def test_a_connection_is_unusable_after_garbage() -> None:
    async def scenario() -> None:
        async with connected() as (rpc, peer):
            binding = asyncio.ensure_future(rpc.bind(ECHO))
            await peer.reader.readexactly(16)
            peer.writer.write(b"garbage!" * 4)
            with pytest.raises(RemoteProtocolError) as caught:
                await binding
            peer.writer.write(ACK.pack())
            peer.writer.close()
            await rpc.wait_closed()

            with pytest.raises(RemoteProtocolError) as again:
                await rpc.bind(ECHO)
            assert str(again.value) == str(caught.value)

    asyncio.run(scenario())


def test_a_response_beyond_the_limit_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_connection, "MAX_RESPONSE", 10_000)

    async def scenario() -> None:
        async with connected() as (rpc, peer):
            call = rpc.expect(2)
            rpc.core.send(rpc.core.bind(()))
            rpc.core.request(0, b"", call_id=2)
            flags = PfcFlags.FIRST
            for _ in range(3):
                peer.writer.write(Response(call_id=2, stub=bytes(4000), flags=flags).pack())
                flags = PfcFlags(0)

            with pytest.raises(RemoteProtocolError, match="a response of more than 10000 octets"):
                await call.reply()

    asyncio.run(scenario())


def test_a_call_of_a_bound_client_has_its_own_deadline() -> None:
    """The error names the call, not the bound client, whose time is not over."""

    async def scenario() -> None:
        server = RpcServer([Echo()])
        port = await server.start(HOST)
        try:
            async with bound_client(HOST, port, ECHO, 30) as rpc:
                call = rpc.call(KEEP, b"")
                assert repr(call) == "<Call 2 opnum=1 outstanding>"
                await call.reply(0.01)
        finally:
            await server.stop(reset=True)

    with pytest.raises(DeadlineExceeded, match=r"^call 2 \(opnum 1\): no answer in 0\.01 s"):
        asyncio.run(scenario())
