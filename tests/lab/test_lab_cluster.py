"""The CTDB controller on a real cluster, observed by a witness client in the client namespace."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import threading
import tomllib
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.control import Failure, NodeState, NotRegistered
from swn_torture.control.undoing.journaled import JournaledController
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.stubdata.win32 import Win32
from swn_torture.target import make_controller, parse_profile
from swn_torture.witness import client as witness
from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange, decode_buffer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from swn_torture.control import Controller
    from swn_torture.witness.client import PendingCall
    from swn_torture.witness.messages import AsyncNotifyResponse, ContextHandle
    from swn_torture.witness.notifications import Notification

    Steps = Callable[[Controller], Awaitable[None]]
    RunSteps = Callable[[Steps], None]

pytestmark = pytest.mark.lab

#: The public address of node1 for which the clients register.
_NODE1 = "198.51.100.200"
#: The public addresses of each node.
_PUBLIC = tuple(frozenset(node.public_addresses) for node in lab.LabConfig().node_configs)
_ALL = frozenset().union(*_PUBLIC)


@pytest.fixture
def run_steps(running_lab: lab.Lab) -> RunSteps:
    """Runs a coroutine in the client namespace; at the end its controller restores the cluster."""

    def run(steps: Steps) -> None:
        problems: list[BaseException] = []

        async def with_controller() -> None:
            profile = parse_profile(tomllib.loads(lab.profile_text(running_lab)))
            async with make_controller(profile) as controller:
                try:
                    await steps(controller)
                finally:
                    await controller.restore()

        def in_namespace() -> None:
            try:
                lab.enter_client_namespace(running_lab.name)
                asyncio.run(with_controller())
            except BaseException as problem:  # noqa: BLE001 - raised again in the thread of the test
                problems.append(problem)

        # A new thread, because entering the namespace changes the thread.
        thread = threading.Thread(target=in_namespace)
        thread.start()
        thread.join()
        if problems:
            raise problems[0]

    return run


class Registered:
    """A client with a registration for the public address of node1."""

    def __init__(self, client: witness.WitnessClient, handle: ContextHandle) -> None:
        self.witness_client = client
        self.handle = handle

    def async_notify(self) -> PendingCall[AsyncNotifyResponse]:
        return self.witness_client.async_notify(self.handle)


@asynccontextmanager
async def register(name: str, address: str = "198.51.100.11") -> AsyncIterator[Registered]:
    """Connect to the node with this address, by default node2, and register."""
    credentials = Credentials("witness", "Passw0rd!", "SWNTEST")
    async with await witness.connect(address, credentials=credentials, net_name="SWNCLUSTER") as client:
        response = await client.register_ex(
            net_name="SWNCLUSTER", share_name="data", ip_address=_NODE1, client_computer_name=name
        )
        assert response.result == 0
        yield Registered(client, response.context)


async def notification_of(call: PendingCall[AsyncNotifyResponse]) -> tuple[int, tuple[Notification, ...]]:
    """The message type and the content of the response to an AsyncNotify."""
    response = await call.reply(timeout=30)
    assert (response.result, response.response is None) == (0, False)
    assert response.response is not None
    kind, number, buffer = (
        response.response.message_type,
        response.response.number_of_messages,
        response.response.message_buffer,
    )
    return kind, decode_buffer(kind, number, buffer or b"").items


def change(kind: ChangeType) -> tuple[int, tuple[Notification, ...]]:
    """The notification of a new state of node1's address."""
    return MessageType.RESOURCE_CHANGE, (ResourceChange(kind, _NODE1),)


async def destination_of(call: PendingCall[AsyncNotifyResponse]) -> tuple[int, tuple[str, ...]]:
    """The type of a move notification, and the addresses that it lists, in their order."""
    kind, (listed,) = await notification_of(call)
    assert isinstance(listed, IpAddrInfoList)
    infos = listed.addresses
    return kind, tuple(sorted(str(i.ipv6 if i.flags & AddressFlags.V6 else i.ipv4) for i in infos))


def move_to(kind: MessageType, address: str) -> tuple[int, tuple[str, ...]]:
    """The notification to move to the node with this address: with all its addresses, in their order."""
    (found,) = (each for each in _PUBLIC if address in each)
    return kind, tuple(sorted(found))


def test_client_is_listed_and_notified_to_move(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("MOVER") as client:
            (view,) = [r for r in await controller.registrations() if r.client_computer_name == "MOVER"]
            assert (view.key, view.node, view.ip_address) == (str(client.handle.uuid), "node2", _NODE1)
            assert (view.share_name, view.version, view.timeout) == ("data", 0x00020000, 120)

            call = client.async_notify()
            await controller.move_client("MOVER", "node3")
            assert await destination_of(call) == move_to(MessageType.CLIENT_MOVE, "198.51.100.198")
            call = client.async_notify()
            await controller.move_share("data", "198.51.100.199", client="MOVER")
            assert await destination_of(call) == (MessageType.SHARE_MOVE, ("198.51.100.199",))
            with pytest.raises(NotRegistered, match="no registration of the client UNKNOWN"):
                await controller.move_client("UNKNOWN", "node3")

    run_steps(steps)


def test_server_sends_a_forced_response_and_unregisters(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("FORCED") as client:
            key = str(client.handle.uuid)
            call = client.async_notify()
            changes = (
                ResourceChange(ChangeType.UNAVAILABLE, "Zürich"),
                ResourceChange(ChangeType.AVAILABLE, "b"),
            )
            await controller.force_response(key, response=RespAsyncNotify.of(*changes))
            assert await notification_of(call) == (MessageType.RESOURCE_CHANGE, changes)
            call = client.async_notify()
            addresses = IpAddrInfoList(
                (
                    IpAddrInfo(
                        AddressFlags.V4 | AddressFlags.OFFLINE, IPv4Address("192.0.2.1"), IPv6Address("::")
                    ),
                    IpAddrInfo(
                        AddressFlags.V6 | AddressFlags.ONLINE, IPv4Address(0), IPv6Address("2001:db8::1")
                    ),
                )
            )
            forced = RespAsyncNotify.of(addresses, message_type=MessageType.IP_CHANGE)
            await controller.force_response(key, response=forced)
            assert await notification_of(call) == (MessageType.IP_CHANGE, (addresses,))
            call = client.async_notify()
            await controller.force_unregister(key)
            assert key not in {registration.key for registration in await controller.registrations()}
            assert (await call.reply()).result == Win32.ERROR_NOT_FOUND
            with pytest.raises(NotRegistered, match="does not list the registration"):
                await controller.force_unregister(key)

    run_steps(steps)


def test_interface_is_unavailable_until_it_is_set_up(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("INTERFACE") as client:
            call = client.async_notify()
            await controller.set_interface("node1", up=False)
            assert await notification_of(call) == change(ChangeType.UNAVAILABLE)
            listed = (await client.witness_client.get_interface_list()).interface_list
            assert listed is not None
            states = {str(i.ipv4): i.state for i in listed.interfaces or () if str(i.ipv4) != "0.0.0.0"}
            assert states == {a: 0xFF if a in _PUBLIC[0] else 1 for a in _ALL if ":" not in a}
            call = client.async_notify()
            await controller.set_interface("node1", up=True)
            assert await notification_of(call) == change(ChangeType.AVAILABLE)

    run_steps(steps)


#: The failures that leave a node in the cluster, without its addresses.
_EXCLUDED = {Failure.BAN, Failure.STOP}

#: The failures of the witness service only.
_OF_THE_SERVICE = {Failure.HANG_SERVICE, Failure.KILL_WORKER}


@pytest.mark.parametrize("how", [each for each in Failure if each not in _OF_THE_SERVICE])
def test_node_fails_and_recovers(run_steps: RunSteps, how: Failure) -> None:
    left = NodeState.UNHEALTHY if how in _EXCLUDED else NodeState.DOWN

    async def steps(controller: Controller) -> None:
        async with register("FAILURE") as client:
            call = client.async_notify()
            await controller.fail("node1", how)
            assert (await controller.node("node1")).state is left
            assert await notification_of(call) == change(ChangeType.UNAVAILABLE)
            taken_over = [a for n in await controller.nodes() for a in n.addresses]
            assert sorted(taken_over) == sorted(_ALL)
            await controller.recover("node1")
            back = await controller.node("node1")
            assert (back.state, frozenset(back.addresses)) == (NodeState.OK, _PUBLIC[0])
            async with register("AFTERWARDS", address="198.51.100.10"):
                pass

    run_steps(steps)


@pytest.mark.parametrize("how", sorted(_OF_THE_SERVICE))
def test_service_fails_and_recovers(run_steps: RunSteps, how: Failure) -> None:
    """The node keeps its addresses. A client has to be there: Samba starts the service on demand."""

    async def steps(controller: Controller) -> None:
        async with register("SERVICE", address="198.51.100.10"):
            await controller.fail("node1", how)
            assert (await controller.node("node1")).state is NodeState.OK
            await controller.recover("node1")
            assert frozenset((await controller.node("node1")).addresses) == _PUBLIC[0]
        async with register("AFTERWARDS", address="198.51.100.10"):
            pass

    run_steps(steps)


def test_node_is_disabled_and_enabled(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("DISABLED") as client:
            call = client.async_notify()
            await controller.disable("node1")
            assert (await controller.node("node1")).state is NodeState.DISABLED
            assert await notification_of(call) == change(ChangeType.UNAVAILABLE)
            await controller.enable("node1")
            assert set((await controller.node("node1")).addresses) == _PUBLIC[0]

    run_steps(steps)


def test_addresses_are_added_moved_and_restored(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("ADDRESSES") as client:
            call = client.async_notify()
            before = {node.name: set(node.addresses) for node in await controller.nodes()}
            for spare, host in (("198.51.100.240", "node1"), ("fd53:574e::240", "node2")):
                await controller.add_address(host, spare)
                before[host].add(spare)
                # CTDB's deterministic allocation would move all other addresses.
                assert {node.name: set(node.addresses) for node in await controller.nodes()} == before
            await controller.move_address(_NODE1, "node3")
            assert await notification_of(call) == change(ChangeType.UNAVAILABLE)
            assert _NODE1 in (await controller.node("node3")).addresses
            await controller.restore()
            assert set((await controller.node("node1")).addresses) == _PUBLIC[0]

    run_steps(steps)


def test_only_the_witness_service_restarts(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("RESTART") as client:
            await controller.restart("node2")
            async with asyncio.timeout(5):
                await client.witness_client.rpc.closed.wait()
            assert (await controller.node("node2")).state is NodeState.OK
            async with register("RESTARTED"):
                pass

    run_steps(steps)


def test_restore_repairs_changes_of_another_process(run_steps: RunSteps, running_lab: lab.Lab) -> None:
    """The controller does not know the changes, as after a run that was killed."""

    async def steps(controller: Controller) -> None:
        async with make_controller(parse_profile(tomllib.loads(lab.profile_text(running_lab)))) as killed:
            await killed.add_address("node2", "198.51.100.240")
            await killed.remove_address("node3", "198.51.100.198")
            await killed.set_interface("node3", up=False)
            await killed.fail("node1", Failure.POWER_OFF)
            await killed.fail("node2", Failure.CRASH)
        await controller.restore()
        assert [(n.state, frozenset(n.addresses)) for n in await controller.nodes()] == [
            (NodeState.OK, addresses) for addresses in _PUBLIC
        ]

    run_steps(steps)


def test_journal_restores_what_the_cluster_does_not_show(run_steps: RunSteps, running_lab: lab.Lab) -> None:
    """Addresses stay where a killed process moved or added them, and CTDB keeps its variables."""

    def controller_of_the_lab() -> JournaledController:
        found = make_controller(parse_profile(tomllib.loads(lab.profile_text(running_lab))))
        assert isinstance(found, JournaledController)
        return found

    async def steps(controller: Controller) -> None:
        before = await controller.nodes()
        async with controller_of_the_lab() as killed:
            await killed.add_address("node2", "198.51.100.240")
            await killed.move_address(_NODE1, "node3")
            await killed.disable("node1")
        async with controller_of_the_lab() as later:
            undone = await later.restore_from_journal()
            assert [str(entry.undo) for entry in undone] == [
                "remove-address node2 198.51.100.240",
                f"move-address {_NODE1} node1",
                "enable node1",
            ]
            assert await later.nodes() == before
            assert later.journal.entries() == ()

    run_steps(steps)


#: Stands in for podman: `podman exec [--option=value] NODE COMMAND...` runs the command in a node of the lab.
_PODMAN = """#!/bin/sh
[ "$1" = exec ] || exit 125
shift
while [ "${1#-}" != "$1" ]; do shift; done
exec "EXEC" "$@"
"""


def test_prefix_can_enter_a_container(
    running_lab: lab.Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = parse_profile(tomllib.loads(lab.profile_text(running_lab)))
    enter, _ = profile.controller["prefix"]
    (tmp_path / "podman").write_text(_PODMAN.replace("EXEC", enter), encoding="utf-8")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    settings = {**profile.controller, "prefix": ["podman", "exec", "--user=root", "{node}"]}

    async def steps() -> None:
        async with make_controller(dataclasses.replace(profile, controller=settings)) as controller:
            await controller.disable("node2")
            assert (await controller.node("node2")).state is NodeState.DISABLED
            await controller.restore()
            assert [node.state for node in await controller.nodes()] == [NodeState.OK] * 3

    asyncio.run(steps())
