"""The configuration of a reference cluster: names, nodes, addresses, shares, users and options."""

from __future__ import annotations

import dataclasses
import errno
import random
import re
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Literal, get_args

from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.server.state.options import OptionError, Options
from swn_torture.server.state.shares import Share, ShareType

if TYPE_CHECKING:
    from collections.abc import Mapping

EPM_PORT = 135
"""The well-known TCP port of the endpoint mapper (MS-RPCE 2.1.1.1)."""

FIRST_IPV6 = IPv6Address("fd53:574e::")
"""Base of the nodes' IPv6 addresses: unique local addresses (RFC 4193; the octets are ASCII "SWN"). A node
listens on such an address if the host has it. Otherwise the node only reports it."""

Families = Literal["mixed", "ipv4", "ipv6", "dual-stack"]
"""The addresses of the nodes' interfaces: even nodes dual-stack and odd ones IPv4, or all nodes the same.
IPv6 nodes also listen on an IPv4 address, because few hosts have their IPv6 addresses."""

_NETBIOS_NAME = re.compile(r"[A-Za-z0-9_-]{1,15}")


class ConfigError(ValueError):
    """The configuration is invalid; the message says what to change."""


@dataclass(frozen=True, slots=True)
class InterfaceConfig:
    """One witness interface of a node: an IPv4 address, an IPv6 address or both."""

    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    net_name: str = ""
    """The network name that it belongs to; empty if the cluster has one only."""

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)


@dataclass(frozen=True, slots=True)
class OtherName:
    """Another network name of a cluster, as of a second file-server role, with its aliases."""

    name: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node.

    Attributes:
        name: its NetBIOS name, which is also its InterfaceGroupName (AMB-10).
        interfaces: its witness interfaces; a node needs at least one to start.
        management: an address on which it also listens and which is not a witness interface.
    """

    name: str
    interfaces: tuple[InterfaceConfig, ...]
    management: IPv4Address | IPv6Address | None = None

    @property
    def address(self) -> str:
        """The address for clients: that of the management, else its first one; `""` if it has none."""
        if self.management is not None:
            return str(self.management)
        return next((str(a) for interface in self.interfaces for a in interface.addresses), "")


DEFAULT_NAME = "SWNCLUSTER"

DEFAULT_SHARES = (
    Share("SHARE", ShareType.CLUSTER_SOFS, comment="scale-out"),
    Share("PLAIN", ShareType.CLUSTER_FS, comment="clustered, not scale-out"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """The configuration of a cluster. The default is three nodes on unused loopback addresses.

    Attributes:
        net_name: ServerGlobalName, a NetBIOS name.
        other_names: other network names, each with interfaces of its own on the nodes (AMB-45).
        dns_domain: DNS domain of the qualified names.
        domain: NetBIOS domain of the users.
        users: passwords by account name.
        nodes: the nodes, in the order of the interface list.
        shares: the shares that the witness server enumerates.
        share_enumeration_fails: whether the enumeration fails.
        list_interfaces: whether the configuration store has the nodes' interfaces. If not, the interface list
            is empty until an event adds an interface.
        options: the options of the witness servers.
        rpc: the options of their RPC servers, including AMB-23 (`exact_minor_version`).
        epm_port: TCP port of each node's endpoint mapper. 0: port 135 if this process can bind it, otherwise
            a free port.
        admin_port: TCP port of the administration. 0: a free port.
        admin_address: loopback address of the administration.
        clusapi: whether the witness ports also serve a part of ClusAPI (MS-CMRP).
        smb_port: TCP port of SMB on every address of the nodes. 0: a free port for each node. None: no SMB.
        smbd: name or path of Samba's smbd, which then serves the shares. None: the built-in SMB server, which
            has dialect 2.0.2 only.
        share_root: directory with the contents of the shares. None: a temporary directory.
        detection_delay: seconds of the protocol's clock until the other nodes detect the failure of a node.
        event_delay: seconds of the protocol's clock from an event until the witness servers process it. The
            command that caused it has returned by then.
        ndr64: whether to offer NDR64 in addition to NDR32. NDR64 is then preferred.
        allow_anonymous: whether to accept NTLM logons without a user. The caller is then anonymous.
        mapper_authentication: whether the endpoint mappers accept authenticated binds. Windows and Samba do.
        keytab: path of a Kerberos keytab with cifs/NAME principals. None: no Kerberos.
        ntlm: whether to accept NTLM, alone and in SPNEGO. Without it a keytab is necessary.
        spnego: whether to accept SPNEGO.
    """

    net_name: str = DEFAULT_NAME
    other_names: tuple[OtherName, ...] = ()
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
    smbd: str | None = None
    share_root: str | None = None
    detection_delay: float = 0.0
    event_delay: float = 0.0
    ndr64: bool = True
    allow_anonymous: bool = False
    mapper_authentication: bool = True
    keytab: str | None = None
    ntlm: bool = True
    spnego: bool = True

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ConfigError("a cluster needs at least one node")
        if not self.ntlm and not self.keytab:
            raise ConfigError("without NTLM a cluster needs a keytab, or nobody can log on")
        if self.smbd is not None and self.smb_port is None:
            raise ConfigError("smbd needs smb_port, the port at which it serves the shares")
        if self.smbd is not None and not self.ntlm:
            raise ConfigError("smbd takes the users of the cluster by NTLM only, and ntlm is off")
        others = [name for each in self.other_names for name in (each.name, *each.aliases)]
        netbios = [each.name for each in self.other_names] + [each.name for each in self.nodes]
        for name in (self.net_name, *netbios):
            if not _NETBIOS_NAME.fullmatch(name):
                raise ConfigError(
                    f"{name!r} is not a NetBIOS name; use 1 to 15 letters, digits, dashes and underscores"
                )
        network = [name.casefold() for name in (self.net_name, *self.aliases, *others)]
        names = [node.name.casefold() for node in self.nodes]
        addresses = [a for node in self.nodes for i in node.interfaces for a in i.addresses]
        addresses += [node.management for node in self.nodes if node.management is not None]
        for what, values in (
            ("node names", names),
            ("network names and aliases", network),
            ("addresses", addresses),
        ):
            if len(set(values)) != len(values):
                raise ConfigError(f"{what} must be unique: {', '.join(map(str, values))}")

    @property
    def aliases(self) -> tuple[str, ...]:
        """The qualified form of `net_name`."""
        return (f"{self.net_name}.{self.dns_domain}".lower(),) if self.dns_domain else ()

    def network_names(self) -> list[tuple[str, list[str], list[str]]]:
        """Return each network name with its aliases and the addresses that belong to it."""
        names = [(self.net_name, self.aliases), *((each.name, each.aliases) for each in self.other_names)]
        interfaces = [interface for node in self.nodes for interface in node.interfaces]
        return [
            (
                name,
                list(aliases),
                [str(a) for i in interfaces if (i.net_name or self.net_name) == name for a in i.addresses],
            )
            for name, aliases in names
        ]

    def spare_addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Return an unused IPv4 address and an unused IPv6 address of the nodes' networks."""
        used = [a for node in self.nodes for i in node.interfaces for a in i.addresses]
        last4 = max((a for a in used if isinstance(a, IPv4Address)), default=IPv4Address("127.9.9.9"))
        last6 = max((a for a in used if isinstance(a, IPv6Address)), default=FIRST_IPV6)
        return (last4 + 1, last6 + 1)

    def node(self, name: str) -> NodeConfig:
        """Return the node with this name, without regard to case.

        Raises:
            ConfigError: there is no such node.
        """
        for node in self.nodes:
            if node.name.casefold() == name.casefold():
                return node
        raise ConfigError(f"unknown node {name!r}; known: {', '.join(n.name for n in self.nodes)}")

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], **defaults: Any) -> ClusterConfig:
        """Make a configuration from plain values, for example the [embedded] table of a target profile.

        Accepts the plain attributes of this class, every option of `Options`, and:

        - `users`: a table of passwords by account name.
        - `shares`: a list of tables with `name` and optionally `scale_out` and `owner`.
        - `other_names`: a list of tables with `name` and optionally `aliases`. Each node then has an
          interface for each network name.
        - `nodes`: the number of nodes.
        - `network`: a loopback /24 for the nodes' addresses, for example "127.7.7.0".
        - `families`: the addresses of the nodes, see `Families`.
        - `single_family`: True gives each address its own interface.
        - `interfaces`: the number of interfaces of each node.
        - `management`: the management address of the first node. It is ignored if the host does not have it.
        - `scale_out_shares`: False removes STYPE_CLUSTER_SOFS from all shares.
        - `rpc`: a table of attributes of `ServerOptions`.

        Args:
            settings: the values by name; `-` and `_` are the same.
            defaults: attributes of this class that apply if `settings` does not have them.

        Raises:
            ConfigError: a value has the wrong type, or a name is unknown.
        """
        values = {key.replace("-", "_"): value for key, value in settings.items()}
        own: dict[str, Any] = dict(defaults)
        count, network = values.pop("nodes", 3), values.pop("network", None)
        families = values.pop("families", "mixed")
        if families not in get_args(Families):
            raise ConfigError(f"families must be one of {', '.join(get_args(Families))}, not {families!r}")
        names = own["other_names"] = _other_names(values.pop("other_names", []))
        own["nodes"] = default_nodes(
            _number(count, "nodes", 250),
            network,
            families=families,
            single_family=bool(values.pop("single_family", False)),
            interfaces=_number(values.pop("interfaces", 1 + len(names)), "interfaces", 4),
        )
        if names:
            first = str(values.get("net_name", own.get("net_name", DEFAULT_NAME)))
            own["nodes"] = _named(own["nodes"], (first, *(each.name for each in names)))
        if "management" in values:
            own["nodes"] = _with_management(own["nodes"], values.pop("management"))
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
            "smbd": str,
            "share_root": str,
            "detection_delay": float,
            "event_delay": float,
            "ndr64": bool,
            "allow_anonymous": bool,
            "mapper_authentication": bool,
            "list_interfaces": bool,
            "keytab": str,
            "ntlm": bool,
            "spnego": bool,
            "share_enumeration_fails": bool,
        }
        for name, kind in plain.items():
            if name in values:
                value = values.pop(name)
                allowed = (int, float) if kind is float else (kind,)
                if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
                    raise ConfigError(f"{name} must be of type {kind.__name__}, not {value!r}")
                own[name] = value
        try:
            return cls(options=Options.from_mapping(values), **own)
        except OptionError as problem:
            raise ConfigError(str(problem)) from problem


def _number(value: Any, name: str, largest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ConfigError(f"{name} must be a number from 1 to {largest}, not {value!r}")
    return value


def _with_management(nodes: tuple[NodeConfig, ...], address: Any) -> tuple[NodeConfig, ...]:
    try:
        management = ip_address(address)
    except ValueError as problem:
        raise ConfigError(f"management must be an IP address, not {address!r}") from problem
    return (
        (dataclasses.replace(nodes[0], management=management), *nodes[1:]) if _is_local(management) else nodes
    )


def _other_names(rows: Any) -> tuple[OtherName, ...]:
    right = isinstance(rows, list) and all(
        isinstance(row, dict)
        and isinstance(row.get("name"), str)
        and set(row) <= {"name", "aliases"}
        and isinstance(row.get("aliases", []), list)
        and all(isinstance(alias, str) for alias in row.get("aliases", []))
        for row in rows
    )
    if not right:
        raise ConfigError(
            "other_names must be a list of tables, each with a name and perhaps a list of aliases"
        )
    return tuple(OtherName(row["name"], tuple(row.get("aliases", ()))) for row in rows)


def _named(nodes: tuple[NodeConfig, ...], names: tuple[str, ...]) -> tuple[NodeConfig, ...]:
    """Give the interfaces of each node to the network names, in turn."""
    return tuple(
        dataclasses.replace(
            node,
            interfaces=tuple(
                dataclasses.replace(interface, net_name=names[n % len(names)])
                for n, interface in enumerate(node.interfaces)
            ),
        )
        for node in nodes
    )


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    """Whether the host has an address."""
    try:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _users(table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ConfigError("users must be a table of passwords by account name")
    return dict(table)


def _shares(rows: Any) -> tuple[Share, ...]:
    known = {"name": str, "scale_out": bool, "owner": str}
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "name" in row for row in rows):
        raise ConfigError("shares must be a list of tables, each with a name")
    for row in rows:
        for key, value in row.items():
            if key not in known or not isinstance(value, known[key]):
                allowed = ", ".join(f"{name} ({kind.__name__})" for name, kind in known.items())
                raise ConfigError(f"invalid share attribute {key} = {value!r}; known: {allowed}")
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
            known = ", ".join(option.name for option in dataclasses.fields(defaults))
            raise ConfigError(f"unknown option {name!r} in rpc; known: {known}")
        if type(value) is not type(default):
            raise ConfigError(f"{name} in rpc must be of type {type(default).__name__}, not {value!r}")
    return dataclasses.replace(defaults, **values)


def default_nodes(
    count: int,
    network: str | None = None,
    *,
    families: Families = "mixed",
    single_family: bool = False,
    interfaces: int = 1,
) -> tuple[NodeConfig, ...]:
    """Return NODE1, NODE2, … with the addresses .1, .2, … of a loopback /24. Even nodes are dual-stack.

    Args:
        count: the number of nodes.
        network: any address of the /24; None selects an unused one (`free_network`).
        families: the addresses of the nodes.
        single_family: whether each IPv6 address has its own interface.
        interfaces: the number of interfaces of each node. The second one of the first node has the address
            after that of the last node.

    Raises:
        ConfigError: `network` is not an IPv4 address, no network is free, or the /24 has too few addresses.
    """
    if count * interfaces > 250:
        raise ConfigError(f"{count} nodes with {interfaces} interfaces each do not fit into one /24")
    base = _network_address(network) if network else free_network()
    group = (int(base) >> 8 & 0xFFFF) << 16
    nodes = []
    for n in range(1, count + 1):
        own: list[InterfaceConfig] = []
        for host in range(n, n + count * interfaces, count):
            ipv4, ipv6 = base + host, FIRST_IPV6 + group + host
            has_ipv6 = families in {"ipv6", "dual-stack"} or (families == "mixed" and n % 2 == 0)
            pair = InterfaceConfig(None if families == "ipv6" else ipv4, ipv6 if has_ipv6 else None)
            split = single_family and len(pair.addresses) > 1
            own += [InterfaceConfig(ipv4=ipv4), InterfaceConfig(ipv6=ipv6)] if split else [pair]
        management = base + n if families == "ipv6" else None
        nodes.append(NodeConfig(f"NODE{n}", tuple(own), management))
    return tuple(nodes)


def _network_address(network: str) -> IPv4Address:
    try:
        return IPv4Address(int(IPv4Address(network)) & ~0xFF)
    except ValueError as problem:
        raise ConfigError(f"network must be an IPv4 address, not {network!r}") from problem


def free_network() -> IPv4Address:
    """Return a /24 of 127.0.0.0/8 that has no endpoint mapper on its first address.

    Raises:
        ConfigError: 100 random networks all have one.
    """
    for _ in range(100):
        base = IPv4Address(f"127.{random.randint(16, 250)}.{random.randint(0, 255)}.0")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.2)
            if probe.connect_ex((str(base + 1), EPM_PORT)):
                return base
    raise ConfigError("no loopback network without an endpoint mapper found in 100 attempts; set network")


def choose_epm_port(address: str) -> int:
    """Return 135 if this process can bind it at `address`, otherwise a free port.

    Raises:
        ConfigError: no port can be bound.
        OSError: the address is not an address of this host.
    """
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
                raise OSError(problem.errno, f"{address} port {port}: {problem.strerror}") from problem
            return int(probe.getsockname()[1])
    raise ConfigError(f"no TCP port can be bound at {address}")
