"""Rules on the fields that every PDU of a server has: each returns what is wrong, None if nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swn_torture.casekit.invariants.conversation import type_name_of
from swn_torture.dcerpc.pdu.header import WHOLE, PduType, PfcFlags
from swn_torture.stubdata.syntax import NDR64

if TYPE_CHECKING:
    from swn_torture.casekit.invariants.conversation import Received

#: What a PDU type of a server answers (C706 12.6.4; MS-RPCE 3.3.1.5.2.1, 3.3.3.5.5). A fault answers any PDU.
ANSWERS: Final = {
    PduType.RESPONSE: (PduType.REQUEST,),
    PduType.BIND_ACK: (PduType.BIND,),
    PduType.BIND_NAK: (PduType.BIND, PduType.ALTER_CONTEXT),
    PduType.ALTER_CONTEXT_RESP: (PduType.ALTER_CONTEXT,),
    PduType.FAULT: tuple(PduType),
}

#: Windows and Samba agree to no smaller size, whatever is proposed. The cases about smaller ones record them.
SMALLEST_JUDGED: Final = 2048


def version(pdu: Received) -> str | None:
    """rpc_vers is 5 and rpc_vers_minor is 0 (MS-RPCE 3.3.1.5.1)."""
    major, minor = pdu.header.version
    return None if (major, minor) == (5, 0) else f"version {major}.{minor}"


def known_type(pdu: Received) -> str | None:
    """PTYPE is one that a server sends on a connection (C706 12.6.4)."""
    known = pdu.header.ptype in ANSWERS or pdu.header.ptype == PduType.SHUTDOWN
    return None if known else type_name_of(pdu.header.ptype)


def type_of_answer(pdu: Received) -> str | None:
    """PTYPE is one that answers what was sent with this call_id (MS-RPCE 3.3.1.5.2.1).

    Without an association, bind_nak rejects whatever was sent (RPC-REQ-before-bind).
    """
    if pdu.header.ptype == PduType.BIND_NAK and pdu.connection.bind_ack is None:
        return None
    wanted = ANSWERS.get(PduType(pdu.header.ptype)) if pdu.header.ptype in ANSWERS else None
    if wanted is None or not pdu.asked or pdu.asked_by(*wanted):
        return None
    sent = dict.fromkeys(type_name_of(each.header.ptype) for each in pdu.asked)
    return f"{pdu.name} for {', '.join(sent)} with call_id {pdu.header.call_id}"


def one_fragment(pdu: Received) -> str | None:
    """A PDU that is never fragmented has PFC_FIRST_FRAG and PFC_LAST_FRAG."""
    return None if pdu.header.flags & WHOLE == WHOLE else f"pfc_flags 0x{pdu.header.flags:02X}"


def response_fragments(pdu: Received) -> str | None:
    """The first fragment of a response has PFC_FIRST_FRAG, and no other has."""
    first = bool(pdu.header.flags & PfcFlags.FIRST)
    if first != bool(pdu.earlier):
        return None
    which = f"fragment {len(pdu.earlier) + 1} of the response to call {pdu.header.call_id}"
    return f"{which}, pfc_flags 0x{pdu.header.flags:02X}"


def drep(pdu: Received) -> str | None:
    """packed_drep has values that C706 14.1 defines: integers, characters, floating point, two zeros."""
    label = pdu.header.drep
    defined = label[0] >> 4 <= 1 and label[0] & 0xF <= 1 and label[1] <= 3 and label[2:] == b"\0\0"
    return None if defined else f"packed_drep {label.hex(' ')}"


def drep_of_fragments(pdu: Received) -> str | None:
    """All fragments of a response have one format label: the stub data are one octet stream (C706 14.1)."""
    if not pdu.earlier or pdu.earlier[0].header.drep == pdu.header.drep:
        return None
    return f"packed_drep {pdu.earlier[0].header.drep.hex(' ')}, then {pdu.header.drep.hex(' ')}"


def drep_in_ndr64(pdu: Received) -> str | None:
    """In an NDR64 context packed_drep begins with 0x10 (MS-RPCE 2.2.5)."""
    requests = pdu.asked_by(PduType.REQUEST)
    syntaxes = {pdu.connection.contexts.get(request.context_id) for request in requests}
    if syntaxes != {NDR64} or pdu.header.drep[0] == 0x10:
        return None
    return f"packed_drep {pdu.header.drep.hex(' ')}"


def length_of_response(pdu: Received) -> str | None:
    """frag_length is at most max_recv_frag of the bind and max_xmit_frag of the bind_ack."""
    bind, ack = pdu.connection.bind, pdu.connection.bind_ack
    if bind is None or ack is None:
        return None
    limit = min(size for size in (bind.max_recv, ack.max_xmit))
    if limit < SMALLEST_JUDGED or pdu.header.frag_length <= limit:
        return None
    sizes = f"max_recv_frag {bind.max_recv} in the bind, max_xmit_frag {ack.max_xmit} in the bind_ack"
    return f"{pdu.header.frag_length} octets, {sizes}"


def call_id(pdu: Received) -> str | None:
    """call_id is that of a PDU of the client which is not answered yet."""
    asked = len(pdu.asked)
    if pdu.connection.answers[pdu.header.call_id] < asked:
        return None
    if not asked:
        return f"{pdu.name} with call_id {pdu.header.call_id}, which the client has not used"
    return f"one more {pdu.name} with call_id {pdu.header.call_id}, after {asked} answers"
