"""Results as workflow commands of GitHub: lines on standard output that become annotations of a job.

Source: "Workflow commands for GitHub Actions" in the GitHub documentation. GitHub shows ten annotations of
each level for a step, so the last one of more says how many there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from swn_torture.report.finding import case_findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.report.comparison import Comparison
    from swn_torture.report.results import Results

Level = Literal["error", "warning", "notice"]

_LEVELS: tuple[Level, ...] = ("error", "warning", "notice")
_LIMIT = 10


def workflow_commands(results: Results) -> list[str]:
    """The lines: errors for what fails, warnings for deviations, notices for known causes."""
    found = list(_compared(results.comparison) if results.comparison else _plain(results))
    if not results.run.complete:
        found.insert(0, ("error", "The run is not complete", results.run.stopped))
    lines = []
    for level in _LEVELS:
        of_level = [(title, text) for each, title, text in found if each == level]
        if len(of_level) > _LIMIT:
            more = f"{len(of_level) - _LIMIT + 1} more in the reports of this run."
            of_level[_LIMIT - 1 :] = [("More", more)]
        lines += [f"::{level} title={_property(title)}::{_data(text)}" for title, text in of_level]
    return lines


def _plain(results: Results) -> Iterator[tuple[Level, str, str]]:
    for case in results.cases:
        found = case_findings(case, results.catalogue, results.blocked)
        text = "\n".join(found[0].lines() if found else case.reason.splitlines())
        if case.outcome in {"failed", "error"}:
            yield "error", case.id, text
        elif case.outcome == "deviation":
            yield "warning", case.id, text


def _compared(comparison: Comparison) -> Iterator[tuple[Level, str, str]]:
    for each in comparison.differences:
        title = f"{each.kind}: {' '.join(filter(None, (each.case, each.requirement)))}"
        lines = [f"observed: {each.observed}"] if each.observed else []
        lines += [f"the baseline has: {text}" for text in each.pinned]
        lines += [each.reason] if each.reason else []
        yield "error" if comparison.fails(each) else "notice", title, "\n".join(lines) or title
    for cause in comparison.causes:
        if cause.cases:
            text = f"{cause.title}: {len(cause.cases)} of the cases. {cause.bug}".rstrip()
            yield "notice", f"{cause.kind}: {cause.id}", text


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
