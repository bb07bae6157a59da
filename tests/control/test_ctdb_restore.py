"""The CTDB controller restores the cluster: it repeats what fails, and says what is left undone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.control import Failure, NotHealthy
from tests.control.simulated_ctdb import BUSY, perform

if TYPE_CHECKING:
    from swn_torture.control.ctdb.controller import CtdbController
    from tests.control.simulated_ctdb import SimulatedCtdb

_NODE1 = "198.51.100.200"
"""The public address of node1."""
_SPARE = "198.51.100.240"

_LEFT_UNDONE = r"not restored after 0\.05 s\. Left undone: "


@pytest.mark.parametrize(
    "failing",
    [
        "reloadips all",
        "setvar NoIPTakeover",
        "setvar IPAllocAlgorithm 0",
        "delip 198.51.100.240",
        "ipreallocate",
        "moveip 198.51.100.200",
        "heal node3",
        "power_on node2",
        "ctdb -X ip",
    ],
)
def test_restore_repeats_what_fails(cluster: SimulatedCtdb, failing: str) -> None:
    async def steps(controller: CtdbController) -> None:
        before = dict(cluster.hosts)
        await controller.add_address("node3", _SPARE)
        await controller.remove_address("node1", _NODE1)
        await controller.remove_address("node2", "198.51.100.199")
        for node in cluster.nodes.values():
            node.tunables["NoIPFailback"] = 1
        cluster.fail_next(failing, times=3)
        await controller.restore(5)
        assert cluster.hosts == before
        assert all(node.known == cluster.configured for node in cluster.nodes.values())
        assert all(node.tunables["NoIPFailback"] == 0 for node in cluster.nodes.values())

    if "moveip" in failing:
        for node in cluster.nodes.values():
            node.tunables["IPAllocAlgorithm"] = 2
    perform(cluster, steps)


def test_restore_says_what_is_left_undone(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.remove_address("node1", _NODE1)
        cluster.fail_next("reloadips all", BUSY, times=100_000)
        with pytest.raises(
            NotHealthy, match=_LEFT_UNDONE + f".*reloadips all.*{BUSY}.*cluster restore --tar"
        ):
            await controller.restore(0.05)

    perform(cluster, steps)


def test_restore_verifies_that_added_addresses_are_gone(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.add_address("node2", _SPARE)
        cluster.ignore.add("delip")
        with pytest.raises(NotHealthy, match=_LEFT_UNDONE + f"node2 still has the added address {_SPARE}"):
            await controller.restore(0.05)

    perform(cluster, steps)


def test_restore_verifies_that_removed_addresses_are_back(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.remove_address("node1", _NODE1)
        cluster.ignore.add("reloadips")
        with pytest.raises(NotHealthy, match=_LEFT_UNDONE):
            await controller.restore(0.05)

    perform(cluster, steps)


def test_restore_verifies_the_hosts_of_addresses(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.move_address(_NODE1, "node3")
        cluster.ignore.add("moveip")
        with pytest.raises(NotHealthy, match=_LEFT_UNDONE + f"{_NODE1} is not where it was"):
            await controller.restore(0.05)

    for node in cluster.nodes.values():
        node.tunables["IPAllocAlgorithm"] = 2
    perform(cluster, steps)


def test_restore_waits_for_slow_effects(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        before = dict(cluster.hosts)
        for node in ("node1", "node2"):
            await controller.fail(node, Failure.POWER_OFF)
        cluster.hesitate = 5
        await controller.restore(5)
        assert cluster.hosts == before

    perform(cluster, steps)


def test_restore_reloads_the_addresses_only_where_needed(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.disable("node1")
        await controller.restore(5)
        assert not any("reloadips" in command for command in cluster.commands)
        await controller.remove_address("node1", _NODE1)
        await controller.restore(5)
        assert sum("reloadips" in command for command in cluster.commands) == 1

    perform(cluster, steps)


def test_another_process_restores_what_a_killed_one_changed(cluster: SimulatedCtdb) -> None:
    async def killed(controller: CtdbController) -> None:
        await controller.remove_address("node1", _NODE1)
        await controller.remove_address("node2", _NODE1)
        await controller.remove_address("node3", _NODE1)
        await controller.add_address("node3", _SPARE)
        await controller.set_interface("node2", up=False)

    async def recover(controller: CtdbController) -> None:
        await controller.restore(5)

    before = dict(cluster.hosts)
    variables = dict(cluster.nodes["node1"].tunables)
    perform(cluster, killed)
    assert cluster.hosts != before
    # One node has restarted since then, and has its own variables again.
    cluster.nodes["node1"].tunables = dict(variables)
    perform(cluster, recover)
    assert cluster.hosts == before
    assert all(node.tunables == variables for node in cluster.nodes.values())


def test_takeover_is_allowed_before_nodes_return(cluster: SimulatedCtdb) -> None:
    """Without that, CTDB cancels the health checks of the nodes for ever."""

    async def steps(controller: CtdbController) -> None:
        await controller.set_interface("node3", up=False)
        await controller.fail("node1", Failure.CRASH)
        cluster.commands.clear()
        await controller.restore(5)
        first = next(n for n, command in enumerate(cluster.commands) if command.endswith("NoIPTakeover 0"))
        assert first < next(n for n, command in enumerate(cluster.commands) if "exec ctdbd" in command)

    perform(cluster, steps)


def test_variables_of_the_administrator_stay(cluster: SimulatedCtdb) -> None:
    """They are restored to what they were at `open`, and not to the defaults of CTDB."""

    async def steps(controller: CtdbController) -> None:
        await controller.add_address("node2", _SPARE)
        await controller.restore(5)

    for node in cluster.nodes.values():
        node.tunables |= {"IPAllocAlgorithm": 1, "NoIPFailback": 1}
    perform(cluster, steps)
    assert cluster.nodes["node3"].tunables["IPAllocAlgorithm"] == 1


def test_unreachable_node_is_left_undone(cluster: SimulatedCtdb, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.fail("node3", Failure.POWER_OFF)
        cluster.fail_next("exec ctdbd", "no such machine", times=100_000)
        with pytest.raises(NotHealthy, match=_LEFT_UNDONE + ".*no such machine; .*node3 down"):
            await controller.restore(0.05)

    perform(cluster, steps)


def test_cancelled_restore_ends(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.fail_next("ipreallocate", times=100_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await controller.restore(60)

    perform(cluster, steps)
