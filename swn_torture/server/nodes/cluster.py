"""The reference cluster: its nodes and the events that an administrator can cause.

The cluster has the true state of every interface. Each node's witness server has the state that it received
by events. A change first updates the true state. Then the nodes that see the change process the events of
MS-SWN 3.1.6 and notify their clients.
"""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Self

from swn_torture.server.companions.services import CompanionServices
from swn_torture.server.condition import Condition
from swn_torture.server.config import ClusterConfig, choose_epm_port
from swn_torture.server.nodes.events import ClusterError
from swn_torture.server.nodes.failures import FailingCluster
from swn_torture.server.nodes.node import Node
from swn_torture.server.nodes.parts import Parts
from swn_torture.server.state.interfaces import Interface
from swn_torture.server.state.names import NetNames
from swn_torture.server.state.shares import Share, ShareTable
from swn_torture.witness.constants import InterfaceState

if TYPE_CHECKING:
    from types import TracebackType

    from swn_torture.server.activity.log import ActivityLog
    from swn_torture.server.state.registrations import Selection
    from swn_torture.witness.messages import AsyncNotifyResponse

Address = IPv4Address | IPv6Address


class NodeView:
    """The cluster as one node sees it without events (a `ClusterView`)."""

    def __init__(self, cluster: ReferenceCluster, node: str) -> None:
        self.net_names = cluster.net_names
        self.shares = cluster.shares
        self._cluster = cluster
        self._node = node

    def interfaces(self) -> tuple[Interface, ...]:
        """Return the interfaces of the configuration store. Those of unseen nodes are UNAVAILABLE."""
        return self._cluster.seen_by(self._node) if self._cluster.config.list_interfaces else ()


class ReferenceCluster(FailingCluster):
    """A cluster of witness servers that fails on command. `async with` starts and stops it.

    Args:
        config: its configuration.
        parts: the classes of its nodes.
        activity: observes its nodes; None for no observer.

    Attributes:
        nodes: the nodes by name, in the order of the configuration.
        shares: the shares. They can change while the cluster runs.
        interfaces: the interfaces with their true states.
    """

    def __init__(
        self,
        config: ClusterConfig | None = None,
        parts: Parts | None = None,
        activity: ActivityLog | None = None,
    ) -> None:
        super().__init__(config or ClusterConfig(), activity)
        self._parts = parts or Parts()
        others = tuple(NetNames(each.name, each.aliases) for each in self.config.other_names)
        self.net_names = NetNames(self.config.net_name, self.config.aliases, others)
        self.shares = ShareTable(self.config.shares, failing=self.config.share_enumeration_fails)
        self.interfaces = self._configured_interfaces()
        self._companions = CompanionServices(self)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start all nodes.

        Raises:
            OSError: a node cannot listen on any of its addresses.
        """
        epm_port = self.config.epm_port or choose_epm_port(self.config.nodes[0].address)
        for config in self.config.nodes:
            view = NodeView(self, config.name)
            self.nodes[config.name] = Node(
                config, self.config, view, epm_port, self._parts, self._companions, self._activity
            )
        try:
            for node in self.nodes.values():
                await node.start(self.addresses_of(node.name))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all nodes."""
        for detection in self._detections.values():
            detection.cancel()
        for node in self.nodes.values():
            await node.stop(reset=not node.condition.runs)
        self._companions.clear()

    # State

    def is_in_service(self, node: str) -> bool:
        """Whether a node serves clients: neither disabled nor failed."""
        return self.node(node).condition in {Condition.OK, Condition.PARTITIONED}

    def seen_by(self, viewer: str) -> tuple[Interface, ...]:
        """Return the interfaces with their states as a node sees them."""
        return tuple(
            interface
            if self.sees(viewer, interface.node)
            else dataclasses.replace(interface, state=InterfaceState.UNAVAILABLE)
            for interface in self.interfaces
        )

    def registrations(self) -> list[dict[str, Any]]:
        """Return the registrations of all nodes as plain values."""
        return [entry for node in self.nodes.values() for entry in node.registrations()]

    # Failure and recovery of nodes

    async def disable(self, name: str) -> None:
        """Take a node out of service: its interfaces become UNAVAILABLE, its witness server still runs."""
        node = self.node(name)
        async with self._lock:
            if node.condition is Condition.DISABLED:
                return
            self._require_not_failed(node)
            node.condition = Condition.DISABLED
            self._set_states(node, InterfaceState.UNAVAILABLE)

    async def enable(self, name: str) -> None:
        """Return a disabled node to service."""
        node = self.node(name)
        async with self._lock:
            if node.condition is Condition.DISABLED:
                node.condition = Condition.OK
                self._set_states(node, InterfaceState.AVAILABLE)

    async def restart(self, name: str) -> None:
        """Restart the witness server of a node: its registrations are lost, its interfaces do not change."""
        node = self.node(name)
        async with self._lock:
            self._require_running(node)
            await self._restart(node)

    async def restore(self) -> None:
        """Restore the configured state of all nodes, interfaces and shares.

        Registrations are kept, except on nodes that have to reboot.
        """
        for node in self.nodes.values():
            await self.recover(node.name)
            await self.enable(node.name)
        self.shares.restore()
        configured = self._configured_interfaces()
        for interface in list(self.interfaces):
            for address in interface.addresses:
                if not _hosts(configured, interface.node, address):
                    await self.remove_address(str(address))
        for interface in configured:
            for address in interface.addresses:
                if not _hosts(self.interfaces, interface.node, address):
                    await self.add_address(interface.node, str(address))
        for interface in self.interfaces:
            if interface.state is not InterfaceState.AVAILABLE:
                self._change(interface, InterfaceState.AVAILABLE)

    # Interfaces and addresses

    async def set_interface(self, name: str, state: InterfaceState, address: str | None = None) -> None:
        """Set the state of the interfaces of a node, or of the one with `address`. The node still runs."""
        node = self.node(name)
        selected = None if address is None else self._interface_at(address)
        async with self._lock:
            for interface in list(self.interfaces):
                if interface.node == node.name and selected in {None, interface}:
                    self._change(interface, state)

    async def add_address(self, name: str, address: str) -> None:
        """Add a witness address to a node, as a separate interface."""
        node = self.node(name)
        async with self._lock:
            if any(_parse(address) in interface.addresses for interface in self.interfaces):
                raise ClusterError(f"the address {address} is in use")
            self._require_running(node)
            added = await self._add_address(node, _parse(address))
            self._announce_address_change(added.group_name, "added")

    async def remove_address(self, address: str) -> None:
        """Remove an address from its node."""
        interface = self._interface_at(address)
        async with self._lock:
            await self._remove_address(interface, _parse(address))
            self._announce_address_change(interface.group_name, "removed")

    async def change_address(self, old: str, new: str) -> None:
        """Replace one address of a node by another; clients are notified of one IP_CHANGE."""
        interface = self._interface_at(old)
        node = self.node(interface.node)
        async with self._lock:
            self._require_running(node)
            await self._remove_address(interface, _parse(old))
            await self._add_address(node, _parse(new), interface.net_name)
            self._announce_address_change(interface.group_name, "removed", "added")

    async def move_address(self, address: str, name: str) -> None:
        """Move an address to another node, where it is AVAILABLE."""
        interface, node = self._interface_at(address), self.node(name)
        async with self._lock:
            self._require_running(node)
            await self._remove_address(interface, _parse(address))
            moved = await self._add_address(node, _parse(address), interface.net_name)
            self._announce(moved, InterfaceState.AVAILABLE)
            self._announce_address_change(moved.group_name, "removed", "added")

    # Clients and shares

    def move_client(self, selection: Selection, destination: str) -> None:
        """Notify clients of a CLIENT_MOVE (MS-SWN 3.1.6.2)."""
        self._process_event(lambda service: service.client_move(selection, destination))

    def move_share(self, selection: Selection, destination: str) -> None:
        """Notify the clients of a share of a SHARE_MOVE (MS-SWN 3.1.6.3)."""
        if selection.share_name is None:
            raise ClusterError("a share move must select a share: share_name is missing")
        self._process_event(lambda service: service.share_move(selection, destination))

    def change_ip(self, selection: Selection, change: str) -> None:
        """Notify clients of an IP_CHANGE without changing an address (MS-SWN 3.1.6.4)."""
        self._process_event(lambda service: service.ip_change(selection, change))

    def set_shares(self, shares: tuple[Share, ...]) -> None:
        """Replace all shares."""
        self.shares.replace(shares)

    def force_unregister(self, selection: Selection) -> None:
        """Remove registrations as if their clients had called UnRegister."""
        self._process_event(lambda service: service.force_unregister(selection))

    def force_response(self, selection: Selection, response: AsyncNotifyResponse) -> None:
        """Complete the waiting or the next AsyncNotify of registrations with this response."""
        self._process_event(lambda service: service.force_response(selection, response))

    # Helpers

    async def _add_address(self, node: Node, address: Address, net_name: str = "") -> Interface:
        net_name = net_name or self._configured_name(address)
        group = self._group_of(node.name, net_name)
        interface = Interface(group, node=node.name, net_name=net_name).with_address(address)
        await node.listen(str(address))
        self.interfaces.append(interface)
        self._announce(interface, interface.state)
        return interface

    async def _remove_address(self, interface: Interface, address: Address) -> None:
        rest = interface.without(address)
        at = self.interfaces.index(interface)
        self.interfaces[at : at + 1] = [rest] if rest.addresses else []
        await self.node(interface.node).withdraw(str(address))
        self._process_event(lambda service: service.address_removed(interface.group_name, address))

    def _group_of(self, node: str, net_name: str) -> str:
        """Return the InterfaceGroupName of a node's interfaces of a network name (AMB-10)."""
        return node if self.config.options.group_names == "node" else net_name or self.config.net_name

    def _configured_name(self, address: Address) -> str:
        """Return the network name of an address: the configured one, else the first; empty for one name."""
        configured = (i for node in self.config.nodes for i in node.interfaces if address in i.addresses)
        first = self.config.net_name if self.config.other_names else ""
        return next((i.net_name for i in configured), first)

    def _interface_at(self, address: str) -> Interface:
        for interface in self.interfaces:
            if _parse(address) in interface.addresses:
                return interface
        raise ClusterError(f"no node has the address {address}")

    def _configured_interfaces(self) -> list[Interface]:
        return [
            Interface(
                self._group_of(node.name, interface.net_name),
                interface.ipv4,
                interface.ipv6,
                node=node.name,
                net_name=interface.net_name,
            )
            for node in self.config.nodes
            for interface in node.interfaces
        ]


def _hosts(interfaces: list[Interface], node: str, address: Address) -> bool:
    return any(interface.node == node and address in interface.addresses for interface in interfaces)


def _parse(address: str) -> Address:
    try:
        return ip_address(address)
    except ValueError:
        raise ClusterError(f"{address!r} is not an IP address") from None
