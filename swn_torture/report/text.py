"""Results as lines for a terminal or a log, and the words that reports have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.report.finding import case_summary

if TYPE_CHECKING:
    from rich.console import Console

    from swn_torture.report.model import CaseOutcome
    from swn_torture.report.results import Results

#: One sentence for each overall verdict.
VERDICTS = {
    "conforming": "No violation was found.",
    "violations": "The target violates the specification.",
    "undecided": "No violation was found, but the run is not conclusive.",
}

#: Names of outcomes in running text: singular, plural.
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
    """A duration in seconds as text: ``0.4 s``, ``42 s``, ``3 min 32 s``."""
    if duration < 10:
        return f"{duration:.1f} s" if duration >= 0.05 else f"{duration * 1000:.0f} ms"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def summary_lines(results: Results, *, width: int = 100) -> list[str]:
    """The verdict as plain lines: violations first, counts last."""
    return [line for line, _ in _lines(results, width)]


def print_summary(results: Results, console: Console) -> None:
    """Print the same lines on a terminal, in colour where it has colours."""
    from rich.text import Text

    for line, style in _lines(results, min(console.width, 120)):
        console.print(Text(line, style=style), soft_wrap=True, highlight=False)


def _lines(results: Results, width: int) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for outcome in ("failed", "error"):
        found = [case for case in results.cases if case.outcome == outcome]
        for case in found:
            lines.append((f"{outcome.upper()} {case.id}", _STYLES[outcome]))
            lines += [(f"  {line}", "") for line in case_summary(case, results.catalogue, width - 2)]
        lines += [("", "")] if found else []
    deviations = [case for case in results.cases if case.outcome == "deviation"]
    for case in deviations:
        lines.append((f"DEVIATION {case.id}", _STYLES["deviation"]))
        lines += [(f"  {line}", "") for line in case_summary(case, results.catalogue, width - 2)[:1]]
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
    lines.append((f"{exercised} of {total} requirements were checked; {judged['violated']} violated", ""))
    if not results.run.complete:
        lines.append((f"The run is not complete. {results.run.stopped}".rstrip(), "bold yellow"))
    return lines


def _present(results: Results) -> list[tuple[CaseOutcome, int]]:
    order: tuple[CaseOutcome, ...] = ("passed", "failed", "deviation", "not-tested", "error")
    return [(outcome, results.summary.cases[outcome]) for outcome in order if results.summary.cases[outcome]]
