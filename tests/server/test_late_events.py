"""Events that take effect some time after the command that causes them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.errors import DeadlineExceeded
from swn_torture.server.state.registrations import Selection
from swn_torture.witness.constants import InterfaceState
from tests.server.scenarios import client_of, notified, register, run_in_cluster

if TYPE_CHECKING:
    from swn_torture.server.nodes.cluster import ReferenceCluster

DELAY = 0.3


def states_in(cluster: ReferenceCluster, node: str) -> set[InterfaceState]:
    """The states of all interfaces as the witness server of a node has them."""
    service = cluster.nodes[node].service
    assert service is not None
    return {interface.state for interface in service.interfaces}


def test_event_takes_effect_after_the_delay() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.nodes["NODE1"]) as client:
            handle = await register(client, cluster.nodes["NODE2"])
            waiting = client.async_notify(handle)
            began = time.monotonic()
            await cluster.disable("NODE2")
            assert states_in(cluster, "NODE1") == {InterfaceState.AVAILABLE}
            await waiting.reply(5)
            assert time.monotonic() - began >= DELAY
        assert InterfaceState.UNAVAILABLE in states_in(cluster, "NODE1")

    run_in_cluster(scenario, event_delay=DELAY)


def test_late_events_keep_their_order() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.nodes["NODE1"]) as client:
            handle = await register(client, cluster.nodes["NODE2"])
            for _ in range(5):
                await cluster.disable("NODE2")
                await cluster.enable("NODE2")
            await asyncio.sleep(DELAY + 0.1)
            _, changes = notified(await client.async_notify(handle).reply(5))
        assert changes == ["NODE2 UNAVAILABLE", "NODE2 AVAILABLE"] * 5

    run_in_cluster(scenario, event_delay=DELAY)


def test_event_before_a_restart_has_no_effect_after_it() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node = cluster.nodes["NODE1"]
        cluster.move_client(Selection(client_name="CLIENT01"), "NODE3")
        await cluster.restart("NODE1")
        async with client_of(node) as client:
            handle = await register(client, cluster.nodes["NODE2"])
            waiting = client.async_notify(handle)
            with pytest.raises(DeadlineExceeded):
                await waiting.reply(DELAY + 0.2)

    run_in_cluster(scenario, event_delay=DELAY)


def test_delay_is_time_of_the_protocol() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        await cluster.disable("NODE2")
        await asyncio.sleep(0.3)
        assert InterfaceState.UNAVAILABLE in states_in(cluster, "NODE1")

    run_in_cluster(scenario, event_delay=10, time_scale=100)
