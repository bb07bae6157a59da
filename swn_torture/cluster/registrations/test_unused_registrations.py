"""The unused-registration timer and what counts as use (MS-SWN 3.1.1.3, 3.1.2.1, 3.1.4.4, 3.1.5.1).

The target chooses the unused timeout, after which it removes an unused registration, and how often it scans
for them. Its profile has both as ``unused_timeout`` and ``scan_interval``, in seconds. An AsyncNotify counts
as use, so a case can test each registration only once.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, Outcome, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import ChangeType, ResourceChange, RespAsyncNotify, UnRegisterRequest, Win32
from swn_torture.casekit.steps.registering import INVALID_PARAMETER, NOT_FOUND, registration_of
from swn_torture.casekit.steps.timing import stay_idle, stay_idle_until, timer_deadline
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ContextHandle, WitnessClient
    from swn_torture.casekit.witness import Witness


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
async def test_idle_registrations_are_removed(witness: Witness, spec: Spec) -> None:
    """Idle registrations are removed after the unused timeout; a newer and a pending one are kept."""
    expect = witness.expect
    idle_time, removal_time = expect.unused_timeout, expect.unused_timeout + expect.scan_interval
    one, other = await asyncio.gather(witness.connect(), witness.connect())
    address = await witness.address_of(0)
    idle = [await witness.register_ex(one, ip_address=address) for _ in range(2)]
    idle.append(await witness.register_ex(other, ip_address=address))
    to_unregister = await witness.register_ex(one, ip_address=address)
    last_idle = time.monotonic()
    with_call = await witness.register_ex(
        one, ip_address=address, keep_alive_timeout=math.ceil(2 * removal_time)
    )
    pending = one.async_notify(with_call)
    free = await witness.idle_connection(one)
    began = time.monotonic()
    fresh = await witness.register_ex(free, ip_address=address)

    await stay_idle_until(began + idle_time * 5 / 6)
    age = time.monotonic() - began
    # On a slow server, less of the unused timeout may be left than the call needs.
    if age < idle_time * 11 / 12:
        kept = await outcome_of(free.async_notify(fresh), min(expect.quiet_time, idle_time / 12))
        spec("SWN-3.1.5.1-keeps-fresh", "SWN-3.1.4.5-entry-lastuse").allows(
            kept,
            SILENCE,
            note=f"AsyncNotify {age:.1f} s after RegisterEx, unused timeout {idle_time:g} s",
        )

    await stay_idle_until(last_idle + removal_time)
    for number, (client, handle) in enumerate(zip((one, one, other), idle, strict=True), 1):
        call = (await witness.idle_connection(client)).async_notify(handle)
        outcome = await outcome_of(call, expect.reply_deadline)
        note = f"idle registration {number} of 3, AsyncNotify {removal_time:g} s after RegisterEx"
        spec(
            "SWN-3.1.5.1-removes-stale",
            "SWN-3.1.5.1-implemented",
            "SWN-3.1.5.1-scans-list",
            "SWN-3.1.2.1-timer-implemented",
            "SWN-3.1.2.1-removes-unused",
            "SWN-3.1.4.5-entry-async-false",
        ).allows(outcome, NOT_FOUND, note=note)
    to_unregister_it = (await witness.idle_connection(one)).start(UnRegisterRequest(to_unregister))
    unregistered = await outcome_of(to_unregister_it, expect.reply_deadline)
    spec("SWN-3.1.5.1-removes-stale").allows(unregistered, NOT_FOUND, INVALID_PARAMETER)
    spec("SWN-B5-unused-30s").record(f"removed after {removal_time:g} s, kept after {age:.1f} s")
    spec.choice("AMB-27", f"an unused registration is removed within {removal_time:g} s after its last use")

    # This call has been pending since before the removal of the others, for longer than the unused timeout.
    still_pending = await outcome_of(pending, expect.quiet_time)
    spec(
        "SWN-3.1.5.1-keeps-outstanding",
        "SWN-3.1.4.4-v2-async-registered-on-entry",
        "SWN-3.1.2.1-removes-unused",
    ).allows(still_pending, SILENCE, note=f"AsyncNotify pending for {removal_time:g} s")


@case("SWN-6-idl-keepalive-dword", needs=("version-2",), lasts=65)
async def test_huge_keep_alives(witness: Witness, spec: Spec) -> None:
    """With KeepAliveTimeout 0x7FFFFFFF, 0x80000000 or 0xFFFFFFFF AsyncNotify stays pending."""
    expect = witness.expect
    values = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    client = await witness.connect()
    address = await witness.address_of(0)
    handles = [
        await witness.register_ex(client, ip_address=address, keep_alive_timeout=value) for value in values
    ]

    calls = [(await witness.idle_connection(client)).async_notify(handle) for handle in handles]
    outcomes = await asyncio.gather(*(outcome_of(call, 2 * expect.unused_timeout) for call in calls))

    for value, outcome in zip(values, outcomes, strict=True):
        spec("SWN-6-idl-keepalive-dword").allows(outcome, SILENCE, note=f"KeepAliveTimeout 0x{value:08X}")


@case("SWN-3.1.4.4-v2-lastuse-on-entry", needs=("version-2",), lasts=50)
async def test_async_notify_counts_as_use(witness: Witness, spec: Spec) -> None:
    """Send AsyncNotify after 2/3 of the unused timeout; 5/6 later the registration is still known."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    registered = time.monotonic()
    handle = await witness.register_ex(client, ip_address=address, keep_alive_timeout=1)

    called = await next_use(witness, registered, 2 / 3)
    first = await outcome_of(client.async_notify(handle), timer_deadline(expect, 1))
    timed_out = returns(Win32.ERROR_TIMEOUT)
    if first != timed_out:
        raise spec.precondition_failed(
            "SWN-3.1.5.2-timeout-error",
            expected=str(timed_out),
            observed=first,
            note="KeepAliveTimeout 1, AsyncNotify after 2/3 of the unused timeout, as a stimulus",
        )
    await next_use(witness, called, 5 / 6)
    second = await outcome_of(client.async_notify(handle), timer_deadline(expect, 1))

    spec("SWN-3.1.4.4-v2-lastuse-on-entry").allows(
        second, timed_out, note="the next call, within the unused timeout after the last use"
    )


async def next_use(witness: Witness, last_use: float, part: float) -> float:
    """Stay idle until a part of the unused timeout after the last use; returns the moment that it ended.

    Raises:
        NotTestable: more than the unused timeout has passed, because the server responds slowly.
    """
    timeout = witness.expect.unused_timeout
    await stay_idle_until(last_use + part * timeout)
    now = time.monotonic()
    if now - last_use > 0.95 * timeout:
        raise NotTestable("the calls took longer than the server keeps an unused registration")
    return now


@case("SWN-3.1.4.4-v2-lastuse-on-entry", needs=("version-2",), lasts=50)
async def test_cancelled_async_notify_counts_as_use(witness: Witness, spec: Spec) -> None:
    """Cancel an AsyncNotify after 2/3 of the unused timeout; 5/6 later the registration is still known."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    registered = time.monotonic()
    handle = await witness.register_ex(client, ip_address=address)

    called = await next_use(witness, registered, 2 / 3)
    call = client.async_notify(handle)
    call.cancel()
    ended = await outcome_of(call, min(expect.quiet_time, expect.unused_timeout / 6))
    await next_use(witness, called, 5 / 6)
    free = await witness.idle_connection(client)
    second = await outcome_of(free.async_notify(handle), min(expect.quiet_time, expect.unused_timeout / 6))

    spec("SWN-3.1.4.4-v2-lastuse-on-entry").allows(
        second, SILENCE, note=f"5/6 of the unused timeout after the cancelled call, which ended with: {ended}"
    )


@case(
    "SWN-3.1.1.3-lastuse-updates",
    "SWN-3.1.4.4-v2-lastuse-on-response",
    needs=("version-2", Capability.FORCE_RESPONSE, Capability.LIST_REGISTRATIONS),
    lasts=80,
)
async def test_response_counts_as_use(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Complete a call pending beyond the unused timeout; 2/3 of it later the registration is known."""
    expect = witness.expect
    client, handle, key = await _register(witness, cluster)
    call = client.async_notify(handle)

    await stay_idle(expect.unused_timeout * 4 / 3)
    await _complete(witness, cluster, spec, key, call)
    await stay_idle(expect.unused_timeout * 2 / 3)
    second = await outcome_of(client.async_notify(handle), min(expect.quiet_time, expect.unused_timeout / 6))

    spec("SWN-3.1.4.4-v2-lastuse-on-response", "SWN-3.1.1.3-lastuse-updates").allows(
        second,
        SILENCE,
        note="2/3 of the unused timeout after the response, twice that timeout after the call",
    )


@case(
    "SWN-3.1.4.4-v2-async-cleared-on-response",
    needs=("version-2", Capability.FORCE_RESPONSE, Capability.LIST_REGISTRATIONS),
    lasts=40,
)
async def test_idle_after_response_is_removed(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Complete an AsyncNotify, then stay idle for the unused timeout; the registration is removed."""
    expect = witness.expect
    client, handle, key = await _register(witness, cluster)
    call = client.async_notify(handle)
    await _complete(witness, cluster, spec, key, call)

    await stay_idle(expect.unused_timeout + expect.scan_interval)
    second = await outcome_of(client.async_notify(handle), expect.reply_deadline)

    spec("SWN-3.1.4.4-v2-async-cleared-on-response").allows(second, NOT_FOUND)


async def _register(witness: Witness, cluster: Controller) -> tuple[WitnessClient, ContextHandle, str]:
    """Register with a KeepAliveTimeout longer than the case; the string is the key for `_complete`."""
    name = witness.client_name()
    client = await witness.connect()
    keep_alive = math.ceil(5 * witness.expect.unused_timeout)
    handle = await witness.register_ex(client, client_computer_name=name, keep_alive_timeout=keep_alive)
    return client, handle, (await registration_of(cluster, name)).key


async def _complete(witness: Witness, cluster: Controller, spec: Spec, key: str, call: Any) -> Outcome:
    """Make the server complete a pending call with AVAILABLE.

    After other notifications some servers remove the registration early (AMB-30).
    """
    response = RespAsyncNotify.of(ResourceChange(ChangeType.AVAILABLE, witness.net_name))
    await cluster.force_response(key, response=response)
    outcome = await outcome_of(call, witness.expect.event_deadline)
    if outcome != returns(Win32.ERROR_SUCCESS):
        raise spec.precondition_failed(
            "SWN-3.1.4.4-returns-success",
            expected=str(returns(Win32.ERROR_SUCCESS)),
            observed=outcome,
            note="AsyncNotify that the controller completes, as a stimulus",
        )
    return outcome
