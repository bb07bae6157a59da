"""MessageBuffer: lengths, counts, flags and octets of notifications written wrongly."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.witness.answers import Buffers, Changes, Lists, entries_of, rewritten, with_entries
from swn_torture.faults.witness.lists import units_swapped
from swn_torture.server.state.responses import Responder
from swn_torture.witness.constants import AddressFlags, InterfaceState, MessageType, ProtocolVersion
from swn_torture.witness.notifications import ResourceChange, encode_buffer

if TYPE_CHECKING:
    from swn_torture.server.state.options import PendingKind
    from swn_torture.witness.messages import RespAsyncNotify


def each_move(suffix: str) -> tuple[str, str, str]:
    """The requirement that is written for client moves, share moves and IP changes alike."""
    return (f"SWN-3.1.4.4-move-{suffix}", f"SWN-3.1.4.4-share-{suffix}", f"SWN-3.1.4.4-ip-{suffix}")


# RESP_ASYNC_NOTIFY


@violates("SWN-2.2.2.4-type-defined", "SWN-3.1.4.4-change-type", near=("SWN-3.1.4.3-no-more-notifications",))
class TypesCountFromZero(Buffers):
    """MessageType counts from 0."""

    @override
    def other(self, kind: PendingKind, notified: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notified, message_type=notified.message_type - 1)


@violates("SWN-3.1.4.4-move-type", near=("SWN-3.1.4.3-no-more-notifications",))
class ClientMoveTypedShareMove(Lists):
    """A client move is called SHARE_MOVE_NOTIFICATION (3)."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        moved = notified.message_type == MessageType.CLIENT_MOVE
        return replace(notified, message_type=MessageType.SHARE_MOVE) if moved else notified


@violates("SWN-3.1.4.4-share-type", "SWN-3.1.4.4-ip-type")
class MovesAllTypedClientMove(Lists):
    """Share moves and IP changes are called CLIENT_MOVE_NOTIFICATION (2)."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notified, message_type=MessageType.CLIENT_MOVE)


@violates("SWN-2.2.2.4-buffer-type", *each_move("buffer"))
class MovesHoldResourceChanges(Lists):
    """The buffer of a move holds a RESOURCE_CHANGE with the destination's address."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        name = next((str(entry.ipv4) for entry in entries_of(notified)), "")
        return replace(notified, message_buffer=encode_buffer([ResourceChange(1, name)]))


@violates("SWN-3.1.4.4-change-buffer")
class ChangesHoldNameOnly(Changes):
    """The buffer of a state change holds nothing but the name."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        names = [item.resource_name for item in notified.decode().items if isinstance(item, ResourceChange)]
        return replace(notified, message_buffer="".join(f"{name}\0" for name in names).encode("utf-16-le"))


@violates("SWN-2.2.2.4-count", "SWN-3.1.4.4-change-count")
class ChangeCountIsZero(Changes):
    """NumberOfMessages of state changes is 0."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notified, number_of_messages=0)


@violates("SWN-3.1.4.4-change-count")
class ChangeCountIsOne(Changes):
    """NumberOfMessages is 1, however many changes are in the buffer."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notified, number_of_messages=1)


@violates("SWN-2.2.2.4-count", *each_move("one-message"))
class MessagesCountAddresses(Lists):
    """NumberOfMessages of a move counts its addresses, and one more."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notified, number_of_messages=1 + len(entries_of(notified)))


@violates("SWN-2.2.2.4-buffer-type", *each_move("buffer"), "SWN-3.1.4.4-change-buffer")
class BufferLongerThanContent(Buffers):
    """Length and buffer are longer than what is in them, as with Samba in NDR64."""

    @override
    def other(self, kind: PendingKind, notified: RespAsyncNotify) -> RespAsyncNotify:
        return replace(notified, message_buffer=(notified.message_buffer or b"") + bytes(8))


@violates("SWN-2.2.2-little-endian")
class BuffersBigEndian(Buffers):
    """The integers in MessageBuffer are big-endian."""

    @override
    def other(self, kind: PendingKind, notified: RespAsyncNotify) -> RespAsyncNotify:
        buffer = notified.message_buffer or b""
        header = 8 if kind == "change" else 12
        swapped = b"".join(buffer[at : at + 4][::-1] for at in range(0, header, 4))
        return replace(notified, message_buffer=swapped + buffer[header:])


@violates("SWN-2.2.2-buffer-packed")
class ChangesAligned(Changes):
    """RESOURCE_CHANGE structures are filled up to a multiple of 8 octets, and their Length says so."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        parts = [encode_buffer([item]) for item in notified.decode().items]
        filled = [part + bytes(-len(part) % 8) for part in parts]
        sized = [len(part).to_bytes(4, "little") + part[4:] for part in filled]
        return replace(notified, message_buffer=b"".join(sized))


@violates("SWN-2.2.2-buffer-packed", "SWN-2.2.2.1-size-24")
class AddressesAligned(Lists):
    """Each IPADDR_INFO is filled up to 32 octets."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        buffer = notified.message_buffer or b""
        entries = b"".join(buffer[at : at + 24] + bytes(8) for at in range(12, len(buffer), 24))
        length = (12 + len(entries)).to_bytes(4, "little")
        return replace(notified, message_buffer=length + buffer[4:12] + entries)


# RESOURCE_CHANGE


@violates("SWN-2.2.2.3-length", "SWN-3.1.4.4-change-length")
class ChangeLengthWithoutTerminator(Changes):
    """Length of a RESOURCE_CHANGE leaves the terminator of the name out."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        sizes = [len(encode_buffer([item])) - 2 for item in notified.decode().items]
        return rewritten(notified, lambda n: {f"[{n}].Length": sizes[n]})


@violates("SWN-2.2.2.3-length", "SWN-3.1.4.4-change-length")
class ChangeLengthWithoutHeader(Changes):
    """Length of a RESOURCE_CHANGE is that of the name alone."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        sizes = [len(encode_buffer([item])) - 8 for item in notified.decode().items]
        return rewritten(notified, lambda n: {f"[{n}].Length": sizes[n]})


@violates("SWN-2.2.2.3-name-terminated")
class ChangeNameUnterminated(Changes):
    """ResourceName has no terminator."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        sizes = [len(encode_buffer([item])) - 2 for item in notified.decode().items]
        return rewritten(
            notified, lambda n: {f"[{n}].ResourceName.terminator": b"", f"[{n}].Length": sizes[n]}
        )


@violates("SWN-2.2.2.3-name-utf16")
class ChangeNameBigEndian(Changes):
    """ResourceName is UTF-16BE."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        names = [item.resource_name for item in notified.decode().items if isinstance(item, ResourceChange)]
        return rewritten(notified, lambda n: {f"[{n}].ResourceName": names[n].encode("utf-16-be")})


@violates("SWN-2.2.2.3-name-utf16")
class ChangeNameAscii(Changes):
    """ResourceName has one octet a character."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        names = [item.resource_name for item in notified.decode().items if isinstance(item, ResourceChange)]
        return rewritten(
            notified,
            lambda n: {f"[{n}].ResourceName": names[n].encode(), f"[{n}].Length": 10 + len(names[n])},
        )


# IPADDR_INFO_LIST


@violates("SWN-2.2.2.2-reserved-zero", "SWN-2.2.2.2-reserved-unused", *each_move("reserved"))
class ReservedNotZero(Lists):
    """Reserved holds what was in memory."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return rewritten(notified, lambda n: {f"[{n}].Reserved": 0xCDCDCDCD})


@violates("SWN-2.2.2.2-length", *each_move("list-length"))
class ListLengthWithoutHeader(Lists):
    """Length of an IPADDR_INFO_LIST is that of its addresses alone."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return rewritten(notified, lambda n: {f"[{n}].Length": 24 * len(entries_of(notified))})


@violates("SWN-2.2.2.2-length", *each_move("list-length"))
class ListLengthOneMore(Lists):
    """Length of an IPADDR_INFO_LIST counts one octet too many."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return rewritten(notified, lambda n: {f"[{n}].Length": 13 + 24 * len(entries_of(notified))})


@violates("SWN-2.2.2.2-instances", *each_move("instances"))
class InstancesOneMore(Lists):
    """IPAddrInstances counts one address too many."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return rewritten(notified, lambda n: {f"[{n}].IPAddrInstances": 1 + len(entries_of(notified))})


@violates("SWN-2.2.2.2-instances", *each_move("instances"))
class InstancesOneLess(Lists):
    """IPAddrInstances counts one address too few."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return rewritten(notified, lambda n: {f"[{n}].IPAddrInstances": len(entries_of(notified)) - 1})


@violates("SWN-2.2.2.2-at-least-one")
class MovesWithoutAddresses(Lists):
    """The list of a move is empty."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(notified, ())


@violates(*each_move("info-copied"))
class OnlyFirstAddressTold(Lists):
    """Of several addresses of a destination only the first is told."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(notified, entries_of(notified)[:1])


# IPADDR_INFO


@violates(*each_move("ipv4-flag"))
class Ipv4FlagMissing(Lists):
    """An IPv4 address is told without IPADDR_V4."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(
            notified, (replace(e, flags=e.flags & ~AddressFlags.V4) for e in entries_of(notified))
        )


@violates("SWN-2.2.2.1-v6-valid", *each_move("ipv6-flag"))
class Ipv6FlagMissing(Lists):
    """An IPv6 address is told without IPADDR_V6."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(
            notified, (replace(e, flags=e.flags & ~AddressFlags.V6) for e in entries_of(notified))
        )


@violates("SWN-2.2.2.1-v4-excludes-v6", "SWN-2.2.2.1-v6-excludes-v4")
class BothAddressFlags(Lists):
    """IPADDR_V4 and IPADDR_V6 are set on every address."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(notified, (replace(e, flags=e.flags | 3) for e in entries_of(notified)))


@violates("SWN-2.2.2.1-ipv4-content", "SWN-2.2.2.1-v4-valid", *each_move("ipv4-value"))
class Ipv4FieldEmpty(Lists):
    """The IPV4 field is always zero."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(notified, (replace(e, ipv4=IPv4Address(0)) for e in entries_of(notified)))


@violates("SWN-2.2.2.1-ipv6-content", *each_move("ipv6-value"))
class Ipv6FieldEmpty(Lists):
    """The IPV6 field is always zero."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(notified, (replace(e, ipv6=IPv6Address(0)) for e in entries_of(notified)))


@violates("SWN-2.2.2.1-address-byte-order")
class ToldIpv4Reversed(Lists):
    """IPV4 is in the byte order of the host."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(
            notified, (replace(e, ipv4=IPv4Address(e.ipv4.packed[::-1])) for e in entries_of(notified))
        )


@violates("SWN-2.2.2.1-ipv6-content")
class ToldIpv6UnitsSwapped(Lists):
    """The 16-bit units of IPV6 are in the byte order of the host."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(notified, (replace(e, ipv6=units_swapped(e.ipv6)) for e in entries_of(notified)))


@violates("SWN-2.2.2.1-flags-defined")
class UndefinedAddressFlag(Lists):
    """Flags carry an undefined bit (0x20)."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(notified, (replace(e, flags=e.flags | 0x20) for e in entries_of(notified)))


@violates("SWN-2.2.2.1-online-offline-exclusive")
class OnlineAndOffline(Responder):
    """An address of a client move is online and offline at once."""

    @override
    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        both = AddressFlags.ONLINE | AddressFlags.OFFLINE
        return both if super().address_state(kind, state) else AddressFlags(0)


@violates("SWN-3.1.4.4-move-online", "SWN-2.2.2.1-online")
class OnlineNeverSet(Responder):
    """The addresses of a client move are never marked online."""

    @override
    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        return super().address_state(kind, state) & ~AddressFlags.ONLINE


@violates("SWN-3.1.4.4-move-offline", "SWN-2.2.2.1-offline")
class OfflineMarkedOnline(Responder):
    """An address that is not available is marked online all the same."""

    @override
    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        return super().address_state(kind, InterfaceState.AVAILABLE)


@violates("SWN-2.2.2.1-online")
class OnlineOnVersion1(Responder):
    """A server of version 1 marks addresses online, too."""

    @override
    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        old = self.options.version == ProtocolVersion.V1
        return AddressFlags.ONLINE if old else super().address_state(kind, state)
