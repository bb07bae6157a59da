"""The connection of a client ends, or the client falls silent: its registrations go (MS-SWN 3.1.6.5)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from swn_torture.harness import case
from swn_torture.harness.registering import listed, show_listed, until_gone
from swn_torture.harness.steps import listen, versions

if TYPE_CHECKING:
    from swn_torture.control.base import Controller
    from swn_torture.harness import Law
    from swn_torture.harness.witness import Witness


@case("SWN-3.1.6.5-delete-on-timeout", needs=("list-registrations",))
@pytest.mark.parametrize("ending", ["fin", "reset"])
async def test_connection_ends(witness: Witness, law: Law, cluster: Controller, ending: str) -> None:
    """A client whose only connection ends is not on the list of registrations any more."""
    expect = witness.place.profile.expect
    client = await witness.connect()
    gone = [
        await listen(witness, client, version=version, asks=version == 1) for version in versions(witness)
    ]
    stays = await listen(witness, version=1)
    names = [listener.name for listener in gone]
    before = await listed(cluster, *names, stays.name)

    await client.rpc.close(abort=ending == "reset")
    left = await until_gone(cluster, names, expect.reply_deadline)

    law("SWN-3.1.6.5-delete-on-timeout").holds(
        len(before) == len(gone) + 1 and not left,
        expected=f"{len(gone)} registrations on the list before, none after the connection ended",
        observed=f"{len(before) - 1} before, after: {show_listed(left)}",
        note="they were made on one connection, the only one of its association",
    )
    law("SWN-3.1.6.5-delete-on-timeout").holds(
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
async def test_client_falls_silent(witness: Witness, law: Law, cluster: Controller) -> None:
    """A client that vanishes without a word is not on the list of registrations for ever."""
    expect = witness.place.profile.expect
    keep_alive = 1
    silent = await listen(witness, keep_alive_timeout=keep_alive)
    old = await listen(witness, version=1)

    silent.client.rpc.fall_silent()
    old.client.rpc.fall_silent()
    began = time.monotonic()
    # If the transport does not notice, the timers of 3.1.5 see to it: the call is answered into the void, and
    # from then on the registration is unused.
    longest = keep_alive + expect.unused_timeout + 2 * expect.scan_interval + expect.reply_deadline
    left = await until_gone(cluster, [silent.name], longest)

    seconds = time.monotonic() - began
    observed = f"listed after {seconds:.1f} s: {show_listed(left)}" if left else f"gone after {seconds:.1f} s"
    law("SWN-3.1.6.5-silent-death").holds(
        not left,
        expected=f"a registration of version 2 is gone after {longest:g} s, by its timers at the latest",
        observed=observed,
        note=f"KeepAliveTimeout {keep_alive}, an AsyncNotify outstanding when the client fell silent",
    )
    law("SWN-3.1.6.5-delete-on-timeout").record(f"registration of version 2, client fell silent: {observed}")
    left = await listed(cluster, old.name)
    law.choice("AMB-14", f"a client of version 1 that fell silent is {'listed' if left else 'gone'} by then")
