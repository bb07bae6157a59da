"""A baseline as values: its causes, and the picture of a whole run.

A *cause* is one thing that the target does, with its reason and all findings that it explains. The *picture*
is everything else that a run shows and that a later run can be compared with: how many cases of each test
were judged, which were not tested and why, the choices of the target, and observations.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swn_torture.shipped import all_ids, current_id

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from swn_torture.report.comparison import CauseClass

SCHEMA = "swn-torture-baseline/2"

#: In the place of a requirement: the case ended in an error (classes ``flaky`` and ``impossible`` only).
ERROR = "error"

#: What a baseline can leave out of the comparison (its key ``ignore``).
IGNORABLE = ("deviations", "choices", "observations", "records")


class BaselineError(ValueError):
    """A baseline cannot be used; the text names the file, the entry and the remedy."""


def is_glob(pattern: str) -> bool:
    """Whether a pattern of case ids has a wildcard. Only the asterisk is one: case ids have brackets."""
    return "*" in pattern


@functools.lru_cache(maxsize=65536)
def matches(pattern: str, case_id: str) -> bool:
    """Whether a pattern of a baseline matches a case, by its present id or an earlier one."""
    if not is_glob(pattern):
        return current_id(pattern) == case_id
    expression = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    return any(expression.fullmatch(each) for each in all_ids(case_id))


def any_matches(patterns: Iterable[str], case_id: str) -> bool:
    """Whether one of these patterns matches a case."""
    return any(matches(pattern, case_id) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Expected:
    """Findings that a cause explains: a requirement, the cases, and what they observe.

    Attributes:
        requirement: catalogue id; `ERROR` for a case that ended in an error; empty for all findings of the
            cases (classes ``impossible`` and ``required`` only).
        cases: ids of cases; ``*`` stands for any text. Empty for all cases (``required`` only).
        observed: what each of the cases observes, in the form of `swn_torture.baseline.observation`.
        sometimes: what only some runs show. At least one of both lists is seen.
    """

    requirement: str
    cases: tuple[str, ...]
    observed: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()

    def covers(self, case_id: str, requirement: str) -> bool:
        """Whether it is about a finding of this requirement in this case."""
        return self.requirement in {"", requirement} and (not self.cases or any_matches(self.cases, case_id))


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that the target does, and the findings that it explains.

    Attributes:
        id: its id in the file.
        title: one line.
        kind: its class: ``known``, ``flaky``, ``impossible``, ``required``.
        reason: why it is listed.
        seen_with: versions of the target that have it.
        bug: link to a report of it; may be empty.
        since: date of the entry; None without one.
        findings: what it explains.
    """

    id: str
    title: str
    kind: CauseClass
    reason: str
    seen_with: tuple[str, ...] = ()
    bug: str = ""
    since: dt.date | None = None
    findings: tuple[Expected, ...] = ()


@dataclass(frozen=True)
class Picture:
    """What one run, or several, show besides findings.

    Attributes:
        suite: version of swn-torture.
        target: what the target is, in one line; may be empty.
        date: date of the last run (ISO 8601).
        runs: number of runs.
        selection: which part of the suite ran (``-k register``); empty for the whole suite.
        judged: number of judged cases by id without parameters.
        not_tested: ids of cases by the reason why they are not tested.
        choices: ids of cases by ambiguity and observation. ``*`` stands for many cases; one shows it.
        sometimes: as ``choices``, for those that only some runs show.
        observations: for cases that fail anyway, what their other checks observe, by case.
        records: what checks that only record observe, by requirement.
    """

    suite: str = ""
    target: str = ""
    date: str = ""
    runs: int = 1
    selection: str = ""
    judged: Mapping[str, int] = field(default_factory=dict)
    not_tested: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    sometimes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    observations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    records: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def reason_of(self, case_id: str) -> str | None:
        """Why a case is not tested; None when it is not among these."""
        if case_id in self._exact:
            return self._exact[case_id]
        return next((reason for pattern, reason in self._globs if matches(pattern, case_id)), None)

    @functools.cached_property
    def _exact(self) -> Mapping[str, str]:
        return {
            current_id(name): reason
            for reason, names in self.not_tested.items()
            for name in names
            if not is_glob(name)
        }

    @functools.cached_property
    def _globs(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (name, reason) for reason, names in self.not_tested.items() for name in names if is_glob(name)
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline.

    Attributes:
        name: the name or path that the user gave.
        title: what target it is for, in one line; may be empty.
        causes: its causes, in the order of the file.
        picture: the picture of the runs that it was made from.
        ignore: what is not compared, see `IGNORABLE`.
    """

    name: str
    title: str
    causes: tuple[Cause, ...]
    picture: Picture
    ignore: tuple[str, ...] = ()

    def cause(self, cause_id: str) -> Cause:
        """The cause with this id.

        Raises:
            KeyError: there is none.
        """
        return {cause.id: cause for cause in self.causes}[cause_id]
