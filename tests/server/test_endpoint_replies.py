"""The replies of one event to many clients: sent as they are made, in order, in portions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.cluster import ReferenceCluster
from swn_torture.server.nodes.endpoint import REPLIES_AT_ONCE, WitnessEndpoint
from swn_torture.server.state.methods import FIRST_REPLIES, Reply
from swn_torture.server.state.service import WitnessService
from swn_torture.witness.constants import MessageType
from swn_torture.witness.messages import AsyncNotifyResponse
from tests.server.scenarios import TIMEOUT, client_of, notified, register, run_in_cluster

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from swn_torture.server.nodes.node import Node
    from swn_torture.server.state.registrations import Registration
    from swn_torture.witness.client import PendingCall, WitnessClient

COUNT = 5 * REPLIES_AT_ONCE + 1
PORTION_OUT = 3
"""The counter of `RpcServer.count` for octets that the server writes."""


class Recording(WitnessEndpoint):
    """An endpoint that records the tokens of its replies instead of sending them."""

    def __init__(self, service: WitnessService) -> None:
        super().__init__(service)
        self.sent: list[Any] = []

    def answer(self, call: Any, _response: Any) -> None:
        self.sent.append(call)


def recording() -> Recording:
    """An endpoint of a cluster that does not run."""
    cluster = ReferenceCluster(ClusterConfig())

    class View:
        net_names, shares = cluster.net_names, cluster.shares

        def interfaces(self) -> tuple[()]:
            return ()

    return Recording(WitnessService("NODE1", View(), cluster.config.options, lambda: 0.0))


def replies(tokens: Iterable[Any]) -> list[Reply]:
    return [Reply(token, AsyncNotifyResponse(None, 0)) for token in tokens]


async def pending_calls(client: WitnessClient, node: Node) -> list[PendingCall[AsyncNotifyResponse]]:
    """Register COUNT times for the address of a node, each time with an AsyncNotify that waits."""
    handles = [await register(client, node, client_computer_name=f"C{number}") for number in range(COUNT)]
    calls = [client.async_notify(handle) for handle in handles]
    await client.get_interface_list()  # the server has received the calls before it
    return calls


async def disable_with_calls(cluster: ReferenceCluster, *records: list[Any]) -> None:
    """Disable NODE2 while COUNT calls wait for it. What was recorded before is forgotten."""
    node1, node2, _ = cluster.nodes.values()
    async with client_of(node1) as client:
        calls = await pending_calls(client, node2)
        for record in records:
            record.clear()
        await cluster.disable("NODE2")
        for call in calls:
            assert notified(await call.reply(TIMEOUT)) == (1, ["NODE2 UNAVAILABLE"])


def test_event_loop_runs_between_portions_of_replies() -> None:
    async def scenario() -> None:
        endpoint, turns = recording(), []
        endpoint.send(replies(range(COUNT)))
        while len(endpoint.sent) < COUNT:
            turns.append(len(endpoint.sent))
            await asyncio.sleep(0)
        assert turns == [REPLIES_AT_ONCE * (turn + 1) for turn in range(5)]
        assert endpoint.sent == list(range(COUNT))

    asyncio.run(scenario())


def test_later_reply_does_not_overtake_those_that_wait() -> None:
    async def scenario() -> None:
        endpoint = recording()
        endpoint.send(replies(range(COUNT)))
        endpoint.send(replies([COUNT]))
        assert len(endpoint.sent) == REPLIES_AT_ONCE
        for _ in range(6):
            await asyncio.sleep(0)
        assert endpoint.sent == list(range(COUNT + 1))

    asyncio.run(scenario())


def test_few_replies_are_sent_at_once() -> None:
    async def scenario() -> None:
        endpoint = recording()
        endpoint.send(replies(range(REPLIES_AT_ONCE)))
        endpoint.send(replies([REPLIES_AT_ONCE]))
        assert endpoint.sent == list(range(REPLIES_AT_ONCE + 1))

    asyncio.run(scenario())


def test_send_all_leaves_nothing_for_the_event_loop() -> None:
    async def scenario() -> None:
        endpoint = recording()
        endpoint.send(replies(range(COUNT)))
        endpoint.send_all()
        assert endpoint.sent == list(range(COUNT))
        for _ in range(3):
            await asyncio.sleep(0)
        assert endpoint.sent == list(range(COUNT))

    asyncio.run(scenario())


def test_each_reply_is_written_before_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    made_at_write: list[int] = []
    answer = WitnessEndpoint.answer

    def count_answer(endpoint: WitnessEndpoint, call: Any, response: Any) -> None:
        made.append(call.call_id)
        answer(endpoint, call, response)

    def count_portion(_server: RpcServer, counter: int) -> None:
        if counter == PORTION_OUT:
            made_at_write.append(len(made))

    async def scenario(cluster: ReferenceCluster) -> None:
        await disable_with_calls(cluster, made, made_at_write)
        assert made == sorted(made)
        assert made_at_write == list(range(1, COUNT + 1))

    monkeypatch.setattr(WitnessEndpoint, "answer", count_answer)
    monkeypatch.setattr(RpcServer, "count", count_portion)
    run_in_cluster(scenario)


def test_first_replies_are_sent_before_the_others_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    made_at_first_answer: list[int] = []
    deliver, answer = WitnessService.deliver, WitnessEndpoint.answer

    def count_made(service: WitnessService, registration: Registration) -> list[Reply]:
        made.append(registration.client_name)
        return deliver(service, registration)

    def note_made(endpoint: WitnessEndpoint, call: Any, response: Any) -> None:
        made_at_first_answer.append(len(made))
        answer(endpoint, call, response)

    async def scenario(cluster: ReferenceCluster) -> None:
        await disable_with_calls(cluster, made, made_at_first_answer)
        assert made == [f"C{number}" for number in range(COUNT)]
        assert made_at_first_answer == [FIRST_REPLIES] * FIRST_REPLIES + [COUNT] * (COUNT - FIRST_REPLIES)

    monkeypatch.setattr(WitnessService, "deliver", count_made)
    monkeypatch.setattr(WitnessEndpoint, "answer", note_made)
    run_in_cluster(scenario)


def test_one_event_tells_all_clients_of_an_ip_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each client would look at every registration as often as there are clients."""
    woken: list[str] = []
    wake = WitnessService.wake

    def count_woken(service: WitnessService) -> list[Reply]:
        woken.append(service.node)
        return wake(service)

    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, node3 = cluster.nodes.values()
        async with client_of(node1) as client:
            names = [f"C{number}" for number in range(COUNT)]
            handles = [await register(client, node3, client_computer_name=name, flags=1) for name in names]
            calls = [client.async_notify(handle) for handle in handles]
            await client.get_interface_list()
            woken.clear()
            await cluster.disable(node2.name)
            for call in calls:
                assert notified(await call.reply(TIMEOUT))[0] == MessageType.IP_CHANGE
            assert woken.count(node1.name) == 2  # of the interface, and of the change of its address

    monkeypatch.setattr(WitnessService, "wake", count_woken)
    run_in_cluster(scenario, ip_change_causes=["disabled"])


def test_node_that_stops_sends_the_replies_that_wait() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            calls = await pending_calls(client, node2)
            await cluster.disable("NODE2")
            await node1.stop(reset=False)
            for call in calls:
                assert notified(await call.reply(TIMEOUT)) == (1, ["NODE2 UNAVAILABLE"])

    run_in_cluster(scenario)
