"""The fields of the sec_trailer in a later leg of an authentication (MS-RPCE 2.2.2.11, 3.3.1.5.2.1)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import CLOSED, SUCCESS, Outcome, also_needs, case, faults, outcome_of
from swn_torture.casekit.outcome import outcome_of_error, refuses_bind
from swn_torture.casekit.protocol import GetInterfaceListRequest, WitnessClient
from swn_torture.casekit.steps.octets import contexts
from swn_torture.casekit.transport import AuthenticationError, AuthLevel, AuthType, RpcError, initiator
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

each_service = pytest.mark.parametrize(
    "service",
    [AuthType.NTLM, AuthType.SPNEGO, pytest.param(AuthType.KERBEROS, marks=also_needs("kerberos"))],
    ids=lambda value: value.name.lower(),
)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How an authentication with a changed last leg ended.

    Attributes:
        leg: the answer to an alter_context; None if it was accepted, and after auth3, which has no answer.
        request: the outcome of the first request; None if the leg was rejected.
    """

    leg: Outcome | None
    request: Outcome | None

    @property
    def outcome(self) -> Outcome:
        """What decides: the rejected leg, or the first request."""
        found = self.leg if self.leg is not None else self.request
        assert found is not None
        return found


async def _authenticate(witness: Witness, service: AuthType, **change: Any) -> _Ended:
    """Authenticate with the given fields of the sec_trailer in the last leg; then call GetInterfaceList.

    Raises:
        NotTestable: the target does not offer the service, or does not accept the first leg.
    """
    witness.require(service)
    rpc = await witness.rpc()
    context = initiator(service, witness.credentials, host=witness.net_name, level=witness.level)
    entry = rpc.core.add_security(service, witness.level, context)
    proposed = contexts(witness.syntax)
    try:
        answer = await rpc.exchange(rpc.core.bind(proposed, security=entry, token=context.step(b"")))
        token = context.step(answer.auth_value)
    except RpcError as error:
        raise NotTestable(f"the server does not accept the first leg: {error}") from error
    try:
        if service == AuthType.NTLM:
            auth3 = rpc.core.auth3(entry, token)
            assert auth3.trailer is not None
            rpc.write(rpc.core.send(dataclasses.replace(auth3, trailer=_changed(auth3.trailer, change))))
        else:
            last = rpc.core.bind(proposed, security=entry, token=token, alter=True)
            assert last.trailer is not None
            accepted = await rpc.exchange(dataclasses.replace(last, trailer=_changed(last.trailer, change)))
            if not context.complete or accepted.auth_value:
                context.step(accepted.auth_value)
    except AuthenticationError as error:
        # An answer to another security context: it completes none.
        return _Ended(Outcome("pdu", detail=f"an answer that completes no security context: {error}"), None)
    except RpcError as error:
        return _Ended(outcome_of_error(error), None)
    try:
        call = WitnessClient(rpc, witness.syntax).start(GetInterfaceListRequest())
    except RpcError as error:
        return _Ended(None, outcome_of_error(error))
    return _Ended(None, await outcome_of(call, witness.expect.reply_deadline))


def _changed(trailer: Any, change: dict[str, Any]) -> Any:
    return dataclasses.replace(trailer, **change)


@case("RPC-AUTH-leg-context")
@each_service
async def test_other_context_id_in_last_leg(witness: Witness, spec: Spec, service: AuthType) -> None:
    """A last leg with another auth_context_id does not complete the security context of the bind."""
    ended = await _authenticate(witness, service, context_id=0x4D)

    allowed = (faults(), CLOSED, refuses_bind())
    spec("RPC-AUTH-leg-context").holds(
        ended.outcome.kind == "pdu" or any(each.matches(ended.outcome) for each in allowed),
        expected=[*map(str, allowed), "an answer that completes no security context"],
        observed=ended.outcome,
        note="the leg is rejected" if ended.leg is not None else "GetInterfaceList after the leg",
    )
    await witness.check_still_serving(spec)


_OTHER: dict[str, Callable[[int, int], dict[str, int]]] = {
    "lower-level": lambda _level, _service: {"auth_level": int(AuthLevel.CONNECT)},
    "other-level": lambda level, _service: {
        "auth_level": int(AuthLevel.INTEGRITY if level == AuthLevel.PRIVACY else AuthLevel.PRIVACY)
    },
    "undefined-level": lambda _level, _service: {"auth_level": 7},
    "other-type": lambda _level, service: {
        "auth_type": int(AuthType.SPNEGO if service == AuthType.NTLM else AuthType.NTLM)
    },
}


@case("RPC-AUTH-leg-fields")
@pytest.mark.parametrize("other", _OTHER)
@each_service
async def test_other_level_or_type_in_last_leg(
    witness: Witness, spec: Spec, service: AuthType, other: str
) -> None:
    """Send a last leg with another auth_level or auth_type than the bind; record the result."""
    ended = await _authenticate(witness, service, **_OTHER[other](witness.level, service))

    kind = "auth_type" if other == "other-type" else "auth_level"
    taken = ended.outcome == SUCCESS
    spec("RPC-AUTH-leg-fields").record(
        ended.outcome, f"{other} in the last leg, {service.name}, bind at {witness.level.name}"
    )
    how = "auth3" if service == AuthType.NTLM else "alter_context"
    done = "ignored, and the next request is served" if taken else "the leg or the next request is rejected"
    spec.choice("AMB-42", f"another {kind} in {how}: {done}")
    await witness.check_still_serving(spec)
