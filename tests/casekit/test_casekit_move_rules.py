"""Each check of move_rules passes a conforming notification, and fails for what it is about only."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.rules.move_rules import (
    SUCCESS_RULES,
    Kind,
    check_move,
    check_move_to_ipv6,
    check_type,
    move_rules,
)
from swn_torture.spec import load_catalogue
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import IpAddrInfo, encode_buffer
from tests.casekit.samples import (
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
    move,
    read,
)

if TYPE_CHECKING:
    from swn_torture.casekit.raw.notification import Notification

CONFORMING = (IpAddrInfo(V4, IPV4), IpAddrInfo(V6, ipv6=IPV6))
TYPES: dict[Kind, int] = {"move": 2, "share": 3, "ip": 4}

EACH_KIND = pytest.mark.parametrize("kind", get_args(Kind))


def specification(kind: Kind = "move") -> Spec:
    return Spec("rules.test", {*move_rules(kind), *move_rules(kind, ipv6=True)})


@EACH_KIND
def test_every_id_is_in_the_catalogue_and_names_its_kind(kind: Kind) -> None:
    ids = [*move_rules(kind), *move_rules(kind, ipv6=True)]

    assert {*ids, *SUCCESS_RULES} <= load_catalogue().requirements.keys()
    assert all(name.startswith(f"SWN-3.1.4.4-{kind}-") for name in ids)
    assert len({*ids}) == 12


@EACH_KIND
def test_a_conforming_move_passes_every_check(kind: Kind) -> None:
    spec = specification(kind)

    address_list = check_move(spec, kind, move(*CONFORMING, message_type=TYPES[kind]), HOST)

    assert address_list.instances == 2
    assert not spec.failed
    assert {check.requirement for check in spec.checks} == {*move_rules(kind)}


@pytest.mark.parametrize("entries", [(IpAddrInfo(0xB, IPV4, IPV6),), CONFORMING], ids=["one", "two"])
def test_a_dual_stack_interface_has_one_or_two_entries(entries: tuple[IpAddrInfo, ...]) -> None:
    spec = specification()

    check_move(spec, "move", move(*entries), DUAL_STACK)

    assert not spec.failed


INSTANCES, COPIED = "SWN-3.1.4.4-move-instances", "SWN-3.1.4.4-move-info-copied"
VALUE, BUFFER = "SWN-3.1.4.4-move-ipv4-value", "SWN-3.1.4.4-move-buffer"
LENGTH, TOTAL = "SWN-3.1.4.4-move-list-length", "SWN-3.1.4.4-move-total-length"

WRONG_MOVES: dict[str, tuple[Notification, list[str]]] = {
    "count": (move(*CONFORMING, number=2), ["SWN-3.1.4.4-move-one-message"]),
    "two-lists": (
        read(RespAsyncNotify(2, 2, encode_buffer([LIST, LIST]))),
        ["SWN-3.1.4.4-move-one-message", BUFFER],
    ),
    "octets-after-the-list": (read(RespAsyncNotify(2, 1, encode_buffer([LIST]) + bytes(4))), [BUFFER]),
    "total-length": (read(RespAsyncNotify(2, 1, encode_buffer([LIST])), Length=59), [TOTAL]),
    "list-length": (move(*CONFORMING, Length=61), [BUFFER, LENGTH]),
    "reserved": (move(*CONFORMING, Reserved=1), ["SWN-3.1.4.4-move-reserved"]),
    "instances": (move(*CONFORMING, IPAddrInstances=3), [BUFFER, LENGTH, INSTANCES]),
    "too-few-entries": (move(CONFORMING[0]), [INSTANCES, COPIED]),
    "too-many-entries": (move(*CONFORMING, IpAddrInfo(V4, OTHER_IPV4)), [INSTANCES, COPIED]),
    "other-ipv4": (move(IpAddrInfo(V4, OTHER_IPV4), CONFORMING[1]), [COPIED, VALUE]),
    "other-ipv6": (move(CONFORMING[0], IpAddrInfo(V6, ipv6=OTHER_IPV6)), [COPIED]),
    "no-ipv4-flag": (
        move(IpAddrInfo(8, IPV4), CONFORMING[1]),
        [COPIED, "SWN-3.1.4.4-move-ipv4-flag"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG_MOVES)
def test_a_wrong_move_fails_the_checks_about_it(wrong: str) -> None:
    notification, expected = WRONG_MOVES[wrong]
    spec = specification()

    check_move(spec, "move", notification, HOST)

    assert failed(spec) == expected


@EACH_KIND
def test_another_message_type_stops_the_case(kind: Kind) -> None:
    other = move(*CONFORMING, message_type=5 - TYPES[kind] if TYPES[kind] != 4 else 2)

    for check in (
        lambda spec: check_type(spec, kind, other),
        lambda spec: check_move(spec, kind, other, HOST),
        lambda spec: check_move_to_ipv6(spec, kind, other, HOST),
    ):
        spec = specification(kind)
        with pytest.raises(CaseStopped):
            check(spec)
        assert failed(spec) == [f"SWN-3.1.4.4-{kind}-type"]
        assert len(spec.checks) == 1


def test_no_list_stops_the_case() -> None:
    spec = specification()

    with pytest.raises(CaseStopped):
        check_move(spec, "move", read(RespAsyncNotify(2, 1, None)), HOST)

    assert failed(spec) == [BUFFER, TOTAL]


@pytest.mark.parametrize(
    ("notification", "expected"),
    [
        (move(*CONFORMING), []),
        (move(CONFORMING[0]), ["ipv6-value"]),
        (move(CONFORMING[0], IpAddrInfo(V6, ipv6=OTHER_IPV6)), ["ipv6-value"]),
        (move(CONFORMING[0], IpAddrInfo(8, ipv6=IPV6)), ["ipv6-flag"]),
        (read(RespAsyncNotify(2, 1, None)), ["ipv6-value"]),
    ],
    ids=["conforming", "no-entry", "other-address", "no-flag", "no-list"],
)
def test_a_move_to_ipv6(notification: Notification, expected: list[str]) -> None:
    spec = specification()

    check_move_to_ipv6(spec, "move", notification, HOST)

    assert failed(spec) == [f"SWN-3.1.4.4-move-{slug}" for slug in expected]
    assert {check.requirement for check in spec.checks} == {*move_rules("move", ipv6=True)}
