"""Share moves: the AsyncNotify response with SHARE_MOVE_NOTIFICATION (MS-SWN 3.1.4.4, 3.1.6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SUCCESS, case
from swn_torture.casekit.protocol import AddressFlags, MessageType
from swn_torture.casekit.rules.move_rules import SUCCESS_RULES, check_move, check_move_to_ipv6, move_rules
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.host_nodes import address_elsewhere, destination, destinations, share_of
from swn_torture.casekit.steps.listeners import (
    Listener,
    drain_notifications,
    listen,
    wait_or_move_client,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

_NEEDS = ("version-2", "any-share", "move-share", "move-client", "list-nodes", "two-nodes")


@case(
    *SUCCESS_RULES,
    *move_rules("share"),
    "SWN-3.1.4.4-wakes-on-share-move",
    "SWN-3.1.4.5-share-flag-true",
    needs=_NEEDS,
    syntaxes="both",
)
async def test_answer(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A share move completes the pending AsyncNotify with the addresses of the destination node."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share)
    candidates = await destinations(witness, cluster, other_than=listener.address)
    host = max(candidates, key=lambda each: len(each.addresses))

    await cluster.move_share(share, host.node, client=listener.name)
    outcome = await wait_or_move_client(spec, cluster, listener, MessageType.SHARE_MOVE, host)

    spec("SWN-3.1.4.4-wakes-on-share-move").allows(outcome, SUCCESS)
    if outcome.kind == "result":
        spec(*SUCCESS_RULES).allows(outcome, SUCCESS)
    notification = listener.notification(spec, "SWN-3.1.4.5-share-flag-true")
    spec("SWN-3.1.4.5-share-flag-true").equal(
        notification.message_type, MessageType.SHARE_MOVE, show=show_as(MessageType)
    )
    address_list = check_move(spec, "share", notification, host)
    flags = sorted({entry.flags & AddressFlags(0x1B) for entry in address_list.entries})
    spec.choice("AMB-15", f"share move: {', '.join(map(show_as(AddressFlags), flags))}")


@case(*move_rules("share", ipv6=True), needs=_NEEDS, syntaxes="both")
async def test_ipv6(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A share move to a node with IPv6 addresses returns them in the IPV6 field."""
    share = share_of(witness)
    host = await destination(witness, cluster, ipv6=True)
    address = await address_elsewhere(witness, host)
    listener = await listen(witness, share_name=share, ip_address=address)

    await cluster.move_share(share, host.node, client=listener.name)
    await wait_or_move_client(spec, cluster, listener, MessageType.SHARE_MOVE, host)

    check_move_to_ipv6(spec, "share", listener.notification(spec, "SWN-3.1.4.4-share-type"), host)


@case(
    "SWN-3.1.4.5-entry-sharename",
    "SWN-3.1.4.5-share-flag-false",
    "SWN-3.1.4.5-entry-client-version",
    "SWN-3.1.4.4-share-needs-v2-client",
    "SWN-3.1.4.2-v2-client-version",
    "SWN-3.1.4.2-v2-no-share-notification",
    "SWN-3.1.4.4-processed-removed-share",
    needs=_NEEDS,
)
async def test_notified_registrations(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A share move notifies the client's registration for that share once, and no other registration."""
    share, name, address = share_of(witness), witness.client_name(), await witness.address_of(0)
    of_client: dict[str, Any] = {"client_computer_name": name, "ip_address": address}
    affected = await listen(witness, share_name=share, **of_client)
    version_1 = await listen(witness, version=1, **of_client)
    without_share = await listen(witness, **of_client)
    other_client = await listen(witness, share_name=share, ip_address=address)
    other_share = [
        await listen(witness, share_name=share_of(witness, share), **of_client)
        for _ in witness.expect.shares[1:2]
    ]
    host = await destination(witness, cluster, other_than=address)

    others = (version_1, without_share, *other_share, other_client)
    sent = await cluster.move_share(share, host.node, client=name, not_for=[other.key for other in others])
    same_client = (version_1, without_share, *other_share)
    await wait_or_move_client(spec, cluster, affected, MessageType.SHARE_MOVE, host, *same_client)
    notification = affected.notification(
        spec, "SWN-3.1.4.5-entry-client-version", "SWN-3.1.4.5-entry-sharename"
    )
    spec("SWN-3.1.4.5-entry-client-version", "SWN-3.1.4.5-entry-sharename").equal(
        notification.message_type,
        MessageType.SHARE_MOVE,
        show=show_as(MessageType),
        note=f"registration of version 2 for {share}",
    )

    await drain_notifications(affected, *others)

    spec("SWN-3.1.4.4-processed-removed-share").equal(
        len(affected.notifications_of(MessageType.SHARE_MOVE)),
        1,
        show=_number,
        note="AsyncNotify repeated until it stays pending",
    )

    def check_none(listener: Listener, note: str, *ids: str) -> None:
        received = len(listener.notifications_of(MessageType.SHARE_MOVE))
        check_not_notified(
            spec(*ids),
            sent,
            listener,
            notified=received > 0,
            expected=_number(0),
            observed=_number(received),
            note=note,
        )

    check_none(
        version_1,
        "registration of version 1 with the same ClientComputerName",
        "SWN-3.1.4.4-share-needs-v2-client",
        "SWN-3.1.4.2-v2-client-version",
        "SWN-3.1.4.2-v2-no-share-notification",
        "SWN-3.1.4.5-entry-client-version",
    )
    check_none(without_share, "registration with ShareName NULL", "SWN-3.1.4.5-share-flag-false")
    for listener in other_share:
        note = f"registration for {listener.fields['share_name']}, not {share}"
        check_none(listener, note, "SWN-3.1.4.5-entry-sharename")
    check_none(other_client, "registration of another client", "SWN-3.1.4.5-entry-sharename")


def _number(number: object) -> str:
    return f"{number} SHARE_MOVE notifications"
