"""The contents of a MessageBuffer (MS-SWN 2.2.2.1 to 2.2.2.3), written by scapy's packets.

In scapy-rpc the buffer consists of octets, as in the IDL. The fields here, also those of addresses, are
scapy's.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, ClassVar

from scapy.fields import IPField, LEFieldLenField, LEIntField, PacketListField, StrLenFieldUtf16
from scapy.layers.inet6 import IP6Field
from scapy.packet import Packet

from swn_torture.witness.constants import MessageType
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, Notification, ResourceChange

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Item(Packet):  # type: ignore[misc]
    """A structure with its length in its first four octets, and other octets after it."""

    def post_build(self, octets: bytes, following: bytes) -> bytes:
        if "Length" in self.fieldtype:
            octets = len(octets).to_bytes(4, "little") + octets[4:]
        return octets + following

    def extract_padding(self, rest: bytes) -> tuple[bytes, bytes]:
        return b"", rest


class RESOURCE_CHANGE(_Item):  # noqa: N801
    fields_desc: ClassVar = [
        LEIntField("Length", 0),
        LEIntField("ChangeType", 0),
        StrLenFieldUtf16("ResourceName", "", length_from=lambda change: change.Length - 8),
    ]


class IPADDR_INFO(_Item):  # noqa: N801
    fields_desc: ClassVar = [LEIntField("Flags", 0), IPField("IPV4", "0.0.0.0"), IP6Field("IPV6", "::")]


class IPADDR_INFO_LIST(_Item):  # noqa: N801
    fields_desc: ClassVar = [
        LEIntField("Length", 0),
        LEIntField("Reserved", 0),
        LEFieldLenField("IPAddrInstances", None, count_of="IPAddrInfo", fmt="<I"),
        PacketListField("IPAddrInfo", [], IPADDR_INFO, count_from=lambda listed: listed.IPAddrInstances),
    ]


class _Buffer(Packet):  # type: ignore[misc]
    """Notifications one after the other. The subclass determines their kind."""

    kind: type = _Item
    fields_desc: ClassVar = [PacketListField("items", [], next_cls_cb=lambda buffer, *_: buffer.kind)]


class _Changes(_Buffer):
    kind = RESOURCE_CHANGE


class _Lists(_Buffer):
    kind = IPADDR_INFO_LIST


def encode_buffer(items: Iterable[Notification]) -> bytes:
    """Let scapy write notifications."""
    return b"".join(bytes(_filled(item)) for item in items)


def decode_buffer(message_type: int, number: int, buffer: bytes) -> tuple[Notification, ...]:
    """Let scapy read notifications, to the end of the buffer."""
    read = (_Changes if message_type == MessageType.RESOURCE_CHANGE else _Lists)(buffer)
    assert len(read.items) == number
    return tuple(map(_read, read.items))


def _filled(item: Notification) -> Any:
    if isinstance(item, ResourceChange):
        return RESOURCE_CHANGE(ChangeType=item.change_type, ResourceName=f"{item.resource_name}\0")
    infos = [IPADDR_INFO(Flags=a.flags, IPV4=str(a.ipv4), IPV6=str(a.ipv6)) for a in item.addresses]
    return IPADDR_INFO_LIST(Reserved=item.reserved, IPAddrInfo=infos)


def _read(item: Any) -> Notification:
    if isinstance(item, RESOURCE_CHANGE):
        name = item.ResourceName
        assert name.endswith("\0")
        return ResourceChange(item.ChangeType, name[:-1])
    infos = [IpAddrInfo(i.Flags, IPv4Address(i.IPV4), IPv6Address(i.IPV6)) for i in item.IPAddrInfo]
    return IpAddrInfoList(tuple(infos), item.Reserved)
