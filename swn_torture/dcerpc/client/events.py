"""Events that a client connection reports to its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import BindAck, BindNak, ContextResult, PresentationContext
    from swn_torture.dcerpc.pdu.pdus import FaultPdu, Pdu, Response
    from swn_torture.stubdata.fields import ByteOrder


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """bind_ack or alter_context_resp.

    Attributes:
        pdu: as it came.
        pairs: what was proposed, with what became of it.
    """

    pdu: BindAck
    pairs: tuple[tuple[PresentationContext, ContextResult], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """bind_nak."""

    pdu: BindNak


@dataclass(frozen=True, slots=True)
class Answered:
    """a whole response, verified and in the clear.

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
    """a fault PDU."""

    pdu: FaultPdu


@dataclass(frozen=True, slots=True)
class Stray:
    """a PDU that answers nothing that was asked, or that no server sends."""

    pdu: Pdu


ClientEvent = Acknowledged | Refused | Answered | Faulted | Stray
