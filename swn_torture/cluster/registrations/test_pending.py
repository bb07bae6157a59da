"""Notifications of events that happen while no AsyncNotify is pending (MS-SWN 3.1.1.3, 3.1.4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, SUCCESS, case
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import ChangeType, MessageType, RegisterFlags
from swn_torture.casekit.rules.notification_rules import has_extra_structure, show_as
from swn_torture.casekit.steps.effects import see_move, wait_until_events_arrive
from swn_torture.casekit.steps.host_nodes import (
    destination,
    destinations,
    make_available,
    make_unavailable,
    other_nodes,
    share_of,
)
from swn_torture.casekit.steps.listeners import (
    Listener,
    answered_when_called_again,
    drain_notifications,
    listen,
    wait_for_notifications,
    wait_quiet_time,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.steps.host_nodes import HostNode
    from swn_torture.casekit.witness import Witness

_MOVES = ("version-2", "move-client", "list-nodes")

TOO_SLOW = "the events took longer than the server keeps an unused registration"

#: More changes than the events of one case can cause.
_MAX_CHANGES = 10


@case(
    "SWN-3.1.1.3-pending-move-latest",
    "SWN-3.1.4.4-immediate-if-pending",
    needs=(*_MOVES, "two-nodes"),
    syntaxes="both",
)
async def test_latest_move_is_returned(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """After two client moves AsyncNotify returns the second one at once; the first is never returned."""
    first, second, *_ = await destinations(witness, cluster, at_least=2)
    address = await witness.address_of(0)
    for version in (1, 2):
        probe = await listen(witness, version=version, ip_address=address)
        fields: dict[str, Any] = {"client_computer_name": probe.name, "ip_address": address}
        listener = await listen(witness, version=version, async_notify=False, **fields)
        for host in (first, second):
            move = cluster.move_client(listener.name, host.node)
            await see_move(cluster, probe, MessageType.CLIENT_MOVE, move)
        if version == 1 or not listener.may_be_gone:
            await check_latest_move(spec, listener, second, f"registration of version {version}")
    if not spec.checks:
        raise NotTestable(TOO_SLOW)


async def check_latest_move(spec: Spec, listener: Listener, host: HostNode, note: str) -> None:
    """Check that AsyncNotify returns the move to a node, and nothing else; not if it expired (AMB-14)."""
    (outcome,) = await wait_for_notifications(listener, timeout=listener.witness.expect.reply_deadline)
    if listener.expired:
        return
    (next_outcome,) = await wait_quiet_time(listener)
    spec("SWN-3.1.4.4-immediate-if-pending").allows(outcome, SUCCESS, note=note)
    spec("SWN-3.1.1.3-pending-move-latest").holds(
        any(set(each.addresses) == set(host.addresses) for each in listener.notifications[:1]),
        expected=f"the addresses of {host.node}, the later destination: {', '.join(host.addresses)}",
        observed=outcome,
        note=note,
    )
    spec("SWN-3.1.1.3-pending-move-latest").allows(
        next_outcome, SILENCE, note=f"the next AsyncNotify, {note}"
    )


@case(
    "SWN-3.1.4.4-unreported-kept",
    "SWN-3.1.4.4-immediate-if-pending",
    needs=(*_MOVES, "any-share", "move-share", "two-nodes"),
    syntaxes="both",
)
async def test_two_kinds_of_move(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """After a client move and a share move AsyncNotify returns both, each of them once."""
    share, address = share_of(witness), await witness.address_of(0)
    host = await destination(witness, cluster, other_than=address)
    # Both orders of events, to distinguish a server that keeps their order from one that sorts by kind.
    kinds = [MessageType.CLIENT_MOVE, MessageType.SHARE_MOVE]
    for order in (kinds, kinds[::-1]):
        probe = await listen(witness, share_name=share, ip_address=address)
        fields: dict[str, Any] = {"client_computer_name": probe.name, "ip_address": address}
        listener = await listen(witness, share_name=share, async_notify=False, **fields)
        for kind in order:
            client_move = kind == MessageType.CLIENT_MOVE
            move = (
                cluster.move_client(listener.name, host.node)
                if client_move
                else cluster.move_share(share, host.node, client=listener.name)
            )
            await see_move(cluster, probe, kind, move)
        if listener.may_be_gone:
            continue
        (outcome,) = await wait_for_notifications(listener, timeout=witness.expect.reply_deadline)
        await drain_notifications(listener)
        spec("SWN-3.1.4.4-immediate-if-pending").allows(outcome, SUCCESS)
        check_each_kind_returned(spec, listener, kinds)
    if not spec.checks:
        raise NotTestable(TOO_SLOW)


@case(
    "SWN-3.1.1.3-pending-changes-list",
    "SWN-3.1.1.4-newstate-kept",
    "SWN-3.1.4.4-change-all-drained",
    "SWN-3.1.4.4-change-count",
    "SWN-3.1.4.4-change-order",
    "SWN-3.1.4.4-immediate-if-pending",
    "SWN-3.1.4.4-unreported-kept",
    "SWN-3.1.6.1-queues-change",
    needs=(*_MOVES, "interface-event", "any-share", "move-share", "two-nodes"),
    disturbs=True,
    lasts=30,
)
async def test_changes_without_a_call(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """AsyncNotify returns earlier state changes in one response, oldest first, and keeps pending moves."""
    (host, *_) = await other_nodes(witness, cluster)
    other = await destination(witness, cluster, other_than=host.addresses[0])
    affected: dict[str, Any] = {"ip_address": host.addresses[0], "async_notify": False}
    changed = [await listen(witness, version=version, **affected) for version in (1, 2)]
    share = share_of(witness)
    moved = await listen(witness, share_name=share, flags=int(RegisterFlags.IP_NOTIFICATION), **affected)
    # Version 1, because the text lets no timer remove such a registration (AMB-14).
    unused = await listen(witness, version=1, **affected)
    with_call = await listen(witness, version=1, ip_address=host.addresses[0])

    await make_unavailable(cluster, host.node)
    await check_change_notified(spec, with_call, ChangeType.UNAVAILABLE)
    await make_available(cluster, host.node)
    await check_change_notified(spec, with_call, ChangeType.AVAILABLE)
    await cluster.move_share(share, other.node, client=moved.name)
    await cluster.move_client(moved.name, other.node)
    if not await wait_until_events_arrive(witness, cluster):
        raise NotTestable("the moves were not seen to take effect")
    if any(listener.may_be_gone for listener in (*changed, moved)):
        raise NotTestable(TOO_SLOW)
    outcomes = await wait_for_notifications(*changed, moved, timeout=witness.expect.reply_deadline)
    await drain_notifications(*changed, moved)

    for version, listener in enumerate(changed, 1):
        check_changes(spec, cluster, listener, f"registration of version {version}")
        spec("SWN-3.1.4.4-immediate-if-pending").allows(outcomes[version - 1], SUCCESS)
    kinds = [MessageType.RESOURCE_CHANGE, MessageType.CLIENT_MOVE, MessageType.SHARE_MOVE]
    check_each_kind_returned(spec, moved, kinds, optional=MessageType.IP_CHANGE)

    with_call = await listen(witness, version=1, ip_address=host.addresses[0])
    await make_unavailable(cluster, host.node)
    await check_change_notified(spec, with_call, ChangeType.UNAVAILABLE)
    if unused.may_be_gone:
        return
    await wait_for_notifications(unused, timeout=witness.expect.reply_deadline)
    await drain_notifications(unused)

    states = unused.states_notified
    spec("SWN-3.1.6.1-queues-change").holds(
        states.count(ChangeType.UNAVAILABLE) > 1,
        expected="UNAVAILABLE, AVAILABLE, UNAVAILABLE",
        observed=" ".join(show_as(ChangeType)(state) for state in states) or unused.outcome,
        note="the interface went down again before the first AsyncNotify",
    )


async def check_change_notified(spec: Spec, listener: Listener, state: ChangeType) -> None:
    """Wait until a registration with a pending AsyncNotify is notified of a state.

    A server that notifies of no change does not follow a SHOULD. The rules about several changes are then not
    tested.

    Raises:
        CaseStopped: no notification came within the event deadline, and none is queued.
    """
    for _ in range(_MAX_CHANGES):
        if state in listener.states_notified:
            return
        (outcome,) = await wait_for_notifications(listener)
        if outcome == SILENCE and not await answered_when_called_again(listener):
            note = f"AsyncNotify pending when the interface became {state.name}"
            spec("SWN-3.1.6.1-queues-change").allows(outcome, SUCCESS, note=note)
            raise spec.stop()
        if outcome != SUCCESS:
            return


def check_changes(spec: Spec, cluster: Controller, listener: Listener, note: str) -> None:
    """Check the notifications of an interface that went down and up before the first AsyncNotify."""
    notifications = listener.notifications_of(MessageType.RESOURCE_CHANGE)
    types = listener.states_notified
    shown = "; ".join(map(str, listener.notifications)) or f"{listener.outcome}"
    spec("SWN-3.1.1.4-newstate-kept").equal(
        types[0] if types else None,
        ChangeType.UNAVAILABLE,
        show=show_as(ChangeType),
        note=f"the first change, {note}",
    )
    spec("SWN-3.1.1.3-pending-changes-list").holds(
        {ChangeType.UNAVAILABLE, ChangeType.AVAILABLE} <= set(types),
        expected="UNAVAILABLE and AVAILABLE, in one response or in several",
        observed=shown,
        note=note,
    )
    order = [ChangeType.UNAVAILABLE, ChangeType.AVAILABLE]
    # Without INTERFACE_STATE the whole node goes out of service, and its address may move to another node and
    # back, which adds changes in between.
    exact = cluster.can(Capability.INTERFACE_STATE)
    spec("SWN-3.1.4.4-change-order").holds(
        types == order if exact else types[:1] + types[-1:] == order,
        expected="UNAVAILABLE, then AVAILABLE",
        observed=shown,
        note=note,
    )
    spec("SWN-3.1.4.4-change-all-drained").holds(
        len(notifications) == 1 and len(types) > 1,
        expected="one response with all changes: NumberOfMessages 2",
        observed=f"{len(notifications)} responses with NumberOfMessages "
        f"{' and '.join(str(notification.number) for notification in listener.notifications)}: {shown}",
        note=note,
    )
    spec("SWN-3.1.4.4-change-count").equal(
        [notification.number for notification in notifications],
        [len(notification.changes) + has_extra_structure(notification) for notification in notifications],
        note=note,
    )


def check_each_kind_returned(
    spec: Spec, listener: Listener, pending: list[MessageType], *, optional: MessageType | None = None
) -> None:
    """Check that each pending kind of event is returned once, or only the last one (AMB-18).

    By one reading of MS-SWN 3.1.4.4 a later kind overwrites the earlier ones in the response.

    Args:
        spec: the checks of the case.
        listener: the registration for which the events were pending.
        pending: the kinds, in the order of MS-SWN 3.1.4.4.
        optional: a kind that may be pending as well; it is the last in that order.
    """
    received = [notification.message_type for notification in listener.notifications]
    runs = [kind for at, kind in enumerate(received) if received[at - 1 : at] != [kind]]
    required = [kind for kind in runs if kind != optional]
    overwritten = received in ([pending[-1]], [optional])
    names = " then ".join(MessageType(kind).name for kind in runs if kind in set(MessageType))
    spec("SWN-3.1.4.4-unreported-kept").holds(
        overwritten or (sorted(required) == sorted(pending) and len(runs) <= len(required) + 1),
        expected=f"a response for each of {', '.join(kind.name for kind in pending)}, in any order",
        observed="; ".join(map(str, listener.notifications)) or listener.outcome,
    )
    spec.choice("AMB-18", f"the last kind overwrites the others: {names}" if overwritten else names)
