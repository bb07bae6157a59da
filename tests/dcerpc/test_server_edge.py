"""The server over TCP without file descriptors, with clients that do not read, and with simple interfaces."""

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


class ObservedServer(RpcServer):
    """Notifies the test when it accepts connections again after a pause."""

    def __init__(self) -> None:
        super().__init__([Echo()])
        self.starts = 0
        self.again = asyncio.Event()

    def _start_accepting(self, listener: socket.socket) -> None:
        self.starts += 1
        if self.starts > 1:
            self.again.set()
        super()._start_accepting(listener)


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process cannot open another file descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_waits_while_no_descriptor_is_available() -> None:
    async def scenario() -> None:
        loop, server = asyncio.get_running_loop(), ObservedServer()
        port = await server.start(HOST)
        with socket.socket() as client:
            client.setblocking(False)  # noqa: FBT003 - the name says what
            with no_more_files():
                await loop.sock_connect(client, (HOST, port))
                await asyncio.wait_for(server.again.wait(), 10)
                assert server.links == ()

            await loop.sock_sendall(client, ClientConnection().bind(propose(ECHO)).pack())
            answer = await asyncio.wait_for(loop.sock_recv(client, 1000), 10)

        assert isinstance(unpack(answer), BindAck)
        await server.stop(reset=True)

    asyncio.run(scenario())


def test_stop_resets_a_client_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_CLOSE_TIMEOUT", 0.05)

    async def scenario() -> None:
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

    asyncio.run(scenario())


class KeepingInterface(ServerInterface):
    """Keeps every call and does not react to anything else."""

    syntax = ECHO
    transfer_syntaxes = (NDR32,)

    def __init__(self) -> None:
        self.kept: list[ServerCall] = []

    def call(self, call: ServerCall) -> None:
        self.kept.append(call)


def test_an_interface_may_ignore_a_cancel() -> None:
    """The call continues without a reaction to the cancel (C706 12.6.4.6)."""

    async def scenario() -> None:
        interface = KeepingInterface()
        server = RpcServer([interface])
        rpc = await connect(HOST, await server.start(HOST))
        await rpc.bind(ECHO)
        call = rpc.call(0, b"")
        rpc.cancel(call)
        with pytest.raises(DeadlineExceeded):
            await call.reply(0.05)
        (kept,) = interface.kept
        assert kept.cancelled

        kept.reply(b"answer")

        assert await call.reply() == b"answer"
        await rpc.close()
        await server.stop(reset=True)

    asyncio.run(scenario())
