"""The results of one run against one target: its cases, and the verdict on every requirement.

The JSON form is the schema ``swn-torture-results/1`` (``results.schema.json`` in this package).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from swn_torture import __version__
from swn_torture.report.comparison import Comparison
from swn_torture.report.exchange.right_answer import right_answer, why_none
from swn_torture.report.ladder import climb
from swn_torture.report.model import CaseResult, Choice, Run, TargetInfo
from swn_torture.report.roots import blocked_cases, without_knock_on
from swn_torture.report.verdict import RequirementVerdict, Summary, summarise, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from swn_torture.report.ladder import Ladder
    from swn_torture.report.model import Json
    from swn_torture.spec import Catalogue

SCHEMA = "swn-torture-results/1"


class ResultsError(ValueError):
    """A file does not hold results; the message says where and why."""


def require_schema(data: object, schema: str) -> None:
    """Check that parsed JSON is an object that names this schema.

    Raises:
        ResultsError: it is not; the message names both schemas.
    """
    found = data.get("schema") if isinstance(data, dict) else None
    if found != schema:
        raise ResultsError(f"the schema is {found or 'missing'}; this version reads {schema}")


def malformed(problem: Exception) -> str:
    """What is wrong with a JSON form, from the exception that reading it raised."""
    return f"the member {problem.args[0]} is missing" if isinstance(problem, KeyError) else str(problem)


@dataclass(frozen=True)
class Results:
    """The results of one run against one target.

    Attributes:
        run: when and how the suite ran.
        target: the target.
        cases: every case, in the order in which they ended.
        catalogue: the requirements that the cases check.
        version: version of swn-torture.
        comparison: the comparison with a baseline; None without one.
    """

    run: Run
    target: TargetInfo
    cases: tuple[CaseResult, ...]
    catalogue: Catalogue = field(repr=False)
    version: str = __version__
    comparison: Comparison | None = None

    @classmethod
    def of_run(
        cls,
        run: Run,
        target: TargetInfo,
        cases: Iterable[CaseResult],
        catalogue: Catalogue,
        version: str = __version__,
    ) -> Results:
        """The results of cases as they ended: one root is one finding (`swn_torture.report.roots`)."""
        return cls(run, target, without_knock_on(tuple(cases), catalogue), catalogue, version)

    @functools.cached_property
    def blocked(self) -> Mapping[tuple[str, str], int]:
        """How many cases were not tested because of a finding, by its case and its requirement."""
        return blocked_cases(self.cases)

    @functools.cached_property
    def requirements(self) -> tuple[RequirementVerdict, ...]:
        """The verdict on every requirement of the catalogue, in its order."""
        return verdicts(self.cases, self.catalogue)

    @functools.cached_property
    def summary(self) -> Summary:
        """The verdict on the target and the counts behind it."""
        return summarise(self.cases, self.requirements, complete=self.run.complete)

    @functools.cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Every choice that was observed, in the order of the cases."""
        return tuple(choice for case in self.cases for choice in case.choices)

    @functools.cached_property
    def ladder(self) -> Ladder:
        """The verdict on each rung, and what to mend next."""
        return climb(self.cases, self.catalogue)

    def compared(self, comparison: Comparison) -> Results:
        """The same results with their comparison with a baseline."""
        return replace(self, comparison=comparison)

    def with_cases(self, cases: Iterable[CaseResult]) -> Results:
        """The same run with other cases."""
        return replace(self, cases=tuple(cases))

    def to_json(self) -> Json:
        """The JSON form, ``swn-torture-results/1``."""
        baseline = {"baseline": self.comparison.to_json()} if self.comparison else {}
        return {
            "schema": SCHEMA,
            "tool": {"name": "swn-torture", "version": self.version},
            "run": self.run.to_json(),
            "target": self.target.to_json(),
            "catalogue": {"revision": self.catalogue.revision},
            "summary": self.summary.to_json(),
            "ladder": self.ladder.to_json(),
            **baseline,
            "cases": [self._case_json(case) for case in self.cases],
            "choices": [choice.to_json() for choice in self.choices],
            "requirements": [verdict.to_json() for verdict in self.requirements],
        }

    def _case_json(self, case: CaseResult) -> Json:
        """A case, with a right answer to the request of its finding, or why there is none."""
        if case.outcome not in {"failed", "deviation"}:
            return case.to_json()
        answer = right_answer(case, self.target)
        if answer is not None:
            return case.to_json() | {"right_answer": answer.to_json()}
        why = why_none(case)
        return case.to_json() | ({"no_right_answer": why} if why else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any], catalogue: Catalogue) -> Results:
        """Read results back; verdicts are computed again with this catalogue.

        Raises:
            ResultsError: this is not a JSON form of results, or its schema is unknown to this version.
        """
        require_schema(data, SCHEMA)
        try:
            return cls(
                run=Run.from_json(data["run"]),
                target=TargetInfo.from_json(data["target"]),
                cases=tuple(CaseResult.from_json(case) for case in data["cases"]),
                catalogue=catalogue,
                version=str(data["tool"]["version"]),
                comparison=Comparison.from_json(data["baseline"]) if data.get("baseline") else None,
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise ResultsError(f"the results are malformed: {malformed(problem)}") from problem
