"""The changes of a run of the swarm, when the controller fails in them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control.base import ControllerError
from swn_torture.swarm.records import Kind, Record
from swn_torture.swarm.run import Outcome, Plan, _carry_out
from swn_torture.swarm.scenarios import SCENARIOS
from swn_torture.witness.constants import MessageType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.swarm.scenarios import Step

NODES = (
    SimpleNamespace(name="NODE1", addresses=("192.0.2.1",)),
    SimpleNamespace(name="NODE2", addresses=("192.0.2.2",)),
)


class Fails:
    """A controller whose client moves reach no end, or that cannot list the nodes."""

    def __init__(self, *, lists: bool) -> None:
        self._lists = lists

    async def nodes(self) -> Sequence[Any]:
        if not self._lists:
            raise ControllerError("`ctdb status` ended with exit code 1")
        return NODES

    async def move_client(self, *_: Any, **__: Any) -> None:
        raise ControllerError("`net witness client-move` did not end before its deadline")


def carried_out(controller: Any, step: Step) -> Outcome:
    outcome = Outcome()

    async def grace() -> None:
        pass

    asyncio.run(_carry_out(step, controller, [node.name for node in NODES], outcome, grace))
    return outcome


def test_what_clients_heard_counts_although_the_controller_failed() -> None:
    *_, everyone = SCENARIOS["client-move"].steps(2)
    outcome = carried_out(Fails(lists=True), everyone)

    (change,) = outcome.changes
    assert change.failed
    assert change.title == "one client move of all clients to node 1"
    assert change.addresses == {"192.0.2.1", "192.0.2.2"}
    assert outcome.failed == [
        "one client move of all clients to node 1: `net witness client-move` did not end before its deadline"
    ]


def test_nodes_that_cannot_be_listed_are_a_failed_change() -> None:
    first, *_ = SCENARIOS["client-move"].steps(2)
    outcome = carried_out(Fails(lists=False), first)

    assert outcome.changes == []
    assert outcome.failed == [f"{first.title}: `ctdb status` ended with exit code 1"]


def test_report_has_the_failure_and_the_notifications() -> None:
    report = pytest.importorskip("swn_torture.swarm.outcome", exc_type=ImportError)
    scenario = SCENARIOS["client-move"]
    outcome = carried_out(Fails(lists=True), scenario.steps(2)[-1])
    (change,) = outcome.changes
    for client, kind, at, message in (
        (1, Kind.REGISTERED, change.began - 1, 0),
        (2, Kind.REGISTERED, change.began - 1, 0),
        (1, Kind.TOLD, change.began, MessageType.CLIENT_MOVE),
    ):
        outcome.records.append(Record(client, kind, at, "node1", "192.0.2.2", message))
    plan = Plan(2, rate=1.0)

    lines = [*report.as_text(scenario, plan, outcome, 5.0)]
    assert f"{change.title}: 1 of 2 clients concerned were told" in lines
    assert "  1 not told: the controller failed" in lines
    assert f"FAILED: {outcome.failed[0]}" in lines
    values = report.as_json(scenario, plan, outcome, 5.0)
    assert values["failed_changes"] == outcome.failed
    assert (values["changes"][0]["lost"], values["changes"][0]["failed"]) == (1, True)
