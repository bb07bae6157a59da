"""What passes octets between a transport of asyncio and its client, and can note when they arrive."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class End(Protocol):
    """The client of a connection."""

    def received(self, octets: bytes) -> None:
        """Process octets."""

    def ended(self, how: Literal["fin", "reset"] | None) -> None:
        """Note who ended the connection: the server, or (``None``) this end."""

    def transport_closed(self) -> None:
        """Note that the transport is closed."""


C = TypeVar("C", bound=End)


class Link(asyncio.Protocol, Generic[C]):
    """Passes octets between a transport and its client.

    With many connections, verifying and decoding takes so long that what arrives last seems to arrive late.
    While a link is on hold, it only notes the time, and keeps what arrives for later.

    Attributes:
        client: made when the connection is made.
        arrived: when octets or the end of the connection arrived while on hold, in seconds of
            :func:`time.monotonic`.

    Args:
        make: makes the client of a transport.
    """

    client: C

    def __init__(self, make: Callable[[asyncio.BaseTransport], C]) -> None:
        self.arrived: list[float] = []
        self._any = asyncio.Event()
        self._make = make
        self._on_hold = False
        self._kept: list[bytes] = []

    def hold(self) -> None:
        """Process nothing that arrives, until :meth:`release`."""
        self._on_hold = True
        self.arrived.clear()
        self._any.clear()

    async def wait_for_arrival(self) -> None:
        """Return when something has arrived since :meth:`hold`."""
        await self._any.wait()

    def release(self) -> None:
        """Process what was kept, and from now on everything at once."""
        self._on_hold = False
        kept, self._kept = self._kept, []
        for octets in kept:
            self.client.received(octets)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make the client."""
        self.client = self._make(transport)

    def data_received(self, data: bytes) -> None:
        """Pass octets to the client, or keep them."""
        if self._on_hold:
            self._note_arrival()
            self._kept.append(data)
        else:
            self.client.received(data)

    def eof_received(self) -> None:
        """Pass the end of the server's octets to the client."""
        self._note_end()
        self.client.ended("fin")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the client that the connection is gone."""
        self._note_end()
        self.client.ended("reset" if isinstance(exc, OSError) else None)
        self.client.transport_closed()

    def _note_end(self) -> None:
        if self._on_hold:
            self._note_arrival()
            self.release()

    def _note_arrival(self) -> None:
        self.arrived.append(time.monotonic())
        self._any.set()
