"""MessageBuffer of notifications: wrong lengths, counts, flags and octets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.witness.altered_responses import (
    AlteredAddressLists,
    AlteredChanges,
    AlteredNotifications,
    addresses_of,
    with_addresses,
    with_wrong_fields,
)
from swn_torture.faults.witness.lists import units_swapped
from swn_torture.server.state.responses import Responder
from swn_torture.witness.constants import AddressFlags, InterfaceState, MessageType, ProtocolVersion
from swn_torture.witness.notifications import ResourceChange, encode_buffer

if TYPE_CHECKING:
    from swn_torture.server.state.options import PendingKind
    from swn_torture.witness.messages import RespAsyncNotify


def each_move(suffix: str) -> tuple[str, str, str]:
    """Return the ids of a requirement that stands alike for client moves, share moves and IP changes."""
    return (f"SWN-3.1.4.4-move-{suffix}", f"SWN-3.1.4.4-share-{suffix}", f"SWN-3.1.4.4-ip-{suffix}")


# RESP_ASYNC_NOTIFY


@violates("SWN-2.2.2.4-type-defined", "SWN-3.1.4.4-change-type", near=("SWN-3.1.4.3-no-more-notifications",))
class TypesCountFromZero(AlteredNotifications):
    """The server numbers MessageType from 0, so that every value is one too low."""

    @override
    def alter_notification(self, kind: PendingKind, notification: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notification, message_type=notification.message_type - 1)


@violates("SWN-3.1.4.4-move-type", near=("SWN-3.1.4.3-no-more-notifications",))
class ClientMoveTypedShareMove(AlteredAddressLists):
    """A client move is sent with MessageType SHARE_MOVE_NOTIFICATION (3)."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        moved = notification.message_type == MessageType.CLIENT_MOVE
        return replace(notification, message_type=MessageType.SHARE_MOVE) if moved else notification


@violates("SWN-3.1.4.4-share-type", "SWN-3.1.4.4-ip-type")
class MovesAllTypedClientMove(AlteredAddressLists):
    """Share moves and IP changes are sent with MessageType CLIENT_MOVE_NOTIFICATION (2)."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notification, message_type=MessageType.CLIENT_MOVE)


@violates("SWN-2.2.2.4-buffer-type", *each_move("buffer"))
class MovesHoldResourceChanges(AlteredAddressLists):
    """MessageBuffer of a move or IP change holds a RESOURCE_CHANGE named after the first address."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        name = next((str(entry.ipv4) for entry in addresses_of(notification)), "")
        return replace(notification, message_buffer=encode_buffer([ResourceChange(1, name)]))


@violates("SWN-3.1.4.4-change-buffer")
class ChangesHoldNameOnly(AlteredChanges):
    """MessageBuffer of a resource change holds only the name."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        names = [
            item.resource_name for item in notification.decode().items if isinstance(item, ResourceChange)
        ]
        return replace(
            notification, message_buffer="".join(f"{name}\0" for name in names).encode("utf-16-le")
        )


@violates("SWN-2.2.2.4-count", "SWN-3.1.4.4-change-count")
class ChangeCountIsZero(AlteredChanges):
    """NumberOfMessages of a resource change notification is 0."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notification, number_of_messages=0)


@violates("SWN-3.1.4.4-change-count")
class ChangeCountIsOne(AlteredChanges):
    """NumberOfMessages is 1, however many resource changes are in MessageBuffer."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notification, number_of_messages=1)


@violates("SWN-2.2.2.4-count", *each_move("one-message"))
class MessagesCountAddresses(AlteredAddressLists):
    """NumberOfMessages of a move or IP change is its number of addresses plus one."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notification, number_of_messages=1 + len(addresses_of(notification)))


# Samba adds 12 octets, and only in NDR64.
@violates("SWN-2.2.2.4-buffer-type", *each_move("buffer"), "SWN-3.1.4.4-change-buffer", seen_in="Samba 4.22")
class BufferLongerThanContent(AlteredNotifications):
    """Length and MessageBuffer are 8 octets longer than their content."""

    @override
    def alter_notification(self, kind: PendingKind, notification: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notification, message_buffer=(notification.message_buffer or b"") + bytes(8))


@violates("SWN-2.2.2-little-endian")
class BuffersBigEndian(AlteredNotifications):
    """The integers in MessageBuffer are big-endian."""

    @override
    def alter_notification(self, kind: PendingKind, notification: RespAsyncNotify) -> RespAsyncNotify:
        buffer = notification.message_buffer or b""
        header = 8 if kind == "change" else 12
        swapped = b"".join(buffer[at : at + 4][::-1] for at in range(0, header, 4))
        return replace(notification, message_buffer=swapped + buffer[header:])


@violates("SWN-2.2.2-buffer-packed")
class ChangesAligned(AlteredChanges):
    """Each RESOURCE_CHANGE is padded to a multiple of 8 octets, and its Length counts the padding."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        parts = [encode_buffer([item]) for item in notification.decode().items]
        filled = [part + bytes(-len(part) % 8) for part in parts]
        sized = [len(part).to_bytes(4, "little") + part[4:] for part in filled]
        return replace(notification, message_buffer=b"".join(sized))


@violates("SWN-2.2.2-buffer-packed", "SWN-2.2.2.1-size-24")
class AddressesAligned(AlteredAddressLists):
    """Each IPADDR_INFO is padded to 32 octets."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        buffer = notification.message_buffer or b""
        entries = b"".join(buffer[at : at + 24] + bytes(8) for at in range(12, len(buffer), 24))
        length = (12 + len(entries)).to_bytes(4, "little")
        return replace(notification, message_buffer=length + buffer[4:12] + entries)


# RESOURCE_CHANGE


@violates("SWN-2.2.2.3-length", "SWN-3.1.4.4-change-length")
class ChangeLengthWithoutTerminator(AlteredChanges):
    """Length of a RESOURCE_CHANGE does not count the terminator of the name."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        sizes = [len(encode_buffer([item])) - 2 for item in notification.decode().items]
        return with_wrong_fields(notification, lambda n: {f"[{n}].Length": sizes[n]})


@violates("SWN-2.2.2.3-length", "SWN-3.1.4.4-change-length")
class ChangeLengthWithoutHeader(AlteredChanges):
    """Length of a RESOURCE_CHANGE counts only the name."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        sizes = [len(encode_buffer([item])) - 8 for item in notification.decode().items]
        return with_wrong_fields(notification, lambda n: {f"[{n}].Length": sizes[n]})


@violates("SWN-2.2.2.3-name-terminated")
class ChangeNameUnterminated(AlteredChanges):
    """ResourceName has no terminator."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        sizes = [len(encode_buffer([item])) - 2 for item in notification.decode().items]
        return with_wrong_fields(
            notification, lambda n: {f"[{n}].ResourceName.terminator": b"", f"[{n}].Length": sizes[n]}
        )


@violates("SWN-2.2.2.3-name-utf16")
class ChangeNameBigEndian(AlteredChanges):
    """ResourceName is UTF-16BE."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        names = [
            item.resource_name for item in notification.decode().items if isinstance(item, ResourceChange)
        ]
        return with_wrong_fields(
            notification, lambda n: {f"[{n}].ResourceName": names[n].encode("utf-16-be")}
        )


@violates("SWN-2.2.2.3-name-utf16")
class ChangeNameAscii(AlteredChanges):
    """ResourceName has one octet per character."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        names = [
            item.resource_name for item in notification.decode().items if isinstance(item, ResourceChange)
        ]
        return with_wrong_fields(
            notification,
            lambda n: {f"[{n}].ResourceName": names[n].encode(), f"[{n}].Length": 10 + len(names[n])},
        )


# IPADDR_INFO_LIST


@violates("SWN-2.2.2.2-reserved-zero", "SWN-2.2.2.2-reserved-unused", *each_move("reserved"))
class ReservedNotZero(AlteredAddressLists):
    """Reserved of an IPADDR_INFO_LIST holds old memory contents (0xCDCDCDCD)."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_wrong_fields(notification, lambda n: {f"[{n}].Reserved": 0xCDCDCDCD})


@violates("SWN-2.2.2.2-length", *each_move("list-length"))
class ListLengthWithoutHeader(AlteredAddressLists):
    """Length of an IPADDR_INFO_LIST counts only its addresses."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_wrong_fields(
            notification, lambda n: {f"[{n}].Length": 24 * len(addresses_of(notification))}
        )


@violates("SWN-2.2.2.2-length", *each_move("list-length"))
class ListLengthOneMore(AlteredAddressLists):
    """Length of an IPADDR_INFO_LIST is one octet too large."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_wrong_fields(
            notification, lambda n: {f"[{n}].Length": 13 + 24 * len(addresses_of(notification))}
        )


@violates("SWN-2.2.2.2-instances", *each_move("instances"))
class InstancesOneMore(AlteredAddressLists):
    """IPAddrInstances is one too large."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_wrong_fields(
            notification, lambda n: {f"[{n}].IPAddrInstances": 1 + len(addresses_of(notification))}
        )


@violates("SWN-2.2.2.2-instances", *each_move("instances"))
class InstancesOneLess(AlteredAddressLists):
    """IPAddrInstances is one too small."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_wrong_fields(
            notification, lambda n: {f"[{n}].IPAddrInstances": len(addresses_of(notification)) - 1}
        )


@violates("SWN-2.2.2.2-at-least-one")
class MovesWithoutAddresses(AlteredAddressLists):
    """The IPADDR_INFO_LIST of a move or IP change is empty."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(notification, ())


@violates(*each_move("info-copied"))
class OnlyFirstAddressSent(AlteredAddressLists):
    """A move or IP change names only the first of several addresses."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(notification, addresses_of(notification)[:1])


# IPADDR_INFO


@violates(*each_move("ipv4-flag"))
class Ipv4FlagMissing(AlteredAddressLists):
    """IPADDR_INFO of an IPv4 address lacks IPADDR_V4."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification, (replace(e, flags=e.flags & ~AddressFlags.V4) for e in addresses_of(notification))
        )


@violates("SWN-2.2.2.1-v6-valid", *each_move("ipv6-flag"))
class Ipv6FlagMissing(AlteredAddressLists):
    """IPADDR_INFO of an IPv6 address lacks IPADDR_V6."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification, (replace(e, flags=e.flags & ~AddressFlags.V6) for e in addresses_of(notification))
        )


@violates("SWN-2.2.2.1-v4-excludes-v6", "SWN-2.2.2.1-v6-excludes-v4")
class BothAddressFlags(AlteredAddressLists):
    """Every IPADDR_INFO has both IPADDR_V4 and IPADDR_V6 set."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification, (replace(e, flags=e.flags | 3) for e in addresses_of(notification))
        )


@violates("SWN-2.2.2.1-ipv4-content", "SWN-2.2.2.1-v4-valid", *each_move("ipv4-value"))
class Ipv4FieldEmpty(AlteredAddressLists):
    """IPV4 of an IPADDR_INFO is always zero."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification, (replace(e, ipv4=IPv4Address(0)) for e in addresses_of(notification))
        )


@violates("SWN-2.2.2.1-ipv6-content", *each_move("ipv6-value"))
class Ipv6FieldEmpty(AlteredAddressLists):
    """IPV6 of an IPADDR_INFO is always zero."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification, (replace(e, ipv6=IPv6Address(0)) for e in addresses_of(notification))
        )


@violates("SWN-2.2.2.1-address-byte-order")
class SentIpv4Reversed(AlteredAddressLists):
    """IPV4 of an IPADDR_INFO is in host byte order."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification,
            (replace(e, ipv4=IPv4Address(e.ipv4.packed[::-1])) for e in addresses_of(notification)),
        )


@violates("SWN-2.2.2.1-ipv6-content")
class SentIpv6UnitsSwapped(AlteredAddressLists):
    """The 16-bit units of IPV6 of an IPADDR_INFO are in host byte order."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification, (replace(e, ipv6=units_swapped(e.ipv6)) for e in addresses_of(notification))
        )


@violates("SWN-2.2.2.1-flags-defined")
class UndefinedAddressFlag(AlteredAddressLists):
    """Flags of an IPADDR_INFO have the undefined bit 0x20 set."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification, (replace(e, flags=e.flags | 0x20) for e in addresses_of(notification))
        )


@violates("SWN-2.2.2.1-online-offline-exclusive")
class OnlineAndOffline(Responder):
    """An address in a client move is marked online and offline at once."""

    @override
    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        both = AddressFlags.ONLINE | AddressFlags.OFFLINE
        return both if super().address_state(kind, state) else AddressFlags(0)


@violates("SWN-3.1.4.4-move-online", "SWN-2.2.2.1-online")
class OnlineNeverSet(Responder):
    """Addresses in a client move are never marked online."""

    @override
    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        return super().address_state(kind, state) & ~AddressFlags.ONLINE


@violates("SWN-3.1.4.4-move-offline", "SWN-2.2.2.1-offline")
class OfflineMarkedOnline(Responder):
    """An address of an interface that is not AVAILABLE is marked online."""

    @override
    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        return super().address_state(kind, InterfaceState.AVAILABLE)


@violates("SWN-2.2.2.1-online")
class OnlineOnVersion1(Responder):
    """A server of version 1 marks addresses online."""

    @override
    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        old = self.options.version == ProtocolVersion.V1
        return AddressFlags.ONLINE if old else super().address_state(kind, state)
