"""A client that falls silent as if its power were cut."""

from __future__ import annotations

import asyncio
import sys

import pytest

from swn_torture.dcerpc.client import connect
from swn_torture.dcerpc.transcript import Transcript

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")


def test_nothing_arrives_any_more_and_the_end_is_a_reset() -> None:
    async def scene() -> tuple[list[str], bool]:
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(5)
            writer.write(b"to nobody")
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

    kinds, reset = asyncio.run(scene())
    assert kinds == ["open", "sent", "reset"]
    assert reset
