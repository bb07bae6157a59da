"""Writing wrong fields by their name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.codec import EncodeError, encode, field_names, field_spans
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    GetInterfaceListResponse,
    InterfaceList,
    RegisterRequest,
    RespAsyncNotify,
    UnRegisterExRequest,
    UnRegisterRequest,
)
from tests.witness.witness_samples import EVERY_KIND, HANDLE, SYNTAXES, interfaces, messages, syntaxes

if TYPE_CHECKING:
    from swn_torture.witness.messages import AnyRequest, AnyResponse

MARK = bytes.fromhex("de ad be ef fe")

REGISTER = RegisterRequest(0x00010001, "AB", None, "C")


def test_the_field_names_of_a_register_request() -> None:
    assert field_names(REGISTER, NDR64) == (
        "Version",
        "NetName.referent.padding",
        "NetName.referent",
        "NetName.max_count",
        "NetName.offset",
        "NetName.actual_count",
        "NetName",
        "NetName.terminator",
        "IpAddress.referent.padding",
        "IpAddress.referent",
        "ClientComputerName.referent",
        "ClientComputerName.max_count",
        "ClientComputerName.offset",
        "ClientComputerName.actual_count",
        "ClientComputerName",
        "ClientComputerName.terminator",
    )


def test_the_field_spans_of_a_register_request() -> None:
    spans = field_spans(REGISTER, NDR64)
    assert spans["NetName.referent.padding"] == range(4, 8)
    assert spans["NetName.actual_count"] == range(32, 40)
    assert spans["NetName.terminator"] == range(44, 46)


@given(messages, syntaxes)
def test_the_fields_of_a_message_cover_its_stub_data(
    message: AnyRequest | AnyResponse, syntax: SyntaxId
) -> None:
    octets = [at for span in field_spans(message, syntax).values() for at in span]
    assert octets == [*range(len(encode(message, syntax)))]


@given(messages, syntaxes)
def test_gaps_with_zeros_are_as_ever(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    assert encode(message, syntax, wrong={"padding": 0}) == encode(message, syntax)


def test_an_empty_field_has_no_span() -> None:
    nameless = RegisterRequest(0x00010001, "", None, None)

    assert "NetName" in field_names(nameless, NDR32)
    assert "NetName" not in field_spans(nameless, NDR32)


def test_handles_have_the_names_of_the_idl() -> None:
    """UnRegisterEx has a pointer to its handle, because it returns the handle."""
    once = ("pContext.attributes", "pContext.uuid")
    assert field_names(UnRegisterRequest(HANDLE), NDR32) == once
    assert field_names(AsyncNotifyRequest(HANDLE), NDR32) == once
    assert field_names(UnRegisterExRequest(HANDLE), NDR32) == ("ppContext.attributes", "ppContext.uuid")


def test_the_field_names_of_the_responses() -> None:
    response = AsyncNotifyResponse(RespAsyncNotify(1, 1, b"12345"), 0)
    assert field_names(response, NDR32) == (
        "pResp.referent",
        "MessageType",
        "Length",
        "NumberOfMessages",
        "MessageBuffer.referent",
        "MessageBuffer.max_count",
        "MessageBuffer",
        "ReturnValue.padding",
        "ReturnValue",
    )
    assert field_names(GetInterfaceListResponse(InterfaceList(interfaces(1)), 0), NDR64) == (
        "InterfaceList.referent",
        "NumberOfInterfaces",
        "InterfaceInfo.referent.padding",
        "InterfaceInfo.referent",
        "InterfaceInfo.max_count",
        "InterfaceInfo[0].InterfaceGroupName",
        "InterfaceInfo[0].Version",
        "InterfaceInfo[0].State",
        "InterfaceInfo[0].IPV4.padding",
        "InterfaceInfo[0].IPV4",
        "InterfaceInfo[0].IPV6",
        "InterfaceInfo[0].Flags",
        "ReturnValue",
    )


@given(messages, syntaxes)
def test_every_octet_has_a_name(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    """If every named field is replaced by no octets, no octets are left."""
    names = field_names(message, syntax)
    assert len(set(names)) == len(names)
    assert encode(message, syntax, wrong=dict.fromkeys(names, b"")) == b""


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
def test_octets_can_replace_any_field(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    right = encode(message, syntax)
    for name in field_names(message, syntax):
        wrong = encode(message, syntax, wrong={name: MARK})
        at = wrong.index(MARK)
        assert wrong[:at] == right[:at], f"{name}: the octets before it do not change"


def test_a_number_replaces_only_its_field() -> None:
    right = encode(REGISTER, NDR32)
    wrong = encode(REGISTER, NDR32, wrong={"NetName.max_count": 0xFFFFFFFF})
    assert wrong == right[:8] + b"\xff" * 4 + right[12:]


def test_text_replaces_text_but_not_its_counts() -> None:
    wrong = encode(REGISTER, NDR32, wrong={"NetName": "ABCD"})
    assert wrong[8:20] == encode(REGISTER, NDR32)[8:20]
    assert wrong[20:30] == "ABCD\0".encode("utf-16-le")


def test_text_can_replace_any_field() -> None:
    assert encode(REGISTER, NDR32, wrong={"Version": "no"})[:4] == "no".encode("utf-16-le")
    assert encode(REGISTER, NDR32, wrong={"NetName.terminator": "!"})[24:26] == b"!\0"
    assert encode(REGISTER, NDR32, byte_order="big", wrong={"trailing": "!"})[-2:] == b"\0!"


def test_a_terminator_can_be_omitted() -> None:
    wrong = {"ClientComputerName.terminator": b""}
    assert encode(REGISTER, NDR32, wrong=wrong) == encode(REGISTER, NDR32)[:-2]


def test_a_referent_without_a_pointee() -> None:
    """A referent without a pointee."""
    octets = encode(REGISTER, NDR32, wrong={"IpAddress.referent": 0x20004})
    assert octets[28:32] == b"\x04\x00\x02\x00"
    assert len(octets) == len(encode(REGISTER, NDR32))


def test_gaps_are_replaced_together_or_one_by_one() -> None:
    right = encode(REGISTER, NDR64)
    assert right[4:8] == bytes(4)
    assert encode(REGISTER, NDR64, wrong={"padding": 0xAA})[4:8] == b"\xaa" * 4
    assert encode(REGISTER, NDR64, wrong={"padding": b"\1\2\3"})[4:8] == b"\1\2\3\1"
    assert encode(REGISTER, NDR64, wrong={"NetName.referent.padding": 0xBB})[4:8] == b"\xbb" * 4
    assert encode(REGISTER, NDR64, wrong={"NetName.referent.padding": b""})[4:8] == right[8:12], "misaligned"
    one_by_one = encode(REGISTER, NDR64, wrong={"padding": 1, "NetName.referent.padding": 2})
    assert one_by_one[4:8] == b"\2" * 4
    assert b"\1\1" in one_by_one


def test_a_gap_where_no_gap_should_be() -> None:
    wrong = encode(REGISTER, NDR32, wrong={"NetName.referent.padding": MARK})
    right = encode(REGISTER, NDR32)
    assert wrong[:13] == right[:4] + MARK + right[4:8], "the following fields are misaligned"


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
def test_a_gap_can_be_put_before_every_aligned_field(
    message: AnyRequest | AnyResponse, syntax: SyntaxId
) -> None:
    """Once, and where the field begins. Octets and text are not aligned and have no gap."""
    right, spans = encode(message, syntax), field_spans(message, syntax)
    unaligned = ("uuid", "Name", "Address", "terminator", "IPV6", "MessageBuffer")
    for name, span in spans.items():
        if name.endswith(".padding") or f"{name}.padding" in spans:
            continue
        wrong = {f"{name}.padding": MARK}
        if name.endswith(unaligned) and not name.endswith("GroupName"):
            with pytest.raises(EncodeError, match="no field named"):
                encode(message, syntax, wrong=wrong)
        else:
            found = encode(message, syntax, wrong=wrong)
            assert found.count(MARK) == 1, name
            assert found.index(MARK) == span.start, name
            assert found[: span.start] == right[: span.start], name


def test_a_gap_before_a_structure() -> None:
    message = GetInterfaceListResponse(InterfaceList(interfaces(2)), 0)
    begin = field_spans(message, NDR32)["InterfaceInfo[1].InterfaceGroupName"].start

    wrong = encode(message, NDR32, wrong={"InterfaceInfo[1].padding": MARK})

    assert wrong.index(MARK) == begin


def test_padding_is_allowed_for_a_message_without_gaps() -> None:
    """So one ``wrong`` can be used for messages of any shape."""
    message = AsyncNotifyRequest(HANDLE)
    assert encode(message, NDR32, wrong={"padding": 0xFF}) == encode(message, NDR32)


def test_octets_after_the_end() -> None:
    assert encode(REGISTER, NDR32, wrong={"trailing": MARK}) == encode(REGISTER, NDR32) + MARK


def test_an_error_for_an_unknown_name_lists_the_known_names() -> None:
    known = f"known: {', '.join(field_names(REGISTER, NDR32))}, padding, trailing"

    with pytest.raises(EncodeError) as caught:
        encode(REGISTER, NDR32, wrong={"Netname.referent": 0, "Version": 1})
    with pytest.raises(EncodeError) as several:
        encode(REGISTER, NDR32, wrong={"b": 0, "a": 0})

    assert caught.value.field == "Netname.referent"
    assert str(caught.value) == f"Netname.referent: no field named 'Netname.referent' here; {known}"
    assert str(several.value) == f"a: no field named 'a', 'b' here; {known}"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("NetName", 5, "consists of octets"),
        ("Version", 2**32, "does not fit into 4 octets"),
        ("NetName.referent.padding", 256, "256 is not an octet"),
        ("padding", -1, "-1 is not an octet"),
        ("trailing", 7, "consists of octets"),
    ],
)
def test_replacements_that_cannot_be_written(name: str, value: int | str, problem: str) -> None:
    with pytest.raises(EncodeError, match=problem) as caught:
        encode(REGISTER, NDR64, wrong={name: value})
    assert caught.value.field
