"""Encoding and decoding of messages: round trips, and errors for wrong stub data."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from swn_torture.stubdata.ndr import Reader, wide_size
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.codec import (
    DecodeError,
    EncodeError,
    UnknownOpnumError,
    decode_request,
    decode_response,
    encode,
    field_names,
    field_spans,
    request_size,
)
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    Request,
    RespAsyncNotify,
    Response,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)
from tests.witness.witness_samples import (
    EVERY_KIND,
    HANDLE,
    SYNTAXES,
    VECTORS,
    Vector,
    byte_orders,
    decode,
    interfaces,
    messages,
    syntaxes,
)

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder, Wrong
    from swn_torture.witness.messages import AnyRequest, AnyResponse

both_syntaxes = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)

REGISTER = RegisterRequest(0x00010001, "SWNCLUSTER", "198.51.100.10", "CLIENT1")
RESULTS = [
    message
    for message in EVERY_KIND
    if isinstance(message, UnRegisterResponse | RegisterResponse | RegisterExResponse | UnRegisterExResponse)
]
RESPONSES = [message for message in EVERY_KIND if isinstance(message, Response)]
LISTED = GetInterfaceListResponse(InterfaceList(interfaces(1)), 0)
NOTIFICATION = AsyncNotifyResponse(RespAsyncNotify(1, 1, bytes(20)), 0)


@given(messages, syntaxes, byte_orders)
def test_a_written_message_is_read_back(
    message: AnyRequest | AnyResponse, syntax: SyntaxId, byte_order: ByteOrder
) -> None:
    octets = encode(message, syntax, byte_order=byte_order)
    assert decode(message, octets, syntax, byte_order) == message


@given(messages, syntaxes, byte_orders, st.data())
def test_truncated_stub_data_is_rejected(
    message: AnyRequest | AnyResponse, syntax: SyntaxId, byte_order: ByteOrder, data: st.DataObject
) -> None:
    octets = encode(message, syntax, byte_order=byte_order)
    assume(octets)
    cut = data.draw(st.integers(0, len(octets) - 1))
    with pytest.raises(DecodeError):
        decode(message, octets[:cut], syntax, byte_order)


@given(messages, syntaxes, st.binary(max_size=200))
def test_arbitrary_octets_are_read_or_rejected(
    message: AnyRequest | AnyResponse, syntax: SyntaxId, octets: bytes
) -> None:
    """DecodeError is the only exception. A message that is read is written and read again."""
    try:
        read = decode(message, octets, syntax)
    except DecodeError:
        return
    assert decode(message, encode(read, syntax), syntax) == read


class TestStrictness:
    @pytest.mark.parametrize("vector", VECTORS, ids=str)
    def test_truncated_stub_data_of_samba_is_rejected(self, vector: Vector) -> None:
        """The error names a field of the message, and the offset at which it begins."""
        names = set(field_names(vector.message, vector.syntax))
        for end in range(len(vector.octets)):
            with pytest.raises(DecodeError) as caught:
                decode(vector.message, vector.octets[:end], vector.syntax)
            error = caught.value
            assert error.field in names
            # A field may begin after a gap that is cut off, too.
            assert error.offset <= end + 7
            assert str(error) == f"{error.field} at offset {error.offset}: {error.problem}"

    @both_syntaxes
    @pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
    def test_an_error_names_the_missing_field_and_its_offset(
        self, syntax: SyntaxId, message: AnyRequest | AnyResponse
    ) -> None:
        octets, spans = encode(message, syntax), field_spans(message, syntax)
        begin = spans.get("InterfaceInfo[0].InterfaceGroupName", range(0)).start
        for end in range(len(octets)):
            missing, span = next(
                (name, span)
                for name, span in spans.items()
                if span.stop > end and not name.endswith(".padding")
            )
            if missing.endswith(".terminator"):  # a string is read with its terminator
                missing = missing.removesuffix(".terminator")
                span = spans.get(missing, span)
            if (
                missing.startswith("InterfaceInfo[") and begin <= end
            ):  # the size of the array is checked first
                missing, span = "NumberOfInterfaces", spans["NumberOfInterfaces"]
            with pytest.raises(DecodeError) as caught:
                decode(message, octets[:end], syntax)
            assert (caught.value.field, caught.value.offset) == (missing, span.start), f"cut at {end}"

    @pytest.mark.parametrize("vector", VECTORS, ids=str)
    def test_octets_after_the_end_are_rejected(self, vector: Vector) -> None:
        with pytest.raises(DecodeError, match=r"^trailing at offset \d+: 1 octets too many: 00$") as caught:
            decode(vector.message, vector.octets + b"\0", vector.syntax)
        assert caught.value.offset == len(vector.octets)

    def test_an_error_shows_at_most_16_trailing_octets(self) -> None:
        with pytest.raises(DecodeError, match=r"17 octets too many: (00 ){16}\.\.\.$"):
            decode_response(2, bytes(21), NDR32)
        with pytest.raises(DecodeError, match=r"16 octets too many: 00( 00){15}$"):
            decode_response(2, bytes(20), NDR32)

    def test_octets_after_the_end_can_be_allowed(self) -> None:
        octets = encode(REGISTER, NDR32) + b"more"
        assert decode_request(1, octets, NDR32, allow_trailing=True) == REGISTER
        with pytest.raises(DecodeError):
            decode_request(1, octets, NDR32)
        assert decode_response(2, bytes(5), NDR32, allow_trailing=True) == UnRegisterResponse(0)

    @both_syntaxes
    @pytest.mark.parametrize("max_count", [0, 2, 4, 2**32 - 1])
    def test_max_count_must_agree_with_number_of_interfaces(self, syntax: SyntaxId, max_count: int) -> None:
        message = GetInterfaceListResponse(InterfaceList(interfaces(3)), 0)
        problem = (
            rf"InterfaceInfo\.max_count at offset \d+: {max_count} elements, but NumberOfInterfaces says 3"
        )
        with pytest.raises(DecodeError, match=problem):
            decode(message, encode(message, syntax, wrong={"InterfaceInfo.max_count": max_count}), syntax)

    @both_syntaxes
    @pytest.mark.parametrize("length", [0, 19, 21, 4000])
    def test_max_count_must_agree_with_length(self, syntax: SyntaxId, length: int) -> None:
        problem = rf"MessageBuffer\.max_count at offset \d+: 20 elements, but Length says {length}"
        with pytest.raises(DecodeError, match=problem):
            decode(NOTIFICATION, encode(NOTIFICATION, syntax, wrong={"Length": length}), syntax)

    @both_syntaxes
    def test_more_elements_than_octets_are_rejected(self, syntax: SyntaxId) -> None:
        """The count is rejected before any element is read, so a count of 2^32-1 takes no memory."""
        huge = {"NumberOfInterfaces": 2**32 - 1, "InterfaceInfo.max_count": 2**32 - 1}
        with pytest.raises(DecodeError, match=r"NumberOfInterfaces at offset .* only 556 are left"):
            decode(LISTED, encode(LISTED, syntax, wrong=huge), syntax)

    @both_syntaxes
    def test_wrong_referents_are_rejected(self, syntax: SyntaxId) -> None:
        empty = AsyncNotifyResponse(None, 0)
        for message, name, field in (
            (LISTED, "InterfaceList", "trailing"),
            (LISTED, "InterfaceInfo", "InterfaceInfo.referent"),
            (NOTIFICATION, "pResp", "trailing"),
            (NOTIFICATION, "MessageBuffer", "MessageBuffer.referent"),
            (REGISTER, "NetName", "IpAddress.offset"),
        ):
            with pytest.raises(DecodeError) as caught:
                decode(message, encode(message, syntax, wrong={f"{name}.referent": 0}), syntax)
            assert caught.value.field == field
        with pytest.raises(DecodeError) as caught:
            decode(empty, encode(empty, syntax, wrong={"pResp.referent": 1}), syntax)
        assert caught.value.field in {"Length", "NumberOfMessages"}

    @both_syntaxes
    def test_any_referent_other_than_zero_is_accepted(self, syntax: SyntaxId) -> None:
        """Equal referents are accepted, too: RPC runtimes only check whether a unique pointer is null."""
        wrong = {f"{name}.referent": 1 for name in ("NetName", "IpAddress", "ClientComputerName")}
        assert decode_request(1, encode(REGISTER, syntax, wrong=wrong), syntax) == REGISTER

    @both_syntaxes
    def test_a_string_with_an_offset_is_rejected(self, syntax: SyntaxId) -> None:
        octets = encode(REGISTER, syntax, wrong={"IpAddress.offset": 1})
        with pytest.raises(DecodeError, match=r"IpAddress\.offset at offset .*: 1 instead of 0"):
            decode_request(1, octets, syntax)

    @both_syntaxes
    def test_a_string_longer_than_max_count_is_rejected(self, syntax: SyntaxId) -> None:
        octets = encode(REGISTER, syntax, wrong={"NetName.max_count": 10})
        problem = "NetName.actual_count at offset .*: 11 exceeds the max_count of 10"
        with pytest.raises(DecodeError, match=problem):
            decode_request(1, octets, syntax)

    @both_syntaxes
    def test_a_string_shorter_than_max_count_is_accepted(self, syntax: SyntaxId) -> None:
        """max_count is the size of the caller's array, actual_count what is sent of it (C706 14.3.4)."""
        octets = encode(REGISTER, syntax, wrong={"NetName.max_count": 4096})
        assert decode_request(1, octets, syntax) == REGISTER

    @both_syntaxes
    def test_a_string_without_a_terminator_is_rejected(self, syntax: SyntaxId) -> None:
        octets = encode(REGISTER, syntax, wrong={"NetName.terminator": "!"})
        problem = "NetName.terminator at offset .*: the string ends with 2100, not with NUL"
        with pytest.raises(DecodeError, match=problem):
            decode_request(1, octets, syntax)
        nothing: Wrong = {"NetName.actual_count": 0, "NetName": b"", "NetName.terminator": b""}
        octets = encode(replace(REGISTER, net_name=""), syntax, wrong=nothing)
        with pytest.raises(DecodeError, match=r"NetName\.actual_count at offset .*: 0 leaves no room"):
            decode_request(1, octets, syntax)

    @both_syntaxes
    def test_the_largest_counts_are_rejected(self, syntax: SyntaxId) -> None:
        most = 2 ** (8 * wide_size(syntax)) - 1
        octets = encode(REGISTER, syntax, wrong={"NetName.max_count": most, "NetName.actual_count": most})
        with pytest.raises(DecodeError, match=f"^NetName at offset .*: needs {2 * most} octets"):
            decode_request(1, octets, syntax)

    @both_syntaxes
    def test_a_group_name_without_a_nul_is_rejected(self, syntax: SyntaxId) -> None:
        info = replace(interfaces(1)[0], group_name="x" * 260)
        message = GetInterfaceListResponse(InterfaceList((info,)), 0)
        with pytest.raises(DecodeError) as caught:
            decode(message, encode(message, syntax), syntax)
        assert caught.value.field == "InterfaceInfo[0].InterfaceGroupName"
        assert caught.value.offset == (16 if syntax == NDR32 else 32)

    @both_syntaxes
    @pytest.mark.parametrize(
        ("message", "wrong", "field"),
        [
            (LISTED, {"InterfaceInfo.max_count": 2}, "InterfaceInfo.max_count"),
            (LISTED, {"InterfaceInfo.referent": 0}, "InterfaceInfo.referent"),
            (LISTED, {"NumberOfInterfaces": 9, "InterfaceInfo.max_count": 9}, "NumberOfInterfaces"),
            (
                LISTED,
                {"InterfaceInfo[0].InterfaceGroupName": b"x" * 520},
                "InterfaceInfo[0].InterfaceGroupName",
            ),
            (NOTIFICATION, {"MessageBuffer.max_count": 21}, "MessageBuffer.max_count"),
            (NOTIFICATION, {"MessageBuffer.referent": 0}, "MessageBuffer.referent"),
            (NOTIFICATION, {"MessageBuffer.max_count": 99, "Length": 99}, "MessageBuffer"),
            (REGISTER, {"IpAddress.offset": 1}, "IpAddress.offset"),
            (REGISTER, {"IpAddress.max_count": 1}, "IpAddress.actual_count"),
            (REGISTER, {"IpAddress.actual_count": 0}, "IpAddress.actual_count"),
            (REGISTER, {"IpAddress.terminator": "!"}, "IpAddress.terminator"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_an_error_has_the_offset_of_its_field(
        self, syntax: SyntaxId, message: AnyRequest | AnyResponse, wrong: Wrong, field: str
    ) -> None:
        mark = b"the marker"
        begins = encode(message, syntax, wrong={field: mark}).index(mark)
        with pytest.raises(DecodeError) as caught:
            decode(message, encode(message, syntax, wrong=wrong), syntax)
        assert (caught.value.field, caught.value.offset) == (field, begins)

    @both_syntaxes
    @pytest.mark.parametrize(
        ("message", "wrong", "problem"),
        [
            (LISTED, {"InterfaceInfo.referent": 0}, "1 interfaces, but InterfaceInfo is null"),
            (NOTIFICATION, {"MessageBuffer.referent": 0}, "20 octets, but MessageBuffer is null"),
            (
                LISTED,
                {"InterfaceInfo[0].InterfaceGroupName": b"x" * 520},
                "no terminator among 260 UTF-16 units",
            ),
        ],
    )
    def test_an_error_describes_the_problem(
        self, syntax: SyntaxId, message: AnyRequest | AnyResponse, wrong: Wrong, problem: str
    ) -> None:
        with pytest.raises(DecodeError) as caught:
            decode(message, encode(message, syntax, wrong=wrong), syntax)
        assert caught.value.problem == problem

    @pytest.mark.parametrize("opnum", [6, 7, 0xFFFF])
    def test_unknown_opnums_are_errors(self, opnum: int) -> None:
        with pytest.raises(UnknownOpnumError, match=f"no method {opnum}"):
            decode_request(opnum, b"", NDR32)
        with pytest.raises(UnknownOpnumError):
            decode_response(opnum, b"", NDR32)

    def test_an_unknown_transfer_syntax_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="is neither NDR32 nor NDR64"):
            encode(REGISTER, SyntaxId(UUID(int=1), 1, 0))


@given(
    messages.filter(lambda message: isinstance(message, Request)),
    syntaxes,
    byte_orders,
    st.binary(max_size=40),
)
def test_the_size_of_the_parameters_before_other_octets(
    request_: AnyRequest, syntax: SyntaxId, byte_order: ByteOrder, more: bytes
) -> None:
    """A verification trailer may follow the parameters (MS-RPCE 2.2.2.13)."""
    octets = encode(request_, syntax, byte_order=byte_order)

    size = request_size(request_.opnum, octets + more, syntax, byte_order=byte_order)

    assert size == len(octets)


def test_request_size_is_for_little_endian_by_default() -> None:
    octets = encode(REGISTER, NDR32)

    assert request_size(1, octets + b"more", NDR32) == len(octets)


def test_request_size_of_a_malformed_request_is_an_error() -> None:
    with pytest.raises(DecodeError):
        request_size(1, encode(REGISTER, NDR32)[:-1], NDR32)
    with pytest.raises(UnknownOpnumError):
        request_size(6, b"", NDR32)


@both_syntaxes
def test_the_reader_names_the_field_in_its_error(syntax: SyntaxId) -> None:
    """The reader checks the size itself, without the check that a list of interfaces has."""
    with pytest.raises(DecodeError, match=r"^State at offset 0: needs 2 octets, but only 1 are left$"):
        Reader(b"\0", syntax, "little").u16("State")
    with pytest.raises(DecodeError, match=r"^GroupName at offset 0: needs 520 octets, but only 8 are left$"):
        Reader(bytes(8), syntax, "little").wide_chars("GroupName", 260)


class TestText:
    @both_syntaxes
    @pytest.mark.parametrize(
        "text",
        ["", "\0", "a\0b", "\0\0", "\ud800", "\udc00\ud800", "\U0001f4a5", "x" * 65536, "ß" * 255],
        ids=[
            "empty",
            "nul",
            "embedded-nul",
            "nuls",
            "lone-high",
            "reversed-pair",
            "non-bmp",
            "64k",
            "umlauts",
        ],
    )
    def test_any_text_is_encoded_and_decoded(self, syntax: SyntaxId, text: str) -> None:
        message = replace(REGISTER, net_name=text)
        assert decode_request(1, encode(message, syntax), syntax) == message

    def test_counts_are_in_utf16_units(self) -> None:
        octets = encode(RegisterRequest(1, "\U0001f4a5", None, None), NDR32)
        assert octets[8:20] == struct.pack("<III", 3, 0, 3)
        assert octets[20:26] == b"\x3d\xd8\xa5\xdc\0\0"

    @both_syntaxes
    def test_octets_after_the_nul_of_a_group_name_are_ignored(self, syntax: SyntaxId) -> None:
        message = LISTED
        garbage = "NODE0\0garbage".encode("utf-16-le").ljust(520, b"\xee")
        octets = encode(message, syntax, wrong={"InterfaceInfo[0].InterfaceGroupName": garbage})
        assert decode(message, octets, syntax) == message

    def test_a_group_name_that_is_too_long_is_an_error(self) -> None:
        info = replace(interfaces(1)[0], group_name="x" * 261)
        with pytest.raises(EncodeError, match="261 UTF-16 units do not fit into 260") as caught:
            encode(GetInterfaceListResponse(InterfaceList((info,)), 0), NDR32)
        assert caught.value.field == "InterfaceInfo[0].InterfaceGroupName"


class TestNumbers:
    @both_syntaxes
    @pytest.mark.parametrize("message", RESPONSES, ids=lambda message: type(message).__name__)
    def test_a_return_value_may_be_any_number(self, message: AnyResponse, syntax: SyntaxId) -> None:
        largest = replace(message, result=2**32 - 1)
        assert decode(largest, encode(largest, syntax), syntax) == largest

    def test_undefined_values_are_encoded_and_decoded(self) -> None:
        info = InterfaceInfo("N", 0xFFFFFFFF, 0xABCD, IPv4Address(1), IPv6Address(2), 0xFFFFFFFF)
        message = GetInterfaceListResponse(InterfaceList((info,)), 0xDEAD)
        assert decode(message, encode(message, NDR32), NDR32) == message

    @pytest.mark.parametrize("value", [-1, 2**32])
    def test_a_value_out_of_range_is_an_error_with_its_field(self, value: int) -> None:
        message = RegisterExRequest(1, None, None, None, None, flags=value, keep_alive_timeout=0)
        with pytest.raises(EncodeError, match=f"Flags: {value} does not fit into 4 octets"):
            encode(message, NDR32)

    @pytest.mark.parametrize("message", RESULTS, ids=lambda message: type(message).__name__)
    def test_a_result_out_of_range_is_an_error_with_its_field(
        self, message: UnRegisterResponse | RegisterResponse | RegisterExResponse | UnRegisterExResponse
    ) -> None:
        for value in (-1, 2**32):
            with pytest.raises(EncodeError, match=f"ReturnValue: {value} does not fit into 4 octets"):
                encode(replace(message, result=value), NDR32)


@pytest.mark.parametrize("known", [NDR32, NDR64], ids=["ndr32", "ndr64"])
class TestAtOnce:
    """Messages of a handle, a number or both are written and read at once.

    With an equal syntax that is another object they are written and read field by field.
    """

    @pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
    def test_the_octets_and_the_message_are_the_same(
        self, message: AnyRequest | AnyResponse, known: SyntaxId
    ) -> None:
        other = replace(known)
        assert other is not known
        octets = encode(message, known)
        assert octets == encode(message, other)
        assert decode(message, octets, known) == decode(message, octets, other) == message

    @pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
    def test_octets_too_few_or_too_many_are_the_same_error(
        self, message: AnyRequest | AnyResponse, known: SyntaxId
    ) -> None:
        octets = encode(message, known)
        for wrong in (octets[:-1], octets + b"\0", b"\0" + octets):
            answers = []
            for syntax in (known, replace(known)):
                try:
                    answers.append(str(decode(message, wrong, syntax)))
                except DecodeError as error:
                    answers.append(str(error))
            assert answers[0] == answers[1]


class TestBigEndian:
    """MS-RPCE allows big-endian clients in NDR32, and Windows and Samba support them."""

    def test_a_big_endian_register_request(self) -> None:
        message = RegisterRequest(0x00010001, "AB", None, "C")
        expected = (
            struct.pack(">I", 0x00010001)
            + struct.pack(">IIII", 0x20000, 3, 0, 3)
            + "AB\0".encode("utf-16-be")
            + b"\0\0"
            + struct.pack(">I", 0)
            + struct.pack(">IIII", 0x20004, 2, 0, 2)
            + "C\0".encode("utf-16-be")
        )
        assert encode(message, NDR32, byte_order="big") == expected
        assert decode_request(1, expected, NDR32, byte_order="big") == message

    def test_a_big_endian_handle_has_swapped_integers(self) -> None:
        """A server that stores integers finds the same handle in both byte orders of the client."""
        handle = ContextHandle(1, HANDLE.uuid)
        octets = encode(UnRegisterRequest(handle), NDR32, byte_order="big")
        assert octets == bytes.fromhex("00000001 11223344 5566 7788 99aa bbccddeeff00")
        assert octets == handle.pack("big")
        assert decode_request(2, octets, NDR32, byte_order="big") == UnRegisterRequest(handle)

    def test_big_endian_addresses_have_swapped_integers(self) -> None:
        message = LISTED
        little = encode(message, NDR32)
        big = encode(message, NDR32, byte_order="big")
        at = little.index(IPv4Address("198.51.100.10").packed)
        assert struct.unpack_from(">I8H", big, at) == struct.unpack_from("<I8H", little, at)
        assert decode(message, big, NDR32, "big") == message

    def test_the_message_buffer_stays_little_endian(self) -> None:
        """For NDR it is an array of octets, and its structures are always little-endian."""
        message = AsyncNotifyResponse(RespAsyncNotify(1, 1, bytes.fromhex("0c000000 ff000000 4100 0000")), 0)
        octets = encode(message, NDR32, byte_order="big")
        assert octets[24:36] == bytes.fromhex("0c000000 ff000000 4100 0000")
        assert octets[:24] == struct.pack(">6I", 0x20000, 1, 12, 1, 0x20004, 12)

    def test_big_endian_ndr64_can_be_written_and_read(self) -> None:
        octets = encode(REGISTER, NDR64, byte_order="big")
        assert octets[8:16] == struct.pack(">Q", 0x20000)
        assert decode_request(1, octets, NDR64, byte_order="big") == REGISTER
