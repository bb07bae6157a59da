"""The presentation contexts that a client proposes, and the result of a bind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.pdu.bind import BindAck, ContextResult, PresentationContext, ResultCode
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.stubdata.syntax import NDR32, SyntaxId, bind_time_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.dcerpc.security.protection import SecurityEntry

LAST_LEG_IS_AUTH3: Final = frozenset({AuthType.NTLM, AuthType.NETLOGON})
"""Providers with an odd number of legs, so that the last leg is an auth3 (MS-RPCE 2.2.1.1.7)."""


@dataclass(frozen=True, slots=True)
class BindResult:
    """The result of a bind or alter_context.

    Attributes:
        bind_ack: the answer to the first PDU.
        answers: the answers to all legs.
        contexts: the proposed presentation contexts.
        security: the new security context, ``None`` without one.
    """

    bind_ack: BindAck
    answers: tuple[BindAck, ...]
    contexts: tuple[PresentationContext, ...]
    security: SecurityEntry | None

    @property
    def results(self) -> tuple[ContextResult, ...]:
        """One result for each proposed context, in that order."""
        return self.bind_ack.results

    @property
    def accepted(self) -> Mapping[int, SyntaxId]:
        """The transfer syntax of each accepted context, by context id."""
        return {
            element.context_id: result.transfer
            for element, result in zip(self.contexts, self.results, strict=True)
            if result.accepted
        }

    @property
    def features(self) -> int | None:
        """The bind-time features that the server confirmed, ``None`` when none were negotiated."""
        return next(
            (result.reason for result in self.results if result.result == ResultCode.NEGOTIATE_ACK), None
        )

    @property
    def assoc_group(self) -> int:
        """The id of the association."""
        return self.bind_ack.assoc_group

    @property
    def secondary_address(self) -> str:
        """The secondary address as text, without its terminator."""
        return self.bind_ack.secondary_address.rstrip(b"\0").decode("ascii", "backslashreplace")


def propose(
    abstract: SyntaxId, transfer: Sequence[SyntaxId] = (NDR32,), features: int | None = 3
) -> tuple[PresentationContext, ...]:
    """Return the elements that a conforming client proposes for one interface (MS-RPCE 3.3.1.5.3, 3.3.1.5.6).

    There is one element for each transfer syntax, with ids from 0. The bind-time features follow unless
    ``None``.
    """
    syntaxes = [*transfer] if features is None else [*transfer, bind_time_features(features)]
    return tuple(PresentationContext(index, abstract, (each,)) for index, each in enumerate(syntaxes))


def without_features(elements: Sequence[PresentationContext]) -> tuple[PresentationContext, ...]:
    """Return what later PDUs of a connection repeat of the elements of a bind.

    Only the bind negotiates bind-time features (MS-RPCE 3.3.1.5.3). The next leg of an authentication repeats
    the elements (SHOULD, MS-RPCE 3.3.1.5.2.1), but Windows and Samba leave out this one.
    """
    kept = tuple(each for each in elements if not any(t.features is not None for t in each.transfers))
    return kept or tuple(elements)
