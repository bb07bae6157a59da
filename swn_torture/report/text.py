"""Results as lines for a terminal or a log, and the words that reports have in common."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from swn_torture.report.exchange.right_answer import right_answer
from swn_torture.report.finding import case_findings, case_summary
from swn_torture.report.known import by_cause
from swn_torture.report.ladder import ladder_lines
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from swn_torture.report.comparison import CauseView
    from swn_torture.report.model import CaseOutcome, CaseResult, TargetInfo
    from swn_torture.report.results import Results

#: One sentence for each overall verdict.
VERDICTS = {
    "conforming": "No violation was found.",
    "violations": "The target violates the specification.",
    "undecided": "No violation was found, but the run is not conclusive.",
}

#: The same, for a product and a revision of MS-SWN.
_SENTENCES = {
    "conforming": "No violation of MS-SWN {revision} was found in {product}.",
    "violations": "{product} violates the specification (MS-SWN {revision}).",
    "undecided": "No violation of MS-SWN {revision} was found in {product}, but the run is not conclusive.",
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


def head_lines(target: TargetInfo) -> list[str]:
    """What a reader must know of the target before the results: what it is, its nodes, warnings."""
    lines = [f"{target.name}: {target.title}"] if target.title else []
    lines += [f"Nodes: {', '.join(target.nodes)}"] if target.nodes else []
    authentication = target.facts.get("authentication")
    lines += [f"Authentication: {authentication}"] if authentication else []
    return lines + [f"Warning: {warning}" for warning in target.warnings]


def verdict_sentence(results: Results) -> str:
    """The verdict with the product, its version, and the revision of the specification."""
    revision = results.catalogue.revision
    sentence = _SENTENCES[results.summary.verdict]
    return visible(sentence.format(product=_product(results), revision=revision))


def _product(results: Results) -> str:
    """The product and its version, as far as they are known; else the name of the target."""
    target = results.target
    if target.facts.get("version"):
        return target.facts["version"]
    product = target.title.removesuffix(f", MS-SWN {results.catalogue.revision}") or target.name
    if target.controller == "reference":
        product += f" {results.version}"  # the reference has the version of the suite
    others = [target.facts[label] for label in ("fault", "unusual server") if target.facts.get(label)]
    return f"{product} ({', '.join(others)})" if others else product


def mostly_not_tested(results: Results) -> str:
    """A sentence for a run in which most cases were not tested, with the main reason; else empty."""
    reasons = [case.reason.rstrip(".") for case in results.cases if case.outcome == "not-tested"]
    if 2 * len(reasons) <= len(results.cases):
        return ""
    reason, number = Counter(reasons).most_common(1)[0]
    return (
        f"{len(reasons)} of {len(results.cases)} cases were not tested; the main reason, for "
        f"{number} of them: {reason}."
    )


def not_checked(results: Results) -> str:
    """How many requirements with cases were not checked, and why; empty when all were."""
    summary = results.summary
    rest = summary.requirements["not-tested"] - summary.because
    parts = [f"{count(summary.because, 'requirement')} because of a violation"] if summary.because else []
    parts += [f"{rest if parts else count(rest, 'requirement')} that this run could not show"] if rest else []
    return f"Not checked: {', '.join(parts)}" if parts else ""


def summary_lines(results: Results, *, width: int = 100) -> list[str]:
    """The verdict as plain lines: violations first, counts last."""
    return [visible(line) for line, _ in _lines(results, width)]


def print_summary(results: Results, console: Console) -> None:
    """Print the same lines on a terminal, in colour where it has colours."""
    from rich.text import Text

    for line, style in _lines(results, min(console.width, 120)):
        console.print(Text(visible(line), style=style), soft_wrap=True, highlight=False)


def _lines(results: Results, width: int) -> list[tuple[str, str]]:
    head = head_lines(results.target)
    lines: list[tuple[str, str]] = [
        (line, "bold yellow" if line.startswith("Warning: ") else "") for line in head
    ]
    lines += [("", "")] if head else []
    told: set[bytes] = set()  # the same right answer is shown once
    for outcome in ("failed", "error"):
        found, known = by_cause(results, [case for case in results.cases if case.outcome == outcome])
        for case in found:
            lines.append((f"{outcome.upper()} {case.id}", _STYLES[outcome]))
            shown = case_summary(case, results.catalogue, width - 2, results.blocked)
            answer = right_answer(case, results.target) if outcome == "failed" else None
            if answer is not None and answer.octets[24:] not in told:
                told.add(answer.octets[24:])
                shown.insert(-1, f"a right answer: {answer.line()}")
            lines += [(f"  {line}", "") for line in shown]
        lines += _known(known)
        lines += [("", "")] if found or known else []
    cases = [case for case in results.cases if case.outcome == "deviation"]
    deviations, known = by_cause(results, cases)
    for case in deviations:
        lines.append((f"DEVIATION {case.id}", _STYLES["deviation"]))
        shown = case_summary(case, results.catalogue, width - 2)[:1]
        named = case_findings(case, results.catalogue, results.blocked)
        shown += [finding.knock_on for finding in named if finding.knock_on]
        lines += [(f"  {line}", "") for line in shown]
    lines += _known(known)
    lines += [("", "")] if deviations or known else []
    lines += [*_ladder(results, width), ("", "")] if _ladder_says_more(results) else []
    summary = results.summary
    counts = [count(number, *NAMES[outcome]) for outcome, number in _present(results)]
    verdict = f"{results.target.name}: {VERDICTS[summary.verdict]}"
    style = {"conforming": "bold green", "violations": "bold red", "undecided": "bold yellow"}[
        summary.verdict
    ]
    lines.append((verdict, style))
    lines.append(
        (f"{count(len(results.cases), 'case')} in {seconds(results.run.duration_s)}: {', '.join(counts)}", "")
    )
    judged = summary.requirements
    exercised = judged["conforms"] + judged["violated"] + judged["deviates"]
    total = sum(judged.values())
    lines.append((f"{exercised} of {total} requirements were checked; {judged['violated']} violated", ""))
    if unchecked := not_checked(results):
        lines.append((unchecked, ""))
    if not_tested := mostly_not_tested(results):
        lines.append((not_tested, "bold yellow"))
    if not results.run.complete:
        lines.append((f"The run is not complete. {results.run.stopped}".rstrip(), "bold yellow"))
    return lines


def _ladder_says_more(results: Results) -> bool:
    """Whether the ladder says more than the counts: it has several rungs, not all without a finding."""
    run = [each for each in results.ladder.rungs if any(each.cases.values())]
    clean = all(each.verdict == "conforms" and not each.untested and not each.deviates for each in run)
    return len(run) > 1 and not clean


def _ladder(results: Results, width: int) -> list[tuple[str, str]]:
    lines = ladder_lines(results.ladder, results.catalogue, width=width)
    return [("Ladder:", "bold"), *((line, "bold" if line.startswith("Next: ") else "") for line in lines)]


def _known(causes: Sequence[tuple[CauseView, Sequence[CaseResult]]]) -> list[tuple[str, str]]:
    """One line for each cause of the baseline: its cases are known."""
    return [
        (f"KNOWN {cause.id}: {cause.title} ({count(len(cases), 'case')})", "dim") for cause, cases in causes
    ]


def _present(results: Results) -> list[tuple[CaseOutcome, int]]:
    order: tuple[CaseOutcome, ...] = ("passed", "failed", "deviation", "not-tested", "error")
    return [(outcome, results.summary.cases[outcome]) for outcome in order if results.summary.cases[outcome]]
