"""The contents of a MessageBuffer (MS-SWN 2.2.2.1 to 2.2.2.3), written by impacket's ``Structure``."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from impacket.structure import Structure

from swn_torture.witness.constants import MessageType
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, Notification, ResourceChange

if TYPE_CHECKING:
    from collections.abc import Iterable


class RESOURCE_CHANGE(Structure):  # type: ignore[misc]  # noqa: N801
    structure = (
        ("Length", "<L=8+len(ResourceName)"),
        ("ChangeType", "<L"),
        ("_ResourceName", "_-ResourceName", "self['Length']-8"),
        ("ResourceName", ":"),
    )


class IPADDR_INFO(Structure):  # type: ignore[misc]  # noqa: N801
    structure = (("Flags", "<L"), ("IPV4", "4s"), ("IPV6", "16s"))


class IPADDR_INFO_LIST(Structure):  # type: ignore[misc]  # noqa: N801
    structure = (
        ("Length", "<L=12+len(IPAddrInfo)"),
        ("Reserved", "<L"),
        ("IPAddrInstances", "<L=len(IPAddrInfo)//24"),
        ("_IPAddrInfo", "_-IPAddrInfo", "self['Length']-12"),
        ("IPAddrInfo", ":"),
    )


def encode_buffer(items: Iterable[Notification]) -> bytes:
    """Let impacket write notifications."""
    return b"".join(_filled(item).getData() for item in items)


def decode_buffer(message_type: int, number: int, buffer: bytes) -> tuple[Notification, ...]:
    """Let impacket read notifications, to the end of the buffer."""
    kind = RESOURCE_CHANGE if message_type == MessageType.RESOURCE_CHANGE else IPADDR_INFO_LIST
    found = []
    for _ in range(number):
        item = kind(buffer)
        found.append(_read(item))
        buffer = buffer[item["Length"] :]
    assert buffer == b""
    return tuple(found)


def _filled(item: Notification) -> Any:
    if isinstance(item, ResourceChange):
        change = RESOURCE_CHANGE()
        change["ChangeType"] = item.change_type
        change["ResourceName"] = f"{item.resource_name}\0".encode("utf-16-le")
        return change
    listed = IPADDR_INFO_LIST()
    listed["Reserved"] = item.reserved
    octets = b""
    for address in item.addresses:
        info = IPADDR_INFO()
        info["Flags"] = address.flags
        info["IPV4"] = address.ipv4.packed
        info["IPV6"] = address.ipv6.packed
        octets += info.getData()
    listed["IPAddrInfo"] = octets
    return listed


def _read(item: Any) -> Notification:
    if isinstance(item, RESOURCE_CHANGE):
        name = item["ResourceName"].decode("utf-16-le")
        assert name.endswith("\0")
        return ResourceChange(item["ChangeType"], name[:-1])
    octets = item["IPAddrInfo"]
    assert len(octets) == 24 * item["IPAddrInstances"]
    infos = [IPADDR_INFO(octets[at : at + 24]) for at in range(0, len(octets), 24)]
    return IpAddrInfoList(
        tuple(IpAddrInfo(i["Flags"], IPv4Address(i["IPV4"]), IPv6Address(i["IPV6"])) for i in infos),
        item["Reserved"],
    )
