"""Calls on a connection: ids, order, faults, cancels, and what one call does to another."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc import verification
from swn_torture.dcerpc.connection import Negotiated
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.events import CallReceived
from swn_torture.dcerpc.header import PduType, rewrite
from swn_torture.dcerpc.inbox import Inbox, Rejection
from swn_torture.dcerpc.pdu import Orphaned, Pdu, Request
from swn_torture.dcerpc.server import RpcServer, ServerLink
from swn_torture.dcerpc.server_connection import ServerConnection
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.dcerpc.syntax import NDR32, NDR64
from swn_torture.server.endpoint import WitnessEndpoint
from swn_torture.server.faults.registry import violates
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from swn_torture.dcerpc.events import ServerEvent
    from swn_torture.dcerpc.interface import ServerCall
    from swn_torture.dcerpc.pdu import CoCancel
    from swn_torture.dcerpc.security import SecurityEntry

# Ids


@violates("RPC-CALLID-echo")
class CallIdOfLastRequest(ServerConnection):
    """A response carries the call id of the latest request instead of its own."""

    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        own, call.call_id = call.call_id, self._inbox.current
        octets = super().response(call, stub, entry)
        call.call_id = own
        return octets


@violates("RPC-CTXID-echo")
class ContextIdZero(ServerConnection):
    """Responses carry presentation context id 0."""

    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        call.context_id = 0
        return super().response(call, stub, entry)


@violates("RPC-CALLID-monotonic")
class CallIdsNotLookedAt(Inbox):
    """Requests may have any call ids."""

    def admit(self, pdu: Request, pending: Any, *, may_start: bool) -> bool:
        self.current = -1
        return super().admit(replace(pdu, call_id=pdu.call_id & 0x7FFFFFFF), pending, may_start=may_start)


@violates("RPC-CTX-unknown", "RPC-BTF-not-a-context")
class UnknownContextServed(ServerConnection):
    """A request on an unknown presentation context is served in the first one."""

    def _request(self, pdu: Request, raw: bytes) -> None:
        if self.contexts and pdu.context_id not in self.contexts:
            self.contexts[pdu.context_id] = next(iter(self.contexts.values()))
        super()._request(pdu, raw)


@violates("RPC-REQ-object-uuid")
class ObjectsRefused(ServerConnection):
    """A request that names an object is refused."""

    def _check_route(self, pdu: Request, entry: SecurityEntry | None) -> None:
        super()._check_route(pdu, entry)
        if pdu.object_uuid is not None:
            raise Rejection(FaultStatus.NCA_S_FAULT_OBJECT_NOT_FOUND, "no such object")


@violates("RPC-REQ-before-bind")
class ServesBeforeBind(ServerConnection):
    """A request as the first PDU is served in NDR."""

    def _request(self, pdu: Request, raw: bytes) -> None:
        if self.association is None:
            self.association = self._associations.create(self._info.peer[0])
            self.association.connections.add(self._info)
            self.contexts[pdu.context_id] = Negotiated(WITNESS, NDR32)
        super()._request(pdu, raw)


@violates("RPC-PTYPE-unexpected")
class StrangePdusIgnored(ServerConnection):
    """PDUs that no server receives are passed over."""

    def _process(self, pdu: Pdu, raw: bytes) -> None:
        if pdu.ptype not in {PduType.RESPONSE, PduType.BIND_ACK, PduType.SHUTDOWN, PduType.FAULT}:
            super()._process(pdu, raw)


@violates("RPC-XFER-ndr64-drep")
class Ndr64DrepZero(ServerConnection):
    """On an NDR64 context responses declare data representation 0."""

    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        octets = super().response(call, stub, entry)
        return [rewrite(o, drep=b"\x11\0\0\0") for o in octets] if call.syntax == NDR64 else octets


# Order


@violates("RPC-MPX-parallel-calls", "RPC-MPX-out-of-order")
class OneCallAtATime(ServerConnection):
    """A request waits until all earlier ones of its connection are answered."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._queue: deque[ServerEvent] = deque()

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


@violates("RPC-CONN-independent")
class ConnectionsShareOneThread(RpcServer):
    """While a call is pending on a connection, no other connection is served."""

    def link(self) -> ServerLink:
        return _Waiting(self)


class _Waiting(ServerLink):
    """Takes octets only while no other connection has a call pending."""

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

    def link(self) -> ServerLink:
        return _Blocking(self)


class _Blocking(_Waiting):
    """Takes octets only while no other connection has an incomplete PDU."""

    def data_received(self, data: bytes) -> None:
        if any(link is not self and link.core.framer.buffered for link in self._server.links):
            asyncio.get_running_loop().call_later(0.05, self._later, data)
        else:
            ServerLink.data_received(self, data)


@violates("RPC-CONN-long-pending")
class PendingConnectionsDropped(WitnessEndpoint):
    """A connection is closed when a call has been pending for a second and a half."""

    def call(self, call: ServerCall) -> None:
        super().call(call)
        asyncio.get_running_loop().call_later(1.5, self._check, call)

    def _check(self, call: ServerCall) -> None:
        if not call.answered and not call.cancelled and self.service.cancel(call, call.association):
            call.fault(FaultStatus.RPC_S_CALL_FAILED)


# Faults


@violates("RPC-FAULT-status-forbidden")
class FaultStatusZero(ServerConnection):
    """Faults have status 0."""

    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        super().send_fault(call_id, 0, **more)


@violates("RPC-FAULT-status-forbidden")
class FaultsAreAccessViolations(ServerConnection):
    """Faults have status 0xC0000005."""

    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        super().send_fault(call_id, 0xC0000005, **more)


@violates("RPC-FAULT-connection-survives")
class FaultsEndConnections(ServerConnection):
    """A connection is closed behind every fault."""

    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        super().send_fault(call_id, status, **more)
        self.closing = True


@violates("RPC-FAULT-protocol-error", "RPC-FRAG-bad-order")
class ProtocolErrorsAsAccessDenied(ServerConnection):
    """Protocol errors are told as access denied (5)."""

    def send_fault(self, call_id: int, status: int, **more: Any) -> None:
        wrong = FaultStatus.ERROR_ACCESS_DENIED if status == FaultStatus.NCA_S_PROTO_ERROR else status
        super().send_fault(call_id, wrong, **more)


@violates("RPC-FAULT-early")
class EarlyErrorsToldLate(ServerConnection):
    """A wrong verifier in an early fragment is told when the last one is there."""

    _kept: Rejection | None = None

    def _request(self, pdu: Request, raw: bytes) -> None:
        try:
            if self._kept is None:
                super()._request(pdu, raw)
        except Rejection as rejection:
            self._kept = rejection
        if self._kept is not None and pdu.flags & 2:
            kept, self._kept = self._kept, None
            raise kept


@violates("RPC-OPNUM-unknown", "RPC-FAULT-or-close")
class UnknownOpnumUnanswered(WitnessEndpoint):
    """An operation that is not there is not answered."""

    def call(self, call: ServerCall) -> None:
        if self.service.supports(call.opnum):
            super().call(call)


# Cancel and orphaned


@violates("RPC-CANCEL-registration-kept")
class CancelUnregisters(WitnessEndpoint):
    """A cancelled AsyncNotify takes its registration along."""

    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        for registration in self.service.registrations.of(call.association):
            if any(waiting.token is call for waiting in registration.waiting) and not orphaned:
                registration.waiting.clear()
                self.service.registrations.remove(registration)
                call.fault(FaultStatus.NCA_S_FAULT_CANCEL)
                return
        super().cancelled(call, orphaned=orphaned)


@violates("RPC-CANCEL-event-not-lost")
class CancelledCallsTakeEvents(WitnessEndpoint):
    """After a cancel the next event goes to the call that is no more."""

    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        if orphaned or call.answered:
            super().cancelled(call, orphaned=orphaned)
        else:
            call.answered = True  # what comes for it is not sent

    def answer(self, call: ServerCall, response: Any) -> None:
        if not call.answered:
            super().answer(call, response)


@violates("RPC-CANCEL-unknown-call")
class StrayCancelFaults(ServerConnection):
    """A co_cancel for a call that is not there is answered by a fault."""

    def _give_up(self, pdu: CoCancel | Orphaned, raw: bytes) -> None:
        if not isinstance(pdu, Orphaned) and pdu.call_id not in self.calls:
            self.send_fault(pdu.call_id, FaultStatus.NCA_S_FAULT_CANCEL)
        else:
            super()._give_up(pdu, raw)


@violates("RPC-CANCEL-unknown-call", "RPC-ORPHAN-unknown-call")
class StrayCancelEndsConnection(ServerConnection):
    """A co_cancel or orphaned for a call that is not there ends the connection."""

    def _give_up(self, pdu: CoCancel | Orphaned, raw: bytes) -> None:
        if pdu.call_id not in self.calls and not self._inbox.assembling(pdu.call_id):
            raise RemoteProtocolError("no such call", field="call_id", octets=raw)
        super()._give_up(pdu, raw)


@violates("RPC-ORPHAN-pending", "RPC-ORPHAN-keep-connection")
class OrphanEndsConnection(ServerConnection):
    """An orphaned call ends its connection, whatever was negotiated."""

    def _give_up(self, pdu: CoCancel | Orphaned, raw: bytes) -> None:
        super()._give_up(pdu, raw)
        self.closing |= isinstance(pdu, Orphaned)


@violates("RPC-ORPHAN-pending")
class OrphanTakesNextEvent(WitnessEndpoint):
    """After orphaned the next event goes to the call that nobody waits for."""

    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        if not orphaned:
            super().cancelled(call, orphaned=orphaned)


# The verification trailer


class Trailers(ServerConnection):
    """A server that looks at verification trailers in another way."""

    def _without_verification(self, whole: Any, negotiated: Negotiated) -> bytes:
        found = verification.find(whole.stub)
        if found is None:
            return bytes(whole.stub)
        self.look(*found)
        return bytes(whole.stub[: found[0]])

    def look(self, at: int, found: verification.VerificationTrailer) -> None:
        """Judge the trailer that begins at an octet."""

    def refuse(self) -> None:
        """Refuse the request."""
        raise Rejection(FaultStatus.RPC_X_BAD_STUB_DATA, "a verification trailer")


@violates("RPC-VT-accepted")
class TrailersRefused(Trailers):
    """A request with a verification trailer is refused."""

    def look(self, at: int, found: verification.VerificationTrailer) -> None:
        self.refuse()


@violates("RPC-VT-unknown-optional")
class UnknownTrailerCommandRefused(Trailers):
    """A command of a trailer that is not known makes the request invalid."""

    def look(self, at: int, found: verification.VerificationTrailer) -> None:
        if any(command.type not in {1, 2, 3} for command in found.commands):
            self.refuse()


@violates("RPC-VT-must-process")
class MustProcessNotLookedAt(Trailers):
    """A command that has to be processed is skipped when it is not known."""


@violates("RPC-VT-search")
class TrailerExpectedAtOnce(Trailers):
    """A verification trailer is refused when anything stands between it and the stub."""

    def look(self, at: int, found: verification.VerificationTrailer) -> None:
        if at > 0:
            self.refuse()


# The server


@violates("RPC-CONNECTION-close-mid-call")
class ClosingMidCallLeavesRegistration(WitnessEndpoint):
    """What a connection has registered right before it closed is kept."""

    def rundown(self, association: Any) -> None:
        recent = self.service.clock() - 0.2
        old = [r for r in self.service.registrations.of(association) if r.last_use < recent]
        for registration in old:
            self.service.remove(registration)
