"""What a lab looks like: how many nodes, which Samba, which addresses and names."""

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
"""The Debian releases whose Samba has a witness service, and which Samba that is."""

PACKAGES: Final = (
    "samba",
    "ctdb",
    "samba-testsuite",
    "python3-samba",
    # python3-cryptography wants a virtual package that debootstrap does not resolve: this one provides it.
    "python3-cffi-backend",
    "smbclient",
    "iproute2",
    # CTDB asks it whether the link of a public address is up, and holds a node without it for unhealthy.
    "ethtool",
    "procps",
)

# RFC 5737 sets this network aside for documentation; inside the lab's namespaces it is ours alone.
_NETWORK: Final = IPv4Address("198.51.100.0")
PREFIX_LENGTH: Final = 24
CLIENT_ADDRESSES: Final = (str(_NETWORK + 1), str(_NETWORK + 2))
"""Two, so that a case can play two clients."""
SPARE_ADDRESSES: Final = (str(_NETWORK + 240), "fd53:574e::240")
"""Of either family one that nobody has, for cases that give the cluster a new address."""

_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class User:
    """An ordinary user that every node knows."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node: its place and its names."""

    index: int
    """Counts from 0; CTDB's PNN."""

    @property
    def name(self) -> str:
        """The host name, as in `swn-torture lab exec node1`."""
        return f"node{self.index + 1}"

    @property
    def address(self) -> str:
        """The address that stays with the node."""
        return str(_NETWORK + 10 + self.index)

    @property
    def public_address(self) -> str:
        """The address that CTDB gives this node while all nodes are well.

        CTDB's deterministic allocation deals the addresses out from the highest down.
        """
        return str(_NETWORK + 200 - self.index)


@dataclass(frozen=True, slots=True)
class LabConfig:
    """A lab to be made. Raises `LabError` for values that cannot be."""

    nodes: int = 3
    release: str = "trixie"
    name: str = "lab"
    """Tells one lab on this machine from another; part of the names of its network namespaces."""
    include_node_addresses: bool = False
    """Whether the nodes' own addresses are witness interfaces beside the public ones.

    Off, as CTDB has it by default: a public address goes UNAVAILABLE and comes back on another node when its
    node fails, which is what clients of a CTDB cluster live with. Switched on, the list has an entry more for
    each node that never moves.
    """
    net_name: str = "SWNCLUSTER"
    """The one NetBIOS name of all nodes."""
    domain: str = "SWNTEST"
    users: tuple[User, ...] = (User("witness", "Passw0rd!"), User("witness2", "Passw0rd!2"))
    log_level: int = 3
    keepalive_interval: int = 1
    """Seconds between CTDB's keep-alive messages (KeepaliveInterval; CTDB's own default is 5)."""
    keepalive_limit: int = 5
    """How many of them may be missed before a silent node counts as dead (KeepaliveLimit)."""
    timeout: float = 90.0
    """Seconds that the cluster may take to become healthy."""

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAX_NODES:
            raise LabError(f"A lab has 1 to {MAX_NODES} nodes, not {self.nodes}.")
        if self.release not in RELEASES:
            known = ", ".join(f"{release} ({samba})" for release, samba in RELEASES.items())
            raise LabError(f"There is no lab for the release {self.release!r}; there is: {known}.")
        check_name(self.name)

    @property
    def node_configs(self) -> tuple[NodeConfig, ...]:
        """The nodes in CTDB's order."""
        return tuple(NodeConfig(index) for index in range(self.nodes))


def check_name(name: str) -> str:
    """Return the name of a lab; `LabError` if it cannot be one."""
    if _NAME.fullmatch(name) is None:
        raise LabError(
            f"A lab cannot be called {name!r}: its name is part of the names of network namespaces, and has "
            f"to be a small letter and up to 11 small letters or digits."
        )
    return name


def namespace(lab: str, role: str) -> str:
    """The name of the network namespace of a node, of the `client` or of the `switch`."""
    return f"swn-{lab}-{role}"


def cache_directory() -> Path:
    """Where base trees are kept: `$XDG_CACHE_HOME/swn-torture`, else `/var/cache/swn-torture`."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path("/var/cache")) / "swn-torture"


def run_directory(lab: str) -> Path:
    """Where a running lab keeps its state, its logs and the file system that its nodes share."""
    return Path("/run/swn-torture") / check_name(lab)


def machine() -> str:
    """The architecture of this machine; a base tree serves only its own."""
    return platform.machine()
