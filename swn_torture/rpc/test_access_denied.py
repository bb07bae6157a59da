"""Who may call: levels and services of authentication before every method (MS-SWN 3.1.4, 5.1 and note 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.control.base import Capability
from swn_torture.dcerpc.auth import Credentials
from swn_torture.dcerpc.levels import AuthLevel, AuthType
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.harness import SILENCE, case, faults, returns
from swn_torture.harness.callers import NOT_SERVED, EveryMethod, served
from swn_torture.harness.registering import show_listed
from swn_torture.harness.steps import SUCCESS
from swn_torture.witness.win32 import Win32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.control.base import Controller
    from swn_torture.harness import Law, Outcome
    from swn_torture.harness.witness import Witness

LEVELS = (AuthLevel.NONE, AuthLevel.CONNECT, AuthLevel.CALL, AuthLevel.PKT)
SERVICES = (AuthType.NTLM, AuthType.SPNEGO)
_DENIED = (returns(Win32.ERROR_ACCESS_DENIED), faults(FaultStatus.ERROR_ACCESS_DENIED))


def _told(outcomes: Mapping[str, Outcome]) -> str:
    """Outcomes for a report, those that are alike together."""
    alike: dict[str, list[str]] = {}
    for method, outcome in outcomes.items():
        alike.setdefault(str(outcome), []).append(method)
    return "; ".join(f"{', '.join(methods)}: {outcome}" for outcome, methods in alike.items())


@case(
    "SWN-3.1.4-enforce-security",
    "SWN-5.1-enforce-per-method",
    "SWN-3.1.4-access-denied",
    "SWN-B3-auth-service",
    syntaxes="both",
)
async def test_without_authentication(witness: Witness, law: Law) -> None:
    """A caller that is not authenticated is refused by every method."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(level=AuthLevel.NONE)

    for method, outcome in outcomes.items():
        law("SWN-3.1.4-enforce-security", "SWN-5.1-enforce-per-method").holds(
            not served(outcome), expected=NOT_SERVED, observed=outcome, note=method
        )
        if not served(outcome) and outcome.kind in {"result", "fault"}:
            _judge_refusal(law, method, outcome)
    law("SWN-B3-auth-service").record(_told(outcomes), "no authentication service")
    law.choice("AMB-22", f"not authenticated: {_told(outcomes)}")
    await witness.alive(law)


def _judge_refusal(law: Law, method: str, outcome: Outcome) -> None:
    rule = law("SWN-3.1.4-access-denied")
    if outcome.code == Win32.ERROR_NOT_AUTHENTICATED or outcome == faults(FaultStatus.NCA_S_OP_RNG_ERROR):
        rule.record(outcome, method)
    else:
        rule.allows(outcome, *_DENIED, note=method)


@case("SWN-3.1.4-denied-no-effect", needs=(Capability.LIST_REGISTRATIONS,))
async def test_refused_calls_change_nothing(witness: Witness, cluster: Controller, law: Law) -> None:
    """Refused calls of every method leave no registration behind, and take none away."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(level=AuthLevel.NONE)

    rule = law("SWN-3.1.4-denied-no-effect")
    if any(served(outcome) for outcome in outcomes.values()):
        rule.record(_told(outcomes), "calls were served: nothing was refused that could leave a trace")
        return
    found = await methods.traces(cluster)
    rule.holds(not found, expected="none listed", observed=show_listed(found), note="Register, RegisterEx")
    rule.allows(
        await methods.still_registered(),
        SILENCE,
        note="AsyncNotify of the registration that refused calls had the handle of",
    )


@case("SWN-B3-low-auth-level", "RPC-AUTH-low-level-refused")
@pytest.mark.parametrize("level", LEVELS, ids=lambda value: value.name.lower())
@pytest.mark.parametrize("service", SERVICES, ids=lambda value: value.name.lower())
async def test_low_levels(witness: Witness, law: Law, service: AuthType, level: AuthLevel) -> None:
    """Below integrity: how each method answers, or the bind."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(auth_type=service, level=level)

    note = f"{service.name} at {level.name}"
    law("SWN-B3-low-auth-level", "RPC-AUTH-low-level-refused").record(_told(outcomes), note)
    law.choice("AMB-22", f"{note}: {_told(outcomes)}")
    await witness.alive(law)


@case("SWN-B3-low-auth-level", "SWN-B3-accepted-services", "RPC-AUTH-bind-levels")
@pytest.mark.parametrize(
    "level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name.lower()
)
@pytest.mark.parametrize("service", SERVICES, ids=lambda value: value.name.lower())
async def test_protected_levels(witness: Witness, law: Law, service: AuthType, level: AuthLevel) -> None:
    """At integrity and privacy every method is at the caller's service."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(auth_type=service, level=level)

    for method in ("GetInterfaceList", "Register"):
        law("RPC-AUTH-bind-levels").allows(outcomes[method], SUCCESS, note=method)
    law("SWN-B3-low-auth-level", "SWN-B3-accepted-services").record(
        _told(outcomes), f"{service.name} at {level.name}"
    )


@case("RPC-AUTH-low-level-refused")
@pytest.mark.parametrize("service", SERVICES, ids=lambda value: value.name.lower())
async def test_anonymous_logon(witness: Witness, law: Law, service: AuthType) -> None:
    """A caller that logs on as nobody, at integrity: how each method answers, or the bind."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(auth_type=service, credentials=Credentials("", ""))

    law("RPC-AUTH-low-level-refused").record(_told(outcomes), f"anonymous {service.name} at INTEGRITY")
    await witness.alive(law)
