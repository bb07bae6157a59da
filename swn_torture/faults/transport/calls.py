"""Calls on a connection: ids, order, faults, cancels, and what one call does to another."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.dcerpc.connection import Negotiated
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.header import PduType
from swn_torture.dcerpc.pdu.pdus import Response, unpack
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.events import CallReceived
from swn_torture.dcerpc.server.request_assembly import Incoming, Rejection, RequestAssembler
from swn_torture.dcerpc.server.server import RpcServer, ServerLink
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import violates
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import WITNESS, Opnum
from swn_torture.witness.messages import AsyncNotifyResponse

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import AlterContext, Bind
    from swn_torture.dcerpc.pdu.header import Header
    from swn_torture.dcerpc.pdu.pdus import Pdu, Request
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.events import ServerEvent
    from swn_torture.dcerpc.server.interface import ServerCall

# Ids


@violates("RPC-CALLID-echo")
class CallIdOfSixteenBits(ServerConnection):
    """Only the lower 16 bits of a call id are echoed."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        own, call.call_id = call.call_id, call.call_id & 0xFFFF
        octets = super().response(call, stub, entry)
        call.call_id = own
        return octets


@violates("RPC-MPX-out-of-order")
class CallIdOfLastRequest(ServerConnection):
    """A response carries the call id of the latest request instead of its own."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        own, call.call_id = call.call_id, self._assembler.current
        octets = super().response(call, stub, entry)
        call.call_id = own
        return octets


@violates("RPC-CTXID-echo")
class ContextIdZero(ServerConnection):
    """Responses carry presentation context id 0."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        call.context_id = 0
        return super().response(call, stub, entry)


@violates("RPC-CALLID-monotonic")
class CallIdsNotLookedAt(RequestAssembler):
    """Requests may have any call ids."""

    @override
    def admit(self, pdu: Request, pending: Any, *, may_start: bool) -> bool:
        self.current = -1
        return super().admit(replace(pdu, call_id=pdu.call_id & 0x7FFFFFFF), pending, may_start=may_start)


@violates("RPC-CTX-unknown", "RPC-BTF-not-a-context")
class UnknownContextServed(ServerConnection):
    """A request on an unknown presentation context is served in the first one."""

    @override
    def on_request(self, pdu: Request, raw: bytes) -> None:
        if self.contexts and pdu.context_id not in self.contexts:
            self.contexts[pdu.context_id] = next(iter(self.contexts.values()))
        super().on_request(pdu, raw)


@violates("RPC-REQ-object-uuid")
class ObjectsRefused(ServerConnection):
    """A request that names an object is refused."""

    @override
    def check_context(self, pdu: Request, entry: SecurityEntry | None) -> None:
        super().check_context(pdu, entry)
        if pdu.object_uuid is not None:
            raise Rejection(FaultStatus.NCA_S_FAULT_OBJECT_NOT_FOUND, "no such object")


@violates("RPC-REQ-before-bind")
class ServesBeforeBind(ServerConnection):
    """A request as the first PDU is served in NDR."""

    @override
    def on_request(self, pdu: Request, raw: bytes) -> None:
        if self.association is None:
            self.association = self._associations.create(self._info.peer[0])
            self.association.connections.add(self._info)
            self.contexts[pdu.context_id] = Negotiated(WITNESS, NDR32)
        super().on_request(pdu, raw)


@violates("RPC-PTYPE-unexpected")
class StrangePdusIgnored(ServerConnection):
    """PDUs that no server receives are passed over."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        if pdu.ptype not in {PduType.RESPONSE, PduType.BIND_ACK, PduType.SHUTDOWN, PduType.FAULT}:
            super().process_pdu(pdu, raw)


#: The PDU types of a connection; the others belong to datagrams.
CONNECTION_TYPES = {
    PduType.REQUEST,
    PduType.RESPONSE,
    PduType.FAULT,
    *range(PduType.BIND, PduType.ORPHANED + 1),
}


class KnownTypes(Framer):
    """Hands out PDUs of those types only."""

    @override
    def next_pdu(self) -> tuple[Header, bytes] | None:
        found = super().next_pdu()
        while found is not None and found[0].ptype not in CONNECTION_TYPES:
            found = super().next_pdu()
        return found


@violates("RPC-PTYPE-unexpected")
class UnknownPdusIgnored(ServerConnection):
    """PDUs of types that a connection does not have are passed over."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.framer = KnownTypes(self.fragment_limit)


@violates("RPC-PTYPE-unexpected")
class BindsOutOfPlace(ServerConnection):
    """A connection can be bound again, or by an alter_context."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        self.association = None
        super().on_bind(pdu)

    @override
    def on_alter_context(self, pdu: AlterContext) -> None:
        if self.association is None:
            self.on_bind(pdu)
        else:
            super().on_alter_context(pdu)


@violates("RPC-XFER-ndr64-drep")
class Ndr64DrepEbcdic(ServerConnection):
    """On an NDR64 context responses declare EBCDIC characters (0x11)."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        parts = [unpack(octets) for octets in super().response(call, stub, None)]
        if call.syntax != NDR64:
            return super().response(call, stub, entry)
        other = [replace(part, drep=b"\x11\0\0\0") for part in parts if isinstance(part, Response)]
        return [part.pack() if entry is None else entry.protect(part) for part in other]


# Order


@violates("RPC-MPX-parallel-calls")
class OneCallAtATime(ServerConnection):
    """A request waits until all earlier ones of its connection are answered."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._queue: deque[ServerEvent] = deque()

    @override
    def next_event(self) -> ServerEvent | None:
        while (event := super().next_event()) is not None:
            if not isinstance(event, CallReceived) or self._first(event.call):
                return event
            self._queue.append(event)
        if self._queue and isinstance(event := self._queue[0], CallReceived) and self._first(event.call):
            return self._queue.popleft()
        return None

    def _first(self, call: ServerCall) -> bool:
        return call.call_id == min(self.calls, default=call.call_id)


# Those near ask for the list beside a waiting call, too, to see what becomes of either.
@violates(
    "RPC-MPX-parallel-calls", near=("RPC-AUTH-level-of-response-to-pending", "SWN-3.1.6.5-silent-death")
)
class ListBehindWaitingCalls(OneCallAtATime):
    """GetInterfaceList waits until all earlier calls of its connection are answered."""

    @override
    def _first(self, call: ServerCall) -> bool:
        return call.opnum != Opnum.GET_INTERFACE_LIST or super()._first(call)


@violates("SWN-3.1.4.4-concurrent-registrations", "RPC-MPX-out-of-order")
class NewNotifyEndsOthers(WitnessEndpoint):
    """An AsyncNotify ends those that are outstanding on its connection, whatever their registration."""

    @override
    def call(self, call: ServerCall) -> None:
        if call.opnum == Opnum.ASYNC_NOTIFY:
            for registration in self.service.registrations.of(call.association):
                for waiting in tuple(registration.waiting):
                    registration.waiting.remove(waiting)
                    self.answer(waiting.token, AsyncNotifyResponse(None, Win32.ERROR_NOT_FOUND))  # type: ignore[arg-type]
        super().call(call)


@violates("RPC-CONN-independent")
class ConnectionsShareOneThread(RpcServer):
    """While a call is pending on a connection, no other connection is served."""

    @override
    def link(self) -> ServerLink:
        return _Waiting(self)


class _Waiting(ServerLink):
    """Takes octets only while no other connection has a call pending."""

    @override
    def data_received(self, data: bytes) -> None:
        busy = [link for link in self._server.links if link is not self and link.core.calls]
        if busy and not self.core.calls:
            asyncio.get_running_loop().call_later(0.05, self._later, data)
        else:
            super().data_received(data)

    def _later(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self.data_received(data)


@violates("RPC-FRAG-idle-partial")
class PartialPdusBlock(RpcServer):
    """While a PDU is incomplete on a connection, no other connection is served."""

    @override
    def link(self) -> ServerLink:
        return _Blocking(self)


class _Blocking(_Waiting):
    """Takes octets only while no other connection has an incomplete PDU."""

    @override
    def data_received(self, data: bytes) -> None:
        if any(link is not self and link.core.framer.buffered for link in self._server.links):
            asyncio.get_running_loop().call_later(0.05, self._later, data)
        else:
            ServerLink.data_received(self, data)


@violates("RPC-CONN-long-pending")
class PendingConnectionsDropped(RpcServer):
    """A connection is closed when nothing has come on it for a second and a half."""

    @override
    def link(self) -> ServerLink:
        return _Impatient(self)


class _Impatient(ServerLink):
    """Closes a connection on which nothing comes."""

    _patience: asyncio.TimerHandle | None = None

    @override
    def data_received(self, data: bytes) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = asyncio.get_running_loop().call_later(1.5, self.reset)
        super().data_received(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)


# Faults


@violates("RPC-FAULT-status-forbidden")
class FaultStatusZero(ServerConnection):
    """Faults have status 0."""

    @override
    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        super().send_fault(call_id, 0, **more)


@violates("RPC-FAULT-status-forbidden")
class FaultsAreAccessViolations(ServerConnection):
    """Faults have status 0xC0000005."""

    @override
    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        super().send_fault(call_id, 0xC0000005, **more)


@violates("RPC-FAULT-connection-survives")
class FaultsEndConnections(ServerConnection):
    """A connection is closed behind every fault."""

    @override
    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        super().send_fault(call_id, status, **more)
        self.closing = True


@violates("RPC-FAULT-protocol-error", "RPC-FRAG-bad-order")
class ProtocolErrorsAsAccessDenied(ServerConnection):
    """Protocol errors are told as access denied (5)."""

    @override
    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        wrong = FaultStatus.ERROR_ACCESS_DENIED if status == FaultStatus.NCA_S_PROTO_ERROR else status
        super().send_fault(call_id, wrong, **more)


@violates("RPC-FAULT-early")
class EarlyErrorsToldLate(ServerConnection):
    """A wrong verifier in an early fragment is told when the last one is there."""

    _kept: Rejection | None = None

    @override
    def on_request(self, pdu: Request, raw: bytes) -> None:
        try:
            if self._kept is None:
                super().on_request(pdu, raw)
        except Rejection as rejection:
            self._kept = rejection
        if self._kept is not None and pdu.flags & 2:
            kept, self._kept = self._kept, None
            raise kept


@violates("RPC-OPNUM-unknown", "RPC-FAULT-or-close")
class UnknownOpnumUnanswered(WitnessEndpoint):
    """An operation that is not there is not answered."""

    @override
    def call(self, call: ServerCall) -> None:
        if self.service.supports(call.opnum):
            super().call(call)


@violates("RPC-FAULT-or-close")
class AnnouncedGigabytesAwaited(RequestAssembler):
    """A request that announces more than a gigabyte (alloc_hint) is waited for behind its last fragment."""

    @override
    def add(self, pdu: Request) -> Incoming | None:
        return None if (pdu.alloc_hint or 0) > 1 << 30 else super().add(pdu)


# The server


@violates("RPC-CONNECTION-close-mid-call")
class ClosingMidCallLeavesRegistration(WitnessEndpoint):
    """What a connection has registered right before it closed is kept."""

    @override
    def rundown(self, association: Any) -> None:
        recent = self.service.clock() - 0.2
        old = [r for r in self.service.registrations.of(association) if r.last_use < recent]
        for registration in old:
            self.service.remove(registration)
