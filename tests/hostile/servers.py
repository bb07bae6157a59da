"""Hostile servers: the reference cluster with a witness server that attacks its clients.

They answer GetInterfaceList, so that a run begins at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.pdu.pdus import Response
from swn_torture.dcerpc.server.events import CallReceived
from swn_torture.dcerpc.server.server import RpcServer, ServerLink
from swn_torture.server.nodes.parts import Parts
from swn_torture.witness.constants import Opnum

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.events import ServerEvent
    from swn_torture.dcerpc.server.interface import ServerCall

_AT_ONCE = 64
"""Fragments that are written before the event loop continues."""

_BUFFER = 1 << 18


class StreamingLink(ServerLink):
    """Answers every call with response fragments without end.

    Attributes:
        size: octets of stub data in each fragment.
        call_id_of: adds this to the call_id, so that 1 makes responses to no call.
    """

    size: ClassVar[int] = 4096
    other_call: ClassVar[int] = 0

    def _handle(self, event: ServerEvent) -> None:
        if isinstance(event, CallReceived) and event.call.opnum != Opnum.GET_INTERFACE_LIST:
            self.streaming = asyncio.get_running_loop().create_task(self._stream(event.call))
            return
        super()._handle(event)

    async def _stream(self, call: ServerCall) -> None:
        entry = self.core._entries.get(call.call_id)
        part = Response(call_id=call.call_id + self.other_call, flags=PfcFlags.FIRST, stub=bytes(self.size))
        while not self._transport.is_closing():
            for _ in range(_AT_ONCE):
                octets = part.pack() if entry is None else entry.protect(part)
                self._transport.write(octets)
                if not self.other_call:
                    part = replace(part, flags=PfcFlags.NONE)
            while self._transport.get_write_buffer_size() > _BUFFER:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)


class EmptyFragments(StreamingLink):
    """Fragments without stub data."""

    size = 0


class ResponsesToNoCall(StreamingLink):
    """Complete responses whose call_id is that of no call."""

    other_call = 1000


class GarbageLink(ServerLink):
    """Answers a call with octets that are no PDU."""

    def _handle(self, event: ServerEvent) -> None:
        if isinstance(event, CallReceived) and event.call.opnum != Opnum.GET_INTERFACE_LIST:
            self._transport.write(b"\x05\x00\x02\x03\x10\x00\x00\x00" + bytes(range(256)) * 64)
            return
        super()._handle(event)


class DribblingLink(ServerLink):
    """Answers a call with a PDU of which an octet comes now and then."""

    def _handle(self, event: ServerEvent) -> None:
        if isinstance(event, CallReceived) and event.call.opnum != Opnum.GET_INTERFACE_LIST:
            self.dribbling = asyncio.get_running_loop().create_task(self._dribble(event.call.call_id))
            return
        super()._handle(event)

    async def _dribble(self, call_id: int) -> None:
        for octet in Response(call_id=call_id, stub=bytes(2000)).pack():
            if self._transport.is_closing():
                return
            self._transport.write(bytes([octet]))
            await asyncio.sleep(0.02)


def hostile(link: type[ServerLink]) -> Parts:
    """The parts of a cluster whose witness servers use this class for their connections."""

    class HostileServer(RpcServer):
        def link(self) -> ServerLink:
            return link(self)

    return Parts(rpc_server=HostileServer)
