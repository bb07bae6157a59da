"""Rundown: registrations after their connections close (C706 5.1.6; MS-RPCE 3.3.3.7.1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SILENCE, also_needs, case
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.steps.listeners import listen, wait_quiet_time
from swn_torture.casekit.steps.octets import contexts, outcome_of_bind, request_octets
from swn_torture.casekit.steps.registering import registrations_of, show_registrations, wait_until_gone

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

#: Connections that the client closes during a call.
CLOSED_MID_CALL = 100
#: Connections that are open at the same time.
AT_A_TIME = 5

each_end = pytest.mark.parametrize(
    "abort", [pytest.param(False, id="fin"), pytest.param(True, id="reset", marks=also_needs("tcp-reset"))]
)


@case("RPC-CTXH-rundown", "SWN-3.1.6.5-delete-on-timeout", needs=(Capability.LIST_REGISTRATIONS,))
@each_end
async def test_last_connection(witness: Witness, cluster: Controller, spec: Spec, abort: bool) -> None:
    """Close all connections of an association: its registrations are deleted, it cannot be joined."""
    expect = witness.expect
    first = await witness.connect()
    group = first.rpc.core.assoc_group
    second = await witness.connect(assoc_group=group)
    address = await witness.address_of(0)
    made = [
        await listen(witness, client, version=1, ip_address=address, async_notify=False)
        for client in (first, second)
    ]
    names = [listener.name for listener in made]
    before = await registrations_of(cluster, *names)

    await first.rpc.close(abort=abort)
    await second.rpc.close(abort=abort)
    left = await wait_until_gone(cluster, names, expect.event_deadline)
    rpc = await witness.rpc()
    joined = await outcome_of_bind(rpc.bind(contexts(witness.syntax), assoc_group=group, **witness.logon()))

    spec("RPC-CTXH-rundown", "SWN-3.1.6.5-delete-on-timeout").holds(
        len(before) == len(names) and not left,
        expected=f"{len(names)} registrations listed before, none afterwards",
        observed=f"{len(before)} listed before, afterwards: {show_registrations(left)}",
    )
    same = joined.result is not None and joined.result.assoc_group == group
    spec("RPC-CTXH-rundown").holds(
        not same,
        expected="a bind with its assoc_group_id is rejected, or gets another association",
        observed=f"the same association: {joined}" if same else joined,
    )
    await witness.check_still_serving(spec)


@case("RPC-CTXH-no-rundown-early")
@each_end
async def test_registering_connection_closes(witness: Witness, spec: Spec, abort: bool) -> None:
    """Close the registering connection, keep another of its association; record AsyncNotify on that one."""
    first = await witness.connect()
    second = await witness.connect(assoc_group=first.rpc.core.assoc_group)
    listener = await listen(witness, first, version=1, async_notify=False)

    await first.rpc.close(abort=abort)
    # Gives the server time for a rundown.
    await witness.check_still_serving(spec)
    listener.client = second
    (outcome,) = await wait_quiet_time(listener)

    spec("RPC-CTXH-no-rundown-early").record(outcome, "AsyncNotify on the other connection")
    valid = outcome == SILENCE
    spec.choice(
        "AMB-28",
        "the handle stays valid while its association exists"
        if valid
        else f"the handle is invalid: {outcome}",
    )


@case("RPC-CTXH-rundown-pending", needs=(Capability.LIST_REGISTRATIONS,))
@each_end
async def test_pending_call(witness: Witness, cluster: Controller, spec: Spec, abort: bool) -> None:
    """Close a connection with AsyncNotify pending: its registrations are deleted, others are served."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    listeners = [
        await listen(witness, client, version=1, ip_address=address, async_notify=False) for _ in range(3)
    ]
    names = [listener.name for listener in listeners]
    await wait_quiet_time(*(listeners if client.rpc.core.multiplexed else listeners[:1]))

    await client.rpc.close(abort=abort)
    left = await wait_until_gone(cluster, names, expect.event_deadline)

    spec("RPC-CTXH-rundown-pending").holds(
        not left, expected="none listed", observed=show_registrations(left), note="registrations afterwards"
    )
    await witness.check_still_serving(spec, "RPC-CTXH-rundown-pending")


@case("RPC-CONNECTION-close-mid-call", needs=(Capability.LIST_REGISTRATIONS,), lasts=10)
@each_end
async def test_close_before_the_answer(
    witness: Witness,
    cluster: Controller,
    spec: Spec,
    abort: bool,
) -> None:
    """100 clients register and close before the response: no registration stays, others are served."""
    expect = witness.expect
    address = await witness.address_of(0)
    requests = [witness.registration(ip_address=address) for _ in range(CLOSED_MID_CALL)]
    gate = asyncio.Semaphore(AT_A_TIME)

    async def register_and_close(number: int) -> None:
        async with gate:
            client = await witness.connect()
            (octets,) = request_octets(client, requests[number])
            # Every fourth client sends only half of the request.
            client.rpc.write(octets if number % 4 else octets[: len(octets) // 2])
            await client.rpc.close(abort=abort)

    await asyncio.gather(*map(register_and_close, range(CLOSED_MID_CALL)))
    names = [str(request.client_computer_name) for request in requests]
    await wait_until_gone(cluster, names, expect.event_deadline)
    await witness.check_still_serving(spec, "RPC-CONNECTION-close-mid-call")
    # Once more: the server may have read a request only after the first look.
    left = await wait_until_gone(cluster, names, expect.event_deadline)

    spec("RPC-CONNECTION-close-mid-call").holds(
        not left, expected="none listed", observed=show_registrations(left), note="registrations afterwards"
    )
