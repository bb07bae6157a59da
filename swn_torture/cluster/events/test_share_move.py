"""AsyncNotify answered with a share move (MS-SWN 3.1.4.4, 3.1.6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import case
from swn_torture.casekit.protocol import AddressFlags, MessageType
from swn_torture.casekit.rules.move_rules import SUCCESS_RULES, check_move, check_move_to_ipv6, move_rules
from swn_torture.casekit.rules.notification_rules import naming
from swn_torture.casekit.steps.host_nodes import destination, destinations, share_of
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
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
    """A client that registered for a share is told the addresses of the node that the share moves to."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share)
    there = await destinations(witness, cluster, other_than=listener.address)
    host = max(there, key=lambda each: len(each.addresses))

    await cluster.move_share(share, host.node, client=listener.name)
    outcome = await wait_or_move_client(spec, cluster, listener, MessageType.SHARE_MOVE, host)

    spec(*SUCCESS_RULES, "SWN-3.1.4.4-wakes-on-share-move").allows(outcome, SUCCESS)
    notification = listener.notification(spec, "SWN-3.1.4.5-share-flag-true")
    spec("SWN-3.1.4.5-share-flag-true").equal(
        notification.message_type, MessageType.SHARE_MOVE, show=naming(MessageType)
    )
    notified = check_move(spec, "share", notification, host)
    flags = sorted({entry.flags & AddressFlags(0x1B) for entry in notified.entries})
    spec.choice("AMB-15", f"share move: {', '.join(map(naming(AddressFlags), flags))}")


@case(*move_rules("share", ipv6=True), needs=_NEEDS, syntaxes="both")
async def test_ipv6(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A share move to a node with IPv6 addresses is answered with these in IPV6."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share)
    host = await destination(witness, cluster, other_than=listener.address, ipv6=True)

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
async def test_who_is_told(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A share move is told once, to the registrations of the client for that share, and to no other."""
    share, name, address = share_of(witness), witness.client_name(), await witness.address_of(0)
    mine: dict[str, Any] = {"client_computer_name": name, "ip_address": address}
    notified = await listen(witness, share_name=share, **mine)
    version_1_server = await listen(witness, version=1, **mine)
    without_share = await listen(witness, **mine)
    of_another = await listen(witness, share_name=share, ip_address=address)
    other_share = await listen(witness, share_name=share_of(witness, share), **mine)
    host = await destination(witness, cluster, other_than=address)

    await cluster.move_share(share, host.node, client=name)
    same_client = (version_1_server, without_share, other_share)
    await wait_or_move_client(spec, cluster, notified, MessageType.SHARE_MOVE, host, *same_client)
    waited = notified.notification(spec, "SWN-3.1.4.5-entry-client-version", "SWN-3.1.4.5-entry-sharename")
    spec("SWN-3.1.4.5-entry-client-version").equal(
        waited.message_type,
        MessageType.SHARE_MOVE,
        show=naming(MessageType),
        note="registration of version 2",
    )

    await drain_notifications(notified, version_1_server, without_share, of_another, other_share)

    def check_told(listener: Listener, times: int, note: str, *ids: str) -> None:
        spec(*ids).equal(
            len(listener.notifications_of(MessageType.SHARE_MOVE)),
            times,
            show=lambda number: f"told {number} times of the share move",
            note=note,
        )

    check_told(notified, 1, "AsyncNotify again until nothing comes", "SWN-3.1.4.4-processed-removed-share")
    check_told(
        version_1_server,
        0,
        "registration of version 1 under the same client name",
        "SWN-3.1.4.4-share-needs-v2-client",
        "SWN-3.1.4.2-v2-client-version",
        "SWN-3.1.4.2-v2-no-share-notification",
        "SWN-3.1.4.5-entry-client-version",
    )
    check_told(without_share, 0, "registration with ShareName NULL", "SWN-3.1.4.5-share-flag-false")
    another = f"registration for {other_share.fields['share_name']}, not {share}"
    check_told(other_share, 0, another, "SWN-3.1.4.5-entry-sharename")
    check_told(of_another, 0, "registration of another client", "SWN-3.1.4.5-entry-sharename")
