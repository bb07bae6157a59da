"""Which node hosts which interface, where clients can be moved to, and how to make interfaces UNAVAILABLE."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from swn_torture.casekit.witness import NotTestable
from swn_torture.control.base import Capability
from swn_torture.witness.constants import InterfaceFlags, InterfaceState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller
    from swn_torture.control.stimulus import Stimulus
    from swn_torture.witness.messages import InterfaceInfo


@dataclass(frozen=True, slots=True)
class HostNode:
    """A node, and the interfaces of the interface list that it hosts.

    Attributes:
        node: its name in the cluster.
        interfaces: its interfaces, in the order of the list.
        listed: the addresses that its cluster lists for it; None where that is not known. A profile may name
            one address of an interface only.
    """

    node: str
    interfaces: tuple[InterfaceInfo, ...]
    listed: frozenset[IPv4Address | IPv6Address] | None = field(default=None, compare=False)

    @property
    def ips(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses of its interfaces, IPv4 and IPv6."""
        return tuple(address for interface in self.interfaces for address in addresses_of(interface))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of its interfaces as text, as in IpAddress of a registration."""
        return tuple(map(str, self.ips))

    @property
    def listed_addresses(self) -> tuple[str, ...]:
        """Those of its addresses about which the cluster can say whether a node hosts them."""
        return tuple(str(ip) for ip in self.ips if self.listed is None or ip in self.listed)

    def has_family(self, version: int) -> bool:
        """Whether it has an address of one family: ``version`` 4 or 6."""
        return any(address.version == version for address in self.ips)

    @property
    def available(self) -> bool:
        """Whether it has interfaces and all of them are AVAILABLE."""
        states = {interface.state for interface in self.interfaces}
        return states == {InterfaceState.AVAILABLE}


def addresses_of(interface: InterfaceInfo) -> tuple[IPv4Address | IPv6Address, ...]:
    """The addresses that Flags of an interface marks as valid, IPv4 first."""
    valid: list[IPv4Address | IPv6Address] = []
    if interface.flags & InterfaceFlags.IPV4:
        valid.append(interface.ipv4)
    if interface.flags & InterfaceFlags.IPV6:
        valid.append(interface.ipv6)
    return tuple(valid)


async def host_nodes(witness: Witness, cluster: Controller) -> tuple[HostNode, ...]:
    """Every node with the interfaces that it hosts now, in the order of the controller.

    Only the controller knows which node hosts an interface. The interface list may have one group name for
    all interfaces (AMB-10).
    """
    listed = await witness.interfaces()
    found = []
    for node in await cluster.nodes():
        hosted = frozenset(ip_address(address) for address in node.addresses)
        own = tuple(i for i in listed if hosted.intersection(addresses_of(i)))
        found.append(HostNode(node.name, own, hosted))
    return tuple(found)


def index_of(witness: Witness, node: str) -> int:
    """The index of a node in the profile; names are compared without regard to case.

    Raises:
        NotTestable: the profile has no such node.
    """
    for index, each in enumerate(witness.nodes):
        if each.name.casefold() == node.casefold():
            return index
    raise NotTestable(f"the profile has no [[node]] for {node}")


async def destinations(
    witness: Witness, cluster: Controller, *, other_than: str = "", at_least: int = 1
) -> tuple[HostNode, ...]:
    """The nodes that clients can be moved to: all their interfaces are AVAILABLE.

    Nodes with one address for each interface come first, because their notifications do not depend on how
    the server lists dual-stack interfaces (AMB-16).

    Args:
        witness: the target.
        cluster: its controller.
        other_than: an address; the node that hosts it is left out.
        at_least: how many nodes the case needs.

    Raises:
        NotTestable: there are fewer than ``at_least``.
    """
    found = [h for h in await host_nodes(witness, cluster) if h.available and other_than not in h.addresses]
    if len(found) < at_least:
        raise NotTestable(f"{len(found)} nodes have only AVAILABLE interfaces; the case needs {at_least}")
    return tuple(sorted(found, key=lambda host: len(host.addresses) > len(host.interfaces)))


async def destination(
    witness: Witness, cluster: Controller, *, other_than: str = "", ipv6: bool = False
) -> HostNode:
    """One node that clients can be moved to; with an IPv4 address, if there is such a node.

    Args:
        witness: the target.
        cluster: its controller.
        other_than: an address; the node that hosts it is left out.
        ipv6: whether the node must have an IPv6 address instead.

    Raises:
        NotTestable: there is no such node.
    """
    found = await destinations(witness, cluster, other_than=other_than)
    return with_family(found, 6) if ipv6 else min(found, key=lambda host: not host.has_family(4))


def with_family(hosts: Iterable[HostNode], version: int) -> HostNode:
    """The first of some nodes that has an address of one family, ``version`` 4 or 6.

    Raises:
        NotTestable: none of them has.
    """
    for host in hosts:
        if host.has_family(version):
            return host
    raise NotTestable(f"no other node has only AVAILABLE interfaces and an IPv{version} address")


async def other_nodes(witness: Witness, cluster: Controller) -> tuple[HostNode, ...]:
    """The nodes that a case can take down: those in ``destinations`` other than the one that it calls.

    The case calls the first node of the profile, and goes on to call it.

    Raises:
        NotTestable: there is none.
    """
    # So that the case knows an address to register for, whatever it takes down.
    await witness.address_of()
    called = witness.nodes[0].name.casefold()
    found = [h for h in await destinations(witness, cluster) if h.node.casefold() != called]
    if not found:
        raise NotTestable(
            f"the list of {witness.nodes[0].name} has no other node with only AVAILABLE interfaces"
        )
    return tuple(found)


async def unaffected_address(witness: Witness, host: HostNode) -> str | None:
    """An AVAILABLE address in the list of the first node that another node than ``host`` has; None without.

    It is that of ``Witness.address_of`` if possible.
    """
    usual = await witness.address_of()
    if usual not in host.addresses:
        return usual
    available = (i for i in await witness.interfaces() if i.state == InterfaceState.AVAILABLE)
    others = (str(a) for i in available for a in addresses_of(i) if str(a) not in host.addresses)
    return next(others, None)


async def address_elsewhere(witness: Witness, host: HostNode) -> str:
    """``unaffected_address``, for a client that will be moved to ``host``.

    Raises:
        NotTestable: there is none.
    """
    address = await unaffected_address(witness, host)
    if address is None:
        raise NotTestable(f"the list of {witness.nodes[0].name} has AVAILABLE addresses of {host.node} only")
    return address


def share_of(witness: Witness, *others: str) -> str:
    """The name of a share to register for, other than ``others``.

    Scale-out shares come first, because every node serves them.

    Raises:
        NotTestable: the profile lists no other share.
    """
    shares = sorted(witness.expect.shares, key=lambda share: not share.scale_out)
    for share in shares:
        if share.name not in others:
            return share.name
    raise NotTestable("the profile lists too few shares for the case (expect.shares)")


async def make_unavailable(cluster: Controller, node: str) -> None:
    """Make the interfaces of a node UNAVAILABLE: only the interfaces if possible, else disable the node."""
    if cluster.can(Capability.INTERFACE_STATE):
        await cluster.set_interface(node, up=False)
    else:
        await cluster.disable(node)


async def make_available(cluster: Controller, node: str) -> None:
    """Make the interfaces of a node AVAILABLE again, after ``make_unavailable``."""
    if cluster.can(Capability.INTERFACE_STATE):
        await cluster.set_interface(node, up=True)
    else:
        await cluster.enable(node)


def interface_event(cluster: Controller) -> Stimulus:
    """How ``make_unavailable`` and ``make_available`` send the event to the server."""
    by_interface = cluster.can(Capability.INTERFACE_STATE)
    return cluster.stimulus(Capability.INTERFACE_STATE if by_interface else Capability.DISABLE_NODE)
