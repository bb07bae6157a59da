"""Where a rejected PDU is wrong: the field, its octets, and the rule, for the log of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.pdu.header import TRAILER_SIZE, type_name

if TYPE_CHECKING:
    from swn_torture.dcerpc.errors import RemoteProtocolError
    from swn_torture.dcerpc.pdu.header import Header

SHOWN_OCTETS: Final = 8
"""Octets of a wrong field that a line of the log shows."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a PDU is wrong.

    Attributes:
        field: the dotted name of the field, ``""`` if no single field is wrong.
        offset: where it begins, in octets from the start of the PDU, or ``None``.
        rule: the section that the PDU violates, ``""`` if the server only uses a choice that it has.
    """

    field: str = ""
    offset: int | None = None
    rule: str = ""


NOWHERE: Final = Where()

PFC_FLAGS: Final = 3
CALL_ID: Final = 12
ALLOC_HINT: Final = 16
CONTEXT_ID: Final = 20
ASSOC_GROUP: Final = 20
CONTEXT_LIST: Final = 24
"""Offsets of fields in PDUs (C706 12.6.3.1, 12.6.4)."""

_RULES: Final = {
    "rpc_vers": (0, "MS-RPCE 3.3.1.5.1"),
    "ptype": (2, "MS-RPCE 3.3.3.5.7"),
    "pfc_flags": (PFC_FLAGS, "C706 12.6.3.1"),
    "drep": (4, "C706 14.1"),
    "frag_length": (8, "C706 12.6.3.1"),
    "auth_length": (10, "C706 12.6.3.1"),
    "call_id": (CALL_ID, "MS-RPCE 3.3.3.5.2"),
    "n_context_elem": (CONTEXT_LIST, "MS-RPCE 2.2.2.5, C706 12.6.4.3"),
    "p_context_elem": (CONTEXT_LIST + 4, "C706 12.6.4.3"),
    "bind": (16, "C706 12.6.4.3"),
    "request": (16, "C706 12.6.4.9"),
    "sec_trailer": (None, "MS-RPCE 2.2.2.11"),
    "verification_trailer": (None, "MS-RPCE 2.2.2.13"),
}
"""Where a field begins in every PDU that has it, and which section describes it."""

_IN_TRAILER: Final = {
    "sec_trailer": 0,
    "sec_trailer.auth_type": 0,
    "sec_trailer.auth_level": 1,
    "sec_trailer.auth_pad_length": 2,
    "sec_trailer.auth_context_id": 4,
    "auth_value": TRAILER_SIZE,
}
"""Offsets in the sec_trailer (MS-RPCE 2.2.2.11). A ``Where`` with such a field needs no offset."""


def where_of(error: RemoteProtocolError) -> Where:
    """Return where an error of the codec is. Its field says which rule applies."""
    if error.field is None:
        return Where(offset=error.offset)
    offset, rule = _RULES.get(error.field) or _RULES.get(error.field.partition(".")[0]) or (None, "")
    return Where(error.field, offset if error.offset is None else error.offset, rule)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A PDU that the server rejects, and why.

    Attributes:
        pdu: its type and call_id, ``"octets"`` if they are not a PDU.
        call_id: its call_id, ``None`` without a header.
        problem: what is wrong, in one clause.
        where: the field and the rule.
        octets: the octets of the PDU, as far as they were read.
        answer: what the server answers and does.
    """

    pdu: str
    call_id: int | None
    problem: str
    where: Where
    octets: bytes
    answer: str

    def __str__(self) -> str:
        """The refusal in one line, with the octets of the field and the rule."""
        parts = [f"{self.pdu} rejected: {self.problem}", self._place(), self.where.rule, self.answer]
        return "; ".join(part for part in parts if part)

    def _place(self) -> str:
        at, field = self.where.offset, self.where.field
        if at is None:
            return field
        shown = self.octets[at : at + SHOWN_OCTETS].hex(" ") or "no octets"
        return f"{field or 'octets'} at offset {at}: {shown}"


def refusal(
    header: Header | None, problem: str, where: Where = NOWHERE, octets: bytes = b"", answer: str = ""
) -> Refusal:
    """Return the refusal of a PDU with this header, ``None`` for octets without one."""
    if header is None:
        return Refusal("octets", None, problem, where, octets, answer)
    pdu = f"{type_name(header.ptype)}, call {header.call_id},"
    if where.offset is None and where.field in _IN_TRAILER and header.auth_length:
        trailer = header.frag_length - header.auth_length - TRAILER_SIZE
        where = Where(where.field, trailer + _IN_TRAILER[where.field], where.rule)
    return Refusal(pdu, header.call_id, problem, where, octets, answer)
