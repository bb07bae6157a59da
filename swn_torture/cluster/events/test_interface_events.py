"""Interfaces that go down and up: the interface list and the notifications (MS-SWN 3.1.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.protocol import ChangeType, InterfaceState, MessageType
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import name_source, show_as
from swn_torture.casekit.steps.effects import ClusterWatch, wait_until_events_arrive
from swn_torture.casekit.steps.host_nodes import (
    HostNode,
    interface_event,
    make_available,
    make_unavailable,
    other_nodes,
)
from swn_torture.casekit.steps.interface_list import show_states, states_of, wait_for_interfaces
from swn_torture.casekit.steps.listeners import (
    Listener,
    answered_when_called_again,
    drain_notifications,
    end,
    listen,
    versions,
    wait_for_notifications,
    wait_quiet_time,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import InterfaceInfo, WitnessClient
    from swn_torture.casekit.witness import Witness

_EVENT_RULES = (
    "SWN-3.1.4.1-state",
    "SWN-3.1.6.1-lookup",
    "SWN-3.1.6.1-sets-state",
    "SWN-3.1.6.1-queues-change",
    "SWN-V14-3.1.6.1-network-name",
    "SWN-3.1.6.1-change-name",
    "SWN-3.1.6.1-change-state",
    "SWN-3.1.6.1-wake-async",
    "SWN-3.1.6.1-other-ip-untouched",
    "SWN-3.1.6.1-other-name-untouched",
    "SWN-3.1.6.1-repeat-state",
)


@case(
    *_EVENT_RULES,
    needs=("interface-event", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=20,
)
async def test_down_and_up(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An interface goes down and up: its State in the list changes, its registrations are notified."""
    await down_and_up(witness, spec, cluster)


@case(*_EVENT_RULES, needs=("variant:one-group",), lasts=5)
async def test_down_and_up_in_one_group(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """With one InterfaceGroupName for all interfaces, an event changes the interface with its address."""
    witness = await variant("one-group")
    assert witness.cluster is not None
    await down_and_up(witness, spec, witness.cluster)


async def down_and_up(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Take a node's interfaces down, repeat that event, bring them up; check lists and notifications."""
    host = max(await other_nodes(witness, cluster), key=lambda each: len(each.addresses))
    group = host.interfaces[0].group_name
    before = [await witness.interfaces(node) for node in range(len(witness.nodes))]
    client = await witness.connect()
    affected = await listen_for_each(witness, client, host)
    others = [
        await listen(witness, client, version=versions(witness)[-1], ip_address=address)
        for address in states_of(before[0])
        if address not in host.addresses
    ]

    async with ClusterWatch(cluster) as watch:
        await make_unavailable(cluster, host.node)
        await wait_for_notifications(*affected)
        for listener in affected:
            await check_notified(spec, listener, ChangeType.UNAVAILABLE, group)
        await check_states(witness, spec, host, before, InterfaceState.UNAVAILABLE)
        await repeat_unavailable(witness, spec, cluster, host)
        await drain_notifications(*others)
    for listener in others:
        # The cluster may move other addresses when a node goes out of service.
        if listener.address not in watch.touched:
            check_not_notified(
                spec("SWN-3.1.6.1-other-ip-untouched"),
                interface_event(cluster),
                listener,
                notified=bool(listener.notifications_of(MessageType.RESOURCE_CHANGE)),
                expected="no RESOURCE_CHANGE",
                note=f"registered for {listener.address}; {' and '.join(host.addresses)} went down",
            )

    # Register again: a server may drop a registration after it sent UNAVAILABLE (AMB-30).
    await end(*affected, *others)
    affected = await listen_for_each(witness, client, host)
    other_name = await listen_under_another_name(witness, spec, host)
    await make_available(cluster, host.node)
    await wait_for_notifications(*affected)
    await wait_quiet_time(*other_name)

    for listener in affected:
        await check_notified(spec, listener, ChangeType.AVAILABLE, group)
    await check_states(witness, spec, host, before, InterfaceState.AVAILABLE)
    for listener in other_name:
        received = "; ".join(map(str, listener.notifications)) or str(listener.outcome)
        spec("SWN-3.1.6.1-other-name-untouched").record(
            f"registered as {listener.fields['net_name']}: {received}"
        )


async def listen_for_each(witness: Witness, client: WitnessClient, host: HostNode) -> list[Listener]:
    """A registration of each version for each address of a node, with a pending AsyncNotify."""
    return [
        await listen(witness, client, version=version, ip_address=address)
        for address in host.addresses
        for version in versions(witness)
    ]


async def repeat_unavailable(witness: Witness, spec: Spec, cluster: Controller, host: HostNode) -> None:
    """Take the interfaces of a node down again, and record the notifications of the repeated event."""
    repeated = await listen(witness, version=1, ip_address=host.addresses[0])
    await make_unavailable(cluster, host.node)
    if await wait_until_events_arrive(witness, cluster):
        await drain_notifications(repeated)
    else:
        await wait_for_notifications(repeated)
    spec("SWN-3.1.6.1-repeat-state").record(
        f"UNAVAILABLE repeated: {'; '.join(map(str, repeated.notifications)) or 'no notification'}"
    )
    await end(repeated)


async def check_notified(spec: Spec, listener: Listener, change_type: ChangeType, group: str) -> None:
    """Check that the pending call completed with the change of the interface.

    Raises:
        CaseStopped: the server completes a call only after a second AsyncNotify.
    """
    note = f"registered for {listener.address} as {listener.fields['net_name']}, interface of group {group}"
    queued = spec("SWN-3.1.6.1-queues-change", "SWN-V14-3.1.6.1-network-name")
    if listener.outcome == SILENCE and await answered_when_called_again(listener):
        note = f"{note}; an AsyncNotify completes only after a second one is sent"
        spec("SWN-3.1.6.1-wake-async").allows(SILENCE, SUCCESS, note=note)
        raise spec.stop()
    if not queued.allows(listener.outcome or SILENCE, SUCCESS, note=note):
        spec.choice("AMB-12", f"group {group}, NetName {listener.fields['net_name']}: no notification")
        return
    spec("SWN-3.1.6.1-wake-async").allows(listener.outcome or SILENCE, SUCCESS, note=note)
    notification = listener.notification(spec, "SWN-3.1.6.1-queues-change")
    queued.equal(notification.message_type, MessageType.RESOURCE_CHANGE, show=show_as(MessageType), note=note)
    for change in notification.changes[-1:]:
        spec("SWN-3.1.6.1-change-state").equal(
            change.change_type, change_type, show=show_as(ChangeType), note=note
        )
        spec("SWN-3.1.6.1-change-name").equal(change.text, group, note=note)
        spec.choice("AMB-11", name_source(change.text, listener, {group}) or f"another name: {change.text}")
    same = group.casefold() == str(listener.fields["net_name"]).casefold()
    spec.choice("AMB-12", f"notified; the group name {'equals' if same else 'differs from'} the NetName")


async def check_states(
    witness: Witness,
    spec: Spec,
    host: HostNode,
    before: list[tuple[InterfaceInfo, ...]],
    state: InterfaceState,
) -> None:
    """Check that every other node lists the interfaces of a node in this state, and the rest as before.

    Args:
        witness: the target.
        spec: the checks of the case.
        host: the node.
        before: the list of each node before the event; each fills its list in its own manner.
        state: the state that the interfaces of the node have now.

    Raises:
        CaseStopped: GetInterfaceList stays pending at a node.
    """
    for index, node in enumerate(witness.nodes):
        if node.name.casefold() == host.node.casefold():
            continue
        earlier = states_of(before[index])
        expected = {address: int(state) for address in host.addresses if address in earlier}
        rest = {address: state for address, state in earlier.items() if address not in host.addresses}
        listed = await wait_for_states(witness, index, expected | rest)
        note = f"interface list of {node.name}, after {host.node} became {state.name}"
        if not listed and InterfaceState.AVAILABLE not in (expected | rest).values():
            continue  # the node lists no AVAILABLE interface, so that it has to wait
        if not listed:
            spec("SWN-3.1.6.1-lookup").holds(
                False,  # noqa: FBT003 - no list arrived, so the other interfaces are wrong as well
                expected="a list, because the interfaces of other nodes are still AVAILABLE",
                observed="the call stays pending, as if no interface were AVAILABLE",
                note=note,
            )
            raise spec.stop()
        own = {address: listed[address] for address in host.addresses if address in listed}
        others = {address: state for address, state in listed.items() if address not in host.addresses}
        spec("SWN-3.1.4.1-state", "SWN-3.1.6.1-sets-state").equal(own, expected, show=show_states, note=note)
        spec("SWN-3.1.6.1-lookup").equal(others, rest, show=show_states, note=note)


async def wait_for_states(witness: Witness, index: int, expected: dict[str, int]) -> dict[str, int]:
    """The states that a node lists, as soon as they are as expected."""
    return states_of(
        await wait_for_interfaces(witness, lambda found: states_of(found) == expected, node=index)
    )


async def listen_under_another_name(witness: Witness, spec: Spec, host: HostNode) -> list[Listener]:
    """Register under another name of the cluster; record the rejection if the cluster has no other name."""
    fields = {
        "ip_address": host.addresses[0],
        "net_name": f"{witness.net_name}.other.example",
        "client_computer_name": witness.client_name(),
    }
    client = await witness.connect()
    outcome = await outcome_of(client.start(witness.registration(**fields)))
    if outcome != SUCCESS:
        spec("SWN-3.1.6.1-other-name-untouched").record(f"no registration as {fields['net_name']}: {outcome}")
        return []
    listener = Listener(witness, client, outcome.response.context, fields)
    listener.async_notify()
    return [listener]
