"""Comparison of names and of addresses.

MS-SWN compares NetName, client names, share names and addresses, and does not say how. All comparisons are
here; the options choose how.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final


def same_name(one: str, other: str, *, ignore_case: bool) -> bool:
    """Whether two names are equal."""
    return one.casefold() == other.casefold() if ignore_case else one == other


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IPv4 or IPv6 address that `text` represents, or None."""
    return _kept(text) if len(text) <= _LONGEST_KEPT else _parsed(text)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


_LONGEST_KEPT: Final = 64
"""Characters of the longest text whose address is kept: clients can send megabytes."""

_kept = lru_cache(maxsize=4096)(_parsed)
"""Each registration parses its address, mostly one of a few, and that takes 5 µs."""


def same_address(text: str, *addresses: IPv4Address | IPv6Address | None) -> bool:
    """Whether `text` represents one of the addresses, in any textual form (3.1.4.2: by its format)."""
    address = parse_address(text)
    return address is not None and address in addresses


def same_address_text(one: str, other: str) -> bool:
    """Whether two texts represent the same address. Texts that are not addresses must be equal."""
    address = parse_address(one)
    return one == other if address is None else address == parse_address(other)


def short_name(name: str) -> str:
    """Return the first label of a host name."""
    return name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class NetNames:
    """The names by which clients reach the cluster.

    Attributes:
        name: ServerGlobalName (MS-SWN 3.1.1.1).
        aliases: other names of the same, for example its fully qualified name.
        others: other network names of the same cluster, each with its own addresses (AMB-45).
    """

    name: str
    aliases: tuple[str, ...] = ()
    others: tuple[NetNames, ...] = ()

    def matches(self, name: str, *, ignore_case: bool, aliases: bool) -> bool:
        """Whether `name` is a network name or, with `aliases`, an alias of one (AMB-6)."""
        return any(
            same_name(name, candidate, ignore_case=ignore_case)
            for each in (self, *self.others)
            for candidate in (each.name, *(each.aliases if aliases else ()))
        )

    def network_name_of(self, name: str) -> str:
        """Return the network name that `name` is or is an alias of; the first one for any other name."""
        for each in (self, *self.others):
            if any(same_name(name, own, ignore_case=True) for own in (each.name, *each.aliases)):
                return each.name
        return self.name

    def are_the_same(self, one: str, other: str) -> bool:
        """Whether two names lead to one network name."""
        return self.network_name_of(one) == self.network_name_of(other)
