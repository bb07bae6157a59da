"""A server's connections when there is no room for them, or when clients will not let go."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.client.connection import ClientConnection
from swn_torture.dcerpc.errors import DeadlineExceeded
from swn_torture.dcerpc.pdu.bind import BindAck
from swn_torture.dcerpc.pdu.pdus import unpack
from swn_torture.dcerpc.server import server as server_module
from swn_torture.dcerpc.server.interface import ServerCall, ServerInterface
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.stubdata.syntax import NDR32
from tests.dcerpc.rpc_pair import ECHO, Echo

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"


class Patient(RpcServer):
    """Tells when it heeds a listener again that it had to turn away from."""

    def __init__(self) -> None:
        super().__init__([Echo()])
        self.heeded = 0
        self.again = asyncio.Event()

    def _heed(self, listener: socket.socket) -> None:
        self.heeded += 1
        if self.heeded > 1:
            self.again.set()
        super()._heed(listener)


@contextmanager
def no_more_files() -> Iterator[None]:
    """No file descriptor can be had in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_for_which_there_is_no_room_waits_and_is_served_later() -> None:
    async def scene() -> None:
        loop, server = asyncio.get_running_loop(), Patient()
        port = await server.start(HOST)
        with socket.socket() as line:
            line.setblocking(False)  # noqa: FBT003 - the name says what
            with no_more_files():
                await loop.sock_connect(line, (HOST, port))
                await asyncio.wait_for(server.again.wait(), 10)
                assert server.links == ()

            await loop.sock_sendall(line, ClientConnection().bind(propose(ECHO)).pack())
            answer = await asyncio.wait_for(loop.sock_recv(line, 1000), 10)

        assert isinstance(unpack(answer), BindAck)
        await server.stop(reset=True)

    asyncio.run(scene())


def test_a_server_stops_although_a_client_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_CLOSE_PATIENCE", 0.05)

    async def scene() -> None:
        server = RpcServer([Echo()])
        rpc = await connect(HOST, await server.start(HOST))
        await rpc.bind(ECHO)
        rpc.pause()
        (link,) = server.links
        link.core.send_raw(bytes(64 * 1024 * 1024))
        link._flush()

        await server.stop()

        assert server.links == ()
        rpc.resume()
        assert await rpc.wait_closed() == "reset"

    asyncio.run(scene())


class Deaf(ServerInterface):
    """Keeps every call, and reacts to nothing else."""

    syntax = ECHO
    transfer_syntaxes = (NDR32,)

    def __init__(self) -> None:
        self.kept: list[ServerCall] = []

    def call(self, call: ServerCall) -> None:
        self.kept.append(call)


def test_an_interface_need_not_care_for_cancels() -> None:
    """Then the call goes on as if nothing had happened (C706 12.6.4.6)."""

    async def scene() -> None:
        deaf = Deaf()
        server = RpcServer([deaf])
        rpc = await connect(HOST, await server.start(HOST))
        await rpc.bind(ECHO)
        call = rpc.call(0, b"")
        rpc.cancel(call)
        with pytest.raises(DeadlineExceeded):
            await call.reply(0.05)
        (kept,) = deaf.kept
        assert kept.cancelled

        kept.reply(b"all the same")

        assert await call.reply() == b"all the same"
        await rpc.close()
        await server.stop(reset=True)

    asyncio.run(scene())
