"""Which PDU of an exchange deserves a fault, where it is neither a whole request nor a bind."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import AlterContext, Bind, BindAck
from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.pdu.pdus import Auth3, Request, Response
from swn_torture.dcerpc.pdu.verification_trailer import SIGNATURE, CommandType, find
from swn_torture.report.exchange.records import EVENTS
from swn_torture.stubdata.fields import DecodeError
from swn_torture.witness.codec import decode_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.report.exchange.records import Frame
    from swn_torture.stubdata.syntax import SyntaxId

#: PDU types that get no answer: auth3 (16), co_cancel (18), orphaned (19) (C706 12.6.4.1, MS-RPCE 2.2.2.10).
_UNANSWERED = {16, 18, 19}
_CALLS = {Request.ptype, Bind.ptype, AlterContext.ptype}
_ENDS = {EVENTS["closed-by-peer"], EVENTS["reset-by-peer"]}
_WHOLE = PfcFlags.FIRST | PfcFlags.LAST


class Faulty(NamedTuple):
    """A PDU that deserves a fault: its call_id, its presentation context, and the PDU that came instead."""

    call_id: int
    context_id: int
    instead: bytes = b""


def faulty_pdu(exchange: Iterable[Frame], observed: str, *, calls_too: bool = False) -> Faulty | None:
    """The one PDU that a finding is about; None where that is not sure.

    Several that deserve the same fault, octet by octet, are as good as one.

    Args:
        exchange: the PDUs of the case.
        observed: what the finding observed: no answer, the end of the connection, or a response.
        calls_too: whether it can be a whole request as well.
    """
    frames = [frame for frame in exchange if len(frame.octets) >= 16 or frame.title in _ENDS]
    if observed.startswith("response, "):
        found = _fragments(frames) or _unrecorded(frames)
    elif observed.startswith(("no answer", "connection closed")):
        found = _unanswered(frames, ended=observed.startswith("connection"), calls_too=calls_too)
    elif observed.startswith("ERROR_SUCCESS"):
        found = _falling_call_ids(frames)
    else:
        found = []
    return found[0] if len({(each.call_id, each.context_id) for each in found}) == 1 else None


def odd_pdu(exchange: Iterable[Frame]) -> Faulty | None:
    """The one PDU that deserves a fault whatever its answer was; None where there is none, or several.

    Of another protocol version (MS-RPCE 3.3.1.5.1), a second bind (MS-RPCE 3.3.3), or a later leg that names
    another security context than the one that waits for it (MS-RPCE 3.3.1.5.2.1). An auth3 has no answer: the
    fault is that of the first request after it.
    """
    frames = [frame for frame in exchange if len(frame.octets) >= 16]
    found = [
        at
        for at, frame in enumerate(frames)
        if frame.direction == "sent"
        and (
            frame.octets[:2] != b"\5\0"
            or _binds_again(frames[:at], frame)
            or _leg_of_another(frames[:at], frame)
        )
    ]
    if len(found) != 1:
        return None
    about = frames[found[0]]
    after = [frame for frame in frames[found[0] + 1 :] if frame.connection == about.connection]
    if about.octets[2] == Auth3.ptype:
        requests = [each for each in after if each.direction == "sent" and each.octets[2] == Request.ptype]
        if not requests:
            return None
        about = requests[0]
    call_id = _call_id(about)
    came = [each.octets for each in after if each.direction == "received" and _call_id(each) == call_id]
    return Faulty(call_id, _context(about.octets), came[0] if came else b"")


def _binds_again(before: list[Frame], frame: Frame) -> bool:
    return frame.octets[2] == Bind.ptype and any(
        each.direction == "received"
        and each.connection == frame.connection
        and each.octets[2] == BindAck.ptype
        for each in before
    )


def _leg_of_another(before: list[Frame], frame: Frame) -> bool:
    """Whether a leg names another security context than the only one, which waits for its second leg."""
    if frame.octets[2] not in {Auth3.ptype, AlterContext.ptype}:
        return False
    sent = [each for each in before if each.connection == frame.connection and each.direction == "sent"]
    if [each.octets[2] for each in sent] != [Bind.ptype]:
        return False
    legs = [_trailer(each.octets) for each in (sent[0], frame)]
    return None not in legs and legs[0] != legs[1]


def _trailer(octets: bytes) -> int | None:
    """auth_context_id of a PDU with a token."""
    size = _number(octets, 10, 2)
    return _number(octets, len(octets) - size - 4, 4) if 0 < size < len(octets) - 24 else None


def the_wrong(requests: Sequence[Request], syntaxes: Sequence[SyntaxId | None]) -> Request | None:
    """Of several requests with a response, the one that deserves a fault; None where that is not sure.

    It is the first one whose stub data do not decode, or the only one with a verification trailer, or with
    one that has an unknown command that must be processed (MS-RPCE 2.2.2.13). A finding is about the first
    check that failed, and the checks are in the order of the calls.
    """
    for request, syntax in zip(requests, syntaxes, strict=True):
        if syntax is not None and not _decodes(request, syntax):
            return request
    trailers = [request for request in requests if SIGNATURE in request.stub]
    if len(trailers) > 1:
        trailers = [request for request in trailers if _must_reject(request.stub)]
    return trailers[0] if len(trailers) == 1 else None


def _must_reject(stub: bytes) -> bool:
    known = {*map(int, CommandType)}
    try:
        found = find(stub)
    except RemoteProtocolError:
        return False
    return found is not None and any(
        each.must_process and each.type not in known for each in found[1].commands
    )


def _decodes(request: Request, syntax: SyntaxId) -> bool:
    order = request.byte_order
    try:
        decode_request(request.opnum, request.stub, syntax, byte_order=order, allow_trailing=True)
    except DecodeError:
        return False
    except LookupError:
        return True  # no method that is known
    return True


def _unanswered(frames: list[Frame], *, ended: bool, calls_too: bool) -> list[Faulty]:
    """The last PDU of each connection, where nothing came after it; none if one of them is a call.

    Where the target ended some connections and others not, those count that the finding is about.
    """
    last: dict[int, Frame] = {}
    closed = set()
    for frame in frames:
        if frame.direction == "received":
            last.pop(frame.connection, None)
        elif not frame.octets:
            closed.add(frame.connection)
        elif frame.octets[2] not in _UNANSWERED:
            last[frame.connection] = frame
    alike = {number: frame for number, frame in last.items() if (number in closed) is ended}
    last = alike or last
    if not calls_too and any(_is_call(frame.octets) for frame in last.values()):
        return []
    return [Faulty(_call_id(last[number]), _context(last[number].octets)) for number in sorted(last)]


def _is_call(octets: bytes) -> bool:
    return octets[2] in _CALLS and (octets[2] != Request.ptype or octets[3] & _WHOLE == _WHOLE)


def _unrecorded(frames: list[Frame]) -> list[Faulty]:
    """Calls with a response, of whose request the record has nothing: it was too long."""
    sent = {
        (frame.connection, _call_id(frame)) for frame in frames if frame.direction == "sent" and frame.octets
    }
    return [
        Faulty(_call_id(frame), _number(frame.octets, 20, 2), frame.octets)
        for frame in frames
        if frame.direction == "received"
        and frame.octets[2] == Response.ptype
        and (frame.connection, _call_id(frame)) not in sent
    ]


def _falling_call_ids(frames: list[Frame]) -> list[Faulty]:
    """Requests whose call_id is below that of an earlier one of their connection (MS-RPCE 3.3.3.5.2)."""
    highest: dict[int, int] = {}
    found = []
    for frame in frames:
        if (
            frame.direction == "sent"
            and frame.octets[2] == Request.ptype
            and frame.octets[3] & PfcFlags.FIRST
        ):
            number = _call_id(frame)
            if number < highest.get(frame.connection, 0):
                came = [
                    each.octets
                    for each in frames
                    if each.direction == "received"
                    and each.connection == frame.connection
                    and _call_id(each) == number
                ]
                found.append(Faulty(number, _context(frame.octets), came[0] if came else b""))
            highest[frame.connection] = max(number, highest.get(frame.connection, 0))
    return found


def _fragments(frames: list[Frame]) -> list[Faulty]:
    """Calls with a response, of whose request the client sent one fragment only."""
    sent: dict[tuple[int, int], list[bytes]] = {}
    found = []
    for frame in frames:
        octets = frame.octets
        if not octets:
            continue
        key = frame.connection, _number(octets, 12, 4)
        if frame.direction == "sent" and octets[2] == Request.ptype:
            sent.setdefault(key, []).append(octets)
        elif frame.direction == "received" and octets[2] == Response.ptype:
            parts = sent.get(key, [])
            if len(parts) == 1 and parts[0][3] & _WHOLE != _WHOLE:
                found.append(Faulty(key[1], _number(parts[0], 20, 2), octets))
    return found


def _call_id(frame: Frame) -> int:
    return _number(frame.octets, 12, 4)


def _context(octets: bytes) -> int:
    """Presentation context of a request; 0 for another PDU."""
    return _number(octets, 20, 2) if octets[2] == Request.ptype and len(octets) >= 24 else 0


def _number(octets: bytes, at: int, size: int) -> int:
    """A number in the byte order that the header of a PDU says."""
    return int.from_bytes(octets[at : at + size], "little" if octets[4] & 0x10 else "big")
