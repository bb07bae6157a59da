"""Which PDU of an exchange deserves a fault, where it is neither a whole request nor a bind."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from swn_torture.dcerpc.pdu.bind import AlterContext, Bind
from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.pdu.pdus import Request, Response
from swn_torture.dcerpc.pdu.verification_trailer import SIGNATURE
from swn_torture.stubdata.fields import DecodeError
from swn_torture.witness.codec import decode_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.report.exchange.records import Frame
    from swn_torture.stubdata.syntax import SyntaxId

#: PDU types that get no answer: auth3 (16), co_cancel (18), orphaned (19) (C706 12.6.4.1, MS-RPCE 2.2.2.10).
_UNANSWERED = {16, 18, 19}
_CALLS = {Request.ptype, Bind.ptype, AlterContext.ptype}
_WHOLE = PfcFlags.FIRST | PfcFlags.LAST


class Faulty(NamedTuple):
    """A PDU that deserves a fault: its call_id, its presentation context, and the PDU that came instead."""

    call_id: int
    context_id: int
    instead: bytes = b""


def faulty_pdu(exchange: Iterable[Frame], observed: str) -> Faulty | None:
    """The one PDU that a finding is about; None where that is not sure.

    Args:
        exchange: the PDUs of the case.
        observed: what the finding observed: no answer, the end of the connection, or a response.
    """
    frames = [frame for frame in exchange if len(frame.octets) >= 16]
    if observed.startswith("response, "):
        found = _fragments(frames)
    elif observed.startswith(("no answer", "connection closed")):
        found = _unanswered(frames)
    else:
        found = []
    return found[0] if len(found) == 1 else None


def the_wrong(requests: Sequence[Request], syntaxes: Sequence[SyntaxId | None]) -> Request | None:
    """Of several requests with a response, the one that deserves a fault; None where that is not sure.

    It is the first one whose stub data do not decode, or the only one with a verification trailer (MS-RPCE
    2.2.2.13). A finding is about the first check that failed, and the checks are in the order of the calls.
    """
    for request, syntax in zip(requests, syntaxes, strict=True):
        if syntax is not None and not _decodes(request, syntax):
            return request
    trailers = [request for request in requests if SIGNATURE in request.stub]
    return trailers[0] if len(trailers) == 1 else None


def _decodes(request: Request, syntax: SyntaxId) -> bool:
    order = request.byte_order
    try:
        decode_request(request.opnum, request.stub, syntax, byte_order=order, allow_trailing=True)
    except DecodeError:
        return False
    except LookupError:
        return True  # no method that is known
    return True


def _unanswered(frames: list[Frame]) -> list[Faulty]:
    """The last PDU of each connection, where nothing came after it; none if one of them is a call."""
    last: dict[int, Frame] = {}
    for frame in frames:
        if frame.direction == "received":
            last.pop(frame.connection, None)
        elif frame.octets[2] not in _UNANSWERED:
            last[frame.connection] = frame
    if any(frame.octets[2] in _CALLS for frame in last.values()):
        return []
    return [Faulty(_number(frame.octets, 12, 4), 0) for frame in last.values()]


def _fragments(frames: list[Frame]) -> list[Faulty]:
    """Calls with a response, of whose request the client sent one fragment only."""
    sent: dict[tuple[int, int], list[bytes]] = {}
    found = []
    for frame in frames:
        octets = frame.octets
        key = frame.connection, _number(octets, 12, 4)
        if frame.direction == "sent" and octets[2] == Request.ptype:
            sent.setdefault(key, []).append(octets)
        elif frame.direction == "received" and octets[2] == Response.ptype:
            parts = sent.get(key, [])
            if len(parts) == 1 and parts[0][3] & _WHOLE != _WHOLE:
                found.append(Faulty(key[1], _number(parts[0], 20, 2), octets))
    return found


def _number(octets: bytes, at: int, size: int) -> int:
    """A number in the byte order that the header of a PDU says."""
    return int.from_bytes(octets[at : at + size], "little" if octets[4] & 0x10 else "big")
