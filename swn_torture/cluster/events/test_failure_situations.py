"""Failures at awkward moments: several at once, in fast succession, at the own node, during a move.

Each case checks what the text demands: states and names, no event lost and none invented, dead registrations
gone, new registrations possible (MS-SWN 3.1.3, 3.1.6). What the text leaves open is recorded.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.cluster import Capability, Failure
from swn_torture.casekit.protocol import ChangeType, MessageType
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.effects import wait_until_events_arrive
from swn_torture.casekit.steps.host_nodes import (
    destinations,
    index_of,
    make_available,
    make_unavailable,
    other_nodes,
    unaffected_address,
)
from swn_torture.casekit.steps.interface_list import listed_and_hosted_states, show_states
from swn_torture.casekit.steps.listeners import (
    Listener,
    drain_notifications,
    end,
    listen,
    wait_for_notifications,
    wait_past,
)
from swn_torture.casekit.steps.registering import (
    NOT_FOUND,
    forget,
    methods_of,
    registrations_of,
    show_registrations,
    succeeded,
    with_handle,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Collection

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.steps.host_nodes import HostNode
    from swn_torture.casekit.witness import Witness

_CHANGE_RULES = ("SWN-3.1.6.1-queues-change", "SWN-3.1.6.1-change-state", "SWN-3.1.6.1-wake-async")

#: Changes of the flapping interface; the last one is AVAILABLE.
_FLAPS = 10

#: Registrations that are sent while a node leaves.
_REGISTRATIONS = 4


@case(
    "SWN-3.1.6.1-queues-change",
    "SWN-3.1.6.1-change-state",
    "SWN-3.1.6.1-sets-state",
    "SWN-3.1.4.1-state",
    needs=("all-failures", "fail-crash", "list-nodes", "three-nodes"),
    disturbs=True,
    lasts=60,
    apart="failing",
)
async def test_two_nodes_fail_at_once(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Two nodes fail at once, in a cluster of three the last others: clients of both are notified."""
    hosts = (await other_nodes(witness, cluster))[:2]
    if len(hosts) < 2:
        raise NotTestable("fewer than two other nodes have only AVAILABLE interfaces")
    affected = {host.node: await listen(witness, ip_address=host.addresses[0]) for host in hosts}

    await asyncio.gather(*(cluster.fail(host.node, Failure.CRASH) for host in hosts))
    await wait_for_notifications(*affected.values())
    for node, listener in affected.items():
        check_first_change(spec, listener, ChangeType.UNAVAILABLE, f"registered for an address of {node}")
    await check_list(witness, spec, cluster, hosts, "both failed")

    for host in hosts:
        await cluster.recover(host.node)
    await check_list(witness, spec, cluster, hosts, "both recovered")
    for node, listener in affected.items():
        await drain_notifications(listener)
        spec("SWN-3.1.6.1-queues-change").record(listener.received, f"all about an address of {node}")


def check_first_change(spec: Spec, listener: Listener, state: ChangeType, note: str) -> None:
    """Check that AsyncNotify was completed by RESOURCE_CHANGE, and the state of its first change."""
    outcome = listener.outcome or SILENCE
    # A server that queues no change for this client has nothing to wake it for (AMB-12).
    if not spec("SWN-3.1.6.1-queues-change").allows(outcome, SUCCESS, note=note):
        return
    notification = listener.notification(spec, "SWN-3.1.6.1-queues-change")
    if spec("SWN-3.1.6.1-queues-change").holds(
        notification.message_type == MessageType.RESOURCE_CHANGE and bool(notification.changes),
        expected="RESOURCE_CHANGE",
        observed=notification,
        note=note,
    ):
        spec("SWN-3.1.6.1-change-state").equal(
            notification.changes[0].change_type, state, show=show_as(ChangeType), note=note
        )


async def check_list(
    witness: Witness, spec: Spec, cluster: Controller, hosts: tuple[HostNode, ...], event: str
) -> None:
    """Check that the list has each address of some nodes AVAILABLE if a node hosts it, else UNAVAILABLE."""
    addresses = [address for host in hosts for address in host.listed_addresses]
    listed, hosted = await listed_and_hosted_states(witness, cluster, addresses, may_wait=True)
    names = " and ".join(host.node for host in hosts)
    spec("SWN-3.1.6.1-sets-state", "SWN-3.1.4.1-state").equal(
        listed,
        hosted,
        show=show_states,
        note=f"interface list of {witness.nodes[0].name}, {names}: {event}",
    )


@case(
    "SWN-3.1.3-registrations-empty",
    "SWN-3.1.4.2-returns-success",
    "SWN-3.1.4.5-returns-success",
    needs=("all-failures", "fail-crash", "list-nodes", "list-registrations", "two-nodes"),
    disturbs=True,
    lasts=40,
    apart="failing",
)
async def test_node_of_the_registration_fails(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The node of a registration fails: it is not listed afterwards, and the client registers elsewhere."""
    (host, *_) = await other_nodes(witness, cluster)
    address = await witness.address_of(0)
    dead = await listen(witness, await witness.connect(index_of(witness, host.node)), ip_address=address)

    await cluster.fail(host.node, Failure.CRASH)
    ended = await outcome_of(dead.async_notify(), witness.expect.reply_deadline)
    spec("SWN-3.1.3-registrations-empty").record(ended, f"the call that was pending when {host.node} failed")
    during = await registrations_of(cluster, dead.name)
    spec("SWN-3.1.3-registrations-empty").record(
        show_registrations(during), f"listed while {host.node} is down"
    )
    client = await witness.connect()
    for method in methods_of(witness):
        reply = await method.reply(witness, client, ip_address=address, client_computer_name=dead.name)
        spec(method.rule("returns-success")).holds(
            succeeded(reply),
            expected="ERROR_SUCCESS (0x0) with a handle",
            observed=with_handle(reply),
            note=f"the same client registers at {witness.nodes[0].name} while {host.node} is down",
        )
        await forget(witness, client, reply)

    await cluster.recover(host.node)
    left = [view for view in await registrations_of(cluster, dead.name) if view.key == dead.key]
    spec("SWN-3.1.3-registrations-empty").holds(
        not left,
        expected="the registration from before the failure is not listed",
        observed=show_registrations(tuple(left)),
        note=f"{host.node} has started again",
    )


@case(
    "SWN-3.1.6.2-set-move",
    needs=("all-failures", "fail-crash", "move-client", "list-nodes", "three-nodes"),
    disturbs=True,
    lasts=40,
    apart="failing",
)
async def test_destination_of_a_move_fails(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The destination of a client move fails before it is told: it gets this move, and can be moved again."""
    first, *others = await other_nodes(witness, cluster)
    address = await unaffected_address(witness, first)
    second = next((each for each in others if address not in each.addresses), None)
    if address is None or second is None:
        raise NotTestable("the interface list has too few nodes for two destinations")
    # Version 1, because no timer removes such a registration (AMB-14).
    listener = await listen(witness, version=1, ip_address=address, async_notify=False)

    await cluster.move_client(listener.name, first.node)
    await cluster.fail(first.node, Failure.CRASH)
    await wait_past(listener, MessageType.RESOURCE_CHANGE)
    note = "it failed after the move, before AsyncNotify"
    if listener.outcome == SUCCESS and listener.outcome.response.response is None:
        # The notification lists the available interfaces of the destination (MS-SWN 3.1.4.4). If there are
        # none, the text does not say what the server returns.
        spec("SWN-3.1.6.2-set-move").record(listener.outcome, note)
    else:
        check_moved(spec, listener, first, first.addresses, note)

    # Registered again: some servers remove a registration soon after a move (AMB-30).
    await end(listener)
    again = await listen(witness, version=1, ip_address=address, client_computer_name=listener.name)
    await cluster.move_client(again.name, second.node)
    await wait_past(again, MessageType.RESOURCE_CHANGE)
    # The nodes may have taken over the addresses of the one that failed.
    both = {*first.addresses, *second.addresses}
    check_moved(spec, again, second, both, f"registered again and moved again, while {first.node} is down")


def check_moved(spec: Spec, listener: Listener, host: HostNode, allowed: Collection[str], note: str) -> None:
    """Check that the last notification is a CLIENT_MOVE to a node.

    Args:
        spec: the checks of the case.
        listener: the registration that was moved.
        host: the destination, with the interfaces that it had before the failure.
        allowed: the addresses that it may have now.
        note: what has happened.
    """
    if not spec("SWN-3.1.6.2-set-move").allows(listener.outcome or SILENCE, SUCCESS, note=note):
        return
    found = listener.notification(spec, "SWN-3.1.6.2-set-move")
    spec("SWN-3.1.6.2-set-move").holds(
        found.message_type == MessageType.CLIENT_MOVE and set(found.addresses) <= set(allowed),
        expected=f"CLIENT_MOVE to {host.node}, with addresses of {', '.join(sorted(allowed))}",
        observed=found,
        note=note,
    )


@case(
    *_CHANGE_RULES,
    needs=("all-failures", "disable-node", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
    apart="failing",
)
async def test_registrations_while_a_node_leaves(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Clients register for an address while its node leaves; all are notified when the node returns."""
    (host, *_) = await other_nodes(witness, cluster)
    address = host.addresses[0]
    listeners: list[Listener] = []

    async def register() -> None:
        # One after the other, so that they are spread over the time that the node needs to leave. Each has a
        # connection of its own, on which no other call waits.
        while len(listeners) < _REGISTRATIONS:
            listeners.append(await listen(witness, version=1, ip_address=address))

    await asyncio.gather(cluster.disable(host.node), register())
    for outcome, listener in zip(await drain_notifications(*listeners), [*listeners], strict=True):
        if outcome == NOT_FOUND:
            spec.choice("AMB-30", "a registration is dropped after UNAVAILABLE was sent")
            listeners.remove(listener)
    # A registration that was told nothing may have been made after the node had left.
    told = [bool(listener.notifications) for listener in listeners]
    how_many = "all" if all(told) else "some" if any(told) else "none"
    spec("SWN-3.1.6.1-queues-change").record(
        f"{how_many} were told of the departure of {host.node}",
        "registrations that were made while it left",
    )

    await cluster.enable(host.node)
    await asyncio.gather(*map(wait_until_available, listeners))
    for number, listener in enumerate(listeners, 1):
        states = listener.states_notified
        # The rules about what is sent say nothing of a server that queues no change for this client (AMB-12).
        rules = _CHANGE_RULES if states else ("SWN-3.1.6.1-queues-change",)
        spec(*rules).holds(
            states[-1:] == [ChangeType.AVAILABLE],
            expected="RESOURCE_CHANGE, AVAILABLE (0x1), as the last state",
            observed=listener.received,
            note=f"registration {number} of {len(listeners)} for {address}; {host.node} is in service again",
        )


async def wait_until_available(listener: Listener) -> None:
    """Call AsyncNotify until the last state that a registration was told is AVAILABLE, or none completes."""
    for _ in range(_FLAPS):
        if listener.states_notified[-1:] == [ChangeType.AVAILABLE]:
            return
        (outcome,) = await wait_for_notifications(listener)
        if outcome != SUCCESS:
            return


@case(
    "SWN-3.1.1.3-pending-changes-list",
    "SWN-3.1.4.4-change-order",
    "SWN-3.1.6.1-change-state",
    "SWN-3.1.6.1-queues-change",
    needs=("all-failures", "interface-event", "move-client", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
    apart="failing",
)
async def test_flapping_interface(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An interface changes ten times in a few seconds: the states alternate, and the last is AVAILABLE."""
    (host, *_) = await other_nodes(witness, cluster)
    calling = await listen(witness, version=1, ip_address=host.addresses[0])
    silent = await listen(witness, version=1, ip_address=host.addresses[0], async_notify=False)
    over = asyncio.Event()

    async def call_again() -> None:
        while not over.is_set() and calling.outcome in {None, SUCCESS, SILENCE}:
            await calling.wait_for_notifications(witness.expect.quiet_time)

    calls = asyncio.create_task(call_again())
    for number in range(_FLAPS):
        change = make_available if number % 2 else make_unavailable
        await change(cluster, host.node)
    arrived = await wait_until_events_arrive(witness, cluster)
    over.set()
    await calls
    await drain_notifications(calling, silent)
    if not arrived:
        raise NotTestable("it was not seen when the last change took effect")

    if not calling.notifications and not silent.notifications and calling.outcome == SILENCE:
        # The rules about what is sent say nothing of a server that queues no change for this client (AMB-12).
        spec("SWN-3.1.6.1-queues-change").allows(SILENCE, SUCCESS, note=f"{_FLAPS} changes")
        return
    exact = cluster.can(Capability.INTERFACE_STATE)
    if exact and NOT_FOUND not in {calling.outcome, silent.outcome}:
        # What the cluster told the server, the one shows for the other.
        spec("SWN-3.1.1.3-pending-changes-list").equal(
            silent.states_notified,
            calling.states_notified,
            show=show_sequence,
            note="AsyncNotify only after all changes; expected is what another registration was told at once",
        )
    for listener, note in ((calling, "AsyncNotify pending all the time"), (silent, "AsyncNotify afterwards")):
        states = listener.states_notified
        if not states and listener.outcome == NOT_FOUND:
            continue  # removed unused, or after its first notification (AMB-14, AMB-30)
        shown = show_sequence(states) if states else listener.outcome
        told = f"all {_FLAPS} changes" if len(states) == _FLAPS else f"fewer than {_FLAPS} changes"
        spec("SWN-3.1.6.1-queues-change").record(told, note)
        gone = listener.outcome == NOT_FOUND
        spec("SWN-3.1.6.1-change-state", "SWN-3.1.1.3-pending-changes-list").holds(
            gone or states[-1:] == [ChangeType.AVAILABLE],
            expected="AVAILABLE as the last state",
            observed=shown,
            note=note,
        )
        if exact:
            repeated = sum(one == other for one, other in itertools.pairwise(states))
            spec("SWN-3.1.4.4-change-order").holds(
                states[:1] == [ChangeType.UNAVAILABLE] and not repeated and len(states) <= _FLAPS,
                expected=f"UNAVAILABLE, AVAILABLE and so on, at most {_FLAPS} changes",
                observed=shown,
                note=note,
            )


def show_sequence(states: Any) -> str:
    """States in their order as text for a report."""
    return " ".join(show_as(ChangeType)(state) for state in states) or "none"


@case(
    "SWN-3.1.4.2-returns-success",
    "SWN-3.1.4.5-returns-success",
    "SWN-3.1.6.2-match-client",
    needs=("all-failures", "restart-service", "move-client", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=40,
    apart="failing",
)
async def test_rolling_restart(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """All services restart one by one, with clients at each: each client registers again, and is moved."""
    address = await witness.address_of(0)
    names = {node.name: witness.client_name() for node in witness.nodes}
    listeners = {
        index: await listen(
            witness,
            await witness.connect(index),
            version=1,
            ip_address=await witness.address_of(index),
            client_computer_name=names[node.name],
        )
        for index, node in enumerate(witness.nodes)
    }
    for index, node in enumerate(witness.nodes):
        await cluster.restart(node.name)
        witness.forget_ports()
        client = await witness.connect(index)
        fields: dict[str, Any] = {
            "ip_address": await witness.address_of(index),
            "client_computer_name": names[node.name],
        }
        for method in methods_of(witness):
            reply = await method.reply(witness, client, **fields)
            spec(method.rule("returns-success")).holds(
                succeeded(reply),
                expected="ERROR_SUCCESS (0x0) with a handle",
                observed=with_handle(reply),
                note=f"registration at {node.name} after its restart",
            )
            await forget(witness, client, reply)
        listeners[index] = await listen(witness, client, version=1, **fields)

    hosts = await destinations(witness, cluster, other_than=address)
    for listener in listeners.values():
        await cluster.move_client(listener.name, hosts[0].node)
    for index, listener in listeners.items():
        outcome = await wait_past(listener, MessageType.RESOURCE_CHANGE)
        note = f"registered at {witness.nodes[index].name} after its restart; the other nodes restarted, too"
        spec("SWN-3.1.6.2-match-client").allows(outcome, SUCCESS, note=note)
