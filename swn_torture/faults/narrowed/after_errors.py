"""After something unusual the server ignores the next calls, or sends a fault for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import part_of, violates
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.syntax import NDR64
from swn_torture.witness.messages import RegisterExRequest, RegisterRequest

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.pdus import Request
    from swn_torture.dcerpc.server.interface import Association, ConnectionInfo, ServerCall
    from swn_torture.witness.messages import AnyRequest


class IgnoresTwoCalls(WitnessEndpoint):
    """A server that can be made to ignore calls."""

    calls_to_ignore = 0

    @override
    def call(self, call: ServerCall) -> None:
        if self.calls_to_ignore:
            self.calls_to_ignore -= 1
        else:
            super().call(call)

    def ignore_calls(self, calls: int = 2) -> None:
        """Ignore the next calls, from any client."""
        self.calls_to_ignore = calls


class IgnoresTwoCallsAfterPdu(ServerConnection):
    """A connection that can make its server ignore calls."""

    def ignore_calls(self, calls: int = 2) -> None:
        """Make the server ignore the next calls."""
        for interface in self._interfaces:
            if isinstance(interface, IgnoresTwoCalls):
                interface.ignore_calls(calls)


@violates("RPC-CONN-independent", near=("SWN-3.1.4.2-returns-success",))
class EmptyNameSilencesServer(IgnoresTwoCalls):
    """After a registration with an empty client name the server ignores two calls."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if isinstance(request, RegisterRequest | RegisterExRequest) and request.client_computer_name == "":
            self.ignore_calls()
        return request


@violates(
    "RPC-CONN-independent",
    near=(
        "SWN-3.1.4.2-non-sofs-ip-unchecked",
        "SWN-3.1.4.5-non-sofs-share-ip-unchecked",
        "SWN-3.1.4.5-null-share-ip-check",
    ),
)
class UnknownAddressSilencesServer(IgnoresTwoCalls):
    """After a registration with an IpAddress of no interface the server ignores two calls."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if isinstance(request, RegisterRequest | RegisterExRequest) and self.applies_to(request):
            address = request.ip_address
            if address and self.service.interfaces.by_address(address) is None:
                self.ignore_calls()
        return request

    def applies_to(self, request: RegisterRequest | RegisterExRequest) -> bool:
        """Whether a registration with an unknown address has this effect."""
        del request
        return True


@violates("RPC-CONN-independent", near=("SWN-3.1.4.5-null-share-ip-check",))
class UnknownAddressWithoutShareSilencesServer(UnknownAddressSilencesServer):
    """After RegisterEx with an unknown IpAddress and a NULL ShareName the server ignores two calls."""

    @override
    def applies_to(self, request: RegisterRequest | RegisterExRequest) -> bool:
        return isinstance(request, RegisterExRequest) and request.share_name is None


@violates("RPC-CONN-independent", near=("RPC-MAYBE",))
class MaybeSilencesServer(IgnoresTwoCallsAfterPdu):
    """After a request with PFC_MAYBE the server ignores two calls."""

    @override
    def on_request(self, pdu: Request, raw: bytes) -> None:
        super().on_request(pdu, raw)
        if pdu.flags & PfcFlags.MAYBE:
            self.ignore_calls(3)  # the request itself and two more


@violates("RPC-CONN-independent", near=("SWN-B3-accepted-services",))
class KerberosSilencesServer(IgnoresTwoCallsAfterPdu):
    """After a bind with a Kerberos token the server ignores two calls."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        super().on_bind(pdu)
        if pdu.trailer is not None and pdu.trailer.auth_type == AuthType.KERBEROS:
            self.ignore_calls()


@violates("RPC-CONN-independent", near=("RPC-MPX-negotiate",))
class PlainBindSilencesServer(IgnoresTwoCallsAfterPdu):
    """After a bind without authentication the server ignores two calls."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        super().on_bind(pdu)
        if pdu.trailer is None:
            self.ignore_calls()


@violates("RPC-CONN-independent", near=("RPC-XFER-ndr64",))
class Ndr64AloneSilencesServer(IgnoresTwoCallsAfterPdu):
    """After a bind that offers only NDR64 the server ignores two calls."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        super().on_bind(pdu)
        if {transfer for element in pdu.contexts for transfer in element.transfers} == {NDR64}:
            self.ignore_calls()


@violates("RPC-ORPHAN-pending")
class OrphanAndCloseFaultsNext(WitnessEndpoint):
    """When a connection closes right after an orphaned PDU, the server's next call gets a fault."""

    fault_next_call = False

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.orphaned_on: set[ConnectionInfo] = set()

    @override
    def call(self, call: ServerCall) -> None:
        self.orphaned_on.discard(call.connection)
        if self.fault_next_call:
            self.fault_next_call = False
            call.fault(FaultStatus.NCA_S_FAULT_UNSPEC)
        else:
            super().call(call)

    @override
    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        if orphaned:
            self.orphaned_on.add(call.connection)
        super().cancelled(call, orphaned=orphaned)

    @override
    def disconnected(self, connection: ConnectionInfo, association: Association) -> None:
        self.fault_next_call |= connection in self.orphaned_on
        super().disconnected(connection, association)


for _fault in (
    MaybeSilencesServer,
    KerberosSilencesServer,
    PlainBindSilencesServer,
    Ndr64AloneSilencesServer,
):
    part_of(_fault)(IgnoresTwoCalls)
