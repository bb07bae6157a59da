"""AsyncNotify answered with an IP change (MS-SWN 3.1.4.4, 3.1.6.4)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import case
from swn_torture.casekit.protocol import NDR32, NDR64, AddressFlags, MessageType, RegisterFlags
from swn_torture.casekit.rules.move_rules import SUCCESS_RULES, check_move, check_move_to_ipv6, move_rules
from swn_torture.casekit.rules.notification_rules import (
    FAMILY_RULES,
    FRAME_RULES,
    IPV6_RULES,
    LIST_RULES,
    check_families,
    check_frame,
    check_ipv6,
    check_list,
    naming,
)
from swn_torture.casekit.steps.host_nodes import (
    HostNode,
    addresses_of,
    destination,
    host_nodes,
    share_of,
    until_listed,
)
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
    Listener,
    drain_notifications,
    listen,
    wait_or_move_client,
    wait_past,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.raw.notification import Notification
    from swn_torture.casekit.witness import Witness

_NEEDS = ("version-2", "change-address", "spare-address", "move-client", "list-nodes")
_WAKES = ("SWN-3.1.4.4-wakes-on-ip-change", "SWN-3.1.4.4-ip-type", "SWN-3.1.4.5-ip-flag-true")
_LISTED = "after GetInterfaceList had shown the new address"


@case(
    *_WAKES,
    *SUCCESS_RULES,
    *move_rules("ip"),
    *FRAME_RULES,
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
    lasts=20,
)
async def test_address_added(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A new address is told, once, to those who asked for IP changes, and to nobody who registers later."""
    host = await destination(witness, cluster, other_than=await witness.address_of(0))
    mine: dict[str, Any] = {
        "client_computer_name": witness.client_name(),
        "ip_address": host.addresses[0],
    }
    wanting: dict[str, Any] = {**mine, "flags": int(RegisterFlags.IP_NOTIFICATION)}
    syntaxes = {"NDR32": NDR32, "NDR64": NDR64}
    notified = [
        await listen(witness, await witness.connect(syntax=syntax), **wanting) for syntax in syntaxes.values()
    ]
    without_flag = await listen(witness, **mine)
    version_1_server = await listen(witness, version=1, **mine)

    new = await add_address(witness, cluster, host.node, 4)
    for listener in notified:
        await hear_ip_change(spec, cluster, listener, host, without_flag, version_1_server)

    for name, listener in zip(syntaxes, notified, strict=True):
        assert listener.outcome is not None
        if listener.outcome.kind == "result":
            spec(*SUCCESS_RULES).allows(listener.outcome, SUCCESS)
        notification = listener.notification(spec, *_WAKES, note=f"{name}, {_LISTED}")
        spec("SWN-3.1.4.4-wakes-on-ip-change", "SWN-3.1.4.5-ip-flag-true").equal(
            notification.message_type, MessageType.IP_CHANGE, show=naming(MessageType)
        )
        check_frame(spec, notification, note=name)
        changed = await destination_of(witness, cluster, spec, notification, host.node, new)
        list_ = check_move(spec, "ip", notification, changed)
        check_list(spec, list_, changed, note=name)
        flags = sorted({entry.flags & AddressFlags(0x1B) for entry in list_.entries})
        spec.choice("AMB-15", f"IP change: {', '.join(map(naming(AddressFlags), flags))}")

    fresh = [await listen(witness, **wanting), await listen(witness, version=1, **mine)]
    before = len(notified[0].notifications_of(MessageType.IP_CHANGE))
    await drain_notifications(*notified, without_flag, version_1_server, *fresh)

    def check_untold(listener: Listener, note: str, *ids: str, told_before: int = 0) -> None:
        spec(*ids).holds(
            len(listener.notifications_of(MessageType.IP_CHANGE)) == told_before,
            expected="no IP_CHANGE",
            observed="; ".join(map(str, listener.notified[told_before:])) or listener.outcome,
            note=note,
        )

    check_untold(notified[0], "the next AsyncNotify", "SWN-3.1.4.4-processed-removed-ip", told_before=before)
    check_untold(without_flag, "registration with Flags 0", "SWN-3.1.4.5-ip-flag-false")
    check_untold(
        version_1_server,
        "registration of version 1 under the same client name",
        "SWN-3.1.4.4-ip-needs-v2-client",
        "SWN-3.1.4.5-entry-client-version",
        "SWN-3.1.4.2-v2-client-version",
        "SWN-3.1.4.2-v2-no-ip-notification",
    )
    check_untold(fresh[0], "registered after the change", "SWN-3.1.4.5-no-initial-ip")
    check_untold(fresh[1], "registered after the change", "SWN-3.1.4.2-v2-pending-ip-empty")


@case(
    *move_rules("ip", ipv6=True),
    *move_rules("move", ipv6=True),
    *move_rules("share", ipv6=True),
    *FAMILY_RULES,
    *IPV6_RULES,
    needs=(*_NEEDS, "any-share", "move-share"),
    disturbs=True,
    lasts=20,
)
async def test_ipv6_address_added(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A new IPv6 address is told in IPV6, and so are moves to the node that has it now."""
    host = await destination(witness, cluster, other_than=await witness.address_of(0))
    share = share_of(witness)
    watcher = await listen(witness, ip_address=host.addresses[0], flags=int(RegisterFlags.IP_NOTIFICATION))

    new = await add_address(witness, cluster, host.node, 6)
    (after,) = [each for each in await host_nodes(witness, cluster) if each.node == host.node]
    mover = await listen(witness, share_name=share, ip_address=host.addresses[0])
    await cluster.move_client(mover.name, host.node)
    await wait_past(mover, MessageType.RESOURCE_CHANGE)
    moved = mover.notification(spec, "SWN-3.1.4.4-move-type")
    check_move_to_ipv6(spec, "move", moved, after)
    if moved.lists:
        check_families(spec, moved.lists[0], after)
        check_ipv6(spec, moved.lists[0], after)

    await cluster.move_share(share, host.node, client=mover.name)
    await wait_or_move_client(spec, cluster, mover, MessageType.SHARE_MOVE, after)
    check_move_to_ipv6(spec, "share", mover.notification(spec, "SWN-3.1.4.4-share-type"), after)

    await hear_ip_change(spec, cluster, watcher, after)
    notification = watcher.notification(spec, "SWN-3.1.4.4-ip-type", note=_LISTED)
    changed = await destination_of(witness, cluster, spec, notification, host.node, new)
    check_move_to_ipv6(spec, "ip", notification, changed)


async def add_address(witness: Witness, cluster: Controller, node: str, version: int) -> str:
    """Give a node a spare address of the family; returns it when the server lists it.

    Raises:
        Unsuitable: there is no spare one, or the server never lists it.
    """
    for address in witness.expect.spare_addresses:
        if ip_address(address).version == version:
            await cluster.add_address(node, address)
            if await until_listed(witness, address):
                return address
            raise NotTestable(f"{address} was given to {node}, but the interface list never showed it")
    raise NotTestable(f"the profile lists no spare IPv{version} address (expect.spare_addresses)")


async def hear_ip_change(
    spec: Spec, cluster: Controller, listener: Listener, host: HostNode, *same_client: Listener
) -> None:
    """Wait for an IP change that the server knows of already, so that it is late after the quiet time."""
    quiet = listener.witness.expect.quiet_time
    await wait_or_move_client(
        spec, cluster, listener, MessageType.IP_CHANGE, host, *same_client, timeout=quiet
    )


async def destination_of(
    witness: Witness, cluster: Controller, spec: Spec, notification: Notification, node: str, new: str
) -> HostNode:
    """What the change was about: the node with all its addresses, the interface's group, or the new address.

    What an event about an address names is up to the application (AMB-19).
    """
    (host,) = [each for each in await host_nodes(witness, cluster) if each.node == node]
    alone = tuple(i for i in host.interfaces if ip_address(new) in addresses_of(i))
    groups = {interface.group_name for interface in alone}
    group = tuple(i for i in await witness.interfaces() if i.group_name in groups)
    for what, candidate in (
        ("the addresses of the node", host),
        ("the new address alone", HostNode(node, alone)),
        ("the addresses of the interface group", HostNode(node, group)),
    ):
        if set(notification.addresses) == set(candidate.addresses):
            spec.choice("AMB-19", f"an IP change lists {what}")
            return candidate
    return host
