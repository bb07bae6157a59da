"""co_cancel and orphaned PDUs: effects that they must not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.pdus import Orphaned
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import violates
from swn_torture.server.nodes.endpoint import WitnessEndpoint

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.pdus import CoCancel
    from swn_torture.dcerpc.server.interface import ServerCall


@violates("RPC-CANCEL-registration-kept")
class CancelUnregisters(WitnessEndpoint):
    """When an AsyncNotify is cancelled, the server removes its registration."""

    @override
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
    """After a cancel the next event goes to the cancelled call."""

    @override
    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        if orphaned or call.answered:
            super().cancelled(call, orphaned=orphaned)
        else:
            call.answered = True  # so that its response is not sent

    @override
    def answer(self, call: ServerCall, response: Any) -> None:
        if not call.answered:
            super().answer(call, response)


@violates("RPC-CANCEL-unknown-call")
class StrayCancelFaults(ServerConnection):
    """The server answers a co_cancel for an unknown call with a fault."""

    @override
    def on_cancel(self, pdu: CoCancel | Orphaned, raw: bytes) -> None:
        if not isinstance(pdu, Orphaned) and pdu.call_id not in self.calls:
            self.send_fault(pdu.call_id, FaultStatus.NCA_S_FAULT_CANCEL)
        else:
            super().on_cancel(pdu, raw)


@violates("RPC-CANCEL-unknown-call", "RPC-ORPHAN-unknown-call")
class StrayCancelEndsConnection(ServerConnection):
    """A co_cancel or orphaned PDU for an unknown call ends the connection."""

    @override
    def on_cancel(self, pdu: CoCancel | Orphaned, raw: bytes) -> None:
        if pdu.call_id not in self.calls and not self._assembler.assembling(pdu.call_id):
            raise RemoteProtocolError("no such call", field="call_id", octets=raw)
        super().on_cancel(pdu, raw)


@violates("RPC-ORPHAN-pending", "RPC-ORPHAN-keep-connection")
class OrphanEndsConnection(ServerConnection):
    """An orphaned PDU ends its connection, whatever was negotiated."""

    @override
    def on_cancel(self, pdu: CoCancel | Orphaned, raw: bytes) -> None:
        super().on_cancel(pdu, raw)
        self.closing |= isinstance(pdu, Orphaned)


@violates("RPC-ORPHAN-pending")
class OrphanTakesNextEvent(WitnessEndpoint):
    """After an orphaned PDU the next event goes to the orphaned call."""

    @override
    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        if not orphaned:
            super().cancelled(call, orphaned=orphaned)
