"""IP changes: the AsyncNotify response with IP_CHANGE_NOTIFICATION (MS-SWN 3.1.4.4, 3.1.6.4)."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SUCCESS, case
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import AddressFlags, MessageType, RegisterFlags
from swn_torture.casekit.rules.move_rules import SUCCESS_RULES, check_move, check_move_to_ipv6, move_rules
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import (
    FAMILY_RULES,
    IPV6_RULES,
    LAYOUT_RULES,
    LIST_RULES,
    check_families,
    check_ipv6,
    check_layout,
    check_list,
    show_as,
)
from swn_torture.casekit.steps.effects import ClusterWatch
from swn_torture.casekit.steps.host_nodes import (
    HostNode,
    addresses_of,
    host_nodes,
    other_nodes,
    share_of,
    with_family,
)
from swn_torture.casekit.steps.interface_list import wait_until_listed
from swn_torture.casekit.steps.listeners import (
    Listener,
    connect_each_syntax,
    drain_notifications,
    listen,
    wait_or_move_client,
    wait_past,
)
from swn_torture.casekit.steps.octets import syntax_name
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.raw.notification import Notification
    from swn_torture.casekit.witness import Witness

_NEEDS = ("version-2", "change-address", "spare-address", "move-client", "list-nodes", "two-nodes")
_NOTIFIED = ("SWN-3.1.4.4-wakes-on-ip-change", "SWN-3.1.4.4-ip-type", "SWN-3.1.4.5-ip-flag-true")
_LISTED = "after GetInterfaceList returned the new address"


@case(
    *_NOTIFIED,
    *SUCCESS_RULES,
    *move_rules("ip"),
    *LAYOUT_RULES,
    *LIST_RULES,
    "SWN-3.1.4.4-ip-needs-v2-client",
    "SWN-3.1.4.4-processed-removed-ip",
    "SWN-3.1.4.5-ip-flag-false",
    "SWN-3.1.4.5-entry-client-version",
    "SWN-3.1.4.5-no-initial-ip",
    "SWN-3.1.4.2-v2-client-version",
    "SWN-3.1.4.2-v2-no-ip-notification",
    "SWN-3.1.4.2-v2-pending-ip-empty",
    needs=_NEEDS,
    disturbs=True,
    lasts=35,
    apart="changing",
)
async def test_address_added(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Add an address: registrations with IP_NOTIFICATION get one IP_CHANGE, all others get none."""
    host = with_family(await other_nodes(witness, cluster), 4)
    without_flag: dict[str, Any] = {
        "client_computer_name": witness.client_name(),
        "ip_address": host.addresses[0],
    }
    with_flag: dict[str, Any] = {**without_flag, "flags": int(RegisterFlags.IP_NOTIFICATION)}
    first, *others = await connect_each_syntax(witness)
    flagged = [await listen(witness, first, **with_flag)]
    # Another client, so that a move of the first one (AMB-17) does not notify it.
    of_another = {**with_flag, "client_computer_name": witness.client_name()}
    flagged += [await listen(witness, client, **of_another) for client in others]
    unflagged = await listen(witness, **without_flag)
    version_1 = await listen(witness, version=1, **without_flag)

    async with ClusterWatch(cluster) as watch:
        new_address = await add_address(witness, cluster, host.node, 4)
        await asyncio.gather(
            wait_or_move_client(spec, cluster, flagged[0], MessageType.IP_CHANGE, host, unflagged, version_1),
            *(
                wait_or_move_client(spec, cluster, listener, MessageType.IP_CHANGE, host)
                for listener in flagged[1:]
            ),
        )

    for listener in flagged:
        name = syntax_name(listener.client.syntax)
        assert listener.outcome is not None
        if listener.outcome.kind == "result":
            spec(*SUCCESS_RULES).allows(listener.outcome, SUCCESS)
        notification = listener.notification(spec, *_NOTIFIED, note=f"{name}, {_LISTED}")
        spec("SWN-3.1.4.4-wakes-on-ip-change", "SWN-3.1.4.5-ip-flag-true").equal(
            notification.message_type, MessageType.IP_CHANGE, show=show_as(MessageType)
        )
        check_layout(spec, notification, note=name)
        changed = await changed_host(witness, cluster, spec, notification, host.node, new_address, watch)
        address_list = check_move(spec, "ip", notification, changed)
        check_list(spec, address_list, changed, note=name)
        flags = sorted({entry.flags & AddressFlags(0x1B) for entry in address_list.entries})
        spec.choice("AMB-15", f"IP change: {', '.join(map(show_as(AddressFlags), flags))}")

    later = [await listen(witness, **with_flag), await listen(witness, version=1, **without_flag)]
    received_before = len(flagged[0].notifications_of(MessageType.IP_CHANGE))
    await drain_notifications(*flagged, unflagged, version_1, *later)

    def check_no_ip_change(listener: Listener, note: str, *ids: str, received_before: int = 0) -> None:
        check_not_notified(
            spec(*ids),
            cluster.stimulus(Capability.CHANGE_ADDRESS),
            listener,
            notified=len(listener.notifications_of(MessageType.IP_CHANGE)) != received_before,
            expected="no IP_CHANGE",
            observed="; ".join(map(str, listener.notifications[received_before:])) or listener.outcome,
            note=note,
        )

    check_no_ip_change(
        flagged[0],
        "the next AsyncNotify",
        "SWN-3.1.4.4-processed-removed-ip",
        received_before=received_before,
    )
    check_no_ip_change(unflagged, "registration with Flags 0", "SWN-3.1.4.5-ip-flag-false")
    check_no_ip_change(
        version_1,
        "registration of version 1 with the same ClientComputerName",
        "SWN-3.1.4.4-ip-needs-v2-client",
        "SWN-3.1.4.5-entry-client-version",
        "SWN-3.1.4.2-v2-client-version",
        "SWN-3.1.4.2-v2-no-ip-notification",
    )
    check_no_ip_change(later[0], "registered after the change", "SWN-3.1.4.5-no-initial-ip")
    check_no_ip_change(later[1], "registered after the change", "SWN-3.1.4.2-v2-pending-ip-empty")


@case(
    *move_rules("ip", ipv6=True),
    *move_rules("move", ipv6=True),
    *move_rules("share", ipv6=True),
    *FAMILY_RULES,
    *IPV6_RULES,
    needs=(*_NEEDS, "any-share", "move-share"),
    disturbs=True,
    lasts=35,
    apart="changing",
)
async def test_ipv6_address_added(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """After an IPv6 address is added, IP_CHANGE, CLIENT_MOVE and SHARE_MOVE return it in the IPV6 field."""
    (host, *_) = await other_nodes(witness, cluster)
    share = share_of(witness)
    flagged = await listen(witness, ip_address=host.addresses[0], flags=int(RegisterFlags.IP_NOTIFICATION))

    async with ClusterWatch(cluster) as watch:
        new_address = await add_address(witness, cluster, host.node, 6)
        listed = time.monotonic()
    (after,) = [each for each in await host_nodes(witness, cluster) if each.node == host.node]
    moved = await listen(witness, share_name=share, ip_address=host.addresses[0])
    await cluster.move_client(moved.name, host.node)
    # A server may tell a new registration at once where its share is (AMB-33).
    await wait_past(moved, MessageType.RESOURCE_CHANGE, MessageType.SHARE_MOVE)
    client_move = moved.notification(spec, "SWN-3.1.4.4-move-type")
    check_move_to_ipv6(spec, "move", client_move, after)
    if client_move.lists:
        check_families(spec, client_move.lists[0], after)
        check_ipv6(spec, client_move.lists[0], after)

    await cluster.move_share(share, host.node, client=moved.name)
    await wait_or_move_client(spec, cluster, moved, MessageType.SHARE_MOVE, after)
    check_move_to_ipv6(spec, "share", moved.notification(spec, "SWN-3.1.4.4-share-type"), after)

    # The event deadline counts from the event: the moves above were a part of the wait.
    expect = witness.expect
    rest = max(expect.quiet_time, listed + expect.event_deadline - time.monotonic())
    await wait_or_move_client(spec, cluster, flagged, MessageType.IP_CHANGE, after, before_move=rest)
    ip_change = flagged.notification(spec, "SWN-3.1.4.4-ip-type", note=_LISTED)
    changed = await changed_host(witness, cluster, spec, ip_change, host.node, new_address, watch)
    check_move_to_ipv6(spec, "ip", ip_change, changed)


async def add_address(witness: Witness, cluster: Controller, node: str, version: int) -> str:
    """Add a spare IPv4 or IPv6 address (``version`` 4 or 6) to a node and wait until the server lists it.

    Raises:
        NotTestable: the profile lists no spare address of that family, or the server never lists it.
    """
    for address in witness.expect.spare_addresses:
        if ip_address(address).version == version:
            await cluster.add_address(node, address)
            if await wait_until_listed(witness, address):
                return address
            raise NotTestable(f"{address} was added to {node}, but the interface list never showed it")
    raise NotTestable(f"the profile lists no spare IPv{version} address (expect.spare_addresses)")


async def changed_host(
    witness: Witness,
    cluster: Controller,
    spec: Spec,
    notification: Notification,
    node: str,
    new: str,
    watch: ClusterWatch,
) -> HostNode:
    """The addresses that an IP_CHANGE lists: all of the node, of its interface group, or the new one alone.

    Which of them an IP change names is the choice of the application (AMB-19). Without a match the result is
    the node with all its addresses.

    Raises:
        NotTestable: without a match, if the cluster moved other addresses at the same time.
    """
    (host,) = [each for each in await host_nodes(witness, cluster) if each.node == node]
    with_address = tuple(i for i in host.interfaces if ip_address(new) in addresses_of(i))
    names = {interface.group_name for interface in with_address}
    group = tuple(i for i in await witness.interfaces() if i.group_name in names)
    for what, candidate in (
        ("the addresses of the node", host),
        ("the new address alone", HostNode(node, with_address)),
        ("the addresses of the interface group", HostNode(node, group)),
    ):
        if set(notification.addresses) == set(candidate.addresses):
            spec.choice("AMB-19", f"an IP change lists {what}")
            return candidate
    others = sorted(watch.touched - {new})
    if others:
        raise NotTestable(
            f"the IP change may be about {', '.join(others)}, which the cluster moved meanwhile"
        )
    return host
