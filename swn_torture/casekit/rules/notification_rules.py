"""The rules that every notification obeys, whatever it tells: the frame, and the structures in its buffer.

Each ``*_RULES`` tuple belongs into the mark of a case that calls the function of that name.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from swn_torture.casekit.raw.notification import CHANGE_HEADER, ENTRY_SIZE, LIST_HEADER
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import IntEnum, IntFlag

    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.raw.notification import AddressList, Change, Entry, Notification
    from swn_torture.casekit.steps.host_nodes import HostNode
    from swn_torture.casekit.steps.listeners import Listener

# Plain numbers: the complement of an IntFlag knows no undefined bits.
_FAMILIES = int(AddressFlags.V4 | AddressFlags.V6)
_STATES = int(AddressFlags.ONLINE | AddressFlags.OFFLINE)
_DEFINED = _FAMILIES | _STATES

FRAME_RULES = (
    "SWN-2.2.2.4-layout",
    "SWN-2.2.2.4-type-defined",
    "SWN-2.2.2.4-length",
    "SWN-2.2.2.4-count",
    "SWN-2.2.2.4-buffer-type",
    "SWN-2.2.2-little-endian",
    "SWN-2.2.2-buffer-packed",
)


def check_frame(spec: Spec, notification: Notification, note: str = "") -> None:
    """RESP_ASYNC_NOTIFY around whatever it carries (MS-SWN 2.2.2.4)."""
    spec("SWN-2.2.2.4-layout").holds(
        notification.max_count is not None and not notification.excess and notification.result == 0,
        expected="pResp, three integers, MessageBuffer with its count and octets, the return value, no more",
        observed=f"{'no buffer' if notification.max_count is None else f'a buffer of {notification.max_count} octets'}, "
        f"return value {notification.result:#x}, {len(notification.excess)} octets after it",
        note=note,
    )
    spec("SWN-2.2.2.4-type-defined").equal(
        notification.message_type, *MessageType, show=naming(MessageType), note=note
    )
    sizes = [len(structure) for structure in notification.structures]
    check_length(spec, notification, "SWN-2.2.2.4-length", note=note)
    spec("SWN-2.2.2.4-count").holds(
        len(sizes) == notification.number and not begins_another(notification),
        expected=f"NumberOfMessages {len(sizes) + begins_another(notification)}, as many as there are structures",
        observed=f"NumberOfMessages {notification.number}",
        note=note,
    )
    kind = "RESOURCE_CHANGE" if is_change(notification) else "IPADDR_INFO_LIST"
    spec("SWN-2.2.2.4-buffer-type").holds(
        bool(sizes) and all(fits(notification)) and not notification.slack,
        expected=f"nothing but whole {kind} structures",
        observed=f"{sum(fits(notification))} whole ones of {len(sizes)}, {_slack(notification)}",
        note=note,
    )
    check_packing(spec, notification, note)


def check_packing(spec: Spec, notification: Notification, note: str = "") -> None:
    """The structures in the buffer are little-endian and without gaps (MS-SWN 2.2.2), whoever asked."""
    heads = " | ".join(structure[:LIST_HEADER].hex(" ") for structure in notification.structures)
    spec("SWN-2.2.2-little-endian").holds(
        bool(notification.structures) and _sensible(notification),
        expected="numbers that make sense from their least significant octet on",
        observed=f"the structures begin with {heads or 'nothing'}",
        note=note,
    )
    gaps = [
        f"{structure.hex(' ')} has room for {len(structure) - needed} octets more than its fields take"
        for structure, needed in zip(notification.structures, _needed(notification), strict=False)
        if len(structure) != needed
    ]
    spec("SWN-2.2.2-buffer-packed").holds(
        not gaps
        and len(_needed(notification)) == len(notification.structures)
        and bool(notification.structures),
        expected="structures that end with their last field, each right behind the one before",
        observed="; ".join(gaps) or f"{len(notification.structures)} structures, no gap",
        note=note,
    )


def _sensible(notification: Notification) -> bool:
    """Whether each Length is that of its structure, and the number beside it is a type or a count."""
    lengths = [int.from_bytes(structure[:4], "little") for structure in notification.structures]
    if lengths != [len(structure) for structure in notification.structures]:
        return False
    if is_change(notification):
        return all(change.change_type in {*ChangeType} for change in notification.changes)
    return all(notified.instances <= len(notified.entries) for notified in notification.lists)


def _needed(notification: Notification) -> list[int]:
    """What each structure takes by its content: a name with its terminator, or so many entries."""
    if is_change(notification):
        units = [len(change.text.encode("utf-16-le", "replace")) // 2 + 1 for change in notification.changes]
        return [CHANGE_HEADER + 2 * count for count in units]
    return [LIST_HEADER + ENTRY_SIZE * notified.instances for notified in notification.lists]


def check_length(spec: Spec, notification: Notification, *ids: str, note: str = "") -> None:
    """RESP_ASYNC_NOTIFY.Length is the size of MessageBuffer, which has room for what it is to hold."""
    needed = sum(map(len, notification.structures))
    spec(*ids).holds(
        notification.length == notification.max_count and notification.length >= needed,
        expected=f"the {notification.max_count} octets of MessageBuffer, {needed} of them for its structures",
        observed=f"Length {notification.length}",
        note=note,
    )


def is_change(notification: Notification) -> bool:
    """Whether it is about state changes; all other kinds list addresses."""
    return notification.message_type == MessageType.RESOURCE_CHANGE


def fits(notification: Notification) -> list[bool]:
    """For each structure, whether its octets are just one of the kind that MessageType announces."""
    if is_change(notification):
        return [
            change.length == CHANGE_HEADER + len(change.name) and change.name[-2:] == b"\0\0"
            for change in notification.changes
        ]
    return [
        notified.length == LIST_HEADER + ENTRY_SIZE * notified.instances
        and notified.instances == len(notified.entries)
        for notified in notification.lists
    ]


def begins_another(notification: Notification) -> bool:
    """Whether what follows the announced structures begins like one more."""
    length = int.from_bytes(notification.slack[:4], "little")
    return CHANGE_HEADER < length <= len(notification.slack)


def _slack(notification: Notification) -> str:
    shown = f" ({notification.slack[:16].hex(' ')})" if notification.slack else ""
    return f"{len(notification.slack)} octets after the last structure{shown}"


def naming(kind: type[IntEnum | IntFlag]) -> Callable[[object], str]:
    """What shows a number by its name in a report."""
    return lambda value: describe(kind, value) if isinstance(value, int) else repr(value)


# Address lists
# ----------------------------------------------------------------------------------------------------------

LIST_RULES = (
    "SWN-2.2.2.1-size-24",
    "SWN-2.2.2.1-flags-defined",
    "SWN-2.2.2.1-v4-valid",
    "SWN-2.2.2.1-online-offline-exclusive",
    "SWN-2.2.2.1-ipv4-content",
    "SWN-2.2.2.1-address-byte-order",
    "SWN-2.2.2.1-unused-address-zero",
    "SWN-2.2.2.2-length",
    "SWN-2.2.2.2-reserved-unused",
    "SWN-2.2.2.2-reserved-zero",
    "SWN-2.2.2.2-instances",
    "SWN-2.2.2.2-at-least-one",
    "SWN-B1-undefined-flag-bits",
)


def check_list(spec: Spec, notified: AddressList, host: HostNode, note: str = "") -> None:
    """An IPADDR_INFO_LIST about a destination that has IPv4 addresses (MS-SWN 2.2.2.1, 2.2.2.2)."""
    spec("SWN-2.2.2.2-length").equal(
        notified.length, LIST_HEADER + ENTRY_SIZE * notified.instances, note=note
    )
    spec("SWN-2.2.2.1-size-24").holds(
        notified.length - LIST_HEADER == ENTRY_SIZE * notified.instances,
        expected=f"24 octets for each of {notified.instances} entries",
        observed=f"{notified.length - LIST_HEADER} octets of entries",
        note=note,
    )
    spec("SWN-2.2.2.2-reserved-zero", "SWN-2.2.2.2-reserved-unused").equal(
        notified.reserved, 0, show=lambda value: f"{value:#x}", note=note
    )
    spec("SWN-2.2.2.2-instances").equal(notified.instances, len(notified.entries), note=note)
    spec("SWN-2.2.2.2-at-least-one").holds(
        notified.instances >= 1,
        expected=f"an entry at least: {host.node} has {len(host.interfaces)} interfaces",
        observed=f"IPAddrInstances {notified.instances}",
        note=note,
    )
    check_flags(spec, notified.entries, note)
    expected = {address for address in host.ips if isinstance(address, IPv4Address)}
    valid = [entry for entry in notified.entries if entry.flags & AddressFlags.V4]
    spec("SWN-2.2.2.1-v4-valid").holds(
        all(any(entry.ipv4) for entry in valid),
        expected="an address in IPV4 wherever IPADDR_V4 is set",
        observed=_shown(notified.entries),
        note=note,
    )
    spec("SWN-2.2.2.1-ipv4-content").holds(
        {IPv4Address(entry.ipv4) for entry in valid} == expected,
        expected=f"the IPv4 addresses of {host.node}: {_listed(expected)}",
        observed=_shown(notified.entries),
        note=note,
    )
    reversed_order = {IPv4Address(entry.ipv4[::-1]) for entry in valid} == expected
    spec("SWN-2.2.2.1-address-byte-order").holds(
        {entry.ipv4 for entry in valid} == {address.packed for address in expected},
        expected=" or ".join(sorted(address.packed.hex(" ") for address in expected)),
        observed=", ".join(entry.ipv4.hex(" ") for entry in valid) or "no IPv4 address",
        note=note,
    )
    spec.choice("AMB-25", "reversed octets" if reversed_order else "network order")


def check_flags(spec: Spec, entries: Iterable[Entry], note: str = "") -> None:
    """Flags of every IPADDR_INFO, and the field that they leave unused (MS-SWN 2.2.2.1)."""
    flags = [entry.flags for entry in entries]
    shown = ", ".join(describe(AddressFlags, value) for value in flags) or "no entry"
    undefined = [value & ~_DEFINED for value in flags]
    spec("SWN-2.2.2.1-flags-defined").holds(
        not any(undefined), expected="no bits but 0x1, 0x2, 0x8 and 0x10", observed=shown, note=note
    )
    spec("SWN-B1-undefined-flag-bits").record(f"undefined bits: {', '.join(map(hex, undefined))}", note)
    spec("SWN-2.2.2.1-online-offline-exclusive").holds(
        all(value & _STATES != _STATES for value in flags),
        expected="IPADDR_ONLINE or IPADDR_OFFLINE, never both in one entry",
        observed=shown,
        note=note,
    )
    unused = [
        field.hex(" ")
        for entry in entries
        for bit, field in ((AddressFlags.V4, entry.ipv4), (AddressFlags.V6, entry.ipv6))
        if not entry.flags & bit
    ]
    spec("SWN-2.2.2.1-unused-address-zero").record(f"unused fields: {'; '.join(unused) or 'none'}", note)


FAMILY_RULES = ("SWN-2.2.2.1-v4-excludes-v6", "SWN-2.2.2.1-v6-excludes-v4")
IPV6_RULES = ("SWN-2.2.2.1-v6-valid", "SWN-2.2.2.1-ipv6-content")


def check_families(spec: Spec, notified: AddressList, host: HostNode, note: str = "") -> None:
    """No entry has both families, but for one about a dual-stack interface, which is a choice (AMB-16)."""
    pairs = {
        (interface.ipv4.packed, interface.ipv6.packed)
        for interface in host.interfaces
        if len(addresses_of(interface)) == 2
    }
    both = [entry for entry in notified.entries if entry.flags & _FAMILIES == _FAMILIES]
    spec(*FAMILY_RULES).holds(
        all((entry.ipv4, entry.ipv6) in pairs for entry in both),
        expected="one address family in an entry, unless it is about a dual-stack interface",
        observed=_shown(notified.entries),
        note=note,
    )
    if pairs:
        spec.choice("AMB-16", "one entry with both families" if both else "an entry for each family")


def check_ipv6(spec: Spec, notified: AddressList, host: HostNode, note: str = "") -> None:
    """The entries about a destination that has IPv6 addresses."""
    expected = {address for address in host.ips if isinstance(address, IPv6Address)}
    valid = [entry for entry in notified.entries if entry.flags & AddressFlags.V6]
    spec("SWN-2.2.2.1-v6-valid").holds(
        bool(valid) and all(any(entry.ipv6) for entry in valid),
        expected="an address in IPV6 wherever IPADDR_V6 is set, and that in one entry at least",
        observed=_shown(notified.entries),
        note=note,
    )
    spec("SWN-2.2.2.1-ipv6-content").holds(
        {IPv6Address(entry.ipv6) for entry in valid} == expected,
        expected=f"the IPv6 addresses of {host.node}: {_listed(expected)}",
        observed=_shown(notified.entries),
        note=note,
    )


def _listed(addresses: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, addresses))) or "none"


def _shown(entries: Iterable[Entry]) -> str:
    return "; ".join(map(str, entries)) or "no entry"


# State changes
# ----------------------------------------------------------------------------------------------------------

CHANGE_RULES = (
    "SWN-2.2.2.3-length",
    "SWN-2.2.2.3-changetype-values",
    "SWN-2.2.2.3-name-terminated",
    "SWN-2.2.2.3-name-utf16",
    "SWN-2.2.2.3-name-source",
)


def check_changes(
    spec: Spec, notification: Notification, listener: Listener, groups: Iterable[str], note: str = ""
) -> None:
    """Every RESOURCE_CHANGE of a notification (MS-SWN 2.2.2.3).

    Args:
        law: the law of the case.
        notice: the notification.
        listener: the registration it was for.
        groups: the InterfaceGroupNames of the interface list.
        note: which answer this is.

    Raises:
        Stop: there is none, which `check_frame` has put down.
    """
    if not notification.changes:
        raise spec.stop()
    for change in notification.changes:
        units = [change.name[at : at + 2] for at in range(0, len(change.name), 2)]
        terminated = bool(units) and units.index(b"\0\0") == len(units) - 1 if b"\0\0" in units else False
        spec("SWN-2.2.2.3-length").equal(
            change.length, CHANGE_HEADER + 2 * (len(change.text.encode("utf-16-le")) // 2 + 1), note=note
        )
        spec("SWN-2.2.2.3-changetype-values").equal(
            change.change_type, *ChangeType, show=naming(ChangeType), note=note
        )
        spec("SWN-2.2.2.3-name-terminated").holds(
            terminated,
            expected="a name that ends, within Length, with its first null character",
            observed=change.name.hex(" "),
            note=note,
        )
        spec("SWN-2.2.2.3-name-utf16").holds(
            is_utf16(change, listener, groups),
            expected="a name in UTF-16LE",
            observed=change.name.hex(" "),
            note=note,
        )
        spec("SWN-2.2.2.3-name-source").holds(
            name_form(change.text, listener, groups) is not None,
            expected=f"{listener.fields['net_name']}, {listener.address}, or a group: {_listed(set(groups))}",
            observed=change.text,
            note=note,
        )


def is_utf16(change: Change, listener: Listener, groups: Iterable[str]) -> bool:
    """Whether a name decodes as UTF-16LE to something known or, as all names of a test are, in ASCII."""
    try:
        text = change.name.decode("utf-16-le")
    except UnicodeDecodeError:
        return False
    return text.isascii() or name_form(change.text, listener, groups) is not None


def name_form(name: str, listener: Listener, groups: Iterable[str]) -> str | None:
    """Which of the names a client knows a ResourceName is (MS-SWN 2.2.2.3), or None for none of them."""
    forms = {
        str(listener.fields["net_name"]).casefold(): "the registered NetName",
        listener.address.casefold(): "the registered IpAddress",
    }
    forms |= {group.casefold(): "an InterfaceGroupName" for group in groups}
    return forms.get(name.casefold())
