"""Notifications on a cluster with several network names (MS-SWN 3.1.6.1, 3.1.6.2; AMB-45)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SUCCESS, case, outcome_of
from swn_torture.casekit.cluster import NodeState
from swn_torture.casekit.protocol import ChangeType, MessageType
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import name_source, show_as
from swn_torture.casekit.steps.effects import ClusterWatch, wait_until_events_arrive
from swn_torture.casekit.steps.host_nodes import interface_event, make_unavailable
from swn_torture.casekit.steps.listeners import (
    Listener,
    drain_notifications,
    listen,
    wait_for_notifications,
    wait_past,
)
from swn_torture.casekit.steps.network_names import Named, canonical, names_with_addresses, several_names
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller, NodeStatus
    from swn_torture.casekit.witness import Witness


@case(
    "SWN-3.1.6.1-queues-change",
    "SWN-V14-3.1.6.1-network-name",
    "SWN-2.2.2.3-name-source",
    "SWN-3.1.6.1-other-ip-untouched",
    "SWN-3.1.6.1-other-name-untouched",
    needs=("several-names", "interface-event", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=20,
)
async def test_change(
    witness: Witness, spec: Spec, cluster: Controller, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A node goes out of service: registrations under each name are notified, by a name of theirs."""
    named = await several_names(witness, variant)
    cluster = named.cluster or cluster
    host, names = await _host_of_two(named, cluster)
    listeners = [
        await listen(named, name.client, net_name=name.name, ip_address=_on(host, name)[0]) for name in names
    ]
    elsewhere = [
        await listen(named, name.client, net_name=name.name, ip_address=address)
        for name in names
        for address in _not_on(host, name)[:1]
    ]
    crossed = await _listen_crossed(named, spec, host, names)

    groups = {interface.group_name for interface in await named.interfaces()}
    async with ClusterWatch(cluster) as watch:
        await make_unavailable(cluster, host.name)
        await wait_for_notifications(*listeners)
        await wait_until_events_arrive(named, cluster)
        await drain_notifications(*listeners, *elsewhere, *crossed)

    for listener in listeners:
        _check_notified(spec, listener, groups)
    for listener in elsewhere:
        # The cluster may move other addresses when a node goes out of service.
        if listener.address not in watch.touched:
            check_not_notified(
                spec("SWN-3.1.6.1-other-ip-untouched"),
                interface_event(cluster),
                listener,
                notified=bool(listener.states_notified),
                expected="no RESOURCE_CHANGE",
                note=f"{_said(listener)}; {host.name} went out of service",
            )
    sent = interface_event(cluster).how
    for listener in crossed:
        spec("SWN-3.1.6.1-other-name-untouched").record(f"{_said(listener)}: {listener.received}", sent)
        told = "notified" if listener.states_notified else "not notified"
        spec.choice(
            "AMB-45", f"a registration for an address of another network name is {told} of its change"
        )


def _check_notified(spec: Spec, listener: Listener, groups: Iterable[str]) -> None:
    """Check that a registration was notified of UNAVAILABLE, under a name that its client knows."""
    note = _said(listener)
    states = listener.states_notified
    spec("SWN-3.1.6.1-queues-change", "SWN-V14-3.1.6.1-network-name").holds(
        ChangeType.UNAVAILABLE in states,
        expected="RESOURCE_CHANGE with UNAVAILABLE",
        observed=listener.received,
        note=note,
    )
    if ChangeType.UNAVAILABLE not in states:
        return
    for notification in listener.notifications_of(MessageType.RESOURCE_CHANGE):
        for change in notification.changes:
            known = name_source(change.text, listener, groups) is not None
            spec("SWN-2.2.2.3-name-source").holds(
                known,
                expected=f"{listener.fields['net_name']}, {listener.address} or an InterfaceGroupName",
                observed=change.text,
                note=note,
            )


@case(
    "SWN-3.1.4.4-move-type",
    "SWN-3.1.4.4-move-info-copied",
    "SWN-3.1.6.2-match-client",
    needs=("several-names", "move-client", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=10,
)
async def test_client_move(
    witness: Witness, spec: Spec, cluster: Controller, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A client of each name is moved to a node: the list has the addresses of the name on that node."""
    named = await several_names(witness, variant)
    cluster = named.cluster or cluster
    host, names = await _host_of_two(named, cluster)
    for name in names:
        address = (_not_on(host, name) or _on(host, name))[0]
        listener = await listen(named, name.client, net_name=name.name, ip_address=address)
        await cluster.move_client(listener.name, host.name)
        outcome = await wait_past(listener, MessageType.RESOURCE_CHANGE)
        spec("SWN-3.1.6.2-match-client").allows(outcome, SUCCESS, note=_said(listener))
        if outcome != SUCCESS:
            continue
        notification = listener.notifications[-1]
        spec("SWN-3.1.4.4-move-type").equal(
            notification.message_type,
            MessageType.CLIENT_MOVE,
            show=show_as(MessageType),
            note=_said(listener),
        )
        moved = set(notification.addresses)
        own = set(_on(host, name))
        spec("SWN-3.1.4.4-move-info-copied").holds(
            own <= moved,
            expected=f"the addresses of {name.name} on {host.name}: {', '.join(sorted(own))}",
            observed=notification,
            note=_said(listener),
        )
        told = "all names" if moved - canonical(name.known.addresses) else "the name of the client"
        spec.choice("AMB-45", f"CLIENT_MOVE lists the addresses of {told} on the destination")


async def _host_of_two(witness: Witness, cluster: Controller) -> tuple[NodeStatus, tuple[Named, ...]]:
    """A node that the case does not call and that has AVAILABLE addresses of two network names, with these.

    Raises:
        NotTestable: there is none.
    """
    nodes = [node for node in await cluster.nodes() if node.state is NodeState.OK]
    usual = witness.nodes[0].name.casefold()
    first = [address for node in nodes if node.name.casefold() == usual for address in node.addresses]
    names = await names_with_addresses(witness, canonical(first))
    for node in reversed(nodes):
        called = {name.called for name in names} & canonical(node.addresses)
        hosted = tuple(name for name in names if _on(node, name))
        if node.name.casefold() != usual and not called and len(hosted) >= 2:
            return node, hosted[:2]
    raise NotTestable("no other node has AVAILABLE addresses of two network names")


def _on(host: NodeStatus, name: Named) -> list[str]:
    """The addresses of a name that a node hosts."""
    return [address for address in name.listed if address in canonical(host.addresses)]


def _not_on(host: NodeStatus, name: Named) -> list[str]:
    return [address for address in name.listed if address not in canonical(host.addresses)]


def _said(listener: Listener) -> str:
    return f"registered as {listener.fields['net_name']} for {listener.address}"


async def _listen_crossed(
    witness: Witness, spec: Spec, host: NodeStatus, names: tuple[Named, ...]
) -> list[Listener]:
    """Registrations for an address of the other name, as far as the server accepts them."""
    first, second = names
    fields = [
        (name.client, {"net_name": name.name, "ip_address": _on(host, other)[0]})
        for name, other in ((first, second), (second, first))
    ]
    found = []
    for connected, names_only in fields:
        each = {**names_only, "client_computer_name": witness.client_name()}
        client = await witness.idle_connection(connected)
        outcome = await outcome_of(client.start(witness.registration(**each)), witness.expect.reply_deadline)
        if outcome != SUCCESS:
            said = f"no registration as {each['net_name']} for {each['ip_address']}: {outcome}"
            spec("SWN-3.1.6.1-other-name-untouched").record(said)
            continue
        listener = Listener(witness, client, outcome.response.context, each)
        listener.async_notify()
        found.append(listener)
    return found
