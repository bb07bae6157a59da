"""Concurrent calls on one connection and on many (MS-RPCE 3.3.1.5.8, 3.3.3)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import GetInterfaceListRequest, UnRegisterRequest
from swn_torture.casekit.steps.listeners import end, listen
from swn_torture.casekit.steps.octets import contexts
from swn_torture.casekit.transport import AuthLevel, DeadlineExceeded, PfcFlags, RpcError
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import WitnessClient
    from swn_torture.casekit.steps.listeners import Listener
    from swn_torture.casekit.witness import Witness

ON_ONE_CONNECTION = 64
CONNECTIONS = 200
#: Connections that are opened at the same time.
AT_A_TIME = 16


async def _multiplexed(witness: Witness) -> WitnessClient:
    """A connection that allows several outstanding calls.

    Raises:
        NotTestable: the server does not confirm PFC_CONC_MPX.
    """
    client = await witness.connect()
    if not client.rpc.core.multiplexed:
        raise NotTestable("the server does not confirm PFC_CONC_MPX: a connection allows one call at a time")
    return client


@case("RPC-MPX-negotiate")
async def test_negotiation(witness: Witness, spec: Spec) -> None:
    """Bind with PFC_CONC_MPX; record whether bind_ack confirms it."""
    for level in (AuthLevel.NONE, witness.level):
        rpc = await witness.rpc()
        bound = await rpc.bind(contexts(witness.syntax), **witness.logon(level=level))
        flags = bound.bind_ack.flags
        confirmed = "confirmed" if flags & PfcFlags.CONC_MPX else "not confirmed"
        spec("RPC-MPX-negotiate").record(f"pfc_flags 0x{flags:02X}: {confirmed}", f"level {level.name}")
    await witness.check_still_serving(spec)


@case("RPC-MPX-parallel-calls", needs=("multiplexing",), syntaxes="both")
async def test_calls_while_async_notify_pending(witness: Witness, spec: Spec) -> None:
    """While AsyncNotify is pending, other calls on the same connection succeed."""
    expect = witness.expect
    client = await _multiplexed(witness)
    address = await witness.address_of(0)
    spare = await witness.register(client, ip_address=address)
    pending = (await listen(witness, client, version=1, ip_address=address)).async_notify()

    calls = {
        "GetInterfaceList": client.start(GetInterfaceListRequest()),
        "Register": client.start(witness.registration(ip_address=address)),
        "UnRegister": client.start(UnRegisterRequest(spare)),
    }
    outcomes = await asyncio.gather(*(outcome_of(call, expect.reply_deadline) for call in calls.values()))

    state = "has ended" if pending.done() else "is pending"
    for name, outcome in zip(calls, outcomes, strict=True):
        spec("RPC-MPX-parallel-calls").allows(outcome, SUCCESS, note=f"{name}, while AsyncNotify {state}")


@case(
    "RPC-MPX-out-of-order",
    "SWN-3.1.4.4-concurrent-registrations",
    needs=("two-nodes", Capability.MOVE_CLIENT, "multiplexing"),
    syntaxes="both",
)
async def test_answers_in_another_order(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Of two pending AsyncNotify the second completes first when its event comes first."""
    expect = witness.expect
    client = await _multiplexed(witness)
    address = await witness.address_of(0)
    first = await listen(witness, client, version=1, ip_address=address)
    second = await listen(witness, client, version=1, ip_address=address)

    await cluster.move_client(second.name, witness.nodes[1].name)
    second_outcome = await second.wait_for_notifications(expect.event_deadline)
    rule = spec("RPC-MPX-out-of-order", "SWN-3.1.4.4-concurrent-registrations")
    # Without it there is no order to compare, and the first registration may be too old by now (AMB-14).
    if not rule.allows(second_outcome, SUCCESS, note="the second call, at its event"):
        raise spec.stop()
    pending = not first.async_notify().done()
    await cluster.move_client(first.name, witness.nodes[1].name)
    first_outcome = await first.wait_for_notifications(expect.event_deadline)

    rule.holds(
        pending,
        expected="the first call is pending",
        observed="the first call is pending" if pending else f"it has ended: {first_outcome}",
        note="when the second call completes",
    )
    rule.allows(first_outcome, SUCCESS, note="the first call, at its own event")


@case("RPC-MPX-not-negotiated")
async def test_without_multiplexing(witness: Witness, spec: Spec) -> None:
    """Without PFC_CONC_MPX send a request while AsyncNotify is pending; record the result."""
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
        f"GetInterfaceList: {outcome}; AsyncNotify {'ended' if pending.done() else 'pending'};"
        f" connection {connection}"
    )
    await witness.check_still_serving(spec)


async def _many_listeners(witness: Witness, name: str, address: str) -> tuple[list[Listener], list[Listener]]:
    """Registrations of one client, on one connection, and on a connection each; as many as the server allows.

    How many registrations and connections a server holds is its own choice.
    """
    fields: dict[str, Any] = {"version": 1, "ip_address": address, "client_computer_name": name}
    shared = await _multiplexed(witness)
    on_one: list[Listener] = []
    room = (witness.facts.registrations or ON_ONE_CONNECTION + CONNECTIONS) // 2
    with contextlib.suppress(NotTestable):
        while len(on_one) < min(ON_ONE_CONNECTION, room):
            on_one.append(await listen(witness, shared, **fields))
    limit = asyncio.Semaphore(AT_A_TIME)

    async def listen_on_own_connection() -> Listener | None:
        async with limit:
            try:
                return await listen(witness, **fields)
            except (NotTestable, RpcError):
                return None

    separate = await asyncio.gather(*(listen_on_own_connection() for _ in range(min(CONNECTIONS, room))))
    return on_one, [listener for listener in separate if listener is not None]


@case(
    "RPC-MPX-many-calls",
    needs=("two-nodes", Capability.MOVE_CLIENT, "multiplexing", "registrations:2"),
    lasts=15,
)
async def test_many_calls(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Call AsyncNotify 64 times on one connection and on 200 others; record how many pend and complete."""
    expect = witness.expect
    name = witness.client_name()
    on_one, on_own = await _many_listeners(witness, name, await witness.address_of(0))
    listeners = on_one + on_own
    quiet_outcomes = await asyncio.gather(
        *(outcome_of(one.async_notify(), expect.quiet_time) for one in listeners)
    )

    waiting = [
        asyncio.ensure_future(outcome_of(one.async_notify(), expect.event_deadline)) for one in listeners
    ]
    await cluster.move_client(name, witness.nodes[1].name)
    # The server notifies all registrations of the event at once: after the first, wait a quiet time only.
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(waiting, timeout=expect.quiet_time)
    event_outcomes = [task.result() if task.done() else SILENCE for task in waiting]
    for task in waiting:
        task.cancel()

    shared, separate = slice(None, len(on_one)), slice(len(on_one), None)
    for part, where in ((shared, "on one connection"), (separate, "on a connection each")):
        spec("RPC-MPX-many-calls").record(
            f"{quiet_outcomes[part].count(SILENCE)} of {len(listeners[part])} pending,"
            f" {event_outcomes[part].count(SUCCESS)} completed by one event",
            where,
        )
    await end(*on_own)  # the server may accept no more connections
    await witness.check_still_serving(spec)


@case("RPC-CONN-independent")
async def test_other_connections(witness: Witness, spec: Spec) -> None:
    """While AsyncNotify is pending on one connection, another connection is served."""
    await listen(witness, version=1)

    await witness.check_still_serving(spec, "RPC-CONN-independent")
