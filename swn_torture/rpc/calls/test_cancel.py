"""Calls that their client gives up: co_cancel and orphaned (C706 12.6.4.6, 12.6.4.8; MS-RPCE 3.3.1.5.10)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import pytest

from swn_torture.casekit import SILENCE, case, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.outcome import ending_of
from swn_torture.casekit.protocol import (
    KEEP_CONNECTION_ON_ORPHAN,
    SECURITY_CONTEXT_MULTIPLEXING,
    WITNESS,
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    Opnum,
    WitnessClient,
)
from swn_torture.casekit.steps.listeners import SUCCESS, listen, wait_for_notifications, wait_quiet_time
from swn_torture.casekit.steps.octets import answer_to, request_octets, unsolicited_pdus
from swn_torture.casekit.steps.timing import ending_of as timed
from swn_torture.casekit.steps.timing import latest
from swn_torture.casekit.transport import WHOLE, PfcFlags, RpcError
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.steps.listeners import Listener
    from swn_torture.casekit.transport import RpcClient
    from swn_torture.casekit.witness import Witness

Verifier = Literal["none", "default"]
#: MS-RPCE 2.2.2.12 lists no token for either PDU; C706 12.6.3.1 would allow one.
each_verifier = pytest.mark.parametrize("verifier", ["none", "default"], ids=["plain", "signed"])


async def _next_call(witness: Witness, client: WitnessClient) -> Outcome:
    """How GetInterfaceList ends on a connection; that it is gone already is an outcome, too."""
    try:
        call = client.start(GetInterfaceListRequest())
    except RpcError as error:
        return ending_of(error)
    return await outcome_of(call, witness.expect.reply_deadline)


async def _hear_all(listener: Listener, waited: list[Outcome]) -> None:
    """Call AsyncNotify again and again until it waits or fails; a cancelled call is one more to come."""
    expect = listener.witness.expect
    for _ in range(4):
        notified = SUCCESS in waited
        waited.append(
            await listener.wait_for_notifications(expect.quiet_time if notified else expect.event_deadline)
        )
        if waited[-1] != SUCCESS and waited[-1].kind != "fault":
            break


# co_cancel
# ----------------------------------------------------------------------------------------------------------


@case("RPC-CANCEL-pending", needs=("version-2",), lasts=10)
@each_verifier
async def test_cancel(witness: Witness, spec: Spec, verifier: Verifier) -> None:
    """co_cancel of an outstanding AsyncNotify: whether it ends the call, and how."""
    expect = witness.expect
    client = await witness.connect()
    call = client.async_notify(await witness.register_ex(client, keep_alive_timeout=2))

    call.cancel(security=verifier)
    ended = await timed(call, latest(expect, 2))
    usable = await _next_call(witness, client)

    spec("RPC-CANCEL-pending").record(f"{ended}; GetInterfaceList on the same connection: {usable}")
    await witness.check_still_serving(spec)


@case("RPC-CANCEL-pending")
@pytest.mark.parametrize("opnum", [Opnum.GET_INTERFACE_LIST, Opnum.ASYNC_NOTIFY], ids=lambda v: v.method)
async def test_cancelled_while_sent(witness: Witness, spec: Spec, opnum: Opnum) -> None:
    """A request that says of itself that it is cancelled (PFC_PENDING_CANCEL): what comes of it."""
    expect = witness.expect
    client = await witness.connect()
    request: Any = GetInterfaceListRequest()
    if opnum == Opnum.ASYNC_NOTIFY:
        request = AsyncNotifyRequest(await witness.register(client))

    call = client.start(request, flags=WHOLE | PfcFlags.PENDING_CANCEL)
    outcome = await outcome_of(call, expect.quiet_time)

    spec("RPC-CANCEL-pending").record(outcome, f"{opnum.method} with PFC_PENDING_CANCEL")
    await witness.check_still_serving(spec)


@case("RPC-CANCEL-pending")
@pytest.mark.parametrize("pdu", ["co-cancel", "orphaned"])
async def test_given_up_between_fragments(witness: Witness, spec: Spec, pdu: str) -> None:
    """A Register of which the first fragments have been sent is given up, then the rest comes: what of it."""
    client, _ = await _keeping(witness)
    request = witness.registration(ip_address=await witness.address_of(0))
    call_id = client.rpc.core.next_call_id()
    first, *rest = request_octets(client, request, call_id=call_id, chunk=64)

    client.rpc.write(first)
    (client.rpc.cancel if pdu == "co-cancel" else client.rpc.orphan)(call_id)
    outcome = await answer_to(client.rpc, *rest, timeout=witness.expect.quiet_time)
    usable = await _next_call(witness, client)

    spec("RPC-CANCEL-pending").record(
        f"{outcome}; GetInterfaceList on the same connection: {usable}", f"{pdu} behind the first fragment"
    )
    await witness.check_still_serving(spec)


@case("RPC-CANCEL-registration-kept", needs=("two-nodes", Capability.MOVE_CLIENT))
async def test_registration_outlives_cancel(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """After co_cancel AsyncNotify with the same handle waits, and tells of the next event."""
    listener = await listen(witness, version=1)

    listener.ask().cancel()
    cancelled = (await wait_quiet_time(listener))[0]
    quiet = (await wait_quiet_time(listener))[0]
    await cluster.move_client(listener.name, witness.nodes[1].name)
    (notified,) = await wait_for_notifications(listener)

    rule = spec("RPC-CANCEL-registration-kept")
    rule.allows(quiet, SILENCE, note=f"AsyncNotify after a co_cancel that led to: {cancelled}")
    rule.allows(notified, SUCCESS, note="at the next event")


@case("RPC-CANCEL-event-not-lost", needs=("two-nodes", Capability.MOVE_CLIENT), lasts=6)
@pytest.mark.parametrize("order", ["cancel-first", "together", "event-first"])
async def test_event_beside_cancel(witness: Witness, cluster: Controller, spec: Spec, order: str) -> None:
    """An event before, during or after a co_cancel is told once, by the cancelled call or by the next."""
    listener = await listen(witness, version=1)
    call = listener.ask()
    waited: list[Outcome] = []

    if order == "together":
        moving = asyncio.create_task(cluster.move_client(listener.name, witness.nodes[1].name))
        await asyncio.sleep(0)  # the order goes out
        call.cancel()
        await moving
    elif order == "cancel-first":
        call.cancel()
        await wait_quiet_time(listener)
        await cluster.move_client(listener.name, witness.nodes[1].name)
    else:
        await cluster.move_client(listener.name, witness.nodes[1].name)
        waited += await wait_for_notifications(listener)
        call.cancel()
    await _hear_all(listener, waited)

    notified = waited.count(SUCCESS)
    spec("RPC-CANCEL-event-not-lost").holds(
        notified == 1,
        expected="the event is told once",
        observed=f"the event is told {notified} times; the calls ended in: {', '.join(map(str, waited))}",
        note=order,
    )


# orphaned
# ----------------------------------------------------------------------------------------------------------


async def _keeping(witness: Witness) -> tuple[WitnessClient, bool]:
    """A connection that asked to stay open after orphaned, and whether the server agreed."""
    rpc: RpcClient = await witness.rpc()
    bits = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN
    bound = await rpc.bind(WITNESS, transfer=(witness.syntax,), features=bits, **witness.logon())
    return WitnessClient(rpc, witness.syntax), bool((bound.features or 0) & KEEP_CONNECTION_ON_ORPHAN)


@case("RPC-ORPHAN-keep-connection")
@each_verifier
async def test_connection_outlives_orphan(witness: Witness, spec: Spec, verifier: Verifier) -> None:
    """KeepConnectionOnOrphan is agreed to, and the connection serves on after an orphaned AsyncNotify."""
    client, agreed = await _keeping(witness)
    rule = spec("RPC-ORPHAN-keep-connection")
    if not rule.holds(
        agreed,
        expected="bind_ack confirms KeepConnectionOnOrphan (0x2)",
        observed="it is confirmed" if agreed else "it is not confirmed",
    ):
        raise spec.stop()
    call = client.async_notify(await witness.register(client))

    call.orphan(security=verifier)
    usable = await _next_call(witness, client)

    if verifier == "none":
        rule.allows(usable, SUCCESS, note="GetInterfaceList after orphaned")
    else:
        rule.record(usable, "GetInterfaceList after an orphaned with a verifier")
        await witness.check_still_serving(spec)


@case("RPC-ORPHAN-pending", needs=("two-nodes", Capability.MOVE_CLIENT))
async def test_registration_outlives_orphan(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """After orphaned AsyncNotify with the same handle waits, and tells of the next event."""
    client, agreed = await _keeping(witness)
    if not agreed:
        raise NotTestable("KeepConnectionOnOrphan is not agreed to: nothing can be seen after orphaned")
    listener = await listen(witness, client, version=1)
    orphan = listener.ask()

    orphan.orphan()
    listener.call = None
    quiet, ended = (await wait_quiet_time(listener))[0], orphan.done()
    await cluster.move_client(listener.name, witness.nodes[1].name)
    (notified,) = await wait_for_notifications(listener)

    rule = spec("RPC-ORPHAN-pending")
    rule.allows(quiet, SILENCE, note="AsyncNotify after orphaned")
    rule.allows(notified, SUCCESS, note="at the next event")
    sent = await outcome_of(orphan, 0.01) if ended else None
    more = "; ".join(map(str, await unsolicited_pdus(client.rpc)))
    rule.record(sent or more or "nothing", "sent for the orphaned call")


@case("RPC-ORPHAN-pending")
async def test_orphan_and_close(witness: Witness, spec: Spec) -> None:
    """Without KeepConnectionOnOrphan a client closes behind orphaned: others are served on."""
    client = await witness.connect(features=None)
    call = client.async_notify(await witness.register(client))

    call.orphan()
    await client.rpc.close()

    await witness.check_still_serving(spec, "RPC-ORPHAN-pending")


# Calls that are not there
# ----------------------------------------------------------------------------------------------------------

GIVE_UP = {"co-cancel": "RPC-CANCEL-unknown-call", "orphaned": "RPC-ORPHAN-unknown-call"}


@case(*GIVE_UP.values())
@pytest.mark.parametrize("which", ["answered", "never-made"])
@pytest.mark.parametrize("pdu", GIVE_UP)
async def test_no_such_call(witness: Witness, spec: Spec, pdu: str, which: str) -> None:
    """co_cancel and orphaned for a call that is answered or was never made are ignored."""
    client, _ = await _keeping(witness)
    rpc = client.rpc
    answered = client.start(GetInterfaceListRequest())
    before = await outcome_of(answered, witness.expect.reply_deadline)
    call_id = answered.call.call_id if which == "answered" else rpc.core.next_call_id()

    (rpc.cancel if pdu == "co-cancel" else rpc.orphan)(call_id)
    usable = await _next_call(witness, client)
    returned = await unsolicited_pdus(rpc)

    rule = spec(GIVE_UP[pdu])
    note = f"{pdu} for call {call_id}; the call before it: {before}"
    rule.holds(
        not returned,
        expected="no PDU in return",
        observed="; ".join(map(str, returned)) or "no PDU in return",
        note=note,
    )
    rule.allows(usable, SUCCESS, note=f"GetInterfaceList after {note}")
