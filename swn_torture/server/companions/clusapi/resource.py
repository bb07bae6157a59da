"""The ClusAPI objects of the reference cluster: its name, an address for each interface, their groups.

Witness clients register with the network name. While it is offline, no interface of the cluster is AVAILABLE.
A resource has no separate state: its state follows from the interfaces, and switching it sets their states.
The network name is also the name of the group that has all resources. Beside it, each address has a group of
its own, as a role of a file server, which can be moved to another node.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.server.companions.clusapi.messages import (
    GroupState,
    NetworkState,
    NodeState,
    ResourceState,
)
from swn_torture.server.state.names import same_name
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.server.companions.cluster_access import ClusterAccess
    from swn_torture.server.state.interfaces import Interface

_NAMESPACE = uuid.UUID("5a7b0a2c-6f0e-4f5c-9d0b-2f1c4f1f6d57")
"""Namespace of resource ids. An id must not change (MS-CMRP 3.1.1.1.1)."""


class NetworkName:
    """The network name of a cluster, as one of its nodes sees it.

    Args:
        cluster: the cluster.
        viewer: the node that serves the caller.

    Attributes:
        name: the name of the resource and of its group, as in a Windows cluster role.
        id: the id of the resource, a GUID as text.
    """

    def __init__(self, cluster: ClusterAccess, viewer: str) -> None:
        self.name = cluster.net_names.name
        self.id = str(uuid.uuid5(_NAMESPACE, self.name.upper()))
        self._cluster = cluster
        self._viewer = viewer

    def is_named(self, name: str, *, group: bool = False) -> bool:
        """Whether `name` is the name or the id of the resource, in any case (MS-CMRP 3.1.1.1.1).

        "Cluster Name" and "Cluster Group" are those of a Windows cluster: administration tools open them.

        Args:
            name: the name.
            group: whether it is the name of the group.
        """
        others = ("Cluster Group",) if group else ("Cluster Name",)
        return any(same_name(name, own, ignore_case=True) for own in (self.name, self.id, *others))

    @property
    def state(self) -> ResourceState:
        """ONLINE if an interface is AVAILABLE, otherwise OFFLINE."""
        return ResourceState.ONLINE if self._is_online() else ResourceState.OFFLINE

    @property
    def owner(self) -> str:
        """The owner node: the first node with an AVAILABLE interface, otherwise the viewer."""
        return next(
            (
                interface.node
                for interface in self._cluster.seen_by(self._viewer)
                if interface.state is InterfaceState.AVAILABLE
            ),
            self._viewer,
        )

    async def take_offline(self) -> Win32:
        """Set all interfaces to UNAVAILABLE. Clients registered for them are notified (MS-SWN 3.1.6.1)."""
        for node in self._nodes_with(InterfaceState.AVAILABLE, InterfaceState.UNKNOWN):
            await self._cluster.set_interface(node, InterfaceState.UNAVAILABLE)
        return Win32.ERROR_SUCCESS

    async def bring_online(self) -> Win32:
        """Set the interfaces of all nodes in service to AVAILABLE. Nodes out of service do not change.

        Returns:
            ERROR_RESOURCE_NOT_AVAILABLE (0x138E) if no node is in service.
        """
        if self._is_online():
            return Win32.ERROR_SUCCESS
        for node in self._nodes_with(InterfaceState.UNAVAILABLE, InterfaceState.UNKNOWN):
            if self._cluster.is_in_service(node):
                await self._cluster.set_interface(node, InterfaceState.AVAILABLE)
        return Win32.ERROR_SUCCESS if self._is_online() else Win32.ERROR_RESOURCE_NOT_AVAILABLE

    async def fail(self) -> Win32:
        """Take it offline: nothing brings a failed network name online again (MS-CMRP 3.1.4.2.17)."""
        return await self.take_offline() if self._is_online() else Win32.ERROR_INVALID_STATE

    def _is_online(self) -> bool:
        return any(i.state is InterfaceState.AVAILABLE for i in self._cluster.seen_by(self._viewer))

    def _nodes_with(self, *states: InterfaceState) -> list[str]:
        return list(dict.fromkeys(i.node for i in self._cluster.interfaces if i.state in states))


class AddressResource:
    """The address of one interface, as one of its nodes sees it.

    Args:
        cluster: the cluster.
        viewer: the node that serves the caller.
        interface: the interface, with any state.

    Attributes:
        name: the name of the resource, as Windows names an address of a role.
        id: the id of the resource, a GUID as text.
        address: the address.
    """

    def __init__(self, cluster: ClusterAccess, viewer: str, interface: Interface) -> None:
        self.address = str(interface.addresses[0])
        self.name = f"IP Address {self.address}"
        self.id = str(uuid.uuid5(_NAMESPACE, self.name))
        self._cluster = cluster
        self._viewer = viewer
        self._last = interface

    @property
    def _interface(self) -> Interface:
        found = self._cluster.seen_by(self._viewer)
        return next((i for i in found if self.address in map(str, i.addresses)), self._last)

    def is_named(self, name: str) -> bool:
        """Whether `name` is the name or the id of the resource, in any case."""
        return any(same_name(name, own, ignore_case=True) for own in (self.name, self.id))

    @property
    def state(self) -> ResourceState:
        """ONLINE if the interface is AVAILABLE, otherwise OFFLINE."""
        online = self._interface.state is InterfaceState.AVAILABLE
        return ResourceState.ONLINE if online else ResourceState.OFFLINE

    @property
    def owner(self) -> str:
        """The node that hosts the address."""
        return self._interface.node

    async def take_offline(self) -> Win32:
        """Set the interface to UNAVAILABLE."""
        if self.state is ResourceState.ONLINE:
            await self._cluster.set_interface(self.owner, InterfaceState.UNAVAILABLE, self.address)
        return Win32.ERROR_SUCCESS

    async def bring_online(self) -> Win32:
        """Set the interface to AVAILABLE.

        Returns:
            ERROR_RESOURCE_NOT_AVAILABLE (0x138E) if its node is out of service.
        """
        if self.state is not ResourceState.ONLINE:
            if not self._cluster.is_in_service(self.owner):
                return Win32.ERROR_RESOURCE_NOT_AVAILABLE
            await self._cluster.set_interface(self.owner, InterfaceState.AVAILABLE, self.address)
        return Win32.ERROR_SUCCESS

    async def fail(self) -> Win32:
        """Take it offline: nothing brings a failed address online again (MS-CMRP 3.1.4.2.17)."""
        if self.state is not ResourceState.ONLINE:
            return Win32.ERROR_INVALID_STATE
        return await self.take_offline()


class ClusterNode:
    """A node of the cluster, as another one sees it.

    Args:
        cluster: the cluster.
        viewer: the node that serves the caller.
        name: the name of the node.
    """

    def __init__(self, cluster: ClusterAccess, viewer: str, name: str) -> None:
        self.name = name
        self._cluster = cluster
        self._viewer = viewer

    @property
    def state(self) -> NodeState:
        """DOWN if the viewer does not see it, PAUSED if it is disabled, otherwise UP."""
        if not self._cluster.sees(self._viewer, self.name):
            return NodeState.DOWN
        return NodeState.UP if self._cluster.is_in_service(self.name) else NodeState.PAUSED

    async def pause(self) -> Win32:
        """Disable the node (MS-CMRP 3.1.4.2.70). The drain of ApiPauseNodeEx has nothing more to move."""
        if self.state is NodeState.DOWN:
            return Win32.ERROR_CLUSTER_NODE_DOWN
        await self._cluster.disable(self.name)
        return Win32.ERROR_SUCCESS

    async def resume(self) -> Win32:
        """Enable the node (MS-CMRP 3.1.4.2.71). The code for one that is not paused is that of Windows."""
        if self.state is NodeState.DOWN:
            return Win32.ERROR_CLUSTER_NODE_DOWN
        if self.state is NodeState.UP:
            return Win32.ERROR_CLUSTER_NODE_NOT_PAUSED
        await self._cluster.enable(self.name)
        return Win32.ERROR_SUCCESS


class AddressGroup:
    """The group of one address, which moves it to another node.

    Args:
        cluster: the cluster.
        address: the address.

    Attributes:
        name: the name of the group.
        address: as the argument.
    """

    def __init__(self, cluster: ClusterAccess, address: AddressResource) -> None:
        self.name = f"Role {address.address}"
        self.address = address
        self._cluster = cluster

    @property
    def state(self) -> GroupState:
        """ONLINE if the address is."""
        return GroupState.ONLINE if self.address.state is ResourceState.ONLINE else GroupState.OFFLINE

    async def move(self, node: str) -> Win32:
        """Move the address to a node (MS-CMRP 3.1.4.2.53).

        Args:
            node: the name of the node, which runs and is not paused.
        """
        if self.address.owner != node:
            await self._cluster.move_address(self.address.address, node)
        return Win32.ERROR_SUCCESS


class Network:
    """The only cluster network.

    Args:
        cluster: the cluster.
        viewer: the node that serves the caller.
    """

    name = "Cluster Network 1"

    def __init__(self, cluster: ClusterAccess, viewer: str) -> None:
        self._cluster = cluster
        self._viewer = viewer

    @property
    def state(self) -> NetworkState:
        """UP if the viewer sees every node, PARTITIONED if it sees another one, otherwise DOWN."""
        others = [node.name for node in self._cluster.config.nodes if node.name != self._viewer]
        seen = [self._cluster.sees(self._viewer, other) for other in others]
        if all(seen):
            return NetworkState.UP
        return NetworkState.PARTITIONED if any(seen) else NetworkState.DOWN


@dataclass(frozen=True, slots=True)
class Group:
    """The group of all resources: the network name with its addresses."""

    network_name: NetworkName
    addresses: Sequence[AddressResource]

    @property
    def state(self) -> GroupState:
        """ONLINE if all addresses are online, OFFLINE if none is, otherwise PARTIAL_ONLINE."""
        states = {address.state for address in self.addresses}
        if states == {ResourceState.ONLINE}:
            return GroupState.ONLINE
        return GroupState.PARTIAL_ONLINE if ResourceState.ONLINE in states else GroupState.OFFLINE
