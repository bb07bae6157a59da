"""Bind: what is accepted, refused, chosen and confirmed."""

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
from swn_torture.faults.registry import violates, with_rpc
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.header import Header
    from swn_torture.server.config import ClusterConfig


class Negotiating(ServerConnection):
    """A server whose results of negotiation pass through `other` before they go out."""

    @override
    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
        return self.other(pdu, super().negotiate_contexts(pdu))

    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        """What to make of it instead."""
        return outcome


class Acks(ServerConnection):
    """A server whose bind_acks pass through `other` before they go out."""

    @override
    def send_raw(self, octets: bytes) -> None:
        """Put octets behind those that are to be sent."""
        pdu = unpack(octets)
        super().send_raw(self.other(pdu).pack() if isinstance(pdu, BindAck) else octets)

    def other(self, ack: BindAck) -> BindAck:
        """What to send instead."""
        return ack


def accepted_as(element: Any, transfer: Any = NDR32) -> Negotiated:
    """A presentation context for the witness interface, whatever was proposed."""
    return Negotiated(replace(WITNESS, minor=min(element.abstract.minor, WITNESS.minor)), transfer)


# The interface


@violates("SWN-1.9-uuid", "SWN-2.1-if-version")
class InterfaceUuidSwapped(WitnessEndpoint):
    """The interface is served under its UUID with the first fields in network order."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.syntax = replace(WITNESS, uuid=UUID(bytes=WITNESS.uuid.bytes_le))


@violates("SWN-2.1-if-version")
class InterfaceVersion2(WitnessEndpoint):
    """The interface has the version of the protocol, 2.0, instead of 1.1."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.syntax = replace(WITNESS, major=2, minor=0)


@violates("RPC-IF-minor-lower")
def exact_minor_version(config: ClusterConfig) -> ClusterConfig:
    """Only the very version of the interface is taken, as with Samba."""
    return with_rpc(config, exact_minor_version=True)


class AcceptsMore(ServerConnection):
    """A server that takes contexts for the witness interface which `takes` likes, as if they were right."""

    @override
    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
        wanted = tuple(
            replace(element, abstract=WITNESS) if self.takes(element) else element for element in pdu.contexts
        )
        return super().negotiate_contexts(replace(pdu, contexts=wanted))

    def takes(self, element: Any) -> bool:
        """Whether to take an element for one that names the interface."""
        raise NotImplementedError


@violates("RPC-IF-major-mismatch")
class AnyMajorVersion(AcceptsMore):
    """Any major version of the interface is taken."""

    @override
    def takes(self, element: Any) -> bool:
        return bool(element.abstract.uuid == WITNESS.uuid)


@violates("RPC-IF-minor-higher")
class HigherMinorVersion(AcceptsMore):
    """A minor version above the server's is taken."""

    @override
    def takes(self, element: Any) -> bool:
        return bool((element.abstract.uuid, element.abstract.major) == (WITNESS.uuid, WITNESS.major))


@violates("RPC-BIND-unknown-interface")
class UnknownInterfaceAccepted(AcceptsMore):
    """Every interface that is asked for is accepted, and is the witness interface."""

    @override
    def takes(self, element: Any) -> bool:
        return element.transfers[:1] in {(NDR32,), (NDR64,)}


@violates("RPC-BIND-unknown-interface")
class UnknownInterfaceNak(Negotiating):
    """A bind for an unknown interface is refused by bind_nak."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        if any(r.reason == ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED for r in outcome.results):
            raise refused_without_reason("an interface that is not served")
        return outcome


@violates("RPC-BIND-unknown-interface")
class UnknownInterfaceWithoutReason(Negotiating):
    """An unknown interface is refused for no reason (0)."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        unknown = ContextResult(ResultCode.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)
        results = tuple(replace(r, reason=0) if r == unknown else r for r in outcome.results)
        return replace(outcome, results=results)


# The bind as a whole


@violates("RPC-BIND-version-5")
class AnyRpcVersion(ServerConnection):
    """The version in the header of a PDU is not looked at."""

    @override
    def check_version(self, header: Header, raw: bytes) -> None:
        """Refuse any RPC version but 5.0: none."""


@violates("RPC-BIND-version-5")
class RequestsOfAnyRpcVersion(ServerConnection):
    """On a connection that is bound nobody looks at the version of RPC any more."""

    @override
    def check_version(self, header: Header, raw: bytes) -> None:
        """Refuse any RPC version but 5.0."""
        if self.association is None:
            super().check_version(header, raw)


@violates("RPC-BIND-no-contexts")
class BindWithoutContexts(ServerConnection):
    """A bind without presentation contexts is accepted."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        if pdu.contexts:
            super().on_bind(pdu)
        else:
            self.send_raw(BindAck(call_id=pdu.call_id, assoc_group=1).pack())


@violates("RPC-BIND-result-order")
class ResultsReversed(Negotiating):
    """The results of a bind come in the reverse order."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        return replace(outcome, results=outcome.results[::-1])


@violates("RPC-BIND-result-order")
class ResultsOfAcceptedOnly(Negotiating):
    """Only the contexts that are accepted have a result."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        return replace(outcome, results=tuple(r for r in outcome.results if r.accepted))


@violates("RPC-BIND-second-address")
def no_secondary_address(config: ClusterConfig) -> ClusterConfig:
    """The secondary address is empty, as with Samba."""
    return with_rpc(config, secondary_address="empty")


@violates("RPC-BIND-second-address")
class SecondaryAddressOf135(Acks):
    """The secondary address is the port of the endpoint mapper."""

    @override
    def other(self, ack: BindAck) -> BindAck:
        return replace(ack, secondary_address=b"135\0") if ack.secondary_address else ack


@violates("RPC-BIND-context-limit")
def contexts_without_limit(config: ClusterConfig) -> ClusterConfig:
    """A connection may have any number of presentation contexts."""
    return with_rpc(config, contexts_per_interface=1 << 20)


# Transfer syntaxes


@violates("RPC-XFER-ndr20")
class OnlyNdr64(WitnessEndpoint):
    """NDR64 is the only transfer syntax."""

    def __init__(self, service: Any, syntaxes: Any = (), *rest: Any) -> None:
        super().__init__(service, (NDR64,), *rest)


@violates("RPC-XFER-unknown")
class UnknownTransferAccepted(Negotiating):
    """A transfer syntax that nobody knows is accepted, and NDR is spoken."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        results, accepted = list(outcome.results), dict(outcome.accepted)
        for n, element in enumerate(pdu.contexts):
            if results[n].reason == ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED:
                results[n] = ContextResult(ResultCode.ACCEPTANCE, 0, element.transfers[0])
                accepted[element.context_id] = accepted_as(element)
        return replace(outcome, results=tuple(results), accepted=accepted)


@violates("RPC-XFER-unknown")
class UnknownTransferIsUnknownInterface(Negotiating):
    """An unknown transfer syntax is refused as if the interface were unknown."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        results = tuple(
            replace(r, reason=ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)
            if (r.result, r.reason) == (2, ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED)
            else r
            for r in outcome.results
        )
        return replace(outcome, results=results)


@violates("RPC-XFER-ndr64-negotiation")
class BothSyntaxesAccepted(Negotiating):
    """NDR and NDR64 in separate elements are both accepted."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        results, accepted = list(outcome.results), dict(outcome.accepted)
        for n, element in enumerate(pdu.contexts):
            if element.abstract == WITNESS and element.transfers[:1] in {(NDR32,), (NDR64,)}:
                results[n] = ContextResult(ResultCode.ACCEPTANCE, 0, element.transfers[0])
                accepted[element.context_id] = Negotiated(WITNESS, element.transfers[0])
        return replace(outcome, results=tuple(results), accepted=accepted)


@violates("RPC-XFER-preferred")
class LastTransferChosen(ServerConnection):
    """Of the transfer syntaxes of an element the last one is chosen."""

    @override
    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
        last = tuple(replace(element, transfers=element.transfers[-1:]) for element in pdu.contexts)
        return super().negotiate_contexts(replace(pdu, contexts=last))


# Bind-time features


@violates("RPC-BTF-negotiate")
class FeaturesAccepted(Negotiating):
    """A feature element is answered by acceptance (0) instead of negotiate_ack (3)."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        results = tuple(
            replace(r, result=ResultCode.ACCEPTANCE) if r.result == ResultCode.NEGOTIATE_ACK else r
            for r in outcome.results
        )
        return replace(outcome, results=results)


@violates("RPC-BTF-subset")
class FeaturesEchoed(Negotiating):
    """All feature bits that were proposed are confirmed."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        proposed = (outcome.features or 0) & 0xFFFF
        results = tuple(
            replace(r, reason=proposed) if r.result == ResultCode.NEGOTIATE_ACK else r
            for r in outcome.results
        )
        return replace(outcome, results=results)


@violates("RPC-BTF-subset")
class FeaturesAlwaysBoth(Negotiating):
    """Both features are confirmed, whichever was proposed."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        results = tuple(
            replace(r, reason=3) if r.result == ResultCode.NEGOTIATE_ACK else r for r in outcome.results
        )
        return replace(outcome, results=results)


@violates("RPC-BTF-no-request")
class FeaturesVolunteered(Negotiating):
    """A feature result is added to every bind_ack."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        if outcome.features is not None or isinstance(pdu, AlterContext):
            return outcome
        return replace(outcome, results=(*outcome.results, ContextResult(ResultCode.NEGOTIATE_ACK, 3)))


@violates("RPC-BTF-not-a-context")
class FeatureElementIsContext(Negotiating):
    """The feature element makes a presentation context, too."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        accepted = dict(outcome.accepted)
        for element, result in zip(pdu.contexts, outcome.results, strict=False):
            if result.result == ResultCode.NEGOTIATE_ACK:
                accepted[element.context_id] = accepted_as(element)
        return replace(outcome, accepted=accepted)


@violates("RPC-ORPHAN-keep-connection")
def no_keep_connection_on_orphan(config: ClusterConfig) -> ClusterConfig:
    """KeepConnectionOnOrphan is not confirmed."""
    return with_rpc(config, features=1)


# Sizes and services


@violates("RPC-FRAG-negotiate")
class FragmentSizeNotNegotiated(Acks):
    """bind_ack names the server's own fragment sizes, whatever was proposed."""

    @override
    def other(self, ack: BindAck) -> BindAck:
        return replace(ack, max_xmit=5840, max_recv=5840)


@violates("RPC-AUTH-unknown-type")
class UnknownServiceWithoutReason(ServerConnection):
    """A bind with an unknown authentication service is refused for no reason (0)."""

    @override
    def send_bind_nak(self, call_id: int, reason: int) -> None:
        self.send_raw(BindNak(call_id=call_id, reason=BindNakReason.NOT_SPECIFIED).pack())
