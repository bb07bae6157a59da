"""What only Kerberos and SPNEGO can show: tickets, the third leg, the mechListMIC (MS-RPCE 3.3.1.5.2.1)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import pytest

from swn_torture.casekit import CLOSED, SUCCESS, Outcome, also_needs, case, faults, outcome_of
from swn_torture.casekit.outcome import outcome_of_error, refuses_bind
from swn_torture.casekit.protocol import WITNESS, GetInterfaceListRequest, WitnessClient
from swn_torture.casekit.steps.ap_requests import EXPIRED, WRONG, ap_request, with_ticket_resealed
from swn_torture.casekit.steps.callers import NOT_SERVED, served
from swn_torture.casekit.steps.octets import contexts, outcome_of_pdu
from swn_torture.casekit.transport import AuthenticationError, AuthType, RpcError, SecTrailer, initiator
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness


@case("RPC-AUTH-spn-cifs", needs=("kerberos",))
async def test_ticket_for_cifs(witness: Witness, spec: Spec) -> None:
    """Log on by Kerberos with a ticket for cifs/<cluster name>, and call; record the result."""
    principal = witness.profile.principal
    if not principal.casefold().startswith("cifs/"):
        raise NotTestable(f"the suite asks for tickets for {principal}: spn in [account]")
    try:
        client = await witness.connect(auth_type=AuthType.KERBEROS)
        call = client.start(GetInterfaceListRequest())
        answer = await outcome_of(call, witness.expect.reply_deadline)
    except AuthenticationError as error:
        answer = Outcome("pdu", detail=f"no security context: {error}")
    except RpcError as error:
        answer = outcome_of_error(error)
    spec("RPC-AUTH-spn-cifs").record(answer, principal)


@case("RPC-AUTH-wrong-password", needs=("kerberos",))
@pytest.mark.parametrize("alter", [False, True], ids=["bind", "alter-context"])
@pytest.mark.parametrize(
    "wrong",
    [pytest.param(each, marks=also_needs("service-keytab") if each == EXPIRED else ()) for each in WRONG],
)
async def test_rejected_ticket(witness: Witness, spec: Spec, wrong: str, *, alter: bool) -> None:
    """A Kerberos ticket that the server cannot accept gets bind_nak, or a fault to alter_context."""
    if wrong == EXPIRED:
        # What is rejected must be the end of the ticket, and not how it was made.
        made = await _answer_to(witness, with_ticket_resealed(ap_request(witness)), alter=alter)
        if made.kind != "pdu":
            raise NotTestable(f"the server rejects a ticket made with service_keytab that is valid: {made}")
    answer = await _answer_to(witness, WRONG[wrong](ap_request(witness)), alter=alter)

    allowed = (faults(), refuses_bind(), CLOSED) if alter else (refuses_bind(), CLOSED)
    spec("RPC-AUTH-wrong-password").allows(answer, *allowed, note=f"AP-REQ: {wrong}")
    await witness.check_still_serving(spec)


async def _answer_to(witness: Witness, token: bytes, *, alter: bool) -> Outcome:
    """What comes back for a first token of Kerberos, in a bind or in an alter_context."""
    rpc = await witness.rpc()
    if alter:
        await rpc.bind(contexts(witness.syntax))
    pdu = dataclasses.replace(
        rpc.core.bind(contexts(witness.syntax), alter=alter),
        trailer=SecTrailer(AuthType.KERBEROS, witness.level, 0, 77),
        auth_value=token,
    )
    try:
        return outcome_of_pdu(await rpc.exchange(pdu))
    except RpcError as error:
        return outcome_of_error(error)


@case("RPC-AUTH-wrong-password")
@pytest.mark.parametrize("wrong", ["changed", "of-other-context", "empty"])
@pytest.mark.parametrize(
    "service",
    [pytest.param(AuthType.KERBEROS, marks=also_needs("kerberos")), AuthType.SPNEGO],
    ids=["kerberos", "spnego"],
)
async def test_wrong_third_leg(witness: Witness, spec: Spec, service: AuthType, wrong: str) -> None:
    """After a third leg that proves nothing, no call is executed."""
    witness.require(service)
    first, second = await _before_last_leg(witness, service), await _before_last_leg(witness, service)
    token = {"changed": _flipped(first.token), "of-other-context": second.token, "empty": b""}[wrong]

    outcome = await first.finish(token)

    spec("RPC-AUTH-wrong-password").holds(
        not served(outcome), expected=NOT_SERVED, observed=outcome, note=f"third leg: {wrong}"
    )
    await witness.check_still_serving(spec)


def _flipped(token: bytes) -> bytes:
    """A token whose last octet is changed: of the sealed AP-REP, or of the mechListMIC of SPNEGO."""
    return token[:-1] + bytes([token[-1] ^ 0x01])


@dataclasses.dataclass(frozen=True)
class _Unfinished:
    """An authentication of which only the last leg is missing.

    Attributes:
        witness: the target.
        client: the connection.
        entry: its security context.
        token: the last leg.
    """

    witness: Witness
    client: WitnessClient
    entry: Any
    token: bytes

    async def finish(self, token: bytes) -> Outcome:
        """Send a last leg; return the answer that rejects it, or the outcome of the first request."""
        rpc = self.client.rpc
        last = rpc.core.bind(contexts(self.witness.syntax), security=self.entry, token=token, alter=True)
        try:
            await rpc.exchange(last)
            call = self.client.start(GetInterfaceListRequest())
        except AuthenticationError as error:
            # The server took the leg, but did not complete the context: no request can use it.
            return Outcome("pdu", detail=f"no security context: {error}")
        except RpcError as error:
            return outcome_of_error(error)
        return await outcome_of(call, self.witness.expect.reply_deadline)


async def _before_last_leg(witness: Witness, service: AuthType) -> _Unfinished:
    """Authenticate up to the last leg.

    Raises:
        NotTestable: the target does not accept the first leg.
    """
    rpc = await witness.rpc()
    context = initiator(service, witness.credentials, host=witness.profile.host, level=witness.level)
    entry = rpc.core.add_security(service, witness.level, context)
    proposed = contexts(witness.syntax)
    try:
        answer = await rpc.exchange(rpc.core.bind(proposed, security=entry, token=context.step(b"")))
        token = context.step(answer.auth_value)
    except RpcError as error:
        raise NotTestable(f"the server does not accept the first leg: {error}") from error
    return _Unfinished(witness, WitnessClient(rpc, witness.syntax), entry, token)


#: Octets of the largest fragment that Windows and Samba negotiate over TCP.
_LONG: Final = 5840


@case("RPC-AUTH-three-leg", needs=("second-tickets",))
@pytest.mark.parametrize(
    "way",
    [
        pytest.param("bind", marks=also_needs("kerberos")),
        pytest.param("alter-context", marks=also_needs("kerberos")),
        "bind-spnego",
    ],
)
async def test_large_ticket(witness: Witness, spec: Spec, way: str) -> None:
    """A user of some hundreds of groups logs on, with a bind or alter_context longer than any fragment."""
    service = AuthType.SPNEGO if way == "bind-spnego" else AuthType.KERBEROS
    witness.require(service)
    logon = witness.logon(credentials=witness.second_credentials, auth_type=service)
    context = initiator(service, logon["credentials"], host=witness.profile.host, level=witness.level)
    octets = len(context.step(b""))
    if octets <= _LONG:
        raise NotTestable(
            f"the first token of the second account has no more than {_LONG} octets; in some hundreds of "
            "groups it has"
        )
    rpc = await witness.rpc()
    allowed = [SUCCESS]
    try:
        if way == "alter-context":
            await rpc.bind(WITNESS, transfer=(witness.syntax,))
            await rpc.alter_context(**logon)
        else:
            await rpc.bind(WITNESS, transfer=(witness.syntax,), **logon)
    except RpcError as error:
        answer = outcome_of_error(error)
        allowed += [refuses_bind(), faults(), CLOSED]
    else:
        call = WitnessClient(rpc, witness.syntax).start(GetInterfaceListRequest())
        answer = await outcome_of(call, witness.expect.reply_deadline)

    spec("RPC-AUTH-three-leg").allows(answer, *allowed, note=f"{way}, a token of {octets} octets")
    spec.choice("AMB-46", f"{way}: {'served' if answer == SUCCESS else 'rejected'}")
    await witness.check_still_serving(spec)
