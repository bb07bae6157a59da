"""Which node hosts which interface, where clients can be moved to, and how to take a node down."""

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


#: Seconds between two looks at an interface list that is to change.
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class HostNode:
    """A node, and the interfaces of the interface list that it hosts."""

    node: str
    interfaces: tuple[InterfaceInfo, ...]

    @property
    def ips(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Their addresses, of either family."""
        return tuple(address for interface in self.interfaces for address in addresses_of(interface))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Their addresses as registrations write them."""
        return tuple(map(str, self.ips))

    @property
    def available(self) -> bool:
        """Whether it has interfaces, and all of them are AVAILABLE."""
        states = {interface.state for interface in self.interfaces}
        return states == {InterfaceState.AVAILABLE}


def addresses_of(interface: InterfaceInfo) -> tuple[IPv4Address | IPv6Address, ...]:
    """The addresses that the Flags of an interface call valid, IPv4 first."""
    valid: list[IPv4Address | IPv6Address] = []
    if interface.flags & InterfaceFlags.IPV4:
        valid.append(interface.ipv4)
    if interface.flags & InterfaceFlags.IPV6:
        valid.append(interface.ipv6)
    return tuple(valid)


async def host_nodes(witness: Witness, cluster: Controller) -> tuple[HostNode, ...]:
    """Every node with the interfaces it hosts now, in the order of the controller.

    Who hosts what is known from the controller alone: a list in which all interfaces carry one group name
    (AMB-10) does not tell.
    """
    listed = await witness.interfaces()
    found = []
    for node in await cluster.nodes():
        hosted = {ip_address(address) for address in node.addresses}
        found.append(HostNode(node.name, tuple(i for i in listed if hosted.intersection(addresses_of(i)))))
    return tuple(found)


def index_of(witness: Witness, node: str) -> int:
    """Where a node stands in the profile.

    Raises:
        Unsuitable: it is not there.
    """
    for index, each in enumerate(witness.nodes):
        if each.name.casefold() == node.casefold():
            return index
    raise NotTestable(f"the profile has no [[node]] for {node}")


async def destinations(
    witness: Witness, cluster: Controller, *, other_than: str = "", at_least: int = 1
) -> tuple[HostNode, ...]:
    """The nodes that clients can be moved to: with nothing but AVAILABLE interfaces, none of them ``beside``.

    Those whose interfaces have one address each come first: what is said of them is beyond doubt (AMB-16).

    Raises:
        Unsuitable: there are fewer than ``at_least``.
    """
    found = [h for h in await host_nodes(witness, cluster) if h.available and other_than not in h.addresses]
    if len(found) < at_least:
        raise NotTestable(f"{len(found)} nodes host AVAILABLE interfaces only, the case needs {at_least}")
    return tuple(sorted(found, key=lambda host: len(host.addresses) > len(host.interfaces)))


async def destination(
    witness: Witness, cluster: Controller, *, other_than: str = "", ipv6: bool = False
) -> HostNode:
    """One of them; with ``ipv6`` one that has an IPv6 address, else one that has an IPv4 address.

    Raises:
        Unsuitable: there is none such.
    """
    version = 6 if ipv6 else 4
    for host in await destinations(witness, cluster, other_than=other_than):
        if any(address.version == version for address in host.ips):
            return host
    raise NotTestable(f"no other node hosts AVAILABLE interfaces only, one with an IPv{version} address")


def share_of(witness: Witness, *others: str) -> str:
    """A share to register for, other than ``others``; scale-out if possible, since they go where all go."""
    shares = sorted(witness.expect.shares, key=lambda share: not share.scale_out)
    for share in shares:
        if share.name not in others:
            return share.name
    raise NotTestable("the profile lists too few shares (expect.shares)")


async def until_listed(witness: Witness, address: str, *, gone: bool = False) -> bool:
    """Wait, as long as an event may take, until an address is in the interface list, or ``gone`` from it."""
    wanted = ip_address(address)
    client = await witness.connect()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + witness.expect.event_deadline
    while True:
        listed = (await client.get_interface_list()).interfaces
        if any(wanted in addresses_of(interface) for interface in listed) is not gone:
            return True
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL_S)


async def take_down(cluster: Controller, node: str) -> None:
    """Have the interfaces of a node become UNAVAILABLE, by the order that disturbs least."""
    if cluster.can(Capability.INTERFACE_STATE):
        await cluster.set_interface(node, up=False)
    else:
        await cluster.disable(node)


async def bring_up(cluster: Controller, node: str) -> None:
    """The reverse of ``take_down``."""
    if cluster.can(Capability.INTERFACE_STATE):
        await cluster.set_interface(node, up=True)
    else:
        await cluster.enable(node)
