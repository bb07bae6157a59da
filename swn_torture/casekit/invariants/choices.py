"""What the text leaves open in the PDUs of a server: recorded for each case, never judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.pdu.header import WHOLE, PduType, PfcFlags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.casekit.invariants.conversation import Received

IGNORED_IN_ALTER = "AMB-38"
FLAGS_WITHOUT_MEANING = "AMB-39"
OPEN_IN_FAULTS = "AMB-40"

#: The flags that have a meaning in a PDU of a server besides the two of fragments. PFC_CONC_MPX and
#: PFC_SUPPORT_HEADER_SIGN answer the same flags of the bind or alter_context.
_MEANING: Final = {
    PduType.BIND_ACK: PfcFlags.CONC_MPX | PfcFlags.SUPPORT_HEADER_SIGN,
    PduType.ALTER_CONTEXT_RESP: PfcFlags.CONC_MPX | PfcFlags.SUPPORT_HEADER_SIGN,
    PduType.FAULT: PfcFlags.DID_NOT_EXECUTE,
}


def choices(pdu: Received) -> Iterator[tuple[str, str]]:
    """Yield (ambiguity, what the server does) for one PDU."""
    yield from _flags(pdu)
    if pdu.header.ptype == PduType.ALTER_CONTEXT_RESP:
        yield from _alter_context_resp(pdu)
    if pdu.header.ptype == PduType.FAULT:
        yield from _fault(pdu)


def _flags(pdu: Received) -> Iterator[tuple[str, str]]:
    other = pdu.header.flags & ~(WHOLE | _MEANING.get(PduType(pdu.header.ptype), 0)) if _known(pdu) else 0
    if pdu.proposal is not None and pdu.ack is not None:
        unasked = PfcFlags.CONC_MPX | PfcFlags.SUPPORT_HEADER_SIGN
        other |= pdu.header.flags & ~pdu.proposal.flags & unasked
    if other:
        yield FLAGS_WITHOUT_MEANING, f"0x{other:02X} in {pdu.name}"
    elif pdu.header.ptype == PduType.BIND_ACK:
        yield FLAGS_WITHOUT_MEANING, f"clear in {pdu.name}"


def _known(pdu: Received) -> bool:
    return 0 <= pdu.header.ptype <= max(PduType)


def _alter_context_resp(pdu: Received) -> Iterator[tuple[str, str]]:
    ack, bound = pdu.ack, pdu.connection.bind_ack
    if ack is None or bound is None:
        return
    group = "0" if not ack.assoc_group else "that of the bind_ack"
    if ack.assoc_group not in {0, bound.assoc_group}:
        group = "another than that of the bind_ack"
    yield IGNORED_IN_ALTER, f"assoc_group_id: {group}"
    sizes = (ack.max_xmit, ack.max_recv)
    same = "those of the bind_ack" if sizes == (bound.max_xmit, bound.max_recv) else "others"
    yield IGNORED_IN_ALTER, f"max_xmit_frag and max_recv_frag: {same if any(sizes) else '0'}"
    address = ack.secondary_address.rstrip(b"\0")
    shown = "that of the bind_ack" if address == bound.secondary_address.rstrip(b"\0") else "another"
    yield IGNORED_IN_ALTER, f"sec_addr: {shown if address else 'empty'}"


def _fault(pdu: Received) -> Iterator[tuple[str, str]]:
    hint, context = pdu.integer(16, 4), pdu.integer(20, 2)
    yield OPEN_IN_FAULTS, f"alloc_hint: {hint if hint in {0, 0x18, 0x20} else 'another value'}"
    yield OPEN_IN_FAULTS, f"sec_trailer: {'present' if pdu.header.auth_length else 'none'}"
    requests = {request.context_id for request in pdu.asked_by(PduType.REQUEST)}
    if requests - {0} and context is not None:
        where = "that of the request" if context in requests else "0" if not context else "another"
        yield OPEN_IN_FAULTS, f"p_cont_id: {where}"
