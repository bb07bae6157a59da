"""What 3.1.4.4 says of the answers that list addresses: the same for client moves, share moves, IP changes.

The rules of the three kinds have ids that differ in one word, so that a case names its kind and no more::

    @case(*move_rules("move"), needs=...)
    async def test_answer(...):
        ...
        check_move(law, "move", listener.notice(law, "SWN-3.1.4.4-move-type"), home)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from swn_torture.casekit.raw.notification import ENTRY_SIZE, LIST_HEADER, AddressList
from swn_torture.casekit.rules.notification_rules import check_length, fits, naming
from swn_torture.witness.constants import AddressFlags, MessageType

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Rule, Spec
    from swn_torture.casekit.raw.notification import Notification
    from swn_torture.casekit.steps.host_nodes import HostNode

Kind = Literal["move", "share", "ip"]

_TYPES: dict[Kind, MessageType] = {
    "move": MessageType.CLIENT_MOVE,
    "share": MessageType.SHARE_MOVE,
    "ip": MessageType.IP_CHANGE,
}
_RULES = (
    "type",
    "buffer",
    "reserved",
    "instances",
    "info-copied",
    "list-length",
    "one-message",
    "total-length",
)
_IPV4 = ("ipv4-value", "ipv4-flag")
_IPV6 = ("ipv6-value", "ipv6-flag")
SUCCESS_RULES = ("SWN-3.1.4.4-returns-success", "SWN-3.1.4.4-success-code")


def move_rules(kind: Kind, *, ipv6: bool = False) -> tuple[str, ...]:
    """The ids that `check_move` decides; with ``ipv6`` those that `check_move_to_ipv6` does."""
    slugs = ("type", *_IPV6) if ipv6 else (*_RULES, *_IPV4)
    return tuple(f"SWN-3.1.4.4-{kind}-{slug}" for slug in slugs)


def check_type(spec: Spec, kind: Kind, notification: Notification) -> None:
    """The answer is of the kind of the event. One of another kind ends the case.

    Raises:
        Stop: it is not.
    """
    if not spec(f"SWN-3.1.4.4-{kind}-type").equal(
        notification.message_type, _TYPES[kind], show=naming(MessageType), note=str(notification)
    ):
        raise spec.stop()


def check_move(spec: Spec, kind: Kind, notification: Notification, host: HostNode) -> AddressList:
    """The answer about a destination that has IPv4 addresses; returns its list.

    Raises:
        Stop: there is none.
    """

    def rule(slug: str) -> Rule:
        return spec(f"SWN-3.1.4.4-{kind}-{slug}")

    check_type(spec, kind, notification)
    rule("one-message").equal(notification.number, 1)
    rule("buffer").holds(
        fits(notification) == [True] and not notification.slack,
        expected="one IPADDR_INFO_LIST and nothing after it",
        observed=f"{sum(fits(notification))} whole lists, then {len(notification.slack)} octets",
    )
    check_length(spec, notification, f"SWN-3.1.4.4-{kind}-total-length")
    if not notification.lists:
        raise spec.stop()
    notified = notification.lists[0]
    rule("list-length").equal(notified.length, LIST_HEADER + ENTRY_SIZE * notified.instances)
    rule("reserved").equal(notified.reserved, 0)
    # One entry for each interface; two for one with both families, if the server keeps them apart (AMB-16).
    rule("instances").equal(notified.instances, *dict.fromkeys((len(host.interfaces), len(host.ips))))
    rule("instances").equal(
        notified.instances, len(notified.entries), note="entries that Length has room for"
    )
    rule("info-copied").holds(
        set(notification.addresses) == set(host.addresses),
        expected=f"the addresses of {host.node}: {', '.join(host.addresses)}",
        observed=notified,
    )
    _check_family(spec, kind, notified, host, AddressFlags.V4)
    return notified


def check_move_to_ipv6(spec: Spec, kind: Kind, notification: Notification, host: HostNode) -> None:
    """The entries about a destination that has IPv6 addresses."""
    check_type(spec, kind, notification)
    notified = notification.lists[0] if notification.lists else AddressList(0, 0, 0, (), b"")
    _check_family(spec, kind, notified, host, AddressFlags.V6)


def _check_family(
    spec: Spec, kind: Kind, notified: AddressList, host: HostNode, family: AddressFlags
) -> None:
    """Each address of a family stands in the field for it, and the flag says so."""
    name, bit = ("IPv4", "ipv4") if family is AddressFlags.V4 else ("IPv6", "ipv6")
    expected = {address.packed for address in host.ips if name[-1] == str(address.version)}
    fields = {
        (entry.ipv4 if family is AddressFlags.V4 else entry.ipv6): entry.flags for entry in notified.entries
    }
    spec(f"SWN-3.1.4.4-{kind}-{bit}-value").holds(
        expected <= fields.keys(),
        expected=f"in {name.upper()}: {' and '.join(sorted(octets.hex(' ') for octets in expected))}",
        observed=notified,
    )
    spec(f"SWN-3.1.4.4-{kind}-{bit}-flag").holds(
        all(flags & family for octets, flags in fields.items() if octets in expected),
        expected=f"IPADDR_{name[-2:].upper()} with every {name} address",
        observed=notified,
    )
