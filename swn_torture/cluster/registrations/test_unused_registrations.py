"""The unused-registration timer and what counts as use (MS-SWN 3.1.1.3, 3.1.2.1, 3.1.4.4, 3.1.5.1).

U is the target's time-out, S the period of its scans; both are its own choice and stand in its profile.
Asking is using, so every registration can be asked about once.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, Outcome, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import ChangeType, ResourceChange, RespAsyncNotify, UnRegisterRequest, Win32
from swn_torture.casekit.steps.timing import latest, stay_idle

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ContextHandle, WitnessClient
    from swn_torture.casekit.witness import Witness

GONE = returns(Win32.ERROR_NOT_FOUND)


@case(
    "SWN-3.1.2.1-timer-implemented",
    "SWN-3.1.2.1-removes-unused",
    "SWN-3.1.4.4-v2-async-registered-on-entry",
    "SWN-3.1.4.5-entry-async-false",
    "SWN-3.1.4.5-entry-lastuse",
    "SWN-3.1.5.1-implemented",
    "SWN-3.1.5.1-keeps-fresh",
    "SWN-3.1.5.1-keeps-outstanding",
    "SWN-3.1.5.1-removes-stale",
    "SWN-3.1.5.1-scans-list",
    "SWN-B5-unused-30s",
    needs=("version-2",),
    lasts=70,
)
async def test_idle_ones_go_and_used_ones_stay(witness: Witness, spec: Spec) -> None:
    """Idle registrations of two connections go after U; a fresh one and one with a call outstanding stay."""
    expect = witness.expect
    idle_time, patience = expect.unused_timeout, expect.unused_timeout + expect.scan_interval
    one, other = await asyncio.gather(witness.connect(), witness.connect())
    address = await witness.address_of(0)
    idle = [await witness.register_ex(one, ip_address=address) for _ in range(2)]
    idle.append(await witness.register_ex(other, ip_address=address))
    to_unregister = await witness.register_ex(one, ip_address=address)
    fresh = await witness.register_ex(one, ip_address=address)
    outstanding = await witness.register_ex(
        one, ip_address=address, keep_alive_timeout=math.ceil(2 * patience)
    )
    held = one.async_notify(outstanding)

    await stay_idle(idle_time * 5 / 6)
    still = await outcome_of(one.async_notify(fresh), min(expect.quiet_time, idle_time / 12))
    spec("SWN-3.1.5.1-keeps-fresh", "SWN-3.1.4.5-entry-lastuse").allows(
        still, SILENCE, note=f"AsyncNotify {idle_time * 5 / 6:g} s after RegisterEx, U is {idle_time:g} s"
    )

    await stay_idle(patience - idle_time * 5 / 6)
    clients = (one, one, other)
    asked = [
        await outcome_of(client.async_notify(handle), expect.reply_deadline)
        for client, handle in zip(clients, idle, strict=True)
    ]
    for number, answer in enumerate(asked, 1):
        note = f"idle registration {number} of 3, asked {patience:g} s after RegisterEx"
        spec(
            "SWN-3.1.5.1-removes-stale",
            "SWN-3.1.5.1-implemented",
            "SWN-3.1.5.1-scans-list",
            "SWN-3.1.2.1-timer-implemented",
            "SWN-3.1.2.1-removes-unused",
            "SWN-3.1.4.5-entry-async-false",
        ).allows(answer, GONE, note=note)
    unregistered = await outcome_of(one.start(UnRegisterRequest(to_unregister)), expect.reply_deadline)
    spec("SWN-3.1.5.1-removes-stale").allows(unregistered, GONE, returns(Win32.ERROR_INVALID_PARAMETER))
    spec("SWN-B5-unused-30s").record(f"gone after {patience:g} s, kept after {idle_time * 5 / 6:g} s")
    spec.choice("AMB-27", f"an unused registration is gone at the latest {patience:g} s after its last use")

    # It was registered before the others were removed, and has been outstanding since: longer than U.
    kept = await outcome_of(held, expect.quiet_time)
    spec(
        "SWN-3.1.5.1-keeps-outstanding",
        "SWN-3.1.4.4-v2-async-registered-on-entry",
        "SWN-3.1.2.1-removes-unused",
    ).allows(kept, SILENCE, note=f"AsyncNotify outstanding for {patience:g} s")


@case("SWN-6-idl-keepalive-dword", needs=("version-2",), lasts=65)
async def test_huge_keep_alives(witness: Witness, spec: Spec) -> None:
    """KeepAliveTimeouts up to 2^32-1 are seconds without a sign: their calls are pending after 2 U."""
    expect = witness.expect
    values = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    client = await witness.connect()
    address = await witness.address_of(0)
    handles = [
        await witness.register_ex(client, ip_address=address, keep_alive_timeout=value) for value in values
    ]

    calls = [client.async_notify(handle) for handle in handles]
    ends = await asyncio.gather(*(outcome_of(call, 2 * expect.unused_timeout) for call in calls))

    for value, end in zip(values, ends, strict=True):
        spec("SWN-6-idl-keepalive-dword").allows(end, SILENCE, note=f"KeepAliveTimeout 0x{value:08X}")


@case("SWN-3.1.4.4-v2-lastuse-on-entry", needs=("version-2",), lasts=50)
async def test_asking_is_use(witness: Witness, spec: Spec) -> None:
    """Idle for 2/3 U, AsyncNotify, idle for 2/3 U again: the registration is still known."""
    expect = witness.expect
    client = await witness.connect()
    handle = await witness.register_ex(client, keep_alive_timeout=1)

    await stay_idle(expect.unused_timeout * 2 / 3)
    first = await outcome_of(client.async_notify(handle), latest(expect, 1))
    await stay_idle(expect.unused_timeout * 2 / 3)
    second = await outcome_of(client.async_notify(handle), latest(expect, 1))

    spec("SWN-3.1.4.4-v2-lastuse-on-entry").holds(
        first == returns(Win32.ERROR_TIMEOUT) and second == returns(Win32.ERROR_TIMEOUT),
        expected="ERROR_TIMEOUT (0x5B4) both times, each call within U of the last use",
        observed=f"{first}, then {second}",
    )


@case("SWN-3.1.4.4-v2-lastuse-on-entry", needs=("version-2",), lasts=50)
async def test_asking_is_use_though_given_up(witness: Witness, spec: Spec) -> None:
    """Idle for 2/3 U, an AsyncNotify that is cancelled at once, idle for 2/3 U: the registration is known."""
    expect = witness.expect
    client = await witness.connect()
    handle = await witness.register_ex(client)

    await stay_idle(expect.unused_timeout * 2 / 3)
    call = client.async_notify(handle)
    call.cancel()
    ended = await outcome_of(call, min(expect.quiet_time, expect.unused_timeout / 6))
    await stay_idle(expect.unused_timeout * 2 / 3)
    again = await outcome_of(client.async_notify(handle), min(expect.quiet_time, expect.unused_timeout / 6))

    spec("SWN-3.1.4.4-v2-lastuse-on-entry").allows(
        again, SILENCE, note=f"AsyncNotify 2/3 U after one that was cancelled, which ended so: {ended}"
    )


@case(
    "SWN-3.1.1.3-lastuse-updates",
    "SWN-3.1.4.4-v2-lastuse-on-response",
    needs=("version-2", Capability.FORCE_RESPONSE, Capability.LIST_REGISTRATIONS),
    lasts=80,
)
async def test_being_answered_is_use(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """A call pending for longer than U is answered; 2/3 U later the registration is still known."""
    expect = witness.expect
    client, handle, key = await _registered(witness, cluster)
    call = client.async_notify(handle)

    await stay_idle(expect.unused_timeout * 4 / 3)
    await _answer(witness, cluster, spec, key, call)
    await stay_idle(expect.unused_timeout * 2 / 3)
    again = await outcome_of(client.async_notify(handle), min(expect.quiet_time, expect.unused_timeout / 6))

    spec("SWN-3.1.4.4-v2-lastuse-on-response", "SWN-3.1.1.3-lastuse-updates").allows(
        again, SILENCE, note="AsyncNotify 2/3 U after the answer, 2 U after the one before"
    )


@case(
    "SWN-3.1.4.4-v2-async-cleared-on-response",
    needs=("version-2", Capability.FORCE_RESPONSE, Capability.LIST_REGISTRATIONS),
    lasts=40,
)
async def test_after_the_answer_nothing_is_outstanding(
    witness: Witness, cluster: Controller, spec: Spec
) -> None:
    """A call is answered, the client stays idle for U: the registration is gone."""
    expect = witness.expect
    client, handle, key = await _registered(witness, cluster)
    call = client.async_notify(handle)
    await _answer(witness, cluster, spec, key, call)

    await stay_idle(expect.unused_timeout + expect.scan_interval)
    again = await outcome_of(client.async_notify(handle), expect.reply_deadline)

    spec("SWN-3.1.4.4-v2-async-cleared-on-response").allows(again, GONE)


async def _registered(witness: Witness, cluster: Controller) -> tuple[WitnessClient, ContextHandle, str]:
    """A registration whose calls outlast the case, and the key by which the cluster knows it."""
    name = witness.client_name()
    client = await witness.connect()
    keep_alive = math.ceil(5 * witness.expect.unused_timeout)
    handle = await witness.register_ex(client, client_computer_name=name, keep_alive_timeout=keep_alive)
    views = await cluster.registrations()
    return client, handle, next(view.key for view in views if view.client_computer_name == name)


async def _answer(witness: Witness, cluster: Controller, spec: Spec, key: str, call: Any) -> Outcome:
    """Have a pending call answered by AVAILABLE: after other news some servers end it soon (AMB-30)."""
    news = RespAsyncNotify.of(ResourceChange(ChangeType.AVAILABLE, witness.net_name))
    await cluster.force_response(key, response=news)
    outcome = await outcome_of(call, witness.expect.event_deadline)
    if outcome != returns(Win32.ERROR_SUCCESS):
        raise spec.precondition_failed(
            "SWN-3.1.4.4-returns-success",
            expected=str(returns(Win32.ERROR_SUCCESS)),
            observed=outcome,
            note="an AsyncNotify that the cluster was told to answer",
        )
    return outcome
