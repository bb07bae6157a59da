"""What a right answer to a request of a finding would have been, made by the codec of the reference.

A finding says what was expected. For an author it is easier to see the octets: this module finds the request
that the finding is about, and makes a conforming answer to it with the values of this target (its nodes, the
presentation context, the call_id). It answers GetInterfaceList, Register, RegisterEx, UnRegister,
UnRegisterEx, AsyncNotify and bind, and writes the fault that another PDU deserves.

It never guesses. All requests whose answer is what the finding observed (or, if there is none, whose answer
does not decode) must be of one method, and the expectation must name a return value or a fault. A rule about
the content of an interface list or of a notification is about the response that has it. Otherwise there is no
right answer to show.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import Bind, BindAck, BindNak
from swn_torture.dcerpc.pdu.header import LITTLE_ENDIAN
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response, unpack
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.status import describe_status
from swn_torture.report.exchange.pdu_fields import WITNESS_OPNUMS, Association, Field, describe_pdu
from swn_torture.report.exchange.records import Frame, frames, read_records
from swn_torture.report.exchange.right_bind import right_bind_answer, the_unusual
from swn_torture.report.exchange.right_fault import Faulty, faulty_pdu, the_wrong
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.syntax import NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.stubdata.win32 import describe as describe_win32
from swn_torture.witness.codec import decode_request, decode_response, encode, field_spans
from swn_torture.witness.constants import (
    AddressFlags,
    ChangeType,
    InterfaceFlags,
    MessageType,
    Opnum,
    ProtocolVersion,
)
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    RespAsyncNotify,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange, encode_buffer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.report.model import CaseResult, TargetInfo
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.messages import AnyRequest, AnyResponse

#: Octets of stub data on the line for a terminal: a handle and the return value.
_LINE_OCTETS = 24

#: A handle that a server could return: any value except null.
_HANDLE = ContextHandle(0, UUID("5a17f7a1-0b3c-4e52-9d4e-3f1c2b6a7d88"))

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
_FAULT = re.compile(r"^fault \w+ \(0x([0-9A-F]{8})\)")
_VALUE = re.compile(r"\b(?:ERROR_\w+|unknown code) \(0x([0-9A-F]+)\)")
#: Several requests that deserve the same fault: ``fault NAME (0x000006F7), 3 times``.
_TIMES = re.compile(r", \d+ times$")
#: What a finding says of the first of them: ``1 of 118 octets: connection closed``.
_PART = re.compile(r"^\d+ of \d+ octets: ")
_SEEN_FAULT = re.compile(r"\bfault (?:\w+ )?\(?0x([0-9A-F]+)\)?")


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """An answer that conforms.

    Attributes:
        title: ``response, call 3, to opnum 1 WitnessrRegister: ERROR_SUCCESS (0x0)``.
        octets: the PDU, without the verifier that a protected connection adds.
        fields: its octets field by field, the stub data by the names of the IDL.
        protected: whether the verifier has to be added.
        instead: the PDU that came; empty if none did.
    """

    title: str
    octets: bytes
    fields: tuple[Field, ...]
    protected: bool = False
    instead: bytes = b""

    def to_json(self) -> dict[str, Any]:
        """Title, octets in hexadecimal, and the fields."""
        fields = [{"offset": each.offset, "length": each.length, "label": each.label} for each in self.fields]
        return {
            "title": self.title,
            "octets": self.octets.hex(),
            "fields": fields,
            "verifier_follows": self.protected,
        }

    def line(self) -> str:
        """The answer on one short line for a terminal: its title and the first octets of its stub data."""
        if self.octets[2] != Response.ptype:
            return self.title
        stub = self.octets[24:]
        more = f" ... ({len(stub)} octets)" if len(stub) > _LINE_OCTETS else ""
        return f"{self.title}, stub data {stub[:_LINE_OCTETS].hex(' ', 4)}{more}"


@dataclass(slots=True)
class _Call:
    """A request or a bind, and the answer to it; `registered`: a Register succeeded before."""

    request: Request | Bind
    syntax: SyntaxId | None
    sealed: bool
    answer: Response | FaultPdu | BindAck | BindNak | None = None
    whole: bool = True
    registered: bool = False
    received: bytes = b""


def right_answer(case: CaseResult, target: TargetInfo) -> RightAnswer | None:
    """A right answer to the request that the first finding of a case is about; None where that is not sure.

    Args:
        case: a case with a finding.
        target: the target, whose nodes an interface list names.
    """
    if case.because or not case.expected:
        return None
    try:
        exchange = [*frames(read_records(case.transcript))]
        calls = _calls(exchange)
    except (KeyError, ValueError):
        return None  # a damaged record; write.py reports it
    named = _METHOD.match(case.expected[0])
    if named and named[1] in WITNESS_OPNUMS:
        opnum = WITNESS_OPNUMS.index(named[1])
        calls = [c for c in calls if isinstance(c.request, Request) and c.request.opnum == opnum]
    found = _to_its_request(case, calls, target) or _by_its_rule(case, calls, target)
    return found or _to_its_pdu(case, exchange)


def _to_its_request(case: CaseResult, calls: Sequence[_Call], target: TargetInfo) -> RightAnswer | None:
    """The right answer to the request whose answer is what was observed."""
    observed = _PART.sub("", case.observed)
    fits = [call for call in calls if _fits(call, observed)]
    if _FAULT.match(case.expected[0]) and observed.startswith("ERROR_SUCCESS"):
        requests = [call.request for call in fits if isinstance(call.request, Request)]
        wrong = the_wrong(requests, [call.syntax for call in fits if isinstance(call.request, Request)])
        fits = [call for call in fits if call.request is wrong] or fits
    undecodable = [] if fits or "bind" in case.observed else [c for c in calls if _decodes(c) is False]
    about = _one_method(fits or undecodable)
    if about is None:
        return None
    found = _answer(case, about, fits, undecodable, target)
    return None if found is None else replace(found, instead=about.received)


def _answer(
    case: CaseResult, about: _Call, fits: list[_Call], undecodable: list[_Call], target: TargetInfo
) -> RightAnswer | None:
    kind = _kind(case.id)
    if undecodable and isinstance(about.request, Request):
        ends = _ordinary(about, about.request)
        if _notifies(about):
            ends, kind = Win32.ERROR_SUCCESS, _kind_of(about, about.answer) or kind
        return _right_response(about, about.request, ends, target, kind)
    if isinstance(about.request, Bind):
        return _right_bind_answer(about.request, case.expected)
    found: RightAnswer | None = None
    for expected in case.expected:
        fault, code = _FAULT.match(expected), _CODE.match(expected)
        deserves = about if _TIMES.search(expected) else _the_faulty(fits)
        if fault and deserves is not None and isinstance(deserves.request, Request):
            found = _right_fault(deserves.request, int(fault[1], 16))
        elif code:
            value = int(code[1], 16) if code[1] else _ordinary(about, about.request)
            found = _right_response(about, about.request, value, target, kind)
        if found is not None:
            break
    return found


def _the_faulty(fits: Sequence[_Call]) -> _Call | None:
    """The only call, or of several the only one whose presentation context was not negotiated."""
    unknown = [call for call in fits if call.syntax is None]
    return next((found[0] for found in (fits, unknown) if len(found) == 1), None)


def _by_its_rule(case: CaseResult, calls: Sequence[_Call], target: TargetInfo) -> RightAnswer | None:
    """The right answer to the last call whose response has what the rule is about.

    Only for cases about the layout: for another one the values matter, too.
    """
    failed = next((check.requirement for check in case.checks if check.passed is False), "")
    opnum = next((opnum for pattern, opnum in _ABOUT if re.match(pattern, failed)), None)
    if opnum is None or not case.id.startswith("ndr."):
        return None
    for call in reversed(calls):
        asked, answer = call.request, call.answer
        if isinstance(asked, Request) and asked.opnum == opnum and isinstance(answer, Response):
            kind = _kind_of(call, answer)
            good = answer.stub[-4:] == bytes(4) and kind is not None
            return _right_response(call, asked, Win32.ERROR_SUCCESS, target, kind) if good and kind else None
    return None


def _notifies(call: _Call) -> bool:
    """Whether the answer is meant as a notification: it begins with a pointer that is not null."""
    notify = isinstance(call.request, Request) and call.request.opnum == Opnum.ASYNC_NOTIFY
    return notify and isinstance(call.answer, Response) and any(call.answer.stub[:4])


def _kind_of(call: _Call, answer: object) -> MessageType | None:
    """The kind of a notification by its MessageType; any for another response, which has none."""
    notify = isinstance(call.request, Request) and call.request.opnum == Opnum.ASYNC_NOTIFY
    if not notify or not isinstance(answer, Response):
        return MessageType.RESOURCE_CHANGE
    at = 8 if call.syntax == NDR64 else 4  # after pResp
    value = int.from_bytes(answer.stub[at : at + 4], answer.byte_order)
    return MessageType(value) if value in {*MessageType} else None


# The request


def _calls(exchange: Iterable[Frame]) -> list[_Call]:
    """The whole requests and binds of an exchange, each with its answer."""
    found: list[_Call] = []
    open_: dict[tuple[int, int], _Call] = {}
    syntaxes: dict[tuple[int, int], SyntaxId] = {}
    for frame in exchange:
        if not frame.octets:
            continue
        try:
            pdu = unpack(frame.octets)
        except (RemoteProtocolError, ValueError):
            continue
        key = frame.connection, pdu.call_id
        sealed = pdu.trailer is not None and pdu.trailer.auth_level == AuthLevel.PRIVACY
        if frame.direction == "sent" and isinstance(pdu, Request | Bind):
            syntax = syntaxes.get((frame.connection, pdu.context_id)) if isinstance(pdu, Request) else None
            call = _Call(
                pdu, syntax, sealed, whole=pdu.flags & 3 == 3, registered=any(map(_registers, found))
            )
            found.append(call)
            open_[key] = call
        elif frame.direction == "received" and key in open_:
            call = open_[key]
            if isinstance(pdu, Response | FaultPdu | BindAck | BindNak) and call.answer is None:
                call.answer, call.received = pdu, frame.octets
            if isinstance(pdu, BindAck) and isinstance(call.request, Bind):
                for context, result in zip(call.request.contexts, pdu.results, strict=False):
                    if result.result == 0:
                        syntaxes[frame.connection, context.context_id] = result.transfer
    return [call for call in found if call.whole]


def _registers(call: _Call) -> bool:
    """Whether a call made a registration: the return value of Register or RegisterEx is ERROR_SUCCESS."""
    register = isinstance(call.request, Request) and call.request.opnum in {Opnum.REGISTER, Opnum.REGISTER_EX}
    return register and isinstance(call.answer, Response) and call.answer.stub[-4:] == bytes(4)


def _one_method(calls: Sequence[_Call]) -> _Call | None:
    """The last of these calls, if they are all of one method; a bind only if it is the only one.

    The stub data of a right response are the same for each of them. A bind_ack depends on its bind, and only
    one of them deserves a fault. Of several binds it is the one that differs from an ordinary one.
    """
    methods = {call.request.opnum if isinstance(call.request, Request) else "bind" for call in calls}
    if len(methods) != 1:
        return None
    if "bind" in methods and len(calls) > 1:
        unusual = the_unusual([call.request for call in calls if isinstance(call.request, Bind)])
        return next((call for call in calls if call.request is unusual), None)
    return calls[-1]


def _decodes(call: _Call) -> bool | None:
    """Whether the response to a call decodes; None where that is not known."""
    if call.sealed or call.syntax is None or not isinstance(call.answer, Response):
        return None
    if call.answer.flags & 3 != 3:
        return None  # a fragment
    return _return_value(call, call.answer) is not None


def _return_value(call: _Call, answer: Response) -> int | None:
    """The return value in a response; None if it does not decode."""
    assert isinstance(call.request, Request)
    assert call.syntax is not None
    order = answer.byte_order
    try:
        return decode_response(call.request.opnum, answer.stub, call.syntax, byte_order=order).result
    except (DecodeError, LookupError):
        return None


def _fits(call: _Call, observed: str) -> bool:
    """Whether the answer to a call is what was observed."""
    match call.answer:
        case None:
            fits = observed.startswith(("no answer", "connection closed"))
        case BindNak():
            fits = "bind_nak" in observed
        case BindAck():
            fits = "bind_ack" in observed
        case FaultPdu(status=status):
            seen = _SEEN_FAULT.search(observed)
            fits = seen is not None and int(seen[1], 16) == status
        case Response(stub=stub, byte_order=order):
            # The return value is at the end, also where the presentation context is not known.
            seen = None if call.sealed else _VALUE.search(observed)
            fits = seen is not None and int(seen[1], 16) == int.from_bytes(stub[-4:], order)
    return fits


# The answer


def _to_its_pdu(case: CaseResult, exchange: Sequence[Frame]) -> RightAnswer | None:
    """The expected fault to a PDU that is neither a whole request nor a bind."""
    fault = _FAULT.match(case.expected[0])
    about = None if fault is None else faulty_pdu(exchange, case.observed)
    if fault is None or about is None:
        return None
    return replace(_right_fault(about, int(fault[1], 16)), instead=about.instead)


def _right_fault(request: Request | Faulty, status: int) -> RightAnswer:
    pdu = FaultPdu(call_id=request.call_id, status=status, context_id=request.context_id)
    title = f"fault, call {request.call_id}: {describe_status(status)}"
    return RightAnswer(title, pdu.pack(), describe_pdu(pdu.pack(), Association())[1])


def _right_bind_answer(bind: Bind, expected: Sequence[str]) -> RightAnswer | None:
    answer = right_bind_answer(bind, expected)
    if answer is None:
        return None
    octets = answer.pack()
    title, fields = describe_pdu(octets, Association())
    protected = bind.trailer is not None and isinstance(answer, BindAck)
    return RightAnswer(title, octets, fields, protected=protected)


def _ordinary(call: _Call, request: Request) -> Win32:
    """The return value of an ordinary call where the finding names none.

    A handle that was never issued is unknown: the preflight sends such a handle where it could not register.
    A valid AsyncNotify without an event ends by its time-out.
    """
    if request.opnum == Opnum.UNREGISTER and not call.registered:
        return Win32.ERROR_INVALID_PARAMETER
    if request.opnum == Opnum.ASYNC_NOTIFY:
        return Win32.ERROR_TIMEOUT if call.registered else Win32.ERROR_NOT_FOUND
    return Win32.ERROR_SUCCESS


def _kind(case_id: str) -> MessageType:
    """The kind of notification that a case is about."""
    module = case_id.split(".")[1] if case_id.count(".") > 1 else ""
    return _KINDS.get(module, MessageType.RESOURCE_CHANGE)


def _right_response(
    call: _Call, request: Request, code: int, target: TargetInfo, kind: MessageType
) -> RightAnswer | None:
    if call.syntax is None or call.sealed:
        return None
    try:
        asked = decode_request(
            request.opnum, request.stub, call.syntax, byte_order=request.byte_order, allow_trailing=True
        )
    except (DecodeError, LookupError):
        return None
    message = _response(asked, code, target, kind)
    stub = encode(message, call.syntax)
    pdu = Response(call_id=request.call_id, stub=stub, context_id=request.context_id, drep=LITTLE_ENDIAN)
    octets = pdu.pack()
    _, fields = describe_pdu(octets, Association())
    head = tuple(field for field in fields if field.offset + field.length <= 24)
    names = field_spans(message, call.syntax)
    parts = tuple(Field(24 + span.start, len(span), name) for name, span in names.items())
    title = f"response, call {request.call_id}, to {type(asked).__name__.removesuffix('Request')}"
    what = f", {kind.name} ({kind.value})" if getattr(message, "response", None) is not None else ""
    return RightAnswer(
        f"{title}: {describe_win32(code)}{what}",
        octets,
        (*head, *parts),
        protected=request.trailer is not None,
    )


def _response(request: AnyRequest, code: int, target: TargetInfo, kind: MessageType) -> AnyResponse:
    """A response with this code; with a result if it is ERROR_SUCCESS."""
    good = code == Win32.ERROR_SUCCESS
    handle = _HANDLE if good else NULL_HANDLE
    made: AnyResponse
    match request:
        case GetInterfaceListRequest():
            made = GetInterfaceListResponse(_interfaces(target) if good else None, code)
        case RegisterRequest():
            made = RegisterResponse(handle, code)
        case RegisterExRequest():
            made = RegisterExResponse(handle, code)
        case UnRegisterRequest():
            made = UnRegisterResponse(code)
        case UnRegisterExRequest():
            made = UnRegisterExResponse(NULL_HANDLE if good else request.context, code)
        case AsyncNotifyRequest():
            made = AsyncNotifyResponse(_notification(target, kind) if good else None, code)
    return made


def _nodes(target: TargetInfo) -> list[tuple[str, str]]:
    """The nodes as (name, address); the texts of the target are ``NODE1 (192.0.2.11)``."""
    found = [re.fullmatch(r"(\S+) \(([^)\s]+)\)", text) for text in target.nodes]
    return [(match[1], match[2]) for match in found if match]


def _interfaces(target: TargetInfo) -> InterfaceList:
    none4, none6 = ipaddress.IPv4Address(0), ipaddress.IPv6Address(0)
    infos = []
    for number, (name, text) in enumerate(_nodes(target) or [("NODE1", "192.0.2.11")]):
        address = ipaddress.ip_address(text)
        flags = InterfaceFlags.IPV4 if address.version == 4 else InterfaceFlags.IPV6
        if number:
            flags |= InterfaceFlags.WITNESS
        infos.append(
            InterfaceInfo(
                name[:15].upper(),
                ProtocolVersion.V2,
                ChangeType.AVAILABLE,
                address if isinstance(address, ipaddress.IPv4Address) else none4,
                address if isinstance(address, ipaddress.IPv6Address) else none6,
                flags,
            )
        )
    return InterfaceList(tuple(infos))


def _notification(target: TargetInfo, kind: MessageType) -> RespAsyncNotify:
    """A notification of this kind: of a change of the last node, or with the addresses of the nodes."""
    nodes = _nodes(target) or [("NODE1", "192.0.2.11")]
    if kind == MessageType.RESOURCE_CHANGE:
        buffer = encode_buffer([ResourceChange(ChangeType.UNAVAILABLE, nodes[-1][0].upper())])
        return RespAsyncNotify(kind, 1, buffer)
    # A client moves to one node, and learns that its address is available (MS-SWN 3.1.4.4).
    online = AddressFlags.ONLINE if kind == MessageType.CLIENT_MOVE else AddressFlags(0)
    addresses = []
    for _, text in nodes if kind == MessageType.IP_CHANGE else nodes[-1:]:
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv4Address):
            addresses.append(IpAddrInfo(AddressFlags.V4 | online, ipv4=address))
        else:
            addresses.append(IpAddrInfo(AddressFlags.V6 | online, ipv6=address))
    return RespAsyncNotify(kind, 1, encode_buffer([IpAddrInfoList(tuple(addresses))]))
