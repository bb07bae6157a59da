"""What the companion services need of the cluster they belong to."""

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
    """The reference cluster as ClusAPI, the server service and SMB see it.

    Attributes:
        config: how it is configured.
        net_names: the names that clients register with.
        shares: its shares.
        interfaces: every witness interface with its state.
    """

    config: ClusterConfig
    net_names: NetNames
    shares: ShareTable

    @property
    def interfaces(self) -> Sequence[Interface]:
        """Every witness interface with its state."""

    def seen_by(self, viewer: str) -> tuple[Interface, ...]:
        """The interfaces as the node of this name sees them."""

    def is_in_service(self, node: str) -> bool:
        """Whether a node serves clients: neither disabled nor failed."""

    async def set_interface(self, name: str, state: InterfaceState, address: str | None = None) -> None:
        """Report the interfaces of a node, or the one of an address, to be in a state."""
