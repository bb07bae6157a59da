"""Notifications are taken apart even when what they say of themselves is wrong."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from swn_torture.casekit.checks import Spec
from swn_torture.casekit.raw.notification import Notification, Unreadable
from swn_torture.casekit.rules.notification_rules import FRAME_RULES, check_frame, fits
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import AsyncNotifyResponse, RespAsyncNotify
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange, encode_buffer

LIST = IpAddrInfoList(
    (IpAddrInfo(0x9, IPv4Address("192.0.2.5")), IpAddrInfo(0xA, ipv6=IPv6Address("2001:db8::5")))
)
CHANGES = (ResourceChange(0xFF, "NODE1"), ResourceChange(1, "NODE1"))
BOTH = pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])


def read(syntax: SyntaxId, notified: RespAsyncNotify, **wrong: int) -> Notification:
    notification = Notification.read(
        encode(AsyncNotifyResponse(notified, 0), syntax, wrong=wrong or None), syntax
    )
    assert notification is not None
    return notification


@BOTH
def test_an_address_list_reads_as_it_was_written(syntax: SyntaxId) -> None:
    notification = read(syntax, RespAsyncNotify.of(LIST, message_type=2))

    assert (notification.message_type, notification.number, notification.length, notification.max_count) == (
        2,
        1,
        60,
        60,
    )
    assert notification.addresses == ("192.0.2.5", "2001:db8::5")
    assert [entry.flags for entry in notification.entries] == [0x9, 0xA]
    assert fits(notification) == [True]


@BOTH
def test_changes_read_as_they_were_written(syntax: SyntaxId) -> None:
    notification = read(syntax, RespAsyncNotify.of(*CHANGES))

    assert [(change.text, change.change_type) for change in notification.changes] == [
        ("NODE1", 0xFF),
        ("NODE1", 1),
    ]
    assert fits(notification) == [True, True]
    assert str(notification).startswith("RESOURCE_CHANGE (0x1): 'NODE1' UNAVAILABLE")


@BOTH
def test_a_null_response_is_none(syntax: SyntaxId) -> None:
    assert Notification.read(encode(AsyncNotifyResponse(None, 0), syntax), syntax) is None


@pytest.mark.parametrize("cut", [0, 3, 12, 30])
def test_octets_that_end_early_are_said_to(cut: int) -> None:
    octets = encode(AsyncNotifyResponse(RespAsyncNotify.of(*CHANGES), 0), NDR32)

    with pytest.raises(Unreadable, match="are there"):
        Notification.read(octets[:cut], NDR32)


@pytest.mark.parametrize("length", [0, 3, 5000])
def test_an_impossible_length_leaves_the_rest_to_the_structure(length: int) -> None:
    buffer = encode_buffer(CHANGES, wrong={"[0].Length": length})

    notification = read(NDR32, RespAsyncNotify(1, 2, buffer))

    assert [change.length for change in notification.changes] == [length]
    assert notification.structures == (buffer,)


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        (RespAsyncNotify(7, 1, encode_buffer([LIST])), "SWN-2.2.2.4-type-defined"),
        (RespAsyncNotify(2, 2, encode_buffer([LIST])), "SWN-2.2.2.4-count"),
        (RespAsyncNotify(1, 1, encode_buffer(CHANGES)), "SWN-2.2.2.4-count"),
        (RespAsyncNotify(2, 1, encode_buffer([LIST]) + bytes(12)), "SWN-2.2.2.4-buffer-type"),
        (RespAsyncNotify(2, 1, None), "SWN-2.2.2.4-layout"),
        (
            RespAsyncNotify(2, 1, encode_buffer([LIST], wrong={"[0].IPAddrInstances": 3})),
            "SWN-2.2.2.4-buffer-type",
        ),
    ],
    ids=["unknown-kind", "too-many", "too-few", "slack", "no-buffer", "instances"],
)
def test_each_wrong_frame_breaks_the_rule_for_it(notified: RespAsyncNotify, broken: str) -> None:
    spec = Spec("harness.test", FRAME_RULES)

    check_frame(spec, read(NDR64, notified))

    assert broken in {check.requirement for check in spec.failed}


def test_a_right_frame_breaks_none() -> None:
    spec = Spec("harness.test", FRAME_RULES)

    check_frame(spec, read(NDR32, RespAsyncNotify.of(LIST, message_type=3)))

    assert not spec.failed
    assert {check.requirement for check in spec.checks} == set(FRAME_RULES)


def test_a_length_that_is_not_the_size_of_the_buffer_is_seen() -> None:
    spec = Spec("harness.test", FRAME_RULES)

    check_frame(spec, read(NDR32, RespAsyncNotify.of(LIST, message_type=3), Length=59))

    assert [check.requirement for check in spec.failed] == ["SWN-2.2.2.4-length"]
