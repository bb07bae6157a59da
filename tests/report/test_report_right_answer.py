"""Beside a finding, reports show what a right answer to this very request would have been."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import jsonschema_rs
import pytest

from swn_torture.dcerpc.pdu.bind import Bind, BindAck, BindNak, PresentationContext
from swn_torture.dcerpc.pdu.header import SecTrailer
from swn_torture.dcerpc.pdu.pdus import Response, unpack
from swn_torture.report.exchange.records import frames, read_records
from swn_torture.report.exchange.right_answer import RightAnswer, right_answer
from swn_torture.report.exchange.stub_fields import with_stub_fields
from swn_torture.report.html import render_html
from swn_torture.report.json_report import results_schema
from swn_torture.report.model import CaseResult, Check, TargetInfo
from swn_torture.report.text import summary_lines
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.codec import decode_response, encode
from swn_torture.witness.constants import WITNESS, AddressFlags, MessageType
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    InterfaceList,
    RegisterRequest,
    RegisterResponse,
    RespAsyncNotify,
    UnRegisterRequest,
)
from swn_torture.witness.notifications import decode_buffer
from tests.report.conftest import Wire, bind, bind_ack, fault, request, response

if TYPE_CHECKING:
    from swn_torture.report.results import Results
    from swn_torture.witness.messages import AnyRequest

TARGET = TargetInfo("mine", nodes=("NODE1 (192.0.2.11)", "NODE2 (fd00::2)"))
REGISTER = RegisterRequest(0x10001, "SWNCLUSTER", "192.0.2.11", "CLIENT")
GOOD = "ERROR_SUCCESS (0x0)"
NO_METHOD = "fault nca_s_op_rng_error (0x1C010002)"


def case(asked: AnyRequest, answer: bytes | None, expected: str, observed: str, **more: Any) -> CaseResult:
    """A case that sent one request, in NDR64, and got this answer."""
    wire = Wire()
    wire.put("open")
    wire.put("sent", bind())
    wire.put("received", bind_ack())
    wire.put("sent", request(2, asked.opnum, encode(asked, NDR64)))
    if answer is not None:
        wire.put("received", answer)
    wire.put("fin")
    check = Check("SWN-3.1.4.2-returns-success", passed=False, expected=(expected,), observed=observed)
    result = CaseResult(
        id="rpc.register.one", title="Register.", suite="rpc", requirements=(check.requirement,),
        level="MUST", outcome="failed", reason="no", expected=(expected,), observed=observed, checks=(check,),
        transcript=tuple(wire.records), repro="swn-torture run --case rpc.register.one",
    )  # fmt: skip
    return dataclasses.replace(result, **more)


def decoded(answer: RightAnswer | None, opnum: int) -> Any:
    assert answer is not None
    pdu = unpack(answer.octets)
    assert isinstance(pdu, Response)
    assert (pdu.call_id, pdu.context_id) == (2, 1)
    return decode_response(opnum, pdu.stub, NDR64)


def test_interface_list_has_the_nodes_of_the_target() -> None:
    found = case(GetInterfaceListRequest(), fault(2, 0x1C010002), GOOD, NO_METHOD)
    message = decoded(right_answer(found, TARGET), 0)
    assert [info.group_name for info in message.interface_list.interfaces] == ["NODE1", "NODE2"]
    assert str(message.interface_list.interfaces[0].ipv4) == "192.0.2.11"
    assert str(message.interface_list.interfaces[1].ipv6) == "fd00::2"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (REGISTER, Win32.ERROR_SUCCESS),
        (REGISTER, Win32.ERROR_REVISION_MISMATCH),
        (UnRegisterRequest(NULL_HANDLE), Win32.ERROR_INVALID_PARAMETER),
        (AsyncNotifyRequest(NULL_HANDLE), Win32.ERROR_TIMEOUT),
        (AsyncNotifyRequest(NULL_HANDLE), Win32.ERROR_SUCCESS),
    ],
)
def test_answer_has_the_expected_return_value(asked: AnyRequest, code: Win32) -> None:
    message = decoded(
        right_answer(case(asked, None, f"{code.name} (0x{code:X})", "no answer"), TARGET), asked.opnum
    )
    assert message.result == code
    if isinstance(asked, RegisterRequest):
        assert message.context.is_null == (code != 0)


def test_response_that_does_not_decode_gets_one_that_does() -> None:
    wrong = encode(GetInterfaceListResponse(InterfaceList(()), 0), NDR64, wrong={"NumberOfInterfaces": 4})
    found = case(GetInterfaceListRequest(), response(2, wrong), "as many as NumberOfInterfaces", "octets")
    assert decoded(right_answer(found, TARGET), 0).result == 0


def test_expected_fault_is_the_answer() -> None:
    found = case(REGISTER, response(2, encode(RegisterResponse(NULL_HANDLE, 0), NDR64)),
                 "fault RPC_X_BAD_STUB_DATA (0x000006F7)", GOOD)  # fmt: skip
    answer = right_answer(found, TARGET)
    assert answer is not None
    assert "RPC_X_BAD_STUB_DATA" in answer.title


def test_bind_ack_accepts_a_context() -> None:
    wire = Wire()
    wire.put("sent", bind())
    wire.put("received", BindNak(call_id=1).pack())
    found = case(REGISTER, None, "bind_ack with one result for each context", "bind_nak reason 0",
                 transcript=tuple(wire.records))  # fmt: skip
    answer = right_answer(found, TARGET)
    assert answer is not None
    assert "NDR32 accepted" in answer.title


OTHER = SyntaxId(UUID(int=7), 1, 0)


def proposal(**more: Any) -> Bind:
    return Bind(call_id=1, contexts=(PresentationContext(0, WITNESS, (NDR32,)),), **more)


UNKNOWN = Bind(
    call_id=1,
    contexts=(PresentationContext(0, OTHER, (NDR32,)), PresentationContext(1, WITNESS, (NDR32,))),
)
#: A minor version below that of the interface is served.
LOWER = Bind(call_id=1, contexts=(PresentationContext(0, dataclasses.replace(WITNESS, minor=0), (NDR32,)),))


@pytest.mark.parametrize(
    ("asked", "expected", "observed", "title"),
    [
        (UNKNOWN, "provider_rejection; acceptance", "bind_nak reason 0", "abstract syntax not supported"),
        (UNKNOWN, "provider_rejection; acceptance", "connection closed (FIN)", "NDR32 accepted"),
        (proposal(version=(4, 0)), "bind_nak", "bind_ack (acceptance (0))", "bind_nak, call 1, reason 4"),
        (proposal(trailer=SecTrailer(99, 5, 0, 0, 1), auth_value=bytes(16)), "bind_nak reason 8",
         "bind_ack (acceptance (0))", "bind_nak, call 1, reason 8"),
        (proposal(assoc_group=7), "bind_ack with assoc_group_id 0x00000007",
         "bind_ack with assoc_group_id 0x00000009", "bind_ack, call 1, NDR32 accepted"),
        (LOWER, "acceptance (0), reason 0", "bind_nak reason 0", "bind_ack, call 1, NDR32 accepted"),
        (proposal(), "bind_nak", "bind_ack (acceptance (0))", ""),
        (proposal(), "an end of the connection", "bind_ack (acceptance (0))", ""),
    ],
)  # fmt: skip
def test_answer_to_the_bind_that_is_not_ordinary(
    asked: Bind, expected: str, observed: str, title: str
) -> None:
    """Another connection has an ordinary bind, with the same answer."""
    wire = Wire()
    wire.put("sent", asked.pack())
    if "bind_" in observed:
        nak = observed.startswith("bind_nak")
        wire.put("received", BindNak(call_id=1).pack() if nak else bind_ack())
    if observed.startswith("bind_ack"):
        wire.put("sent", bind(), connection=2)
        wire.put("received", bind_ack(), connection=2)
    found = case(REGISTER, None, expected, observed, transcript=tuple(wire.records))
    answer = right_answer(found, TARGET)
    assert (title in answer.title) if title and answer else (answer is None and not title)
    if answer is not None and "assoc_group" in expected:
        ack = unpack(answer.octets)
        assert isinstance(ack, BindAck)
        assert ack.assoc_group == 7


def wrong_notification(kind: int, **wrong: int | bytes) -> bytes:
    """A notification of this kind without structures, with a wrong field."""
    message = AsyncNotifyResponse(RespAsyncNotify(kind, 1, bytes(20)), 0)
    fields = {name.replace("_", "."): value for name, value in wrong.items()}
    return response(2, encode(message, NDR64, wrong=fields))


@pytest.mark.parametrize(
    ("case_id", "octets", "kind"),
    [
        ("ndr.notification-buffers.client-move", wrong_notification(2, NumberOfMessages=0), 2),
        ("cluster.pending.one", wrong_notification(2, Length=1), 2),
        ("ndr.notification-buffers.client-move", wrong_notification(77, NumberOfMessages=0), None),
        ("cluster.pending.one", wrong_notification(2, NumberOfMessages=0), None),
    ],
)
def test_wrong_notification_gets_a_right_one_of_its_kind(
    case_id: str, octets: bytes, kind: int | None
) -> None:
    check = Check("SWN-2.2.2.4-count", passed=False, expected=("one for each",), observed="a wrong one")
    found = case(AsyncNotifyRequest(NULL_HANDLE), octets, "one for each", "a wrong one",
                 id=case_id, checks=(check,))  # fmt: skip
    answer = right_answer(found, TARGET)
    assert (answer and decoded(answer, 3).response.message_type) == kind


def test_list_with_a_wrong_value_gets_a_right_one() -> None:
    wrong = encode(GetInterfaceListResponse(InterfaceList(()), 0), NDR64)
    check = Check("SWN-2.2.2.5-version", passed=False, expected=("0x00020000",), observed="0x00000002")
    found = case(GetInterfaceListRequest(), response(2, wrong), "0x00020000", "0x00000002",
                 id="ndr.interface-list-layout.numbers", checks=(check,))  # fmt: skip
    assert len(decoded(right_answer(found, TARGET), 0).interfaces) == 2


def test_no_answer_where_the_request_is_not_known() -> None:
    found = case(REGISTER, fault(2, 5), GOOD, NO_METHOD)
    assert right_answer(found, TARGET) is None
    other = case(REGISTER, None, "connection closed", "no answer")
    assert right_answer(other, TARGET) is None


def test_every_report_shows_it(few: Results) -> None:
    found = case(REGISTER, fault(2, 0x1C010002), GOOD, NO_METHOD)
    results = few.with_cases([found])
    assert "A right answer to this request" in render_html(results)
    assert any("a right answer: response, call 2, to Register" in line for line in summary_lines(results))
    document = json.loads(json.dumps(results.to_json()))
    jsonschema_rs.validate(results_schema(), document)
    labels = [each["label"] for each in document["cases"][0]["right_answer"]["fields"]]
    assert labels[-3:] == ["ppContext.attributes", "ppContext.uuid", "ReturnValue"]


def test_stub_data_has_the_names_of_the_idl() -> None:
    wrong = encode(GetInterfaceListResponse(InterfaceList(()), 0), NDR64, wrong={"NumberOfInterfaces": 4})
    found = case(GetInterfaceListRequest(), response(2, wrong), GOOD, "octets")
    last = with_stub_fields(frames(read_records(found.transcript)))[-2]
    assert any(field.label.startswith("does not decode: InterfaceInfo.max_count") for field in last.fields)
    sent = with_stub_fields(frames(read_records(case(REGISTER, None, GOOD, "").transcript)))[3]
    assert "NetName.max_count" in [field.label for field in sent.fields]
    assert sum(field.length for field in sent.fields) == len(sent.octets)


@pytest.mark.parametrize(
    ("module", "kind", "flags"),
    [
        ("ip-change", MessageType.IP_CHANGE, [AddressFlags.V4, AddressFlags.V6]),
        ("share-move", MessageType.SHARE_MOVE, [AddressFlags.V6]),
        ("client-move", MessageType.CLIENT_MOVE, [AddressFlags.V6 | AddressFlags.ONLINE]),
        ("node-failure", MessageType.RESOURCE_CHANGE, []),
    ],
)
def test_notification_that_did_not_come_is_of_the_kind_that_the_case_is_about(
    module: str, kind: MessageType, flags: list[AddressFlags]
) -> None:
    found = case(
        AsyncNotifyRequest(NULL_HANDLE), None, "ERROR_SUCCESS (0x0) with a notification", "no answer"
    )
    message = decoded(right_answer(dataclasses.replace(found, id=f"cluster.{module}.x"), TARGET), 3)
    assert message.response.message_type == kind
    buffer = decode_buffer(kind, message.response.number_of_messages, message.response.message_buffer)
    assert [each.flags for item in buffer.items for each in getattr(item, "addresses", ())] == flags


def test_first_fragment_of_a_response_is_no_response_that_does_not_decode() -> None:
    whole = encode(GetInterfaceListResponse(InterfaceList(()), 0), NDR64)
    fragment = bytearray(response(2, whole[:8]))
    fragment[3] &= ~2  # PFC_LAST_FRAG
    found = case(GetInterfaceListRequest(), bytes(fragment), "one response with all changes", "2 responses")
    assert right_answer(found, TARGET) is None
