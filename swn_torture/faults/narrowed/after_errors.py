"""What a server does not get over: after something unusual it leaves the next two calls unanswered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.faults.registry import part_of, violates
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.syntax import NDR64
from swn_torture.witness.messages import RegisterExRequest, RegisterRequest

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.pdus import Request
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.witness.messages import AnyRequest


class IgnoresTwoCalls(WitnessEndpoint):
    """A server that can be stunned."""

    calls_missed = 0

    @override
    def call(self, call: ServerCall) -> None:
        if self.calls_missed:
            self.calls_missed -= 1
        else:
            super().call(call)

    def stun(self, calls: int = 2) -> None:
        """Leave the next calls unanswered, whoever makes them."""
        self.calls_missed = calls


class Stunning(ServerConnection):
    """A connection by which that is done."""

    def stun(self, calls: int = 2) -> None:
        """Stun the server."""
        for interface in self._interfaces:
            if isinstance(interface, IgnoresTwoCalls):
                interface.stun(calls)


@violates("RPC-CONN-independent", near=("SWN-3.1.4.2-returns-success",))
class EmptyNameSilencesServer(IgnoresTwoCalls):
    """After an empty client name two calls get no answer, whoever makes them."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if isinstance(request, RegisterRequest | RegisterExRequest) and request.client_computer_name == "":
            self.stun()
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
    """After an IpAddress that no interface has two calls get no answer, whoever makes them."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if isinstance(request, RegisterRequest | RegisterExRequest) and self.means_trouble(request):
            address = request.ip_address
            if address and self.service.interfaces.by_address(address) is None:
                self.stun()
        return request

    def means_trouble(self, request: RegisterRequest | RegisterExRequest) -> bool:
        """Whether this registration has that effect, its address being unknown."""
        del request
        return True


@violates("RPC-CONN-independent", near=("SWN-3.1.4.5-null-share-ip-check",))
class UnknownAddressWithoutShareSilencesServer(UnknownAddressSilencesServer):
    """After RegisterEx without a share and with an unknown IpAddress two calls get no answer."""

    @override
    def means_trouble(self, request: RegisterRequest | RegisterExRequest) -> bool:
        return isinstance(request, RegisterExRequest) and request.share_name is None


@violates("RPC-CONN-independent", near=("RPC-MAYBE",))
class MaybeSilencesServer(Stunning):
    """After a request with PFC_MAYBE two calls get no answer, whoever makes them."""

    @override
    def on_request(self, pdu: Request, raw: bytes) -> None:
        super().on_request(pdu, raw)
        if pdu.flags & PfcFlags.MAYBE:
            self.stun(3)  # and with them the request itself


@violates("RPC-CONN-independent", near=("SWN-B3-accepted-services",))
class KerberosSilencesServer(Stunning):
    """After a bind that brings a token of Kerberos two calls get no answer, whoever makes them."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        super().on_bind(pdu)
        if pdu.trailer is not None and pdu.trailer.auth_type == AuthType.KERBEROS:
            self.stun()


@violates("RPC-CONN-independent", near=("RPC-MPX-negotiate",))
class PlainBindSilencesServer(Stunning):
    """After a bind without authentication two calls get no answer, whoever makes them."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        super().on_bind(pdu)
        if pdu.trailer is None:
            self.stun()


@violates("RPC-CONN-independent", near=("RPC-XFER-ndr64",))
class Ndr64AloneSilencesServer(Stunning):
    """After a bind that offers NDR64 and nothing else two calls get no answer, whoever makes them."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        super().on_bind(pdu)
        if {transfer for element in pdu.contexts for transfer in element.transfers} == {NDR64}:
            self.stun()


for _fault in (
    MaybeSilencesServer,
    KerberosSilencesServer,
    PlainBindSilencesServer,
    Ndr64AloneSilencesServer,
):
    part_of(_fault)(IgnoresTwoCalls)
