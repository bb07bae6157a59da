"""The only ClusAPI resource of the reference cluster: its network name.

Witness clients register with this name. While it is offline, no interface of the cluster is AVAILABLE. The
resource has no separate state: its state follows from the interfaces, and switching it sets their states.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from swn_torture.server.companions.clusapi.messages import ResourceState
from swn_torture.server.state.names import same_name
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState

if TYPE_CHECKING:
    from swn_torture.server.companions.cluster_access import ClusterAccess

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

    def is_named(self, name: str) -> bool:
        """Whether `name` is the name or the id of the resource, in any case (MS-CMRP 3.1.1.1.1)."""
        return any(same_name(name, own, ignore_case=True) for own in (self.name, self.id))

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

    def _is_online(self) -> bool:
        return any(i.state is InterfaceState.AVAILABLE for i in self._cluster.seen_by(self._viewer))

    def _nodes_with(self, *states: InterfaceState) -> list[str]:
        return list(dict.fromkeys(i.node for i in self._cluster.interfaces if i.state in states))
