"""The fault that a PDU deserves which is no ordinary call, beside the finding."""

from __future__ import annotations

import pytest

from swn_torture.dcerpc.pdu.bind import AlterContext, Bind, BindAck, PresentationContext
from swn_torture.dcerpc.pdu.pdus import FaultPdu, unpack
from swn_torture.dcerpc.pdu.verification_trailer import SIGNATURE
from swn_torture.report.exchange.right_answer import RightAnswer, right_answer
from swn_torture.report.model import CaseResult, Check, TargetInfo
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import WITNESS
from swn_torture.witness.messages import NULL_HANDLE, RegisterRequest, RegisterResponse
from tests.report.conftest import Wire, bind, bind_ack, pdu, request, response

PROTOCOL_ERROR = "fault nca_s_proto_error (0x1C01000B)"
BAD_STUB = "fault RPC_X_BAD_STUB_DATA (0x000006F7)"
UNKNOWN_INTERFACE = "fault nca_s_unk_if (0x1C010003)"
AUTH3 = pdu(16, 1, bytes(4), auth=bytes(200))
UNKNOWN_TYPE, BIG_ENDIAN = pdu(77, 9, bytes(8)), pdu(77, 9, bytes(8), order=">")

#: A connection with a bind and its answer.
BOUND = (("sent", bind()), ("received", bind_ack()), ("sent", AUTH3))


def fragment(call_id: int, flags: int) -> bytes:
    octets = bytearray(request(call_id, 0, b"", context=7))
    octets[3] = flags
    return bytes(octets)


def answer_to(
    expected: str, observed: str, *exchange: tuple[str, bytes], second: bytes = b""
) -> RightAnswer | None:
    """The right answer beside a finding about this exchange; `second` is sent on another connection."""
    wire = Wire()
    for kind, octets in (*BOUND, *exchange):
        wire.put(kind, octets)
    if second:
        wire.put("sent", second, connection=2)
    check = Check("RPC-PTYPE-unexpected", passed=False, expected=(expected,), observed=observed)
    case = CaseResult(
        id="rpc.unexpected-pdus.one", title="One.", suite="rpc", requirements=(check.requirement,),
        level="MUST", outcome="failed", reason="no", expected=(expected,), observed=observed, checks=(check,),
        transcript=tuple(wire.records), repro="swn-torture run --case rpc.unexpected-pdus.one",
    )  # fmt: skip
    return right_answer(case, TargetInfo("mine", nodes=("NODE1 (192.0.2.11)",)))


@pytest.mark.parametrize(
    ("expected", "observed", "exchange", "call_id", "context_id"),
    [
        (PROTOCOL_ERROR, "no answer (waited 5 s)", [("sent", UNKNOWN_TYPE)], 9, 0),
        (PROTOCOL_ERROR, "connection closed (FIN)", [("sent", BIG_ENDIAN)], 9, 0),
        (PROTOCOL_ERROR, "response, 4 octets of stub data",
         [("sent", fragment(3, 2)), ("received", response(3, bytes(4)))], 3, 7),
        (f"{BAD_STUB}, 2 times", "1 of 118 octets: connection closed (FIN); 2 of 118 octets: …",
         [("sent", request(2, 1, b"\1")), ("sent", request(3, 1, b"\1\2"))], 3, 1),
        (UNKNOWN_INTERFACE, "ERROR_SUCCESS (0x0)",
         [("sent", request(2, 0, b"")), ("received", response(2, bytes(4))),
          ("sent", request(3, 0, b"", context=99)), ("received", response(3, bytes(4)))], 3, 99),
    ],
    ids=["unknown type", "big-endian", "last fragment alone", "cut", "unknown context"],
)  # fmt: skip
def test_expected_fault_to_the_pdu_that_deserves_it(
    expected: str, observed: str, exchange: list[tuple[str, bytes]], call_id: int, context_id: int
) -> None:
    answer = answer_to(expected, observed, *exchange)
    assert answer is not None
    fault = unpack(answer.octets)
    assert isinstance(fault, FaultPdu)
    assert (fault.call_id, fault.context_id) == (call_id, context_id)
    assert f"(0x{fault.status:08X})" in expected


@pytest.mark.parametrize(
    ("exchange", "second"),
    [
        ([("sent", UNKNOWN_TYPE)], pdu(77, 10, bytes(8))),
        ([("sent", UNKNOWN_TYPE)], bind()),
        ([("sent", UNKNOWN_TYPE), ("received", response(9, bytes(4)))], b""),
        ([], AUTH3),
    ],
    ids=["two", "a call, too", "answered", "gets no answer"],
)
def test_no_fault_where_the_pdu_is_not_sure(exchange: list[tuple[str, bytes]], second: bytes) -> None:
    assert answer_to(PROTOCOL_ERROR, "no answer (waited 5 s)", *exchange, second=second) is None


def test_whole_request_with_a_response_is_no_fragment() -> None:
    observed = "response, 4 octets of stub data"
    exchange = [("sent", request(3, 2, b"")), ("received", response(3, bytes(4)))]
    assert answer_to(PROTOCOL_ERROR, observed, *exchange) is None
    both = [("sent", fragment(3, 1)), ("sent", fragment(3, 2)), exchange[1]]
    assert answer_to(PROTOCOL_ERROR, observed, *both) is None


def test_alter_context_is_refused_as_expected() -> None:
    altered = AlterContext(call_id=2, contexts=(PresentationContext(2, WITNESS, (NDR32,)),)).pack()
    answer = answer_to("bind_nak reason 8", "connection closed (FIN)", ("sent", altered))
    assert answer is not None
    assert answer.title.startswith("bind_nak, call 2, reason 8")
    assert answer_to(PROTOCOL_ERROR, "connection closed (FIN)", ("sent", altered)) is None


def test_last_of_several_binds_that_join_one_association() -> None:
    def join(call_id: int, group: int) -> bytes:
        context = PresentationContext(0, WITNESS, (NDR32,))
        return Bind(call_id=call_id, contexts=(context,), assoc_group=group).pack()

    expected, observed = "bind_ack with assoc_group_id 0x00000007", "bind_ack with assoc_group_id 0x00000009"

    def joined(*groups: int) -> RightAnswer | None:
        exchange = []
        for number, group in enumerate(groups, 2):
            exchange += [("sent", join(number, group)), ("received", bind_ack(number))]
        return answer_to(expected, observed, *exchange)

    answer = joined(7, 7)
    assert answer is not None
    ack = unpack(answer.octets)
    assert isinstance(ack, BindAck)
    assert (ack.call_id, ack.assoc_group) == (3, 7)
    assert joined(7, 8) is None


REGISTER = encode(RegisterRequest(0x10001, "SWNCLUSTER", "192.0.2.11", "CLIENT"), NDR64)
CUT = REGISTER[:20]
TRAILER = REGISTER + SIGNATURE + bytes(8)
DONE = encode(RegisterResponse(NULL_HANDLE, 0), NDR64)


@pytest.mark.parametrize(
    ("stubs", "call_id"),
    [
        ((REGISTER, CUT, CUT), 3),
        ((REGISTER, TRAILER, REGISTER), 3),
        ((REGISTER, TRAILER, TRAILER), None),
        ((REGISTER, REGISTER), None),
    ],
    ids=["first that does not decode", "only one with a trailer", "two with a trailer", "none"],
)
def test_request_that_deserves_a_fault_is_told_from_others(
    stubs: tuple[bytes, ...], call_id: int | None
) -> None:
    exchange = []
    for number, stub in enumerate(stubs, 2):
        exchange += [("sent", request(number, 1, stub)), ("received", response(number, DONE))]
    answer = answer_to(BAD_STUB, "ERROR_SUCCESS (0x0)", *exchange)
    assert (None if answer is None else unpack(answer.octets).call_id) == call_id
