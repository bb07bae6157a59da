"""A client that acknowledges nothing any more, like a machine without power."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.dcerpc.transcript import Transcript
from tests.dcerpc.rpc_pair import ECHO, Echo

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import Association, ConnectionInfo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket filters exist on Linux only")


class ObservedEcho(Echo):
    """Notifies the test of the end of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = asyncio.Event()

    def disconnected(self, connection: ConnectionInfo, association: Association) -> None:  # noqa: ARG002
        self.lost.set()


def test_a_server_ends_a_connection_without_answers_to_probes() -> None:
    async def scenario() -> bool:
        echo = ObservedEcho()
        server = RpcServer([echo], options=ServerOptions(keep_alive=1))
        port = await server.start("127.0.0.1")
        silent, other = [await connect("127.0.0.1", port) for _ in range(2)]
        try:
            for client in (silent, other):
                await client.bind(ECHO)
            silent.fall_silent()
            await asyncio.wait_for(echo.lost.wait(), 20)
            return other.closed.is_set()
        finally:
            for client in (silent, other):
                await client.close(abort=True)
            await server.stop(reset=True)

    assert not asyncio.run(scenario())


def test_a_silent_client_receives_nothing_and_resets() -> None:
    async def scenario() -> tuple[list[str], bool]:
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(5)
            writer.write(b"dropped")
            try:
                ended.set_result(await reader.read() != b"")
            except ConnectionResetError:
                ended.set_result(True)
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            transcript = Transcript()
            client = await connect(*server.sockets[0].getsockname(), transcript=transcript)
            client.fall_silent()
            client.write(b"hello")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.closed.wait(), 0.1)
            await client.close()
            return [entry.kind for entry in transcript.entries], await asyncio.wait_for(ended, 5)

    kinds, reset = asyncio.run(scenario())
    assert kinds == ["open", "sent", "reset"]
    assert reset
