"""Short names for the contents of notifications: message types, nodes, flags and addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange

CHANGE, CLIENT_MOVE, SHARE_MOVE, IP_CHANGE = 1, 2, 3, 4
NODE1, NODE2, NODE3 = (IPv4Address(f"192.0.2.{n}") for n in (1, 2, 3))
NODE2_V6 = IPv6Address("2001:db8::2")
V4, V6, ONLINE, OFFLINE = 0x1, 0x2, 0x8, 0x10
DOWN, UP = ResourceChange(0xFF, "NODE2"), ResourceChange(0x1, "NODE2")


def addresses(*entries: IpAddrInfo) -> tuple[IpAddrInfoList, ...]:
    return (IpAddrInfoList(entries),)
