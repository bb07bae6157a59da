"""``swn-torture cluster list`` and ``drain``, with clients that follow a move and one that does not."""

from __future__ import annotations

import asyncio
import json
import queue
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from swn_torture.cli import main
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.witness.client import WitnessClient, connect
from swn_torture.witness.constants import MessageType
from swn_torture.witness.notifications import IpAddrInfoList, decode_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from swn_torture.witness.messages import ContextHandle

LIMIT = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as running:
        yield running


@pytest.fixture
def profile(cluster: EmbeddedCluster, profile_text: Callable[..., str], tmp_path: Path) -> str:
    path = tmp_path / "target.toml"
    path.write_text(profile_text(cluster), encoding="utf-8")
    return str(path)


def swn(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["cluster", *arguments], catch_exceptions=False)


async def register(client: WitnessClient, name: str, address: str) -> ContextHandle:
    response = await client.register_ex(net_name="SWNCLUSTER", ip_address=address, client_computer_name=name)
    assert response.result == 0
    return response.context


async def follow(client: WitnessClient, name: str, handle: ContextHandle) -> None:
    """Register for the address to which each CLIENT_MOVE leads, as a client of Windows does."""
    while True:
        notified = (await client.async_notify(handle).reply(None)).response
        assert notified is not None
        assert notified.message_type == MessageType.CLIENT_MOVE
        (destination,) = decode_buffer(
            notified.message_type, notified.number_of_messages, notified.message_buffer or b""
        ).items
        assert isinstance(destination, IpAddrInfoList)
        new = await register(client, name, str(destination.addresses[0].ipv4))
        await client.unregister(handle)
        handle = new


async def run_clients(
    cluster: EmbeddedCluster, names: dict[str, bool], registered: Callable[[Callable[[], object]], None]
) -> None:
    """Register clients for NODE2 by NODE1, and let them wait, until the function given to `registered`."""
    node, ended = cluster.nodes[0], asyncio.Event()
    credentials = Credentials("witness", "Passw0rd!", "SWNTEST")
    async with AsyncExitStack() as stack:
        tasks = []
        for name, follows in names.items():
            client = await connect(node.address, epm_port=node.epm_port, credentials=credentials)
            await stack.enter_async_context(client)
            handle = await register(client, name, cluster.nodes[1].address)
            tasks += [asyncio.create_task(follow(client, name, handle))] if follows else []
        registered(partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set))
        await ended.wait()
        for task in tasks:
            task.cancel()
        assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [
            asyncio.CancelledError
        ] * len(tasks)


@contextmanager
def clients(cluster: EmbeddedCluster, **names: bool) -> Iterator[None]:
    """Clients that are registered for NODE2 by NODE1; True for those that follow a move."""
    ready: queue.Queue[Callable[[], object]] = queue.Queue()
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(asyncio.run, run_clients(cluster, names, ready.put))
        end = ready.get(timeout=LIMIT)
        try:
            yield
        finally:
            end()
            running.result(LIMIT)


def test_list_has_the_names_of_windows(cluster: EmbeddedCluster, profile: str) -> None:
    assert swn("list", "--target", profile).output == "There are no registrations.\n"
    with clients(cluster, WAITS=True, IDLE=False):
        table = swn("list", "--target", profile).output.splitlines()
        rows = json.loads(swn("list", "--json", "--target", profile).output)
    assert table[0].split() == [
        *("ClientName", "WitnessNodeName", "FileServerNodeName", "NetworkName", "ShareName", "IpAddress"),
        *("State", "Flags", "Sent", "Cancelled", "Queued", "Age"),
    ]
    assert {tuple(line.split()[:4]) for line in table[1:]} == {
        ("WAITS", "NODE1", "NODE2", "SWNCLUSTER"),
        ("IDLE", "NODE1", "NODE2", "SWNCLUSTER"),
    }
    by_name = {row["ClientName"]: row for row in rows}
    assert by_name["WAITS"]["State"] == "RequestedNotifications"
    idle = by_name["IDLE"]
    assert 0 <= idle.pop("Age") < LIMIT
    assert len(idle.pop("Key")) == 36
    assert idle == {
        "ClientName": "IDLE",
        "WitnessNodeName": "NODE1",
        "FileServerNodeName": "NODE2",
        "NetworkName": "SWNCLUSTER",
        "ShareName": None,
        "IpAddress": cluster.nodes[1].address,
        "State": "Registered",
        "Flags": "None",
        "NotificationsSent": 0,
        "NotificationsCancelled": 0,
        "QueuedNotifications": 0,
        "Version": 0x20000,
        "KeepAliveTimeout": 120,
        "Account": "SWNTEST\\witness",
    }


def test_drain_moves_all_clients_and_disables_the_node(cluster: EmbeddedCluster, profile: str) -> None:
    with clients(cluster, A=True, B=True, C=True):
        done = swn("drain", "node2", "--to", "NODE3", "--disable", "--json", "--target", profile)
        assert done.exit_code == 0, done.output
        result = json.loads(done.stdout)
        rows = json.loads(swn("list", "--json", "--target", profile).output)
    assert sorted(row["ClientName"] for row in result["Moved"]) == ["A", "B", "C"]
    assert (result["Node"], result["Left"], result["Disabled"]) == ("NODE2", [], True)
    assert {row["FileServerNodeName"] for row in rows} == {"NODE3"}
    assert "NODE2: 0 of 3 registrations moved" in done.stderr
    assert "A: moving from" in done.stderr
    nodes = json.loads(swn("status", "--json", "--target", profile).stdout)
    assert [node["state"] for node in nodes] == ["ok", "disabled", "ok"]
    assert swn("enable", "NODE2", "--target", profile).exit_code == 0


def test_drain_names_the_clients_that_stay(cluster: EmbeddedCluster, profile: str) -> None:
    with clients(cluster, FOLLOWS=True, STAYS=False):
        done = swn("drain", "NODE2", "--timeout", "2", "--disable", "--target", profile)
    assert done.exit_code == 3
    assert "1 registrations for NODE2 are left after 2 s: STAYS." in done.stderr
    nodes = json.loads(swn("status", "--json", "--target", profile).stdout)
    assert {node["state"] for node in nodes} == {"ok"}, "a node with clients is not disabled"


def test_drain_explains_wrong_names(profile: str) -> None:
    assert (
        "Unknown node 'NODE9'; known: NODE1, NODE2, NODE3."
        in swn("drain", "NODE9", "--target", profile).output
    )
    nothing = swn("drain", "NODE3", "--target", profile)
    assert (nothing.exit_code, "NODE3: 0 of 0 registrations moved" in nothing.stderr) == (0, True)


def test_other_verbs_change_the_cluster(profile: str) -> None:
    def states() -> list[tuple[str, ...]]:
        return [
            tuple(node["addresses"])
            for node in json.loads(swn("status", "--json", "--target", profile).stdout)
        ]

    before = states()
    for words in (
        ("add-address", "node3", "127.99.99.97"),
        ("move-address", "127.99.99.97", "node1"),
        ("remove-address", "NODE1", "127.99.99.97"),
        ("interface", "node2", "down"),
        ("interface", "node2", "unknown"),
        ("interface", "node2", "up"),
        ("restart", "node2"),
    ):
        done = swn(*words, "--target", profile)
        assert done.exit_code == 0, done.output
    assert states() == before
    assert "'x' is not an IP address." in swn("add-address", "node3", "x", "--target", profile).output
    with_client = swn("force-unregister", "00000000-0000-0000-0000-000000000000", "--target", profile)
    assert with_client.exit_code == 2
    assert "There is no registration with the key" in " ".join(with_client.output.split())
    assert swn("restore", "--target", profile).exit_code == 0


def test_change_is_printed_as_json_with_the_nodes_afterwards(profile: str) -> None:
    answers = [
        CliRunner().invoke(main, ["cluster", *words, "--target", profile, "--json"])
        for words in (["disable", "node2"], ["restore"], ["recover"])
    ]
    assert [answer.exit_code for answer in answers] == [0, 0, 0], answers[0].output
    disabled, restored, recovered = (json.loads(answer.stdout) for answer in answers)
    assert (disabled["command"], disabled["node"], disabled["seconds"] > 0) == ("disable", "node2", True)
    assert [node["state"] for node in disabled["nodes"]] == ["ok", "disabled", "ok"]
    assert restored["command"] == "restore"
    assert [node["state"] for node in restored["nodes"]] == ["ok", "ok", "ok"]
    assert (recovered["command"], recovered["node"]) == ("recover", None)
