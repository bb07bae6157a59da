"""AsyncNotify answered with state changes of an interface (MS-SWN 3.1.4.4, 3.1.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.protocol import AddressFlags, ChangeType, MessageType, Win32
from swn_torture.casekit.raw.notification import CHANGE_HEADER
from swn_torture.casekit.rules.notification_rules import check_length, fits, name_form, naming
from swn_torture.casekit.steps.host_nodes import HostNode, bring_up, destinations, host_nodes, take_down
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
    Listener,
    drain_notifications,
    listen,
    wait_for_notifications,
    wait_past,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.raw.notification import Notification
    from swn_torture.casekit.witness import Witness

_CHANGE_RULES = (
    "SWN-3.1.4.4-change-type",
    "SWN-3.1.4.4-change-buffer",
    "SWN-3.1.4.4-change-length",
    "SWN-3.1.4.4-change-name",
    "SWN-3.1.4.4-change-count",
    "SWN-3.1.4.4-change-total-length",
)


@case(
    *_CHANGE_RULES,
    "SWN-3.1.4.4-change-unavailable",
    "SWN-3.1.4.4-change-otherwise-available",
    "SWN-3.1.4.4-processed-removed-changes",
    "SWN-3.1.4.4-search-by-key",
    "SWN-3.1.4.4-move-offline",
    "SWN-2.2.2.1-offline",
    "SWN-3.1.4.2-entry-ipaddress",
    "SWN-3.1.4.5-entry-ipaddress",
    "SWN-3.1.4.2-entry-netname",
    "SWN-3.1.4.5-entry-netname",
    "SWN-3.1.4.2-no-initial-changes",
    "SWN-3.1.4.5-no-initial-changes",
    "SWN-B6-alias-single",
    needs=("version-2", "interface-event", "move-client", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
)
async def test_down_and_up(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An interface that goes down and comes up is told, in that order, to those who registered for it."""
    (host, *_) = await destinations(witness, cluster, other_than=await witness.address_of(0))
    here: dict[str, Any] = {"ip_address": host.addresses[0]}
    groups = {interface.group_name for interface in await witness.interfaces()}
    first, second = [await listen(witness, version=version, **here) for version in (1, 2)]
    elsewhere = [await listen(witness, version=version) for version in (1, 2)]
    alias = await listen_as_alias(witness, second)

    elsewhere_host = await host_of(witness, cluster, elsewhere[0].address)
    await take_down(cluster, host.node)
    await wait_for_notifications(first, second, *alias)
    displaced = await host_of(witness, cluster, elsewhere[0].address) != elsewhere_host

    for version, listener in enumerate((first, second), 1):
        section = f"SWN-3.1.4.{_SECTION[version]}"
        notification = listener.notification(spec, f"{section}-entry-netname", f"{section}-entry-ipaddress")
        spec(f"{section}-entry-netname").equal(
            notification.message_type, MessageType.RESOURCE_CHANGE, show=naming(MessageType)
        )
        note = f"interface down, registration of version {version}"
        check_changes(spec, listener, notification, groups, note)
        spec("SWN-3.1.4.4-change-unavailable").equal(
            notification.changes[0].change_type, ChangeType.UNAVAILABLE, show=naming(ChangeType), note=note
        )
    record_alias(spec, second, alias)

    late = [await listen(witness, version=version, **here) for version in (1, 2)]
    await check_offline(spec, cluster, elsewhere[1], host)
    await drain_notifications(first, second, *late, *elsewhere)
    for listener in (first, second):
        spec("SWN-3.1.4.4-processed-removed-changes").equal(
            listener.states_notified.count(ChangeType.UNAVAILABLE),
            1,
            show=lambda times: f"UNAVAILABLE told {times} times",
            note="AsyncNotify again until nothing comes",
        )
    check_untold(spec, late, "no-initial-changes", "registered while the interface was down already")

    await bring_up(cluster, host.node)
    overdue = [listener.may_be_gone for listener in late]
    outcomes = await wait_for_notifications(*late)

    for version, listener in enumerate(late, 1):
        if version == 1 and overdue[0] and outcomes[0] == returns(Win32.ERROR_NOT_FOUND):
            spec.choice("AMB-14", "a registration of version 1 ends with an AsyncNotify outstanding")
            continue
        notification = listener.notification(spec, "SWN-3.1.4.4-change-otherwise-available")
        note = f"interface up, registration of version {version}"
        check_changes(spec, listener, notification, groups, note)
        spec("SWN-3.1.4.4-change-otherwise-available").equal(
            notification.changes[-1].change_type, ChangeType.AVAILABLE, show=naming(ChangeType), note=note
        )
    displaced |= await host_of(witness, cluster, elsewhere[0].address) != elsewhere_host
    latest = [await listen(witness, version=version, **here) for version in (1, 2)]
    await drain_notifications(*latest, *elsewhere)
    check_untold(spec, latest, "no-initial-changes", "registered after the interface was up again")
    if not displaced:
        check_untold(spec, elsewhere, "entry-ipaddress", f"registered for {elsewhere[0].address}")
        spec("SWN-3.1.4.4-search-by-key").holds(
            not any(listener.states_notified for listener in elsewhere),
            expected="an answer to the calls of the registrations for that address only",
            observed="; ".join(str(n) for listener in elsewhere for n in listener.notified) or "silence",
        )


async def host_of(witness: Witness, cluster: Controller, address: str) -> str | None:
    """The node that hosts an address: a cluster may move others, too, when it loses one."""
    return next((each.node for each in await host_nodes(witness, cluster) if address in each.addresses), None)


#: Where MS-SWN describes the method that registers, by protocol version.
_SECTION = {1: 2, 2: 5}


def check_changes(
    spec: Spec, listener: Listener, notification: Notification, groups: set[str], note: str
) -> None:
    """An answer about state changes is built as 3.1.4.4 has it.

    Raises:
        Stop: it is about something else, or holds no change.
    """
    if not spec("SWN-3.1.4.4-change-type").equal(
        notification.message_type, MessageType.RESOURCE_CHANGE, show=naming(MessageType), note=note
    ):
        raise spec.stop()
    spec("SWN-3.1.4.4-change-buffer").holds(
        bool(notification.changes) and all(fits(notification)) and not notification.slack,
        expected="RESOURCE_CHANGE structures and nothing after them",
        observed=f"{sum(fits(notification))} whole ones, then {len(notification.slack)} octets",
        note=note,
    )
    spec("SWN-3.1.4.4-change-count").holds(
        notification.number == len(notification.changes) > 0,
        expected="NumberOfMessages is the number of changes in the buffer, 1 at least",
        observed=f"{notification.number}, with {len(notification.changes)} changes and {len(notification.slack)} octets more",
        note=note,
    )
    if not notification.changes:
        raise spec.stop()
    check_length(spec, notification, "SWN-3.1.4.4-change-total-length", note=note)
    for change in notification.changes:
        spec("SWN-3.1.4.4-change-length").equal(
            change.length, CHANGE_HEADER + 2 * (len(change.text) + 1), note=note
        )
        form = name_form(change.text, listener, groups)
        spec("SWN-3.1.4.4-change-name").holds(
            form is not None,
            expected=f"{listener.fields['net_name']}, {listener.address} or one of {', '.join(groups)}",
            observed=change.text,
            note=note,
        )
        spec.choice("AMB-11", form)


def check_untold(spec: Spec, listeners: list[Listener], slug: str, note: str) -> None:
    """Registrations of either version, in this order, that are told no state change."""
    for version, listener in enumerate(listeners, 1):
        spec(f"SWN-3.1.4.{_SECTION[version]}-{slug}").holds(
            not listener.states_notified,
            expected="no RESOURCE_CHANGE",
            observed="; ".join(map(str, listener.notified)) or listener.outcome,
            note=f"version {version}, {note}",
        )


async def check_offline(spec: Spec, cluster: Controller, listener: Listener, host: HostNode) -> None:
    """A move to an address that is down lists it as offline, if it lists it at all (AMB-19)."""
    await cluster.move_client(listener.name, host.addresses[0])
    outcome = await wait_past(
        listener, MessageType.RESOURCE_CHANGE, timeout=listener.witness.expect.quiet_time
    )
    moves = listener.notifications_of(MessageType.CLIENT_MOVE)
    if not moves or not moves[-1].entries:
        spec.choice("AMB-19", f"a move to an UNAVAILABLE interface: {outcome}")
        return
    notification = moves[-1]
    spec.choice("AMB-19", "a move to an UNAVAILABLE interface lists it")
    spec("SWN-3.1.4.4-move-offline", "SWN-2.2.2.1-offline").holds(
        all(entry.flags & AddressFlags.OFFLINE for entry in notification.entries),
        expected="IPADDR_OFFLINE (0x10), the interface being UNAVAILABLE",
        observed=notification,
    )


async def listen_as_alias(witness: Witness, original: Listener) -> list[Listener]:
    """The same registration under the cluster's qualified name, if it knows itself by that (AMB-32)."""
    fields = {**original.fields, "net_name": f"{witness.net_name}.swn.test".lower()}
    client = await witness.connect()
    outcome = await outcome_of(client.start(witness.registration_ex(**fields)))
    if outcome != SUCCESS:
        return []
    listener = Listener(witness, client, outcome.response.context, fields)
    listener.ask()
    return [listener]


def record_alias(spec: Spec, original: Listener, alias: list[Listener]) -> None:
    """How many of two registrations under two names for the same cluster were told."""
    if not alias:
        spec("SWN-B6-alias-single").record("the cluster knows no qualified name of itself")
        return
    notified = [listener.fields["net_name"] for listener in (original, *alias) if listener.notified]
    spec("SWN-B6-alias-single").record(f"told: {', '.join(notified)}")
    spec.choice("AMB-32", "each registration is told" if len(notified) == 2 else "one for both names")


@case(
    "SWN-3.1.4.4-change-otherwise-available",
    needs=("version-2", "unknown-state", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=10,
)
async def test_unknown_state(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A new state of UNKNOWN is told as AVAILABLE or as UNKNOWN, never as UNAVAILABLE."""
    (host, *_) = await destinations(witness, cluster, other_than=await witness.address_of(0))
    listener = await listen(witness, ip_address=host.addresses[0])

    await cluster.set_interface_unknown(host.node)
    await wait_for_notifications(listener)

    notification = listener.notification(spec, "SWN-3.1.4.4-change-otherwise-available")
    spec("SWN-3.1.4.4-change-otherwise-available").equal(
        notification.changes[0].change_type if notification.changes else None,
        ChangeType.AVAILABLE,
        ChangeType.UNKNOWN,
        show=naming(ChangeType),
    )
    spec.choice(
        "AMB-13",
        naming(ChangeType)(notification.changes[0].change_type) if notification.changes else notification,
    )
