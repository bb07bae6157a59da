"""What a reference cluster is made of: names, nodes, addresses, shares, users, and its options."""

from __future__ import annotations

import dataclasses
import errno
import random
import re
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.server.state.options import OptionError, Options
from swn_torture.server.state.shares import Share, ShareType

if TYPE_CHECKING:
    from collections.abc import Mapping

EPM_PORT = 135
"""Where clients look for an endpoint mapper (MS-RPCE 2.1.1.1)."""

FIRST_IPV6 = IPv6Address("fd53:574e::")
"""The IPv6 addresses of nodes start here. They are unique local ones (RFC 4193; the octets read SWN), so that
they belong to nobody; where the host has them they are listened on, elsewhere they are only told."""

_NETBIOS_NAME = re.compile(r"[A-Za-z0-9_-]{1,15}")


class ConfigError(ValueError):
    """A cluster cannot be built like this; the text says what to change."""


@dataclass(frozen=True, slots=True)
class InterfaceConfig:
    """One witness interface of a node: an address of either family, or one of each."""

    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Its addresses, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node.

    Attributes:
        name: its NetBIOS name, which is also the name of its interface group (AMB-10).
        interfaces: at least one, or none for a node that only watches.
    """

    name: str
    interfaces: tuple[InterfaceConfig, ...]

    @property
    def address(self) -> str:
        """The address to reach it at: its first."""
        return next((str(a) for interface in self.interfaces for a in interface.addresses), "")


DEFAULT_SHARES = (
    Share("SHARE", ShareType.CLUSTER_SOFS, comment="scale-out"),
    Share("PLAIN", ShareType.CLUSTER_FS, comment="clustered, not scale-out"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """A whole cluster. The defaults are three nodes on loopback addresses that nobody uses.

    Attributes:
        net_name: ServerGlobalName, a NetBIOS name.
        dns_domain: makes the qualified form of the names.
        domain: NetBIOS domain of the users.
        users: passwords by account name.
        nodes: in the order of the interface list.
        shares: as the witness server enumerates them.
        share_enumeration_fails: whether it cannot.
        list_interfaces: whether the configuration store has the nodes' interfaces; without, the interface
            list is empty until an event names one.
        options: the choices of the witness servers.
        rpc: the choices of the RPC servers that carry them, AMB-23 (`exact_minor_version`) among them.
        epm_port: TCP port of each node's endpoint mapper; 0 is 135 where this process may, else a free one.
        admin_port: TCP port of the administration; 0 is a free one.
        admin_address: loopback address of the administration.
        clusapi: serve a little of ClusAPI (MS-CMRP) on the witness ports, for tests that administer by it.
        smb_port: TCP port of SMB on every address of the nodes, for clients that want shares; 0 is a free
            one for each node, None is no SMB.
        share_root: directory for what is in the shares; None is one that goes with the cluster.
        detection_delay: seconds of the protocol's clock until the others notice that a node has died.
        ndr64: offer NDR64 beside NDR32, and prefer it.
        allow_anonymous: let NTLM logons without a user in; the witness methods then see an anonymous caller.
        keytab: path of a Kerberos keytab with cifs/NAME principals, if Kerberos is to be accepted.
    """

    net_name: str = "SWNCLUSTER"
    dns_domain: str = "swn.test"
    domain: str = "SWNTEST"
    users: Mapping[str, str] = field(
        default_factory=lambda: {"witness": "Passw0rd!", "witness2": "Passw0rd!2"}, repr=False
    )
    nodes: tuple[NodeConfig, ...] = field(default_factory=lambda: default_nodes(3))
    shares: tuple[Share, ...] = DEFAULT_SHARES
    share_enumeration_fails: bool = False
    list_interfaces: bool = True
    options: Options = field(default_factory=Options)
    rpc: ServerOptions = field(default_factory=ServerOptions)
    epm_port: int = 0
    admin_port: int = 0
    admin_address: str = "127.0.0.1"
    clusapi: bool = False
    smb_port: int | None = None
    share_root: str | None = None
    detection_delay: float = 0.0
    ndr64: bool = True
    allow_anonymous: bool = False
    keytab: str | None = None

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ConfigError("a cluster needs at least one node")
        for name in (self.net_name, *(node.name for node in self.nodes)):
            if not _NETBIOS_NAME.fullmatch(name):
                raise ConfigError(f"{name!r} is no NetBIOS name: 1 to 15 letters, digits and dashes")
        names = [node.name.casefold() for node in self.nodes]
        addresses = [a for node in self.nodes for i in node.interfaces for a in i.addresses]
        for what, values in (("node names", names), ("addresses", addresses)):
            if len(set(values)) != len(values):
                raise ConfigError(f"{what} have to differ: {', '.join(map(str, values))}")

    @property
    def aliases(self) -> tuple[str, ...]:
        """The qualified form of the cluster's name."""
        return (f"{self.net_name}.{self.dns_domain}".lower(),) if self.dns_domain else ()

    def spare_addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """An address of either family that no node has, beside those that the nodes have."""
        used = [a for node in self.nodes for i in node.interfaces for a in i.addresses]
        last4 = max((a for a in used if isinstance(a, IPv4Address)), default=IPv4Address("127.9.9.9"))
        last6 = max((a for a in used if isinstance(a, IPv6Address)), default=FIRST_IPV6)
        return (last4 + 1, last6 + 1)

    def node(self, name: str) -> NodeConfig:
        """A node by its name, without regard to case."""
        for node in self.nodes:
            if node.name.casefold() == name.casefold():
                return node
        raise ConfigError(f"no node is called {name!r}; known are: {', '.join(n.name for n in self.nodes)}")

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], **defaults: Any) -> ClusterConfig:
        """A cluster from plain values, as the [embedded] table of a target profile has them.

        Besides the plain attributes of this class: `users` (a table of passwords), `shares` (a list of tables
        with `name`, and `scale_out` or `owner` as wanted), every option of `Options` by its name, `nodes` as
        a number, `network` (a loopback /24 such as "127.7.7.0" for the nodes' addresses), `single_family`
        (True gives each address an interface of its own), `scale_out_shares` (False makes all shares ordinary
        ones) and `rpc` (a table of attributes of `ServerOptions`).

        Args:
            settings: the values.
            defaults: attributes of this class for what the values do not say.

        Raises:
            ConfigError: a value of the wrong kind, or an unknown name (also as `OptionError`).
        """
        values = {key.replace("-", "_"): value for key, value in settings.items()}
        own: dict[str, Any] = dict(defaults)
        count, network = values.pop("nodes", 3), values.pop("network", None)
        single_family = bool(values.pop("single_family", False))
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 250:
            raise ConfigError(f"nodes has to be a number from 1 to 250, and is {count!r}")
        own["nodes"] = default_nodes(count, network, single_family=single_family)
        if "users" in values:
            own["users"] = _users(values.pop("users"))
        if "shares" in values:
            own["shares"] = _shares(values.pop("shares"))
        if not values.pop("scale_out_shares", True):
            shares = own.get("shares", DEFAULT_SHARES)
            own["shares"] = tuple(
                dataclasses.replace(share, type=share.type & ~ShareType.CLUSTER_SOFS) for share in shares
            )
        own["rpc"] = _rpc_options(values.pop("rpc", {}))
        plain = {
            "net_name": str,
            "dns_domain": str,
            "domain": str,
            "epm_port": int,
            "admin_port": int,
            "admin_address": str,
            "clusapi": bool,
            "smb_port": int,
            "share_root": str,
            "detection_delay": float,
            "ndr64": bool,
            "allow_anonymous": bool,
            "list_interfaces": bool,
            "keytab": str,
            "share_enumeration_fails": bool,
        }
        for name, kind in plain.items():
            if name in values:
                value = values.pop(name)
                wanted = (int, float) if kind is float else (kind,)
                if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
                    raise ConfigError(f"{name} has to be of type {kind.__name__}, and is {value!r}")
                own[name] = value
        try:
            return cls(options=Options.from_mapping(values), **own)
        except OptionError as problem:
            raise ConfigError(str(problem)) from problem


def _users(table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ConfigError("users has to be a table of passwords by account name")
    return dict(table)


def _shares(rows: Any) -> tuple[Share, ...]:
    known = {"name": str, "scale_out": bool, "owner": str}
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "name" in row for row in rows):
        raise ConfigError("shares has to be a list of tables, each with a name")
    for row in rows:
        for key, value in row.items():
            if key not in known or not isinstance(value, known[key]):
                raise ConfigError(f"a share cannot have {key} = {value!r}; known are: {', '.join(known)}")
    return tuple(
        Share(
            row["name"],
            ShareType.CLUSTER_SOFS if row.get("scale_out") else ShareType.CLUSTER_FS,
            row.get("owner"),
        )
        for row in rows
    )


def _rpc_options(settings: Mapping[str, Any]) -> ServerOptions:
    defaults = ServerOptions()
    values = {key.replace("-", "_"): value for key, value in settings.items()}
    for name, value in values.items():
        default = getattr(defaults, name, None)
        if default is None:
            raise ConfigError(f"rpc has no option {name!r}")
        if type(value) is not type(default):
            raise ConfigError(f"{name} in rpc has to be of type {type(default).__name__}, and is {value!r}")
    return dataclasses.replace(defaults, **values)


def default_nodes(
    count: int, network: str | None = None, *, single_family: bool = False
) -> tuple[NodeConfig, ...]:
    """NODE1, NODE2 … with the addresses .1, .2 … of a loopback /24; the even ones are dual-stack.

    Args:
        count: how many.
        network: any address of the /24; None is one that nobody on this host seems to use.
        single_family: the IPv6 addresses have interfaces of their own.
    """
    try:
        base = IPv4Address(network) if network else free_network()
    except ValueError as problem:
        raise ConfigError(f"network has to be an IPv4 address, and is {network!r}") from problem
    base = IPv4Address(int(base) & ~0xFF)
    group = (int(base) >> 8 & 0xFFFF) << 16
    nodes = []
    for n in range(1, count + 1):
        ipv4, ipv6 = base + n, FIRST_IPV6 + group + n if n % 2 == 0 else None
        interfaces: tuple[InterfaceConfig, ...] = (InterfaceConfig(ipv4, ipv6),)
        if single_family and ipv6 is not None:
            interfaces = (InterfaceConfig(ipv4=ipv4), InterfaceConfig(ipv6=ipv6))
        nodes.append(NodeConfig(f"NODE{n}", interfaces))
    return tuple(nodes)


def free_network() -> IPv4Address:
    """A /24 of 127.0.0.0/8 on whose first address no endpoint mapper listens yet."""
    for _ in range(100):
        base = IPv4Address(f"127.{random.randint(16, 250)}.{random.randint(0, 255)}.0")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.2)
            if probe.connect_ex((str(base + 1), EPM_PORT)):
                return base
    raise ConfigError("no loopback network without an endpoint mapper was found in 100 tries")


def choose_epm_port(address: str) -> int:
    """135 if this process may bind it at `address`, else a port that is free there."""
    ip = ip_address(address)
    family = socket.AF_INET if isinstance(ip, IPv4Address) else socket.AF_INET6
    for port in (EPM_PORT, 0):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as problem:
                if problem.errno in {errno.EACCES, errno.EPERM, errno.EADDRINUSE}:
                    continue
                raise
            return int(probe.getsockname()[1])
    raise ConfigError(f"no port at {address} could be bound")
