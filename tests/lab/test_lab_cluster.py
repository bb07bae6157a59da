"""The CTDB controller on a real cluster, observed by a witness client of ours in the client namespace."""

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

    Story = Callable[[Callable[[Controller], Awaitable[None]]], None]

pytestmark = pytest.mark.lab

_WATCHED = "198.51.100.200"  # node1's


@pytest.fixture
def story(running_lab: lab.Lab) -> Story:
    """Runs a coroutine where the nodes can be reached; its controller repairs the cluster at the end."""

    def run(tell: Callable[[Controller], Awaitable[None]]) -> None:
        problems: list[BaseException] = []

        async def whole() -> None:
            profile = parse_profile(tomllib.loads(lab.profile_text(running_lab)))
            async with make_controller(profile) as controller:
                try:
                    await tell(controller)
                finally:
                    await controller.restore()

        def in_namespace() -> None:
            try:
                lab.enter_client_namespace(running_lab.name)
                asyncio.run(whole())
            except BaseException as problem:  # noqa: BLE001 - raised again where the test can see it
                problems.append(problem)

        # A thread of its own: only it enters the namespace.
        thread = threading.Thread(target=in_namespace)
        thread.start()
        thread.join()
        if problems:
            raise problems[0]

    return run


class Watcher:
    """A client registered for node1's public address, by default at node2."""

    def __init__(self, client: witness.WitnessClient, handle: ContextHandle) -> None:
        self.client = client
        self.handle = handle

    def listen(self) -> PendingCall[AsyncNotifyResponse]:
        return self.client.async_notify(self.handle)


@asynccontextmanager
async def registered(name: str, at: str = "198.51.100.11") -> AsyncIterator[Watcher]:
    who = Credentials("witness", "Passw0rd!", "SWNTEST")
    async with await witness.connect(at, credentials=who, net_name="SWNCLUSTER") as client:
        reply = await client.register_ex(
            net_name="SWNCLUSTER", share_name="data", ip_address=_WATCHED, client_computer_name=name
        )
        assert reply.result == 0
        yield Watcher(client, reply.context)


async def news(call: PendingCall[AsyncNotifyResponse]) -> tuple[int, tuple[Notification, ...]]:
    """The message type and the content of an answer to AsyncNotify."""
    reply = await call.reply(timeout=30)
    assert (reply.result, reply.response is None) == (0, False)
    assert reply.response is not None
    kind, number, buffer = (
        reply.response.message_type,
        reply.response.number_of_messages,
        reply.response.message_buffer,
    )
    return kind, decode_buffer(kind, number, buffer or b"").items


def change(kind: ChangeType) -> tuple[int, tuple[Notification, ...]]:
    """The news that node1's address has become this."""
    return MessageType.RESOURCE_CHANGE, (ResourceChange(kind, _WATCHED),)


def moved_to(kind: MessageType, address: str) -> tuple[int, tuple[Notification, ...]]:
    """The news that somebody should go to this address."""
    info = IpAddrInfo(AddressFlags.V4 | AddressFlags.ONLINE, IPv4Address(address), IPv6Address("::"))
    return kind, (IpAddrInfoList((info,)),)


async def state_of(controller: Controller, node: str, state: NodeState) -> None:
    """Return when the cluster has noticed."""
    async with asyncio.timeout(40):
        while (await controller.node(node)).state is not state:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.1)


def test_a_client_is_seen_and_told_to_move(story: Story) -> None:
    async def tell(controller: Controller) -> None:
        async with registered("MOVER") as watcher:
            (seen,) = [r for r in await controller.registrations() if r.client_computer_name == "MOVER"]
            assert (seen.key, seen.node, seen.ip_address) == (str(watcher.handle.uuid), "node2", _WATCHED)
            assert (seen.share_name, seen.version, seen.timeout) == ("data", 0x00020000, 120)

            call = watcher.listen()
            await controller.move_client("MOVER", "node3")
            assert await news(call) == moved_to(MessageType.CLIENT_MOVE, "198.51.100.198")
            call = watcher.listen()
            await controller.move_share("data", "198.51.100.199", client="MOVER")
            assert await news(call) == moved_to(MessageType.SHARE_MOVE, "198.51.100.199")
            with pytest.raises(ControllerError, match="no registration matches"):
                await controller.move_client("SOMEBODY", "node3")

    story(tell)


def test_a_server_is_made_to_say_anything_and_to_forget(story: Story) -> None:
    async def tell(controller: Controller) -> None:
        async with registered("FORCED") as watcher:
            key = str(watcher.handle.uuid)
            call = watcher.listen()
            said = (
                ResourceChange(ChangeType.UNAVAILABLE, "Zürich"),
                ResourceChange(ChangeType.AVAILABLE, "b"),
            )
            await controller.force_response(key, response=RespAsyncNotify.of(*said))
            assert await news(call) == (MessageType.RESOURCE_CHANGE, said)
            call = watcher.listen()
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
            assert await news(call) == (MessageType.IP_CHANGE, (addresses,))
            call = watcher.listen()
            await controller.force_unregister(key)
            assert (await call.reply()).result == Win32.ERROR_NOT_FOUND
            with pytest.raises(ControllerError, match="no registration matches"):
                await controller.force_unregister(key)

    story(tell)


def test_an_interface_stays_down_until_it_is_up(story: Story) -> None:
    async def tell(controller: Controller) -> None:
        async with registered("INTERFACE") as watcher:
            call = watcher.listen()
            await controller.set_interface("node1", up=False)
            assert await news(call) == change(ChangeType.UNAVAILABLE)
            listed = (await watcher.client.get_interface_list()).interface_list
            assert listed is not None
            states = {str(i.ipv4): i.state for i in listed.interfaces or ()}
            assert states == {_WATCHED: 0xFF, "198.51.100.199": 1, "198.51.100.198": 1}
            call = watcher.listen()
            await controller.set_interface("node1", up=True)
            assert await news(call) == change(ChangeType.AVAILABLE)

    story(tell)


@pytest.mark.parametrize("how", list(Failure))
def test_a_node_fails_and_recovers(story: Story, how: Failure) -> None:
    async def tell(controller: Controller) -> None:
        async with registered("FAILURE") as watcher:
            call = watcher.listen()
            await controller.fail("node1", how)
            assert await news(call) == change(ChangeType.UNAVAILABLE)
            await state_of(controller, "node1", NodeState.DOWN)
            taken_over = [a for n in await controller.nodes() for a in n.addresses]
            assert sorted(taken_over) == ["198.51.100.198", "198.51.100.199", "198.51.100.200"]
            await controller.recover("node1")
            back = await controller.node("node1")
            assert (back.state, back.addresses) == (NodeState.OK, (_WATCHED,))
            async with registered("AFTERWARDS", at="198.51.100.10"):
                pass

    story(tell)


def test_a_node_is_disabled_and_enabled(story: Story) -> None:
    async def tell(controller: Controller) -> None:
        async with registered("DISABLED") as watcher:
            call = watcher.listen()
            await controller.disable("node1")
            assert await news(call) == change(ChangeType.UNAVAILABLE)
            await state_of(controller, "node1", NodeState.DISABLED)
            await controller.enable("node1")
            assert (await controller.node("node1")).addresses == (_WATCHED,)

    story(tell)


def test_addresses_come_go_and_move(story: Story) -> None:
    async def tell(controller: Controller) -> None:
        async with registered("ADDRESSES") as watcher:
            call = watcher.listen()
            await controller.add_address("node1", "198.51.100.151")
            assert "198.51.100.151" in (await controller.node("node1")).addresses
            await controller.move_address(_WATCHED, "node3")
            assert await news(call) == change(ChangeType.UNAVAILABLE)
            assert _WATCHED in (await controller.node("node3")).addresses
            await controller.restore()
            assert (await controller.node("node1")).addresses == (_WATCHED,)

    story(tell)


def test_the_witness_service_restarts_alone(story: Story) -> None:
    async def tell(controller: Controller) -> None:
        async with registered("RESTART") as watcher:
            await controller.restart("node2")
            async with asyncio.timeout(5):
                await watcher.client.rpc.closed.wait()
            assert (await controller.node("node2")).state is NodeState.OK
            async with registered("RESTARTED"):
                pass

    story(tell)


def test_what_one_process_broke_another_repairs(story: Story) -> None:
    """A controller that knows nothing of what happened finds out, as after the death of a run."""

    async def tell(controller: Controller) -> None:
        await controller.fail("node1", Failure.POWER_OFF)
        await controller.fail("node2", Failure.CRASH)
        await controller.disable("node3")
        await controller.restore()
        assert {n.state for n in await controller.nodes()} == {NodeState.OK}

    story(tell)
