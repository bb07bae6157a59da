"""State changes: the AsyncNotify response with RESOURCE_CHANGE_NOTIFICATION (MS-SWN 3.1.4.4, 3.1.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.protocol import AddressFlags, ChangeType, MessageType
from swn_torture.casekit.raw.notification import CHANGE_HEADER
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import check_length, name_source, show_as, structures_fit
from swn_torture.casekit.steps.effects import ClusterWatch, wait_until_events_arrive
from swn_torture.casekit.steps.host_nodes import (
    HostNode,
    interface_event,
    make_available,
    make_unavailable,
    other_nodes,
    unaffected_address,
)
from swn_torture.casekit.steps.listeners import (
    Listener,
    drain_notifications,
    listen,
    wait_for_notifications,
    wait_past,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller, Stimulus
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

# Rules that exist for Register and for RegisterEx, in this order.
_NET_NAME_RULES = ("SWN-3.1.4.2-entry-netname", "SWN-3.1.4.5-entry-netname")
_ADDRESS_RULES = ("SWN-3.1.4.2-entry-ipaddress", "SWN-3.1.4.5-entry-ipaddress")
_INITIAL_RULES = ("SWN-3.1.4.2-no-initial-changes", "SWN-3.1.4.5-no-initial-changes")


@case(
    *_CHANGE_RULES,
    *_NET_NAME_RULES,
    *_ADDRESS_RULES,
    *_INITIAL_RULES,
    "SWN-3.1.4.4-change-unavailable",
    "SWN-3.1.4.4-change-otherwise-available",
    "SWN-3.1.4.4-processed-removed-changes",
    "SWN-3.1.4.4-search-by-key",
    "SWN-3.1.4.4-move-offline",
    "SWN-2.2.2.1-offline",
    "SWN-B6-alias-single",
    needs=("version-2", "interface-event", "move-client", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
)
async def test_down_and_up(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An interface goes down and up: registrations for its address get UNAVAILABLE and AVAILABLE."""
    (host, *_) = await other_nodes(witness, cluster)
    affected: dict[str, Any] = {"ip_address": host.addresses[0]}
    groups = {interface.group_name for interface in await witness.interfaces()}
    first, second = [await listen(witness, version=version, **affected) for version in (1, 2)]
    other_address = await unaffected_address(witness, host)
    unaffected = [
        await listen(witness, version=version, ip_address=other_address)
        for version in (1, 2)
        if other_address
    ]
    alias = await listen_as_alias(witness, second)

    sent = interface_event(cluster)
    async with ClusterWatch(cluster) as going_down:
        await make_unavailable(cluster, host.node)
        await wait_for_notifications(first, second, *alias)

    if all(listener.outcome == SILENCE for listener in (first, second, *alias)):
        raise spec.precondition_failed(
            "SWN-3.1.6.1-queues-change",
            expected=str(SUCCESS),
            observed=SILENCE,
            note=f"AsyncNotify of every registration for {first.address}, which became UNAVAILABLE",
        )
    for version, listener in enumerate((first, second), 1):
        net_name_rule, address_rule = _NET_NAME_RULES[version - 1], _ADDRESS_RULES[version - 1]
        notification = listener.notification(spec, net_name_rule, address_rule)
        spec(net_name_rule).equal(
            notification.message_type, MessageType.RESOURCE_CHANGE, show=show_as(MessageType)
        )
        note = f"interface down, registration of version {version}"
        check_changes(spec, listener, notification, groups, note)
        spec("SWN-3.1.4.4-change-unavailable").equal(
            notification.changes[0].change_type, ChangeType.UNAVAILABLE, show=show_as(ChangeType), note=note
        )
    record_alias(spec, second, alias)

    async with ClusterWatch(cluster) as down:
        while_down = [await listen(witness, version=version, **affected) for version in (1, 2)]
        await check_offline(witness, spec, cluster, host)
        await drain_notifications(first, second, *while_down, *unaffected)
    for listener in (first, second):
        spec("SWN-3.1.4.4-processed-removed-changes").equal(
            listener.states_notified.count(ChangeType.UNAVAILABLE),
            1,
            show=lambda times: f"{times} notifications of UNAVAILABLE",
            note="AsyncNotify repeated until it stays pending",
        )
    # Another node may take over the address of a node that is out of service.
    if host.addresses[0] not in down.touched:
        check_no_changes(spec, sent, while_down, _INITIAL_RULES, "registered while the interface was down")

    async with ClusterWatch(cluster) as going_up:
        await make_available(cluster, host.node)
        await wait_for_notifications(*while_down)
        for version, listener in enumerate(while_down, 1):
            if version == 1 and listener.expired:
                spec.choice("AMB-14", "a registration of version 1 ends while its AsyncNotify is pending")
                continue
            notification = listener.notification(spec, "SWN-3.1.4.4-change-otherwise-available")
            note = f"interface up, registration of version {version}"
            check_changes(spec, listener, notification, groups, note)
            spec("SWN-3.1.4.4-change-otherwise-available").equal(
                notification.changes[-1].change_type,
                ChangeType.AVAILABLE,
                show=show_as(ChangeType),
                note=note,
            )
        after_up = [await listen(witness, version=version, **affected) for version in (1, 2)]
        await drain_notifications(*after_up, *unaffected)
    check_no_changes(spec, sent, after_up, _INITIAL_RULES, "registered after the interface was up again")
    touched = going_down.touched | down.touched | going_up.touched
    if unaffected and other_address not in touched:
        check_no_changes(spec, sent, unaffected, _ADDRESS_RULES, f"registered for {other_address}")
        spec("SWN-3.1.4.4-search-by-key").holds(
            not any(listener.states_notified for listener in unaffected),
            expected="RESOURCE_CHANGE only for registrations with the address of the interface",
            observed="; ".join(str(each) for listener in unaffected for each in listener.notifications)
            or "no notification",
            note=f"the event was sent {sent.how}",
        )


def check_changes(
    spec: Spec, listener: Listener, notification: Notification, groups: set[str], note: str
) -> None:
    """Check the response that reports state changes against MS-SWN 3.1.4.4.

    Raises:
        CaseStopped: its MessageType is not RESOURCE_CHANGE, or it holds no change.
    """
    if not spec("SWN-3.1.4.4-change-type").equal(
        notification.message_type, MessageType.RESOURCE_CHANGE, show=show_as(MessageType), note=note
    ):
        raise spec.stop()
    complete, rest = sum(structures_fit(notification)), len(notification.after_structures)
    spec("SWN-3.1.4.4-change-buffer").holds(
        bool(notification.changes) and all(structures_fit(notification)) and not rest,
        expected="RESOURCE_CHANGE structures and nothing after them",
        observed=f"{complete} complete structures, then {rest} octets",
        note=note,
    )
    number = len(notification.changes)
    spec("SWN-3.1.4.4-change-count").holds(
        notification.number == number > 0,
        expected="NumberOfMessages is the number of changes in the buffer, at least 1",
        observed=f"NumberOfMessages {notification.number}; {number} changes, then {rest} octets",
        note=note,
    )
    if not notification.changes:
        raise spec.stop()
    check_length(spec, notification, "SWN-3.1.4.4-change-total-length", note=note)
    for change in notification.changes:
        spec("SWN-3.1.4.4-change-length").equal(
            change.length, CHANGE_HEADER + 2 * (len(change.text) + 1), note=note
        )
        source = name_source(change.text, listener, groups)
        spec("SWN-3.1.4.4-change-name").holds(
            source is not None,
            expected=f"{listener.fields['net_name']}, {listener.address} or one of {', '.join(groups)}",
            observed=change.text,
            note=note,
        )
        spec.choice("AMB-11", source)


def check_no_changes(
    spec: Spec, sent: Stimulus, listeners: list[Listener], rules: tuple[str, str], note: str
) -> None:
    """Check that two registrations, of version 1 and of version 2, get no RESOURCE_CHANGE."""
    for version, (listener, rule) in enumerate(zip(listeners, rules, strict=True), 1):
        check_not_notified(
            spec(rule),
            sent,
            listener,
            notified=bool(listener.states_notified),
            expected="no RESOURCE_CHANGE",
            note=f"version {version}, {note}",
        )


async def check_offline(witness: Witness, spec: Spec, cluster: Controller, host: HostNode) -> None:
    """Check that a client move to an UNAVAILABLE address lists it with OFFLINE, if at all (AMB-19)."""
    listener = await listen(witness)
    await cluster.move_client(listener.name, host.addresses[0])
    await wait_until_events_arrive(witness, cluster)
    outcome = await wait_past(listener, MessageType.RESOURCE_CHANGE, timeout=witness.expect.quiet_time)
    moves = listener.notifications_of(MessageType.CLIENT_MOVE)
    if not moves or not moves[-1].entries:
        spec.choice("AMB-19", f"a move to an UNAVAILABLE interface: {outcome}")
        return
    notification = moves[-1]
    spec.choice("AMB-19", "a move to an UNAVAILABLE interface lists it")
    spec("SWN-3.1.4.4-move-offline", "SWN-2.2.2.1-offline").holds(
        all(entry.flags & AddressFlags.OFFLINE for entry in notification.entries),
        expected="IPADDR_OFFLINE (0x10), because the interface is UNAVAILABLE",
        observed=notification,
    )


async def listen_as_alias(witness: Witness, original: Listener) -> list[Listener]:
    """Repeat a registration under the qualified name of the cluster; empty if that is rejected (AMB-32)."""
    fields = {**original.fields, "net_name": f"{witness.net_name}.swn.test".lower()}
    client = await witness.connect()
    outcome = await outcome_of(client.start(witness.registration_ex(**fields)))
    if outcome != SUCCESS:
        return []
    listener = Listener(witness, client, outcome.response.context, fields)
    listener.async_notify()
    return [listener]


def record_alias(spec: Spec, original: Listener, alias: list[Listener]) -> None:
    """Record which of two registrations, under two names of one cluster, the server notified."""
    if not alias:
        spec("SWN-B6-alias-single").record("the cluster accepts no qualified NetName")
        return
    notified = [listener.fields["net_name"] for listener in (original, *alias) if listener.notifications]
    spec("SWN-B6-alias-single").record(f"notified: {', '.join(notified)}")
    spec.choice(
        "AMB-32",
        "each registration is notified" if len(notified) == 2 else "one notification for both names",
    )


@case(
    "SWN-3.1.4.4-change-otherwise-available",
    needs=("version-2", "unknown-state", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=10,
)
async def test_unknown_state(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An interface whose state becomes UNKNOWN is notified as AVAILABLE or UNKNOWN, not UNAVAILABLE."""
    (host, *_) = await other_nodes(witness, cluster)
    listener = await listen(witness, ip_address=host.addresses[0])

    await cluster.set_interface_unknown(host.node)
    await wait_for_notifications(listener)

    notification = listener.notification(spec, "SWN-3.1.4.4-change-otherwise-available")
    spec("SWN-3.1.4.4-change-otherwise-available").equal(
        notification.changes[0].change_type if notification.changes else None,
        ChangeType.AVAILABLE,
        ChangeType.UNKNOWN,
        show=show_as(ChangeType),
    )
    spec.choice(
        "AMB-13",
        show_as(ChangeType)(notification.changes[0].change_type) if notification.changes else notification,
    )
