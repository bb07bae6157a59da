"""The configuration of a lab: number of nodes, Debian release, names, addresses, directories."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab.addresses import (
    MAX_NODES,
    host_has_ipv6,
    node_address,
    node_address_6,
    public_addresses,
)
from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

RELEASES: Final[Mapping[str, str]] = {"trixie": "Samba 4.22", "forky": "Samba 4.25"}
"""The Debian releases with a Samba that has a witness service -> that Samba."""

PACKAGES: Final = (
    "samba",
    "ctdb",
    # The domain controller of a lab in a domain, and what its members need to know the users of the domain.
    "samba-ad-dc",
    "samba-ad-provision",
    "winbind",
    "libnss-winbind",
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

_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_INSTANCE = re.compile(rf"{_NAME.pattern}\.[a-z]{{1,12}}")

SHARES: Final = ("usual", "plain")
"""Sets of shares: `data`, `moving` and `plain`, of which the first two are scale-out; the same, but none of
them scale-out."""


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
    block: int = 0
    """Which addresses it has (`addresses`)."""
    ipv6: bool = True
    """Whether it has IPv6 addresses, too."""

    @property
    def name(self) -> str:
        """The host name: `node1`, `node2`, ..."""
        return f"node{self.index + 1}"

    @property
    def address(self) -> str:
        """The fixed address of the node, by which CTDB knows it."""
        return node_address(self.block, self.index)

    @property
    def fixed_addresses(self) -> tuple[str, ...]:
        """All fixed addresses of the node, IPv4 first."""
        return (self.address, *((node_address_6(self.block, self.index),) if self.ipv6 else ()))

    @property
    def public_addresses(self) -> tuple[str, ...]:
        """The public addresses that CTDB gives this node while all nodes are healthy, IPv4 first."""
        return public_addresses(self.block, self.index, ipv6=self.ipv6)


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
    timeout: float = 150.0
    """Seconds that the cluster may take to become healthy after its start."""
    ipv6: bool = field(default_factory=host_has_ipv6)
    """Whether the nodes have IPv6 addresses, too. On by default where the kernel has IPv6."""
    shares: str = "usual"
    """Which shares it has: one of `SHARES`."""
    share_service: bool = True
    """Whether the nodes serve NetrShareEnum (MS-SRVS)."""
    network: str = ""
    """The lab with the switch and the client of this one; empty if it has its own. See `instances`."""
    block: int = 0
    """Which addresses its nodes have (`addresses`): 0 for a lab, another number for an instance of one."""
    samba: str = ""
    """The directory of a Samba to use instead of Debian's packages: an installed tree, or .deb files."""
    packages: tuple[str, ...] = ()
    """Further Debian packages of the base tree, for libraries that such a Samba needs."""
    smb_conf: str = ""
    """Settings that are added to the end of smb.conf on every node."""
    in_domain: bool = False
    """Whether the lab has an Active Directory domain, of which the cluster is a member."""
    ntlm: bool = True
    """Whether the domain and the cluster accept NTLM; only a lab in a domain can refuse it."""

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAX_NODES:
            raise LabError(f"A lab has 1 to {MAX_NODES} nodes, not {self.nodes}.")
        if self.release not in RELEASES:
            known = ", ".join(f"{release} ({samba})" for release, samba in RELEASES.items())
            raise LabError(f"Unknown release {self.release!r}; known: {known}.")
        if self.shares not in SHARES:
            raise LabError(f"Unknown shares {self.shares!r}; known: {', '.join(SHARES)}.")
        check_name(self.name)
        if self.in_domain and self.samba:
            raise LabError("A lab in a domain runs Debian's Samba: --domain excludes --samba.")
        if not self.ntlm and not self.in_domain:
            raise LabError("Only a lab in a domain can refuse NTLM: --no-ntlm needs --domain.")
        for package in self.packages:
            if _PACKAGE.fullmatch(package) is None:
                raise LabError(f"{package!r} is not the name of a Debian package.")

    @property
    def network_lab(self) -> str:
        """The name of the lab with the switch and the client."""
        return self.network or self.name

    def port(self, role: str) -> str:
        """The name of the port of a node or of the client on the switch."""
        return f"i{self.block}-{role}" if self.network else role

    @property
    def node_configs(self) -> tuple[NodeConfig, ...]:
        """The nodes in CTDB's order."""
        return tuple(NodeConfig(index, self.block, self.ipv6) for index in range(self.nodes))


def block_of_port(port: str) -> int | None:
    """Return the block of the cluster of a port of the switch; None for one that all clusters use.

    Args:
        port: its name, as `LabConfig.port` makes it.
    """
    match = re.fullmatch(r"(?:i(\d+)-)?node\d+", port)
    return int(match[1] or 0) if match else None


def check_name(name: str) -> str:
    """Return the name of a lab.

    Raises:
        LabError: it is not a possible name.
    """
    if _NAME.fullmatch(name) is None and _INSTANCE.fullmatch(name) is None:
        raise LabError(
            f"{name!r} is not a possible name of a lab. A name is a lower-case letter and up to 11 lower-"
            f"case letters or digits, because it is part of the names of network namespaces. An instance of "
            f"a lab has the name of the lab, a dot and its own name."
        )
    return name


def namespace(lab: str, role: str) -> str:
    """Return the name of the network namespace of a node, of the `client`, of the `switch` or of the `dc`."""
    return f"swn-{lab}-{role}"


def cache_directory() -> Path:
    """Return the directory of the base trees: `$XDG_CACHE_HOME/swn-torture`, or `/var/cache/swn-torture`."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache_home) if cache_home.startswith("/") else Path("/var/cache")) / "swn-torture"


def run_directory(lab: str) -> Path:
    """Return the directory of a running lab: its state, its logs and the file system that its nodes share."""
    return Path("/run/swn-torture") / check_name(lab)


def build_directory(lab: str) -> Path:
    """Return the directory of the files of a lab with a Samba of its own; in the cache, as it is large."""
    return cache_directory() / f"build-{check_name(lab)}"


def machine() -> str:
    """Return the architecture of this machine; a base tree works on one architecture only."""
    return platform.machine()
