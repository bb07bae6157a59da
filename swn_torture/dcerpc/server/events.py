"""Events that a server connection reports to its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swn_torture.dcerpc.errors import RemoteProtocolError
    from swn_torture.dcerpc.server.interface import Association, ServerCall


@dataclass(frozen=True, slots=True)
class Joined:
    """the client has bound, and its connection belongs to this association."""

    association: Association


@dataclass(frozen=True, slots=True)
class CallReceived:
    """a whole request, verified and in the clear, to be answered through its object."""

    call: ServerCall


@dataclass(frozen=True, slots=True)
class CallCancelled:
    """co_cancel, or orphaned, for a pending call."""

    call: ServerCall
    orphaned: bool


@dataclass(frozen=True, slots=True)
class ProtocolViolation:
    """the client broke the protocol; the answer it deserves is among the octets to send."""

    error: RemoteProtocolError


ServerEvent = Joined | CallReceived | CallCancelled | ProtocolViolation
