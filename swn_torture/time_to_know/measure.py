"""Lets a node fail in one way after the other, and measures when clients hear of it.

A client that registers for an address of the node that fails is registered with another node, as the protocol
wants. If only the witness service of the node fails, the clients are registered with it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, Any, Final

from swn_torture.control.base import Capability, ControllerError, Failure, NodeState, unknown_node
from swn_torture.time_to_know.clients import CannotRegister, WitnessClients
from swn_torture.time_to_know.connections import Connection, NoService
from swn_torture.time_to_know.model import Measurement
from swn_torture.time_to_know.packets import CannotCapture, Packets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swn_torture.control.base import Controller, NodeStatus
    from swn_torture.target import NodeAddress, Profile

DISABLE: Final = "disable"
"""The orderly way to take a node out of service; not a kind of `Failure`."""

KINDS: Final = (DISABLE, *(failure.value for failure in Failure))
"""All kinds, in the order in which they are measured."""

_OF_SERVICE: Final = {Failure.HANG_SERVICE.value, Failure.KILL_WORKER.value}
_RESTORE_SECONDS: Final = 180.0


class Unusable(ControllerError):  # noqa: N818 - it reports a property of the target
    """The target cannot be measured; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What is measured.

    Attributes:
        clients: numbers of clients.
        kinds: kinds of failure; empty for all that the controller offers.
        node: the node that fails; empty for the last one of the profile that can.
        deadline: seconds that clients wait after the cluster itself has noticed the failure.
        tcp_limit: seconds that clients without witness are watched; 0 for none.
        tcp_age: seconds that their connections are open before the failure.
        rounds: how often each measurement is repeated.
        capture: whether packets are captured, too.
    """

    clients: Sequence[int] = (1, 100)
    kinds: Sequence[str] = ()
    node: str = ""
    deadline: float = 30.0
    tcp_limit: float = 30.0
    tcp_age: float = 25.0
    rounds: int = 1
    capture: bool = False


class Benchmark:
    """Measures one target.

    Args:
        profile: the target.
        controller: its controller, open.
        settings: what to measure.
        done: called with each measurement.
        progress: called with what is being done, at each step.
    """

    def __init__(
        self,
        profile: Profile,
        controller: Controller,
        settings: Settings,
        done: Callable[[Measurement], None],
        progress: Callable[[str], None],
    ) -> None:
        self._profile = profile
        self._controller = controller
        self._settings = settings
        self._done = done
        self._progress = progress
        self.captured: list[Any] = []
        """The packets that were captured, with comments."""

    def kinds(self) -> list[str]:
        """The kinds that will be measured.

        Raises:
            NotSupported: the controller does not offer one that was asked for.
            Unusable: it offers none, or a person would have to make them.
        """
        if self._controller.needs_person:
            raise Unusable("a person makes the changes, so that nothing can say when exactly a node fails")
        self._controller.require(Capability.LIST_NODES)
        for kind in self._settings.kinds:
            self._controller.require(_capability(kind))
        found = [
            kind
            for kind in KINDS
            if self._controller.can(_capability(kind))
            and (not self._settings.kinds or kind in self._settings.kinds)
        ]
        if not found:
            raise Unusable(f"the {self._controller.kind} controller cannot let a node fail")
        return found

    async def run(self) -> None:
        """Measure everything, and leave the cluster as it was after each measurement.

        Raises:
            ControllerError: the cluster cannot be used any more, or there is no node that can fail.
        """
        kinds = self.kinds()
        await self._controller.wait_healthy()
        for kind in kinds:
            for number, clients in enumerate([*self._settings.clients] * self._settings.rounds):
                measured = Measurement(kind, "", clients, time.time())
                await self._measure(measured, with_tcp=number == 0 and self._settings.tcp_limit > 0)
                self._done(measured)

    async def _measure(self, measured: Measurement, *, with_tcp: bool) -> None:
        """Make one measurement, and restore the cluster."""
        failing, others = await self._nodes(measured.failure)
        measured.node = failing.name
        what = f"{measured.failure} of {failing.name}, {measured.clients} client"
        what += "s" if measured.clients > 1 else ""
        clients, connections = WitnessClients(self._profile), list[Connection]()
        try:
            if with_tcp and measured.failure not in _OF_SERVICE:
                connections = await self._connections(measured, failing)
            elif with_tcp:
                measured.no_connections = "the SMB service does not fail"
            try:
                measured.problem = await clients.register(
                    measured.clients,
                    *self._where(measured.failure, failing, others),
                    lambda number: self._progress(f"{what}: {number} registered"),
                )
            except CannotRegister as problem:
                measured.problem = str(problem)
                return
            await self._wait_for_age(what, connections)
            await clients.settle()
            packets = self._start_capture(measured) if connections and self._settings.capture else None
            await self._fail(measured, what, clients, connections)
            if packets is not None:
                packets.stop()
                ports = {connection.own_port for connection in connections}
                measured.packets = packets.seen(failing.addresses, ports, measured.at)
                self.captured += packets.packets
        finally:
            self._progress(f"{what}: restoring")
            await clients.close()
            for connection in connections:
                await connection.close()
        await self._restore(measured)

    async def _fail(
        self, measured: Measurement, what: str, clients: WitnessClients, connections: Sequence[Connection]
    ) -> None:
        self._progress(f"{what}: failing")
        clients.hold()
        before = time.monotonic()
        measured.at = time.time()
        try:
            await self._change(measured.failure, measured.node)
        except ControllerError as problem:
            measured.problem = str(problem)
        event = max(self._controller.changed_at() or before, before)
        measured.at += event - before
        measured.cluster_saw = None if measured.problem else time.monotonic() - event
        self._progress(f"{what}: waiting")
        await clients.wait(self._settings.deadline)
        measured.waited = time.monotonic() - event
        measured.heard = await clients.heard(event)
        for connection in connections:
            self._progress(f"{what}: waiting for TCP, at most {self._settings.tcp_limit:g} s")
            await connection.wait(max(0.0, event + self._settings.tcp_limit - time.monotonic()))
        measured.connections = [each.ending(event, time.monotonic()) for each in connections]

    def _start_capture(self, measured: Measurement) -> Packets | None:
        packets = Packets()
        try:
            packets.start()
        except CannotCapture as problem:
            measured.problem = str(problem)
            return None
        return packets

    async def _change(self, kind: str, node: str) -> None:
        if kind == DISABLE:
            await self._controller.disable(node)
        else:
            await self._controller.fail(node, Failure(kind))

    async def _restore(self, measured: Measurement) -> None:
        if measured.failure == DISABLE:
            await self._controller.enable(measured.node)
        else:
            await self._controller.recover(measured.node)
        # Also addresses that stayed where they moved to.
        await self._controller.restore(_RESTORE_SECONDS)

    # Who and where

    async def _nodes(self, kind: str) -> tuple[NodeStatus, list[NodeStatus]]:
        """The node that will fail, and the others, all in service and in the profile."""
        statuses = await self._controller.nodes()
        usable = [
            each
            for each in statuses
            if each.state is NodeState.OK and each.addresses and self._in_profile(each.name) is not None
        ]
        wanted = self._settings.node.casefold()
        if wanted and wanted not in {each.name.casefold() for each in statuses}:
            raise unknown_node(self._settings.node, (each.name for each in statuses))
        found = [each for each in usable if not wanted or each.name.casefold() == wanted]
        others = [each for each in usable if found and each is not found[-1]]
        if not found or not others:
            raise Unusable(
                f"{kind} needs two nodes that are in service, host addresses and are in the profile; "
                f"there are: {', '.join(each.name for each in usable) or 'none'}"
            )
        return found[-1], others

    def _in_profile(self, name: str) -> NodeAddress | None:
        return next((n for n in self._profile.nodes if n.name.casefold() == name.casefold()), None)

    def _where(
        self, kind: str, failing: NodeStatus, others: Sequence[NodeStatus]
    ) -> tuple[list[NodeAddress], list[str]]:
        """The nodes that clients register with, and the addresses that they register for."""
        with_nodes, hosts = ([failing], others) if kind in _OF_SERVICE else (others, [failing])
        found = [self._in_profile(each.name) for each in with_nodes]
        return [each for each in found if each], [address for host in hosts for address in host.addresses]

    async def _connections(self, measured: Measurement, failing: NodeStatus) -> list[Connection]:
        """SMB connections to the node that will fail; none if it has no SMB service."""
        node = self._in_profile(failing.name)
        assert node is not None
        floating = failing.addresses[0]
        wanted = [("with requests", floating, True), ("idle", floating, False)]
        if failing.management_address not in {"", *failing.addresses}:
            wanted.append(("with requests, fixed address", failing.management_address, True))
        opened: list[Connection] = []
        try:
            for what, address, requests in wanted:
                opened.append(await Connection.open(what, address, node.smb_port, requests=requests))
        except NoService as problem:
            measured.no_connections = str(problem)
            for each in opened:
                await each.close()
            return []
        except BaseException:
            for each in opened:
                await each.close()
            raise
        return opened

    async def _wait_for_age(self, what: str, connections: Sequence[Connection]) -> None:
        """Wait until the connections are so old that the cluster knows them on all nodes."""
        if not connections:
            return
        left = max(each.opened_at for each in connections) + self._settings.tcp_age - time.monotonic()
        if left > 0:
            self._progress(f"{what}: waiting {left:.0f} s, until the cluster knows the TCP connections")
            await asyncio.sleep(left)


def _capability(kind: str) -> Capability:
    return Capability.DISABLE_NODE if kind == DISABLE else Failure(kind).capability
