"""A right answer beside findings about PDUs that are no ordinary calls, and why other findings have none."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from swn_torture.dcerpc.pdu.bind import AlterContext, AlterContextResp, Bind, BindAck, PresentationContext
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Response, unpack
from swn_torture.dcerpc.pdu.verification_trailer import MUST_PROCESS, Command, bitmask1, trailer
from swn_torture.report.exchange.right_answer import RightAnswer, right_answer, why_none
from swn_torture.report.html import render_html
from swn_torture.report.issue import issue_text
from swn_torture.report.json_report import results_schema
from swn_torture.report.model import CaseResult, Check, TargetInfo
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import decode_response, encode
from swn_torture.witness.constants import WITNESS
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    InterfaceList,
    RegisterRequest,
    RegisterResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)
from tests.report.conftest import Wire, bind, bind_ack, fault, pdu, request, response

if TYPE_CHECKING:
    from swn_torture.report.results import Results

TARGET = TargetInfo("mine", nodes=("NODE1 (192.0.2.11)",))
PROTOCOL_ERROR = "fault nca_s_proto_error (0x1C01000B)"
GOOD = "ERROR_SUCCESS (0x0)"
CLOSED = "connection closed (connection closed by peer)"
AUTH3 = pdu(16, 1, bytes(4), auth=bytes(200))

#: A connection with a bind and its answer.
BOUND: tuple[tuple[str, bytes], ...] = (("sent", bind()), ("received", bind_ack()), ("sent", AUTH3))
LIST = encode(GetInterfaceListResponse(InterfaceList(()), 0), NDR64)
REGISTER = encode(RegisterRequest(0x10001, "SWNCLUSTER", "192.0.2.11", "CLIENT"), NDR64)


def case(expected: str, observed: str, *exchange: tuple[Any, ...], note: str = "") -> CaseResult:
    """A case with this exchange: ``(kind, octets, connection, seconds before)``; each may be left out."""
    wire = Wire()
    for item in exchange:
        wire.put(*item)
    allowed = tuple(expected.split(" | "))
    check = Check("RPC-PTYPE-unexpected", passed=False, expected=allowed, observed=observed, note=note)
    return CaseResult(
        id="rpc.one.two", title="One.", suite="rpc", requirements=(check.requirement,), level="MUST",
        outcome="failed", reason="no", expected=allowed, observed=observed, checks=(check,),
        transcript=tuple(wire.records), repro="swn-torture run --case rpc.one.two",
    )  # fmt: skip


def answered(expected: str, observed: str, *exchange: tuple[Any, ...], note: str = "") -> RightAnswer:
    found = right_answer(case(expected, observed, *exchange, note=note), TARGET)
    assert found is not None
    return found


def fault_of(answer: RightAnswer) -> tuple[int, int, int]:
    """call_id, presentation context and status."""
    found = unpack(answer.octets)
    assert isinstance(found, FaultPdu)
    return found.call_id, found.context_id, found.status


def code_of(answer: RightAnswer, opnum: int) -> int:
    found = unpack(answer.octets)
    assert isinstance(found, Response)
    return decode_response(opnum, found.stub, NDR64).result


def other(octets: bytes, **at: int) -> bytes:
    """A PDU with other octets: ``at_3=1``."""
    changed = bytearray(octets)
    for name, value in at.items():
        changed[int(name.removeprefix("at_"))] = value
    return bytes(changed)


def leg(ptype: int, context: int) -> bytes:
    """An auth3 or alter_context, call 2, with this auth_context_id."""
    context_only = AlterContext(contexts=(PresentationContext(0, WITNESS, (NDR32,)),)).pack()[16:]
    plain = bytes(4) if ptype == 16 else context_only
    octets = pdu(ptype, 2, plain, auth=bytes(200))
    return other(octets, **{f"at_{len(octets) - 204}": context})


BIG = [("sent", other(request(2, 0, bytes(64)), at_3=flags)) for flags in (1, 0)]


LISTED = [("sent", request(2, 0, b"")), ("received", response(2, LIST))]
ODD: dict[str, tuple[str, str, list[tuple[Any, ...]], tuple[int, int, int]]] = {
    "version 5.1": (
        "any fault", GOOD,
        [*BOUND, ("sent", other(request(2, 0, b""), at_1=1)), LISTED[1]], (2, 1, 0x1C01000B)),
    "version 4.0": (
        "any fault", GOOD,
        [*BOUND, ("sent", other(request(2, 0, b""), at_0=4)), LISTED[1]], (2, 1, 0x1C01000B)),
    "second bind": (
        PROTOCOL_ERROR, "bind_ack (acceptance (0))",
        [*BOUND, ("sent", bind(2)), ("received", bind_ack(2))], (2, 0, 0x1C01000B)),
    "auth3 of another context": (
        "any fault", GOOD,
        [*BOUND[:2], ("sent", leg(16, 77)), *LISTED], (2, 1, 0x1C01000B)),
    "alter_context of another context": (
        "any fault", "octets that do not decode (sec_trailer.auth_context_id: no security context 77)",
        [*BOUND[:2], ("sent", leg(14, 77)), ("received", bind_ack(2))], (2, 0, 0x1C01000B)),
    "unknown opnum": (
        "any fault", CLOSED,
        [*BOUND, *LISTED, ("sent", request(3, 200, b"")), ("closed-by-peer",)], (3, 1, 0x1C010002)),
    "unknown context": (
        "any fault", CLOSED,
        [*BOUND, ("sent", request(3, 0, b"", context=9)), ("closed-by-peer",)], (3, 9, 0x1C010003)),
    "too long": (
        "fault ERROR_ACCESS_DENIED (0x00000005)", "no answer (waited 5 s)", [*BOUND, *BIG], (2, 1, 5)),
    "falling call_id": (
        PROTOCOL_ERROR, GOOD,
        [*BOUND, ("sent", request(9, 0, b"")), ("received", response(9, LIST)), *LISTED],
        (2, 1, 0x1C01000B)),
    "not recorded": (
        PROTOCOL_ERROR, "response, 8 octets of stub data",
        [*BOUND, ("received", response(7, LIST))], (7, 1, 0x1C01000B)),
    "answered late": (
        "fault nca_s_fault_context_mismatch (0x1C00001A) | ERROR_NOT_FOUND (0x490)",
        "no answer (waited 5 s)",
        [*BOUND, ("sent", request(2, 3, NULL_HANDLE.pack())),
         ("received", response(2, encode(AsyncNotifyResponse(None, 0), NDR64)), 1, 5.1)],
        (2, 1, 0x1C00001A)),
    "a PDU": (
        "a PDU | connection closed", "no answer (waited 5 s)",
        [*BOUND, ("sent", request(2, 0, b"")), ("closed-by-peer",),
         *((kind, octets, 2) for kind, octets in BOUND), ("sent", request(3, 0, b""), 2)],
        (3, 1, 0x1C01000B)),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "observed", "exchange", "right"), ODD.values(), ids=ODD)
def test_fault_to_the_odd_pdu(
    expected: str, observed: str, exchange: list[tuple[Any, ...]], right: tuple[int, int, int]
) -> None:
    assert fault_of(answered(expected, observed, *exchange)) == right


def test_fault_to_the_trailer_that_cannot_be_processed() -> None:
    known, unknown = trailer(bitmask1()).pack(), trailer(bitmask1(), Command(9 | MUST_PROCESS)).pack()
    exchange = []
    for number, octets in ((2, known), (3, unknown), (4, known)):
        exchange += [("sent", request(number, 0, octets)), ("received", response(number, LIST))]
    answer = answered("fault ERROR_ACCESS_DENIED (0x00000005)", GOOD, *BOUND, *exchange)
    assert fault_of(answer) == (3, 1, 5)


def test_leg_of_a_new_security_context_is_not_odd() -> None:
    exchange = [*BOUND, ("sent", leg(14, 77)), ("received", bind_ack(2))]
    assert right_answer(case(PROTOCOL_ERROR, "bind_ack (acceptance (0))", *exchange), TARGET) is None


def test_alter_context_is_answered_as_expected() -> None:
    unknown = dataclasses.replace(WITNESS, uuid=NDR32.uuid)
    asked = AlterContext(call_id=2, contexts=(PresentationContext(2, unknown, (NDR32,)),)).pack()
    expected = "provider_rejection (2), abstract_syntax_not_supported (1)"
    found = unpack(answered(expected, CLOSED, *BOUND, ("sent", asked), ("closed-by-peer",)).octets)
    assert isinstance(found, AlterContextResp)
    assert (found.call_id, found.secondary_address) == (2, b"")
    assert [(each.result, each.reason) for each in found.results] == [(2, 1)]


def plain_bind(call_id: int) -> bytes:
    context = PresentationContext(0, WITNESS, (NDR32,))
    return Bind(call_id=call_id, contexts=(context,), assoc_group=7).pack()


@pytest.mark.parametrize(
    ("expected", "observed", "then"),
    [
        ("ERROR_ACCESS_DENIED (0x5) | fault ERROR_ACCESS_DENIED (0x00000005)", CLOSED,
         "then, to the request: fault ERROR_ACCESS_DENIED (0x00000005)"),
        ("ERROR_ACCESS_DENIED (0x5)", CLOSED, "then, to the request: ERROR_ACCESS_DENIED (0x5)"),
        (GOOD, CLOSED, ""),
        ("a data representation that C706 defines", "drep: it is not defined (at octet 4)", ""),
        ("an answer, as to the same PDU alone", "no answer (bind 3: no answer in 1 s)", ""),
    ],
)  # fmt: skip
def test_bind_that_ends_a_connection_is_accepted_first(expected: str, observed: str, then: str) -> None:
    exchange: list[tuple[Any, ...]] = [*BOUND]
    for number in (2, 3):
        exchange += [("sent", plain_bind(number), number), ("closed-by-peer", b"", number)]
    answer = answered(expected, observed, *exchange)
    found = unpack(answer.octets)
    assert isinstance(found, BindAck)
    assert (found.call_id, found.assoc_group) == (2, 7)
    assert answer.title.partition("; ")[2] == then


@pytest.mark.parametrize(
    ("expected", "observed"),
    [
        ("a leg that completes the authentication", "a bind_ack without a token"),
        ("a leg that completes the authentication", "server sent no token, but more is needed"),
        (GOOD, "no security context: SPNEGO: empty token"),
        ("sizes that do not exceed the proposed ones", "bind_ack from 192.0.2.1:1, call_id 1: 5840 octets"),
    ],
)
def test_wrong_bind_ack_gets_a_right_one(expected: str, observed: str) -> None:
    without_token = BindAck(call_id=1, max_xmit=9999, assoc_group=7).pack()
    answer = answered(expected, observed, ("sent", bind()), ("received", without_token))
    found = unpack(answer.octets)
    assert isinstance(found, BindAck)
    assert [each.result for each in found.results] == [0, 2]
    assert answer.protected
    assert answer.instead == without_token


def test_accepted_alter_context_gets_its_rejection() -> None:
    context = PresentationContext(0, WITNESS, (NDR32,))
    exchange = [
        *BOUND,
        ("sent", AlterContext(call_id=2, contexts=(context,)).pack()),
        ("received", AlterContextResp(call_id=2).pack()),
    ]
    answer = answered("any fault | bind_nak reason 8", "alter_context_resp (acceptance (0))", *exchange)
    assert answer.title.startswith("bind_nak, call 2, reason 8")


def test_bind_that_deserves_a_fault_itself_is_not_accepted() -> None:
    exchange = [("sent", plain_bind(2)), ("closed-by-peer",)]
    assert right_answer(case(PROTOCOL_ERROR, CLOSED, *exchange), TARGET) is None
    unusual = [("sent", other(bind(2), **{f"at_{len(bind(2)) - 48}": 99})), ("closed-by-peer",)]
    assert right_answer(case(GOOD, CLOSED, *unusual), TARGET) is None


def test_request_in_fragments_is_put_together() -> None:
    parts = [REGISTER[:48], REGISTER[48:96], REGISTER[96:]]
    sent = [
        ("sent", other(request(2, 1, part), at_3=flags)) for part, flags in zip(parts, (1, 0, 2), strict=True)
    ]
    answer = answered(f"{GOOD}", f"in one fragment: {GOOD}; in fragments of 48 octets: {CLOSED}",
                      *BOUND, *sent, ("closed-by-peer",))  # fmt: skip
    assert code_of(answer, 1) == 0


def test_large_request_without_parameters_has_a_response() -> None:
    answer = answered(
        "a response, or a fault other than fault X (0x00000005)", "no answer (waited 5 s)", *BOUND, *BIG
    )
    assert code_of(answer, 0) == 0


def test_wrong_sec_trailer_is_named() -> None:
    wrong = bytearray(response(2, encode(UnRegisterResponse(0x57), NDR64)))
    wrong[-17] = 9  # auth_context_id
    registers = [("sent", request(3, 1, REGISTER)),
                 ("received", response(3, encode(RegisterResponse(NULL_HANDLE, 0), NDR64)))]  # fmt: skip
    sent = ("sent", request(2, 2, NULL_HANDLE.pack()))
    for error in ("sec_trailer.auth_context_id: no security context 9", "NTLM: SpnegoError (6): A token"):
        observed = f"octets that do not decode ({error})"
        exchange = [*BOUND, *registers, sent, ("received", bytes(wrong))]
        answer = answered("a response protected", observed, *exchange, note="UnRegister, big-endian")
        assert code_of(answer, 2) == 0
        assert answer.title.endswith("sec_trailer: auth_type 10, auth_level 5, auth_context_id 1")


def test_wrong_data_representation_is_corrected() -> None:
    wrong = other(response(2, LIST), at_4=0x1F)
    observed = "response from 127.0.0.1:49777, call_id 2: packed_drep 1f 00 00 00"
    answer = answered(
        "a data representation", observed, *BOUND, ("sent", request(2, 0, b"")), ("received", wrong)
    )
    assert answer.octets[4:8].hex() == "10000000"
    assert code_of(answer, 0) == 0
    assert answer.instead == wrong


@pytest.mark.parametrize(
    ("observed", "call_id", "opnum", "code"),
    [(f"{GOOD}, with a handle", 3, 2, 0x57), ("the call is pending, with a handle", 4, 3, 0x490)],
)
def test_handle_that_was_never_issued(observed: str, call_id: int, opnum: int, code: int) -> None:
    issued, unknown = ContextHandle(0, NDR32.uuid), ContextHandle(0, NDR64.uuid)
    exchange = [
        *BOUND,
        ("sent", request(2, 1, REGISTER)),
        ("received", response(2, encode(RegisterResponse(issued, 0), NDR64))),
        ("sent", request(3, 2, encode(UnRegisterRequest(unknown), NDR64))),
        ("received", response(3, encode(UnRegisterResponse(0), NDR64))),
        ("sent", request(4, 3, encode(AsyncNotifyRequest(unknown), NDR64))),
        ("sent", request(5, 3, encode(AsyncNotifyRequest(issued), NDR64))),
    ]
    answer = answered("an error", f"{observed} that the server never issued", *exchange)
    assert unpack(answer.octets).call_id == call_id
    assert code_of(answer, opnum) == code


@pytest.mark.parametrize(
    ("expected", "exchange", "why"),
    [
        (GOOD, [], "no PDU of this case was recorded"),
        ("connection closed", BOUND, "the connection has to end, and no PDU does that"),
        ("no response before 1 s", BOUND, "what is expected is that no PDU comes"),
        ("a response", [*BOUND, ("sent", request(2, 0, b"")[:20])], "the request was not sent to its end"),
        ("as many", BOUND, "the finding is about a part of an answer, or about several answers"),
        (GOOD, BOUND, "it is not sure which PDU of this case the finding is about"),
    ],
)  # fmt: skip
def test_finding_without_a_right_answer_says_why(
    expected: str, exchange: list[tuple[str, bytes]], why: str, few: Results
) -> None:
    found = case(expected, "something else", *exchange)
    assert right_answer(found, TARGET) is None
    assert why_none(found) == why
    assert why_none(dataclasses.replace(found, because="RPC-FRAG-request")) == ""
    results = few.with_cases([found])
    document = json.loads(json.dumps(results.to_json()))
    jsonschema_rs.validate(results_schema(), document)
    assert document["cases"][0]["no_right_answer"] == why
    assert (f"No right answer is shown: {why}." in render_html(results)) is bool(exchange)
    assert (f"no right answer is shown: {why}" in issue_text(results, found.id)) is bool(exchange)


def test_answered_request_needs_no_reason(few: Results) -> None:
    found = case(GOOD, "fault nca_s_op_rng_error (0x1C010002)", *BOUND, ("sent", request(2, 1, REGISTER)),
                 ("received", fault(2, 0x1C010002)))  # fmt: skip
    results = few.with_cases([found])
    assert "no_right_answer" not in results.to_json()["cases"][0]
    assert "No right answer is shown" not in render_html(results)
