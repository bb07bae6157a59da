"""How the nodes of a reference cluster fail and recover, and when the other nodes detect it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.server.condition import Condition
from swn_torture.server.nodes.events import ClusterError, ClusterEvents
from swn_torture.witness.constants import InterfaceState

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.server.activity.log import ActivityLog
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.node import Node


class FailingCluster(ClusterEvents):
    """A cluster whose nodes fail on command.

    Args:
        config: the configuration of the cluster.
        activity: observes it; None for no observer.
    """

    def __init__(self, config: ClusterConfig, activity: ActivityLog | None) -> None:
        super().__init__(config, activity)
        self._detections: dict[str, asyncio.TimerHandle] = {}
        """Timers after which the other nodes detect a failure, by failed node."""

    def addresses_of(self, node: str) -> list[IPv4Address | IPv6Address]:
        """Return the addresses that a node hosts."""
        return [a for interface in self.interfaces if interface.node == node for a in interface.addresses]

    def failure_detected(self, node: str) -> bool:
        """Whether the other nodes have detected the failure of a node; True for a node that did not fail."""
        return node not in self._detections

    async def crash(self, name: str) -> None:
        """Kill the processes of a node: its connections are reset, the other nodes detect the failure."""
        node = self.node(name)
        async with self._lock:
            self._require_not_failed(node)
            node.condition = Condition.CRASHED
            await node.stop(reset=True)
            self._announce_failure(node)

    async def power_off(self, name: str) -> None:
        """Cut the power of a node: it sends nothing, the other nodes detect the failure."""
        node = self.node(name)
        async with self._lock:
            self._require_not_failed(node)
            node.condition = Condition.SILENT
            node.freeze()
            self._announce_failure(node)

    async def partition(self, name: str) -> None:
        """Cut a node off from the other nodes. Clients reach both sides; neither side sees the other."""
        node = self.node(name)
        async with self._lock:
            self._require_not_failed(node)
            node.condition = Condition.PARTITIONED
            self._announce_failure(node)
            for interface in self.interfaces:
                if interface.node != node.name:
                    self._report(interface, InterfaceState.UNAVAILABLE, to=[node])

    async def hang(self, name: str) -> None:
        """Let all processes of a node hang; the other nodes detect the failure."""
        await self._stay_silent(name, Condition.HUNG)

    async def link_down(self, name: str) -> None:
        """Take the network link of a node down; the other nodes detect the failure."""
        await self._stay_silent(name, Condition.LINK_DOWN)

    async def _stay_silent(self, name: str, condition: Condition) -> None:
        """Let a node send nothing, but keep its state."""
        node = self.node(name)
        async with self._lock:
            self._require_not_failed(node)
            node.condition = condition
            node.hang()
            self._announce_failure(node)

    async def hang_service(self, name: str) -> None:
        """Let only the witness server of a node hang. Nothing detects that."""
        node = self.node(name)
        async with self._lock:
            self._require_not_failed(node)
            node.hang()

    async def kill_worker(self, name: str) -> None:
        """Kill the witness server of a node, which starts again at once: its registrations are lost."""
        node = self.node(name)
        async with self._lock:
            self._require_running(node)
            await self._restart(node)

    async def exclude(self, name: str) -> None:
        """Exclude a node from the cluster: its interfaces become UNAVAILABLE. Its witness server runs."""
        node = self.node(name)
        async with self._lock:
            self._require_not_failed(node)
            node.condition = Condition.EXCLUDED
            self._set_states(node, InterfaceState.UNAVAILABLE)

    async def recover(self, name: str) -> None:
        """Recover a failed node. The other nodes then see it again.

        After a crash or a power cut the node reboots: its registrations are lost and its old connections are
        reset. After other failures it keeps its state.
        """
        node = self.node(name)
        async with self._lock:
            before = node.condition
            if before in {Condition.OK, Condition.DISABLED}:
                node.go_on()
                return
            if before is Condition.EXCLUDED:
                node.condition = Condition.OK
                self._set_states(node, InterfaceState.AVAILABLE)
                return
            if (detection := self._detections.pop(node.name, None)) is not None:
                detection.cancel()
            node.condition = Condition.OK
            self._set_states_silently(node, InterfaceState.AVAILABLE)
            if not before.keeps_state:
                await self._restart(node)
            node.go_on()
            for interface in self.interfaces:
                if interface.node == node.name:
                    self._report(interface, interface.state, to=self._others(node))
                elif before is Condition.PARTITIONED and self.sees(node.name, interface.node):
                    self._report(interface, interface.state, to=[node])

    # Detection

    def _announce_failure(self, node: Node) -> None:
        """Report the interfaces of a failed node as UNAVAILABLE to the other nodes, after the delay."""

        def detect() -> None:
            self._detections.pop(node.name, None)
            others = [
                n for n in self.nodes.values() if n is not node and n.condition is not Condition.PARTITIONED
            ]
            for interface in self.interfaces:
                if interface.node == node.name:
                    self._report(interface, InterfaceState.UNAVAILABLE, to=others)

        if self.config.detection_delay <= 0:
            detect()
            return
        delay = self.config.detection_delay / self.config.options.time_scale
        self._detections[node.name] = asyncio.get_running_loop().call_later(delay, detect)

    # Helpers

    def _require_running(self, node: Node) -> None:
        if not node.condition.runs:
            raise ClusterError(f"{node.name} is {node.condition.value}; recover it first")

    def _require_not_failed(self, node: Node) -> None:
        if node.condition not in {Condition.OK, Condition.DISABLED}:
            raise ClusterError(f"{node.name} is {node.condition.value}; recover it first")

    async def _restart(self, node: Node) -> None:
        await node.stop(reset=True)
        await node.start(self.addresses_of(node.name))
