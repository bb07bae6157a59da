"""Each check of notification_rules passes a conforming notification, and fails for what it is about only."""

from __future__ import annotations

import dataclasses

import pytest

from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.raw.notification import AddressList, Change, Entry, Notification
from swn_torture.casekit.rules.notification_rules import (
    CHANGE_RULES,
    FAMILY_RULES,
    IPV6_RULES,
    LAYOUT_RULES,
    LIST_RULES,
    check_changes,
    check_families,
    check_flags,
    check_ipv6,
    check_layout,
    check_length,
    check_list,
    check_packing,
    has_extra_structure,
    is_utf16,
    name_source,
    show_as,
    structures_fit,
)
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.constants import AddressFlags, MessageType
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import IpAddrInfo, ResourceChange, encode_buffer
from tests.casekit.samples import (
    CHANGES,
    DUAL_STACK,
    HOST,
    IPV4,
    IPV6,
    LIST,
    OTHER_IPV4,
    OTHER_IPV6,
    V4,
    V6,
    failed,
    listener,
    move,
    read,
)

BOTH = pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])

# RESP_ASYNC_NOTIFY
# ----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "response",
    [RespAsyncNotify.of(LIST, message_type=3), RespAsyncNotify.of(*CHANGES)],
    ids=["address-list", "changes"],
)
def test_a_conforming_layout_passes_every_check(response: RespAsyncNotify, syntax: SyntaxId) -> None:
    spec = Spec("rules.test", LAYOUT_RULES)

    check_layout(spec, read(response, syntax))

    assert not spec.failed
    assert {check.requirement for check in spec.checks} == set(LAYOUT_RULES)


def changes(*, number: int = 2, wrong: dict[str, int] | None = None) -> RespAsyncNotify:
    return RespAsyncNotify(1, number, encode_buffer(CHANGES, wrong=wrong))


def addresses(
    *, message_type: int = 2, number: int = 1, wrong: dict[str, int] | None = None
) -> RespAsyncNotify:
    return RespAsyncNotify(message_type, number, encode_buffer([LIST], wrong=wrong))


WRONG_LAYOUTS: dict[str, tuple[Notification, list[str]]] = {
    "unknown-type": (read(addresses(message_type=7)), ["SWN-2.2.2.4-type-defined"]),
    "type-of-other-structures": (
        read(addresses(message_type=1)),
        ["SWN-2.2.2.4-buffer-type", "SWN-2.2.2-buffer-packed"],
    ),
    "count-too-high": (read(addresses(number=2)), ["SWN-2.2.2.4-count"]),
    "count-too-low": (read(changes(number=1)), ["SWN-2.2.2.4-count", "SWN-2.2.2.4-buffer-type"]),
    "octets-after-structures": (
        read(RespAsyncNotify(2, 1, encode_buffer([LIST]) + bytes(12))),
        ["SWN-2.2.2.4-buffer-type"],
    ),
    "length-too-low": (read(addresses(), Length=59), ["SWN-2.2.2.4-length"]),
    "length-too-high": (read(addresses(), Length=61), ["SWN-2.2.2.4-length"]),
    "return-value": (read(addresses(), result=0x5B4), ["SWN-2.2.2.4-layout"]),
    "octets-after-return-value": (read(addresses(), after=b"\0"), ["SWN-2.2.2.4-layout"]),
    "no-buffer": (
        read(RespAsyncNotify(2, 1, None)),
        [
            "SWN-2.2.2.4-layout",
            "SWN-2.2.2.4-length",
            "SWN-2.2.2.4-count",
            "SWN-2.2.2.4-buffer-type",
            "SWN-2.2.2-little-endian",
            "SWN-2.2.2-buffer-packed",
        ],
    ),
    "instances-too-high": (
        read(addresses(wrong={"[0].IPAddrInstances": 3})),
        ["SWN-2.2.2.4-buffer-type", "SWN-2.2.2-little-endian", "SWN-2.2.2-buffer-packed"],
    ),
    "instances-too-low": (
        read(addresses(wrong={"[0].IPAddrInstances": 1})),
        ["SWN-2.2.2.4-buffer-type", "SWN-2.2.2-buffer-packed"],
    ),
    "change-type": (read(changes(wrong={"[1].ChangeType": 2})), ["SWN-2.2.2-little-endian"]),
    "big-endian-structures": (
        read(RespAsyncNotify(1, 1, b"\0\0\0\x0c\0\0\0\1A\0\0\0")),
        ["SWN-2.2.2.4-buffer-type", "SWN-2.2.2-little-endian"],
    ),
    "padding-after-the-name": (
        read(RespAsyncNotify(1, 1, b"\x10\0\0\0\1\0\0\0A\0\0\0\0\0\0\0")),
        ["SWN-2.2.2-buffer-packed"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG_LAYOUTS)
def test_a_wrong_layout_fails_the_checks_about_it(wrong: str) -> None:
    notification, expected = WRONG_LAYOUTS[wrong]
    spec = Spec("rules.test", LAYOUT_RULES)

    check_layout(spec, notification)

    assert failed(spec) == expected


def test_packing_is_checked_alone() -> None:
    spec = Spec("rules.test", LAYOUT_RULES)

    check_packing(spec, read(changes()))

    assert [check.requirement for check in spec.checks] == [
        "SWN-2.2.2-little-endian",
        "SWN-2.2.2-buffer-packed",
    ]
    assert not spec.failed


@pytest.mark.parametrize(("length", "passes"), [(60, True), (59, False), (61, False)])
def test_length_is_the_size_of_the_buffer(length: int, passes: bool) -> None:
    spec = Spec("rules.test", ["SWN-3.1.4.4-move-total-length"])

    check_length(spec, read(addresses(), Length=length), "SWN-3.1.4.4-move-total-length")

    assert [check.passed for check in spec.checks] == [passes]


def test_length_must_have_room_for_the_structures() -> None:
    spec = Spec("rules.test", ["SWN-2.2.2.4-length"])
    notification = dataclasses.replace(read(addresses()), length=40, max_count=40)

    check_length(spec, notification, "SWN-2.2.2.4-length")

    assert failed(spec) == ["SWN-2.2.2.4-length"]


def test_each_structure_fits_by_itself() -> None:
    assert structures_fit(read(changes())) == [True, True]
    # The first change claims two octets of the second one.
    assert structures_fit(read(changes(wrong={"[0].Length": 22}))) == [False, False]
    assert structures_fit(move(IpAddrInfo(V4, IPV4))) == [True]
    assert structures_fit(move(IpAddrInfo(V4, IPV4), IPAddrInstances=2)) == [False]
    assert structures_fit(read(RespAsyncNotify(2, 1, None))) == []


@pytest.mark.parametrize(
    ("after", "extra"),
    [
        (b"", False),
        (bytes(12), False),
        (encode_buffer([ResourceChange(1, "")]), True),
        (b"\x0d\0\0\0" * 3, False),
    ],
    ids=["nothing", "zeros", "a-change", "too-short"],
)
def test_an_extra_structure_begins_with_its_length(after: bytes, extra: bool) -> None:
    notification = read(RespAsyncNotify(2, 1, encode_buffer([LIST]) + after))

    assert has_extra_structure(notification) is extra


def test_numbers_show_as_symbols() -> None:
    assert show_as(MessageType)(2) == "CLIENT_MOVE (0x2)"
    assert show_as(AddressFlags)(0x9) == "V4|ONLINE (0x9)"
    assert show_as(MessageType)(None) == "none"


# IPADDR_INFO_LIST
# ----------------------------------------------------------------------------------------------------------

CONFORMING = (IpAddrInfo(V4, IPV4), IpAddrInfo(V6, ipv6=IPV6))


def the_list(notification: Notification) -> AddressList:
    (address_list,) = notification.lists
    return address_list


def test_a_conforming_list_passes_every_check() -> None:
    spec = Spec("rules.test", LIST_RULES)

    check_list(spec, the_list(move(*CONFORMING)), HOST)

    assert not spec.failed
    assert {check.requirement for check in spec.checks} == set(LIST_RULES)
    assert [choice.observed for choice in spec.choices] == ["network order"]


SIZES = ["SWN-2.2.2.2-length", "SWN-2.2.2.1-size-24"]
RESERVED = ["SWN-2.2.2.2-reserved-zero", "SWN-2.2.2.2-reserved-unused"]
CONTENT = ["SWN-2.2.2.1-ipv4-content", "SWN-2.2.2.1-address-byte-order"]

WRONG_LISTS: dict[str, tuple[Notification, list[str]]] = {
    "length": (move(*CONFORMING, Length=59), [*SIZES, "SWN-2.2.2.2-instances"]),
    "reserved": (move(*CONFORMING, Reserved=1), RESERVED),
    "instances-too-high": (move(*CONFORMING, IPAddrInstances=3), [*SIZES, "SWN-2.2.2.2-instances"]),
    "instances-too-low": (move(*CONFORMING, IPAddrInstances=1), [*SIZES, "SWN-2.2.2.2-instances"]),
    "no-entry": (move(), ["SWN-2.2.2.2-at-least-one", "SWN-2.2.2.1-ipv4-content"]),
    "zero-address": (move(IpAddrInfo(V4), CONFORMING[1]), ["SWN-2.2.2.1-v4-valid", *CONTENT]),
    "other-address": (move(IpAddrInfo(V4, OTHER_IPV4), CONFORMING[1]), CONTENT),
    "undefined-flag": (move(IpAddrInfo(V4 | 4, IPV4), CONFORMING[1]), ["SWN-2.2.2.1-flags-defined"]),
    "online-and-offline": (
        move(IpAddrInfo(0x19, IPV4), CONFORMING[1]),
        ["SWN-2.2.2.1-online-offline-exclusive"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG_LISTS)
def test_a_wrong_list_fails_the_checks_about_it(wrong: str) -> None:
    notification, expected = WRONG_LISTS[wrong]
    spec = Spec("rules.test", LIST_RULES)

    check_list(spec, the_list(notification), HOST)

    assert failed(spec) == expected


def test_reversed_addresses_are_recorded_as_a_choice() -> None:
    spec = Spec("rules.test", LIST_RULES)
    entry = Entry(V4, IPV4.packed[::-1], bytes(16))

    check_list(spec, AddressList(36, 0, 1, (entry,), b""), HOST)

    assert failed(spec) == CONTENT
    assert [(choice.ambiguity, choice.observed) for choice in spec.choices] == [("AMB-25", "reversed octets")]


def test_flags_record_undefined_bits_and_unused_fields() -> None:
    spec = Spec("rules.test", LIST_RULES)
    entry = Entry(V4 | 0x20, IPV4.packed, b"\1" * 16)

    check_flags(spec, [entry])

    recorded = {check.requirement: check.observed for check in spec.checks if check.passed is None}
    assert recorded == {
        "SWN-B1-undefined-flag-bits": "undefined bits: 0x20",
        "SWN-2.2.2.1-unused-address-zero": f"unused fields: {entry.ipv6.hex(' ')}",
    }


# Address families
# ----------------------------------------------------------------------------------------------------------


def test_entries_with_one_family_pass() -> None:
    spec = Spec("rules.test", FAMILY_RULES)

    check_families(spec, the_list(move(*CONFORMING)), HOST)

    assert [check.passed for check in spec.checks] == [True, True]
    assert not spec.choices


@pytest.mark.parametrize("ipv6", [IPV6, OTHER_IPV6])
def test_both_families_of_different_interfaces_fail(ipv6: object) -> None:
    spec = Spec("rules.test", FAMILY_RULES)
    entry = Entry(0xB, IPV4.packed, IPV6.packed if ipv6 == IPV6 else OTHER_IPV6.packed)
    host = HOST if ipv6 == IPV6 else DUAL_STACK

    check_families(spec, AddressList(36, 0, 1, (entry,), b""), host)

    assert failed(spec) == list(FAMILY_RULES)


@pytest.mark.parametrize(
    ("entries", "choice"),
    [
        ((IpAddrInfo(0xB, IPV4, IPV6),), "one entry with both families"),
        (CONFORMING, "one entry for each family"),
    ],
)
def test_a_dual_stack_interface_is_a_choice(entries: tuple[IpAddrInfo, ...], choice: str) -> None:
    spec = Spec("rules.test", FAMILY_RULES)

    check_families(spec, the_list(move(*entries)), DUAL_STACK)

    assert not spec.failed
    assert [(each.ambiguity, each.observed) for each in spec.choices] == [("AMB-16", choice)]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (CONFORMING, []),
        ((CONFORMING[0],), list(IPV6_RULES)),
        ((IpAddrInfo(V6),), list(IPV6_RULES)),
        ((IpAddrInfo(V6, ipv6=OTHER_IPV6),), ["SWN-2.2.2.1-ipv6-content"]),
        ((CONFORMING[1], IpAddrInfo(V6, ipv6=OTHER_IPV6)), ["SWN-2.2.2.1-ipv6-content"]),
    ],
    ids=["conforming", "no-entry", "zero-address", "other-address", "one-too-many"],
)
def test_ipv6_entries(entries: tuple[IpAddrInfo, ...], expected: list[str]) -> None:
    spec = Spec("rules.test", IPV6_RULES)

    check_ipv6(spec, the_list(move(*entries)), HOST)

    assert failed(spec) == expected


# RESOURCE_CHANGE
# ----------------------------------------------------------------------------------------------------------

REGISTERED = listener()


@pytest.mark.parametrize("name", ["NODE1", "cluster", "192.0.2.5"])
def test_a_conforming_change_passes_every_check(name: str) -> None:
    spec = Spec("rules.test", CHANGE_RULES)

    check_changes(spec, read(RespAsyncNotify.of(ResourceChange(1, name))), REGISTERED, ["NODE1"])

    assert not spec.failed
    assert {check.requirement for check in spec.checks} == set(CHANGE_RULES)


def change(octets: bytes, *, length: int | None = None, change_type: int = 1) -> Notification:
    """A notification with one RESOURCE_CHANGE that has these octets as ResourceName."""
    size = 8 + len(octets) if length is None else length
    fields = size.to_bytes(4, "little") + change_type.to_bytes(4, "little")
    return read(RespAsyncNotify(1, 1, fields + octets))


NODE1 = "NODE1".encode("utf-16-le")

WRONG_CHANGES: dict[str, tuple[Notification, list[str]]] = {
    "length": (change(NODE1 + b"\0\0", length=21), ["SWN-2.2.2.3-length"]),
    "change-type": (change(NODE1 + b"\0\0", change_type=2), ["SWN-2.2.2.3-changetype-values"]),
    "no-null-character": (change(NODE1), ["SWN-2.2.2.3-length", "SWN-2.2.2.3-name-terminated"]),
    "two-null-characters": (
        change(NODE1 + b"\0\0\0\0"),
        ["SWN-2.2.2.3-length", "SWN-2.2.2.3-name-terminated"],
    ),
    "big-endian": (
        change("NODE1\0".encode("utf-16-be")),
        ["SWN-2.2.2.3-name-utf16", "SWN-2.2.2.3-name-source"],
    ),
    "ascii": (
        change(b"NODE1\0\0\0"),
        [
            "SWN-2.2.2.3-name-utf16",
            "SWN-2.2.2.3-name-source",
        ],
    ),
    "unknown-name": (change("OTHER\0".encode("utf-16-le")), ["SWN-2.2.2.3-name-source"]),
}


@pytest.mark.parametrize("wrong", WRONG_CHANGES)
def test_a_wrong_change_fails_the_checks_about_it(wrong: str) -> None:
    notification, expected = WRONG_CHANGES[wrong]
    spec = Spec("rules.test", CHANGE_RULES)

    check_changes(spec, notification, REGISTERED, ["NODE1"])

    assert failed(spec) == expected


def test_every_change_of_a_notification_is_checked() -> None:
    spec = Spec("rules.test", CHANGE_RULES)
    response = RespAsyncNotify.of(ResourceChange(1, "NODE1"), ResourceChange(7, "NODE1"))

    check_changes(spec, read(response), REGISTERED, ["NODE1"])

    assert len(spec.checks) == 2 * len(CHANGE_RULES)
    assert failed(spec) == ["SWN-2.2.2.3-changetype-values"]


def test_no_change_stops_the_case_after_a_failed_check() -> None:
    spec = Spec("rules.test", [*CHANGE_RULES, *LAYOUT_RULES])
    empty = read(RespAsyncNotify(1, 0, b""))
    check_layout(spec, empty)

    with pytest.raises(CaseStopped):
        check_changes(spec, empty, REGISTERED, ["NODE1"])


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("Cluster", "the registered NetName"),
        ("192.0.2.5", "the registered IpAddress"),
        ("node1", "an InterfaceGroupName"),
        ("node2", None),
        ("", None),
    ],
)
def test_a_resource_name_has_a_source(name: str, source: str | None) -> None:
    assert name_source(name, REGISTERED, ["NODE1"]) == source


def test_a_known_name_outside_ascii_is_utf16() -> None:
    name = "KNÖTEN"
    known = Change(0, 1, f"{name}\0".encode("utf-16-le"))

    assert is_utf16(known, REGISTERED, [name])
    assert not is_utf16(known, REGISTERED, ["NODE1"])
    assert not is_utf16(Change(0, 1, b"\0\xd8"), REGISTERED, [name])
