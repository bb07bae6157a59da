"""The service as a client first meets it: interface, version, transport, visitors (MS-SWN 1.9, 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.protocol import NDR32, WITNESS, GetInterfaceListRequest, Win32, WitnessClient
from swn_torture.casekit.steps.octets import contexts, outcome_of_bind
from swn_torture.casekit.transport import AuthType, ContextResult, ResultCode

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

ACCEPTED = str(ContextResult(ResultCode.ACCEPTANCE))


@case("SWN-1.9-uuid", "SWN-2.1-if-version", "SWN-2.1-rpc-over-tcp")
async def test_bind_to_the_interface(witness: Witness, spec: Spec) -> None:
    """The witness interface, version 1.1, is bound over TCP on every node, and serves its first method."""
    for node, where in enumerate(witness.nodes):
        rpc = await witness.rpc(node)
        bound = await outcome_of_bind(rpc.bind(contexts(NDR32, abstract=WITNESS), **witness.logon()))
        note = f"{where.name}, {where.address} port {rpc.remote[1]}"
        accepted = spec("SWN-1.9-uuid", "SWN-2.1-if-version").holds(
            bound.accepted == (0,), expected=f"{WITNESS}: {ACCEPTED}", observed=bound, note=note
        )
        if not accepted:
            raise spec.stop()
        reply = await outcome_of(WitnessClient(rpc, NDR32).start(GetInterfaceListRequest()))
        spec("SWN-2.1-rpc-over-tcp").allows(reply, returns(Win32.ERROR_SUCCESS), note=note)


@case("SWN-2.1-any-user-connect")
async def test_any_user_may_connect(witness: Witness, spec: Spec) -> None:
    """An ordinary user is let in at packet integrity; what becomes of a bind without any is recorded.

    By SPNEGO, whose last leg is answered: with NTLM alone a refused logon would show only at the first call.
    """
    users = [witness.credentials]
    if witness.profile.second_account is not None:
        users.append(witness.second_credentials)
    for user in users:
        rpc = await witness.rpc()
        bound = await outcome_of_bind(
            rpc.bind(contexts(NDR32), **witness.logon(auth_type=AuthType.SPNEGO, credentials=user))
        )

        spec("SWN-2.1-any-user-connect").holds(
            bound.accepted == (0,), expected=ACCEPTED, observed=bound, note=f"as {user.username}"
        )
    nobody = await outcome_of_bind((await witness.rpc()).bind(contexts(NDR32)))
    spec("SWN-2.1-any-user-connect").record(f"a bind without authentication: {nobody}")
