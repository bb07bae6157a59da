"""What TCP tells a client without witness: servers that reset, close, fall silent, and serve."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

from swn_torture.time_to_know.connections import Connection, NoService
from swn_torture.time_to_know.tcp_info import gives_up_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.time_to_know.model import Ending

LIMIT = 20.0
ANSWERS_OF_SILENT = 2
"""The answer to NEGOTIATE, and one to ECHO."""


class Server:
    """Answers requests with their own octets, so many of them."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.asked = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        left = self.answers
        while head := await reader.read(4):
            (size,) = struct.unpack(">I", head)
            request = await reader.readexactly(size)
            assert request.startswith(b"\xfeSMB")
            left -= 1
            if left >= 0:
                writer.write(head + request)
            else:
                self.asked.set()


def ending(
    act: Callable[[Server], object], *, requests: bool = True, answers: int = ANSWERS_OF_SILENT
) -> Ending:
    async def watch() -> Ending:
        made = Server(answers)
        async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            connection = await Connection.open("client", "127.0.0.1", port, requests=requests)
            event = time.monotonic()
            try:
                async with asyncio.timeout(LIMIT):
                    if requests and answers == ANSWERS_OF_SILENT:
                        await made.asked.wait()
                act(made)
                await connection.wait(0.3 if act is nothing else LIMIT)
                return connection.ending(event, time.monotonic())
            finally:
                await connection.close()
                for writer in made.writers:
                    writer.close()

    return asyncio.run(watch())


def nothing(_: Server) -> None:
    """The server goes on as it is."""


def close(server: Server) -> None:
    server.writers[0].close()


def reset(server: Server) -> None:
    connection = server.writers[0].get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.writers[0].transport.abort()


@pytest.mark.parametrize("requests", [True, False])
def test_reset_and_close_are_told_apart(*, requests: bool) -> None:
    for act, how in ((reset, "reset"), (close, "closed")):
        found = ending(act, requests=requests)
        assert found.how == how
        assert found.seconds is not None
        assert 0 < found.seconds < LIMIT
        assert str(found).startswith(f"{how} after ")


def test_silence_of_a_process_is_no_silence_of_its_kernel() -> None:
    found = ending(nothing)
    assert (found.how, found.seconds, found.gives_up_after) == ("acknowledged, no answer", None, None)


def test_served_and_open() -> None:
    assert ending(nothing, answers=10**6).how == "served"
    assert ending(nothing, requests=False).how == "open"


def test_no_service() -> None:
    async def connect() -> None:
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(
                NoService, match=rf"SMB service at 127\.0\.0\.1 port {port}: the server closed"
            ):
                await Connection.open("client", "127.0.0.1", port, requests=True)
        with pytest.raises(NoService, match="refused"):
            await Connection.open("client", "127.0.0.1", port, requests=True)

    asyncio.run(connect())


def test_kernel_gives_up_after_fifteen_retransmissions() -> None:
    """The figure of ip-sysctl.rst for the default of tcp_retries2."""
    assert gives_up_after(15) == pytest.approx(924.6)
    assert gives_up_after(8) == pytest.approx(102.2)
