"""Added and removed addresses: the interface list and the notifications (MS-SWN 3.1.6.1, 3.1.6.4)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, SUCCESS, case
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import InterfaceState, MessageType, RegisterFlags
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.effects import (
    ClusterWatch,
    bring_up,
    take_down,
    wait_until_events_arrive,
)
from swn_torture.casekit.steps.host_nodes import HostNode, addresses_of, other_nodes
from swn_torture.casekit.steps.interface_list import (
    show_states,
    states_of,
    wait_for_interfaces,
    wait_until_listed,
)
from swn_torture.casekit.steps.listeners import (
    Listener,
    answered_when_called_again,
    drain_notifications,
    listen,
    versions,
    wait_for_notifications,
    wait_or_move_client,
    wait_past,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller, Stimulus
    from swn_torture.casekit.protocol import InterfaceInfo
    from swn_torture.casekit.witness import Witness

_NEEDS = ("change-address", "spare-address", "list-nodes", "two-nodes")
_ADDRESS_RULES = {4: "SWN-3.1.6.1-new-ipv4", 6: "SWN-3.1.6.1-new-ipv6"}


@case(
    "SWN-3.1.6.1-new-interface",
    "SWN-3.1.6.1-new-name",
    "SWN-3.1.6.1-new-state",
    "SWN-3.1.6.1-new-ipv4",
    "SWN-3.1.6.1-new-ipv6",
    "SWN-3.1.6.1-wake-spurious",
    "SWN-3.1.6.4-match",
    "SWN-3.1.6.4-set",
    "SWN-3.1.6.4-wake",
    "SWN-3.1.6.4-all-causes",
    needs=(*_NEEDS, "interface-event"),
    disturbs=True,
    lasts=60,
    apart="changing",
)
async def test_address_added_and_removed(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Added addresses appear in the list; only registrations with IP_NOTIFICATION get IP_CHANGE."""
    before = [await witness.interfaces(node) for node in range(len(witness.nodes))]
    hosts = await other_nodes(witness, cluster)
    name: dict[str, Any] = {"client_computer_name": witness.client_name()}
    connection = await witness.connect()
    unflagged = [
        await listen(witness, connection, version=version, ip_address=address, **name)
        for address in states_of(before[0])
        for version in versions(witness)
    ]
    flags = int(RegisterFlags.IP_NOTIFICATION)
    flagged = [
        await listen(witness, connection, flags=flags, **name, async_notify=at_once)
        for at_once in (True, False)
        if 2 in versions(witness)
    ]

    spares = witness.expect.spare_addresses
    # Each spare address goes to another node, so that the last event differs from the first.
    new_hosts = {spare: hosts[number % len(hosts)] for number, spare in enumerate(spares)}
    note = " and ".join(f"{spare} was added to {host.node}" for spare, host in new_hosts.items())
    async with ClusterWatch(cluster) as watch:
        for spare, host in new_hosts.items():
            await cluster.add_address(host.node, spare)
            await wait_until_listed(witness, spare)
            if spare == spares[0]:
                for listener in flagged[:1]:
                    await check_completed(spec, listener, f"{spare} was added to {host.node}")
        for index in range(len(witness.nodes)):
            await check_listed(witness, spec, new_hosts, before[index], index)
        await drain_notifications(*flagged[:1], *unflagged)

    # A cluster may move other addresses at the same time; registrations for those are notified.
    sent = cluster.stimulus(Capability.CHANGE_ADDRESS)
    check_pending(spec, sent, [each for each in unflagged if each.address not in watch.touched], note)
    if not flagged:
        return
    waiting, later = flagged
    causes = {"added": len(waiting.notifications_of(MessageType.IP_CHANGE))}
    if causes["added"] and not later.may_be_gone and watch.touched <= {*spares}:
        await check_later_call(spec, later, note)
    for spare, host in new_hosts.items():
        await cluster.remove_address(host.node, spare)
        await wait_until_listed(witness, spare, gone=True)
    causes["removed"] = await count_ip_changes(waiting)
    await take_down(witness, cluster, hosts[0])
    causes["disabled"] = await count_ip_changes(waiting)
    await bring_up(witness, cluster, hosts[0])
    causes["enabled"] = await count_ip_changes(waiting)
    await drain_notifications(waiting)
    if not waiting.notifications_of(MessageType.IP_CHANGE) and cluster.can(Capability.MOVE_CLIENT):
        same_client = [each for each in (later, *unflagged) if not each.may_be_gone]
        # The event deadline has passed since the first address was added. If a later event, a client move,
        # has arrived, what the server sends for the earlier ones is on its way.
        arrived = await wait_until_events_arrive(witness, cluster)
        await wait_or_move_client(
            spec,
            cluster,
            waiting,
            MessageType.IP_CHANGE,
            hosts[0],
            *same_client,
            before_move=witness.expect.quiet_time if arrived else None,
        )
    spec("SWN-3.1.6.4-all-causes", "SWN-3.1.6.4-wake", "SWN-3.1.6.4-match").holds(
        bool(waiting.notifications_of(MessageType.IP_CHANGE)),
        expected="IP_CHANGE for an address that is added, removed, disabled or enabled",
        observed="IP_CHANGE by cause: " + ", ".join(f"{cause} {times}" for cause, times in causes.items()),
        note="registered with Flags IP_NOTIFICATION, with a pending AsyncNotify",
    )


async def check_listed(
    witness: Witness,
    spec: Spec,
    hosts: Mapping[str, HostNode],
    before: tuple[InterfaceInfo, ...],
    index: int,
) -> None:
    """Check that the interface list of one node has the new addresses and the earlier interfaces.

    A node may list the interfaces of its partners only; then it does not list a new address of its own.
    """
    name = witness.nodes[index].name
    own = {spare for spare, host in hosts.items() if host.node.casefold() == name.casefold()}
    of_others = hosts.keys() - own

    def complete(listed: tuple[InterfaceInfo, ...]) -> bool:
        states = states_of(listed)
        return all(states.get(spare) == InterfaceState.AVAILABLE for spare in of_others)

    listed = await wait_for_interfaces(witness, complete, node=index)
    note = f"interface list of {name}"
    known = {*map(addresses_of, before)}
    added = [i for i in listed if addresses_of(i) not in known]
    if not added and not of_others:
        return
    spec("SWN-3.1.6.1-new-interface").holds(
        known <= {*map(addresses_of, listed)} and bool(added) and len(listed) == len(before) + len(added),
        expected=f"the {len(before)} earlier interfaces, and new ones with {' and '.join(sorted(of_others))}",
        observed=f"{len(listed)} interfaces: {show_states(states_of(listed))}",
        note=note,
    )
    new_addresses = [str(address) for interface in added for address in addresses_of(interface)]
    for family, rule in _ADDRESS_RULES.items():
        found, allowed = _of_family(new_addresses, family), _of_family(hosts, family)
        spec(rule).holds(
            _of_family(of_others, family) in (found, [each for each in found if each not in own])
            and len({*found}) == len(found)
            and {*found} <= {*allowed},
            expected=", ".join(allowed) or "none",
            observed=", ".join(found) or "none",
            note=f"IPv{family} addresses of the new interfaces, {note}",
        )
    for interface in added:
        names = {i.group_name for s, host in hosts.items() for i in host.interfaces if _has(interface, s)}
        if names:
            spec("SWN-3.1.6.1-new-name").equal(interface.group_name, *names, note=note)
        spec("SWN-3.1.6.1-new-state").equal(
            interface.state, InterfaceState.AVAILABLE, show=show_as(InterfaceState), note=note
        )


def _has(interface: InterfaceInfo, address: str) -> bool:
    return ip_address(address) in addresses_of(interface)


def _of_family(addresses: Iterable[str], family: int) -> list[str]:
    return sorted(address for address in addresses if ip_address(address).version == family)


def check_pending(spec: Spec, sent: Stimulus, listeners: list[Listener], note: str) -> None:
    """Check that registrations without the flag, for other addresses, get no notification."""
    for listener in listeners:
        pending = listener.outcome == SILENCE or listener.expired
        check_not_notified(
            spec("SWN-3.1.6.1-wake-spurious", "SWN-3.1.6.4-match"),
            sent,
            listener,
            notified=bool(listener.notifications) or not pending,
            expected="the AsyncNotify stays pending",
            observed=listener.received,
            note=f"registered for {listener.address} with Flags {listener.fields.get('flags', 0)}, {note}",
        )


async def check_completed(spec: Spec, waiting: Listener, note: str) -> None:
    """Check that the first new address completes the pending call, if the server notifies of it at all.

    Later events would complete the call, too, so this runs before them.

    Raises:
        CaseStopped: the server completes a call only after a second AsyncNotify.
    """
    await wait_past(waiting, *({*MessageType} - {MessageType.IP_CHANGE}))
    notified = bool(waiting.notifications_of(MessageType.IP_CHANGE))
    if not notified and waiting.outcome == SILENCE and await answered_when_called_again(waiting):
        spec("SWN-3.1.6.4-wake").allows(
            SILENCE, SUCCESS, note=f"an AsyncNotify completes only after a second one is sent; {note}"
        )
        raise spec.stop()
    await drain_notifications(waiting)


async def check_later_call(spec: Spec, later: Listener, note: str) -> None:
    """Check that a flagged registration whose first AsyncNotify follows the events gets the last of them."""
    await wait_for_notifications(later, timeout=later.witness.expect.reply_deadline)
    await drain_notifications(later)
    changes = later.notifications_of(MessageType.IP_CHANGE)
    spares = later.witness.expect.spare_addresses
    note = f"first AsyncNotify after the events, {note}"
    spec("SWN-3.1.6.4-match").holds(bool(changes), expected="IP_CHANGE", observed=later.received, note=note)
    spec("SWN-3.1.6.4-set").holds(
        len(changes) == 1 and spares[-1] in changes[0].addresses,
        expected=f"one IP_CHANGE, for the last of these addresses: {', '.join(spares)}",
        observed=later.received,
        note=note,
    )


async def count_ip_changes(listener: Listener) -> int:
    """Count the IP_CHANGE notifications that arrive now.

    The numbers by cause are only recorded, so a quarter of the quiet time is enough to wait for each.
    """
    before = len(listener.notifications_of(MessageType.IP_CHANGE))
    timeout = listener.witness.expect.quiet_time / 4
    while (await wait_for_notifications(listener, timeout=timeout))[0] == SUCCESS:
        pass
    return len(listener.notifications_of(MessageType.IP_CHANGE)) - before
