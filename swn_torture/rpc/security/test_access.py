"""Who may call a method, how others are refused, and what that leaves behind: nothing (MS-SWN 2.1, 3.1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import case, faults, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import UnRegisterRequest, Win32
from swn_torture.casekit.steps.callers import EveryMethod
from swn_torture.casekit.steps.registering import MISMATCH, NO_SUCH_METHOD, NOT_FOUND, show_listed
from swn_torture.casekit.transport import AuthLevel, FaultStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

SUCCESS = returns(Win32.ERROR_SUCCESS)
DENIED = (returns(Win32.ERROR_ACCESS_DENIED), faults(FaultStatus.ERROR_ACCESS_DENIED))
NOT_AUTHENTICATED = (returns(Win32.ERROR_NOT_AUTHENTICATED), faults(FaultStatus.ERROR_NOT_AUTHENTICATED))

#: A server may also find that a handle is not this caller's before it asks who may call.
NO_HANDLE_OF_YOURS = (NOT_FOUND, MISMATCH, returns(Win32.ERROR_INVALID_PARAMETER))
WITH_HANDLE = ("AsyncNotify", "UnRegister", "UnRegisterEx")


def existing(outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Without the methods that the server does not have, which cannot be refused to anybody."""
    return {method: outcome for method, outcome in outcomes.items() if outcome != NO_SUCH_METHOD}


def was_refused(outcome: Outcome) -> bool:
    """Whether a right request failed; a wait that goes on is what AsyncNotify is there for."""
    return outcome != SUCCESS and outcome.kind not in {"silence", "malformed"}


async def nothing_changed(
    spec: Spec, rules: tuple[str, ...], methods: EveryMethod, cluster: Controller | None
) -> None:
    """After nothing but refusals there is no registration more, and none less."""
    if cluster is not None and cluster.can(Capability.LIST_REGISTRATIONS):
        left = await methods.traces(cluster)
        spec(*rules).holds(not left, expected="no registration by a refused call", observed=show_listed(left))
    kept = await outcome_of(methods.registered_on.start(UnRegisterRequest(methods.handle)))
    spec(*rules).allows(kept, SUCCESS, note="the owner's own UnRegister, after that of the refused caller")


@case("SWN-3.1.4-enforce-security", "SWN-3.1.4-access-denied", "SWN-3.1.4-denied-no-effect", syntaxes="both")
async def test_caller_without_authentication(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A caller that has not authenticated is refused every method, and changes nothing."""
    methods = await EveryMethod.of(witness)

    outcomes = existing(await methods.called(level=AuthLevel.NONE))

    spec.choice("AMB-22", f"without authentication: {'; '.join(sorted({*map(str, outcomes.values())}))}")
    every_refused = True
    for method, outcome in outcomes.items():
        handles = NO_HANDLE_OF_YOURS if method in WITH_HANDLE else ()
        refused = was_refused(outcome)
        every_refused &= refused
        spec("SWN-3.1.4-enforce-security").holds(
            refused,
            expected=[*map(str, (*DENIED, NOT_AUTHENTICATED[0])), "a refused bind"],
            observed=outcome,
            note=f"{method} without authentication",
        )
        # Who is served is no matter of this rule, and who cannot even bind made no call.
        if not refused or outcome.kind == "bind-nak":
            spec("SWN-3.1.4-access-denied").record(outcome, f"{method} without authentication")
            continue
        spec("SWN-3.1.4-access-denied").allows(
            outcome, *DENIED, *NOT_AUTHENTICATED, *handles, note=f"{method} without authentication"
        )
    if every_refused:
        await nothing_changed(spec, ("SWN-3.1.4-denied-no-effect",), methods, cluster)
    else:
        spec("SWN-3.1.4-denied-no-effect").record("some calls were served")


@case(
    "SWN-2.1-method-access-check",
    "SWN-3.1.4-access-denied",
    "SWN-3.1.4-denied-no-effect",
    needs=("second-account", "variant:refuses-second-account", "version-2"),
)
async def test_account_that_may_not(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """An account that the server's policy refuses is refused every method, and changes nothing."""
    strict = await variant("refuses-second-account")
    methods = await EveryMethod.of(strict)

    outcomes = existing(await methods.called(credentials=strict.second_credentials))

    account = strict.second_credentials.username
    for method, outcome in outcomes.items():
        note = f"{method} as {account}"
        spec("SWN-2.1-method-access-check").allows(outcome, *DENIED, note=note)
        # Where it serves, how it refuses is no matter; and what was served may have used the handle up.
        if all(map(was_refused, outcomes.values())):
            spec("SWN-3.1.4-access-denied").allows(outcome, *DENIED, note=note)
        else:
            spec("SWN-3.1.4-access-denied").record(outcome, note)
    if not spec.failed:
        rules = ("SWN-2.1-method-access-check", "SWN-3.1.4-denied-no-effect")
        await nothing_changed(spec, rules, methods, strict.cluster)
