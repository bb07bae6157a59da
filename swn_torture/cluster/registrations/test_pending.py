"""What is pending while no AsyncNotify is outstanding, and how it is told then (MS-SWN 3.1.1.3, 3.1.4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, case
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import ChangeType, MessageType, RegisterFlags
from swn_torture.casekit.rules.notification_rules import begins_another, naming
from swn_torture.casekit.steps.host_nodes import bring_up, destination, destinations, share_of, take_down
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
    Listener,
    drain_notifications,
    listen,
    wait_for_notifications,
    wait_quiet_time,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

_MOVES = ("version-2", "move-client", "list-nodes")


@case(
    "SWN-3.1.1.3-pending-move-latest",
    "SWN-3.1.4.4-immediate-if-pending",
    needs=(*_MOVES, "two-nodes"),
    syntaxes="both",
)
async def test_latest_move_wins(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Of two moves before the call the second is told, at once, and the first never."""
    first, second, *_ = await destinations(witness, cluster, at_least=2)
    address = await witness.address_of(0)
    listeners = [await listen(witness, version=version, asks=False, ip_address=address) for version in (1, 2)]

    for listener in listeners:
        await cluster.move_client(listener.name, first.node)
        await cluster.move_client(listener.name, second.node)
    at_once = await wait_for_notifications(*listeners, timeout=witness.expect.reply_deadline)
    afterwards = await wait_quiet_time(*listeners)

    for listener, outcome, later in zip(listeners, at_once, afterwards, strict=True):
        note = f"registration of version {1 if listener is listeners[0] else 2}"
        spec("SWN-3.1.4.4-immediate-if-pending").allows(outcome, SUCCESS, note=note)
        spec("SWN-3.1.1.3-pending-move-latest").holds(
            outcome == SUCCESS and set(listener.notified[0].addresses) == set(second.addresses),
            expected=f"the addresses of {second.node}, the later one: {', '.join(second.addresses)}",
            observed=outcome,
            note=note,
        )
        spec("SWN-3.1.1.3-pending-move-latest").allows(later, SILENCE, note=f"the next AsyncNotify, {note}")


@case(
    "SWN-3.1.4.4-unreported-kept",
    "SWN-3.1.4.4-immediate-if-pending",
    needs=(*_MOVES, "any-share", "move-share", "two-nodes"),
    syntaxes="both",
)
async def test_two_kinds_of_move(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client move and a share move that are both pending are both told, each once."""
    share, address = share_of(witness), await witness.address_of(0)
    host = await destination(witness, cluster, other_than=address)
    listeners = [
        await listen(witness, asks=False, share_name=share, ip_address=address) for _ in ("client", "share")
    ]

    # Both orders of events, lest one who tells in the order of events be taken for one who sorts.
    await cluster.move_client(listeners[0].name, host.node)
    for listener in listeners:
        await cluster.move_share(share, host.node, client=listener.name)
    await cluster.move_client(listeners[1].name, host.node)
    at_once = await wait_for_notifications(*listeners, timeout=witness.expect.reply_deadline)
    await drain_notifications(*listeners)

    for listener, outcome in zip(listeners, at_once, strict=True):
        spec("SWN-3.1.4.4-immediate-if-pending").allows(outcome, SUCCESS)
        check_kept(spec, listener, [MessageType.CLIENT_MOVE, MessageType.SHARE_MOVE])


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
    """State changes before the call are told in one answer, oldest first; a move pending, too, is kept."""
    host = await destination(witness, cluster, other_than=await witness.address_of(0))
    other = await destination(witness, cluster, other_than=host.addresses[0])
    here: dict[str, Any] = {"ip_address": host.addresses[0], "asks": False}
    changed = [await listen(witness, version=version, **here) for version in (1, 2)]
    share = share_of(witness)
    moved = await listen(witness, share_name=share, flags=int(RegisterFlags.IP_NOTIFICATION), **here)
    # Of version 1, since those need not be used now and then to live (AMB-14).
    patient = await listen(witness, version=1, **here)

    await take_down(cluster, host.node)
    await bring_up(cluster, host.node)
    await cluster.move_share(share, other.node, client=moved.name)
    await cluster.move_client(moved.name, other.node)
    if any(listener.may_be_gone for listener in (*changed, moved)):
        raise NotTestable("the cluster took so long that a registration nobody uses may be gone")
    at_once = await wait_for_notifications(*changed, moved, timeout=witness.expect.reply_deadline)
    await drain_notifications(*changed, moved)

    for version, listener in enumerate(changed, 1):
        check_changes(spec, cluster, listener, f"registration of version {version}")
        spec("SWN-3.1.4.4-immediate-if-pending").allows(at_once[version - 1], SUCCESS)
    kinds = [MessageType.RESOURCE_CHANGE, MessageType.CLIENT_MOVE, MessageType.SHARE_MOVE]
    check_kept(spec, moved, kinds, perhaps=MessageType.IP_CHANGE)

    await take_down(cluster, host.node)
    if patient.may_be_gone:
        return
    await drain_notifications(patient)

    states = patient.states_notified
    spec("SWN-3.1.6.1-queues-change").holds(
        states.count(ChangeType.UNAVAILABLE) > 1,
        expected="UNAVAILABLE, AVAILABLE, UNAVAILABLE",
        observed=" ".join(naming(ChangeType)(state) for state in states) or patient.outcome,
        note="the interface went down again before the first call",
    )


def check_changes(spec: Spec, cluster: Controller, listener: Listener, note: str) -> None:
    """An interface went down and came up again before the first call."""
    answers = [
        notification.changes for notification in listener.notifications_of(MessageType.RESOURCE_CHANGE)
    ]
    types = listener.states_notified
    shown = "; ".join(map(str, listener.notified)) or f"{listener.outcome}"
    spec("SWN-3.1.1.4-newstate-kept").equal(
        types[0] if types else None, ChangeType.UNAVAILABLE, show=naming(ChangeType), note=f"first, {note}"
    )
    spec("SWN-3.1.1.3-pending-changes-list").holds(
        {ChangeType.UNAVAILABLE, ChangeType.AVAILABLE} <= set(types),
        expected="UNAVAILABLE and AVAILABLE, in one answer or in several",
        observed=shown,
        note=note,
    )
    order = [ChangeType.UNAVAILABLE, ChangeType.AVAILABLE]
    # Where a node is taken out of service as a whole, its address may go to another one and come back.
    once = cluster.can(Capability.INTERFACE_STATE)
    spec("SWN-3.1.4.4-change-order").holds(
        types == order if once else types[:1] + types[-1:] == order,
        expected="UNAVAILABLE, then AVAILABLE",
        observed=shown,
        note=note,
    )
    spec("SWN-3.1.4.4-change-all-drained").holds(
        len(answers) == 1 and len(types) > 1,
        expected="one answer with all changes: NumberOfMessages 2",
        observed=f"{len(answers)} answers with NumberOfMessages "
        f"{' and '.join(str(notification.number) for notification in listener.notified)}: {shown}",
        note=note,
    )
    notified = listener.notifications_of(MessageType.RESOURCE_CHANGE)
    spec("SWN-3.1.4.4-change-count").equal(
        [notification.number for notification in notified],
        [len(notification.changes) + begins_another(notification) for notification in notified],
        note=note,
    )


def check_kept(
    spec: Spec, listener: Listener, pending: list[MessageType], *, perhaps: MessageType | None = None
) -> None:
    """Each kind that was pending is told, once; or, as the text can be read, the last one alone (AMB-18).

    Args:
        law: the law of the case.
        listener: who was to be told.
        pending: the kinds, in the order of 3.1.4.4.
        perhaps: a kind that may have been pending, too; it would be the last.
    """
    notified = [notification.message_type for notification in listener.notified]
    runs = [kind for at, kind in enumerate(notified) if notified[at - 1 : at] != [kind]]
    sure = [kind for kind in runs if kind != perhaps]
    overwritten = notified in ([pending[-1]], [perhaps])
    names = " then ".join(MessageType(kind).name for kind in runs if kind in set(MessageType))
    spec("SWN-3.1.4.4-unreported-kept").holds(
        overwritten or (sorted(sure) == sorted(pending) and len(runs) <= len(sure) + 1),
        expected=f"each of {', '.join(kind.name for kind in pending)} in one answer, in any order",
        observed="; ".join(map(str, listener.notified)) or listener.outcome,
    )
    spec.choice("AMB-18", f"the last kind overwrites the others: {names}" if overwritten else names)
