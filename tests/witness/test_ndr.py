"""The NDR parts that the witness messages alone do not use: limits, UUIDs, referents, varying arrays."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.ndr import FIRST_REFERENT, REFERENT_STEP, Reader, Writer, wide_size
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from tests.witness.witness_samples import SYNTAXES

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder

both_syntaxes = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
both_orders = pytest.mark.parametrize("order", ["little", "big"])

SOME_UUID = UUID("00112233-4455-6677-8899-aabbccddeeff")
UUID_OCTETS = {"little": SOME_UUID.bytes_le, "big": SOME_UUID.bytes}


def written(writer: Writer, pointers: list[bool]) -> list[int]:
    """Write pointers, present or null; return their referents."""
    for index, present in enumerate(pointers):
        writer.pointer(f"[{index}]", present=present)
    octets = writer.finish()
    return [
        int.from_bytes(octets[at : at + writer.wide], "little") for at in range(0, len(octets), writer.wide)
    ]


@both_syntaxes
def test_referents_are_those_of_windows_by_default(syntax: SyntaxId) -> None:
    assert (FIRST_REFERENT, REFERENT_STEP) == (0x20000, 4)
    assert written(Writer(syntax), [True, False, True, True]) == [0x20000, 0, 0x20004, 0x20008]


@both_syntaxes
def test_referents_with_another_start_and_step(syntax: SyntaxId) -> None:
    writer = Writer(syntax, first_referent=1, referent_step=1)

    assert written(writer, [True, False, True, True]) == [1, 0, 2, 3]


@both_syntaxes
@both_orders
def test_a_uuid_is_aligned_to_4_octets(syntax: SyntaxId, order: ByteOrder) -> None:
    writer = Writer(syntax, order)
    writer.u16("Before", 1)
    writer.uuid("Uuid", SOME_UUID)
    octets = writer.finish()

    assert octets == (1).to_bytes(2, order) + bytes(2) + UUID_OCTETS[order]
    assert writer.names == ["Before", "Uuid.padding", "Uuid"]
    reader = Reader(octets, syntax, order)
    assert (reader.u16("Before"), reader.uuid("Uuid")) == (1, SOME_UUID)


@both_syntaxes
@both_orders
def test_a_context_handle_has_20_octets(syntax: SyntaxId, order: ByteOrder) -> None:
    writer = Writer(syntax, order)
    writer.context_handle("Handle", 7, SOME_UUID)
    octets = writer.finish()

    assert octets == (7).to_bytes(4, order) + UUID_OCTETS[order]
    assert writer.names == ["Handle.attributes", "Handle.uuid"]
    assert Reader(octets, syntax, order).context_handle("Handle") == (7, SOME_UUID)


def test_a_truncated_uuid_is_rejected() -> None:
    with pytest.raises(DecodeError) as caught:
        Reader(bytes(15), NDR32, "little").uuid("Uuid")
    assert (caught.value.field, caught.value.offset) == ("Uuid", 0)


@both_syntaxes
@both_orders
@pytest.mark.parametrize("before", [0, 1, 3, 4])
def test_three_numbers_are_aligned_and_read_at_once(syntax: SyntaxId, order: ByteOrder, before: int) -> None:
    writer = Writer(syntax, order)
    writer.octets("Before", bytes(before))
    for number, name in enumerate("ABC", 1):
        writer.u32(name, number)
    reader = Reader(writer.finish(), syntax, order)
    reader.octets("Before", before)
    assert reader.three_u32(*"ABC") == (1, 2, 3)
    reader.finish()


@pytest.mark.parametrize(("left", "field"), [(11, "C"), (8, "C"), (7, "B"), (0, "A")])
def test_the_number_that_is_cut_short_is_named(left: int, field: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Reader(bytes(left), NDR32, "little").three_u32(*"ABC")
    assert caught.value.field == field


@pytest.mark.parametrize(("end", "field", "offset"), [(3, "attributes", 0), (19, "uuid", 4)])
def test_a_truncated_context_handle_is_rejected(end: int, field: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        Reader(bytes(end), NDR32, "little").context_handle("Handle")
    assert (caught.value.field, caught.value.offset) == (f"Handle.{field}", offset)


@both_syntaxes
def test_counts_of_a_varying_array_are_written_and_read(syntax: SyntaxId) -> None:
    writer = Writer(syntax)
    writer.varying_counts("Array", 9, 4)
    octets = writer.finish()

    assert octets == struct.pack("<III" if syntax == NDR32 else "<QQQ", 9, 0, 4)
    assert Reader(octets, syntax, "little").varying_counts("Array", maximum=9) == 4
    whole = struct.pack("<III" if syntax == NDR32 else "<QQQ", 9, 0, 9)
    assert Reader(whole, syntax, "little").varying_counts("Array", maximum=9) == 9


@both_syntaxes
@pytest.mark.parametrize(
    ("counts", "index", "field", "problem"),
    [
        ((10, 0, 4), 0, "max_count", "10 exceeds the maximum of 9"),
        ((9, 1, 4), 1, "offset", "1 instead of 0"),
        ((3, 0, 4), 2, "actual_count", "4 exceeds the max_count of 3"),
    ],
)
def test_wrong_counts_of_a_varying_array_are_rejected(
    syntax: SyntaxId, counts: tuple[int, int, int], index: int, field: str, problem: str
) -> None:
    octets = struct.pack("<III" if syntax == NDR32 else "<QQQ", *counts)

    with pytest.raises(DecodeError) as caught:
        Reader(octets, syntax, "little").varying_counts("Array", maximum=9)

    assert (caught.value.field, caught.value.problem) == (f"Array.{field}", problem)
    assert caught.value.offset == index * wide_size(syntax)


@both_syntaxes
@pytest.mark.parametrize("value", [0, 499, 500])
def test_numbers_up_to_their_maximum_are_read(syntax: SyntaxId, value: int) -> None:
    octets = value.to_bytes(8, "little")

    assert Reader(octets, syntax, "little").u32("Number", maximum=500) == value
    assert Reader(octets, syntax, "little").count("Number", maximum=500) == value


def test_numbers_beyond_their_maximum_are_rejected() -> None:
    octets = bytes(4) + (501).to_bytes(4, "little") + (501).to_bytes(8, "little")

    with pytest.raises(DecodeError, match=r"^Number at offset 4: 501 exceeds the maximum of 500$"):
        skipped(octets, NDR32, 4).u32("Number", maximum=500)
    with pytest.raises(DecodeError, match=r"^Count at offset 8: 501 exceeds the maximum of 500$"):
        skipped(octets, NDR64, 5).count("Count", maximum=500)


def skipped(octets: bytes, syntax: SyntaxId, count: int) -> Reader:
    """Return a reader that has read some octets."""
    reader = Reader(octets, syntax, "little")
    reader.octets("Before", count)
    return reader
