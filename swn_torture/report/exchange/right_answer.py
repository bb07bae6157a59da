"""What a right answer to a request of a finding would have been, made by the codec of the reference.

A finding says what was expected. For an author it is easier to see the octets: this module finds the request
that the finding is about, and makes a conforming answer to it with the values of this target (its nodes, the
presentation context, the call_id). It answers GetInterfaceList, Register, RegisterEx, UnRegister,
UnRegisterEx, AsyncNotify, bind and alter_context, and writes the fault that another PDU deserves.

It never guesses. All requests whose answer is what the finding observed (or, if there is none, whose answer
does not decode) must be of one method, and the expectation must name a return value or a fault. A rule about
the content of an interface list or of a notification is about the response that has it. Otherwise there is no
right answer to show, and the finding says why.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.dcerpc.pdu.bind import AlterContext, Bind, BindAck, BindNak
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response
from swn_torture.dcerpc.status import FaultStatus, describe_status
from swn_torture.report.exchange.calls import answered_with, decodes, read_calls, registers, return_value
from swn_torture.report.exchange.pdu_fields import WITNESS_OPNUMS, Association, describe_pdu
from swn_torture.report.exchange.records import frames, read_records
from swn_torture.report.exchange.right_bind import alike, is_ordinary, right_bind_answer, the_unusual
from swn_torture.report.exchange.right_fault import Faulty, faulty_pdu, odd_pdu, the_wrong
from swn_torture.report.exchange.right_response import RightAnswer, right_response
from swn_torture.stubdata.syntax import NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import MessageType, Opnum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swn_torture.report.exchange.calls import Call
    from swn_torture.report.exchange.records import Frame
    from swn_torture.report.model import CaseResult, TargetInfo

__all__ = ["RightAnswer", "right_answer", "why_none"]

#: The modules of cases about a kind of notification; those of all others are about state changes.
_KINDS = {
    "ip-change": MessageType.IP_CHANGE,
    "new-addresses": MessageType.IP_CHANGE,
    "client-move": MessageType.CLIENT_MOVE,
    "share-move": MessageType.SHARE_MOVE,
}

#: What the response has that a rule is about, by the beginning of the id of the rule.
_ABOUT = (
    (r"SWN-2\.2\.2\.[56]", Opnum.GET_INTERFACE_LIST),
    (r"SWN-2\.2\.2\.[1-4]|SWN-2\.2\.2-(little|buffer)", Opnum.ASYNC_NOTIFY),
)

_CODE = re.compile(r"^(?:a response|any return value|ERROR_\w+ \(0x([0-9A-F]+)\))")
_METHOD = re.compile(r"^a response of (Witnessr\w+)")
_FAULT = re.compile(r"^(?:any fault$|fault \w+ \(0x([0-9A-F]{8})\))")
#: Several requests that deserve the same fault: ``fault NAME (0x000006F7), 3 times``.
_TIMES = re.compile(r", \d+ times$")
#: What a finding says of each of several requests: ``1 of 118 octets: connection closed``.
_PART = re.compile(r"^[^:;(]+: ")
#: The method that the note of a check names: ``UnRegister, big-endian``.
_NOTED = re.compile(r"^(?:Witnessr)?([A-Z]\w+)\b")
#: A finding about a data representation: ``response from HOST, call_id 2: packed_drep 1f 00 00 00``.
_DREP = re.compile(r"^response from \S+, call_id (\d+): packed_drep ((?:[0-9a-f]{2} ?){4})$")
#: The verifier of a response does not match: ``octets that do not decode (NTLM: SpnegoError ...``.
_VERIFIER = re.compile(r"^octets that do not decode \((?:NTLM|SPNEGO|KERBEROS): ")
#: Octets that are no PDU: ``drep: integer representation 11 is not defined (at octet 4)``.
_NO_PDU = re.compile(r"^\w+: .* \(at octet \d+\)$")
#: What is expected of an ordinary bind, where a finding does not say it as an answer.
_BOUND = re.compile(
    r"^(?:a (?:bind|leg) that completes|an answer, as to|a data representation|sizes that do not)"
)
#: A bind_ack whose token is missing: ``server sent no token, but ...``, ``no security context: ...``.
_NO_TOKEN = re.compile(r"^(?:server sent no token|no security context: )")
#: Something is wrong with the sec_trailer of a response.
_SEC_TRAILER = re.compile(r"\bsec_trailer[.:]")

#: Expectations that one PDU meets.
_ANSWER = re.compile(
    r"^(?:a response|any (?:return value|fault)|a PDU|ERROR_\w+ \(0x|fault \w+ \(0x|bind_|accept|provider)"
)
_PENDING = re.compile(r"^(?:no answer|no response|pending)")


def right_answer(case: CaseResult, target: TargetInfo) -> RightAnswer | None:
    """A right answer to the request that the first finding of a case is about; None where that is not sure.

    Args:
        case: a case with a finding.
        target: the target, whose nodes an interface list names.
    """
    if case.because or not case.expected:
        return None
    exchange = _frames(case)
    calls = read_calls(exchange)
    named = _METHOD.match(case.expected[0])
    if named and named[1] in WITNESS_OPNUMS:
        calls = [call for call in calls if call.opnum == WITNESS_OPNUMS.index(named[1])]
    whole = [call for call in calls if call.whole]
    return (
        _to_an_odd_pdu(case, exchange)
        or _to_its_request(case, whole, target)
        or _by_its_rule(case, whole, target)
        or _to_its_handle(case, whole, target)
        or _to_its_pdu(case, exchange)
        or _to_its_request(case, [call for call in calls if call.opnum == 0 and not call.whole], target)
    )


def why_none(case: CaseResult) -> str:
    """Why a finding has no right answer, in one line; empty for a case that another finding explains.

    Args:
        case: a case for which `right_answer` returned None.
    """
    if case.because or not case.expected:
        return ""
    return next(reason for holds, reason in _REASONS if holds(case))


#: The reasons, the first that holds counts.
_REASONS: tuple[tuple[Callable[[CaseResult], bool], str], ...] = (
    (lambda case: not case.transcript, "no PDU of this case was recorded"),
    (
        lambda case: all(each.startswith("connection closed") for each in case.expected),
        "the connection has to end, and no PDU does that",
    ),
    (lambda case: all(map(_PENDING.match, case.expected)), "what is expected is that no PDU comes"),
    (
        lambda case: any(
            (each.direction, each.title) == ("sent", "an incomplete PDU") for each in _frames(case)
        ),
        "the request was not sent to its end",
    ),
    (
        lambda case: not any(map(_ANSWER.match, case.expected)),
        "the finding is about a part of an answer, or about several answers",
    ),
    (lambda _: True, "it is not sure which PDU of this case the finding is about"),
)


def _frames(case: CaseResult) -> list[Frame]:
    """The exchange; empty for a damaged record, which write.py reports."""
    try:
        return frames(read_records(case.transcript))
    except (KeyError, ValueError):
        return []


def _observed(case: CaseResult) -> str:
    """What was observed; of several requests, what was observed of the first that is not as expected."""
    parts = case.observed.split("; ")
    if (len(parts) > 1 or case.observed[:1].isdigit()) and all(map(_PART.match, parts)):
        outcomes = [_PART.sub("", part, count=1) for part in parts]
        return next((each for each in outcomes if each not in case.expected), case.observed)
    return case.observed


def _to_its_request(case: CaseResult, calls: Sequence[Call], target: TargetInfo) -> RightAnswer | None:
    """The right answer to the request whose answer is what was observed."""
    observed = _observed(case)
    fits = answered_with(calls, observed)
    if _FAULT.match(case.expected[0]) and observed.startswith("ERROR_SUCCESS"):
        requests = [call.request for call in fits if isinstance(call.request, Request)]
        wrong = the_wrong(requests, [call.syntax for call in fits if isinstance(call.request, Request)])
        fits = [call for call in fits if call.request is wrong] or fits
    undecodable = [] if fits else _misread(case, calls)
    about = _one_method(fits or undecodable) or _as_noted(case, fits or undecodable)
    if about is None:
        return None
    found = _answer(case, about, fits, undecodable, target)
    return None if found is None else replace(found, instead=about.received)


def _misread(case: CaseResult, calls: Sequence[Call]) -> list[Call]:
    """The calls with a response that a client cannot read."""
    drep = _DREP.match(case.observed)
    if drep:
        octets = bytes.fromhex(drep[2])
        return [c for c in calls if c.request.call_id == int(drep[1]) and c.received[4:8] == octets]
    if _SEC_TRAILER.search(case.observed):
        return [call for call in calls if _wrongly_protected(call)]
    if _NO_TOKEN.match(case.observed):
        return [call for call in calls if _lacks_token(call)]
    if _VERIFIER.match(case.observed):
        return [call for call in calls if isinstance(call.answer, Response) and call.answer.trailer]
    if _NO_PDU.match(case.observed):
        return [call for call in calls if call.answer is None]
    return [] if "bind" in case.observed else [call for call in calls if decodes(call) is False]


def _wrongly_protected(call: Call) -> bool:
    """Whether the sec_trailer of the response is not that of the request."""
    if not isinstance(call.answer, Response) or call.answer.trailer is None or call.request.trailer is None:
        return False
    sent, came = call.request.trailer, call.answer.trailer
    return (sent.auth_type, sent.auth_level, sent.context_id) != (
        came.auth_type,
        came.auth_level,
        came.context_id,
    )


def _lacks_token(call: Call) -> bool:
    """Whether a bind with a token got a bind_ack without one."""
    if not isinstance(call.request, Bind) or not isinstance(call.answer, BindAck):
        return False
    return call.request.trailer is not None and call.answer.trailer is None


def _answer(
    case: CaseResult, about: Call, fits: list[Call], undecodable: list[Call], target: TargetInfo
) -> RightAnswer | None:
    request, kind = about.request, _kind(case.id)
    if undecodable and isinstance(request, Request):
        ends = return_value(about) if _DREP.match(case.observed) else None
        ends = _ordinary(about) if ends is None else ends
        if _notifies(about):
            ends, kind = Win32.ERROR_SUCCESS, _kind_of(about) or kind
        found = right_response(about, request, ends, target, kind)
        trailer = request.trailer
        about_trailer = _SEC_TRAILER.search(case.observed) or _VERIFIER.match(case.observed)
        if found is None or trailer is None or not about_trailer:
            return found
        fields = f"auth_type {trailer.auth_type}, auth_level {trailer.auth_level}"
        return replace(
            found, title=f"{found.title}; sec_trailer: {fields}, auth_context_id {trailer.context_id}"
        )
    if isinstance(request, Bind):
        return _to_a_bind(about, request, case.expected)
    return _to_a_request(about, request, fits, case.expected, target, kind)


def _to_a_request(
    about: Call,
    request: Request,
    fits: list[Call],
    expectations: Sequence[str],
    target: TargetInfo,
    kind: MessageType,
) -> RightAnswer | None:
    found: RightAnswer | None = None
    for expected in expectations:
        fault, code = _FAULT.match(expected), _CODE.match(expected)
        deserves = about if _TIMES.search(expected) else _the_faulty(fits)
        if fault and deserves is not None and isinstance(deserves.request, Request):
            status = int(fault[1], 16) if fault[1] else _status_of(deserves)
            found = _right_fault(deserves.request, status)
        elif code:
            value = int(code[1], 16) if code[1] else _ordinary(about)
            found = right_response(about, request, value, target, kind)
        if found is not None:
            break
    return found


def _the_faulty(fits: Sequence[Call]) -> Call | None:
    """The only call, or of several the only one whose presentation context was not negotiated."""
    unknown = [call for call in fits if call.syntax is None]
    return next((found[0] for found in (fits, unknown) if len(found) == 1), None)


def _status_of(call: Call) -> int:
    """The status of a fault where any is allowed: that of the reference."""
    if call.syntax is None:
        return FaultStatus.NCA_S_UNK_IF
    unknown = call.opnum is not None and call.opnum not in {*Opnum}
    return FaultStatus.NCA_S_OP_RNG_ERROR if unknown else FaultStatus.NCA_S_PROTO_ERROR


def _by_its_rule(case: CaseResult, calls: Sequence[Call], target: TargetInfo) -> RightAnswer | None:
    """The right answer to the last call whose response has what the rule is about.

    Only for cases about the layout: for another one the values matter, too.
    """
    failed = next((check.requirement for check in case.checks if check.passed is False), "")
    opnum = next((opnum for pattern, opnum in _ABOUT if re.match(pattern, failed)), None)
    if opnum is None or not case.id.startswith("ndr."):
        return None
    for call in reversed(calls):
        asked, answer = call.request, call.answer
        if isinstance(asked, Request) and call.opnum == opnum and isinstance(answer, Response):
            kind = _kind_of(call)
            good = answer.stub[-4:] == bytes(4) and kind is not None
            return right_response(call, asked, Win32.ERROR_SUCCESS, target, kind) if good and kind else None
    return None


#: The return values for a handle that was never issued (MS-SWN 3.1.4.3, 3.1.4.4).
_UNKNOWN_HANDLE = {
    Opnum.UNREGISTER: Win32.ERROR_INVALID_PARAMETER,
    Opnum.ASYNC_NOTIFY: Win32.ERROR_NOT_FOUND,
}


def _to_its_handle(case: CaseResult, calls: Sequence[Call], target: TargetInfo) -> RightAnswer | None:
    """The right answer to the last call that was accepted, although the server never issued its handle."""
    if not case.observed.endswith("with a handle that the server never issued"):
        return None
    waits = case.observed.startswith("the call is pending")
    opnum = Opnum.ASYNC_NOTIFY if waits else Opnum.UNREGISTER
    issued = {
        call.answer.stub[:20] for call in calls if registers(call) and isinstance(call.answer, Response)
    }
    for call in reversed(calls):
        asked = call.request
        accepted = call.answer is None if waits else return_value(call) == Win32.ERROR_SUCCESS
        if call.opnum == opnum and isinstance(asked, Request) and accepted and asked.stub[:20] not in issued:
            found = right_response(call, asked, _UNKNOWN_HANDLE[opnum], target, _kind(case.id))
            return None if found is None else replace(found, instead=call.received)
    return None


def _notifies(call: Call) -> bool:
    """Whether the answer is meant as a notification: it begins with a pointer that is not null."""
    notify = call.opnum == Opnum.ASYNC_NOTIFY
    return notify and isinstance(call.answer, Response) and any(call.answer.stub[:4])


def _kind_of(call: Call) -> MessageType | None:
    """The kind of a notification by its MessageType; any for another response, which has none."""
    if call.opnum != Opnum.ASYNC_NOTIFY or not isinstance(call.answer, Response):
        return MessageType.RESOURCE_CHANGE
    at = 8 if call.syntax == NDR64 else 4  # after pResp
    value = int.from_bytes(call.answer.stub[at : at + 4], call.answer.byte_order)
    return MessageType(value) if value in {*MessageType} else None


def _one_method(calls: Sequence[Call]) -> Call | None:
    """The last of these calls, if they are all of one method; a bind only if it is the only one.

    The stub data of a right response are the same for each of them. A bind_ack depends on its bind, and only
    one of them deserves a fault. Of several binds it is the one that differs from an ordinary one, or the
    first if all are alike.
    """
    binds = [call.request for call in calls if isinstance(call.request, Bind)]
    methods = {call.opnum for call in calls}
    if len(methods) != 1:
        return None
    if len(binds) > 1:
        unusual = calls[0].request if alike(binds) else the_unusual(binds)
        return next((call for call in calls if call.request is unusual), None)
    return calls[-1]


def _as_noted(case: CaseResult, calls: Sequence[Call]) -> Call | None:
    """The last of these calls of the method that the failed check names."""
    failed = next((check for check in case.checks if check.passed is False), None)
    named = None if failed is None else _NOTED.match(failed.note)
    method = f"Witnessr{named[1]}" if named else ""
    if method not in WITNESS_OPNUMS:
        return None
    return next((call for call in reversed(calls) if call.opnum == WITNESS_OPNUMS.index(method)), None)


# The answer


def _to_an_odd_pdu(case: CaseResult, exchange: Sequence[Frame]) -> RightAnswer | None:
    """The expected fault to a PDU that deserves one whatever its answer was."""
    fault = _FAULT.match(case.expected[0])
    about = odd_pdu(exchange) if fault else None
    if fault is None or about is None:
        return None
    return _fault_to(about, fault[1])


def _to_its_pdu(case: CaseResult, exchange: Sequence[Frame]) -> RightAnswer | None:
    """The expected fault to a PDU that is neither a whole request nor a bind."""
    expected = case.expected[0]
    fault = _FAULT.match(expected)
    if fault is None and expected != "a PDU":
        return None
    about = faulty_pdu(exchange, case.observed, calls_too=fault is None)
    return None if about is None else _fault_to(about, fault[1] if fault else "")


def _fault_to(about: Faulty, status: str) -> RightAnswer:
    found = _right_fault(about, int(status, 16) if status else FaultStatus.NCA_S_PROTO_ERROR)
    return replace(found, instead=about.instead)


def _right_fault(request: Request | Faulty, status: int) -> RightAnswer:
    pdu = FaultPdu(call_id=request.call_id, status=status, context_id=request.context_id)
    title = f"fault, call {request.call_id}: {describe_status(status)}"
    return RightAnswer(title, pdu.pack(), describe_pdu(pdu.pack(), Association())[1])


def _to_a_bind(call: Call, bind: Bind, expected: Sequence[str]) -> RightAnswer | None:
    """The expected answer to a bind; the bind_ack, where the finding is about a call that was not reached."""
    then = ""
    answer = right_bind_answer(bind, expected)
    refused = call.answer is None or isinstance(call.answer, BindNak) or _lacks_token(call)
    valid = is_ordinary(replace(bind, assoc_group=0)) and not isinstance(bind, AlterContext)
    if answer is None and valid:
        codes = [each for each in expected if refused and _CODE.match(each)]
        if not codes and not _BOUND.match(expected[0]):
            return None
        if codes and "ERROR_SUCCESS (0x0)" not in expected[0]:
            faults = [each for each in expected if _FAULT.match(each)]
            then = f"; then, to the request: {(faults or codes)[0]}"
        answer = right_bind_answer(bind, ("bind_ack",))
    if answer is None:
        return None
    octets = answer.pack()
    title, fields = describe_pdu(octets, Association())
    protected = bind.trailer is not None and isinstance(answer, BindAck)
    return RightAnswer(title + then, octets, fields, protected=protected)


def _ordinary(call: Call) -> Win32:
    """The return value of an ordinary call where the finding names none.

    A handle that was never issued is unknown: the preflight sends such a handle where it could not register.
    A valid AsyncNotify without an event ends by its time-out.
    """
    if call.opnum == Opnum.UNREGISTER and not call.registered:
        return Win32.ERROR_INVALID_PARAMETER
    if call.opnum == Opnum.ASYNC_NOTIFY:
        return Win32.ERROR_TIMEOUT if call.registered else Win32.ERROR_NOT_FOUND
    return Win32.ERROR_SUCCESS


def _kind(case_id: str) -> MessageType:
    """The kind of notification that a case is about."""
    module = case_id.split(".")[1] if case_id.count(".") > 1 else ""
    return _KINDS.get(module, MessageType.RESOURCE_CHANGE)
