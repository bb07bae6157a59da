"""Interfaces that go down and come up: what the list says, and who hears of it (MS-SWN 3.1.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, case, outcome_of
from swn_torture.casekit.protocol import ChangeType, InterfaceState, MessageType
from swn_torture.casekit.rules.notification_rules import name_form, naming
from swn_torture.casekit.steps.host_nodes import HostNode, bring_up, destinations, take_down
from swn_torture.casekit.steps.interface_list import interfaces_until, show_states, states_of
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
    Listener,
    answered_when_called_again,
    drain_notifications,
    listen,
    versions,
    wait_for_notifications,
    wait_quiet_time,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import InterfaceInfo
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
    """An interface that goes down and comes up changes in the list, and those who registered for it hear."""
    await down_and_up(witness, spec, cluster)


@case(*_EVENT_RULES, needs=("variant:one-group",), lasts=5)
async def test_down_and_up_in_one_group(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """The same where all interfaces have one group name: its address tells which interface is meant."""
    witness = await variant("one-group")
    assert witness.cluster is not None
    await down_and_up(witness, spec, witness.cluster)


async def down_and_up(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Take an interface down, announce that again, bring it up; lists and listeners are watched."""
    here = await witness.address_of(0)
    host = max(await destinations(witness, cluster, other_than=here), key=lambda each: len(each.addresses))
    before = await witness.interfaces()
    affected = [
        await listen(witness, version=version, ip_address=address)
        for address in host.addresses
        for version in versions(witness)
    ]
    others = [
        await listen(witness, version=versions(witness)[-1], ip_address=address)
        for address in states_of(before)
        if address not in host.addresses
    ]

    await take_down(cluster, host.node)
    await wait_for_notifications(*affected)

    group = host.interfaces[0].group_name
    for listener in affected:
        await check_told(spec, listener, ChangeType.UNAVAILABLE, group)
    await check_states(witness, spec, host, before, InterfaceState.UNAVAILABLE)
    repeated = await listen(witness, version=1, ip_address=host.addresses[0])
    await take_down(cluster, host.node)
    await drain_notifications(repeated, *others)
    spec("SWN-3.1.6.1-repeat-state").record(
        f"UNAVAILABLE announced once more: {'; '.join(map(str, repeated.notified)) or 'nothing is told'}"
    )
    for listener in others:
        spec("SWN-3.1.6.1-other-ip-untouched").holds(
            not listener.notifications_of(MessageType.RESOURCE_CHANGE),
            expected="no RESOURCE_CHANGE",
            observed="; ".join(map(str, listener.notified)) or listener.outcome,
            note=f"registered for {listener.address}, while {' and '.join(host.addresses)} went down",
        )

    # New registrations, for a server may drop one that it has told of UNAVAILABLE (AMB-30).
    affected = [
        await listen(witness, version=version, ip_address=address)
        for address in host.addresses
        for version in versions(witness)
    ]
    other_name = await listen_under_another_name(witness, spec, host)
    await bring_up(cluster, host.node)
    await wait_for_notifications(*affected)
    await wait_quiet_time(*other_name)

    for listener in affected:
        await check_told(spec, listener, ChangeType.AVAILABLE, group)
    await check_states(witness, spec, host, before, InterfaceState.AVAILABLE)
    for listener in other_name:
        notified = "; ".join(map(str, listener.notified)) or str(listener.outcome)
        spec("SWN-3.1.6.1-other-name-untouched").record(
            f"registered as {listener.fields['net_name']}: {notified}"
        )


async def check_told(spec: Spec, listener: Listener, change_type: ChangeType, group: str) -> None:
    """A registration was told of a change of its interface, by the call that was outstanding."""
    note = f"registered for {listener.address} as {listener.fields['net_name']}, interface of group {group}"
    queued = spec("SWN-3.1.6.1-queues-change", "SWN-V14-3.1.6.1-network-name")
    if listener.outcome == SILENCE and await answered_when_called_again(listener):
        spec("SWN-3.1.6.1-wake-async").allows(SILENCE, SUCCESS, note=f"{note}; answered after a second call")
        raise spec.stop()
    if not queued.allows(listener.outcome or SILENCE, SUCCESS, note=note):
        spec.choice("AMB-12", f"group {group}, NetName {listener.fields['net_name']}: nothing is told")
        return
    spec("SWN-3.1.6.1-wake-async").allows(listener.outcome or SILENCE, SUCCESS, note=note)
    notification = listener.notification(spec, "SWN-3.1.6.1-queues-change")
    queued.equal(notification.message_type, MessageType.RESOURCE_CHANGE, show=naming(MessageType), note=note)
    for change in notification.changes[-1:]:
        spec("SWN-3.1.6.1-change-state").equal(
            change.change_type, change_type, show=naming(ChangeType), note=note
        )
        spec("SWN-3.1.6.1-change-name").equal(change.text, group, note=note)
        spec.choice("AMB-11", name_form(change.text, listener, {group}) or f"another name: {change.text}")
    same = group.casefold() == str(listener.fields["net_name"]).casefold()
    spec.choice("AMB-12", f"told, the group name being {'equal to' if same else 'other than'} the NetName")


async def check_states(
    witness: Witness, spec: Spec, host: HostNode, before: tuple[InterfaceInfo, ...], state: InterfaceState
) -> None:
    """Every other node lists the interfaces of a node in this state, and the rest as before."""
    wanted = {**states_of(before), **dict.fromkeys(host.addresses, int(state))}
    rest = {address: state for address, state in wanted.items() if address not in host.addresses}
    for index, node in enumerate(witness.nodes):
        if node.name.casefold() == host.node.casefold():
            continue
        listed = states_of(
            await interfaces_until(witness, lambda notified: states_of(notified) == wanted, node=index)
        )
        note = f"as {node.name} tells it, after {host.node} became {state.name}"
        if not listed:
            spec("SWN-3.1.6.1-lookup").holds(
                False,  # noqa: FBT003 - the other interfaces are concerned, too
                expected="an answer, for the interfaces of other nodes are still AVAILABLE",
                observed="no answer, as while no interface is AVAILABLE",
                note=note,
            )
            raise spec.stop()
        own = {address: listed[address] for address in host.addresses if address in listed}
        others = {address: state for address, state in listed.items() if address not in host.addresses}
        spec("SWN-3.1.4.1-state", "SWN-3.1.6.1-sets-state").equal(
            own, {address: int(state) for address in host.addresses}, show=show_states, note=note
        )
        spec("SWN-3.1.6.1-lookup").equal(others, rest, show=show_states, note=note)


async def listen_under_another_name(witness: Witness, spec: Spec, host: HostNode) -> list[Listener]:
    """The same under another name of the cluster, if it has one; who has not says so."""
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
    listener.ask()
    return [listener]
