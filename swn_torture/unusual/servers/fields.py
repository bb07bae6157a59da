"""Unusual values and readings of PDU fields where no text decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from swn_torture.dcerpc.pdu.bind import AlterContextResp
from swn_torture.dcerpc.pdu.pdus import FaultPdu, unpack
from swn_torture.dcerpc.server.authentication import Authenticator, Leg
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.request_assembly import RequestAssembler
from swn_torture.unusual.registry import Unusual

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.pdus import Auth3, Request

_Leg = TypeVar("_Leg", "Bind", "Auth3")


class _AlterContextRespOfZeros(ServerConnection):
    """alter_context_resp has 0 in the fields that a client ignores."""

    @override
    def send_raw(self, octets: bytes) -> None:
        pdu = unpack(octets)
        if isinstance(pdu, AlterContextResp):
            octets = replace(pdu, max_xmit=0, max_recv=0, assoc_group=0).pack()
        super().send_raw(octets)


class _OtherFieldsOfFaults(ServerConnection):
    """Faults have alloc_hint 0 and p_cont_id 0."""

    @override
    def send_raw(self, octets: bytes) -> None:
        pdu = unpack(octets)
        if isinstance(pdu, FaultPdu):
            octets = replace(pdu, alloc_hint=0, context_id=0).pack()
        super().send_raw(octets)


class _FragmentsOfBothByteOrders(RequestAssembler):
    """The fragments of a request may have different data representations; that of the first one counts."""

    @override
    def _check_continues(self, pdu: Request) -> None:
        super()._check_continues(replace(pdu, drep=self._parts[0].drep))


class _LegsOfAnyLevel(Authenticator):
    """The auth_type and auth_level of the first leg count; those of later legs are ignored."""

    @override
    def leg(self, pdu: Bind, *, multiplexing: bool) -> Leg | None:
        return super().leg(self._as_begun(pdu), multiplexing=multiplexing)

    @override
    def auth3(self, pdu: Auth3) -> None:
        super().auth3(self._as_begun(pdu))

    def _as_begun(self, pdu: _Leg) -> _Leg:
        entry = None if pdu.trailer is None else self._connection.security.get(pdu.trailer.context_id)
        if entry is None or pdu.trailer is None:
            return pdu
        trailer = replace(pdu.trailer, auth_type=entry.auth_type, auth_level=entry.level)
        return replace(pdu, trailer=trailer)


#: A NegTokenResp with negState reject (RFC 4178).
_REJECT = bytes.fromhex("a107 3005 a003 0a01 02")


class _RejectsOtherContextsInTheToken(Authenticator):
    """A leg with an unknown auth_context_id, while another one is open, gets an answer that rejects it."""

    @override
    def leg(self, pdu: Bind, *, multiplexing: bool) -> Leg | None:
        known = self._connection.security
        open_elsewhere = any(not (entry.context.complete or entry.error) for entry in known.values())
        if pdu.trailer is None or pdu.trailer.context_id in known or not open_elsewhere:
            return super().leg(pdu, multiplexing=multiplexing)
        entry = self._new(pdu.trailer, multiplexing=True)
        entry.fail("a first leg with a later token")
        return Leg(entry, _REJECT)


SERVERS = (
    Unusual(
        name="alter-context-resp-of-zeros",
        summary="The fragment sizes and the association group of alter_context_resp are 0.",
        conforms="C706 12.6.4.2: a client ignores these fields.",
        parts=(_AlterContextRespOfZeros,),
    ),
    Unusual(
        name="faults-without-hints",
        summary="alloc_hint and p_cont_id of every fault are 0.",
        conforms="MS-RPCE 2.2.2.6 allows alloc_hint 0; without stub data a fault needs no p_cont_id.",
        parts=(_OtherFieldsOfFaults,),
    ),
    Unusual(
        name="fragments-of-both-byte-orders",
        summary="A request is served although its fragments differ in packed_drep.",
        conforms="C706 12.6.3.1 and MS-RPCE 3.3.3.5 do not require a server to reject them.",
        parts=(_FragmentsOfBothByteOrders,),
    ),
    Unusual(
        name="legs-of-any-level",
        summary="The auth_type and auth_level of later legs of an authentication are ignored.",
        conforms="MS-RPCE 2.2.2.11, 3.3.1.5.2 choose them when the security context is created.",
        parts=(_LegsOfAnyLevel,),
    ),
    Unusual(
        name="legs-rejected-in-the-token",
        summary="A later leg with another auth_context_id gets an alter_context_resp whose token rejects it.",
        conforms="MS-RPCE 3.3.1.5.2.1: the token in alter_context_resp is that of the security provider.",
        parts=(_RejectsOtherContextsInTheToken,),
    ),
)
