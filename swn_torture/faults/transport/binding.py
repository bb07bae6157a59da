"""Bind: which contexts, transfer syntaxes and features the server accepts and confirms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from typing_extensions import override

from swn_torture.dcerpc.connection import Negotiated
from swn_torture.dcerpc.pdu.bind import (
    AlterContext,
    BindAck,
    BindNak,
    BindNakReason,
    ContextResult,
    ProviderReason,
    ResultCode,
)
from swn_torture.dcerpc.pdu.pdus import unpack
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.negotiation import NegotiationResult, refused_without_reason
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.faults.registry import violates, with_rpc
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.header import Header
    from swn_torture.server.config import ClusterConfig
    from swn_torture.stubdata.syntax import SyntaxId


class AlteredNegotiation(ServerConnection):
    """A server that sends what `alter_negotiation` makes of the results of a bind."""

    @override
    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
        return self.alter_negotiation(pdu, super().negotiate_contexts(pdu))

    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        """Return the results to send instead."""
        return negotiation


class AlteredBindAck(ServerConnection):
    """A server that sends what `alter_bind_ack` makes of each bind_ack."""

    @override
    def send_raw(self, octets: bytes) -> None:
        """Send octets; a bind_ack is altered first."""
        pdu = unpack(octets)
        super().send_raw(self.alter_bind_ack(pdu).pack() if isinstance(pdu, BindAck) else octets)

    def alter_bind_ack(self, ack: BindAck) -> BindAck:
        """Return the bind_ack to send instead."""
        return ack


def accepted_as(element: Any, transfer: Any = NDR32) -> Negotiated:
    """Return an accepted presentation context for the witness interface, whatever was proposed."""
    return Negotiated(replace(WITNESS, minor=min(element.abstract.minor, WITNESS.minor)), transfer)


# The interface


@violates("SWN-1.9-uuid", "SWN-2.1-if-version")
class InterfaceUuidSwapped(WitnessEndpoint):
    """The interface has its UUID with the first fields in network byte order."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.syntax = replace(WITNESS, uuid=UUID(bytes=WITNESS.uuid.bytes_le))


@violates("SWN-1.9-uuid")
class ManagementSwapsUuid(RpcServer):
    """Remote management names the interface UUID with its first fields in network byte order."""

    @override
    def served_interfaces(self) -> list[SyntaxId]:
        swapped = replace(WITNESS, uuid=UUID(bytes=WITNESS.uuid.bytes_le))
        return [swapped if syntax == WITNESS else syntax for syntax in super().served_interfaces()]


@violates("SWN-2.1-if-version")
class InterfaceVersion2(WitnessEndpoint):
    """The interface has the version of the protocol, 2.0, instead of 1.1."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.syntax = replace(WITNESS, major=2, minor=0)


@violates("RPC-IF-minor-lower", seen_in="Samba 4.22")
def exact_minor_version(config: ClusterConfig) -> ClusterConfig:
    """The server rejects a lower minor version of the interface."""
    return with_rpc(config, exact_minor_version=True)


class AcceptsMoreContexts(ServerConnection):
    """A server that treats the contexts that `accepts` selects as contexts for the witness interface."""

    @override
    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
        contexts = tuple(
            replace(element, abstract=WITNESS) if self.accepts(element) else element
            for element in pdu.contexts
        )
        return super().negotiate_contexts(replace(pdu, contexts=contexts))

    def accepts(self, element: Any) -> bool:
        """Whether to treat a context element as one for the witness interface."""
        raise NotImplementedError


@violates("RPC-IF-major-mismatch")
class AnyMajorVersion(AcceptsMoreContexts):
    """The server accepts any major version of the interface."""

    @override
    def accepts(self, element: Any) -> bool:
        return bool(element.abstract.uuid == WITNESS.uuid)


@violates("RPC-IF-minor-higher")
class HigherMinorVersion(AcceptsMoreContexts):
    """The server accepts a minor version higher than its own."""

    @override
    def accepts(self, element: Any) -> bool:
        return bool((element.abstract.uuid, element.abstract.major) == (WITNESS.uuid, WITNESS.major))


@violates("RPC-BIND-unknown-interface")
class UnknownInterfaceAccepted(AcceptsMoreContexts):
    """The server accepts every interface, and serves the witness interface under it."""

    @override
    def accepts(self, element: Any) -> bool:
        return element.transfers[:1] in {(NDR32,), (NDR64,)}


@violates("RPC-BIND-unknown-interface")
class UnknownInterfaceNak(AlteredNegotiation):
    """The server sends a bind_nak for an unknown interface."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        if any(r.reason == ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED for r in negotiation.results):
            raise refused_without_reason("an interface that is not served")
        return negotiation


@violates("RPC-BIND-unknown-interface")
class UnknownInterfaceWithoutReason(AlteredNegotiation):
    """The server rejects an unknown interface with reason 0."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        unknown = ContextResult(ResultCode.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)
        results = tuple(replace(r, reason=0) if r == unknown else r for r in negotiation.results)
        return replace(negotiation, results=results)


# The bind as a whole


@violates("RPC-BIND-version-5")
class AnyRpcVersion(ServerConnection):
    """The server does not check the RPC version in PDU headers."""

    @override
    def check_version(self, header: Header, raw: bytes) -> None:
        """Accept any RPC version."""


@violates("RPC-BIND-version-5")
class RequestsOfAnyRpcVersion(ServerConnection):
    """The server does not check the RPC version of PDUs after the bind."""

    @override
    def check_version(self, header: Header, raw: bytes) -> None:
        """Check the RPC version only before the bind."""
        if self.association is None:
            super().check_version(header, raw)


@violates("RPC-BIND-no-contexts")
class BindWithoutContexts(ServerConnection):
    """The server accepts a bind without presentation contexts."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        if pdu.contexts:
            super().on_bind(pdu)
        else:
            self.send_raw(BindAck(call_id=pdu.call_id, assoc_group=1).pack())


@violates("RPC-BIND-result-order")
class ResultsReversed(AlteredNegotiation):
    """The results in bind_ack are in reverse order."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        return replace(negotiation, results=negotiation.results[::-1])


@violates("RPC-BIND-result-order")
class ResultsOfAcceptedOnly(AlteredNegotiation):
    """bind_ack has results only for accepted contexts."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        return replace(negotiation, results=tuple(r for r in negotiation.results if r.accepted))


@violates("RPC-BIND-second-address", seen_in="Samba 4.22")
def no_secondary_address(config: ClusterConfig) -> ClusterConfig:
    """The secondary address in bind_ack is empty."""
    return with_rpc(config, secondary_address="empty")


@violates("RPC-BIND-second-address")
class SecondaryAddressOf135(AlteredBindAck):
    """The secondary address in bind_ack is the port of the endpoint mapper."""

    @override
    def alter_bind_ack(self, ack: BindAck) -> BindAck:
        return replace(ack, secondary_address=b"135\0") if ack.secondary_address else ack


@violates("RPC-BIND-context-limit", seen_in="Samba 4.22")
def contexts_without_limit(config: ClusterConfig) -> ClusterConfig:
    """A connection can have any number of presentation contexts."""
    return with_rpc(config, contexts_per_interface=1 << 20)


# Transfer syntaxes


@violates("RPC-XFER-ndr20")
class OnlyNdr64(WitnessEndpoint):
    """The server supports only NDR64."""

    def __init__(self, service: Any, syntaxes: Any = (), *rest: Any) -> None:
        super().__init__(service, (NDR64,), *rest)


@violates("RPC-XFER-unknown")
class UnknownTransferAccepted(AlteredNegotiation):
    """The server accepts an unknown transfer syntax, and uses NDR."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        results, accepted = list(negotiation.results), dict(negotiation.accepted)
        for n, element in enumerate(pdu.contexts):
            if results[n].reason == ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED:
                results[n] = ContextResult(ResultCode.ACCEPTANCE, 0, element.transfers[0])
                accepted[element.context_id] = accepted_as(element)
        return replace(negotiation, results=tuple(results), accepted=accepted)


@violates("RPC-XFER-unknown")
class UnknownTransferIsUnknownInterface(AlteredNegotiation):
    """The server rejects an unknown transfer syntax with the reason for an unknown interface."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        results = tuple(
            replace(r, reason=ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)
            if (r.result, r.reason) == (2, ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED)
            else r
            for r in negotiation.results
        )
        return replace(negotiation, results=results)


@violates("RPC-XFER-ndr64-negotiation")
class BothSyntaxesAccepted(AlteredNegotiation):
    """The server accepts both NDR and NDR64 when they are proposed in separate contexts."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        results, accepted = list(negotiation.results), dict(negotiation.accepted)
        for n, element in enumerate(pdu.contexts):
            if element.abstract == WITNESS and element.transfers[:1] in {(NDR32,), (NDR64,)}:
                results[n] = ContextResult(ResultCode.ACCEPTANCE, 0, element.transfers[0])
                accepted[element.context_id] = Negotiated(WITNESS, element.transfers[0])
        return replace(negotiation, results=tuple(results), accepted=accepted)


@violates("RPC-XFER-preferred")
class LastTransferChosen(ServerConnection):
    """The server chooses the last transfer syntax of a context."""

    @override
    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
        last = tuple(replace(element, transfers=element.transfers[-1:]) for element in pdu.contexts)
        return super().negotiate_contexts(replace(pdu, contexts=last))


# Bind-time features


@violates("RPC-BTF-negotiate")
class FeaturesAccepted(AlteredNegotiation):
    """The server answers a bind-time feature element with acceptance (0), not negotiate_ack (3)."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        results = tuple(
            replace(r, result=ResultCode.ACCEPTANCE) if r.result == ResultCode.NEGOTIATE_ACK else r
            for r in negotiation.results
        )
        return replace(negotiation, results=results)


@violates("RPC-BTF-subset")
class FeaturesEchoed(AlteredNegotiation):
    """The server confirms all proposed bind-time feature bits."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        proposed = (negotiation.features or 0) & 0xFFFF
        results = tuple(
            replace(r, reason=proposed) if r.result == ResultCode.NEGOTIATE_ACK else r
            for r in negotiation.results
        )
        return replace(negotiation, results=results)


@violates("RPC-BTF-subset")
class FeaturesAlwaysBoth(AlteredNegotiation):
    """The server confirms both bind-time features, whichever was proposed."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        results = tuple(
            replace(r, reason=3) if r.result == ResultCode.NEGOTIATE_ACK else r for r in negotiation.results
        )
        return replace(negotiation, results=results)


@violates("RPC-BTF-negotiate")
class FeatureResultNamesSyntax(AlteredNegotiation):
    """The result for a bind-time feature element names NDR as the transfer syntax."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        results = tuple(
            replace(r, transfer=NDR32) if r.result == ResultCode.NEGOTIATE_ACK else r
            for r in negotiation.results
        )
        return replace(negotiation, results=results)


@violates("RPC-BTF-no-request")
class FeaturesWithoutRequest(AlteredNegotiation):
    """Every bind_ack has a result for bind-time features, even if none were proposed."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        if negotiation.features is not None or isinstance(pdu, AlterContext):
            return negotiation
        return replace(
            negotiation, results=(*negotiation.results, ContextResult(ResultCode.NEGOTIATE_ACK, 3))
        )


@violates("RPC-BTF-not-a-context")
class FeatureElementIsContext(AlteredNegotiation):
    """A bind-time feature element also creates a presentation context."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        accepted = dict(negotiation.accepted)
        for element, result in zip(pdu.contexts, negotiation.results, strict=False):
            if result.result == ResultCode.NEGOTIATE_ACK:
                accepted[element.context_id] = accepted_as(element)
        return replace(negotiation, accepted=accepted)


# Sizes and services


@violates("RPC-FRAG-negotiate")
class FragmentSizeNotNegotiated(AlteredBindAck):
    """bind_ack names the server's own fragment sizes, whatever was proposed."""

    @override
    def alter_bind_ack(self, ack: BindAck) -> BindAck:
        return replace(ack, max_xmit=5840, max_recv=5840)


@violates("RPC-AUTH-unknown-type")
class UnknownServiceWithoutReason(ServerConnection):
    """A bind_nak for an unknown authentication service has reason 0."""

    @override
    def send_bind_nak(self, call_id: int, reason: int) -> None:
        self.send_raw(BindNak(call_id=call_id, reason=BindNakReason.NOT_SPECIFIED).pack())
