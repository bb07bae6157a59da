"""The Protocol by which the companion services use the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.interfaces import Interface
    from swn_torture.server.state.names import NetNames
    from swn_torture.server.state.shares import ShareTable
    from swn_torture.witness.constants import InterfaceState


class ClusterAccess(Protocol):
    """The part of the reference cluster that ClusAPI, the server service and SMB use.

    Attributes:
        config: its configuration.
        net_names: the names that clients register with.
        shares: its shares.
    """

    config: ClusterConfig
    net_names: NetNames
    shares: ShareTable

    @property
    def interfaces(self) -> Sequence[Interface]:
        """All witness interfaces with their states."""

    def seen_by(self, viewer: str) -> tuple[Interface, ...]:
        """Return the interfaces with their states as the node `viewer` sees them."""

    def is_in_service(self, node: str) -> bool:
        """Whether a node serves clients: neither disabled nor failed."""

    def sees(self, viewer: str, other: str) -> bool:
        """Whether node `viewer` sees that node `other` runs."""

    async def disable(self, name: str) -> None:
        """Take a node out of service; its witness server still runs."""

    async def enable(self, name: str) -> None:
        """Return a disabled node to service."""

    async def move_address(self, address: str, name: str) -> None:
        """Move an address to another node, where it is AVAILABLE."""

    async def set_interface(self, name: str, state: InterfaceState, address: str | None = None) -> None:
        """Set the state of the interfaces of a node, or of the interface with `address`."""
