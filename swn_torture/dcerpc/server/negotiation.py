"""Decides which presentation contexts a server accepts (MS-RPCE 3.3.1.5.3, 3.3.1.5.6)."""

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
from swn_torture.dcerpc.server.refusal import CONTEXT_LIST, NOWHERE, Where
from swn_torture.dcerpc.status import FaultStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.dcerpc.server.interface import ServerInterface
    from swn_torture.stubdata.syntax import SyntaxId


class NegotiationRefused(Exception):  # noqa: N818  an answer to the client, not an error of this server
    """A bind or alter_context is rejected as a whole.

    Attributes:
        problem: what is wrong.
        nak_reason: the reason for the bind_nak.
        fault_status: the status of the fault that answers an alter_context.
        always_nak: a bind_nak answers an alter_context, too (MS-RPCE 3.3.1.5.6).
        close: the connection ends after the fault.
        where: the field and the rule, for the log.
    """

    def __init__(
        self,
        problem: str,
        nak_reason: int,
        fault_status: int,
        *,
        always_nak: bool = False,
        close: bool = False,
        where: Where = NOWHERE,
    ) -> None:
        self.problem = problem
        self.nak_reason = nak_reason
        self.fault_status = fault_status
        self.always_nak = always_nak
        self.close = close
        self.where = where
        super().__init__(problem)


def refused_without_reason(problem: str, where: Where = NOWHERE) -> NegotiationRefused:
    """Return a rejection for which Windows and Samba send a bind_nak with reason 0 (not specified)."""
    return NegotiationRefused(
        problem, BindNakReason.NOT_SPECIFIED, FaultStatus.NCA_S_PROTO_ERROR, close=True, where=where
    )


@dataclass(frozen=True, slots=True)
class NegotiationResult:
    """The decision on a bind or alter_context.

    Attributes:
        results: one for each element, in their order.
        accepted: the presentation contexts that the client may use from now on, by id.
        features: the bind-time features that the client proposed, ``None`` if it proposed none.
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
    """Decide which elements of a bind or alter_context to accept.

    Args:
        elements: the proposed presentation contexts.
        interfaces: the interfaces served.
        existing: the presentation contexts accepted on this connection before.
        supported_features: bind-time features to confirm. ``None`` treats a feature element as an unknown
            syntax.
        exact_minor: reject a minor version below that of the interface.

    Raises:
        NegotiationRefused: there are two feature elements, or an element without a transfer syntax.
        RemoteProtocolError: the id of an accepted context is proposed for another interface or transfer
            syntax.
    """
    proposed = [element for element in elements if _features(element) is not None]
    if len(proposed) > 1:
        raise refused_without_reason(
            "more than one bind-time feature element",
            Where("p_context_elem", CONTEXT_LIST + 4, "MS-RPCE 3.3.1.5.3"),
        )
    if not all(element.transfers for element in elements):
        raise refused_without_reason(
            "a presentation context without a transfer syntax",
            Where("p_context_elem.n_transfer_syn", CONTEXT_LIST + 4, "C706 12.6.4.3"),
        )
    accepted: dict[int, Negotiated] = {}
    results = []
    # A bind has up to 255 elements, often of one interface. Without this, the time grows with their square.
    chosen: dict[tuple[SyntaxId, SyntaxId], SyntaxId | None] = {}
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
        key = (element.abstract, interface.syntax)
        if key not in chosen:
            chosen[key] = _choose(elements, element.abstract, interface.transfer_syntaxes)
        transfer = chosen[key]
        if known is not None:
            # The next leg of a security context repeats the elements of the leg before.
            transfer = _again(known, element, interface.transfer_syntaxes)
        if transfer is None or transfer not in element.transfers:
            results.append(_rejected(ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED))
            continue
        accepted[element.context_id] = Negotiated(element.abstract, transfer)
        results.append(ContextResult(ResultCode.ACCEPTANCE, 0, transfer))
    features = _features(proposed[0]) if proposed else None
    return NegotiationResult(tuple(results), accepted, features)


def find_interface(
    interfaces: Sequence[ServerInterface], requested: SyntaxId, *, exact_minor: bool = False
) -> ServerInterface | None:
    """Return the interface that serves the requested one, ``None`` if there is none (C706 6.1.2)."""
    for interface in interfaces:
        if interface.syntax == requested or (not exact_minor and interface.syntax.serves(requested)):
            return interface
    return None


def _features(element: PresentationContext) -> int | None:
    # A feature element should have one transfer syntax. Windows and Samba check only the first one.
    return element.transfers[0].features if element.transfers else None


def _choose(
    elements: Sequence[PresentationContext], abstract: SyntaxId, supported: Sequence[SyntaxId]
) -> SyntaxId | None:
    """Return the transfer syntax to accept: the server's first one if offered, else the client's first."""
    offered = [
        transfer for element in elements if element.abstract == abstract for transfer in element.transfers
    ]
    if supported and supported[0] in offered:
        return supported[0]
    return next((transfer for transfer in offered if transfer in supported), None)


def _again(known: Negotiated, element: PresentationContext, supported: Sequence[SyntaxId]) -> SyntaxId | None:
    """Return the transfer syntax of a context that is proposed again, ``None`` to reject the element."""
    if known.abstract == element.abstract and known.transfer in element.transfers:
        return known.transfer
    if known.abstract == element.abstract and not set(supported) & set(element.transfers):
        return None
    raise RemoteProtocolError(
        f"presentation context {element.context_id} has another interface or transfer syntax already",
        field="p_context_elem.p_cont_id",
    )


def _rejected(reason: ProviderReason) -> ContextResult:
    return ContextResult(ResultCode.PROVIDER_REJECTION, reason)
