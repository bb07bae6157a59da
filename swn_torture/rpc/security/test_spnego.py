"""SPNEGO that falls back to NTLM, as with a Windows client that has no ticket (RFC 4178)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SUCCESS, Outcome, case, outcome_of
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.casekit.protocol import GetInterfaceListRequest, WitnessClient
from swn_torture.casekit.steps.callers import NOT_SERVED, served
from swn_torture.casekit.steps.fallback import FALSE_MICS, FallingBack
from swn_torture.casekit.steps.octets import contexts
from swn_torture.casekit.transport import AuthenticationError, AuthType, RpcError
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

#: Stands for an AP-REQ. A server ignores the token of a mechanism that it does not use (RFC 4178 4.2.1).
_NO_AP_REQ = bytes(range(200))


async def _log_on(witness: Witness, negotiation: FallingBack) -> Outcome:
    """Authenticate, and call GetInterfaceList.

    Raises:
        NotTestable: the server does not answer the first leg by choosing NTLM.
    """
    rpc = await witness.rpc()
    context = negotiation.context(witness.level)
    entry = rpc.core.add_security(AuthType.SPNEGO, witness.level, context)
    proposed = contexts(witness.syntax)
    try:
        answer = await rpc.exchange(rpc.core.bind(proposed, security=entry, token=context.step(b"")))
        token = context.step(answer.auth_value)
        if not negotiation.by_ntlm:
            raise NotTestable(
                "the server chooses Kerberos in SPNEGO, so that there is nothing to fall back from"
            )
        while token:
            leg = rpc.core.bind(proposed, security=entry, token=token, alter=True)
            answer = await rpc.exchange(leg)
            token = b"" if context.complete and not answer.auth_value else context.step(answer.auth_value)
        call = WitnessClient(rpc, witness.syntax).start(GetInterfaceListRequest())
    except AuthenticationError as error:
        return Outcome("pdu", detail=f"no security context: {error}")
    except RpcError as error:
        return outcome_of_error(error)
    return await outcome_of(call, witness.expect.reply_deadline)


@case("RPC-AUTH-three-leg", needs=("spnego", "ntlm"))
@pytest.mark.parametrize("token", [b"", _NO_AP_REQ], ids=["no-token", "token-of-kerberos"])
async def test_falls_back(witness: Witness, spec: Spec, token: bytes) -> None:
    """A client offers Kerberos, then NTLM; a server without Kerberos chooses NTLM, and confirms the list."""
    negotiation = FallingBack(witness, token)

    outcome = await _log_on(witness, negotiation)

    rule = spec("RPC-AUTH-three-leg")
    if rule.allows(outcome, SUCCESS, note="SPNEGO with Kerberos and NTLM, by NTLM"):
        # RFC 4178 5: both ends must send one if the mechanism is not the first of the list.
        rule.holds(
            negotiation.confirmed,
            expected="a mechListMIC of the server",
            observed="a mechListMIC" if negotiation.confirmed else "no mechListMIC",
        )
    await witness.check_still_serving(spec)


@case("RPC-AUTH-wrong-password", needs=("spnego", "ntlm"))
@pytest.mark.parametrize("false", FALSE_MICS)
async def test_false_mic(witness: Witness, spec: Spec, false: str) -> None:
    """If NTLM is not the first choice of the client, no call is served without its valid mechListMIC."""
    outcome = await _log_on(witness, FallingBack(witness, false=false))

    spec("RPC-AUTH-wrong-password").holds(
        not served(outcome), expected=NOT_SERVED, observed=outcome, note=f"mechListMIC: {false}"
    )
    await witness.check_still_serving(spec)
