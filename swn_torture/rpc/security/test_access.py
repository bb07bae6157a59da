"""Access to methods by authentication service, level and account (MS-SWN 2.1, 3.1.4, 5.1, note <3>)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SUCCESS, also_needs, case, faults, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import UnRegisterRequest, Win32
from swn_torture.casekit.steps.callers import CLOSED_AT_THE_BIND, NOT_SERVED, EveryMethod, served
from swn_torture.casekit.steps.registering import (
    CONTEXT_MISMATCH,
    NOT_FOUND,
    OP_RNG_ERROR,
    show_registrations,
)
from swn_torture.casekit.transport import AuthLevel, AuthType, Credentials, FaultStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

ACCESS_DENIED = (returns(Win32.ERROR_ACCESS_DENIED), faults(FaultStatus.ERROR_ACCESS_DENIED))
NOT_AUTHENTICATED = (returns(Win32.ERROR_NOT_AUTHENTICATED), faults(FaultStatus.ERROR_NOT_AUTHENTICATED))

#: A server may reject the handle of another caller before it checks the access of this one.
HANDLE_REJECTED = (NOT_FOUND, CONTEXT_MISMATCH, returns(Win32.ERROR_INVALID_PARAMETER))
METHODS_WITH_HANDLE = ("AsyncNotify", "UnRegister", "UnRegisterEx")

SERVICES = (AuthType.NTLM, AuthType.SPNEGO, AuthType.KERBEROS)
LEVELS_BELOW_INTEGRITY = (AuthLevel.CONNECT, AuthLevel.CALL, AuthLevel.PKT)


def _each(levels: tuple[AuthLevel, ...]) -> pytest.MarkDecorator:
    """Run a case with each service at each of these levels."""
    return pytest.mark.parametrize(
        ("service", "level"),
        [
            pytest.param(
                service,
                level,
                marks=also_needs("kerberos") if service == AuthType.KERBEROS else (),
                id=f"{service.name}-{level.name}".lower(),
            )
            for service in SERVICES
            for level in levels
        ],
    )


def _implemented(outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """The outcomes of those methods that the server implements."""
    return {method: outcome for method, outcome in outcomes.items() if outcome != OP_RNG_ERROR}


def _rejected(outcome: Outcome) -> bool:
    """Whether a valid request failed. An AsyncNotify that stays pending did not fail."""
    return outcome != SUCCESS and outcome.kind not in {"silence", "malformed"}


def _by_outcome(outcomes: Mapping[str, Outcome]) -> str:
    """Outcomes as text, with the methods that share one listed together."""
    methods: dict[str, list[str]] = {}
    for method, outcome in outcomes.items():
        methods.setdefault(str(outcome), []).append(method)
    return "; ".join(f"{', '.join(names)}: {outcome}" for outcome, names in methods.items())


async def _check_no_effect(
    spec: Spec, rules: tuple[str, ...], methods: EveryMethod, cluster: Controller | None
) -> None:
    """Check that rejected calls made no registration and deleted none."""
    if cluster is not None and cluster.can(Capability.LIST_REGISTRATIONS):
        left = await methods.registrations_left(cluster)
        spec(*rules).holds(
            not left, expected="no registration by a rejected call", observed=show_registrations(left)
        )
    overdue = methods.may_be_gone
    unregistered = await outcome_of(methods.registered_on.start(UnRegisterRequest(methods.handle)))
    note = "UnRegister by the owner, after the rejected one"
    if overdue and unregistered != SUCCESS:
        spec(*rules).record(unregistered, f"{note}; the registration was unused for too long")
    else:
        spec(*rules).allows(unregistered, SUCCESS, note=note)


@case(
    "SWN-3.1.4-enforce-security",
    "SWN-3.1.4-access-denied",
    "SWN-3.1.4-denied-no-effect",
    "SWN-5.1-enforce-per-method",
    "SWN-B3-auth-service",
    "SWN-B3-low-auth-level",
    "RPC-AUTH-low-level-refused",
    syntaxes="both",
)
async def test_caller_without_authentication(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Without authentication every method is rejected with an access error, and no call has an effect."""
    methods = await EveryMethod.prepare(witness)

    every_outcome = await methods.call_all(level=AuthLevel.NONE)

    outcomes = _implemented(every_outcome)
    spec.choice("AMB-22", f"without authentication: {_by_outcome(outcomes)}")
    for method, outcome in outcomes.items():
        note = f"{method} without authentication"
        rejected = _rejected(outcome)
        spec("SWN-3.1.4-enforce-security").holds(
            rejected,
            expected=[*map(str, (*ACCESS_DENIED, NOT_AUTHENTICATED[0])), "a rejected bind"],
            observed=outcome,
            note=note,
        )
        # This rule is about the form of a rejection. Without a bind the client made no call.
        made = outcome.kind != "bind-nak" and outcome.detail != CLOSED_AT_THE_BIND
        if not rejected or not made:
            spec("SWN-3.1.4-access-denied").record(outcome, note)
            continue
        handle_rejected = HANDLE_REJECTED if method in METHODS_WITH_HANDLE else ()
        spec("SWN-3.1.4-access-denied").allows(
            outcome, *ACCESS_DENIED, *NOT_AUTHENTICATED, *handle_rejected, note=note
        )
    for method, outcome in every_outcome.items():
        spec("SWN-5.1-enforce-per-method").holds(
            not served(outcome), expected=NOT_SERVED, observed=outcome, note=method
        )
    spec("SWN-B3-auth-service", "SWN-B3-low-auth-level", "RPC-AUTH-low-level-refused").record(
        _by_outcome(every_outcome), "without authentication"
    )
    if all(map(_rejected, outcomes.values())):
        await _check_no_effect(spec, ("SWN-3.1.4-denied-no-effect",), methods, cluster)
    else:
        spec("SWN-3.1.4-denied-no-effect").record("the server executed some of the calls")
    await witness.check_still_serving(spec)


@case(
    "SWN-2.1-method-access-check",
    "SWN-3.1.4-access-denied",
    "SWN-3.1.4-denied-no-effect",
    needs=("second-account", "variant:refuses-second-account", "version-2"),
)
async def test_account_without_access(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """An account without access gets ERROR_ACCESS_DENIED (0x5) from every method; no call has an effect."""
    strict = await variant("refuses-second-account")
    methods = await EveryMethod.prepare(strict)

    outcomes = _implemented(await methods.call_all(credentials=strict.second_credentials))

    every_call_rejected = all(map(_rejected, outcomes.values()))
    for method, outcome in outcomes.items():
        note = f"{method} as {strict.second_credentials.username}"
        spec("SWN-2.1-method-access-check").allows(outcome, *ACCESS_DENIED, note=note)
        # If the server executed some calls, they may have deleted the registration of the handle: the form of
        # the other rejections shows nothing then.
        if every_call_rejected:
            spec("SWN-3.1.4-access-denied").allows(outcome, *ACCESS_DENIED, note=note)
        else:
            spec("SWN-3.1.4-access-denied").record(outcome, note)
    if not spec.failed:
        rules = ("SWN-2.1-method-access-check", "SWN-3.1.4-denied-no-effect")
        await _check_no_effect(spec, rules, methods, strict.cluster)


@case("SWN-B3-low-auth-level", "RPC-AUTH-low-level-refused")
@_each(LEVELS_BELOW_INTEGRITY)
async def test_levels_below_integrity(
    witness: Witness, spec: Spec, service: AuthType, level: AuthLevel
) -> None:
    """Call every method at authentication levels CONNECT, CALL and PKT; record the results."""
    methods = await EveryMethod.prepare(witness)

    outcomes = await methods.call_all(auth_type=service, level=level)

    note = f"{service.name} at {level.name}"
    spec("SWN-B3-low-auth-level", "RPC-AUTH-low-level-refused").record(_by_outcome(outcomes), note)
    spec.choice("AMB-22", f"{note}: {_by_outcome(outcomes)}")
    await witness.check_still_serving(spec)


@case("SWN-B3-low-auth-level", "SWN-B3-accepted-services", "RPC-AUTH-bind-levels")
@_each((AuthLevel.INTEGRITY, AuthLevel.PRIVACY))
async def test_protected_levels(witness: Witness, spec: Spec, service: AuthType, level: AuthLevel) -> None:
    """At PKT_INTEGRITY and PKT_PRIVACY every method can be called."""
    methods = await EveryMethod.prepare(witness)

    outcomes = await methods.call_all(auth_type=service, level=level)

    for method in ("GetInterfaceList", "Register"):
        spec("RPC-AUTH-bind-levels").allows(outcomes[method], SUCCESS, note=method)
    spec("SWN-B3-low-auth-level", "SWN-B3-accepted-services").record(
        _by_outcome(outcomes), f"{service.name} at {level.name}"
    )


@case("RPC-AUTH-low-level-refused")
@pytest.mark.parametrize("service", [AuthType.NTLM, AuthType.SPNEGO], ids=lambda value: value.name.lower())
async def test_anonymous_logon(witness: Witness, spec: Spec, service: AuthType) -> None:
    """Log on anonymously and call every method; record the results."""
    methods = await EveryMethod.prepare(witness)

    outcomes = await methods.call_all(auth_type=service, credentials=Credentials("", ""))

    spec("RPC-AUTH-low-level-refused").record(
        _by_outcome(outcomes), f"anonymous {service.name} at {witness.level.name}"
    )
    await witness.check_still_serving(spec)
