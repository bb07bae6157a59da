"""Cancelled calls: co_cancel and orphaned (C706 12.6.4.6, 12.6.4.8; MS-RPCE 3.3.1.5.10)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.casekit.protocol import (
    KEEP_CONNECTION_ON_ORPHAN,
    SECURITY_CONTEXT_MULTIPLEXING,
    WITNESS,
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    Opnum,
    WitnessClient,
)
from swn_torture.casekit.steps.listeners import listen, wait_for_notifications, wait_quiet_time
from swn_torture.casekit.steps.octets import request_octets, send_octets, unsolicited_pdus
from swn_torture.casekit.steps.timing import timed_outcome_of, timer_deadline
from swn_torture.casekit.transport import WHOLE, PfcFlags, RpcError
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.steps.listeners import Listener
    from swn_torture.casekit.transport import RpcClient
    from swn_torture.casekit.witness import Witness

Verifier = Literal["none", "default"]
#: MS-RPCE 2.2.2.12 lists no authentication token for either PDU; C706 12.6.3.1 allows one.
each_verifier = pytest.mark.parametrize("verifier", ["none", "default"], ids=["plain", "signed"])


async def _next_call(witness: Witness, client: WitnessClient) -> Outcome:
    """The outcome of GetInterfaceList on a connection, which may already be closed."""
    try:
        call = client.start(GetInterfaceListRequest())
    except RpcError as error:
        return outcome_of_error(error)
    return await outcome_of(call, witness.expect.reply_deadline)


async def _collect_notifications(listener: Listener, outcomes: list[Outcome]) -> None:
    """Call AsyncNotify, up to four times, until a call stays pending or fails; append the outcomes.

    After the fault of a cancelled call the next call follows.
    """
    expect = listener.witness.expect
    for _ in range(4):
        notified = SUCCESS in outcomes
        outcomes.append(
            await listener.wait_for_notifications(expect.quiet_time if notified else expect.event_deadline)
        )
        if outcomes[-1] != SUCCESS and outcomes[-1].kind != "fault":
            break


# co_cancel
# ----------------------------------------------------------------------------------------------------------


@case("RPC-CANCEL-pending", needs=("version-2",), lasts=10)
@each_verifier
async def test_cancel(witness: Witness, spec: Spec, verifier: Verifier) -> None:
    """Send co_cancel for a pending AsyncNotify; record whether and how the call ends."""
    expect = witness.expect
    client = await witness.connect()
    call = client.async_notify(await witness.register_ex(client, keep_alive_timeout=2))

    call.cancel(security=verifier)
    ended = await timed_outcome_of(call, timer_deadline(expect, 2))
    usable: object = "not sent, because the call is pending and PFC_CONC_MPX is not confirmed"
    if call.done() or client.rpc.core.multiplexed:
        usable = await _next_call(witness, client)

    spec("RPC-CANCEL-pending").record(f"{ended}; GetInterfaceList on the same connection: {usable}")
    how = "without a verifier" if verifier == "none" else "with a verifier"
    # The timer of the call needs 2 s.
    cancelled = ended.outcome != SILENCE and ended.seconds < 1.5
    spec.choice(
        "AMB-43",
        f"co_cancel {how} {f'ends a pending call: {ended.outcome}' if cancelled else 'ends no pending call'}",
    )
    await witness.check_still_serving(spec)


@case("RPC-CANCEL-pending")
@pytest.mark.parametrize("opnum", [Opnum.GET_INTERFACE_LIST, Opnum.ASYNC_NOTIFY], ids=lambda v: v.method)
async def test_pending_cancel_flag(witness: Witness, spec: Spec, opnum: Opnum) -> None:
    """Send a request with PFC_PENDING_CANCEL; record the result."""
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
async def test_cancel_between_fragments(witness: Witness, spec: Spec, pdu: str) -> None:
    """Send co_cancel or orphaned between the fragments of a Register, then the rest; record the result."""
    client, _ = await _connect_with_keep_on_orphan(witness)
    request = witness.registration(ip_address=await witness.address_of(0))
    call_id = client.rpc.core.next_call_id()
    first, *rest = request_octets(client, request, call_id=call_id, chunk=64)

    client.rpc.write(first)
    (client.rpc.cancel if pdu == "co-cancel" else client.rpc.orphan)(call_id)
    outcome = await send_octets(client.rpc, *rest, timeout=witness.expect.quiet_time)
    usable = await _next_call(witness, client)

    spec("RPC-CANCEL-pending").record(
        f"{outcome}; GetInterfaceList on the same connection: {usable}", f"{pdu} after the first fragment"
    )
    await witness.check_still_serving(spec)


@case("RPC-CANCEL-registration-kept", needs=("two-nodes", Capability.MOVE_CLIENT))
async def test_registration_stays_after_cancel(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """After co_cancel the registration stays: AsyncNotify is pending and completes at the next event."""
    listener = await listen(witness, version=1)

    listener.async_notify().cancel()
    cancelled = (await wait_quiet_time(listener))[0]
    quiet = (await wait_quiet_time(listener))[0]
    await cluster.move_client(listener.name, witness.nodes[1].name)
    (completed,) = await wait_for_notifications(listener)

    rule = spec("RPC-CANCEL-registration-kept")
    rule.allows(quiet, SILENCE, note=f"AsyncNotify after co_cancel; the cancelled call: {cancelled}")
    rule.allows(completed, SUCCESS, note="AsyncNotify at the next event")


@case("RPC-CANCEL-event-not-lost", needs=("two-nodes", Capability.MOVE_CLIENT), lasts=6)
@pytest.mark.parametrize("order", ["cancel-first", "together", "event-first"])
async def test_event_and_cancel(witness: Witness, cluster: Controller, spec: Spec, order: str) -> None:
    """An event before, during or after co_cancel is notified once, by the cancelled call or the next."""
    listener = await listen(witness, version=1)
    call = listener.async_notify()
    outcomes: list[Outcome] = []

    if order == "together":
        moving = asyncio.create_task(cluster.move_client(listener.name, witness.nodes[1].name))
        await asyncio.sleep(0)  # the controller starts the move
        call.cancel()
        await moving
    elif order == "cancel-first":
        call.cancel()
        await wait_quiet_time(listener)
        await cluster.move_client(listener.name, witness.nodes[1].name)
    else:
        await cluster.move_client(listener.name, witness.nodes[1].name)
        outcomes += await wait_for_notifications(listener)
        call.cancel()
    await _collect_notifications(listener, outcomes)

    notifications = outcomes.count(SUCCESS)
    observed = f"{notifications} notifications; outcomes of the calls: {', '.join(map(str, outcomes))}"
    unread = next((outcome for outcome in outcomes if outcome.blame is not None), None)
    # A server that notifies of no move at all, or by PDUs that cannot be read, says nothing about co_cancel.
    never = outcomes[-1] if len({*outcomes}) == 1 and not notifications else None
    spec("RPC-CANCEL-event-not-lost").holds(
        notifications == 1,
        expected="one notification of the event",
        observed=unread or never or observed,
        note=order,
    )


# orphaned
# ----------------------------------------------------------------------------------------------------------


_NOT_KEPT = (
    "the server does not confirm KeepConnectionOnOrphan (optional): the client has to close the connection "
    "after orphaned (MS-RPCE 3.3.1.5.10)"
)


async def _connect_with_keep_on_orphan(witness: Witness) -> tuple[WitnessClient, bool]:
    """Bind with KeepConnectionOnOrphan requested; returns the client and whether bind_ack confirms it."""
    rpc: RpcClient = await witness.rpc()
    bits = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN
    bound = await rpc.bind(WITNESS, transfer=(witness.syntax,), features=bits, **witness.logon())
    return WitnessClient(rpc, witness.syntax), bool((bound.features or 0) & KEEP_CONNECTION_ON_ORPHAN)


@case("RPC-ORPHAN-keep-connection")
@each_verifier
async def test_connection_stays_open_after_orphaned(witness: Witness, spec: Spec, verifier: Verifier) -> None:
    """If bind_ack confirms KeepConnectionOnOrphan, the connection still serves after orphaned."""
    client, confirmed = await _connect_with_keep_on_orphan(witness)
    if not confirmed:
        raise NotTestable(_NOT_KEPT)
    rule = spec("RPC-ORPHAN-keep-connection")
    call = client.async_notify(await witness.register(client))

    call.orphan(security=verifier)
    usable = await _next_call(witness, client)

    if verifier == "none":
        rule.allows(usable, SUCCESS, note="GetInterfaceList after orphaned")
    else:
        rule.record(usable, "GetInterfaceList after orphaned with a verifier")
        await witness.check_still_serving(spec)


@case("RPC-ORPHAN-pending", needs=("two-nodes", Capability.MOVE_CLIENT))
async def test_registration_stays_after_orphaned(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """After orphaned the registration stays: AsyncNotify is pending and completes at the next event."""
    client, confirmed = await _connect_with_keep_on_orphan(witness)
    if not confirmed:
        raise NotTestable(_NOT_KEPT)
    listener = await listen(witness, client, version=1)
    orphaned = listener.async_notify()

    orphaned.orphan()
    listener.call = None
    quiet, ended = (await wait_quiet_time(listener))[0], orphaned.done()
    await cluster.move_client(listener.name, witness.nodes[1].name)
    (completed,) = await wait_for_notifications(listener)

    rule = spec("RPC-ORPHAN-pending")
    rule.allows(quiet, SILENCE, note="AsyncNotify after orphaned")
    rule.allows(completed, SUCCESS, note="AsyncNotify at the next event")
    ending = await outcome_of(orphaned, 0.01) if ended else None
    others = "; ".join(map(str, await unsolicited_pdus(client.rpc)))
    rule.record(ending or others or "no PDU", "received for the orphaned call")


@case("RPC-ORPHAN-pending")
async def test_orphan_and_close(witness: Witness, spec: Spec) -> None:
    """Send orphaned without KeepConnectionOnOrphan and close the connection: others are served."""
    client = await witness.connect(features=None)
    call = client.async_notify(await witness.register(client))

    call.orphan()
    await client.rpc.close()

    await witness.check_still_serving(spec, "RPC-ORPHAN-pending")


# Completed and unknown calls
# ----------------------------------------------------------------------------------------------------------

RULES = {"co-cancel": "RPC-CANCEL-unknown-call", "orphaned": "RPC-ORPHAN-unknown-call"}


@case(*RULES.values())
@pytest.mark.parametrize("which", ["answered", "never-made"])
@pytest.mark.parametrize("pdu", RULES)
async def test_no_such_call(witness: Witness, spec: Spec, pdu: str, which: str) -> None:
    """co_cancel and orphaned for a completed or unknown call are ignored, and the connection still serves."""
    client, _ = await _connect_with_keep_on_orphan(witness)
    rpc = client.rpc
    completed = client.start(GetInterfaceListRequest())
    before = await outcome_of(completed, witness.expect.reply_deadline)
    call_id = completed.call.call_id if which == "answered" else rpc.core.next_call_id()

    (rpc.cancel if pdu == "co-cancel" else rpc.orphan)(call_id)
    usable = await _next_call(witness, client)
    received = await unsolicited_pdus(rpc)

    rule = spec(RULES[pdu])
    note = f"{pdu} with call_id {call_id}; the call before: {before}"
    rule.holds(
        not received,
        expected="no PDU in return",
        observed="; ".join(map(str, received)) or "no PDU in return",
        note=note,
    )
    rule.allows(usable, SUCCESS, note=f"GetInterfaceList after {note}")
