"""A finding as a text block in Markdown, to be cited in a bug report about the server.

It holds what a reader without this suite needs: the rule and where it stands, what was sent, what is allowed,
what came, the PDUs, the octets of the answer, and how to see it again.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from swn_torture.report.exchange.right_answer import right_answer, why_none
from swn_torture.report.exchange.trace import exchange_of, trace_lines
from swn_torture.report.finding import case_findings
from swn_torture.report.text import count
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swn_torture.report.comparison import CauseView
    from swn_torture.report.exchange.records import Frame
    from swn_torture.report.finding import Finding
    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results

#: PDUs and events that are listed: the last ones, which the finding is about.
SHOWN_FRAMES = 12

#: Octets of the last answer.
SHOWN_OCTETS = 256

#: Cases that are named.
SHOWN_CASES = 10

#: Facts of the target that a reader needs.
_FACTS = ("version", "product", "build ids", "authentication", "transfer syntaxes", "fault")


class UnknownCauseError(ValueError):
    """The results have no finding of this name; the message has those that there are."""


def issue_text(results: Results, name: str) -> str:
    """The text block of one finding.

    Args:
        results: the results of a run.
        name: id of a cause of the baseline that they were compared with, of a violated requirement, or of a
            case with a finding.

    Raises:
        UnknownCauseError: there is no finding of this name.
    """
    cause, found = _found(results, name)
    case, finding = found[0]
    title = cause.title if cause else finding.text or finding.requirement
    cases = list(dict.fromkeys(case.id for case, _ in found))
    lines = [f"### {title}", "", *_rule(finding), "", *_target(results), ""]
    if cause and cause.reason:
        lines += [cause.reason, ""]
    if cause and cause.bug:
        lines += [f"Reported before: {cause.bug}", ""]
    lines += [
        f"**Case:** {case.title}",
        "",
        *([f"**How it is tested:** {finding.row.how}", ""] if finding.row and finding.row.how else []),
        f"**Allowed:** {' or '.join(finding.expected) or 'not recorded'}",
        "",
        f"**Observed:** {finding.observed or 'nothing'}{f' ({finding.note})' if finding.note else ''}",
        "",
        *_exchange(results, case, finding),
        f"Found by {count(len(cases), 'case')} of the suite:",
        "",
        *(f"- `{each}`" for each in cases[:SHOWN_CASES]),
        *([f"- and {len(cases) - SHOWN_CASES} more"] if len(cases) > SHOWN_CASES else []),
        "",
        "Run it again (`swn-torture init ADDRESS -o PROFILE` writes a profile of a cluster):",
        "",
        "```console",
        f"$ swn-torture run --target PROFILE --case '{case.id}'",
        "```",
    ]
    return "\n".join(visible(line) for line in lines) + "\n"


def _found(results: Results, name: str) -> tuple[CauseView | None, list[tuple[CaseResult, Finding]]]:
    """The findings of this name, and their cause if a baseline has it.

    The first one is easiest to read: its PDUs are recorded and few, and it is the first of its case.
    """
    every = [
        (case, finding)
        for case in results.cases
        if case.outcome in {"failed", "deviation"}
        for finding in case_findings(case, results.catalogue)
    ]
    comparison = results.comparison
    causes = {cause.id: cause for cause in comparison.causes} if comparison else {}
    pairs = {(each.case, each.requirement): each.cause for each in comparison.explained} if comparison else {}
    found = [
        (case, finding)
        for case, finding in every
        if name in {case.id, finding.requirement, pairs.get((case.id, finding.requirement))}
    ]
    if not found:
        raise UnknownCauseError(_unknown(name, every, set(causes) & set(pairs.values()), causes))
    return causes.get(name), sorted(
        found,
        key=lambda item: (
            not item[0].transcript,
            not _is_first(results, *item),
            len(item[0].transcript),
            item[0].id,
        ),
    )


def _is_first(results: Results, case: CaseResult, finding: Finding) -> bool:
    """Whether a finding is the first of its case: what is known of a right answer is about that one."""
    return case_findings(case, results.catalogue)[0].requirement == finding.requirement


def _unknown(
    name: str, every: Sequence[tuple[CaseResult, Finding]], seen: set[str], causes: dict[str, CauseView]
) -> str:
    if name in causes:
        return f"no finding of the cause {name} is in these results"
    known = [*sorted(seen), *dict.fromkeys(finding.requirement for _, finding in every)]
    if not known:
        return f"there is no finding {name!r}: these results have none"
    close = difflib.get_close_matches(name, [*known, *(case.id for case, _ in every)], n=3, cutoff=0.5)
    return (
        f"there is no finding {name!r}; {'close matches' if close else 'known'}: {', '.join(close or known)}"
    )


def _rule(finding: Finding) -> Iterator[str]:
    if finding.row is None:
        yield f"**Rule:** {finding.requirement}"
        return
    where = f"[{finding.cite}]({finding.url})" if finding.url else finding.cite
    yield f"**Rule:** {where} ({finding.level}), in the words of the suite: {finding.text}"


def _target(results: Results) -> Iterator[str]:
    target = results.target
    yield f"**Server:** {target.title or target.name}"
    for label in _FACTS:
        if target.facts.get(label):
            yield f"- {label}: {target.facts[label]}"
    yield (
        f"- tested on {results.run.started[:10]} with swn-torture {results.version} "
        f"against MS-SWN {results.catalogue.revision}"
    )


def _exchange(results: Results, case: CaseResult, finding: Finding) -> Iterator[str]:
    try:
        exchange = exchange_of(case.transcript)
    except (KeyError, ValueError):
        return  # the capture of a damaged transcript is reported when the reports are written
    if not exchange:
        return
    yield "<details><summary>PDUs</summary>"
    yield ""
    yield "```text"
    if len(exchange) > SHOWN_FRAMES:
        yield f"({count(len(exchange) - SHOWN_FRAMES, 'PDU or event', 'PDUs and events')} before these)"
    yield from map(_plain, trace_lines(exchange[-SHOWN_FRAMES:], octets=False))
    answer = next((frame for frame in reversed(exchange) if frame.direction == "received"), None)
    if answer is not None:
        yield ""
        yield _plain(f"the last answer: {answer.title}")
        yield from map(_plain, _octets(answer))
    first = _is_first(results, case, finding)
    right = right_answer(case, results.target) if first else None
    why = why_none(case) if first and right is None else ""
    if why:
        yield ""
        yield f"no right answer is shown: {why}"
    if right is not None:
        yield ""
        yield _plain(f"a right answer would have been: {right.title}")
        yield f"{right.octets[:SHOWN_OCTETS].hex(' ')}{' ...' if len(right.octets) > SHOWN_OCTETS else ''}"
    yield "```"
    yield ""
    yield "</details>"
    yield ""


def _octets(frame: Frame) -> Iterator[str]:
    lines = list(trace_lines([frame]))[1:]
    kept = SHOWN_OCTETS // 8
    yield from (line.removeprefix(" " * 15) for line in lines[:kept])
    if len(lines) > kept:
        yield f"... {count(len(lines) - kept, 'more line')}"


def _plain(line: str) -> str:
    """A line inside a code block: no text of a target ends the block."""
    return re.sub("`{3,}", "''''", line)
