"""The Kerberos ticket of the account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.dcerpc.security.tickets import name_of
from swn_torture.harness.preflight.tickets import no_ticket, stops

if TYPE_CHECKING:
    from swn_torture.doctor.links import Links
    from swn_torture.target import Profile


async def check_ticket(profile: Profile, links: Links) -> None:
    """Fetch a ticket for the service principal name of the target."""
    problem = await asyncio.to_thread(no_ticket, profile)
    if not problem:
        who = name_of(profile.account.credentials())
        links.ok("Kerberos ticket", f"{profile.principal}, for {who}")
        return
    text, _, mend = problem.partition("; ")
    mend = mend or "look for the reason in the log of the KDC"
    if stops(profile):
        links.broken("Kerberos ticket", text, mend)
    else:
        links.note("Kerberos ticket", text, mend)
