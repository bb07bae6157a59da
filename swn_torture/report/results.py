"""The results of one run against one target: its cases, and what they say about every requirement.

The JSON form is the schema ``swn-torture-results/1`` (``results.schema.json`` beside this module).
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
    """A file that should hold results does not; the message says where and why."""


@dataclass(frozen=True)
class Results:
    """All that one run found about one target.

    Attributes:
        run: when and how.
        target: what was judged.
        cases: every case, in the order in which they ended.
        catalogue: the requirements they were held against.
        version: of swn-torture.
    """

    run: Run
    target: TargetInfo
    cases: tuple[CaseResult, ...]
    catalogue: Catalogue = field(repr=False)
    version: str = __version__

    @functools.cached_property
    def requirements(self) -> tuple[RequirementVerdict, ...]:
        """What the cases say about every requirement of the catalogue, in its order."""
        return verdicts(self.cases, self.catalogue)

    @functools.cached_property
    def summary(self) -> Summary:
        """The verdict and the counts behind it."""
        return summarise(self.cases, self.requirements, complete=self.run.complete)

    @functools.cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Every choice seen, in the order of the cases."""
        return tuple(choice for case in self.cases for choice in case.choices)

    def with_cases(self, cases: Iterable[CaseResult]) -> Results:
        """The same run with other cases."""
        return replace(self, cases=tuple(cases))

    def to_json(self) -> Json:
        """The whole as ``swn-torture-results/1``."""
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
        """Read results back; verdicts are computed anew against this catalogue.

        Raises:
            ResultsError: these are not results, or of a schema this version does not read.
        """
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA:
            raise ResultsError(f"schema is {schema!r}, this version reads {SCHEMA!r}")
        try:
            return cls(
                run=Run.from_json(data["run"]),
                target=TargetInfo.from_json(data["target"]),
                cases=tuple(CaseResult.from_json(case) for case in data["cases"]),
                catalogue=catalogue,
                version=data["tool"]["version"],
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise ResultsError(f"not well-formed results: {problem!r}") from problem
