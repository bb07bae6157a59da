"""Which node hosts which interface, where clients can be moved to, and how to make interfaces UNAVAILABLE."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from swn_torture.casekit.witness import NotTestable
from swn_torture.control.base import Capability
from swn_torture.witness.constants import InterfaceFlags, InterfaceState

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller
    from swn_torture.witness.messages import InterfaceInfo


#: Seconds between two calls of GetInterfaceList while waiting for a change.
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class HostNode:
    """A node, and the interfaces of the interface list that it hosts.

    Attributes:
        node: its name in the cluster.
        interfaces: its interfaces, in the order of the list.
    """

    node: str
    interfaces: tuple[InterfaceInfo, ...]

    @property
    def ips(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses of its interfaces, IPv4 and IPv6."""
        return tuple(address for interface in self.interfaces for address in addresses_of(interface))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of its interfaces as text, as in IpAddress of a registration."""
        return tuple(map(str, self.ips))

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
        hosted = {ip_address(address) for address in node.addresses}
        found.append(HostNode(node.name, tuple(i for i in listed if hosted.intersection(addresses_of(i)))))
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
    """One node that clients can be moved to, with an address of one family.

    Args:
        witness: the target.
        cluster: its controller.
        other_than: an address; the node that hosts it is left out.
        ipv6: whether the node must have an IPv6 address; otherwise it must have an IPv4 address.

    Raises:
        NotTestable: there is no such node.
    """
    version = 6 if ipv6 else 4
    for host in await destinations(witness, cluster, other_than=other_than):
        if any(address.version == version for address in host.ips):
            return host
    raise NotTestable(f"no other node has only AVAILABLE interfaces and an IPv{version} address")


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


async def wait_until_listed(witness: Witness, address: str, *, gone: bool = False) -> bool:
    """Wait until an address is in the interface list; returns whether it is there within the event deadline.

    Args:
        witness: the target; the first node is asked.
        address: the address.
        gone: wait until the address is not in the list instead.
    """
    expected = ip_address(address)
    client = await witness.connect()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + witness.expect.event_deadline
    while True:
        listed = (await client.get_interface_list()).interfaces
        if any(expected in addresses_of(interface) for interface in listed) is not gone:
            return True
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL_S)


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
