"""An address comes and goes: a new interface in the list, and who is told (MS-SWN 3.1.6.1, 3.1.6.4)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, case
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import InterfaceState, MessageType, RegisterFlags
from swn_torture.casekit.rules.notification_rules import naming
from swn_torture.casekit.steps.host_nodes import (
    HostNode,
    addresses_of,
    bring_up,
    destinations,
    take_down,
    until_listed,
)
from swn_torture.casekit.steps.interface_list import interfaces_until, show_states, states_of
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
async def test_address_comes_and_goes(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A new address is a new interface in the list, and news for those alone who asked for such news."""
    before = await witness.interfaces()
    here = await witness.address_of(0)
    host_nodes = await destinations(witness, cluster, other_than=here)
    mine: dict[str, Any] = {"client_computer_name": witness.client_name()}
    bystanders = [
        await listen(witness, version=version, ip_address=address, **mine)
        for address in states_of(before)
        for version in versions(witness)
    ]
    hosts = await hosts_of(cluster)
    flagged = {**mine, "ip_address": here, "flags": int(RegisterFlags.IP_NOTIFICATION)}
    watchers = [
        await listen(witness, **flagged, asks=asks) for asks in (True, False) if 2 in versions(witness)
    ]

    spares = witness.expect.spare_addresses
    # Where there are several, each goes to another node, so that the last is not mistaken for the first.
    new_hosts = {spare: host_nodes[number % len(host_nodes)] for number, spare in enumerate(spares)}
    for spare, host in new_hosts.items():
        await cluster.add_address(host.node, spare)
        if spare == spares[0]:
            for listener in watchers[:1]:
                await check_woken(spec, listener, f"{spare} came to {host.node}")
    for index in range(len(witness.nodes)):
        await check_new(witness, spec, new_hosts, before, index)

    await drain_notifications(*watchers[:1], *bystanders)
    # A cluster may take the chance to move other addresses, too; who registered for those has news.
    moved = {address for address, node in (await hosts_of(cluster)).items() if hosts.get(address) != node}
    note = " and ".join(f"{spare} came to {host.node}" for spare, host in new_hosts.items())
    check_bystanders(spec, [each for each in bystanders if each.address not in moved], note)
    if not watchers:
        return
    waiting, later = watchers
    causes = {"added": len(waiting.notifications_of(MessageType.IP_CHANGE))}
    if causes["added"]:
        await check_later(spec, later, note)
    for cause, events in (
        ("removed", [cluster.remove_address(host.node, spare) for spare, host in new_hosts.items()]),
        ("disabled", [take_down(cluster, host_nodes[0].node)]),
        ("enabled", [bring_up(cluster, host_nodes[0].node)]),
    ):
        for event in events:
            await event
        causes[cause] = await count_ip_changes(waiting)
    await drain_notifications(waiting)
    if not waiting.notifications_of(MessageType.IP_CHANGE) and cluster.can(Capability.MOVE_CLIENT):
        quiet = witness.expect.quiet_time
        await wait_or_move_client(
            spec, cluster, waiting, MessageType.IP_CHANGE, host_nodes[0], later, *bystanders, timeout=quiet
        )
    spec("SWN-3.1.6.4-all-causes", "SWN-3.1.6.4-wake", "SWN-3.1.6.4-match").holds(
        bool(waiting.notifications_of(MessageType.IP_CHANGE)),
        expected="IP_CHANGE for an address that is added, removed, disabled or enabled",
        observed="IP_CHANGE by cause: " + ", ".join(f"{cause} {times}" for cause, times in causes.items()),
        note="registered with Flags IP_NOTIFICATION, an AsyncNotify outstanding",
    )


async def hosts_of(cluster: Controller) -> dict[str, str]:
    """The node that hosts each address."""
    return {address: node.name for node in await cluster.nodes() for address in node.addresses}


def notified(listener: Listener) -> str:
    """All that a listener heard, for a report."""
    return "; ".join(map(str, listener.notified)) or str(listener.outcome)


async def check_new(
    witness: Witness,
    spec: Spec,
    hosts: Mapping[str, HostNode],
    before: tuple[InterfaceInfo, ...],
    index: int,
) -> None:
    """The list of a node has the new addresses besides what it had."""

    def complete(listed: tuple[InterfaceInfo, ...]) -> bool:
        states = states_of(listed)
        return all(states.get(spare) == InterfaceState.AVAILABLE for spare in hosts)

    listed = await interfaces_until(witness, complete, node=index)
    note = f"as {witness.nodes[index].name} tells it"
    known = {*map(addresses_of, before)}
    added = [i for i in listed if addresses_of(i) not in known]
    spec("SWN-3.1.6.1-new-interface").holds(
        known <= {*map(addresses_of, listed)} and bool(added) and len(listed) == len(before) + len(added),
        expected=f"{len(before)} interfaces as before, and new ones with {' and '.join(hosts)}",
        observed=f"{len(listed)} interfaces: {show_states(states_of(listed))}",
        note=note,
    )
    notified = [address for interface in added for address in addresses_of(interface)]
    for family in (4, 6):
        spec(f"SWN-3.1.6.1-new-ipv{family}").equal(
            _of_family(notified, family),
            _of_family(map(ip_address, hosts), family),
            show=lambda found: ", ".join(found) or "none" if isinstance(found, list) else repr(found),
            note=f"IPv{family} addresses of the new interfaces, {note}",
        )
    for interface in added:
        names = {i.group_name for s, host in hosts.items() for i in host.interfaces if _has(interface, s)}
        if names:
            spec("SWN-3.1.6.1-new-name").equal(interface.group_name, *names, note=note)
        spec("SWN-3.1.6.1-new-state").equal(
            interface.state, InterfaceState.AVAILABLE, show=naming(InterfaceState), note=note
        )


def _has(interface: InterfaceInfo, address: str) -> bool:
    return ip_address(address) in addresses_of(interface)


def _of_family(addresses: Iterable[IPv4Address | IPv6Address], family: int) -> list[str]:
    return sorted(str(address) for address in addresses if address.version == family)


def check_bystanders(spec: Spec, bystanders: list[Listener], note: str) -> None:
    """Whoever registered for another address, without the flag, goes on waiting."""
    for listener in bystanders:
        spec("SWN-3.1.6.1-wake-spurious", "SWN-3.1.6.4-match").holds(
            not listener.notified and listener.outcome == SILENCE,
            expected="the pending AsyncNotify goes on waiting",
            observed=notified(listener),
            note=f"registered for {listener.address} with Flags {listener.fields.get('flags', 0)}, {note}",
        )


async def check_woken(spec: Spec, waiting: Listener, note: str) -> None:
    """One that waits is told of a first new address, if that is told at all; later events would wake it, too.

    Raises:
        Stop: another call was answered, or only with it the first.
    """
    await until_listed(waiting.witness, waiting.witness.expect.spare_addresses[0])
    await drain_notifications(waiting)
    told_it = bool(waiting.notifications_of(MessageType.IP_CHANGE))
    if not told_it and waiting.outcome == SILENCE and await answered_when_called_again(waiting):
        spec("SWN-3.1.6.4-wake").allows(SILENCE, SUCCESS, note=f"answered after a second call; {note}")
        raise spec.stop()


async def check_later(spec: Spec, later: Listener, note: str) -> None:
    """One that has the flag, too, and asks only now is told once, about the last of the events."""
    await drain_notifications(later)
    changes = later.notifications_of(MessageType.IP_CHANGE)
    spares = later.witness.expect.spare_addresses
    spec("SWN-3.1.6.4-match").holds(
        bool(changes), expected="IP_CHANGE", observed=notified(later), note=f"asked afterwards, {note}"
    )
    spec("SWN-3.1.6.4-set").holds(
        len(changes) == 1 and spares[-1] in changes[0].addresses,
        expected=f"IP_CHANGE once, about the last of these events: {', '.join(spares)}",
        observed=notified(later),
        note=f"asked afterwards, {note}",
    )


async def count_ip_changes(watcher: Listener) -> int:
    """How many more there are by now; which event each belongs to is only put down, so none is awaited."""
    before = len(watcher.notifications_of(MessageType.IP_CHANGE))
    while (await wait_for_notifications(watcher, timeout=watcher.witness.expect.quiet_time / 4))[
        0
    ] == SUCCESS:
        pass
    return len(watcher.notifications_of(MessageType.IP_CHANGE)) - before
