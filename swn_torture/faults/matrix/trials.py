"""Runs the suite against faulty servers (`swn_torture.trials`), and says which cases run on which fault."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from swn_torture.faults.library import load_faults
from swn_torture.faults.matrix.subjects import same_section
from swn_torture.trials import Job, Trial, run_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from swn_torture.faults.library import Fault

__all__ = ["BUDGET_S", "Scope", "Trial", "run_trials"]

#: Seconds after which a trial is cut short: if a server answers nothing, every case waits for its deadline.
BUDGET_S = 240.0

#: The whole suite on the reference would otherwise be the last to end.
_PARTS = 4


class Scope(StrEnum):
    """Which cases run on a fault: all that name a requirement that it violates, and those said here."""

    #: The cases of `OWN`, but only until one found each requirement broken that the fault violates.
    FIRST = "first"
    #: Of the cases that name a requirement in `Fault.near`, one for each test function.
    OWN = "own"
    #: Of the cases that name another requirement of the same section, one for each test function.
    NEAR = "near"
    #: Of all other cases, one for each test function.
    FUNCTIONS = "functions"
    #: All other cases.
    ALL = "all"

    @property
    def limited(self) -> bool:
        """Whether cases about something else than the fault do not run."""
        return self in {Scope.FIRST, Scope.OWN, Scope.NEAR}


def run_trials(
    faults: Sequence[Fault],
    *,
    scope: Scope,
    processes: int,
    directory: Path,
    budget: float = BUDGET_S,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Run the suite against the reference and against each fault.

    Args:
        faults: in the order in which they are started, the slow ones first.
        scope: which cases run on each fault. On the reference they run with all parameters; if all faults are
            tried, the whole suite runs on it.
        processes: how many trials run at the same time. Cases mostly wait, so several fit on one processor.
        directory: where the result of each trial is kept. A fault that has a result there is not tried again.
        budget: seconds after which a trial is cut short.
        on_trial: called with each trial when it has ended.

    Returns:
        The trial of the reference, then those of the faults in their order.
    """
    selected = [_requirements(fault, scope) for fault in faults]
    part = scope.limited and len(faults) < len(load_faults())
    # The reference runs the cases of all faults, with all parameters.
    about = frozenset().union(*selected) if part else frozenset[str]()
    jobs = Job("", (), 20 * budget, about, slow=True).in_parts(1 if part else _PARTS)
    for fault, requirements in zip(faults, selected, strict=True):
        jobs.append(
            Job(
                fault.name,
                (f"--swn-fault={fault.name}",),
                budget,
                requirements,
                first=frozenset(fault.violates),
                one_per_function=scope is not Scope.ALL,
                slow=fault.slow,
                until_broken=scope is Scope.FIRST,
            )
        )
    return run_jobs(jobs, processes=processes, directory=directory, preload=load_faults, on_trial=on_trial)


def _requirements(fault: Fault, scope: Scope) -> frozenset[str]:
    """The requirements whose cases run on a fault; none if it is not by requirements that they are chosen."""
    if not scope.limited:
        return frozenset()
    own = (*fault.violates, *fault.near)
    return same_section(own) if scope is Scope.NEAR else frozenset(own)
