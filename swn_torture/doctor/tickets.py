"""The Kerberos ticket of the account, and the principal that a node names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.security.tickets import name_of
from swn_torture.harness.preflight.tickets import find_ticket, named_principal, names_another, stops

if TYPE_CHECKING:
    from swn_torture.doctor.links import Links
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress, Profile


async def check_ticket(profile: Profile, patience: Patience, links: Links) -> Profile:
    """Fetch a ticket for the target; returns the profile with the service principal name that is used."""
    found = await find_ticket(profile, patience)
    who = name_of(profile.account.credentials())
    if found.unknown:
        profile = found.profile
        mend = f'write spn = "{profile.principal}" in [account]'
        links.note("Kerberos ticket", f"{profile.principal}, for {who}. {found.instead}", mend)
    elif not found.problem:
        links.ok("Kerberos ticket", f"{profile.principal}, for {who}")
    else:
        text, _, mend = found.problem.partition("; ")
        mend = mend or "look for the reason in the log of the KDC"
        (links.broken if stops(profile) else links.note)("Kerberos ticket", text, mend)
    return profile


async def check_principal(
    profile: Profile, node: NodeAddress, port: int, patience: Patience, links: Links
) -> None:
    """Ask a node for its principal (inq_princ_name)."""
    name = "principal"
    named = await named_principal(node, port, patience)
    if not named:
        links.note(name, "it names none (inq_princ_name); it is optional", where=node.name)
        return
    text = f"it names {named} (inq_princ_name); the suite asks for tickets for {profile.principal}"
    if names_another(profile.principal, named):
        mend = f'if it rejects these tickets, write spn = "{named}" in [account]'
        links.note(name, text, mend, node.name)
    else:
        links.ok(name, text, node.name)
