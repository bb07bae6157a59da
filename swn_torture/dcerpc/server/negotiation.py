"""Which presentation contexts a server accepts (MS-RPCE 3.3.1.5.3, 3.3.1.5.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.dcerpc.connection import Negotiated
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import (
    BindNakReason,
    ContextResult,
    PresentationContext,
    ProviderReason,
    ResultCode,
)
from swn_torture.dcerpc.status import FaultStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.dcerpc.server.interface import ServerInterface
    from swn_torture.stubdata.syntax import SyntaxId


class NegotiationRefused(Exception):  # noqa: N818  it is an answer to the client, not an error of ours
    """A bind or alter_context that is refused as a whole.

    Attributes:
        problem: what is wrong.
        nak_reason: the reason in a bind_nak.
        fault_status: the status of the fault that answers an alter_context.
        always_nak: even an alter_context is answered by bind_nak (MS-RPCE 3.3.1.5.6).
    """

    def __init__(
        self,
        problem: str,
        nak_reason: int,
        fault_status: int,
        *,
        always_nak: bool = False,
        close: bool = False,
    ) -> None:
        self.problem = problem
        self.nak_reason = nak_reason
        self.fault_status = fault_status
        self.always_nak = always_nak
        self.close = close
        super().__init__(problem)


def refused_without_reason(problem: str) -> NegotiationRefused:
    """Return the refusal for which Windows and Samba give no reason in a bind_nak."""
    return NegotiationRefused(problem, BindNakReason.NOT_SPECIFIED, FaultStatus.NCA_S_PROTO_ERROR, close=True)


@dataclass(frozen=True, slots=True)
class NegotiationResult:
    """What comes of one bind or alter_context.

    Attributes:
        results: one per element, in order.
        accepted: the contexts that may be used from now on, by id.
        features: the bits the client proposed, ``None`` if it did not.
    """

    results: tuple[ContextResult, ...]
    accepted: Mapping[int, Negotiated]
    features: int | None


def negotiate(
    elements: Sequence[PresentationContext],
    interfaces: Sequence[ServerInterface],
    existing: Mapping[int, Negotiated],
    *,
    supported_features: int | None,
    exact_minor: bool = False,
) -> NegotiationResult:
    """Decide on the elements of a bind or alter_context.

    Args:
        elements: as proposed.
        interfaces: what is served.
        existing: contexts accepted on this connection before.
        supported_features: bits to confirm; ``None`` to treat a feature element like any unknown syntax.
        exact_minor: refuse minor versions below ours.

    Raises:
        NegotiationRefused: two feature elements, or an element without transfer syntax.
        RemoteProtocolError: an id in use is proposed for something else.
    """
    proposed = [element for element in elements if _features(element) is not None]
    if len(proposed) > 1:
        raise refused_without_reason("more than one bind-time feature element")
    if not all(element.transfers for element in elements):
        raise refused_without_reason("a presentation context without transfer syntax")
    accepted: dict[int, Negotiated] = {}
    results = []
    for element in elements:
        bits = _features(element)
        if bits is not None and supported_features is not None:
            results.append(ContextResult(ResultCode.NEGOTIATE_ACK, bits & supported_features & 0xFFFF))
            continue
        interface = find_interface(interfaces, element.abstract, exact_minor=exact_minor)
        if interface is None:
            results.append(_rejected(ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED))
            continue
        known = accepted.get(element.context_id) or existing.get(element.context_id)
        transfer = _choose(elements, element.abstract, interface.transfer_syntaxes)
        if known is not None:
            # The next leg of a security context repeats the elements of the one before.
            transfer = _again(known, element, interface.transfer_syntaxes)
        if transfer is None or transfer not in element.transfers:
            results.append(_rejected(ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED))
            continue
        accepted[element.context_id] = Negotiated(element.abstract, transfer)
        results.append(ContextResult(ResultCode.ACCEPTANCE, 0, transfer))
    features = _features(proposed[0]) if proposed else None
    return NegotiationResult(tuple(results), accepted, features)


def find_interface(
    interfaces: Sequence[ServerInterface], wanted: SyntaxId, *, exact_minor: bool = False
) -> ServerInterface | None:
    """Return the interface that serves ``wanted``, ``None`` without one (C706 6.1.2)."""
    for interface in interfaces:
        if interface.syntax == wanted or (not exact_minor and interface.syntax.serves(wanted)):
            return interface
    return None


def _features(element: PresentationContext) -> int | None:
    # The element should have this one syntax only; Windows and Samba do not look at any others.
    return element.transfers[0].features if element.transfers else None


def _choose(
    elements: Sequence[PresentationContext], abstract: SyntaxId, supported: Sequence[SyntaxId]
) -> SyntaxId | None:
    """Return the one transfer syntax for an interface: ours if it is offered, else the client's first."""
    offered = [
        transfer for element in elements if element.abstract == abstract for transfer in element.transfers
    ]
    if supported and supported[0] in offered:
        return supported[0]
    return next((transfer for transfer in offered if transfer in supported), None)


def _again(known: Negotiated, element: PresentationContext, supported: Sequence[SyntaxId]) -> SyntaxId | None:
    """Return the transfer syntax of a context that is proposed again, ``None`` to reject the proposal."""
    if known.abstract == element.abstract and known.transfer in element.transfers:
        return known.transfer
    if known.abstract == element.abstract and not set(supported) & set(element.transfers):
        return None
    raise RemoteProtocolError(
        f"presentation context {element.context_id} is in use for something else",
        field="p_context_elem.p_cont_id",
    )


def _rejected(reason: ProviderReason) -> ContextResult:
    return ContextResult(ResultCode.PROVIDER_REJECTION, reason)
