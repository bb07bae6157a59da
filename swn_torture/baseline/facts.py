"""What one run shows of each case, in the form in which a baseline is compared."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from swn_torture.baseline.model import ERROR
from swn_torture.baseline.observation import normal, observation
from swn_torture.report.verdict import failed_as
from swn_torture.shipped import current_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results
    from swn_torture.spec import Catalogue

#: Octets of a message: they depend on addresses and names of the cluster, and other checks read them.
_RAW = re.compile(r"\b[0-9a-f]{2}(?: [0-9a-f]{2}){3,}\b")

Weight = Literal["violation", "deviation"]


@dataclass(frozen=True, slots=True)
class Found:
    """One failed check: its weight, its requirement, and what was observed, normalised."""

    weight: Weight
    requirement: str
    observed: str


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What a run shows of one case.

    Attributes:
        id: its present id.
        judged: whether it passed, failed or is a deviation.
        failed: whether it violates a requirement.
        error: why it ended in an error; empty when it did not.
        not_tested: why it was not tested; empty when it was.
        found: its failed checks, each once.
        choices: its choices: ambiguity and observation, normalised.
        others: what its checks that did not fail observe: ``REQUIREMENT: observation``. Checks of octets are
            left out.
        records: what its checks that only record observe: requirement and observation.
        requirements: ids of the requirements that it checks.
    """

    id: str
    judged: bool
    failed: bool = False
    error: str = ""
    not_tested: str = ""
    found: tuple[Found, ...] = ()
    choices: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    others: tuple[str, ...] = ()
    records: tuple[tuple[str, str], ...] = ()
    requirements: frozenset[str] = field(default_factory=frozenset)

    @property
    def base(self) -> str:
        """Its id without parameters."""
        return self.id.partition("[")[0]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What one run shows.

    Attributes:
        cases: its cases by id.
        partial: how the user selected some of the cases; empty for the whole suite.
        unfinished: ids of cases that were started and did not end.
        stopped: why the run is not complete; empty when it is.
        suite: version of swn-torture.
        target: what the target is, in one line.
        started: ISO 8601.
    """

    cases: Mapping[str, CaseFacts]
    partial: str = ""
    unfinished: tuple[str, ...] = ()
    stopped: str = ""
    suite: str = ""
    target: str = ""
    started: str = ""


def facts_of(results: Results) -> RunFacts:
    """What a run shows, case by case."""
    run = results.run
    cases = [_case(case, results.catalogue) for case in results.cases]
    return RunFacts(
        cases={case.id: case for case in cases},
        partial=run.selection,
        unfinished=tuple(current_id(case) for case in run.unfinished),
        stopped="" if run.complete else run.stopped or "it stopped early",
        suite=results.version,
        target=results.target.title or results.target.name,
        started=run.started,
    )


def _case(case: CaseResult, catalogue: Catalogue) -> CaseFacts:
    judged = case.outcome in {"passed", "failed", "deviation"}
    checks = case.checks if judged else ()
    found: list[Found] = []
    others: list[str] = []
    records: list[tuple[str, str]] = []
    for check in checks:
        weight = failed_as(check, catalogue)
        if weight:
            found.append(Found(weight, check.requirement, observation(check)))
        elif check.observed and not _RAW.search(check.observed):
            others.append(f"{check.requirement}: {observation(check)}")
        if check.passed is None and check.observed:
            records.append((check.requirement, normal(check.observed)))
    if case.outcome == "failed" and not any(each.weight == "violation" for each in found):
        # A loss of detail must not become a loss of a violation.
        found.append(Found("violation", "", normal(case.observed or case.reason or "not recorded")))
    return CaseFacts(
        id=current_id(case.id),
        judged=judged,
        failed=case.outcome == "failed",
        error=_line(case.reason) if case.outcome == ERROR else "",
        not_tested=_line(case.reason) if case.outcome == "not-tested" else "",
        found=tuple(dict.fromkeys(found)),
        choices=frozenset((each.ambiguity, normal(each.observed)) for each in case.choices if judged),
        others=_each_once(others),
        records=tuple(dict.fromkeys(records)),
        requirements=frozenset(case.requirements) | {check.requirement for check in checks},
    )


def _line(reason: str) -> str:
    return normal(reason) or "no reason is given"


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
