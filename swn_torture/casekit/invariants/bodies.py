"""Rules on the fields of one PDU type: each returns what is wrong, None if nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swn_torture.casekit.invariants.headers import SMALLEST_JUDGED
from swn_torture.dcerpc.pdu.bind import ProviderReason, ResultCode
from swn_torture.dcerpc.pdu.header import TRAILER_SIZE, PduType, PfcFlags
from swn_torture.dcerpc.status import FORBIDDEN_STATUSES, describe_status
from swn_torture.stubdata.syntax import NULL_SYNTAX

if TYPE_CHECKING:
    from swn_torture.casekit.invariants.conversation import Received
    from swn_torture.dcerpc.pdu.bind import Bind, BindAck

_RESPONSE_HEADER: Final = 24
_FAULT_HEADER: Final = 32
#: Bit 0 of `reserved` in a fault: extended error information follows (MS-RPCE 2.2.2.8).
_EXTENDED_ERROR: Final = 1


def presentation_context(pdu: Received) -> str | None:
    """p_cont_id of a response is that of its request (C706 12.6.4.10).

    Windows and Samba send only the low 8 bits of it.
    """
    asked = {request.context_id for request in pdu.asked_by(PduType.REQUEST)}
    found = pdu.integer(20, 2)
    if not asked or found is None or found in asked or found in {each & 0xFF for each in asked}:
        return None
    return f"p_cont_id {found}, {' or '.join(map(str, sorted(asked)))} in the request"


def cancel_count(pdu: Received) -> str | None:
    """cancel_count is not above the number of cancels that the client sent for this call."""
    found = pdu.integer(22, 1)
    cancels = sum(1 for each in pdu.asked_by(PduType.CO_CANCEL, PduType.ORPHANED))
    flagged = sum(1 for each in pdu.asked_by(PduType.REQUEST) if each.header.flags & PfcFlags.PENDING_CANCEL)
    if found is None or found <= cancels + flagged:
        return None
    return f"cancel_count {found}, the client sent {cancels + flagged}"


def reserved_of_response(pdu: Received) -> str | None:
    """The reserved octet of a response is zero (C706 12.6.4.10)."""
    found = pdu.integer(23, 1)
    return f"reserved 0x{found:02X}" if found else None


def reserved_of_fault(pdu: Received) -> str | None:
    """The reserved octets of a fault are zero, except for the flag of extended error information."""
    found, padding = pdu.integer(23, 1), pdu.integer(28, 4)
    if not ((found or 0) & ~_EXTENDED_ERROR or padding):
        return None
    return f"reserved 0x{found or 0:02X}, reserved2 0x{padding or 0:08X}"


def reserved_of_results(pdu: Received) -> str | None:
    """The three octets after n_results are zero (C706 12.6.3.1, p_result_list_t)."""
    address = pdu.integer(24, 2)
    if pdu.ack is None or address is None:
        return None
    start = (26 + address + 3) // 4 * 4 + 1
    found = pdu.raw[start : start + 3]
    return f"octets {found.hex(' ')} after n_results" if any(found) else None


def alloc_hint(pdu: Received) -> str | None:
    """alloc_hint is 0, or the octets of stub data in this and the following fragments (MS-RPCE 2.2.2.6).

    It is judged with the last fragment, when the length of the response is known.
    """
    if not pdu.header.flags & PfcFlags.LAST:
        return None
    left = 0
    for fragment in reversed((*pdu.earlier, pdu)):
        left += _stub_octets(fragment)
        hint = fragment.integer(16, 4)
        fragmented = bool(pdu.earlier)
        if hint and hint != left and (fragmented or hint > left):
            return f"alloc_hint {hint}, {left} octets of stub data in this and the following fragments"
    return None


def _stub_octets(pdu: Received) -> int:
    trailer = pdu.trailer
    if trailer is None:
        return len(pdu.raw) - _RESPONSE_HEADER
    return len(pdu.raw) - _RESPONSE_HEADER - TRAILER_SIZE - pdu.header.auth_length - trailer.pad_length


def fault_status(pdu: Received) -> str | None:
    """The status of a fault is not one that MS-RPCE 3.3.3.5.1 forbids."""
    status = pdu.integer(24, 4)
    if status is None or status not in FORBIDDEN_STATUSES:
        return None
    return f"status {describe_status(status)}"


def stub_of_fault(pdu: Received) -> str | None:
    """A fault has no stub data; extended error information is announced by a flag (MS-RPCE 2.2.2.8)."""
    trailer = pdu.trailer
    tail = 0 if trailer is None else TRAILER_SIZE + pdu.header.auth_length + trailer.pad_length
    left = len(pdu.raw) - _FAULT_HEADER - tail
    if left <= 0 or (pdu.integer(23, 1) or 0) & _EXTENDED_ERROR:
        return None
    return f"{left} octets after the fields of the fault"


def extended_error(pdu: Received) -> str | None:
    """The length of extended error information in a fault is alloc_hint - 0x20 (MS-RPCE 2.2.2.8)."""
    hint, left = pdu.integer(16, 4), len(pdu.raw) - _FAULT_HEADER
    if not (pdu.integer(23, 1) or 0) & _EXTENDED_ERROR or pdu.trailer is not None or hint is None:
        return None
    return None if hint - 0x20 == left else f"alloc_hint {hint}, {left} octets after the fields of the fault"


def association_group(pdu: Received) -> str | None:
    """assoc_group_id of a bind_ack is not 0 (C706 12.6.4.4)."""
    return "assoc_group_id 0" if pdu.ack is not None and not pdu.ack.assoc_group else None


def fragment_sizes(pdu: Received) -> str | None:
    """The sizes in a bind_ack do not exceed the proposed ones, and are not 0 (C706 12.6.4.4)."""
    bind, ack = pdu.proposal, pdu.ack
    if bind is None or ack is None or min(bind.max_xmit, bind.max_recv) < SMALLEST_JUDGED:
        return None
    if 0 < ack.max_xmit <= bind.max_recv and 0 < ack.max_recv <= bind.max_xmit:
        return None
    proposed = f"proposed: max_xmit_frag {bind.max_xmit}, max_recv_frag {bind.max_recv}"
    return f"max_xmit_frag {ack.max_xmit}, max_recv_frag {ack.max_recv}; {proposed}"


def number_of_results(pdu: Received) -> str | None:
    """There is one result for each proposed context (MS-RPCE 3.3.1.5.6)."""
    if pdu.ack is None or pdu.proposal is None or len(pdu.ack.results) == len(pdu.proposal.contexts):
        return None
    return f"{len(pdu.ack.results)} results for {len(pdu.proposal.contexts)} contexts"


def results(pdu: Received) -> str | None:
    """A result has defined values; its transfer syntax is a proposed one, or zero if none is accepted."""
    if pdu.ack is None or pdu.proposal is None:
        return None
    return next(iter(_wrong_results(pdu.proposal, pdu.ack)), None)


def _wrong_results(proposal: Bind, ack: BindAck) -> list[str]:
    wrong = []
    for number, (element, result) in enumerate(zip(proposal.contexts, ack.results, strict=False), 1):
        which = f"result {number}: {result}"
        if result.result > max(ResultCode):
            wrong.append(f"{which}, which is not defined")
        elif result.accepted and result.transfer not in element.transfers:
            wrong.append(f"{which}, transfer syntax {result.transfer}, which was not proposed")
        elif not result.accepted and result.transfer != NULL_SYNTAX:
            wrong.append(f"{which}, transfer syntax {result.transfer} instead of zero")
        elif result.result == ResultCode.PROVIDER_REJECTION and result.reason > max(ProviderReason):
            wrong.append(f"{which}, a reason that is not defined")
    return wrong
