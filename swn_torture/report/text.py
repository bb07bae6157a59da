"""Results as lines for a terminal or a log."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from swn_torture.report.verdict import failed_as

if TYPE_CHECKING:
    from rich.console import Console

    from swn_torture.report.model import CaseOutcome, CaseResult
    from swn_torture.report.results import Results
    from swn_torture.spec import Catalogue

#: One sentence per overall verdict.
VERDICTS = {
    "conforming": "No violation was found.",
    "violations": "The target violates the specification.",
    "undecided": "No violation was found, but questions stayed open.",
}

#: How outcomes are called in running text: singular, plural.
NAMES: dict[CaseOutcome, tuple[str, str]] = {
    "failed": ("violation", "violations"),
    "error": ("error", "errors"),
    "deviation": ("deviation", "deviations"),
    "not-tested": ("not tested", "not tested"),
    "passed": ("passed", "passed"),
}

_STYLES = {
    "failed": "bold red",
    "error": "magenta",
    "deviation": "yellow",
    "not-tested": "dim",
    "passed": "green",
}


def count(number: int, singular: str, plural: str | None = None) -> str:
    """The number with its noun: ``1 case``, ``2 cases``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def seconds(duration: float) -> str:
    """A duration for people: ``0.4 s``, ``42 s``, ``3 min 32 s``."""
    if duration < 10:
        return f"{duration:.1f} s" if duration >= 0.05 else f"{duration * 1000:.0f} ms"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def explain(case: CaseResult, catalogue: Catalogue) -> list[str]:
    """What a case found against the target, line by line: each requirement, what is allowed, what came.

    Begins with the reason where no check says it better. The command that runs the case again comes last.
    """
    lines: list[str] = []
    for check in case.checks:
        if failed_as(check, catalogue) is None:
            continue
        row = catalogue.requirements.get(check.requirement)
        lines.append(f"{row.cite} {row.level}: {row.text}" if row else check.requirement)
        lines.append(f"  requirement: {check.requirement}")
        lines.append(f"  expected: {' or '.join(check.expected) or 'not said'}")
        lines.append(
            f"  observed: {check.observed or 'not said'}" + (f" ({check.note})" if check.note else "")
        )
    if not lines:
        lines += case.reason.splitlines() or [case.outcome]
        lines += [f"  expected: {' or '.join(case.expected)}"] if case.expected else []
        lines += [f"  observed: {case.observed}"] if case.observed else []
    if case.repro:
        lines.append(f"  again: {case.repro}")
    return lines


def summary_lines(results: Results, *, width: int = 100) -> list[str]:
    """The verdict for a plain log: violations first, counts last."""
    return [line for line, _ in _lines(results, width)]


def print_summary(results: Results, console: Console) -> None:
    """The same on a terminal, in colour where it has any."""
    from rich.text import Text

    for line, style in _lines(results, min(console.width, 120)):
        console.print(Text(line, style=style), soft_wrap=True, highlight=False)


def _lines(results: Results, width: int) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for outcome in ("failed", "error"):
        found = [case for case in results.cases if case.outcome == outcome]
        for case in found:
            lines.append((f"{outcome.upper()} {case.id}", _STYLES[outcome]))
            lines += [(f"  {line}", "") for line in _short(case, results.catalogue, width - 2)]
        lines += [("", "")] if found else []
    deviations = [case for case in results.cases if case.outcome == "deviation"]
    for case in deviations:
        lines.append((f"DEVIATION {case.id}", _STYLES["deviation"]))
        lines += [(f"  {line}", "") for line in _short(case, results.catalogue, width - 2)[:1]]
    lines += [("", "")] if deviations else []
    summary = results.summary
    counts = [count(number, *NAMES[outcome]) for outcome, number in _present(results)]
    head = f"{results.target.name}: {VERDICTS[summary.verdict]}"
    style = {"conforming": "bold green", "violations": "bold red", "undecided": "bold yellow"}[
        summary.verdict
    ]
    lines.append((head, style))
    lines.append(
        (f"{count(len(results.cases), 'case')} in {seconds(results.run.duration_s)}: {', '.join(counts)}", "")
    )
    judged = summary.requirements
    exercised = judged["conforms"] + judged["violated"] + judged["deviates"]
    total = sum(judged.values())
    lines.append((f"{exercised} of {total} requirements judged, {judged['violated']} violated", ""))
    if not results.run.complete:
        lines.append((f"The run is not complete. {results.run.stopped}".rstrip(), "bold yellow"))
    return lines


def _present(results: Results) -> list[tuple[CaseOutcome, int]]:
    order: tuple[CaseOutcome, ...] = ("passed", "failed", "deviation", "not-tested", "error")
    return [(outcome, results.summary.cases[outcome]) for outcome in order if results.summary.cases[outcome]]


def _short(case: CaseResult, catalogue: Catalogue, width: int) -> list[str]:
    """A violation in a line or three: the rule, what came instead of what, the command."""
    for check in case.checks:
        if failed_as(check, catalogue) is not None:
            row = catalogue.requirements.get(check.requirement)
            rule = f"{row.cite} {row.level}: {row.text}" if row else check.requirement
            met = _met(check.expected, check.observed)
            return [_cut(rule, width), _cut(met, 2 * width), *([case.repro] if case.repro else [])]
    met = _met(case.expected, case.observed) if case.expected else ""
    first = case.reason.strip().split("\n", 1)[0]
    return [line for line in (_cut(first, 2 * width), _cut(met, 2 * width), case.repro) if line]


def _met(expected: tuple[str, ...], observed: str) -> str:
    return f"expected {' or '.join(expected) or 'something else'}; observed {observed or 'nothing'}"


def _cut(text: str, width: int) -> str:
    return textwrap.shorten(text, max(width, 40), placeholder=" …")
