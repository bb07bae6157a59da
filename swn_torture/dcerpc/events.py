"""What a connection tells its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swn_torture.dcerpc.errors import RemoteProtocolError
    from swn_torture.dcerpc.pdu.bind import BindAck, BindNak, ContextResult, PresentationContext
    from swn_torture.dcerpc.pdu.header import ByteOrder
    from swn_torture.dcerpc.pdu.pdus import FaultPdu, Pdu, Response
    from swn_torture.dcerpc.server.interface import Association, ServerCall


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """To a client: bind_ack or alter_context_resp.

    Attributes:
        pdu: as it came.
        pairs: what was proposed, with what became of it.
    """

    pdu: BindAck
    pairs: tuple[tuple[PresentationContext, ContextResult], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """To a client: bind_nak."""

    pdu: BindNak


@dataclass(frozen=True, slots=True)
class Answered:
    """To a client: a whole response, verified and in the clear.

    Attributes:
        call_id: of the call it answers.
        stub: out parameters of all fragments.
        pdus: the fragments.
    """

    call_id: int
    stub: bytes
    pdus: tuple[Response, ...]

    @property
    def context_id(self) -> int:
        """The presentation context of the first fragment."""
        return self.pdus[0].context_id

    @property
    def byte_order(self) -> ByteOrder:
        """The byte order in which the stub is to be read."""
        return self.pdus[0].byte_order

    @property
    def level(self) -> int:
        """The authentication level in the first fragment's trailer, 1 (none) without one."""
        trailer = self.pdus[0].trailer
        return 1 if trailer is None else trailer.auth_level

    @property
    def fragments(self) -> int:
        """In how many PDUs the response came."""
        return len(self.pdus)


@dataclass(frozen=True, slots=True)
class Faulted:
    """To a client: a fault PDU."""

    pdu: FaultPdu


@dataclass(frozen=True, slots=True)
class Stray:
    """To a client: a PDU that answers nothing that was asked, or that no server sends."""

    pdu: Pdu


ClientEvent = Acknowledged | Refused | Answered | Faulted | Stray


@dataclass(frozen=True, slots=True)
class Joined:
    """To a server: the client has bound, and its connection belongs to this association."""

    association: Association


@dataclass(frozen=True, slots=True)
class CallReceived:
    """To a server: a whole request, verified and in the clear, to be answered through its object."""

    call: ServerCall


@dataclass(frozen=True, slots=True)
class CallCancelled:
    """To a server: co_cancel, or orphaned, for a pending call."""

    call: ServerCall
    orphaned: bool


@dataclass(frozen=True, slots=True)
class ProtocolViolation:
    """To a server: the client broke the protocol; the answer it deserves is among the octets to send."""

    error: RemoteProtocolError


ServerEvent = Joined | CallReceived | CallCancelled | ProtocolViolation
