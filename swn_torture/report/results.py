"""The results of one run against one target: its cases, and the verdict on every requirement.

The JSON form is the schema ``swn-torture-results/1`` (``results.schema.json`` in this package).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from swn_torture import __version__
from swn_torture.report.model import CaseResult, Choice, Run, TargetInfo
from swn_torture.report.verdict import RequirementVerdict, Summary, summarise, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    """

    run: Run
    target: TargetInfo
    cases: tuple[CaseResult, ...]
    catalogue: Catalogue = field(repr=False)
    version: str = __version__

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

    def with_cases(self, cases: Iterable[CaseResult]) -> Results:
        """The same run with other cases."""
        return replace(self, cases=tuple(cases))

    def to_json(self) -> Json:
        """The JSON form, ``swn-torture-results/1``."""
        return {
            "schema": SCHEMA,
            "tool": {"name": "swn-torture", "version": self.version},
            "run": self.run.to_json(),
            "target": self.target.to_json(),
            "catalogue": {"revision": self.catalogue.revision},
            "summary": self.summary.to_json(),
            "cases": [case.to_json() for case in self.cases],
            "choices": [choice.to_json() for choice in self.choices],
            "requirements": [verdict.to_json() for verdict in self.requirements],
        }

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
                version=data["tool"]["version"],
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise ResultsError(f"the results are malformed: {malformed(problem)}") from problem
