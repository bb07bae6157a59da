"""The fields that a page marks as wrong: only what is sure."""

from __future__ import annotations

import dataclasses
import struct

import pytest

from swn_torture.dcerpc.pdu.bind import BindAck, ContextResult
from swn_torture.report.exchange.pdu_fields import Association, Field, describe_pdu
from swn_torture.report.exchange.records import Frame
from swn_torture.report.exchange.right_answer import RightAnswer
from swn_torture.report.exchange.stub_fields import AFTER_STRUCTURES, _notifications, _parts, _until
from swn_torture.report.exchange.wrong_fields import wrong_fields
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.constants import MessageType
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, encode_buffer

SUCCESS, MISMATCH = "ERROR_SUCCESS (0x0)", "ERROR_REVISION_MISMATCH (0x51A)"
FAULT = "fault nca_s_op_rng_error (0x1C010002)"


def response(code: int) -> Frame:
    octets = bytes.fromhex("05000203100000002000000007000000") + struct.pack("<IHBBII", 8, 0, 0, 0, 0, code)
    _, head = describe_pdu(octets, Association())
    fields = (*(field for field in head if field.offset < 24), Field(24, 4, "x"), Field(28, 4, "ReturnValue"))
    return Frame(0.0, 1, "received", "response", octets, fields)


def fault(status: int) -> Frame:
    octets = bytes.fromhex("05000303100000002000000007000000") + struct.pack("<IHBBII", 0, 0, 0, 0, status, 0)
    return Frame(0.0, 1, "received", "fault", octets, tuple(describe_pdu(octets, Association())[1]))


def right(frame: Frame) -> RightAnswer:
    return RightAnswer("right", b"", (), instead=frame.octets)


@pytest.mark.parametrize(
    ("frame", "expected", "wrong"),
    [
        (response(0), (MISMATCH,), {"ReturnValue"}),
        (response(0x51A), (MISMATCH, SUCCESS), set()),
        (response(0), (FAULT,), {"version 5.0, response, flags 0x03 (first, last)"}),
        (response(0), (MISMATCH, "a fault"), set()),
        (response(0), ("any return value", MISMATCH), set()),
        (fault(5), (FAULT,), {"status"}),
        (fault(5), (SUCCESS,), {"status", "version 5.0, fault, flags 0x03 (first, last)"}),
    ],
)
def test_answer_of_the_finding(frame: Frame, expected: tuple[str, ...], wrong: set[str]) -> None:
    found = wrong_fields(frame, right(frame), expected)
    assert {"status" if label.startswith("status ") else label for label in found} == wrong


@pytest.mark.parametrize(
    ("observed", "wrong"),
    [
        (
            "response from 127.0.0.1:1, call_id 2: packed_drep 10 00 00 01",
            {"data representation: little-endian"},
        ),
        ("packed_drep 00 00 00 00, then 10 00 00 01 (and 2 more)", {"data representation: little-endian"}),
        ("packed_drep 10 00 00 00", set()),
        ("packed_drep", set()),
    ],
)
def test_data_representation_that_the_finding_names(observed: str, wrong: set[str]) -> None:
    good = response(0)
    octets = good.octets[:7] + b"\1" + good.octets[8:]
    frame = dataclasses.replace(good, octets=octets)
    assert wrong_fields(frame, None, ("a data representation that C706 defines",), observed) == wrong
    assert not wrong_fields(dataclasses.replace(frame, direction="sent"), None, (), observed)


def test_other_pdus_of_the_case_have_no_wrong_fields() -> None:
    assert not wrong_fields(response(0), right(response(1)), (MISMATCH,))
    assert not wrong_fields(response(0), None, (MISMATCH,))


def bound(*results: tuple[int, int]) -> Frame:
    octets = BindAck(call_id=1, results=tuple(ContextResult(*each, NDR32) for each in results)).pack()
    return Frame(0.0, 1, "received", "bind_ack", octets, tuple(describe_pdu(octets, Association())[1]))


def test_result_of_a_bind_with_one_context() -> None:
    refused, accepted = bound((2, 1)), bound((0, 0))
    right = RightAnswer("right", accepted.octets, accepted.fields, instead=refused.octets)
    expected = ("acceptance (0), reason 0",)
    assert wrong_fields(refused, right, expected) == {
        "result provider rejection (abstract syntax not supported)"
    }
    assert not wrong_fields(refused, right, (*expected, "bind_nak"))
    assert not wrong_fields(refused, right, ("bind_ack with assoc_group_id 0x00000007",))


def test_which_of_several_results_is_wrong_is_not_said() -> None:
    refused, accepted = bound((2, 1), (2, 1)), bound((0, 0), (2, 1))
    right = RightAnswer("right", accepted.octets, accepted.fields, instead=refused.octets)
    assert not wrong_fields(refused, right, ("acceptance (0), reason 0",))


def test_what_does_not_decode_is_wrong_in_what_came_only() -> None:
    fields = tuple(_until(Field(24, 8, "stub data"), DecodeError("x", 4, "cut")))
    frame = Frame(0.0, 1, "received", "", bytes(32), fields)
    (label,) = wrong_fields(frame, None, ())
    assert label.startswith("does not decode: ")
    assert not wrong_fields(Frame(0.0, 1, "sent", "", bytes(32), fields), None, ())


def test_octets_after_the_parameters_are_wrong() -> None:
    fields = tuple(_parts(Field(24, 8, "stub data"), {"ReturnValue": range(4)}))
    frame = Frame(0.0, 1, "received", "", bytes(32), fields)
    assert wrong_fields(frame, None, ()) == {"octets after the last parameter"}


def test_notifications_are_shown_field_by_field_and_what_follows_is_wrong() -> None:
    buffer = encode_buffer([IpAddrInfoList((IpAddrInfo(9),))])
    whole = Field(64, len(buffer) + 12, "MessageBuffer")
    message = RespAsyncNotify(MessageType.CLIENT_MOVE, 1, buffer + bytes(12))
    fields = list(_notifications(whole, message))
    assert [field.label for field in fields] == [
        "MessageBuffer[0].Length",
        "MessageBuffer[0].Reserved",
        "MessageBuffer[0].IPAddrInstances",
        "MessageBuffer[0].IPAddrInfo[0].Flags",
        "MessageBuffer[0].IPAddrInfo[0].IPV4",
        "MessageBuffer[0].IPAddrInfo[0].IPV6",
        AFTER_STRUCTURES,
    ]
    assert fields[0].offset == 64
    assert sum(field.length for field in fields) == whole.length
    frame = Frame(0.0, 1, "received", "", bytes(64 + whole.length), tuple(fields))
    assert wrong_fields(frame, None, ()) == {AFTER_STRUCTURES}


def test_notifications_that_do_not_decode_say_where() -> None:
    message = RespAsyncNotify(MessageType.CLIENT_MOVE, 1, bytes(12))
    (only,) = _notifications(Field(64, 12, "MessageBuffer"), message)
    assert only.label.startswith("does not decode: ")
    padded = struct.pack("<III", 16, 0, 0) + bytes(4)
    odd = RespAsyncNotify(MessageType.CLIENT_MOVE, 1, padded)
    assert [field.label for field in _notifications(Field(64, 16, "MessageBuffer"), odd)] == ["MessageBuffer"]
