"""Added and removed addresses: the interface list and the notifications (MS-SWN 3.1.6.1, 3.1.6.4)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, case
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import InterfaceState, MessageType, RegisterFlags
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.host_nodes import (
    HostNode,
    addresses_of,
    destinations,
    make_available,
    make_unavailable,
    wait_until_listed,
)
from swn_torture.casekit.steps.interface_list import show_states, states_of, wait_for_interfaces
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
    Listener,
    answered_when_called_again,
    drain_notifications,
    listen,
    versions,
    wait_for_notifications,
    wait_or_move_client,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
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
    lasts=30,
)
async def test_address_added_and_removed(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Added addresses appear in the list; only registrations with IP_NOTIFICATION get IP_CHANGE."""
    before = await witness.interfaces()
    own_address = await witness.address_of(0)
    host_nodes = await destinations(witness, cluster, other_than=own_address)
    client: dict[str, Any] = {"client_computer_name": witness.client_name()}
    unflagged = [
        await listen(witness, version=version, ip_address=address, **client)
        for address in states_of(before)
        for version in versions(witness)
    ]
    hosts_before = await hosts_of(cluster)
    with_flag = {**client, "ip_address": own_address, "flags": int(RegisterFlags.IP_NOTIFICATION)}
    flagged = [
        await listen(witness, **with_flag, async_notify=at_once)
        for at_once in (True, False)
        if 2 in versions(witness)
    ]

    spares = witness.expect.spare_addresses
    # Each spare address goes to another node, so that the last event differs from the first.
    new_hosts = {spare: host_nodes[number % len(host_nodes)] for number, spare in enumerate(spares)}
    for spare, host in new_hosts.items():
        await cluster.add_address(host.node, spare)
        if spare == spares[0]:
            for listener in flagged[:1]:
                await check_completed(spec, listener, f"{spare} was added to {host.node}")
    for index in range(len(witness.nodes)):
        await check_listed(witness, spec, new_hosts, before, index)

    await drain_notifications(*flagged[:1], *unflagged)
    # A cluster may move other addresses at the same time; registrations for those are notified.
    hosts_now = await hosts_of(cluster)
    moved = {address for address, node in hosts_now.items() if hosts_before.get(address) != node}
    note = " and ".join(f"{spare} was added to {host.node}" for spare, host in new_hosts.items())
    check_pending(spec, [each for each in unflagged if each.address not in moved], note)
    if not flagged:
        return
    waiting, later = flagged
    causes = {"added": len(waiting.notifications_of(MessageType.IP_CHANGE))}
    if causes["added"]:
        await check_later_call(spec, later, note)
    for cause, events in (
        ("removed", [cluster.remove_address(host.node, spare) for spare, host in new_hosts.items()]),
        ("disabled", [make_unavailable(cluster, host_nodes[0].node)]),
        ("enabled", [make_available(cluster, host_nodes[0].node)]),
    ):
        for event in events:
            await event
        causes[cause] = await count_ip_changes(waiting)
    await drain_notifications(waiting)
    if not waiting.notifications_of(MessageType.IP_CHANGE) and cluster.can(Capability.MOVE_CLIENT):
        quiet = witness.expect.quiet_time
        await wait_or_move_client(
            spec, cluster, waiting, MessageType.IP_CHANGE, host_nodes[0], later, *unflagged, timeout=quiet
        )
    spec("SWN-3.1.6.4-all-causes", "SWN-3.1.6.4-wake", "SWN-3.1.6.4-match").holds(
        bool(waiting.notifications_of(MessageType.IP_CHANGE)),
        expected="IP_CHANGE for an address that is added, removed, disabled or enabled",
        observed="IP_CHANGE by cause: " + ", ".join(f"{cause} {times}" for cause, times in causes.items()),
        note="registered with Flags IP_NOTIFICATION, with a pending AsyncNotify",
    )


async def hosts_of(cluster: Controller) -> dict[str, str]:
    """The name of the node that hosts each address."""
    return {address: node.name for node in await cluster.nodes() for address in node.addresses}


def show_received(listener: Listener) -> str:
    """All notifications of a registration, or how its call ended, for a report."""
    return "; ".join(map(str, listener.notifications)) or str(listener.outcome)


async def check_listed(
    witness: Witness,
    spec: Spec,
    hosts: Mapping[str, HostNode],
    before: tuple[InterfaceInfo, ...],
    index: int,
) -> None:
    """Check that the interface list of one node has the new addresses and the earlier interfaces."""

    def complete(listed: tuple[InterfaceInfo, ...]) -> bool:
        states = states_of(listed)
        return all(states.get(spare) == InterfaceState.AVAILABLE for spare in hosts)

    listed = await wait_for_interfaces(witness, complete, node=index)
    note = f"interface list of {witness.nodes[index].name}"
    known = {*map(addresses_of, before)}
    added = [i for i in listed if addresses_of(i) not in known]
    spec("SWN-3.1.6.1-new-interface").holds(
        known <= {*map(addresses_of, listed)} and bool(added) and len(listed) == len(before) + len(added),
        expected=f"the {len(before)} earlier interfaces, and new ones with {' and '.join(hosts)}",
        observed=f"{len(listed)} interfaces: {show_states(states_of(listed))}",
        note=note,
    )
    new_addresses = [address for interface in added for address in addresses_of(interface)]
    for family, rule in _ADDRESS_RULES.items():
        spec(rule).equal(
            _of_family(new_addresses, family),
            _of_family(map(ip_address, hosts), family),
            show=lambda found: ", ".join(found) or "none" if isinstance(found, list) else repr(found),
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


def _of_family(addresses: Iterable[IPv4Address | IPv6Address], family: int) -> list[str]:
    return sorted(str(address) for address in addresses if address.version == family)


def check_pending(spec: Spec, listeners: list[Listener], note: str) -> None:
    """Check that registrations without the flag, for other addresses, get no notification."""
    for listener in listeners:
        spec("SWN-3.1.6.1-wake-spurious", "SWN-3.1.6.4-match").holds(
            not listener.notifications and listener.outcome == SILENCE,
            expected="the AsyncNotify stays pending",
            observed=show_received(listener),
            note=f"registered for {listener.address} with Flags {listener.fields.get('flags', 0)}, {note}",
        )


async def check_completed(spec: Spec, waiting: Listener, note: str) -> None:
    """Check that the first new address completes the pending call, if the server notifies of it at all.

    Later events would complete the call, too, so this runs before them.

    Raises:
        CaseStopped: the server completes a call only after a second AsyncNotify.
    """
    await wait_until_listed(waiting.witness, waiting.witness.expect.spare_addresses[0])
    await drain_notifications(waiting)
    notified = bool(waiting.notifications_of(MessageType.IP_CHANGE))
    if not notified and waiting.outcome == SILENCE and await answered_when_called_again(waiting):
        spec("SWN-3.1.6.4-wake").allows(
            SILENCE, SUCCESS, note=f"an AsyncNotify completes only after a second one is sent; {note}"
        )
        raise spec.stop()


async def check_later_call(spec: Spec, later: Listener, note: str) -> None:
    """Check that a flagged registration whose first AsyncNotify follows the events gets the last of them."""
    await drain_notifications(later)
    changes = later.notifications_of(MessageType.IP_CHANGE)
    spares = later.witness.expect.spare_addresses
    note = f"first AsyncNotify after the events, {note}"
    spec("SWN-3.1.6.4-match").holds(
        bool(changes), expected="IP_CHANGE", observed=show_received(later), note=note
    )
    spec("SWN-3.1.6.4-set").holds(
        len(changes) == 1 and spares[-1] in changes[0].addresses,
        expected=f"one IP_CHANGE, for the last of these addresses: {', '.join(spares)}",
        observed=show_received(later),
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
