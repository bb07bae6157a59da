"""Who may call: levels and services of authentication before every method (MS-SWN 5.1, note <4>)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case
from swn_torture.casekit.steps.callers import NOT_SERVED, EveryMethod, served
from swn_torture.casekit.steps.listeners import SUCCESS
from swn_torture.casekit.transport import AuthLevel, AuthType, Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.witness import Witness

SERVICES = (AuthType.NTLM, AuthType.SPNEGO)
LOW = [(AuthType.NONE, AuthLevel.NONE)] + [
    (service, level) for service in SERVICES for level in (AuthLevel.CONNECT, AuthLevel.CALL, AuthLevel.PKT)
]


def _used_names(outcomes: Mapping[str, Outcome]) -> str:
    """Outcomes for a report, those that are alike together."""
    alike: dict[str, list[str]] = {}
    for method, outcome in outcomes.items():
        alike.setdefault(str(outcome), []).append(method)
    return "; ".join(f"{', '.join(methods)}: {outcome}" for outcome, methods in alike.items())


@case("SWN-5.1-enforce-per-method", "SWN-B3-auth-service", syntaxes="both")
async def test_without_authentication(witness: Witness, spec: Spec) -> None:
    """A caller that is not authenticated is served by no method."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(level=AuthLevel.NONE)

    for method, outcome in outcomes.items():
        spec("SWN-5.1-enforce-per-method").holds(
            not served(outcome), expected=NOT_SERVED, observed=outcome, note=method
        )
    spec("SWN-B3-auth-service").record(_used_names(outcomes), "no authentication service")
    await witness.check_still_serving(spec)


@case("SWN-B3-low-auth-level", "RPC-AUTH-low-level-refused")
@pytest.mark.parametrize(
    ("service", "level"), LOW, ids=[f"{service.name}-{level.name}".lower() for service, level in LOW]
)
async def test_low_levels(witness: Witness, spec: Spec, service: AuthType, level: AuthLevel) -> None:
    """Below integrity: how each method answers, or the bind."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(auth_type=service, level=level)

    note = f"{service.name} at {level.name}"
    spec("SWN-B3-low-auth-level", "RPC-AUTH-low-level-refused").record(_used_names(outcomes), note)
    spec.choice("AMB-22", f"{note}: {_used_names(outcomes)}")
    await witness.check_still_serving(spec)


@case("SWN-B3-low-auth-level", "SWN-B3-accepted-services", "RPC-AUTH-bind-levels")
@pytest.mark.parametrize(
    "level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name.lower()
)
@pytest.mark.parametrize("service", SERVICES, ids=lambda value: value.name.lower())
async def test_protected_levels(witness: Witness, spec: Spec, service: AuthType, level: AuthLevel) -> None:
    """At integrity and privacy every method is at the caller's service."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(auth_type=service, level=level)

    for method in ("GetInterfaceList", "Register"):
        spec("RPC-AUTH-bind-levels").allows(outcomes[method], SUCCESS, note=method)
    spec("SWN-B3-low-auth-level", "SWN-B3-accepted-services").record(
        _used_names(outcomes), f"{service.name} at {level.name}"
    )


@case("RPC-AUTH-low-level-refused")
@pytest.mark.parametrize("service", SERVICES, ids=lambda value: value.name.lower())
async def test_anonymous_logon(witness: Witness, spec: Spec, service: AuthType) -> None:
    """A caller that logs on as nobody, at integrity: how each method answers, or the bind."""
    methods = await EveryMethod.of(witness)

    outcomes = await methods.called(auth_type=service, credentials=Credentials("", ""))

    spec("RPC-AUTH-low-level-refused").record(_used_names(outcomes), f"anonymous {service.name} at INTEGRITY")
    await witness.check_still_serving(spec)
