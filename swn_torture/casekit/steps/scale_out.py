"""Check registrations that a server rejects only if it treats a share as scale-out (AMB-37).

Register and RegisterEx depend on STYPE_CLUSTER_SOFS in a NetrShareEnum. By MS-SRVS 3.1.4.8 that method clears
the bit. So a server may treat no share as scale-out: then it ignores ShareName, and no rule requires a check
of IpAddress. It looks the same if the profile calls a share scale-out that is not. So success is a violation
only if the server shows elsewhere that it treats a share as scale-out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit.outcome import SUCCESS
from swn_torture.casekit.steps.registering import INVALID_STATE, REGISTER_EX, scale_out_share
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.outcome import Outcome
    from swn_torture.casekit.witness import Witness


#: A ShareName that no cluster has.
UNKNOWN_SHARE = "any_invalid_share_name"

#: Addresses that no interface has: the broadcast address, and one reserved for documentation (RFC 9637).
NO_INTERFACE = {"ipv4": "255.255.255.255", "ipv6": "3fff::ff"}


async def check_rejected(
    witness: Witness, spec: Spec, requirement: str, reply: Outcome, *allowed: Outcome, note: str = ""
) -> None:
    """Check that a registration is rejected, as it must be if a share is scale-out.

    Args:
        witness: the target.
        spec: the checks of the case.
        requirement: the requirement that the registration is rejected.
        reply: its outcome.
        allowed: every allowed outcome.
        note: where in the case this was.

    Raises:
        NotTestable: it succeeded, and nothing shows that the server treats a share as scale-out.
    """
    if reply == SUCCESS:
        shown_by = await require_scale_out(witness, spec)
        if SUCCESS not in allowed:
            note = "; ".join(filter(None, (note, f"the server treats a share as scale-out: {shown_by}")))
    spec(requirement).allows(reply, *allowed, note=note)


async def require_scale_out(witness: Witness, spec: Spec) -> str:
    """What shows that the server treats a share of the cluster as scale-out.

    Raises:
        NotTestable: nothing shows it, which is recorded as a choice.
    """
    shown_by = await scale_out_shown_by(witness)
    if not shown_by:
        spec.choice("AMB-37", "no share counts as scale-out")
        raise NotTestable(
            "the server treats no share as scale-out: NetrShareEnum clears STYPE_CLUSTER_SOFS (AMB-37), or "
            "expect.shares of the profile is wrong"
        )
    return shown_by


async def scale_out_shown_by(witness: Witness) -> str:
    """What shows that the server treats a share of the cluster as scale-out; empty if nothing does.

    Without a scale-out share it must ignore ShareName. It may always check IpAddress (AMB-5), so a check of
    IpAddress shows it only if there is none for a NULL ShareName.
    """
    if witness.expect.version < REGISTER_EX.version:
        return ""
    client = await witness.connect()
    try:
        if await REGISTER_EX.reply(witness, client, share_name=UNKNOWN_SHARE) == INVALID_STATE:
            return f"RegisterEx with an unknown ShareName returns {INVALID_STATE}"
        share, address = scale_out_share(witness), NO_INTERFACE["ipv4"]
        replies = [
            await REGISTER_EX.reply(witness, client, share_name=name, ip_address=address)
            for name in (share, None)
        ]
    finally:
        await client.rpc.close()
    if replies == [INVALID_STATE, SUCCESS]:
        return f"RegisterEx rejects an unknown IpAddress for {share} and accepts it without a share"
    return ""
