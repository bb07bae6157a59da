"""The configuration of a lab: number of nodes, Debian release, names, addresses, directories."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NODES: Final = 16

RELEASES: Final[Mapping[str, str]] = {"trixie": "Samba 4.22", "forky": "Samba 4.25"}
"""The Debian releases with a Samba that has a witness service -> that Samba."""

PACKAGES: Final = (
    "samba",
    "ctdb",
    "samba-testsuite",
    "python3-samba",
    # It provides a virtual package that python3-cryptography needs and debootstrap does not resolve.
    "python3-cffi-backend",
    "smbclient",
    "iproute2",
    # CTDB uses it to check the link of a public address; without it a node is unhealthy.
    "ethtool",
    "procps",
)

# RFC 5737 reserves this network for documentation. It exists only inside the lab's namespaces.
_NETWORK: Final = IPv4Address("198.51.100.0")
PREFIX_LENGTH: Final = 24
CLIENT_ADDRESSES: Final = (str(_NETWORK + 1), str(_NETWORK + 2))
"""Two addresses, so that a case can act as two clients."""
SPARE_ADDRESSES: Final = (str(_NETWORK + 240), "fd53:574e::240")
"""One unused address of each family, for cases that add an address to the cluster."""

_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class User:
    """An ordinary user of the cluster."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node: its number, its names and its addresses."""

    index: int
    """From 0; the same as CTDB's PNN."""

    @property
    def name(self) -> str:
        """The host name: `node1`, `node2`, ..."""
        return f"node{self.index + 1}"

    @property
    def address(self) -> str:
        """The fixed address of the node."""
        return str(_NETWORK + 10 + self.index)

    @property
    def public_address(self) -> str:
        """The public address that CTDB gives this node while all nodes are healthy.

        CTDB's deterministic allocation starts with the highest address.
        """
        return str(_NETWORK + 200 - self.index)


@dataclass(frozen=True, slots=True)
class LabConfig:
    """The configuration of a lab.

    Raises:
        LabError: a value is not possible.
    """

    nodes: int = 3
    release: str = "trixie"
    name: str = "lab"
    """Identifies the lab on this machine; part of the names of its network namespaces."""
    include_node_addresses: bool = False
    """Whether the fixed addresses of the nodes are witness interfaces, in addition to the public addresses.

    Off by default, as in Samba. Then the interface list has only public addresses. If a node fails, its
    public address becomes UNAVAILABLE, and AVAILABLE again on another node. If it is on, the list also has
    one entry for each node, which never moves.
    """
    net_name: str = "SWNCLUSTER"
    """The NetBIOS name that all nodes share."""
    domain: str = "SWNTEST"
    users: tuple[User, ...] = (User("witness", "Passw0rd!"), User("witness2", "Passw0rd!2"))
    log_level: int = 3
    keepalive_interval: int = 1
    """Seconds between CTDB's keep-alive messages (KeepaliveInterval; CTDB's own default is 5)."""
    keepalive_limit: int = 5
    """Missed keep-alive messages after which a node counts as disconnected (KeepaliveLimit)."""
    timeout: float = 90.0
    """Seconds that the cluster may take to become healthy after its start."""

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAX_NODES:
            raise LabError(f"A lab has 1 to {MAX_NODES} nodes, not {self.nodes}.")
        if self.release not in RELEASES:
            known = ", ".join(f"{release} ({samba})" for release, samba in RELEASES.items())
            raise LabError(f"Unknown release {self.release!r}; known: {known}.")
        check_name(self.name)

    @property
    def node_configs(self) -> tuple[NodeConfig, ...]:
        """The nodes in CTDB's order."""
        return tuple(NodeConfig(index) for index in range(self.nodes))


def check_name(name: str) -> str:
    """Return the name of a lab.

    Raises:
        LabError: it is not a possible name.
    """
    if _NAME.fullmatch(name) is None:
        raise LabError(
            f"{name!r} is not a possible name of a lab. A name is a lower-case letter and up to 11 lower-"
            f"case letters or digits, because it is part of the names of network namespaces."
        )
    return name


def namespace(lab: str, role: str) -> str:
    """Return the name of the network namespace of a node, of the `client` or of the `switch`."""
    return f"swn-{lab}-{role}"


def cache_directory() -> Path:
    """Return the directory of the base trees: `$XDG_CACHE_HOME/swn-torture`, or `/var/cache/swn-torture`."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache_home) if cache_home.startswith("/") else Path("/var/cache")) / "swn-torture"


def run_directory(lab: str) -> Path:
    """Return the directory of a running lab: its state, its logs and the file system that its nodes share."""
    return Path("/run/swn-torture") / check_name(lab)


def machine() -> str:
    """Return the architecture of this machine; a base tree works on one architecture only."""
    return platform.machine()
