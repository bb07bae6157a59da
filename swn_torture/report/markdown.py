"""A summary in Markdown, for the page of a CI job: the verdict, what is new, what is known, the figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from swn_torture.report.finding import case_findings
from swn_torture.report.text import NAMES, VERDICTS, count, seconds
from swn_torture.report.verdict import VERDICTS as OF_REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.report.comparison import Comparison, Difference
    from swn_torture.report.results import Results

#: Findings and differences of one kind that are shown; the other reports have all. GitHub allows 1 MiB.
_SHOWN = 50

# What has a meaning in Markdown or in HTML inside of it.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def render_markdown(results: Results) -> str:
    """The summary as Markdown text."""
    comparison = results.comparison
    lines = [f"## MS-SWN conformance: {plain(results.target.title or results.target.name)}", ""]
    if comparison is None:
        lines += [f"**{VERDICTS[results.summary.verdict]}**", ""]
    else:
        lines += [f"**Baseline {plain(comparison.baseline)}: {comparison.situation.replace('-', ' ')}**", ""]
    if not results.run.complete:
        lines += [f"The run is not complete. {plain(results.run.stopped)}".rstrip(), ""]
    lines += _figures(results)
    lines += _differences(comparison) if comparison else _findings(results)
    lines += _known(comparison) if comparison else []
    lines += [f"swn-torture {results.version}, MS-SWN {results.catalogue.revision}"]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """The text on one line, with every character escaped that has a meaning in Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _figures(results: Results) -> list[str]:
    cases, rows = results.summary.cases, results.summary.requirements
    shown = [count(cases[outcome], *NAMES[outcome]) for outcome in NAMES if cases[outcome]]
    judged = [f"{rows[verdict]} {verdict}" for verdict in OF_REQUIREMENTS if rows[verdict]]
    return [
        "| | |",
        "|---|---|",
        f"| {count(len(results.cases), 'case')} in {seconds(results.run.duration_s)} | {', '.join(shown)} |",
        f"| {count(sum(rows.values()), 'requirement')} | {', '.join(judged)} |",
        "",
    ]


def _differences(comparison: Comparison) -> list[str]:
    failing = [each for each in comparison.differences if comparison.fails(each)]
    return _section("What differs from the baseline", map(_difference, failing), len(failing))


def _difference(each: Difference) -> str:
    parts = [f"**{each.kind}**", plain(" ".join(filter(None, (each.case, each.requirement))))]
    parts += [f"observed {plain(each.observed)}"] if each.observed else []
    parts += [f"the baseline has {plain('; '.join(each.pinned))}"] if each.pinned else []
    parts += [plain(each.reason)] if each.reason else []
    return "; ".join(parts)


def _findings(results: Results) -> list[str]:
    failed = [case for case in results.cases if case.outcome in {"failed", "error"}]
    found = []
    for case in failed:
        first = next(iter(case_findings(case, results.catalogue, results.blocked)), None)
        what = f"{first.rule}; observed {first.observed}" if first else case.reason
        found.append(f"**{case.outcome}** {plain(case.id)}: {plain(what)}")
    return _section("Findings", found, len(found))


def _section(title: str, items: Iterable[str], number: int) -> list[str]:
    if not number:
        return []
    lines = [f"### {title}", "", *[f"- {item}" for item in list(items)[:_SHOWN]]]
    lines += [f"- and {number - _SHOWN} more"] if number > _SHOWN else []
    return [*lines, ""]


def _known(comparison: Comparison) -> list[str]:
    seen = [cause for cause in comparison.causes if cause.cases]
    if not seen:
        return []
    lines = [f"<details><summary>{count(len(seen), 'known cause')}</summary>", ""]
    for cause in seen:
        title = f"[{plain(cause.title)}]({cause.bug})" if cause.bug else plain(cause.title)
        lines.append(f"- {cause.kind}: {title} ({plain(cause.id)}), {count(len(cause.cases), 'case')}")
    return [*lines, "", "</details>", ""]
