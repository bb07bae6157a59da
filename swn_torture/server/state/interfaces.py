"""InterfaceList: the cluster's interfaces as one witness server knows them (MS-SWN 3.1.1.2).

Each node has its own table and updates it by events (3.1.6.1). Two nodes that do not see each other can
therefore have different tables. The message with this name is `witness.messages.InterfaceList`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from swn_torture.server.state.names import parse_address, same_name, short_name
from swn_torture.witness.constants import InterfaceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface: a group name, an IPv4 address, an IPv6 address or both, and a state.

    Attributes:
        group_name: InterfaceGroupName.
        ipv4: its IPv4 address, if any.
        ipv6: its IPv6 address, if any.
        state: its state.
        node: the node that hosts the addresses. How a server finds it is implementation-defined (3.1.4.1).
        net_name: the network name that the addresses belong to; empty if the cluster has one name only.
    """

    group_name: str
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    state: InterfaceState = InterfaceState.AVAILABLE
    node: str = ""
    net_name: str = ""

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)

    def matches_event(
        self, group_name: str, ipv4: IPv4Address | None = None, ipv6: IPv6Address | None = None
    ) -> bool:
        """Whether an event means this interface: its group and at least one of its addresses (3.1.6.1)."""
        same_group = same_name(self.group_name, group_name, ignore_case=True)
        return same_group and (
            (ipv4 is not None and ipv4 == self.ipv4) or (ipv6 is not None and ipv6 == self.ipv6)
        )

    def with_only(self, address: IPv4Address | IPv6Address) -> Interface:
        """Return a copy with this address and no other."""
        return dataclasses.replace(self, ipv4=None, ipv6=None).with_address(address)

    def with_address(self, address: IPv4Address | IPv6Address) -> Interface:
        """Return a copy in which this address replaces the one of its family."""
        if isinstance(address, IPv4Address):
            return dataclasses.replace(self, ipv4=address)
        return dataclasses.replace(self, ipv6=address)

    def without(self, address: IPv4Address | IPv6Address) -> Interface:
        """Return a copy without this address."""
        return dataclasses.replace(
            self,
            ipv4=None if self.ipv4 == address else self.ipv4,
            ipv6=None if self.ipv6 == address else self.ipv6,
        )


class InterfaceTable:
    """The interfaces, in the order in which the server learned of them."""

    def __init__(self, interfaces: Iterable[Interface] = ()) -> None:
        self._interfaces = list(interfaces)

    def __iter__(self) -> Iterator[Interface]:
        return iter(tuple(self._interfaces))

    def __len__(self) -> int:
        return len(self._interfaces)

    def find(
        self, group_name: str, ipv4: IPv4Address | None = None, ipv6: IPv6Address | None = None
    ) -> Interface | None:
        """Return the interface that an event means, or None."""
        return next((i for i in self._interfaces if i.matches_event(group_name, ipv4, ipv6)), None)

    def by_address(self, text: str) -> Interface | None:
        """Return the interface with the address that `text` represents, or None."""
        address = parse_address(text)
        if address is None:
            return None
        return next((i for i in self._interfaces if address in (i.ipv4, i.ipv6)), None)

    def group(self, name: str) -> tuple[Interface, ...]:
        """Return the interfaces of one group."""
        return tuple(i for i in self._interfaces if same_name(i.group_name, name, ignore_case=True))

    def destination(self, name: str) -> tuple[Interface, ...]:
        """Return the interfaces of a destination: a group name, an IP address or a host name (3.1.6.2).

        For an IP address, the interface has only this address.
        """
        if group := self.group(name):
            return group
        address = parse_address(name)
        if address is not None:
            return tuple(i.with_only(address) for i in self._interfaces if address in i.addresses)
        host = short_name(name)
        return tuple(i for i in self._interfaces if same_name(i.node, host, ignore_case=True))

    def any_available(self, which: Callable[[Interface], bool] = lambda _: True) -> bool:
        """Whether at least one of the interfaces that `which` selects is AVAILABLE."""
        return any(i.state is InterfaceState.AVAILABLE and which(i) for i in self._interfaces)

    def set_state(self, interface: Interface, state: InterfaceState) -> None:
        """Set the state of an interface of the table."""
        self._interfaces[self._interfaces.index(interface)] = dataclasses.replace(interface, state=state)

    def add(self, interface: Interface) -> None:
        """Add a new interface."""
        self._interfaces.append(interface)

    def remove_address(self, interface: Interface, address: IPv4Address | IPv6Address) -> None:
        """Remove an address from an interface of the table; without addresses, remove the interface."""
        rest = interface.without(address)
        at = self._interfaces.index(interface)
        self._interfaces[at : at + 1] = [rest] if rest.addresses else []
