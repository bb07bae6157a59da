"""Events that :class:`~swn_torture.dcerpc.client.connection.ClientConnection` reports to its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.values import value_class

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import BindAck, BindNak, ContextResult, PresentationContext
    from swn_torture.dcerpc.pdu.pdus import FaultPdu, Pdu, Response
    from swn_torture.stubdata.fields import ByteOrder


@value_class(frozen=True, slots=True)
class Acknowledged:
    """A bind_ack or alter_context_resp arrived.

    Attributes:
        pdu: the PDU.
        pairs: each proposed presentation context with its result.
    """

    pdu: BindAck
    pairs: tuple[tuple[PresentationContext, ContextResult], ...]


@value_class(frozen=True, slots=True)
class Refused:
    """A bind_nak arrived."""

    pdu: BindNak


@value_class(frozen=True, slots=True)
class Answered:
    """A complete response arrived. It is verified and decrypted.

    Attributes:
        call_id: of the call that it answers.
        stub: the stub data of all fragments.
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
        """The byte order of the stub data."""
        return self.pdus[0].byte_order

    @property
    def level(self) -> int:
        """The authentication level in the sec_trailer of the first fragment, 1 (none) without one."""
        trailer = self.pdus[0].trailer
        return 1 if trailer is None else trailer.auth_level

    @property
    def fragments(self) -> int:
        """The number of PDUs of the response."""
        return len(self.pdus)


@value_class(frozen=True, slots=True)
class Faulted:
    """A fault PDU arrived."""

    pdu: FaultPdu


@value_class(frozen=True, slots=True)
class Unexpected:
    """A PDU arrived that answers nothing the client sent, or that no server sends."""

    pdu: Pdu


ClientEvent = Acknowledged | Refused | Answered | Faulted | Unexpected
