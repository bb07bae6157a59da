"""The contents of RESP_ASYNC_NOTIFY.MessageBuffer.

The three structures are not in NDR. They follow each other without gaps, in little-endian whatever the data
representation of the call (MS-SWN 2.2.2). Addresses are in network order, as in every implementation
(AMB-25).
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from swn_torture.stubdata.fields import DecodeError, FieldReader, FieldWriter, Wrong
from swn_torture.witness.constants import MessageType

__all__ = [
    "NO_IPV4",
    "NO_IPV6",
    "DecodedBuffer",
    "IpAddrInfo",
    "IpAddrInfoList",
    "Notification",
    "ResourceChange",
    "buffer_spans",
    "decode_buffer",
    "encode_buffer",
]

NO_IPV4: Final = IPv4Address(0)
"""The content of an IPV4 field that is not valid."""

NO_IPV6: Final = IPv6Address(0)
"""The content of an IPV6 field that is not valid."""

_CHANGE_HEADER = 8
_LIST_HEADER = 12
_ADDRESS_SIZE = 24


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """RESOURCE_CHANGE: a resource changes its state (MS-SWN 2.2.2.3). ``change_type`` is a ``ChangeType``."""

    change_type: int
    resource_name: str


@dataclass(frozen=True, slots=True)
class IpAddrInfo:
    """IPADDR_INFO (MS-SWN 2.2.2.1): its ``AddressFlags`` say which of the two addresses is valid."""

    flags: int
    ipv4: IPv4Address = NO_IPV4
    ipv6: IPv6Address = NO_IPV6


@dataclass(frozen=True, slots=True)
class IpAddrInfoList:
    """IPADDR_INFO_LIST: the addresses of a destination (MS-SWN 2.2.2.2)."""

    addresses: tuple[IpAddrInfo, ...]
    reserved: int = 0


Notification: TypeAlias = ResourceChange | IpAddrInfoList


@dataclass(frozen=True, slots=True)
class DecodedBuffer:
    """The decoded contents of a MessageBuffer.

    Attributes:
        items: the notifications; there are NumberOfMessages of them.
        padding: for each item the octets within its Length after its content. No known server sends any, but
            the Length fields allow them.
        slack: the octets after the last item. Samba sends zeros there in NDR64, because its Length is too
            large.
    """

    items: tuple[Notification, ...]
    padding: tuple[bytes, ...]
    slack: bytes


def encode_buffer(items: Iterable[Notification], *, wrong: Wrong | None = None) -> bytes:
    """Write notifications one after the other, without gaps.

    Args:
        items: the notifications.
        wrong: replacements for fields, by field name. Item *n* has ``[n].Length``. A change also has
            ``[n].ChangeType``, ``[n].ResourceName`` and ``[n].ResourceName.terminator``. An address list has
            ``[n].Reserved``, ``[n].IPAddrInstances`` and, for each address *m*, ``[n].IPAddrInfo[m].Flags``,
            ``.IPV4`` and ``.IPV6``.

    Raises:
        EncodeError: a value does not fit into its field, or ``wrong`` names a field that the buffer does not
            have.
    """
    return _written(items, wrong).finish()


def _written(items: Iterable[Notification], wrong: Wrong | None = None) -> FieldWriter:
    writer = FieldWriter("little", wrong)
    for index, item in enumerate(items):
        if isinstance(item, ResourceChange):
            _write_change(writer, f"[{index}]", item)
        else:
            _write_addresses(writer, f"[{index}]", item)
    return writer


def buffer_spans(items: Iterable[Notification]) -> dict[str, range]:
    """The octets of each field of notifications that follow each other, as ``encode_buffer`` writes them."""
    writer = _written(items)
    edges = [*writer.starts, len(writer.finish())]
    spans = zip(writer.names, itertools.pairwise(edges), strict=True)
    return {name: range(start, end) for name, (start, end) in spans if start < end}


def decode_buffer(message_type: int, number: int, buffer: bytes) -> DecodedBuffer:
    """Read the notifications of a MessageBuffer. The Length of each one gives the start of the next one.

    Args:
        message_type: RESP_ASYNC_NOTIFY.MessageType; it determines the structures.
        number: RESP_ASYNC_NOTIFY.NumberOfMessages. The size of the buffer limits the work, even for a huge
            number.
        buffer: the octets of MessageBuffer.

    Raises:
        DecodeError: the kind is unknown, a structure does not fit into its Length, or a Length does not fit
            into the buffer.
    """
    read: Callable[[FieldReader, str], Notification]
    if message_type == MessageType.RESOURCE_CHANGE:
        read, header = _read_change, _CHANGE_HEADER
    elif message_type in {MessageType.CLIENT_MOVE, MessageType.SHARE_MOVE, MessageType.IP_CHANGE}:
        read, header = _read_addresses, _LIST_HEADER
    else:
        raise DecodeError("MessageType", 0, f"{message_type} is not a known kind of notification (1 to 4)")
    reader = FieldReader(buffer)
    items: list[Notification] = []
    padding: list[bytes] = []
    for index in range(number):
        name, start = f"[{index}]", reader.offset
        length = reader.integer(f"{name}.Length", 4)
        reader.offset = start
        if length < header:
            raise DecodeError(
                f"{name}.Length", start, f"{length} octets are less than the {header} of the fixed fields"
            )
        inner = FieldReader(reader.octets(name, length))
        try:
            items.append(read(inner, name))
        except DecodeError as error:
            raise DecodeError(error.field, start + error.offset, error.problem) from None
        padding.append(inner.rest())
    return DecodedBuffer(tuple(items), tuple(padding), reader.rest())


def _write_change(writer: FieldWriter, name: str, item: ResourceChange) -> None:
    text = writer.utf16(item.resource_name)
    writer.integer(f"{name}.Length", _CHANGE_HEADER + len(text) + 2, 4)
    writer.integer(f"{name}.ChangeType", item.change_type, 4)
    writer.text(f"{name}.ResourceName", item.resource_name)


def _read_change(reader: FieldReader, name: str) -> ResourceChange:
    reader.integer(f"{name}.Length", 4)
    change_type = reader.integer(f"{name}.ChangeType", 4)
    start = reader.offset
    units = reader.rest()
    end = next((at for at in range(0, len(units) - 1, 2) if units[at : at + 2] == b"\0\0"), None)
    if end is None:
        raise DecodeError(f"{name}.ResourceName", start, f"no terminator within {len(units)} octets")
    reader.offset = start + end + 2
    return ResourceChange(change_type, reader.decode_utf16(units[:end]))


def _write_addresses(writer: FieldWriter, name: str, item: IpAddrInfoList) -> None:
    writer.integer(f"{name}.Length", _LIST_HEADER + _ADDRESS_SIZE * len(item.addresses), 4)
    writer.integer(f"{name}.Reserved", item.reserved, 4)
    writer.integer(f"{name}.IPAddrInstances", len(item.addresses), 4)
    for index, address in enumerate(item.addresses):
        entry = f"{name}.IPAddrInfo[{index}]"
        writer.integer(f"{entry}.Flags", address.flags, 4)
        writer.octets(f"{entry}.IPV4", address.ipv4.packed)
        writer.octets(f"{entry}.IPV6", address.ipv6.packed)


def _read_addresses(reader: FieldReader, name: str) -> IpAddrInfoList:
    reader.integer(f"{name}.Length", 4)
    reserved = reader.integer(f"{name}.Reserved", 4)
    instances = reader.integer(f"{name}.IPAddrInstances", 4)
    if instances * _ADDRESS_SIZE > reader.left:
        raise DecodeError(
            f"{name}.IPAddrInstances",
            reader.offset - 4,
            f"{instances} addresses of {_ADDRESS_SIZE} octets do not fit into the {reader.left} left",
        )
    addresses = []
    for index in range(instances):
        entry = f"{name}.IPAddrInfo[{index}]"
        flags = reader.integer(f"{entry}.Flags", 4)
        ipv4 = IPv4Address(reader.octets(f"{entry}.IPV4", 4))
        addresses.append(IpAddrInfo(flags, ipv4, IPv6Address(reader.octets(f"{entry}.IPV6", 16))))
    return IpAddrInfoList(tuple(addresses), reserved)
