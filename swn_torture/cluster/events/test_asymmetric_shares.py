"""Asymmetric shares: clients follow the node that owns the share (MS-SWN 3.1.6.3).

When the owner changes, the event is for every client on the share, wherever it registered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SUCCESS, case
from swn_torture.casekit.known import NotTestable
from swn_torture.casekit.protocol import MessageType
from swn_torture.casekit.rules.move_rules import check_move, move_rules
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.host_nodes import destination, share_of
from swn_torture.casekit.steps.listeners import drain_notifications, listen, wait_or_move_client

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness


async def asymmetric_share(witness: Witness, cluster: Controller) -> str:
    """The name of an asymmetric share, by the list of the cluster itself.

    Raises:
        NotTestable: the cluster has none.
    """
    known = {share.name.casefold(): share.name for share in witness.expect.shares}
    for share in await cluster.shares():
        if share.asymmetric:
            return known.get(share.name.casefold(), share.name)
    raise NotTestable("the cluster lists no asymmetric share")


@case(
    "SWN-3.1.6.3-match",
    "SWN-3.1.6.3-wake",
    "SWN-3.1.4.5-entry-sharename",
    *move_rules("share"),
    needs=("version-2", "shares", "any-share", "move-share", "move-client", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=5,
)
async def test_move_of_the_owner(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Move an asymmetric share: every client registered for it is notified, on all nodes, and no other."""
    share = await asymmetric_share(witness, cluster)
    on_share = {
        f"client {client}, registered with {witness.nodes[node].name}": await listen(
            witness, await witness.connect(node), share_name=share
        )
        for client, node in enumerate((0, 0, 1), 1)
    }
    others = {"ShareName NULL": await listen(witness), "version 1": await listen(witness, version=1)}
    if len(witness.expect.shares) > 1:
        others["another share"] = await listen(witness, share_name=share_of(witness, share))
    one, *_ = on_share.values()
    host = await destination(witness, cluster, other_than=one.address)
    # Some servers send SHARE_MOVE at once to every registration for a share (AMB-33); do not count that.
    await drain_notifications(*on_share.values(), *others.values())
    before = {listener: len(listener.notifications) for listener in (*on_share.values(), *others.values())}

    sent = await cluster.move_share(share, host.node, not_for=[each.key for each in others.values()])
    for note, listener in on_share.items():
        outcome = await wait_or_move_client(spec, cluster, listener, MessageType.SHARE_MOVE, host)
        spec("SWN-3.1.6.3-wake", "SWN-3.1.6.3-match").allows(outcome, SUCCESS, note=note)
    await drain_notifications(*others.values())

    for what, listener in others.items():
        received = listener.notifications[before[listener] :]
        check_not_notified(
            spec("SWN-3.1.6.3-match", "SWN-3.1.4.5-entry-sharename"),
            sent,
            listener,
            notified=any(each.message_type == MessageType.SHARE_MOVE for each in received),
            expected="no SHARE_MOVE",
            observed="; ".join(map(str, received)) or listener.outcome,
            note=f"registration with {what}",
        )
    for note, listener in on_share.items():
        notification = listener.notification(spec, "SWN-3.1.6.3-wake", note=note)
        spec("SWN-3.1.6.3-match").equal(
            notification.message_type, MessageType.SHARE_MOVE, show=show_as(MessageType), note=note
        )
        check_move(spec, "share", notification, host)
