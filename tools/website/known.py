"""What the known targets do: the published results, by case and by requirement."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.report.finding import case_findings
from swn_torture.report.json_report import load_results
from swn_torture.spec import load_catalogue
from tools.published import REPORTS, published

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results
    from swn_torture.report.verdict import RequirementVerdict


@dataclass(frozen=True)
class Target:
    """A target with its published results."""

    name: str
    results: Results

    @functools.cached_property
    def cases(self) -> Mapping[str, tuple[CaseResult, ...]]:
        """The results of its cases, by the id without parameters."""
        found: dict[str, list[CaseResult]] = {}
        for case in self.results.cases:
            found.setdefault(case.id.partition("[")[0], []).append(case)
        return {base: tuple(cases) for base, cases in found.items()}

    @functools.cached_property
    def verdicts(self) -> Mapping[str, RequirementVerdict]:
        """Its verdicts by requirement."""
        return {row.id: row for row in self.results.requirements}

    def outcomes(self, base: str) -> Counter[str]:
        """How often each outcome is that of a case, over its parameters."""
        return Counter(case.outcome for case in self.cases.get(base, ()))

    def observed(self, base: str) -> list[str]:
        """What the findings of a case observed, each once."""
        found = [
            finding.observed
            for case in self.cases.get(base, ())
            if case.outcome in {"failed", "deviation"}
            for finding in case_findings(case, self.results.catalogue)
        ]
        return list(dict.fromkeys(found))


@functools.cache
def targets(reports: Path = REPORTS) -> tuple[Target, ...]:
    """The known targets, the reference first."""
    catalogue = load_catalogue()
    return tuple(
        Target(path.name.removesuffix(".json.gz"), load_results(path, catalogue))
        for path in published(reports)
    )
