"""A comparison as lines: what is new, fixed or lost, what is known, and what to do."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.report.comparison import KINDS
from swn_torture.report.known import SITUATIONS
from swn_torture.report.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.report.comparison import Comparison, Difference, Kind

#: Counted names of each kind of difference: one, several.
_NAMES: dict[Kind, tuple[str, str]] = {
    "new": ("new violation", "new violations"),
    "changed": ("changed violation", "changed violations"),
    "required": ("required check failed", "required checks failed"),
    "unfinished": ("case not finished", "cases not finished"),
    "error": ("error", "errors"),
    "lost": ("case lost", "cases lost"),
    "fixed": ("finding fixed", "findings fixed"),
    "judged": ("case judged for the first time", "cases judged for the first time"),
    "deviation": ("new deviation", "new deviations"),
    "choice": ("choice changed", "choices changed"),
    "observation": ("observation changed in a failing case", "observations changed in failing cases"),
    "not-tested": ("case not tested for another reason", "cases not tested for another reason"),
    "record": ("record changed (only reported)", "records changed (only reported)"),
}

_STYLES: dict[Kind, str] = {
    "new": "bold red",
    "changed": "bold red",
    "required": "bold red",
    "unfinished": "magenta",
    "error": "magenta",
    "fixed": "green",
    "judged": "green",
    "record": "dim",
}

#: Differences of one kind that are shown; the JSON results have all.
_SHOWN = 12

_SHOWN_RECORDS = 3

Line = tuple[str, str]


def lines(comparison: Comparison, *, results: str = "", exits: bool = True) -> list[Line]:
    """The last lines of a run: a headline, the differences, what is known, what to do, and the exit code.

    Args:
        comparison: the comparison.
        results: path of the JSON results, for the command that updates the baseline; empty when there are
            none.
        exits: whether the last line is the exit code.

    Returns:
        Lines with their style, as rich names it.
    """
    made: list[Line] = []
    for kind in KINDS:
        made += _of_kind(comparison, kind)
    made += _known(comparison)
    made += [(f"Note: {note}", "yellow") for note in comparison.notes]
    headline = f"Baseline {comparison.baseline}: {_counted(comparison)}"
    style = {"as-expected": "bold green", "new-violation": "bold red"}.get(
        comparison.situation, "bold yellow"
    )
    made.append((headline, style))
    made += [(f"Next: {step}", "") for step in next_steps(comparison, results=results)]
    if exits:
        made.append((f"Exit code {comparison.exit_code}: {SITUATIONS[comparison.situation]}.", style))
    return made


def plain_lines(comparison: Comparison, *, results: str = "", exits: bool = True) -> list[str]:
    """The same lines without style."""
    return [text for text, _ in lines(comparison, results=results, exits=exits)]


def _counted(comparison: Comparison) -> str:
    counts = Counter(each.kind for each in comparison.differences)
    parts = [f"{counts[kind]} {_NAMES[kind][counts[kind] > 1]}" for kind in KINDS if counts[kind]]
    if comparison.incomplete:
        parts.insert(0, comparison.incomplete.rstrip(".").lower())
    if not [kind for kind in counts if kind != "record"] and not comparison.incomplete:
        parts.insert(0, "nothing is new, fixed or lost")
    runs = f" ({comparison.runs} runs)" if comparison.runs > 1 else ""
    part = f" Only a part of the suite ran ({comparison.partial})." if comparison.partial else ""
    return f"{', '.join(parts)}{runs}.{part}"


def _of_kind(comparison: Comparison, kind: Kind) -> list[Line]:
    found = comparison.of_kind(kind)
    style = _STYLES.get(kind, "yellow")
    texts = _grouped(found)
    shown = _SHOWN if kind != "record" else _SHOWN_RECORDS
    made: list[Line] = [(f"{kind.upper()} {text}", style) for text in texts[:shown]]
    if len(texts) > shown:
        made.append(
            (f"{kind.upper()} and {len(texts) - shown} more; the JSON results have all of them", style)
        )
    return made


def _grouped(found: Iterable[Difference]) -> list[str]:
    """One sentence for all cases in which the same differs."""
    cases: dict[Difference, list[str]] = {}
    for each in found:
        cases.setdefault(replace(each, case=""), []).append(each.case)
    return [_sentence(each, _named(names)) for each, names in cases.items()]


def _named(cases: Sequence[str]) -> str:
    return ", ".join(cases[:3]) + (f" and {len(cases) - 3} more" if len(cases) > 3 else "")


def _sentence(each: Difference, cases: str) -> str:
    place = ": ".join(filter(None, (cases, each.requirement)))
    pinned = " or ".join(each.pinned)
    cause = f" (cause {each.cause})" if each.cause else ""
    reason = f" ({each.reason})" if each.reason else ""
    if each.kind in {"error", "unfinished", "lost", "not-tested"} or (each.kind == "fixed" and not pinned):
        before = f"; in the baseline: {pinned}" if pinned else ""
        return f"{place}: {each.reason}{before}{cause}"
    if each.kind == "judged":
        return f"{place}: judged now; in the baseline: {pinned}"
    if each.kind == "fixed":
        now = f"now observed: {each.observed}" if each.observed else "no longer seen"
        return f"{place}: {now}; the baseline has: {pinned}{cause}{reason}"
    known = f"the baseline has: {pinned}" if pinned else "the baseline does not list it"
    if each.kind == "required":
        known = "it must pass"
    return f"{place}: observed: {each.observed or 'nothing'}; {known}{cause}{reason}"


def _known(comparison: Comparison) -> list[Line]:
    made: list[Line] = []
    for cause in comparison.causes:
        if cause.kind == "flaky":
            age = f", listed since {cause.since} ({cause.age_days} days)" if cause.since else ""
            seen = f"seen {count(cause.failed, 'time')}, not seen {count(cause.passed, 'time')}"
            made.append((f"FLAKY {cause.id}: {seen}{age}", "yellow"))
    known = [cause for cause in comparison.causes if cause.kind == "known" and cause.failed]
    cases = {case for cause in known for case in cause.cases}
    if known:
        findings = sum(cause.failed for cause in known)
        counts = f"{count(findings, 'finding')} in {count(len(cases), 'case')}"
        made.append((f"Known: {counts}, from {count(len(known), 'cause')}.", ""))
    return made + [
        (f"Impossible here: {cause.id}: {cause.title} ({count(len(cause.cases), 'case')})", "dim")
        for cause in comparison.causes
        if cause.kind == "impossible" and cause.failed
    ]


def next_steps(comparison: Comparison, *, results: str = "") -> list[str]:
    """What to do, one step each, with the exact commands."""
    command = f"`{update_command(comparison.baseline, results)}`"
    if comparison.partial:  # an update from this run would lose the causes of the other cases
        command = "run the part of the suite that the baseline has, and update it from those results"
    steps: list[str] = []
    if comparison.violations:
        steps.append(
            "mend each new violation. To accept it instead: "
            f"{command}, then write its reason into the file; without one the baseline is refused."
        )
    if comparison.of_kind("error", "unfinished"):
        steps.append(
            "an error is a defect of the suite, of the controller or of the set-up, or the target stopped "
            "answering. It says nothing about conformance. Run these cases again (--case ID)."
        )
    if comparison.incomplete:
        steps.append("run the suite again, to its end.")
    if comparison.situation == "not-true":
        fixed = comparison.of_kind("fixed", "judged") and not comparison.of_kind(
            "lost", "deviation", "choice", "observation", "not-tested"
        )
        lost = comparison.of_kind("lost")
        if lost:
            steps.append("restore what the lost cases need; the reasons are above.")
        also = " With --allow-fixed it does not fail." if fixed else ""
        steps.append(f"if the target is meant to be so, make the baseline true: {command}.{also}")
    return steps


def update_command(baseline: str, results: str) -> str:
    """The command that updates a baseline from results; a shipped one is copied."""
    source = shlex.quote(results) if results else "RESULTS.json"
    if baseline.endswith(".toml") or os.sep in baseline:
        return f"swn-torture baseline update {source} {shlex.quote(baseline)}"
    return f"swn-torture baseline update {source} my-baseline.toml --from {shlex.quote(baseline)}"
