"""Events that :class:`~swn_torture.dcerpc.server.connection.ServerConnection` reports to its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.values import value_class

if TYPE_CHECKING:
    from swn_torture.dcerpc.errors import RemoteProtocolError
    from swn_torture.dcerpc.pdu.bind import Bind, ContextResult
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import Association, ServerCall
    from swn_torture.dcerpc.server.refusal import Refusal


@value_class(frozen=True, slots=True)
class Joined:
    """The client has bound. Its connection belongs to this association now."""

    association: Association


@value_class(frozen=True, slots=True)
class CallReceived:
    """A complete request arrived. It is verified and decrypted. The call object sends the answer."""

    call: ServerCall


@value_class(frozen=True, slots=True)
class CallCancelled:
    """A co_cancel or (``orphaned``) an orphaned PDU arrived for a pending call."""

    call: ServerCall
    orphaned: bool


@value_class(frozen=True, slots=True)
class ProtocolViolation:
    """The client broke the protocol. The answer is already among the octets to send.

    Attributes:
        error: what is wrong.
        refusal: the same for a log, ``None`` if an interface rejected the stub data of a call.
    """

    error: RemoteProtocolError
    refusal: Refusal | None = None


@value_class(frozen=True, slots=True)
class ContextsNegotiated:
    """The server answers a bind or alter_context. Reported only to a connection that is watched.

    Attributes:
        pdu: the bind or alter_context.
        results: one for each of its elements.
        size: octets of the largest fragment.
        association: of the connection.
    """

    pdu: Bind
    results: tuple[ContextResult, ...]
    size: int
    association: Association


@value_class(frozen=True, slots=True)
class LoggedOn:
    """A security context is complete, or has failed. Reported only to a connection that is watched."""

    call_id: int
    entry: SecurityEntry


ServerEvent = Joined | CallReceived | CallCancelled | ProtocolViolation | ContextsNegotiated | LoggedOn
