"""Checks of the layout of any notification: RESP_ASYNC_NOTIFY, and the structures in its MessageBuffer.

A case that calls ``check_layout`` lists ``*LAYOUT_RULES`` in its mark, and likewise for the other checks.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from swn_torture.casekit.raw.notification import CHANGE_HEADER, ENTRY_SIZE, LIST_HEADER
from swn_torture.casekit.shown import shown
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import IntEnum, IntFlag

    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.raw.notification import AddressList, Change, Entry, Notification
    from swn_torture.casekit.steps.host_nodes import HostNode
    from swn_torture.casekit.steps.listeners import Listener

# Plain integers: the complement of an IntFlag leaves undefined bits out.
_FAMILIES = int(AddressFlags.V4 | AddressFlags.V6)
_STATES = int(AddressFlags.ONLINE | AddressFlags.OFFLINE)
_DEFINED = _FAMILIES | _STATES

LAYOUT_RULES = (
    "SWN-2.2.2.4-layout",
    "SWN-2.2.2.4-type-defined",
    "SWN-2.2.2.4-length",
    "SWN-2.2.2.4-count",
    "SWN-2.2.2.4-buffer-type",
    "SWN-2.2.2-little-endian",
    "SWN-2.2.2-buffer-packed",
)


def check_layout(spec: Spec, notification: Notification, note: str = "") -> None:
    """Check RESP_ASYNC_NOTIFY, and the number and kind of structures in MessageBuffer (MS-SWN 2.2.2.4)."""
    octets = notification.max_count
    buffer = "MessageBuffer is null" if octets is None else f"MessageBuffer of {octets} octets"
    spec("SWN-2.2.2.4-layout").holds(
        notification.max_count is not None
        and not notification.after_return_value
        and notification.result == 0,
        expected="pResp, 3 integers, MessageBuffer with max_count and octets, return value 0, then nothing",
        observed=f"{buffer}, "
        f"return value {notification.result:#x}, {len(notification.after_return_value)} octets after it",
        note=note,
    )
    spec("SWN-2.2.2.4-type-defined").equal(
        notification.message_type, *MessageType, show=show_as(MessageType), note=note
    )
    sizes = [len(structure) for structure in notification.structures]
    check_length(spec, notification, "SWN-2.2.2.4-length", note=note)
    spec("SWN-2.2.2.4-count").holds(
        len(sizes) == notification.number and not has_extra_structure(notification),
        expected=f"NumberOfMessages {len(sizes) + has_extra_structure(notification)}, one for each structure",
        observed=f"NumberOfMessages {notification.number}",
        note=note,
    )
    kind = "RESOURCE_CHANGE" if is_change(notification) else "IPADDR_INFO_LIST"
    spec("SWN-2.2.2.4-buffer-type").holds(
        bool(sizes) and all(structures_fit(notification)) and not notification.after_structures,
        expected=f"complete {kind} structures and nothing else",
        observed=f"{sum(structures_fit(notification))} complete of {len(sizes)}, {_shown_rest(notification)}",
        note=note,
    )
    check_packing(spec, notification, note)


def check_packing(spec: Spec, notification: Notification, note: str = "") -> None:
    """Check that the structures in MessageBuffer are little-endian and packed (MS-SWN 2.2.2).

    This applies in every call, whatever its byte order and transfer syntax.
    """
    heads = " | ".join(structure[:LIST_HEADER].hex(" ") for structure in notification.structures)
    spec("SWN-2.2.2-little-endian").holds(
        bool(notification.structures) and _plausible(notification),
        expected="fields that have plausible values as little-endian integers",
        observed=f"structures that begin with {heads}" if heads else "no structure",
        note=note,
    )
    gaps = [
        f"{structure.hex(' ')}: {len(structure)} octets, its fields take {needed}"
        for structure, needed in zip(notification.structures, _needed(notification), strict=False)
        if len(structure) != needed
    ]
    spec("SWN-2.2.2-buffer-packed").holds(
        not gaps
        and len(_needed(notification)) == len(notification.structures)
        and bool(notification.structures),
        expected="structures that end with their last field and follow each other without gaps",
        observed="; ".join(gaps) or f"{len(notification.structures)} structures without gaps",
        note=note,
    )


def _plausible(notification: Notification) -> bool:
    """Whether each Length is the size of its structure, and ChangeType or IPAddrInstances is possible."""
    lengths = [int.from_bytes(structure[:4], "little") for structure in notification.structures]
    if lengths != [len(structure) for structure in notification.structures]:
        return False
    if is_change(notification):
        return all(change.change_type in {*ChangeType} for change in notification.changes)
    return all(address_list.instances <= len(address_list.entries) for address_list in notification.lists)


def _needed(notification: Notification) -> list[int]:
    """Octets that the fields of each structure take: ResourceName with its null character, or the entries."""
    if is_change(notification):
        units = [len(change.text.encode("utf-16-le", "replace")) // 2 + 1 for change in notification.changes]
        return [CHANGE_HEADER + 2 * count for count in units]
    return [LIST_HEADER + ENTRY_SIZE * address_list.instances for address_list in notification.lists]


def check_length(spec: Spec, notification: Notification, *ids: str, note: str = "") -> None:
    """Check that Length is the size of MessageBuffer, and that its structures fit in (MS-SWN 2.2.2.4).

    Args:
        spec: the checks of the case.
        notification: the notification.
        ids: the requirements to check; several sections require this.
        note: where in the case this was.
    """
    needed, size = sum(map(len, notification.structures)), shown(notification.max_count)
    spec(*ids).holds(
        notification.length == notification.max_count and notification.length >= needed,
        expected=f"the size of MessageBuffer ({size}), {needed} or more for its structures",
        observed=f"Length {notification.length}",
        note=note,
    )


def is_change(notification: Notification) -> bool:
    """Whether it is a RESOURCE_CHANGE; every other message type has a list of addresses."""
    return notification.message_type == MessageType.RESOURCE_CHANGE


def structures_fit(notification: Notification) -> list[bool]:
    """For each structure, whether its octets are exactly one structure of the kind of MessageType."""
    if is_change(notification):
        return [
            change.length == CHANGE_HEADER + len(change.name) and change.name[-2:] == b"\0\0"
            for change in notification.changes
        ]
    return [
        address_list.length == LIST_HEADER + ENTRY_SIZE * address_list.instances
        and address_list.instances == len(address_list.entries)
        for address_list in notification.lists
    ]


def has_extra_structure(notification: Notification) -> bool:
    """Whether the octets after NumberOfMessages structures begin with a possible Length of one more."""
    length = int.from_bytes(notification.after_structures[:4], "little")
    return CHANGE_HEADER < length <= len(notification.after_structures)


def _shown_rest(notification: Notification) -> str:
    shown = f" ({notification.after_structures[:16].hex(' ')})" if notification.after_structures else ""
    return f"{len(notification.after_structures)} octets after the last structure{shown}"


def show_as(kind: type[IntEnum | IntFlag]) -> Callable[[object], str]:
    """A function for ``Rule.equal(show=...)``: shows a number as symbol and value of this enumeration."""
    return lambda value: describe(kind, value) if isinstance(value, int) else shown(value)


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


def check_list(spec: Spec, address_list: AddressList, host: HostNode, note: str = "") -> None:
    """Check an IPADDR_INFO_LIST (MS-SWN 2.2.2.1, 2.2.2.2).

    Args:
        spec: the checks of the case.
        address_list: the list.
        host: the destination. Without IPv4 addresses the rules about them are not judged.
        note: where in the case this was.
    """
    spec("SWN-2.2.2.2-length").equal(
        address_list.length, LIST_HEADER + ENTRY_SIZE * address_list.instances, note=note
    )
    spec("SWN-2.2.2.1-size-24").holds(
        address_list.length - LIST_HEADER == ENTRY_SIZE * address_list.instances,
        expected=f"24 octets for each of {address_list.instances} entries",
        observed=f"{address_list.length - LIST_HEADER} octets of entries",
        note=note,
    )
    spec("SWN-2.2.2.2-reserved-zero", "SWN-2.2.2.2-reserved-unused").equal(
        address_list.reserved, 0, show=lambda value: f"{value:#x}", note=note
    )
    spec("SWN-2.2.2.2-instances").equal(address_list.instances, len(address_list.entries), note=note)
    spec("SWN-2.2.2.2-at-least-one").holds(
        address_list.instances >= 1,
        expected=f"IPAddrInstances 1 or more: {host.node} hosts {len(host.interfaces)} interfaces",
        observed=f"IPAddrInstances {address_list.instances}",
        note=note,
    )
    check_flags(spec, address_list.entries, note)
    expected = {address for address in host.ips if isinstance(address, IPv4Address)}
    valid = [entry for entry in address_list.entries if entry.flags & AddressFlags.V4]
    if not expected and not valid:
        return
    spec("SWN-2.2.2.1-v4-valid").holds(
        all(any(entry.ipv4) for entry in valid),
        expected="an address in IPV4 of each entry with IPADDR_V4",
        observed=_shown(address_list.entries),
        note=note,
    )
    spec("SWN-2.2.2.1-ipv4-content").holds(
        {IPv4Address(entry.ipv4) for entry in valid} == expected,
        expected=f"the IPv4 addresses of {host.node}: {_listed(expected)}",
        observed=_shown(address_list.entries),
        note=note,
    )
    reversed_order = {IPv4Address(entry.ipv4[::-1]) for entry in valid} == expected
    if valid:  # an address that is missing says nothing about the order of octets
        spec("SWN-2.2.2.1-address-byte-order").holds(
            {entry.ipv4 for entry in valid} <= {address.packed for address in expected},
            expected=" or ".join(sorted(address.packed.hex(" ") for address in expected)),
            observed=", ".join(entry.ipv4.hex(" ") for entry in valid),
            note=note,
        )
    spec.choice("AMB-25", "reversed octets" if reversed_order else "network order")


def check_flags(spec: Spec, entries: Iterable[Entry], note: str = "") -> None:
    """Check Flags of every IPADDR_INFO, and record the address fields that they leave unused (2.2.2.1)."""
    flags = [entry.flags for entry in entries]
    shown = ", ".join(describe(AddressFlags, value) for value in flags) or "no entry"
    undefined = [value & ~_DEFINED for value in flags]
    spec("SWN-2.2.2.1-flags-defined").holds(
        not any(undefined), expected="no bits other than 0x1, 0x2, 0x8 and 0x10", observed=shown, note=note
    )
    spec("SWN-B1-undefined-flag-bits").record(f"undefined bits: {', '.join(map(hex, undefined))}", note)
    spec("SWN-2.2.2.1-online-offline-exclusive").holds(
        all(value & _STATES != _STATES for value in flags),
        expected="not both IPADDR_ONLINE and IPADDR_OFFLINE in one entry",
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


def check_families(spec: Spec, address_list: AddressList, host: HostNode, note: str = "") -> None:
    """Check that no entry has both address families. For a dual-stack interface that is a choice (AMB-16)."""
    pairs = {
        (interface.ipv4.packed, interface.ipv6.packed)
        for interface in host.interfaces
        if len(addresses_of(interface)) == 2
    }
    both = [entry for entry in address_list.entries if entry.flags & _FAMILIES == _FAMILIES]
    spec(*FAMILY_RULES).holds(
        all((entry.ipv4, entry.ipv6) in pairs for entry in both),
        expected="one address family in each entry, except for a dual-stack interface",
        observed=_shown(address_list.entries),
        note=note,
    )
    if pairs:
        spec.choice("AMB-16", "one entry with both families" if both else "one entry for each family")


def check_ipv6(spec: Spec, address_list: AddressList, host: HostNode, note: str = "") -> None:
    """Check the entries for a destination that has IPv6 addresses (MS-SWN 2.2.2.1)."""
    expected = {address for address in host.ips if isinstance(address, IPv6Address)}
    valid = [entry for entry in address_list.entries if entry.flags & AddressFlags.V6]
    spec("SWN-2.2.2.1-v6-valid").holds(
        bool(valid) and all(any(entry.ipv6) for entry in valid),
        expected="at least one entry with IPADDR_V6, and an address in IPV6 of each",
        observed=_shown(address_list.entries),
        note=note,
    )
    spec("SWN-2.2.2.1-ipv6-content").holds(
        {IPv6Address(entry.ipv6) for entry in valid} == expected,
        expected=f"the IPv6 addresses of {host.node}: {_listed(expected)}",
        observed=_shown(address_list.entries),
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
    """Check every RESOURCE_CHANGE of a notification (MS-SWN 2.2.2.3).

    Args:
        spec: the checks of the case.
        notification: the notification.
        listener: the registration that it was sent for.
        groups: the InterfaceGroupNames in the interface list.
        note: which notification this is.

    Raises:
        CaseStopped: there is no RESOURCE_CHANGE, which ``check_layout`` has recorded as a failed check.
    """
    if not notification.changes:
        raise spec.stop()
    names = _listed(set(groups))
    for change in notification.changes:
        units = [change.name[at : at + 2] for at in range(0, len(change.name), 2)]
        terminated = bool(units) and units.index(b"\0\0") == len(units) - 1 if b"\0\0" in units else False
        spec("SWN-2.2.2.3-length").equal(
            change.length, CHANGE_HEADER + 2 * (len(change.text.encode("utf-16-le")) // 2 + 1), note=note
        )
        spec("SWN-2.2.2.3-changetype-values").equal(
            change.change_type, *ChangeType, show=show_as(ChangeType), note=note
        )
        spec("SWN-2.2.2.3-name-terminated").holds(
            terminated,
            expected="a name with one null character, at the end of the structure",
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
            name_source(change.text, listener, groups) is not None,
            expected=f"{listener.fields['net_name']}, {listener.address} or InterfaceGroupName {names}",
            observed=change.text,
            note=note,
        )


def is_utf16(change: Change, listener: Listener, groups: Iterable[str]) -> bool:
    """Whether ResourceName decodes as UTF-16LE, to ASCII text or to a name that the client knows.

    In another byte order or encoding, the ASCII names of test clusters decode to other characters.
    """
    try:
        text = change.name.decode("utf-16-le")
    except UnicodeDecodeError:
        return False
    return text.isascii() or name_source(change.text, listener, groups) is not None


def name_source(name: str, listener: Listener, groups: Iterable[str]) -> str | None:
    """Which name known to the client a ResourceName is (MS-SWN 2.2.2.3); None if it is another name."""
    sources = {
        str(listener.fields["net_name"]).casefold(): "the registered NetName",
        listener.address.casefold(): "the registered IpAddress",
    }
    sources |= {group.casefold(): "an InterfaceGroupName" for group in groups}
    return sources.get(name.casefold())
