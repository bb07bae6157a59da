"""Which calls of cases that run together are one action, and how many actions a run has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import Capability, Failure
from swn_torture.control.manual.call import Call
from swn_torture.control.step import Step
from swn_torture.harness.persons.plan import chains
from swn_torture.harness.persons.rounds import changes_of, count, next_action

if TYPE_CHECKING:
    from collections.abc import Sequence

DOWN, UP = Call.of("disable", "N2"), Call.of("enable", "N2")
CRASH = Call.of("fail", "N2", Failure.CRASH)


def move(client: str) -> Call:
    return Call.of("move_client", client, "N2", net_name=None)


def share_move(**named: Any) -> Call:
    return Call.of("move_share", "SHARE", "N2", **named)


@pytest.mark.parametrize(
    ("call", "verb", "capability", "step"),
    [
        (DOWN, "disable", Capability.DISABLE_NODE, Step("disable", ("N2",))),
        (CRASH, "crash", Capability.FAIL_CRASH, Step("fail", ("N2",))),
        (Call.of("fail", "N2", Failure.BAN), "ban", Capability.FAIL_BAN, Step("exclude", ("N2",))),
        (
            Call.of("set_interface", "N2", up=False),
            "interface-down",
            Capability.INTERFACE_STATE,
            Step("interface_down", ("N2",)),
        ),
        (move("C1"), "move-client", Capability.MOVE_CLIENT, None),
        (Call.of("restart", "N2"), "restart", Capability.RESTART_SERVICE, None),
    ],
)
def test_call_says_what_it_needs_and_changes(
    call: Call, verb: str, capability: Capability, step: Step | None
) -> None:
    assert (call.verb, call.capability, call.step) == (verb, capability, step)


def test_moves_of_all_clients_are_one_action_before_changes_of_nodes() -> None:
    waiting = {"a": DOWN, "b": move("C1"), "c": move("C2"), "d": share_move(client="C3")}
    assert next_action(waiting) == (["b", "c"], [])
    assert next_action({"a": DOWN, "d": waiting["d"]}) == (["d"], [])


def test_change_serves_those_who_want_the_same_and_no_others() -> None:
    assert next_action({"a": DOWN, "b": DOWN}) == (["a", "b"], [])
    assert next_action({"a": DOWN, "b": CRASH, "c": DOWN}) == (["a", "c"], ["b"])
    # It reaches every client of the share.
    assert next_action({"a": share_move(), "b": DOWN}) == (["a"], ["b"])


@pytest.mark.parametrize(
    ("sequences", "width", "actions"),
    [
        ([], 10, {}),
        ([[DOWN, UP]] * 5, 10, {"disable": 1, "enable": 1}),
        ([[DOWN]] * 5, 10, {"disable": 1, "enable": 1}),  # enable undoes it
        ([[DOWN, move("C1"), UP], [DOWN, UP]], 10, {"disable": 1, "move-client": 1, "enable": 1}),
        ([[CRASH, Call.of("recover", "N2")]], 10, {"crash": 1, "recover": 1}),
        ([[move("C1"), move("C1")], [move("C2")], [move("C3")]], 2, {"move-client": 2}),
        ([[move("C1")], [], [move("C2")], [move("C3")]], 2, {"move-client": 2}),
        ([[Call.of("move_address", "IPv4 3", "N1")]], 1, {"move-address": 2}),
    ],
)
def test_actions_are_counted(
    sequences: Sequence[Sequence[Call]], width: int, actions: dict[str, int]
) -> None:
    assert count(sequences, width) == actions


def test_cases_share_the_first_changes_of_the_longest_one() -> None:
    cases = {
        "down": [DOWN],
        "down, up": [DOWN, move("C1"), UP],
        "down, up, down": [DOWN, UP, DOWN],
        "crash": [CRASH],
        "another down": [DOWN],
    }
    assert changes_of(cases["down, up"]) == [DOWN, UP]
    assert chains(cases, 10) == [("down, up, down", "down, up", "down", "another down"), ("crash",)]
    assert chains(cases, 3) == [("down, up, down", "down, up", "down"), ("crash",), ("another down",)]
