"""The raw reader of notifications reads every field, also where lengths and counts are wrong."""

from __future__ import annotations

import itertools

import pytest

from swn_torture.casekit.raw.notification import AddressList, Cursor, Entry, Notification, Unreadable
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import AsyncNotifyResponse, RespAsyncNotify
from swn_torture.witness.notifications import encode_buffer
from tests.casekit.samples import CHANGES, LIST, read

BOTH = pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])


@BOTH
def test_an_address_list_reads_as_written(syntax: SyntaxId) -> None:
    notification = read(RespAsyncNotify.of(LIST, message_type=2), syntax)

    assert (notification.message_type, notification.number) == (2, 1)
    assert (notification.length, notification.max_count) == (60, 60)
    assert notification.addresses == ("192.0.2.5", "2001:db8::5")
    assert [entry.flags for entry in notification.entries] == [0x9, 0xA]
    assert str(notification).startswith("CLIENT_MOVE (0x2): 192.0.2.5 V4|ONLINE (0x9); ")


@BOTH
def test_changes_read_as_written(syntax: SyntaxId) -> None:
    notification = read(RespAsyncNotify.of(*CHANGES), syntax)

    assert [change.text for change in notification.changes] == ["NODE1", "NODE1"]
    assert [change.change_type for change in notification.changes] == [0xFF, 1]
    assert str(notification).startswith('RESOURCE_CHANGE (0x1): "NODE1" UNAVAILABLE')


@BOTH
def test_a_null_response_is_none(syntax: SyntaxId) -> None:
    assert Notification.read(encode(AsyncNotifyResponse(None, 0), syntax), syntax) is None


def test_big_endian_stub_data_has_the_same_buffer() -> None:
    stub = encode(AsyncNotifyResponse(RespAsyncNotify.of(*CHANGES), 5), NDR32, byte_order="big")

    notification = Notification.read(stub, NDR32, "big")

    assert notification is not None
    assert (notification.message_type, notification.number, notification.result) == (1, 2, 5)
    assert [change.text for change in notification.changes] == ["NODE1", "NODE1"]


@pytest.mark.parametrize("cut", [0, 3, 12, 30])
def test_missing_octets_are_reported(cut: int) -> None:
    octets = encode(AsyncNotifyResponse(RespAsyncNotify.of(*CHANGES), 0), NDR32)

    with pytest.raises(Unreadable, match="are left"):
        Notification.read(octets[:cut], NDR32)


@pytest.mark.parametrize("length", [0, 3, 5000])
def test_an_impossible_length_leaves_the_rest_to_it(length: int) -> None:
    buffer = encode_buffer(CHANGES, wrong={"[0].Length": length})

    notification = read(RespAsyncNotify(1, 2, buffer))

    assert [change.length for change in notification.changes] == [length]
    assert notification.structures == (buffer,)


def test_octets_after_the_structures_are_kept() -> None:
    buffer = encode_buffer(CHANGES)

    notification = read(RespAsyncNotify(1, 1, buffer), after=b"\1\2")

    assert notification.structures == (buffer[:20],)
    assert notification.after_structures == buffer[20:]
    assert notification.after_return_value == b"\1\2"


def test_an_incomplete_entry_is_not_an_entry() -> None:
    buffer = encode_buffer([LIST], wrong={"[0].Length": 59})[:59]

    (address_list,) = read(RespAsyncNotify(2, 1, buffer)).lists

    assert (len(address_list.entries), len(address_list.rest)) == (1, 23)


def test_the_cursor_aligns_numbers_to_their_size() -> None:
    cursor = Cursor(bytes(range(16)), "little")

    assert cursor.octets(1, "first") == b"\0"
    assert cursor.number(2, "second") == 0x0302
    assert cursor.number(8, "third") == 0x0F0E0D0C0B0A0908
    assert cursor.rest() == b""
    with pytest.raises(Unreadable, match="fourth needs 4 octets at offset 16, but 0 are left"):
        cursor.number(4, "fourth")


def test_entries_are_shown_in_the_order_of_their_addresses() -> None:
    """So that two runs against a server that changes the order report the same."""
    entries = [
        Entry(0xA, bytes(4), bytes(15) + b"\x02"),
        Entry(0x9, bytes([192, 0, 2, 9]), bytes(16)),
        Entry(0x9, bytes([192, 0, 2, 1]), bytes(16)),
    ]
    shown = "192.0.2.1 V4|ONLINE (0x9); 192.0.2.9 V4|ONLINE (0x9); ::2 V6|ONLINE (0xA)"
    for order in itertools.permutations(entries):
        assert str(AddressList(0, 0, 3, order, b"")) == shown


def test_structures_that_number_of_messages_hides_are_read_all_the_same() -> None:
    notification = read(RespAsyncNotify(1, 0, encode_buffer(CHANGES)), NDR32)

    assert (notification.number, len(notification.changes)) == (0, 2)
    assert notification.hides_structures
    assert not read(RespAsyncNotify.of(*CHANGES), NDR32).hides_structures
    assert not read(RespAsyncNotify(1, 0, b""), NDR32).hides_structures
