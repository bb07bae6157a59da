"""KeepAliveTimeout: how long AsyncNotify stays pending (MS-SWN 3.1.2.2, 3.1.4.4, 3.1.4.5, 3.1.5.2)."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import NDR64, UnRegisterRequest, Win32
from swn_torture.casekit.steps.timing import CLOCK_RESOLUTION_S, stay_idle, timed_outcome_of, timer_deadline

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

#: In seconds, for registrations on one connection; different enough to detect a server that mixes them up.
KEEP_ALIVES = (1, 2, 5)


@case(
    "SWN-3.1.1.3-keepalive-seconds",
    "SWN-3.1.2.2-timer-implemented",
    "SWN-3.1.2.2-based-on-keepalive",
    "SWN-3.1.4.4-waits",
    "SWN-3.1.4.4-error-null-response",
    "SWN-3.1.4.5-entry-keepalive",
    "SWN-3.1.4.5-keepalive-meaning",
    "SWN-3.1.5.2-implemented",
    "SWN-3.1.5.2-not-early",
    "SWN-3.1.5.2-scans-list",
    "SWN-3.1.5.2-timeout-error",
    needs=("version-2",),
    syntaxes="both",
    lasts=8,
)
async def test_each_registration_has_its_own_timeout(witness: Witness, spec: Spec) -> None:
    """Each AsyncNotify returns ERROR_TIMEOUT (0x5B4) after the KeepAliveTimeout of its registration."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    handles = [
        await witness.register_ex(client, ip_address=address, keep_alive_timeout=seconds)
        for seconds in KEEP_ALIVES
    ]

    calls, waits = [], []
    for handle, seconds in zip(handles, KEEP_ALIVES, strict=True):
        calls.append((await witness.idle_connection(client)).async_notify(handle))
        waits.append(asyncio.ensure_future(timed_outcome_of(calls[-1], timer_deadline(expect, seconds))))
    endings = await asyncio.gather(*waits)

    for call, seconds, ending in zip(calls, KEEP_ALIVES, endings, strict=True):
        note = f"KeepAliveTimeout {seconds}"
        spec(
            "SWN-3.1.5.2-timeout-error",
            "SWN-3.1.5.2-implemented",
            "SWN-3.1.2.2-timer-implemented",
            "SWN-3.1.5.2-scans-list",
        ).allows(ending.outcome, returns(Win32.ERROR_TIMEOUT), note=note)
        if ending.outcome.kind in {"closed", "malformed"}:
            continue  # not by a timer: the end of the connection ends all its calls at the same time
        spec("SWN-3.1.5.2-not-early", "SWN-3.1.4.4-waits", "SWN-3.1.1.3-keepalive-seconds").holds(
            ending.seconds >= seconds - CLOCK_RESOLUTION_S,
            expected=f"no response before {seconds} s",
            observed=ending,
            note=note,
        )
        spec(
            "SWN-3.1.4.5-keepalive-meaning", "SWN-3.1.2.2-based-on-keepalive", "SWN-3.1.4.5-entry-keepalive"
        ).holds(
            seconds - CLOCK_RESOLUTION_S <= ending.seconds < timer_deadline(expect, seconds),
            expected=f"a response after {seconds} s, or at the first timer scan after that",
            observed=ending,
            note=note,
        )
        if ending.outcome == returns(Win32.ERROR_TIMEOUT):
            stub = await call.stub()
            null = not any(stub[: 8 if witness.syntax == NDR64 else 4])
            spec("SWN-3.1.4.4-error-null-response").record(
                f"{len(stub)} octets, pResp {'null' if null else 'not null'}", note
            )
    in_seconds = endings[0].seconds >= 1 - CLOCK_RESOLUTION_S
    spec.choice("AMB-36", "seconds" if in_seconds else "a unit shorter than a second")


@case("SWN-3.1.5.2-not-early", needs=("version-2",), lasts=4)
async def test_timeout_starts_with_the_call(witness: Witness, spec: Spec) -> None:
    """An AsyncNotify sent some time after RegisterEx stays pending for the full KeepAliveTimeout."""
    expect = witness.expect
    client = await witness.connect()
    handle = await witness.register_ex(client, keep_alive_timeout=1)

    await stay_idle(min(0.8, expect.unused_timeout / 3))
    ending = await timed_outcome_of(client.async_notify(handle), timer_deadline(expect, 1))

    spec("SWN-3.1.5.2-not-early").holds(
        ending.seconds >= 1 - CLOCK_RESOLUTION_S,
        expected="no response within 1 s after the call",
        observed=ending if ending.outcome.kind == "result" else ending.outcome,
        note="KeepAliveTimeout 1",
    )


@case("SWN-3.1.4.5-keepalive-zero", needs=("version-2",), lasts=5)
async def test_zero(witness: Witness, spec: Spec) -> None:
    """With KeepAliveTimeout 0 AsyncNotify returns ERROR_TIMEOUT (0x5B4) or stays pending."""
    expect = witness.expect
    client = await witness.connect()
    handle = await witness.register_ex(client, keep_alive_timeout=0)

    ending = await timed_outcome_of(client.async_notify(handle), expect.scan_interval + expect.quiet_time)

    spec("SWN-3.1.4.5-keepalive-zero").allows(ending.outcome, returns(Win32.ERROR_TIMEOUT), SILENCE)
    pending = ending.outcome == SILENCE
    spec.choice("AMB-3", "no timeout" if pending else f"{ending.outcome} at the next timer scan")


@case(
    "SWN-3.1.5.2-registration-survives",
    needs=("version-2", Capability.MOVE_CLIENT, "two-nodes"),
    lasts=4,
)
async def test_registration_survives_the_time_out(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """After ERROR_TIMEOUT (0x5B4) the next AsyncNotify with the same handle is notified of an event."""
    expect = witness.expect
    name = witness.client_name()
    client = await witness.connect()
    handle = await witness.register_ex(client, client_computer_name=name, keep_alive_timeout=1)
    first = await outcome_of(client.async_notify(handle), timer_deadline(expect, 1))
    if first != returns(Win32.ERROR_TIMEOUT):
        raise spec.precondition_failed(
            "SWN-3.1.5.2-timeout-error",
            expected=str(returns(Win32.ERROR_TIMEOUT)),
            observed=first,
            note="KeepAliveTimeout 1, as a stimulus",
        )

    next_call = client.async_notify(handle)
    await cluster.move_client(name, witness.nodes[1].name)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + expect.event_deadline
    second = await outcome_of(next_call, expect.event_deadline)
    # The event may come later than the KeepAliveTimeout of the call.
    while second == returns(Win32.ERROR_TIMEOUT) and loop.time() < deadline:
        second = await outcome_of(client.async_notify(handle), expect.event_deadline)

    kept = second == returns(Win32.ERROR_SUCCESS)
    spec("SWN-3.1.5.2-registration-survives").allows(second, returns(Win32.ERROR_SUCCESS))
    spec.choice(
        "AMB-21",
        "the registration is kept after ERROR_TIMEOUT"
        if kept
        else f"AsyncNotify after ERROR_TIMEOUT: {second}",
    )


@case("RPC-CONN-long-pending", needs=("version-2",), lasts=125, apart="undisturbed")
async def test_long_wait(witness: Witness, spec: Spec) -> None:
    """An AsyncNotify that is pending as long as real clients wait completes with ERROR_TIMEOUT (0x5B4)."""
    expect = witness.expect
    seconds = math.ceil(expect.long_call)
    client = await witness.connect()
    handle = await witness.register_ex(client, keep_alive_timeout=seconds)

    ending = await timed_outcome_of(client.async_notify(handle), timer_deadline(expect, seconds))

    spec("RPC-CONN-long-pending").allows(ending.outcome, returns(Win32.ERROR_TIMEOUT), note=str(ending))


@case(
    "SWN-3.1.4.4-multiple-outstanding",
    needs=("version-2", Capability.MOVE_CLIENT, "two-nodes"),
    lasts=4,
)
async def test_several_calls_on_one_registration(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Send three AsyncNotify on one registration, then one event; record how each of them ends."""
    expect = witness.expect
    name = witness.client_name()
    client = await witness.connect()
    handle = await witness.register_ex(client, client_computer_name=name, keep_alive_timeout=2)
    calls = [(await witness.idle_connection(client)).async_notify(handle) for _ in range(3)]

    await cluster.move_client(name, witness.nodes[1].name)
    endings = await asyncio.gather(*(timed_outcome_of(call, timer_deadline(expect, 2)) for call in calls))

    results = ", ".join(f"call {number}: {ending.outcome}" for number, ending in enumerate(endings, 1))
    spec("SWN-3.1.4.4-multiple-outstanding").record(results)
    spec.choice("AMB-20", f"three AsyncNotify on one registration, one event: {results}")


@case("SWN-3.1.4.3-with-pending-notify")
async def test_unregister_with_a_call_outstanding(witness: Witness, spec: Spec) -> None:
    """Send UnRegister while AsyncNotify is pending on the same handle; record how both end."""
    expect = witness.expect
    client = await witness.connect()
    handle = await witness.register(client)
    pending = client.async_notify(handle)

    to_unregister = (await witness.idle_connection(client)).start(UnRegisterRequest(handle))
    unregistered = await outcome_of(to_unregister, expect.reply_deadline)
    ended = await outcome_of(pending, expect.quiet_time)

    results = f"UnRegister: {unregistered}; the pending AsyncNotify: {ended}"
    spec("SWN-3.1.4.3-with-pending-notify").record(results)
    spec.choice("AMB-20", results)


@case("SWN-3.1.5.2-v1-no-timeout", "SWN-3.1.5.1-v1-registrations", needs=("version-2",), lasts=40)
async def test_version_1_registrations(witness: Witness, spec: Spec) -> None:
    """Leave a pending call and an idle registration of version 1 alone; record how both end."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    with_call = await witness.register(client, ip_address=address)
    idle = await witness.register(client, ip_address=address)

    pending = await timed_outcome_of(
        client.async_notify(with_call), expect.unused_timeout + expect.scan_interval
    )
    after_idle = await outcome_of(
        (await witness.idle_connection(client)).async_notify(idle), expect.quiet_time
    )

    spec("SWN-3.1.5.2-v1-no-timeout").record(f"AsyncNotify of a version 1 registration: {pending}")
    spec("SWN-3.1.5.1-v1-registrations").record(
        f"AsyncNotify of one that was idle for that time: {after_idle}"
    )
    spec.choice("AMB-14", f"pending call: {pending.outcome}; idle registration: {after_idle}")
