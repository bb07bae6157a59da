"""The CTDB controller on a real cluster, observed by a witness client in the client namespace."""

from __future__ import annotations

import asyncio
import threading
import tomllib
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.control import ControllerError, Failure, NodeState
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.stubdata.win32 import Win32
from swn_torture.target import make_controller, parse_profile
from swn_torture.witness import client as witness
from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange, decode_buffer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from swn_torture.control import Controller
    from swn_torture.witness.client import PendingCall
    from swn_torture.witness.messages import AsyncNotifyResponse, ContextHandle
    from swn_torture.witness.notifications import Notification

    Steps = Callable[[Controller], Awaitable[None]]
    RunSteps = Callable[[Steps], None]

pytestmark = pytest.mark.lab

_NODE1 = "198.51.100.200"
"""The public address of node1, for which the clients register."""


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


def move_to(kind: MessageType, address: str) -> tuple[int, tuple[Notification, ...]]:
    """The notification to move to this address."""
    info = IpAddrInfo(AddressFlags.V4 | AddressFlags.ONLINE, IPv4Address(address), IPv6Address("::"))
    return kind, (IpAddrInfoList((info,)),)


async def wait_for_state(controller: Controller, node: str, state: NodeState) -> None:
    """Return when the cluster reports the node in this state."""
    async with asyncio.timeout(40):
        while (await controller.node(node)).state is not state:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.1)


def test_client_is_listed_and_notified_to_move(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("MOVER") as client:
            (view,) = [r for r in await controller.registrations() if r.client_computer_name == "MOVER"]
            assert (view.key, view.node, view.ip_address) == (str(client.handle.uuid), "node2", _NODE1)
            assert (view.share_name, view.version, view.timeout) == ("data", 0x00020000, 120)

            call = client.async_notify()
            await controller.move_client("MOVER", "node3")
            assert await notification_of(call) == move_to(MessageType.CLIENT_MOVE, "198.51.100.198")
            call = client.async_notify()
            await controller.move_share("data", "198.51.100.199", client="MOVER")
            assert await notification_of(call) == move_to(MessageType.SHARE_MOVE, "198.51.100.199")
            with pytest.raises(ControllerError, match="no registration matches"):
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
            assert (await call.reply()).result == Win32.ERROR_NOT_FOUND
            with pytest.raises(ControllerError, match="no registration matches"):
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
            states = {str(i.ipv4): i.state for i in listed.interfaces or ()}
            assert states == {_NODE1: 0xFF, "198.51.100.199": 1, "198.51.100.198": 1}
            call = client.async_notify()
            await controller.set_interface("node1", up=True)
            assert await notification_of(call) == change(ChangeType.AVAILABLE)

    run_steps(steps)


@pytest.mark.parametrize("how", list(Failure))
def test_node_fails_and_recovers(run_steps: RunSteps, how: Failure) -> None:
    async def steps(controller: Controller) -> None:
        async with register("FAILURE") as client:
            call = client.async_notify()
            await controller.fail("node1", how)
            assert await notification_of(call) == change(ChangeType.UNAVAILABLE)
            await wait_for_state(controller, "node1", NodeState.DOWN)
            taken_over = [a for n in await controller.nodes() for a in n.addresses]
            assert sorted(taken_over) == ["198.51.100.198", "198.51.100.199", "198.51.100.200"]
            await controller.recover("node1")
            back = await controller.node("node1")
            assert (back.state, back.addresses) == (NodeState.OK, (_NODE1,))
            async with register("AFTERWARDS", address="198.51.100.10"):
                pass

    run_steps(steps)


def test_node_is_disabled_and_enabled(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("DISABLED") as client:
            call = client.async_notify()
            await controller.disable("node1")
            assert await notification_of(call) == change(ChangeType.UNAVAILABLE)
            await wait_for_state(controller, "node1", NodeState.DISABLED)
            await controller.enable("node1")
            assert (await controller.node("node1")).addresses == (_NODE1,)

    run_steps(steps)


def test_addresses_are_added_moved_and_restored(run_steps: RunSteps) -> None:
    async def steps(controller: Controller) -> None:
        async with register("ADDRESSES") as client:
            call = client.async_notify()
            await controller.add_address("node1", "198.51.100.151")
            assert "198.51.100.151" in (await controller.node("node1")).addresses
            await controller.move_address(_NODE1, "node3")
            assert await notification_of(call) == change(ChangeType.UNAVAILABLE)
            assert _NODE1 in (await controller.node("node3")).addresses
            await controller.restore()
            assert (await controller.node("node1")).addresses == (_NODE1,)

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


def test_restore_repairs_changes_of_another_process(run_steps: RunSteps) -> None:
    """The controller does not know the changes, as after a run that was killed."""

    async def steps(controller: Controller) -> None:
        await controller.fail("node1", Failure.POWER_OFF)
        await controller.fail("node2", Failure.CRASH)
        await controller.disable("node3")
        await controller.restore()
        assert {n.state for n in await controller.nodes()} == {NodeState.OK}

    run_steps(steps)
