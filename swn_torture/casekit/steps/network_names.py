"""Clusters with several network names, each with its own addresses: file-server roles, SmartConnect zones.

MS-SWN has one ServerGlobalName, by which clients access "the server being witnessed" (3.1.1.1). On such a
cluster it is the name that the client asks for; the profile lists the names and their addresses (AMB-45).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.witness import NotTestable
from swn_torture.dcerpc.errors import ConnectionLost
from swn_torture.witness.constants import InterfaceFlags, InterfaceState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from swn_torture.casekit.witness import Witness
    from swn_torture.target import NetworkName
    from swn_torture.witness.client import WitnessClient

#: Names that a case looks at, at most: a cluster may have many file-server roles.
MOST = 4


@dataclass(frozen=True, slots=True)
class Named:
    """A network name, and those of its addresses that a case uses.

    Attributes:
        known: the name, its aliases and its addresses, from the profile.
        listed: the addresses; those of the node that was called come first.
        called: the address that was called; empty before.
        connected: the connection to it.
    """

    known: NetworkName
    listed: tuple[str, ...]
    called: str = ""
    connected: WitnessClient | None = None

    @property
    def client(self) -> WitnessClient:
        """The connection to `called`."""
        assert self.connected is not None, "made by names_with_addresses()"
        return self.connected

    @property
    def name(self) -> str:
        """The NetName."""
        return self.known.name


async def several_names(witness: Witness, variant: Callable[[str], Awaitable[Witness]]) -> Witness:
    """A cluster with several network names: the target, or its variant ``several-names`` if it has one."""
    if len(witness.profile.network_names) >= 2:
        return witness
    other = await variant("several-names")
    await other.interfaces()  # that it serves calls is known before the case begins
    return other


def known_names(witness: Witness) -> tuple[Named, ...]:
    """The network names of a cluster with the addresses that the profile has for them.

    Raises:
        NotTestable: fewer than two names have addresses.
    """
    found = [Named(each, tuple(map(str, each.addresses))) for each in witness.profile.network_names]
    usable = tuple(each for each in found if each.listed)[:MOST]
    if len(usable) < 2:
        raise NotTestable("the profile has addresses for fewer than two network names ([[network_name]])")
    return usable


async def names_with_addresses(witness: Witness, first: Collection[str] = ()) -> tuple[Named, ...]:
    """The network names of a cluster, each with a connection to one of its addresses and the list from there.

    A server lists interfaces in its own manner, perhaps those of other nodes only, and knows only these as
    IpAddress. So a case registers on the connection on which it read the list.

    Args:
        witness: the target.
        first: addresses to call first, of a node that the case does not take down.

    Raises:
        NotTestable: fewer than two names have an AVAILABLE address in their list.
        RpcError: GetInterfaceList fails.
    """
    found = []
    for name in known_names(witness):
        ordered = tuple(sorted(name.listed, key=lambda address: address not in first))
        client, called = await connection_to(witness, replace(name, listed=ordered))
        response = (await client.get_interface_list()).interface_list
        interfaces = sorted(
            (response.interfaces or ()) if response else (),
            key=lambda interface: bool(interface.flags & InterfaceFlags.WITNESS),
        )
        own = canonical(name.known.addresses)
        available = (i for i in interfaces if i.state == InterfaceState.AVAILABLE)
        listed = [text for i in available for text in map(str, addresses_of(i)) if text in own]
        found.append(Named(name.known, tuple(dict.fromkeys(listed)), called, client))
    usable = tuple(each for each in found if each.listed)
    if len(usable) < 2:
        names = ", ".join(each.name for each in usable) or "none"
        raise NotTestable(f"AVAILABLE addresses of fewer than two network names are listed: {names}")
    return usable


def canonical(addresses: Iterable[str]) -> frozenset[str]:
    """Addresses in their shortest form, as the interface list is shown."""
    return frozenset(str(ip_address(address)) for address in addresses)


async def connection_to(witness: Witness, name: Named) -> tuple[WitnessClient, str]:
    """A connection to an address of a network name, as a client of that name has it, and the address.

    Raises:
        NotTestable: this machine can reach none of its addresses.
    """
    problems = []
    for address in name.listed:
        for node in range(len(witness.nodes)):
            try:
                return await witness.connect_at(address, node), address
            except (NotTestable, ConnectionLost) as problem:
                problems.append(str(problem))
                if _has_no_route(problem):
                    break  # to no port of this address; each attempt can take seconds
    raise NotTestable(f"no address of {name.name} can be called: {'; '.join(dict.fromkeys(problems))}")


def _has_no_route(problem: BaseException | None) -> bool:
    """Whether the cause of this error is that the kernel cannot reach the address."""
    while problem is not None:
        if isinstance(problem, OSError) and problem.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
            return True
        problem = problem.__cause__
    return False
