"""What TCP tells a client about a failure: a client that has an SMB connection to the node, and no witness.

A `Connection` is an SMB2 client that negotiates and then sends one ECHO after the other, or nothing. An ECHO
needs no logon ([MS-SMB2] 3.3.5.15).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import struct
import time
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import uuid4

from swn_torture.dcerpc.sockets import reason_of
from swn_torture.time_to_know.model import Ending
from swn_torture.time_to_know.tcp_info import gives_up_after, retries, tcp_info

if TYPE_CHECKING:
    from collections.abc import Callable

_OPEN_SECONDS: Final = 45.0
"""Long enough for an address that has just moved back: the neighbours may know its old place."""
_PAUSE_SECONDS: Final = 0.05
"""Seconds between an answer and the next request."""
_UNREACHABLE: Final = {errno.EHOSTUNREACH, errno.ENETUNREACH}


class NoService(Exception):  # noqa: N818 - it reports a property of the target
    """There is no SMB service; the text says what was tried and what happened."""


class Connection:
    """An SMB connection that waits until it ends.

    Args:
        what: what it shows, for the report.
        address: of the server.
        port: of the server.
        requests: whether it sends requests; else it is idle.
    """

    def __init__(self, what: str, address: str, port: int, *, requests: bool) -> None:
        self.what, self.address, self.port, self.requests = what, address, port, requests
        self.opened_at = time.monotonic()
        self.ended: str | None = None
        self.ended_at: float | None = None
        self._answered_at: float | None = None
        self._waiting = False
        self._message_id = 0
        self._task: asyncio.Task[None] | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]

    @classmethod
    async def open(cls, what: str, address: str, port: int, *, requests: bool) -> Self:
        """Connect and negotiate.

        Raises:
            NoService: no SMB service answers there.
        """
        made = cls(what, address, port, requests=requests)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                made._streams = await asyncio.open_connection(address, port)
                await made._ask(_negotiate)
        except (OSError, EOFError) as problem:
            made._abort()
            reason = (
                reason_of(problem) if isinstance(problem, OSError) else "the server closed the connection"
            )
            if isinstance(problem, TimeoutError):
                reason = f"no answer within {_OPEN_SECONDS:g} s"
            raise NoService(f"no SMB service at {address} port {port}: {reason}") from problem
        made._task = asyncio.create_task(made._watch())
        return made

    @property
    def own_port(self) -> int:
        """The TCP port of this end."""
        return int(self._streams[1].get_extra_info("sockname")[1])

    async def close(self) -> None:
        """Close it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._abort()

    def _abort(self) -> None:
        if hasattr(self, "_streams"):
            self._streams[1].transport.abort()

    async def wait(self, seconds: float) -> None:
        """Wait until it has ended, at most so many seconds."""
        assert self._task is not None, "it is not open"
        await asyncio.wait({self._task}, timeout=seconds)

    def ending(self, event: float, now: float) -> Ending:
        """How it has ended, or how it is.

        Args:
            event: when the node failed, in seconds of ``time.monotonic``.
            now: the present, as well.
        """
        if self.ended_at is not None and self.ended_at < event:
            return Ending(self.what, self.address, self.port, f"{self.ended} before the failure", watched=0.0)
        if self.ended is not None and self.ended_at is not None:
            return Ending(self.what, self.address, self.port, self.ended, self.ended_at - event)
        info = tcp_info(self._streams[1].get_extra_info("socket"))
        lost = info is not None and info.unacknowledged > 0
        if lost:
            how = "not acknowledged"
        elif not self.requests:
            how = "open"
        else:
            how = "acknowledged, no answer" if self._waiting else "served"
        return Ending(
            self.what,
            self.address,
            self.port,
            how,
            None,
            watched=now - event,
            retransmissions=info.retransmissions if info else None,
            gives_up_after=gives_up_after(retries()) if lost else None,
        )

    async def _watch(self) -> None:
        try:
            if not self.requests:
                while await self._streams[0].read(4096):
                    continue
            while self.requests:
                await self._ask(_echo)
                await asyncio.sleep(_PAUSE_SECONDS)
        except EOFError:
            self._note("closed")
        except ConnectionResetError:
            self._note("reset")
        except TimeoutError:  # ETIMEDOUT: the kernel gave up
            self._note("timed out")
        except OSError as problem:
            self._note("unreachable" if problem.errno in _UNREACHABLE else str(problem))
        else:
            self._note("closed")

    def _note(self, how: str) -> None:
        self.ended, self.ended_at = how, time.monotonic()

    async def _ask(self, request: Callable[[int], Any]) -> None:
        """Send a request and wait for its answer, whatever it is."""
        octets = request(self._message_id).getData()
        self._message_id += 1
        reader, writer = self._streams
        self._waiting = True
        writer.write(struct.pack(">I", len(octets)) + octets)
        await writer.drain()
        (size,) = struct.unpack(">I", await reader.readexactly(4))
        await reader.readexactly(size & 0xFFFFFF)
        self._waiting = False


def _negotiate(message_id: int) -> Any:
    from impacket import smb3structs as smb

    body = smb.SMB2Negotiate()
    body["SecurityMode"] = smb.SMB2_NEGOTIATE_SIGNING_ENABLED
    body["Capabilities"] = 0
    # One for each connection: those of one client may share a process of the server, and its fate.
    body["ClientGuid"] = uuid4().bytes
    body["Dialects"] = [smb.SMB2_DIALECT_002, smb.SMB2_DIALECT_21]
    body["DialectCount"] = 2
    return _packet(smb.SMB2_NEGOTIATE, message_id, body)


def _echo(message_id: int) -> Any:
    from impacket import smb3structs as smb

    return _packet(smb.SMB2_ECHO, message_id, smb.SMB2Echo())


def _packet(command: int, message_id: int, body: Any) -> Any:
    from impacket import smb3structs as smb

    packet = smb.SMB2Packet()
    packet["Command"] = command
    packet["MessageID"] = message_id
    packet["CreditRequestResponse"] = 1
    packet["Data"] = body.getData()
    return packet
