"""The calls of the CTDB controller return when the cluster shows their effect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.control import ControllerError, EffectNotSeen, Failure, NodeState, NotHealthy
from tests.control.simulated_ctdb import perform

if TYPE_CHECKING:
    from swn_torture.control.ctdb.controller import CtdbController
    from tests.control.simulated_ctdb import SimulatedCtdb

HESITATE = 5
"""Views of the cluster before it shows an effect."""


def test_disable_returns_when_no_address_is_left(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.hesitate = HESITATE
        await controller.disable("node2")
        assert (await controller.node("node2")).state is NodeState.DISABLED
        assert cluster.host_of("198.51.100.199") in {"node1", "node3"}

    perform(cluster, steps)


@pytest.mark.parametrize("carried_out", [False, True])
def test_only_the_effect_of_a_command_counts(cluster: SimulatedCtdb, *, carried_out: bool) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.fail_next("ctdb disable", "takeover run failed", carried_out=carried_out)
        await controller.disable("node2")
        assert cluster.nodes["node2"].flags == {"disabled"}
        assert cluster.commands == ["node2 disable"]

    perform(cluster, steps)


def test_effect_that_does_not_come_is_named(cluster: SimulatedCtdb, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.hesitate = 1_000_000
        with pytest.raises(EffectNotSeen, match=r"within 0\.05 s that node2 is disabled .*: node1 ok \[198"):
            await controller.disable("node2")

    monkeypatch.setattr("swn_torture.control.ctdb.restore.CtdbChanges.event_limit", 0.05)
    perform(cluster, steps)


IN_SERVICE = {Failure.HANG_SERVICE, Failure.KILL_WORKER}
"""The failures that the cluster does not notice."""


@pytest.mark.parametrize("how", [how for how in Failure if how not in IN_SERVICE])
def test_failure_returns_when_another_node_noticed_it(cluster: SimulatedCtdb, how: Failure) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.hesitate = HESITATE
        await controller.fail("node1", how)
        left = how in {Failure.BAN, Failure.STOP}
        assert (await controller.node("node1")).state is (NodeState.UNHEALTHY if left else NodeState.DOWN)
        assert cluster.host_of("198.51.100.200") in {"node2", "node3"}
        await controller.recover("node1")
        assert (await controller.node("node1")).state is NodeState.OK

    perform(cluster, steps)


def test_failure_of_the_service_is_seen_in_its_processes(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.fail_next("pkill -STOP", "no such process")
        await controller.fail("node1", Failure.HANG_SERVICE)
        assert set(cluster.nodes["node1"].workers.values()) == {"T"}
        await controller.recover("node1")
        assert set(cluster.nodes["node1"].workers.values()) == {"S"}
        await controller.fail("node1", Failure.KILL_WORKER)
        assert list(cluster.nodes["node1"].workers) == [42]

    perform(cluster, steps)


@pytest.mark.parametrize("how", sorted(IN_SERVICE))
def test_service_without_a_process_cannot_fail(cluster: SimulatedCtdb, how: Failure) -> None:
    async def steps(controller: CtdbController) -> None:
        with pytest.raises(EffectNotSeen, match="no process rpcd_witness runs on node1"):
            await controller.fail("node1", how)

    cluster.nodes["node1"].workers.clear()
    perform(cluster, steps)


@pytest.mark.parametrize("prints_json", [False, True])
def test_recovery_mode_is_read_as_the_release_prints_it(cluster: SimulatedCtdb, *, prints_json: bool) -> None:
    cluster.prints_json = prints_json
    perform(cluster, lambda controller: controller.wait_healthy(5.0))


def test_limit_follows_from_the_variables_of_ctdb(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        # Twice 20 s to notice a node, then 3 + 30 + 9 + 30 s by default.
        assert controller._changes.event_limit == 112

    for node in cluster.nodes.values():
        node.tunables |= {"KeepaliveInterval": 4, "KeepaliveLimit": 5}
    perform(cluster, steps)


def test_node_is_enabled_though_the_command_fails(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.disable("node1")
        cluster.fail_next("ctdb enable", times=2)
        cluster.hesitate = HESITATE
        await controller.enable("node1")
        assert (await controller.node("node1")).addresses == ("198.51.100.200",)

    perform(cluster, steps)


def test_node_that_stays_disabled_is_not_healthy(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.disable("node1")
        cluster.fail_next("ctdb enable", "permission denied", times=1000)
        with pytest.raises(NotHealthy, match=r"node1 is in service: .*permission denied; node1 disabled"):
            await controller.enable("node1")

    perform(cluster, steps, healthy_timeout=0.05)


@pytest.mark.parametrize("failing", ["power_on", "heal", "exec ctdbd", "smbd"])
def test_recovery_repeats_a_step_that_fails(cluster: SimulatedCtdb, failing: str) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.fail("node1", Failure.POWER_OFF)
        cluster.fail_next(failing, "resource temporarily unavailable", times=2)
        await controller.recover("node1")
        assert (await controller.node("node1")).state is NodeState.OK

    perform(cluster, steps)


def test_restart_starts_the_service_again_if_that_fails(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.fail_next("pkill", "killed at its deadline")
        cluster.fail_next("samba-dcerpcd -D", "fork failed", times=2)
        await controller.restart("node1")

    perform(cluster, steps)
    assert cluster._failures == []


# Addresses


def test_new_address_moves_all_others_if_ctdb_may(cluster: SimulatedCtdb) -> None:
    """The simulation does what CTDB does, so that the next test shows something."""
    before = dict(cluster.hosts)
    cluster.nodes["node2"].known.add("198.51.100.240")
    cluster.reallocate()
    assert all(cluster.hosts[address] != host for address, host in before.items())


@pytest.mark.parametrize("spare", ["198.51.100.240", "fd53:574e::240"])
def test_new_address_leaves_the_others_in_place(cluster: SimulatedCtdb, spare: str) -> None:
    async def steps(controller: CtdbController) -> None:
        before = dict(cluster.hosts)
        cluster.hesitate = HESITATE
        await controller.add_address("node2", spare)
        assert cluster.hosts == {**before, spare: 1}
        await controller.remove_address("node2", spare)
        assert cluster.hosts == before

    perform(cluster, steps)


def test_moved_address_stays_until_restore(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.hesitate = HESITATE
        await controller.move_address("198.51.100.200", "node3")
        cluster.reallocate()
        assert cluster.host_of("198.51.100.200") == "node3"
        await controller.restore(5)
        assert cluster.host_of("198.51.100.200") == "node1"

    perform(cluster, steps)


def test_removed_address_is_taken_over(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.hesitate = HESITATE
        await controller.remove_address("node1", "198.51.100.200")
        assert cluster.host_of("198.51.100.200") in {"node2", "node3"}
        assert cluster.commands[-2:] == ["node1 delip 198.51.100.200", "node1 ipreallocate"]

    perform(cluster, steps)


def test_node_out_of_service_gets_no_address(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.disable("node2")
        with pytest.raises(EffectNotSeen, match="CTDB gives node2 no address: it is disabled"):
            await controller.add_address("node2", "198.51.100.240")
        assert "198.51.100.240" not in cluster.nodes["node2"].known

    perform(cluster, steps)


def test_address_that_an_earlier_run_left_is_not_added(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        with pytest.raises(
            EffectNotSeen, match=r"has the address 198\.51\.100\.240 already; .*cluster restore"
        ):
            await controller.add_address("node3", "198.51.100.240")

    cluster.nodes["node2"].known.add("198.51.100.240")
    cluster.reallocate()
    perform(cluster, steps)


def test_interface_is_down_without_a_takeover(cluster: SimulatedCtdb) -> None:
    async def steps(controller: CtdbController) -> None:
        cluster.hesitate = HESITATE
        await controller.set_interface("node1", up=False)
        assert cluster.hosts["198.51.100.200"] is None
        before = len(cluster.history)
        await controller.set_interface("node1", up=True)
        assert cluster.host_of("198.51.100.200") == "node1"
        # No other node hosts it meanwhile: clients would be notified of that, too.
        assert {hosts["198.51.100.200"] for hosts in cluster.history[before:]} <= {None, 0}

    perform(cluster, steps)


def test_unreachable_cluster_is_an_error(cluster: SimulatedCtdb) -> None:
    for node in cluster.nodes.values():
        node.reachable = False
    with pytest.raises(ControllerError, match="answers on no node"):
        asyncio.run(cluster.controller().open())
