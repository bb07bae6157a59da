"""The raw reader of interface lists reads every field, also where counts are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.raw.interface_list import ELEMENT_SIZE, Element, RawInterfaceList
from swn_torture.casekit.raw.notification import Unreadable
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import GetInterfaceListResponse, InterfaceList
from tests.casekit.samples import IPV4, IPV6, OTHER_IPV4, interface

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder

LIST = InterfaceList((interface(IPV4, IPV6, group="NODE1"), interface(OTHER_IPV4, state=0xFF, group="N2")))

EVERY_FORM = pytest.mark.parametrize(
    ("syntax", "byte_order"),
    [(NDR32, "little"), (NDR32, "big"), (NDR64, "little"), (NDR64, "big")],
    ids=["ndr32-little", "ndr32-big", "ndr64-little", "ndr64-big"],
)


def stub_of(
    interfaces: InterfaceList | None, syntax: SyntaxId = NDR32, byte_order: ByteOrder = "little", **wrong: Any
) -> bytes:
    response = GetInterfaceListResponse(interfaces, 5)
    return encode(response, syntax, byte_order=byte_order, wrong=wrong or None)


@EVERY_FORM
def test_a_list_reads_as_written(syntax: SyntaxId, byte_order: ByteOrder) -> None:
    read = RawInterfaceList.read(stub_of(LIST, syntax, byte_order), syntax, byte_order)

    assert (read.number, read.max_count, read.result) == (2, 2, 5)
    assert read.referent
    assert read.array_referent
    assert len(read.area) == 2 * ELEMENT_SIZE
    assert [element.text for element in read.elements] == ["NODE1", "N2"]
    assert [element.version for element in read.elements] == [0x00020000, 0x00020000]
    assert [element.state for element in read.elements] == [1, 0xFF]
    assert [element.addresses for element in read.elements] == [(IPV4, IPV6), (OTHER_IPV4,)]


@EVERY_FORM
def test_a_null_list_has_only_the_return_value(syntax: SyntaxId, byte_order: ByteOrder) -> None:
    read = RawInterfaceList.read(stub_of(None, syntax, byte_order), syntax, byte_order)

    assert (read.referent, read.number, read.array_referent, read.max_count) == (0, 0, 0, None)
    assert (read.area, read.elements, read.result) == (b"", (), 5)


def test_a_null_array_has_no_count() -> None:
    read = RawInterfaceList.read(stub_of(InterfaceList(None)), NDR32, "little")

    assert read.referent
    assert (read.array_referent, read.max_count, read.elements) == (0, None, ())


def test_wrong_counts_do_not_change_the_elements() -> None:
    stub = stub_of(LIST, NumberOfInterfaces=9)

    read = RawInterfaceList.read(stub, NDR32, "little")

    assert (read.number, len(read.elements)) == (9, 2)


def test_an_incomplete_element_is_left_out() -> None:
    stub = stub_of(LIST)

    read = RawInterfaceList.read(stub[:-14] + stub[-4:], NDR32, "little")

    assert len(read.area) == 2 * ELEMENT_SIZE - 10
    assert [element.text for element in read.elements] == ["NODE1"]


@pytest.mark.parametrize("size", [0, 3, 6, 11, 15, 19])
def test_missing_octets_are_reported(size: int) -> None:
    with pytest.raises(Unreadable):
        RawInterfaceList.read(stub_of(LIST)[:size], NDR32, "little")


def test_an_element_shows_its_fields() -> None:
    (element, _) = RawInterfaceList.read(stub_of(LIST), NDR32, "little").elements

    assert str(element) == ('"NODE1" 192.0.2.5 and 2001:db8::5, Version 0x00020000, State 0x0001, Flags 0x3')


def test_a_name_without_null_character_is_whole() -> None:
    octets = b"A\0" * 260 + bytes(ELEMENT_SIZE - 520)

    assert Element.read(octets, "little").text == "A" * 260
