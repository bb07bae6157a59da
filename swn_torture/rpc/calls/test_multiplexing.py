"""Several calls at a time, on one connection and on many (MS-RPCE 3.3.1.5.8, 3.3.3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, case, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import GetInterfaceListRequest, UnRegisterRequest
from swn_torture.casekit.steps.listeners import SUCCESS, listen
from swn_torture.casekit.steps.octets import contexts
from swn_torture.casekit.transport import AuthLevel, DeadlineExceeded, PfcFlags
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import WitnessClient
    from swn_torture.casekit.steps.listeners import Listener
    from swn_torture.casekit.witness import Witness

ON_ONE_CONNECTION = 64
CONNECTIONS = 200
#: Connections that are opened at a time.
AT_A_TIME = 16


async def _multiplexed(witness: Witness) -> WitnessClient:
    """A connection on which several calls may be outstanding."""
    client = await witness.connect()
    if not client.rpc.core.multiplexed:
        raise NotTestable("the server does not confirm PFC_CONC_MPX: one call at a time on a connection")
    return client


@case("RPC-MPX-negotiate")
async def test_negotiation(witness: Witness, spec: Spec) -> None:
    """A bind that asks for concurrent multiplexing: whether bind_ack confirms it."""
    for level in (AuthLevel.NONE, AuthLevel.INTEGRITY):
        rpc = await witness.rpc()
        bound = await rpc.bind(contexts(witness.syntax), **witness.logon(level=level))
        flags = bound.bind_ack.flags
        confirmed = "confirmed" if flags & PfcFlags.CONC_MPX else "not confirmed"
        spec("RPC-MPX-negotiate").record(f"pfc_flags 0x{flags:02X}: {confirmed}", f"level {level.name}")
    await witness.check_still_serving(spec)


@case("RPC-MPX-parallel-calls", syntaxes="both")
async def test_calls_beside_a_pending_one(witness: Witness, spec: Spec) -> None:
    """While AsyncNotify is outstanding, other calls on the same connection are answered."""
    expect = witness.expect
    client = await _multiplexed(witness)
    address = await witness.address_of(0)
    spare = await witness.register(client, ip_address=address)
    pending = (await listen(witness, client, version=1, ip_address=address)).ask()

    calls = {
        "GetInterfaceList": client.start(GetInterfaceListRequest()),
        "Register": client.start(witness.registration(ip_address=address)),
        "UnRegister": client.start(UnRegisterRequest(spare)),
    }
    outcomes = await asyncio.gather(*(outcome_of(call, expect.reply_deadline) for call in calls.values()))

    state = "has ended" if pending.done() else "is outstanding"
    for name, outcome in zip(calls, outcomes, strict=True):
        spec("RPC-MPX-parallel-calls").allows(outcome, SUCCESS, note=f"{name}, while AsyncNotify {state}")


@case(
    "RPC-MPX-out-of-order",
    "SWN-3.1.4.4-concurrent-registrations",
    needs=("two-nodes", Capability.MOVE_CLIENT),
    syntaxes="both",
)
async def test_answers_in_another_order(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Two AsyncNotify are outstanding, the event of the second comes first: so does its answer."""
    expect = witness.expect
    client = await _multiplexed(witness)
    address = await witness.address_of(0)
    first = await listen(witness, client, version=1, ip_address=address)
    second = await listen(witness, client, version=1, ip_address=address)

    await cluster.move_client(second.name, witness.nodes[1].name)
    outcome_2 = await second.wait_for_notifications(expect.event_deadline)
    outstanding = not first.ask().done()
    await cluster.move_client(first.name, witness.nodes[1].name)
    outcome_1 = await first.wait_for_notifications(expect.event_deadline)

    rule = spec("RPC-MPX-out-of-order", "SWN-3.1.4.4-concurrent-registrations")
    rule.allows(outcome_2, SUCCESS, note="the second call, at its event")
    rule.holds(
        outstanding,
        expected="the first call is outstanding",
        observed="the first call is outstanding" if outstanding else f"it has ended: {outcome_1}",
        note="when the second call was answered",
    )
    rule.allows(outcome_1, SUCCESS, note="the first call, at its own event")


@case("RPC-MPX-not-negotiated")
async def test_without_multiplexing(witness: Witness, spec: Spec) -> None:
    """On a connection without multiplexing a request follows while AsyncNotify is outstanding."""
    expect = witness.expect
    client = await witness.connect(multiplex=False)
    pending = client.async_notify(await witness.register(client))

    outcome = await outcome_of(client.start(GetInterfaceListRequest()), expect.quiet_time)

    try:
        await client.rpc.wait_closed(expect.quiet_time)
        connection = "closed"
    except DeadlineExceeded:
        connection = "open"
    spec("RPC-MPX-not-negotiated").record(
        f"GetInterfaceList: {outcome}; AsyncNotify {'ended' if pending.done() else 'outstanding'};"
        f" connection {connection}"
    )
    await witness.check_still_serving(spec)


async def _many(witness: Witness, name: str, address: str) -> list[Listener]:
    """As many calls on as many connections as are registered for one client."""
    shared = await _multiplexed(witness)
    listeners = [
        await listen(witness, shared, version=1, ip_address=address, client_computer_name=name)
        for _ in range(ON_ONE_CONNECTION)
    ]
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one() -> Listener:
        async with gate:
            return await listen(witness, version=1, ip_address=address, client_computer_name=name)

    return listeners + await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


@case("RPC-MPX-many-calls", needs=("two-nodes", Capability.MOVE_CLIENT), lasts=15)
async def test_many_calls(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """64 calls on one connection and 200 on one each: how many are outstanding, how many one event ends."""
    expect = witness.expect
    name = witness.client_name()
    listeners = await _many(witness, name, await witness.address_of(0))
    watched = await asyncio.gather(*(outcome_of(one.ask(), expect.quiet_time) for one in listeners))

    waiting = [asyncio.ensure_future(outcome_of(one.ask(), expect.event_deadline)) for one in listeners]
    await cluster.move_client(name, witness.nodes[1].name)
    # Who is told of the event is told with the others, or not at all.
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(waiting, timeout=expect.quiet_time)
    ended = [task.result() if task.done() else SILENCE for task in waiting]
    for task in waiting:
        task.cancel()

    shared, own = slice(None, ON_ONE_CONNECTION), slice(ON_ONE_CONNECTION, None)
    for part, what in ((shared, "on one connection"), (own, "on a connection each")):
        spec("RPC-MPX-many-calls").record(
            f"{watched[part].count(SILENCE)} of {len(listeners[part])} outstanding,"
            f" {ended[part].count(SUCCESS)} answered by one event",
            what,
        )
    await witness.check_still_serving(spec)


@case("RPC-CONN-independent")
async def test_other_connections(witness: Witness, spec: Spec) -> None:
    """While AsyncNotify is outstanding on one connection, another connection is served."""
    await listen(witness, version=1)

    await witness.check_still_serving(spec, "RPC-CONN-independent")
