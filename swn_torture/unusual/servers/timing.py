"""Unusual times: slow replies and events, long intervals, short time-outs."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.server.server import RpcServer, ServerLink
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.unusual.registry import Unusual
from swn_torture.unusual.servers.mapper import SlowMapper

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import Association

REPLY_DELAY = 0.4
"""Seconds by which a slow server replies later than others."""

EVENT_DELAY = 2.0
"""Seconds after which an event takes effect in a cluster with slow events."""


RUNDOWN_DELAY = 1.0
"""Seconds from the end of a client until a server with a slow rundown removes its registrations."""


class _SlowLink(ServerLink):
    """Processes what the client sends some time after its arrival."""

    def __init__(self, server: RpcServer) -> None:
        super().__init__(server)
        self._late: deque[bytes] = deque()

    @override
    def data_received(self, data: bytes) -> None:
        """Keep the octets for a while."""
        self._late.append(data)
        asyncio.get_running_loop().call_later(REPLY_DELAY, self._process_next)

    def _process_next(self) -> None:
        super().data_received(self._late.popleft())


class _SlowServer(RpcServer):
    """Every reply comes 0.4 s late."""

    @override
    def link(self) -> ServerLink:
        """Return the asyncio protocol for a new connection."""
        return _SlowLink(self)


class _SlowRundown(WitnessEndpoint):
    """The registrations of a client end one second after its last connection."""

    @override
    def rundown(self, association: Association) -> None:
        asyncio.get_running_loop().call_later(RUNDOWN_DELAY, super().rundown, association)


SERVERS = (
    Unusual(
        name="slow-replies",
        summary=f"Every reply of the witness service and of the endpoint mapper takes {REPLY_DELAY:g} s.",
        conforms="No text limits the time of a reply.",
        parts=(_SlowServer, SlowMapper),
        slow=True,
    ),
    Unusual(
        name="slow-events",
        summary=f"An event takes effect {EVENT_DELAY:g} s after the command that causes it has returned.",
        conforms="MS-SWN 3.1.6 begins when the server is notified of an event; no text says when that is.",
        settings={"event_delay": EVENT_DELAY},
        slow=True,
    ),
    Unusual(
        name="slow-rundown",
        summary=f"The registrations of a client end {RUNDOWN_DELAY:g} s after its last connection.",
        conforms="MS-RPCE 3.3.3.7.1 requires the rundown, and does not say how soon.",
        parts=(_SlowRundown,),
    ),
    Unusual(
        name="long-scan-interval",
        summary="The timers scan the registrations every 4 s, with an unused time-out of 3 s.",
        conforms="MS-SWN 3.1.2: the interval is implementation-specific.",
        settings={"scan_interval": 4.0},
        expect={"scan_interval": 4.5},
        slow=True,
    ),
    Unusual(
        name="short-unused-timeout",
        summary="Unused registrations are removed after 2 s; events may take 10 s.",
        conforms="MS-SWN 3.1.5.1: the time-out is implementation-specific.",
        settings={"unused_timeout": 2.0},
        expect={"unused_timeout": 2.0, "event_deadline": 10.0},
    ),
)
