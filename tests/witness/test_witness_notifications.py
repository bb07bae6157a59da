"""The MessageBuffer of notifications: without gaps, little-endian, divided by the Length fields."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.stubdata.fields import DecodeError, EncodeError, FieldReader
from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import (
    IpAddrInfo,
    IpAddrInfoList,
    Notification,
    ResourceChange,
    buffer_spans,
    decode_buffer,
    encode_buffer,
)
from tests.witness.witness_samples import address_lists, changes, v4

ODD = ResourceChange(ChangeType.AVAILABLE, "ODD10")
NODE = ResourceChange(ChangeType.UNAVAILABLE, "N")
MOVE = IpAddrInfoList((v4(AddressFlags.V4 | AddressFlags.ONLINE, "192.168.3.45"),))
ADDRESS_KINDS = (MessageType.CLIENT_MOVE, MessageType.SHARE_MOVE, MessageType.IP_CHANGE)


def test_changes_follow_each_other_without_a_gap() -> None:
    assert encode_buffer([ODD, NODE]) == (
        struct.pack("<II", 20, 1)
        + "ODD10\0".encode("utf-16-le")
        + struct.pack("<II", 12, 255)
        + "N\0".encode("utf-16-le")
    )


def test_fields_of_a_buffer_have_the_octets_between_them() -> None:
    octets = encode_buffer([ODD, NODE])
    spans = buffer_spans([ODD, NODE])
    assert sorted(at for span in spans.values() for at in span) == list(range(len(octets)))
    assert all(spans.values())
    at = spans["[1].Length"]
    assert int.from_bytes(octets[at.start : at.stop], "little") == len(encode_buffer([NODE]))


def test_an_empty_resource_name_has_no_octets() -> None:
    spans = buffer_spans([ResourceChange(1, "")])
    assert all(spans.values())
    assert "[0].ResourceName" not in spans


def test_the_length_of_an_address_list_has_its_header() -> None:
    assert encode_buffer([MOVE]) == (
        struct.pack("<IIII", 36, 0, 1, 9) + bytes((192, 168, 3, 45)) + bytes(16)
    ), "12 octets of header, then 24 per address, in network order"


@given(st.lists(changes, max_size=4))
def test_written_changes_are_read_back(items: list[ResourceChange]) -> None:
    decoded = decode_buffer(MessageType.RESOURCE_CHANGE, len(items), encode_buffer(items))
    assert decoded.items == tuple(items)
    assert decoded.padding == (b"",) * len(items)
    assert decoded.slack == b""


@given(st.lists(address_lists, max_size=3), st.sampled_from(ADDRESS_KINDS))
def test_written_address_lists_are_read_back(items: list[IpAddrInfoList], kind: MessageType) -> None:
    decoded = decode_buffer(kind, len(items), encode_buffer(items))
    assert decoded.items == tuple(items)


@given(st.integers(0, 5), st.integers(0, 2**32 - 1), st.binary(max_size=120))
def test_arbitrary_buffers_are_read_or_rejected(kind: int, number: int, buffer: bytes) -> None:
    """The time is limited, because every item takes at least its header, whatever NumberOfMessages is."""
    try:
        decoded = decode_buffer(kind, number, buffer)
    except DecodeError:
        return
    assert len(decoded.items) == number


@pytest.mark.parametrize(
    ("kind", "items"),
    [(MessageType.RESOURCE_CHANGE, [ODD, NODE]), (MessageType.IP_CHANGE, [MOVE, MOVE])],
    ids=["changes", "addresses"],
)
def test_a_truncated_buffer_is_rejected(kind: int, items: list[Notification]) -> None:
    whole = encode_buffer(items)
    for end in range(len(whole)):
        with pytest.raises(DecodeError, match=r"^\[\d\]"):
            decode_buffer(kind, len(items), whole[:end])


def test_octets_after_the_last_item_are_kept() -> None:
    decoded = decode_buffer(MessageType.RESOURCE_CHANGE, 1, encode_buffer([NODE]) + bytes(12))
    assert decoded.items == (NODE,)
    assert decoded.slack == bytes(12)


def test_a_number_smaller_than_the_items_in_the_buffer() -> None:
    decoded = decode_buffer(MessageType.RESOURCE_CHANGE, 1, encode_buffer([NODE, ODD]))
    assert decoded.items == (NODE,)
    assert decoded.slack == encode_buffer([ODD])


def test_octets_within_length_after_an_item_are_kept() -> None:
    buffer = encode_buffer([ODD, NODE], wrong={"[0].Length": 24, "[0].ResourceName.terminator": bytes(6)})
    decoded = decode_buffer(MessageType.RESOURCE_CHANGE, 2, buffer)
    assert decoded.items == (ODD, NODE)
    assert decoded.padding == (bytes(4), b"")


@pytest.mark.parametrize(
    ("item", "wrong", "problem"),
    [
        (NODE, {"[0].Length": 0}, r"\[0\]\.Length at offset 0: 0 octets are less than the 8"),
        (NODE, {"[0].Length": 7}, r"\[0\]\.Length at offset 0: 7 octets are less than the 8"),
        (NODE, {"[0].Length": 8}, r"\[0\]\.ResourceName at offset 8: no terminator within 0 octets"),
        (NODE, {"[0].Length": 10}, r"\[0\]\.ResourceName at offset 8: no terminator within 2 octets"),
        (NODE, {"[0].Length": 11}, r"\[0\]\.ResourceName at offset 8: no terminator within 3 octets"),
        (NODE, {"[0].Length": 13}, r"\[0\] at offset 0: needs 13 octets, but only 12 are left"),
        (NODE, {"[0].ResourceName.terminator": "x"}, r"no terminator within 4 octets"),
        (MOVE, {"[0].Length": 11}, r"\[0\]\.Length at offset 0: 11 octets are less than the 12"),
        (MOVE, {"[0].Length": 35}, r"IPAddrInstances at offset 8: 1 addresses of 24 octets do not fit"),
        (MOVE, {"[0].IPAddrInstances": 2**32 - 1}, r"4294967295 addresses of 24 octets do not fit"),
    ],
)
def test_wrong_lengths_and_counts_are_rejected(
    item: Notification, wrong: dict[str, int], problem: str
) -> None:
    kind = MessageType.RESOURCE_CHANGE if item is NODE else MessageType.CLIENT_MOVE
    with pytest.raises(DecodeError, match=problem):
        decode_buffer(kind, 1, encode_buffer([item], wrong=wrong))


def test_offsets_in_errors_count_from_the_buffer() -> None:
    buffer = encode_buffer([ODD, NODE], wrong={"[1].ResourceName.terminator": "x"})
    with pytest.raises(DecodeError) as caught:
        decode_buffer(MessageType.RESOURCE_CHANGE, 2, buffer)
    assert (caught.value.field, caught.value.offset) == ("[1].ResourceName", 28)


def test_a_number_larger_than_the_items_in_the_buffer() -> None:
    with pytest.raises(DecodeError, match=r"\[1\]\.Length at offset 12: needs 4 octets, but only 0 are left"):
        decode_buffer(MessageType.RESOURCE_CHANGE, 2**32 - 1, encode_buffer([NODE]))


@pytest.mark.parametrize("kind", [0, 5, 2**32 - 1])
def test_unknown_kinds_are_rejected(kind: int) -> None:
    with pytest.raises(DecodeError, match=f"{kind} is not a known kind of notification") as caught:
        decode_buffer(kind, 1, bytes(64))
    assert (caught.value.field, caught.value.offset) == ("MessageType", 0)


def test_an_error_lists_the_names_of_all_fields() -> None:
    """The names are those of MS-SWN. The error for an unknown name lists them."""
    with pytest.raises(EncodeError) as changes:
        encode_buffer([NODE, ODD], wrong={"?": 0})
    with pytest.raises(EncodeError) as lists:
        encode_buffer([IpAddrInfoList((v4(1, "192.0.2.1"), v4(1, "192.0.2.2")))], wrong={"?": 0})

    names = [f"[{n}].{name}" for n in (0, 1) for name in ("Length", "ChangeType", "ResourceName")]
    names.insert(3, "[0].ResourceName.terminator")
    assert str(changes.value).endswith(f"known: {', '.join(names)}, [1].ResourceName.terminator, trailing")
    header = "[0].Length, [0].Reserved, [0].IPAddrInstances"
    entries = [f"[0].IPAddrInfo[{m}].{name}" for m in (0, 1) for name in ("Flags", "IPV4", "IPV6")]
    assert str(lists.value).endswith(f"known: {header}, {', '.join(entries)}, trailing")


def test_an_invalid_address_is_written_as_zero() -> None:
    only_v6 = IpAddrInfoList((IpAddrInfo(AddressFlags.V6, ipv6=IPv6Address("2001:db8::b")),))
    assert encode_buffer([only_v6])[16:20] == bytes(4)
    only_v4 = IpAddrInfoList((IpAddrInfo(AddressFlags.V4, IPv4Address("192.0.2.1")),))
    assert encode_buffer([only_v4])[20:] == bytes(16)


def test_an_empty_address_list() -> None:
    """A list may be empty, which 2.2.2.2 does not allow but real servers send (AMB-19)."""
    empty = IpAddrInfoList(())
    assert encode_buffer([empty]) == struct.pack("<III", 12, 0, 0)
    assert decode_buffer(MessageType.CLIENT_MOVE, 1, encode_buffer([empty])).items == (empty,)


def test_the_reserved_field_is_kept() -> None:
    reserved = IpAddrInfoList((), reserved=0xFFFFFFFF)
    assert decode_buffer(MessageType.IP_CHANGE, 1, encode_buffer([reserved])).items == (reserved,)


def test_too_large_values_and_unknown_names_are_errors() -> None:
    with pytest.raises(EncodeError, match=r"\[1\]\.ChangeType: 4294967296 does not fit"):
        encode_buffer([NODE, ResourceChange(2**32, "N")])
    with pytest.raises(EncodeError, match=r"no field named '\[1\]\.Length' here; known: \[0\]\.Length"):
        encode_buffer([NODE], wrong={"[1].Length": 0})


def test_rest_reads_all_octets() -> None:
    reader = FieldReader(b"\1\0left")
    assert reader.integer("Number", 2) == 1

    assert reader.rest() == b"left"

    assert (reader.left, reader.rest()) == (0, b"")
    reader.finish()


class TestRespAsyncNotify:
    def test_changes_do_not_need_message_type(self) -> None:
        assert RespAsyncNotify.of(ODD, NODE) == RespAsyncNotify(1, 2, encode_buffer([ODD, NODE]))

    @pytest.mark.parametrize("kind", ADDRESS_KINDS)
    def test_address_lists_need_message_type(self, kind: MessageType) -> None:
        assert RespAsyncNotify.of(MOVE, message_type=kind) == RespAsyncNotify(kind, 1, encode_buffer([MOVE]))
        with pytest.raises(ValueError, match="give message_type"):
            RespAsyncNotify.of(MOVE)

    def test_an_empty_notification_needs_message_type(self) -> None:
        problem = "give message_type: an address list can be CLIENT_MOVE, SHARE_MOVE or IP_CHANGE"
        with pytest.raises(ValueError, match=f"^{problem}$"):
            RespAsyncNotify.of()

    def test_a_resp_async_notify_is_decoded(self) -> None:
        assert RespAsyncNotify.of(ODD, NODE).decode().items == (ODD, NODE)
        assert RespAsyncNotify(1, 0, None).decode().items == ()
        with pytest.raises(DecodeError, match=r"\[0\]\.Length"):
            RespAsyncNotify(1, 1, None).decode()
