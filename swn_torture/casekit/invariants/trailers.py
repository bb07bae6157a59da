"""Rules on the sec_trailer of a server's PDU: each returns what is wrong, None if nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.pdu.header import HEADER_SIZE, TRAILER_SIZE, PduType
from swn_torture.dcerpc.security.levels import AuthLevel, effective_level
from swn_torture.dcerpc.security.protection import AUTH_ALIGNMENT

if TYPE_CHECKING:
    from swn_torture.casekit.invariants.conversation import Received, Sent

_LEG_ALIGNMENT: Final = 4
_WITH_TOKENS: Final = (PduType.BIND, PduType.ALTER_CONTEXT)


def place(pdu: Received) -> str | None:
    """auth_length leaves space for a sec_trailer (MS-RPCE 2.2.2.11)."""
    if not pdu.header.auth_length or pdu.trailer is not None:
        return None
    return f"auth_length {pdu.header.auth_length} in a PDU of {pdu.header.frag_length} octets"


def reserved(pdu: Received) -> str | None:
    """auth_reserved is 0 (MS-RPCE 2.2.2.11)."""
    trailer = pdu.trailer
    return f"auth_reserved 0x{trailer.reserved:02X}" if trailer is not None and trailer.reserved else None


def padding_of_response(pdu: Received) -> str | None:
    """The sec_trailer of a response is at a multiple of 16 octets of the PDU body (MS-RPCE 2.2.2.11)."""
    trailer = pdu.trailer
    if trailer is None:
        return None
    offset = pdu.header.frag_length - pdu.header.auth_length - TRAILER_SIZE - 24
    if offset % AUTH_ALIGNMENT == 0 and trailer.pad_length < AUTH_ALIGNMENT and trailer.pad_length <= offset:
        return None
    return f"sec_trailer at octet {offset} of the PDU body, auth_pad_length {trailer.pad_length}"


def padding_of_leg(pdu: Received) -> str | None:
    """The sec_trailer of a bind_ack is at a multiple of 4 octets; auth_pad_length counts what is there."""
    trailer, ack = pdu.trailer, pdu.ack
    if trailer is None or ack is None:
        return None
    offset = pdu.header.frag_length - pdu.header.auth_length - TRAILER_SIZE
    if offset % _LEG_ALIGNMENT == 0 and trailer.pad_length <= min(len(ack.padding), offset - HEADER_SIZE):
        return None
    there = f"{len(ack.padding)} octets of padding"
    return f"sec_trailer at octet {offset}, auth_pad_length {trailer.pad_length}, {there}"


def context_of_leg(pdu: Received) -> str | None:
    """The sec_trailer of a bind_ack names the security context of the PDU that it answers.

    If the legs of this security context differ in auth_type or auth_level, those of any of them are allowed.
    """
    trailer = pdu.trailer
    numbers = {number for _, _, number in _trailers(pdu.asked_by(*_WITH_TOKENS))}
    every = [each for pdus in pdu.connection.sent.values() for each in pdus]
    legs = _trailers([each for each in every if each.header.ptype in _WITH_TOKENS])
    asked = [each for each in legs if each[2] in numbers]
    if trailer is None or any(
        (trailer.auth_type, trailer.context_id) == (kind, number) and trailer.auth_level >= level
        for kind, level, number in asked
    ):
        return None
    return _compared(trailer.auth_type, trailer.auth_level, trailer.context_id, asked)


def context_of_response(pdu: Received) -> str | None:
    """The sec_trailer of a response names the security context of its request (MS-RPCE 2.2.2.11)."""
    trailer = pdu.trailer
    asked = _trailers(pdu.asked_by(PduType.REQUEST))
    # At level connect, a request may leave out its sec_trailer (MS-RPCE 3.3.1.5.4).
    if trailer is None or not asked:
        return None
    if any((trailer.auth_type, trailer.context_id) == (kind, number) for kind, _, number in asked):
        level = max(level for _, level, _ in asked)
        if trailer.auth_level >= level:
            return None
    return _compared(trailer.auth_type, trailer.auth_level, trailer.context_id, asked)


def protected(pdu: Received) -> str | None:
    """A response has a sec_trailer if its request needs one: from level PKT on (MS-RPCE 3.3.1.5.2.2)."""
    asked = _trailers(pdu.asked_by(PduType.REQUEST))
    needed = bool(asked) and all(effective_level(level) >= AuthLevel.PKT for _, level, _ in asked)
    return "no sec_trailer" if needed and not pdu.header.auth_length and not pdu.earlier else None


def each_protected(pdu: Received) -> str | None:
    """Every fragment of a response has a sec_trailer, or none has one (MS-RPCE 2.2.2.11)."""
    if not pdu.earlier or bool(pdu.earlier[0].header.auth_length) == bool(pdu.header.auth_length):
        return None
    return f"auth_length {pdu.earlier[0].header.auth_length}, then {pdu.header.auth_length}"


def same_in_fragments(pdu: Received) -> str | None:
    """All fragments of a response name one auth_type, auth_level and auth_context_id (MS-RPCE 2.2.2.11)."""
    trailer = pdu.trailer
    first = pdu.earlier[0].trailer if pdu.earlier else None
    if trailer is None or first is None:
        return None
    values = (trailer.auth_type, trailer.auth_level, trailer.context_id)
    before = (first.auth_type, first.auth_level, first.context_id)
    return None if values == before else _compared(*values, [before])


def _trailers(pdus: list[Sent]) -> list[tuple[int, int, int]]:
    trailers = (each.trailer for each in pdus)
    return [(each.auth_type, each.auth_level, each.context_id) for each in trailers if each is not None]


def _compared(auth_type: int, level: int, context_id: int, others: list[tuple[int, int, int]]) -> str:
    expected = " or ".join(
        f"{kind}, {other_level}, {number}" for kind, other_level, number in dict.fromkeys(others)
    )
    found = f"auth_type {auth_type}, auth_level {level}, auth_context_id {context_id}"
    return f"{found}; {expected or 'none'} before"
