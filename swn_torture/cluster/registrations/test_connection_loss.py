"""Registrations are removed when the connection closes or the client is unreachable (MS-SWN 3.1.6.5)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import also_needs, case
from swn_torture.casekit.steps.listeners import listen, versions
from swn_torture.casekit.steps.registering import registrations_of, show_registrations, wait_until_gone
from swn_torture.casekit.steps.timing import stay_idle

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness


@case("SWN-3.1.6.5-delete-on-timeout", needs=("list-registrations",))
@pytest.mark.parametrize("ending", ["fin", pytest.param("reset", marks=also_needs("tcp-reset"))])
async def test_connection_ends(witness: Witness, spec: Spec, cluster: Controller, ending: str) -> None:
    """Closing the only connection of a client removes its registrations from the server."""
    expect = witness.expect
    client = await witness.connect()
    closed = [
        await listen(witness, client, version=version, async_notify=False) for version in versions(witness)
    ]
    closed[0].async_notify()
    other = await listen(witness, version=1)
    names = [listener.name for listener in closed]
    before = await registrations_of(cluster, *names, other.name)

    await client.rpc.close(abort=ending == "reset")
    left = await wait_until_gone(cluster, names, expect.reply_deadline)

    spec("SWN-3.1.6.5-delete-on-timeout").holds(
        len(before) == len(closed) + 1 and not left,
        expected=f"{len(closed)} registrations before, none after the connection was closed",
        observed=f"{len(before) - 1} before, after: {show_registrations(left)}",
        note="registered on one connection, the only one of its association group",
    )
    spec("SWN-3.1.6.5-delete-on-timeout").holds(
        len(await registrations_of(cluster, other.name)) == 1,
        expected="the registration of another connection is kept",
        observed=show_registrations(await registrations_of(cluster, other.name)),
    )


@case(
    "SWN-3.1.6.5-delete-on-timeout",
    "SWN-3.1.6.5-silent-death",
    needs=("version-2", "list-registrations", "silent-client"),
    lasts=60,
)
async def test_unreachable_client(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client becomes unreachable with its connection open: the server removes its registrations."""
    expect = witness.expect
    keep_alive = 1
    version_2 = await listen(witness, keep_alive_timeout=keep_alive)
    version_1 = await listen(witness, version=1)
    # If the transport does not detect it, the timers of MS-SWN 3.1.5 remove a registration of version 2: the
    # server completes the call, no client reads the response, and from then on the registration is unused.
    # Registrations of version 1 have no timers.
    by_timers = keep_alive + expect.unused_timeout + 2 * expect.scan_interval + expect.reply_deadline
    by_transport = expect.silence_timeout + expect.reply_deadline

    for listener in (version_2, version_1):
        # After this the client's TCP has no unacknowledged data that it would send again.
        if listener.client.rpc.core.multiplexed:
            await listener.client.get_interface_list()
        else:
            await stay_idle(expect.quiet_time)
        listener.client.rpc.fall_silent()
    began = time.monotonic()
    left = await wait_until_gone(cluster, [version_2.name], by_timers)
    seen = f"{show_registrations(left)} after {time.monotonic() - began:.1f} s"
    spec("SWN-3.1.6.5-silent-death").holds(
        not left,
        expected=f"a registration of version 2 is removed after {by_timers:g} s, by its timers at the latest",
        observed=seen,
        note=f"KeepAliveTimeout {keep_alive}, AsyncNotify pending when the client became unreachable",
    )

    left = await wait_until_gone(cluster, [version_1.name], began + by_transport - time.monotonic())
    seen = f"{show_registrations(left)} after {time.monotonic() - began:.1f} s"
    rule = spec("SWN-3.1.6.5-delete-on-timeout")
    note = "registration of version 1 of an unreachable client"
    if expect.silence_timeout:
        rule.holds(
            not left,
            expected=f"none listed after {by_transport:g} s (silence_timeout {expect.silence_timeout:g} s)",
            observed=seen,
            note=note,
        )
    else:
        rule.record(seen, f"{note}; the profile sets no time limit (expect.silence_timeout)")
    spec.choice(
        "AMB-14", f"registration of version 1, unreachable client: {'still listed' if left else 'removed'}"
    )
