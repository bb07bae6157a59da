"""Failures of the witness service alone: it hangs, or a process of it ends. The cluster need not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.cluster import Failure
from swn_torture.casekit.protocol import GetInterfaceListRequest, MessageType
from swn_torture.casekit.steps.host_nodes import destination, index_of, other_nodes
from swn_torture.casekit.steps.listeners import listen, wait_past
from swn_torture.casekit.steps.registering import (
    forget,
    methods_of,
    registrations_of,
    show_registrations,
    succeeded,
    wait_until_gone,
    with_handle,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

_NEEDS = ("move-client", "list-nodes", "two-nodes")

#: Connections to one node, more than a service is likely to put into one process.
_CONNECTIONS = 6


@case(
    "SWN-3.1.4.1-returns-success",
    "SWN-3.1.4.2-returns-success",
    "SWN-3.1.4.5-returns-success",
    "SWN-3.1.6.2-wake",
    needs=("all-failures", "fail-hang-service", *_NEEDS),
    disturbs=True,
    lasts=40,
    apart="failing",
)
async def test_service_hangs(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The service of one node hangs and goes on: other nodes serve meanwhile; its clients are moved later."""
    (host, *_) = await other_nodes(witness, cluster)
    index, expect = index_of(witness, host.node), witness.expect
    address = await witness.address_of(0)
    waiting = await listen(witness, await witness.connect(index), version=1, ip_address=address)
    where = await destination(witness, cluster, other_than=address)

    await cluster.fail(host.node, Failure.HANG_SERVICE)
    if waiting.client.rpc.core.multiplexed:
        silent = await outcome_of(waiting.client.start(GetInterfaceListRequest()), expect.quiet_time)
        spec("SWN-3.1.4.1-returns-success").record(
            silent, f"GetInterfaceList at {host.node}, whose service hangs"
        )
    other = await witness.connect()
    listed = await outcome_of(other.start(GetInterfaceListRequest()), expect.reply_deadline)
    note = f"at {witness.nodes[0].name}, while the service of {host.node} hangs"
    spec("SWN-3.1.4.1-returns-success").allows(listed, SUCCESS, note=f"GetInterfaceList {note}")
    for method in methods_of(witness):
        reply = await method.reply(witness, other, ip_address=address)
        spec(method.rule("returns-success")).holds(
            succeeded(reply),
            expected="ERROR_SUCCESS (0x0) with a handle",
            observed=with_handle(reply),
            note=note,
        )
        await forget(witness, other, reply)

    await cluster.recover(host.node)
    if waiting.client.rpc.closed.is_set():
        spec("SWN-3.1.6.2-wake").record("the connection was closed", f"registered at {host.node}")
        return
    await cluster.move_client(waiting.name, where.node)
    outcome = await wait_past(waiting, MessageType.RESOURCE_CHANGE)
    spec("SWN-3.1.6.2-wake").allows(
        outcome, SUCCESS, note=f"AsyncNotify was pending while the service of {host.node} hung"
    )


@case(
    "SWN-3.1.4.2-returns-success",
    "SWN-3.1.4.5-returns-success",
    "SWN-3.1.6.2-wake",
    "SWN-3.1.6.5-delete-on-timeout",
    needs=("all-failures", "fail-kill-worker", "list-registrations", *_NEEDS),
    disturbs=True,
    lasts=40,
    apart="failing",
)
async def test_process_of_the_service_ends(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """One process of a service is killed: its registrations are gone, the others are moved as before."""
    (host, *_) = await other_nodes(witness, cluster)
    index, address = index_of(witness, host.node), await witness.address_of(0)
    where = await destination(witness, cluster, other_than=address)
    listeners = [
        await listen(witness, await witness.connect(index), version=1, ip_address=address)
        for _ in range(_CONNECTIONS)
    ]

    await cluster.fail(host.node, Failure.KILL_WORKER)
    witness.forget_ports()
    for listener in listeners:
        await listener.wait_for_notifications(witness.expect.quiet_time)
    lost = [each for each in listeners if each.client.rpc.closed.is_set()]
    spec("SWN-3.1.6.5-delete-on-timeout").record(
        "all connections ended" if len(lost) == len(listeners) else "other connections did not end",
        f"one process was killed at {host.node}",
    )
    left = await wait_until_gone(cluster, [each.name for each in lost], witness.expect.reply_deadline)
    spec("SWN-3.1.6.5-delete-on-timeout").holds(
        not left,
        expected="no registration of a connection that ended",
        observed=show_registrations(left),
        note=f"one process of the witness service of {host.node} was killed",
    )
    client = await witness.connect(index)
    for method in methods_of(witness):
        reply = await method.reply(witness, client, ip_address=address)
        spec(method.rule("returns-success")).holds(
            succeeded(reply),
            expected="ERROR_SUCCESS (0x0) with a handle",
            observed=with_handle(reply),
            note=f"registration at {host.node} after a process of its service was killed",
        )
        await forget(witness, client, reply)

    for listener in listeners:
        if listener not in lost and await registrations_of(cluster, listener.name):
            await cluster.move_client(listener.name, where.node)
            outcome = await wait_past(listener, MessageType.RESOURCE_CHANGE)
            spec("SWN-3.1.6.2-wake").allows(
                outcome, SUCCESS, note=f"registered at another process of {host.node} than the killed one"
            )
        elif listener not in lost:
            spec("SWN-3.1.6.2-wake").record(listener.outcome or SILENCE, "connected, but not listed any more")
