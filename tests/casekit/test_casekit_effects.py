"""Waiting for the effect of an event, and what else happened in the cluster, with a running cluster."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.known import NotTestable
from swn_torture.casekit.outcome import SILENCE
from swn_torture.casekit.steps.effects import (
    ClusterWatch,
    bring_up,
    see_move,
    take_down,
    wait_until_events_arrive,
)
from swn_torture.casekit.steps.host_nodes import other_nodes
from swn_torture.casekit.steps.interface_list import states_of
from swn_torture.casekit.steps.listeners import listen, wait_quiet_time
from swn_torture.casekit.witness import Witness
from swn_torture.control.base import Capability, NodeState
from swn_torture.harness.live_target import LiveTarget
from swn_torture.target import load_profile
from swn_torture.witness.constants import InterfaceState, MessageType
from tests.casekit.fakes import FakeCluster, node

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from swn_torture.control.base import Controller


@pytest.fixture(scope="module")
def target() -> Iterator[LiveTarget]:
    with LiveTarget(load_profile("reference")) as running:
        yield running


def on(target: LiveTarget, case: Callable[[Witness, Controller], Awaitable[None]]) -> None:
    """Run a part of a case on a target."""

    async def run() -> None:
        witness = Witness(target.profile, Spec("steps.test", ()), facts=target.facts)
        async with target.controller() as cluster:
            try:
                await case(witness, cluster)
            finally:
                await witness.close()
                await cluster.restore()

    asyncio.run(run())


def test_events_have_arrived_when_a_client_is_notified_of_its_move(target: LiveTarget) -> None:
    async def case(witness: Witness, cluster: Controller) -> None:
        listener = await listen(witness, version=1)
        await cluster.move_client(listener.name, witness.nodes[1].name)

        assert await wait_until_events_arrive(witness, cluster)

        assert listener.async_notify().done()

    on(target, case)


def test_events_cannot_be_awaited_without_moves(target: LiveTarget) -> None:
    async def case(witness: Witness, _: Controller) -> None:
        assert not await wait_until_events_arrive(witness, FakeCluster(Capability.LIST_NODES))

    on(target, case)


def test_interfaces_are_down_and_up_when_the_steps_return(target: LiveTarget) -> None:
    async def case(witness: Witness, cluster: Controller) -> None:
        (host, *_) = await other_nodes(witness, cluster)
        await take_down(witness, cluster, host)
        down = states_of(await witness.interfaces())
        await bring_up(witness, cluster, host)
        up = states_of(await witness.interfaces())

        assert {down[address] for address in host.addresses} == {InterfaceState.UNAVAILABLE}
        assert {up[address] for address in host.addresses} == {InterfaceState.AVAILABLE}

    on(target, case)


@pytest.mark.parametrize(
    "kind", [MessageType.CLIENT_MOVE, MessageType.SHARE_MOVE], ids=lambda kind: kind.name
)
def test_a_move_is_seen_by_another_registration_of_the_client(target: LiveTarget, kind: MessageType) -> None:
    async def case(witness: Witness, cluster: Controller) -> None:
        probe = await listen(witness, share_name="SHARE")
        fields: dict[str, Any] = {"client_computer_name": probe.name, "share_name": "SHARE"}
        listener = await listen(witness, async_notify=False, **fields)
        node = witness.nodes[1].name
        client = kind == MessageType.CLIENT_MOVE
        move = cluster.move_client(probe.name, node) if client else cluster.move_share("SHARE", node)

        await see_move(cluster, probe, kind, move)
        await wait_quiet_time(listener)

        assert [each.message_type for each in listener.notifications] == [kind]

    on(target, case)


def test_a_client_move_that_notifies_nobody_is_a_finding(target: LiveTarget) -> None:
    async def case(witness: Witness, cluster: Controller) -> None:
        probe = await listen(witness, version=1)
        moved_elsewhere = cluster.move_client("NOBODY", witness.nodes[1].name)

        with pytest.raises(CaseStopped):
            await see_move(cluster, probe, MessageType.CLIENT_MOVE, moved_elsewhere)
        assert probe.outcome == SILENCE
        assert [check.requirement for check in witness.spec.failed] == ["SWN-3.1.6.2-wake"]

    on(target, case)


def test_a_move_of_a_removed_registration_is_not_seen(target: LiveTarget) -> None:
    async def case(witness: Witness, cluster: Controller) -> None:
        probe = await listen(witness, version=1)
        (view,) = [v for v in await cluster.registrations() if v.client_computer_name == probe.name]

        with pytest.raises(NotTestable, match="AsyncNotify ended with ERROR_NOT_FOUND"):
            await see_move(cluster, probe, MessageType.CLIENT_MOVE, cluster.force_unregister(view.key))
        assert not witness.spec.failed

    on(target, case)


A, B = "192.0.2.5", "192.0.2.6"
BEFORE = (node("A", A), node("B", B))


@pytest.mark.parametrize(
    ("meanwhile", "touched"),
    [
        ((), set()),
        (((node("A", A), node("B", B, "192.0.2.7")),), {"192.0.2.7"}),
        (((node("A", A, B), node("B")), BEFORE), {B}),
        (((node("A", A), node("B", B, state=NodeState.DISABLED)), BEFORE), {B}),
    ],
    ids=["nothing", "added", "moved-and-back", "disabled-and-back"],
)
def test_a_watch_sees_what_happened_meanwhile(meanwhile: tuple[Any, ...], touched: set[str]) -> None:
    cluster = FakeCluster(Capability.LIST_NODES, nodes=BEFORE, later_nodes=[*meanwhile])

    async def watch() -> set[str]:
        async with ClusterWatch(cluster) as watching:
            await asyncio.sleep(0.7)
        return watching.touched

    assert asyncio.run(watch()) == touched
