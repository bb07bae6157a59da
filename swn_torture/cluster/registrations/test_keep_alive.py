"""KeepAliveTimeout: how long AsyncNotify is held (MS-SWN 3.1.2.2, 3.1.4.4, 3.1.4.5, 3.1.5.2)."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import NDR64, UnRegisterRequest, Win32
from swn_torture.casekit.steps.timing import CLOCK_RESOLUTION_S, ending_of, latest, stay_idle

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

#: Seconds asked for side by side; far enough apart that a server which mixes them up is seen.
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
async def test_each_registration_has_its_own(witness: Witness, spec: Spec) -> None:
    """Calls of registrations with different KeepAliveTimeouts on one connection end each at its time."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    handles = [
        await witness.register_ex(client, ip_address=address, keep_alive_timeout=seconds)
        for seconds in KEEP_ALIVES
    ]

    calls = [client.async_notify(handle) for handle in handles]
    endings = await asyncio.gather(
        *(ending_of(call, latest(expect, k)) for call, k in zip(calls, KEEP_ALIVES, strict=True))
    )

    for call, seconds, ending in zip(calls, KEEP_ALIVES, endings, strict=True):
        note = f"KeepAliveTimeout {seconds}"
        spec(
            "SWN-3.1.5.2-timeout-error",
            "SWN-3.1.5.2-implemented",
            "SWN-3.1.2.2-timer-implemented",
            "SWN-3.1.5.2-scans-list",
        ).allows(ending.outcome, returns(Win32.ERROR_TIMEOUT), note=note)
        spec("SWN-3.1.5.2-not-early", "SWN-3.1.4.4-waits", "SWN-3.1.1.3-keepalive-seconds").holds(
            ending.seconds >= seconds - CLOCK_RESOLUTION_S,
            expected=f"no answer before {seconds} s",
            observed=ending,
            note=note,
        )
        spec(
            "SWN-3.1.4.5-keepalive-meaning", "SWN-3.1.2.2-based-on-keepalive", "SWN-3.1.4.5-entry-keepalive"
        ).holds(
            seconds - CLOCK_RESOLUTION_S <= ending.seconds < latest(expect, seconds),
            expected=f"an answer after {seconds} s, or at the first scan of the timer after that",
            observed=ending,
            note=note,
        )
        if ending.outcome == returns(Win32.ERROR_TIMEOUT):
            stub = await call.stub()
            null = not any(stub[: 8 if witness.syntax == NDR64 else 4])
            spec("SWN-3.1.4.4-error-null-response").record(
                f"{len(stub)} octets, pResp {'null' if null else 'not null'}", note
            )
    spec.choice("AMB-36", "seconds" if endings[0].seconds >= 1 - CLOCK_RESOLUTION_S else "less than seconds")


@case("SWN-3.1.5.2-not-early", needs=("version-2",), lasts=4)
async def test_time_runs_from_the_call(witness: Witness, spec: Spec) -> None:
    """A call that is made some time after registering waits for its whole time all the same."""
    expect = witness.expect
    client = await witness.connect()
    handle = await witness.register_ex(client, keep_alive_timeout=1)

    await stay_idle(min(0.8, expect.unused_timeout / 3))
    ending = await ending_of(client.async_notify(handle), latest(expect, 1))

    spec("SWN-3.1.5.2-not-early").holds(
        ending.seconds >= 1 - CLOCK_RESOLUTION_S,
        expected="no answer before the call has waited for 1 s",
        observed=ending,
        note="KeepAliveTimeout 1",
    )


@case("SWN-3.1.4.5-keepalive-zero", needs=("version-2",), lasts=5)
async def test_zero(witness: Witness, spec: Spec) -> None:
    """With KeepAliveTimeout 0 a call ends at the next scan of the timer, or the server takes 0 for never."""
    expect = witness.expect
    client = await witness.connect()
    handle = await witness.register_ex(client, keep_alive_timeout=0)

    ending = await ending_of(client.async_notify(handle), expect.scan_interval + expect.quiet_time)

    spec("SWN-3.1.4.5-keepalive-zero").allows(ending.outcome, returns(Win32.ERROR_TIMEOUT), SILENCE)
    silent = ending.outcome == SILENCE
    spec.choice("AMB-3", "no time-out" if silent else f"{ending.outcome} at the next scan of the timer")


@case(
    "SWN-3.1.5.2-registration-survives",
    needs=("version-2", Capability.MOVE_CLIENT, "two-nodes"),
    lasts=4,
)
async def test_registration_survives_the_time_out(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """After ERROR_TIMEOUT the client asks again by the same handle and hears of the next event."""
    expect = witness.expect
    name = witness.client_name()
    client = await witness.connect()
    handle = await witness.register_ex(client, client_computer_name=name, keep_alive_timeout=1)
    first = await outcome_of(client.async_notify(handle), latest(expect, 1))
    if first != returns(Win32.ERROR_TIMEOUT):
        raise spec.precondition_failed(
            "SWN-3.1.5.2-timeout-error",
            expected=str(returns(Win32.ERROR_TIMEOUT)),
            observed=first,
            note="KeepAliveTimeout 1, as a stimulus",
        )

    again = client.async_notify(handle)
    await cluster.move_client(name, witness.nodes[1].name)
    second = await outcome_of(again, expect.event_deadline)

    kept = second == returns(Win32.ERROR_SUCCESS)
    spec("SWN-3.1.5.2-registration-survives").allows(second, returns(Win32.ERROR_SUCCESS))
    spec.choice(
        "AMB-21", "the registration goes on after ERROR_TIMEOUT" if kept else f"asked again: {second}"
    )


@case("RPC-CONN-long-pending", needs=("version-2",), lasts=125)
async def test_long_wait(witness: Witness, spec: Spec) -> None:
    """A call that is pending as long as clients leave it is answered on its connection."""
    expect = witness.expect
    seconds = math.ceil(expect.long_call)
    client = await witness.connect()
    handle = await witness.register_ex(client, keep_alive_timeout=seconds)

    ending = await ending_of(client.async_notify(handle), latest(expect, seconds))

    spec("RPC-CONN-long-pending").allows(ending.outcome, returns(Win32.ERROR_TIMEOUT), note=str(ending))


@case(
    "SWN-3.1.4.4-multiple-outstanding",
    needs=("version-2", Capability.MOVE_CLIENT, "two-nodes"),
    lasts=4,
)
async def test_several_calls_on_one_registration(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Three calls are outstanding on one registration, one event happens: which gets it, how others end."""
    expect = witness.expect
    name = witness.client_name()
    client = await witness.connect()
    handle = await witness.register_ex(client, client_computer_name=name, keep_alive_timeout=2)
    calls = [client.async_notify(handle) for _ in range(3)]

    await cluster.move_client(name, witness.nodes[1].name)
    endings = await asyncio.gather(*(ending_of(call, latest(expect, 2)) for call in calls))

    notified = ", ".join(f"call {number}: {ending.outcome}" for number, ending in enumerate(endings, 1))
    spec("SWN-3.1.4.4-multiple-outstanding").record(notified)
    spec.choice("AMB-20", f"three AsyncNotify on one registration, one event: {notified}")


@case("SWN-3.1.4.3-with-pending-notify")
async def test_unregister_with_a_call_outstanding(witness: Witness, spec: Spec) -> None:
    """UnRegister while AsyncNotify is outstanding on the same registration: how each of them ends."""
    expect = witness.expect
    client = await witness.connect()
    handle = await witness.register(client)
    pending = client.async_notify(handle)

    unregistered = await outcome_of(client.start(UnRegisterRequest(handle)), expect.reply_deadline)
    ended = await outcome_of(pending, expect.quiet_time)

    notified = f"UnRegister: {unregistered}; the pending AsyncNotify: {ended}"
    spec("SWN-3.1.4.3-with-pending-notify").record(notified)
    spec.choice("AMB-20", notified)


@case("SWN-3.1.5.2-v1-no-timeout", "SWN-3.1.5.1-v1-registrations", needs=("version-2",), lasts=40)
async def test_version_1_registrations(witness: Witness, spec: Spec) -> None:
    """Registrations of version 1 have no keep-alive: what becomes of a pending call, and of an idle one."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    asking = await witness.register(client, ip_address=address)
    idle = await witness.register(client, ip_address=address)

    pending = await ending_of(client.async_notify(asking), expect.unused_timeout + expect.scan_interval)
    after = await outcome_of(client.async_notify(idle), expect.quiet_time)

    spec("SWN-3.1.5.2-v1-no-timeout").record(f"AsyncNotify of a version 1 registration: {pending}")
    spec("SWN-3.1.5.1-v1-registrations").record(f"AsyncNotify of one that was idle as long: {after}")
    spec.choice("AMB-14", f"pending call: {pending.outcome}; idle registration: {after}")
