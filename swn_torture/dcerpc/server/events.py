"""Events that :class:`~swn_torture.dcerpc.server.connection.ServerConnection` reports to its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swn_torture.dcerpc.errors import RemoteProtocolError
    from swn_torture.dcerpc.server.interface import Association, ServerCall


@dataclass(frozen=True, slots=True)
class Joined:
    """The client has bound. Its connection belongs to this association now."""

    association: Association


@dataclass(frozen=True, slots=True)
class CallReceived:
    """A complete request arrived. It is verified and decrypted. The call object sends the answer."""

    call: ServerCall


@dataclass(frozen=True, slots=True)
class CallCancelled:
    """A co_cancel or (``orphaned``) an orphaned PDU arrived for a pending call."""

    call: ServerCall
    orphaned: bool


@dataclass(frozen=True, slots=True)
class ProtocolViolation:
    """The client broke the protocol. The answer is already among the octets to send."""

    error: RemoteProtocolError


ServerEvent = Joined | CallReceived | CallCancelled | ProtocolViolation
