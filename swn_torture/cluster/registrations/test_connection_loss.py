"""The connection of a client ends, or the client falls silent: its registrations go (MS-SWN 3.1.6.5)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case
from swn_torture.casekit.steps.listeners import listen, versions
from swn_torture.casekit.steps.registering import listed, show_listed, until_gone

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness


@case("SWN-3.1.6.5-delete-on-timeout", needs=("list-registrations",))
@pytest.mark.parametrize("ending", ["fin", "reset"])
async def test_connection_ends(witness: Witness, spec: Spec, cluster: Controller, ending: str) -> None:
    """A client whose only connection ends is not on the list of registrations any more."""
    expect = witness.expect
    client = await witness.connect()
    gone = [
        await listen(witness, client, version=version, asks=version == 1) for version in versions(witness)
    ]
    stays = await listen(witness, version=1)
    names = [listener.name for listener in gone]
    before = await listed(cluster, *names, stays.name)

    await client.rpc.close(abort=ending == "reset")
    left = await until_gone(cluster, names, expect.reply_deadline)

    spec("SWN-3.1.6.5-delete-on-timeout").holds(
        len(before) == len(gone) + 1 and not left,
        expected=f"{len(gone)} registrations on the list before, none after the connection ended",
        observed=f"{len(before) - 1} before, after: {show_listed(left)}",
        note="they were made on one connection, the only one of its association",
    )
    spec("SWN-3.1.6.5-delete-on-timeout").holds(
        len(await listed(cluster, stays.name)) == 1,
        expected="the registration of another connection is still there",
        observed=show_listed(await listed(cluster, stays.name)),
    )


@case(
    "SWN-3.1.6.5-delete-on-timeout",
    "SWN-3.1.6.5-silent-death",
    needs=("version-2", "list-registrations"),
    lasts=60,
)
async def test_client_falls_silent(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client that vanishes without a word is not on the list of registrations for ever."""
    expect = witness.expect
    keep_alive = 1
    silent = await listen(witness, keep_alive_timeout=keep_alive)
    old = await listen(witness, version=1)
    # If the transport does not notice, the timers of 3.1.5 see to it: the call is answered into the void, and
    # from then on the registration is unused. Those of version 1 have no timers.
    by_timers = keep_alive + expect.unused_timeout + 2 * expect.scan_interval + expect.reply_deadline
    by_transport = expect.silence_timeout + expect.reply_deadline

    for listener in (silent, old):
        # The answer shows that nothing is on its way any more, which the dead would send again.
        await listener.client.get_interface_list()
        listener.client.rpc.fall_silent()
    began = time.monotonic()
    left = await until_gone(cluster, [silent.name], by_timers)
    seen = f"{show_listed(left)} after {time.monotonic() - began:.1f} s"
    spec("SWN-3.1.6.5-silent-death").holds(
        not left,
        expected=f"a registration of version 2 is gone after {by_timers:g} s, by its timers at the latest",
        observed=seen,
        note=f"KeepAliveTimeout {keep_alive}, an AsyncNotify outstanding when the client fell silent",
    )

    left = await until_gone(cluster, [old.name], began + by_transport - time.monotonic())
    seen = f"{show_listed(left)} after {time.monotonic() - began:.1f} s"
    rule, note = spec("SWN-3.1.6.5-delete-on-timeout"), "registration of version 1, its client fell silent"
    if expect.silence_timeout:
        rule.holds(
            not left,
            expected=f"none listed after {by_transport:g} s (silence_timeout {expect.silence_timeout:g} s)",
            observed=seen,
            note=note,
        )
    else:
        rule.record(seen, f"{note}; when the transport notices is not known (expect.silence_timeout)")
    spec.choice("AMB-14", f"a client of version 1 that fell silent is {'listed' if left else 'gone'} by then")
