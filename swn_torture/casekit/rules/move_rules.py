"""Checks of client moves, share moves and IP changes: each contains one list of addresses (MS-SWN 3.1.4.4).

The requirements of the three kinds are the same, under ids of their own. A case names its kind::

    @case(*move_rules("move"), needs=("move-client",))
    async def test_notification(witness: Witness, spec: Spec, cluster: Controller) -> None:
        ...
        notification = listener.notification(spec, "SWN-3.1.4.4-move-type")
        check_move(spec, "move", notification, host)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from swn_torture.casekit.raw.notification import ENTRY_SIZE, LIST_HEADER, AddressList
from swn_torture.casekit.rules.notification_rules import check_length, show_as, structures_fit
from swn_torture.witness.constants import AddressFlags, MessageType

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.raw.notification import Notification
    from swn_torture.casekit.steps.host_nodes import HostNode

Kind = Literal["move", "share", "ip"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """The MessageType of one kind, and the ids of its requirements."""

    message_type: MessageType
    type: str
    buffer: str
    reserved: str
    instances: str
    info_copied: str
    list_length: str
    one_message: str
    total_length: str
    ipv4_value: str
    ipv4_flag: str
    ipv6_value: str
    ipv6_flag: str


# Whole ids, so that a search for one finds it here.
_KINDS: dict[Kind, _Kind] = {
    "move": _Kind(
        message_type=MessageType.CLIENT_MOVE,
        type="SWN-3.1.4.4-move-type",
        buffer="SWN-3.1.4.4-move-buffer",
        reserved="SWN-3.1.4.4-move-reserved",
        instances="SWN-3.1.4.4-move-instances",
        info_copied="SWN-3.1.4.4-move-info-copied",
        list_length="SWN-3.1.4.4-move-list-length",
        one_message="SWN-3.1.4.4-move-one-message",
        total_length="SWN-3.1.4.4-move-total-length",
        ipv4_value="SWN-3.1.4.4-move-ipv4-value",
        ipv4_flag="SWN-3.1.4.4-move-ipv4-flag",
        ipv6_value="SWN-3.1.4.4-move-ipv6-value",
        ipv6_flag="SWN-3.1.4.4-move-ipv6-flag",
    ),
    "share": _Kind(
        message_type=MessageType.SHARE_MOVE,
        type="SWN-3.1.4.4-share-type",
        buffer="SWN-3.1.4.4-share-buffer",
        reserved="SWN-3.1.4.4-share-reserved",
        instances="SWN-3.1.4.4-share-instances",
        info_copied="SWN-3.1.4.4-share-info-copied",
        list_length="SWN-3.1.4.4-share-list-length",
        one_message="SWN-3.1.4.4-share-one-message",
        total_length="SWN-3.1.4.4-share-total-length",
        ipv4_value="SWN-3.1.4.4-share-ipv4-value",
        ipv4_flag="SWN-3.1.4.4-share-ipv4-flag",
        ipv6_value="SWN-3.1.4.4-share-ipv6-value",
        ipv6_flag="SWN-3.1.4.4-share-ipv6-flag",
    ),
    "ip": _Kind(
        message_type=MessageType.IP_CHANGE,
        type="SWN-3.1.4.4-ip-type",
        buffer="SWN-3.1.4.4-ip-buffer",
        reserved="SWN-3.1.4.4-ip-reserved",
        instances="SWN-3.1.4.4-ip-instances",
        info_copied="SWN-3.1.4.4-ip-info-copied",
        list_length="SWN-3.1.4.4-ip-list-length",
        one_message="SWN-3.1.4.4-ip-one-message",
        total_length="SWN-3.1.4.4-ip-total-length",
        ipv4_value="SWN-3.1.4.4-ip-ipv4-value",
        ipv4_flag="SWN-3.1.4.4-ip-ipv4-flag",
        ipv6_value="SWN-3.1.4.4-ip-ipv6-value",
        ipv6_flag="SWN-3.1.4.4-ip-ipv6-flag",
    ),
}

#: The requirements that every notification of a move meets by its return value.
SUCCESS_RULES = ("SWN-3.1.4.4-returns-success", "SWN-3.1.4.4-success-code")


def move_rules(kind: Kind, *, ipv6: bool = False) -> tuple[str, ...]:
    """The ids that ``check_move`` checks; with ``ipv6`` those that ``check_move_to_ipv6`` checks."""
    ids = _KINDS[kind]
    if ipv6:
        return (ids.type, ids.ipv6_value, ids.ipv6_flag)
    return (
        ids.type,
        ids.buffer,
        ids.reserved,
        ids.instances,
        ids.info_copied,
        ids.list_length,
        ids.one_message,
        ids.total_length,
        ids.ipv4_value,
        ids.ipv4_flag,
    )


def check_type(spec: Spec, kind: Kind, notification: Notification) -> None:
    """Check that MessageType is that of the event.

    Raises:
        CaseStopped: it is another one.
    """
    if not spec(_KINDS[kind].type).equal(
        notification.message_type,
        _KINDS[kind].message_type,
        show=show_as(MessageType),
        note=str(notification),
    ):
        raise spec.stop()


def check_move(spec: Spec, kind: Kind, notification: Notification, host: HostNode) -> AddressList:
    """Check the notification of a move; returns its list.

    Args:
        spec: the checks of the case.
        kind: client move, share move or IP change.
        notification: the notification.
        host: the destination.

    Raises:
        CaseStopped: MessageType is another one, or there is no list.
    """
    ids = _KINDS[kind]
    check_type(spec, kind, notification)
    spec(ids.one_message).equal(notification.number, 1)
    complete = structures_fit(notification)
    lists = f"{sum(complete)} complete {'list' if sum(complete) == 1 else 'lists'}"
    spec(ids.buffer).holds(
        complete == [True] and not notification.after_structures,
        expected="one IPADDR_INFO_LIST and nothing after it",
        observed=f"{lists}, then {len(notification.after_structures)} octets",
    )
    check_length(spec, notification, ids.total_length)
    if not notification.lists:
        raise spec.stop()
    addresses = notification.lists[0]
    spec(ids.list_length).equal(addresses.length, LIST_HEADER + ENTRY_SIZE * addresses.instances)
    spec(ids.reserved).equal(addresses.reserved, 0)
    # One entry for each interface; two for a dual-stack interface, if the server lists its addresses one by
    # one (AMB-16).
    spec(ids.instances).equal(addresses.instances, *dict.fromkeys((len(host.interfaces), len(host.ips))))
    spec(ids.instances).equal(
        addresses.instances, len(addresses.entries), note="the number of entries that the structure has"
    )
    spec(ids.info_copied).holds(
        set(notification.addresses) == set(host.addresses),
        expected=f"the addresses of {host.node}: {', '.join(host.addresses)}",
        observed=addresses,
    )
    _check_family(spec, (ids.ipv4_value, ids.ipv4_flag), addresses, host, AddressFlags.V4)
    return addresses


def check_move_to_ipv6(spec: Spec, kind: Kind, notification: Notification, host: HostNode) -> None:
    """Check MessageType and the entries of a move to a destination that has IPv6 addresses.

    Args:
        spec: the checks of the case.
        kind: client move, share move or IP change.
        notification: the notification.
        host: the destination.

    Raises:
        CaseStopped: MessageType is another one.
    """
    ids = _KINDS[kind]
    check_type(spec, kind, notification)
    addresses = notification.lists[0] if notification.lists else AddressList(0, 0, 0, (), b"")
    _check_family(spec, (ids.ipv6_value, ids.ipv6_flag), addresses, host, AddressFlags.V6)


def _check_family(
    spec: Spec, ids: tuple[str, str], addresses: AddressList, host: HostNode, family: AddressFlags
) -> None:
    """Check that each address of a family is in the field for it, and that its flag is set.

    ``ids`` are the requirements on the field and on the flag.
    """
    name = "IPv4" if family is AddressFlags.V4 else "IPv6"
    expected = {address.packed for address in host.ips if name[-1] == str(address.version)}
    if not expected:
        return
    fields = {
        (entry.ipv4 if family is AddressFlags.V4 else entry.ipv6): entry.flags for entry in addresses.entries
    }
    spec(ids[0]).holds(
        expected <= fields.keys(),
        expected=f"in {name.upper()}: {' and '.join(sorted(octets.hex(' ') for octets in expected))}",
        observed=addresses,
    )
    spec(ids[1]).holds(
        all(flags & family for octets, flags in fields.items() if octets in expected),
        expected=f"IPADDR_{name[-2:].upper()} with every {name} address",
        observed=addresses,
    )
