"""The names and the addresses of the domain of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swn_torture.lab.addresses import controller_addresses

if TYPE_CHECKING:
    from swn_torture.lab.config import LabConfig, NodeConfig

REALM: Final = "SWN.TEST"
"""The realm; in lower case, the DNS domain. RFC 2606 reserves `.test`."""
CONTROLLER: Final = "dc"
"""The host name of the domain controller, its role in the lab and its directory."""
ADMINISTRATOR: Final = "Administrator"
ADMIN_PASSWORD: Final = "Swn-Passw0rd!"
GROUP: Final = "witnesses"
"""The group of all users of the lab."""


def kdc(config: LabConfig | None = None) -> str:
    """Return the address of the domain controller.

    Args:
        config: the cluster that uses it: an instance is in another network, and the DNS service answers from
            its address in the network of the caller. None for the client.
    """
    in_lab, in_instances = controller_addresses()
    return in_instances if config is not None and config.network else in_lab


def dns_name(host: str) -> str:
    """Return the DNS name of a host of the domain."""
    return f"{host}.{REALM.lower()}"


def node_host(config: LabConfig, node: NodeConfig) -> str:
    """Return the DNS name of a node. Nodes of two clusters of one lab have different names."""
    return dns_name(config.port(node.name))
