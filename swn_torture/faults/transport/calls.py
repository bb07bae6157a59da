"""Calls on a connection: ids, PDUs out of place, order, calls that block others, and faults."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from swn_torture.dcerpc.connection import Negotiated
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.header import PduType
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.events import CallReceived
from swn_torture.dcerpc.server.request_assembly import Rejection, RequestAssembler
from swn_torture.dcerpc.server.server import RpcServer, ServerLink
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import violates
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.syntax import NDR32
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
    from swn_torture.dcerpc.server.request_assembly import AssembledRequest

# Ids and PDUs


@violates("RPC-CALLID-echo")
class CallIdOfSixteenBits(ServerConnection):
    """Responses carry only the low 16 bits of the call_id."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        own, call.call_id = call.call_id, call.call_id & 0xFFFF
        octets = super().response(call, stub, entry)
        call.call_id = own
        return octets


@violates("RPC-MPX-out-of-order")
class CallIdOfLastRequest(ServerConnection):
    """A response carries the call_id of the latest request instead of its own."""

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


@violates("RPC-CALLID-monotonic", seen_in="Samba 4.22")
class CallIdsNotChecked(RequestAssembler):
    """The server accepts call_ids that do not increase."""

    @override
    def admit(self, pdu: Request, pending: Any, *, may_start: bool) -> bool:
        self.current = -1
        return super().admit(replace(pdu, call_id=pdu.call_id & 0x7FFFFFFF), pending, may_start=may_start)


@violates("RPC-CTX-unknown", "RPC-BTF-not-a-context")
class UnknownContextServed(ServerConnection):
    """The server serves a request on an unknown presentation context in the first context."""

    @override
    def on_request(self, pdu: Request, raw: bytes) -> None:
        if self.contexts and pdu.context_id not in self.contexts:
            self.contexts[pdu.context_id] = next(iter(self.contexts.values()))
        super().on_request(pdu, raw)


@violates("RPC-REQ-object-uuid")
class ObjectsRefused(ServerConnection):
    """The server rejects a request that names an object UUID."""

    @override
    def check_context(self, pdu: Request, entry: SecurityEntry | None) -> None:
        super().check_context(pdu, entry)
        if pdu.object_uuid is not None:
            raise Rejection(FaultStatus.NCA_S_FAULT_OBJECT_NOT_FOUND, "no such object")


@violates("RPC-REQ-object-uuid")
class ObjectFlagIgnored(RequestAssembler):
    """The server ignores PFC_OBJECT_UUID, and reads the object UUID as stub data."""

    misread: ClassVar[frozenset[int]] = frozenset(Opnum)

    @override
    def add(self, pdu: Request) -> AssembledRequest | None:
        whole = super().add(pdu)
        if whole is None or whole.first.object_uuid is None or whole.first.opnum not in self.misread:
            return whole
        return replace(whole, stub=whole.first.object_uuid.bytes_le + whole.stub)


@violates("RPC-REQ-before-bind")
class ServesBeforeBind(ServerConnection):
    """The server serves a request that arrives before any bind, in NDR."""

    @override
    def on_request(self, pdu: Request, raw: bytes) -> None:
        if self.association is None:
            self.association = self._associations.create(self._info.peer[0])
            self.association.connections.add(self._info)
            self.contexts[pdu.context_id] = Negotiated(WITNESS, NDR32)
        super().on_request(pdu, raw)


@violates("RPC-PTYPE-unexpected")
class ServerPdusIgnored(ServerConnection):
    """The server ignores PDUs that only a server sends (response, fault, bind_ack, shutdown)."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        if pdu.ptype not in {PduType.RESPONSE, PduType.BIND_ACK, PduType.SHUTDOWN, PduType.FAULT}:
            super().process_pdu(pdu, raw)


#: The PDU types of a connection; the others belong to connectionless RPC.
CONNECTION_TYPES = {
    PduType.REQUEST,
    PduType.RESPONSE,
    PduType.FAULT,
    *range(PduType.BIND, PduType.ORPHANED + 1),
}


class ConnectionPduFramer(Framer):
    """Returns PDUs of these types only."""

    @override
    def next_pdu(self) -> tuple[Header, bytes] | None:
        found = super().next_pdu()
        while found is not None and found[0].ptype not in CONNECTION_TYPES:
            found = super().next_pdu()
        return found


@violates("RPC-PTYPE-unexpected")
class UnknownPdusIgnored(ServerConnection):
    """The server ignores PDUs of unknown or connectionless types."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.framer = ConnectionPduFramer(self.fragment_limit)


@violates("RPC-PTYPE-unexpected")
class BindsOutOfPlace(ServerConnection):
    """The server accepts a second bind, and an alter_context before any bind."""

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


# Order


@violates("RPC-MPX-parallel-calls")
class OneCallAtATime(ServerConnection):
    """A request waits until all earlier requests of its connection are answered."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._queue: deque[ServerEvent] = deque()

    @override
    def next_event(self) -> ServerEvent | None:
        while (event := super().next_event()) is not None:
            if not isinstance(event, CallReceived) or self.is_first(event.call):
                return event
            self._queue.append(event)
        if self._queue and isinstance(event := self._queue[0], CallReceived) and self.is_first(event.call):
            return self._queue.popleft()
        return None

    def is_first(self, call: ServerCall) -> bool:
        return call.call_id == min(self.calls, default=call.call_id)


@violates("SWN-3.1.4.4-concurrent-registrations", "RPC-MPX-out-of-order")
class NewNotifyEndsOthers(WitnessEndpoint):
    """A new AsyncNotify ends the pending ones of its association, whatever their registration."""

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
    """While a call is pending on one connection, the server serves no other connection."""

    @override
    def link(self) -> ServerLink:
        return _WaitsForOtherCalls(self)


class _WaitsForOtherCalls(ServerLink):
    """Reads octets only while no other connection has a call pending."""

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
    """While a PDU is incomplete on one connection, the server serves no other connection."""

    @override
    def link(self) -> ServerLink:
        return _WaitsForPartialPdus(self)


class _WaitsForPartialPdus(_WaitsForOtherCalls):
    """Reads octets only while no other connection has an incomplete PDU."""

    @override
    def data_received(self, data: bytes) -> None:
        if any(link is not self and link.core.framer.buffered for link in self._server.links):
            asyncio.get_running_loop().call_later(0.05, self._later, data)
        else:
            ServerLink.data_received(self, data)


@violates("RPC-CONN-long-pending")
class PendingConnectionsDropped(RpcServer):
    """The server closes a connection on which nothing has arrived for 1.5 seconds."""

    @override
    def link(self) -> ServerLink:
        return _ClosesWhenIdle(self)


class _ClosesWhenIdle(ServerLink):
    """Closes a connection on which nothing arrives."""

    _idle_timer: asyncio.TimerHandle | None = None

    @override
    def data_received(self, data: bytes) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(1.5, self.reset)
        super().data_received(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
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
    """The server closes the connection after every fault."""

    @override
    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        super().send_fault(call_id, status, **more)
        self.closing = True


@violates("RPC-FAULT-protocol-error", "RPC-FRAG-bad-order")
class ProtocolErrorsAsAccessDenied(ServerConnection):
    """The server reports protocol errors as access denied (5)."""

    @override
    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        wrong = FaultStatus.ERROR_ACCESS_DENIED if status == FaultStatus.NCA_S_PROTO_ERROR else status
        super().send_fault(call_id, wrong, **more)


@violates("RPC-FAULT-early")
class EarlyErrorsReportedLate(ServerConnection):
    """The server reports a wrong verifier of an early fragment only after the last fragment."""

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
    """The server does not answer an unknown opnum."""

    @override
    def call(self, call: ServerCall) -> None:
        if self.service.supports(call.opnum):
            super().call(call)
