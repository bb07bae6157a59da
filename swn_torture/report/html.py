"""Results as one self-contained HTML page: no network, no fonts, no other files.

Violations come first, each with the rule, the expected and the observed behaviour, the octets and the command
that runs the case again. The page is complete without JavaScript; with it, a reader can filter the cases.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from swn_torture.report.exchange.hexdump import dump
from swn_torture.report.exchange.records import Frame, frames, read_records
from swn_torture.report.finding import case_findings
from swn_torture.report.junit import legal
from swn_torture.report.model import OUTCOMES, SUITES
from swn_torture.report.text import NAMES, VERDICTS, count, seconds
from swn_torture.report.verdict import VERDICTS as REQUIREMENT_VERDICTS
from swn_torture.report.verdict import RequirementVerdict, failed_as
from swn_torture.spec import section_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.report.finding import Finding
    from swn_torture.report.model import CaseOutcome, CaseResult, Check
    from swn_torture.report.results import Results
    from swn_torture.spec import Ambiguity, Catalogue, Requirement

#: Octets shown of one PDU of a finding. The others are in the capture and in the JSON results.
FINDING_OCTETS = 4096

#: PDUs and events shown of one case: half from its beginning, half from its end.
SHOWN_FRAMES = 200

#: Octets shown of all passed cases together, so that the page stays small.
PASSED_OCTETS = 100_000

HEADINGS: dict[CaseOutcome, str] = {
    "failed": "Violations",
    "error": "Errors",
    "deviation": "Deviations",
    "not-tested": "Not tested",
    "passed": "Passed",
}

MEANINGS: dict[CaseOutcome, str] = {
    "failed": "The target violates a binding rule: MUST, MUST NOT, or a rule that the specification implies.",
    "error": "The case or the target could not be used. This says nothing about conformance.",
    "deviation": "The target does not follow a recommendation (SHOULD).",
    "not-tested": "These cases cannot be run on this target.",
    "passed": "Every check passed, or recorded the behaviour of the target without judging it.",
}

REQUIREMENT_NAMES = {
    "violated": "violated",
    "deviates": "deviates",
    "not-tested": "not tested",
    "conforms": "conforms",
    "not-covered": "no case",
}


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as the page shows it."""

    case: CaseResult
    anchor: str
    findings: tuple[Finding, ...]
    checks: tuple[tuple[Check, str], ...]
    exchange: tuple[FrameView, ...]
    duration: str
    search: str


@dataclass(frozen=True, slots=True)
class FrameView:
    """A PDU as the page shows it: its title line and as many of its octets as the page has room for."""

    frame: Frame
    at: str
    rows: tuple[tuple[str, str], ...]
    omitted: int


@dataclass(frozen=True, slots=True)
class Group:
    """Cases under one heading: the requirement that they violate, or the reason that they share."""

    heading: str
    requirement: Requirement | None
    cases: tuple[CaseView, ...]


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """The observed choices of the target at one ambiguity, each with the cases that observed it."""

    ambiguity: Ambiguity | None
    id: str
    observed: tuple[tuple[str, tuple[str, ...]], ...]


def render_html(results: Results) -> str:
    """The results as one HTML document."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("swn_torture.report", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(count=count, seconds=seconds, anchor=anchor)
    page = resources.files("swn_torture.report").joinpath("page")
    summary, catalogue = results.summary, results.catalogue
    views = _views(results)
    counted = [row for row in results.requirements if not row.apart]
    chosen = {choice.ambiguity for choice in results.choices}
    text = environment.get_template("report.html.j2").render(
        style=page.joinpath("report.css").read_text(encoding="utf-8"),
        script=page.joinpath("report.js").read_text(encoding="utf-8"),
        results=results,
        summary=summary,
        verdict=VERDICTS[summary.verdict],
        outcomes=[(outcome, HEADINGS[outcome], summary.cases[outcome]) for outcome in OUTCOMES],
        names=NAMES,
        meanings=MEANINGS,
        requirement_names=REQUIREMENT_NAMES,
        requirement_counts=[(name, summary.requirements[name]) for name in REQUIREMENT_VERDICTS],
        counted=len(counted),
        judged=sum(summary.requirements[name] for name in ("conforms", "violated", "deviates")),
        suites=[suite for suite in SUITES if any(case.suite == suite for case in results.cases)],
        violated=_sorted([row for row in counted if row.verdict == "violated"], catalogue),
        rows=catalogue.requirements,
        sections={outcome: _groups(outcome, views, catalogue) for outcome in OUTCOMES},
        requirements=counted,
        apart=[row for row in results.requirements if row.apart],
        choices=_choices(results),
        unseen=[row for id_, row in catalogue.ambiguities.items() if id_ not in chosen],
    )
    return legal(text)


def anchor(case_id: str) -> str:
    """The HTML id of a case: readable, and unique for each case id."""
    plain = re.sub(r"[^a-z0-9]+", "-", case_id.lower()).strip("-")
    digest = hashlib.sha256(case_id.encode("utf-8", "backslashreplace")).hexdigest()[:6]
    return f"case-{plain}-{digest}"


def _views(results: Results) -> dict[CaseOutcome, list[CaseView]]:
    views: dict[CaseOutcome, list[CaseView]] = {outcome: [] for outcome in OUTCOMES}
    budget = PASSED_OCTETS
    for case in results.cases:
        limit = FINDING_OCTETS if case.outcome != "passed" else max(0, min(FINDING_OCTETS, budget))
        exchange = _exchange(case, limit)
        if case.outcome == "passed":
            budget -= sum(len(view.frame.octets) for view in exchange if view.rows)
        views[case.outcome].append(
            CaseView(
                case=case,
                anchor=anchor(case.id),
                findings=tuple(case_findings(case, results.catalogue)),
                checks=tuple((check, _result(check, results.catalogue)) for check in case.checks),
                exchange=exchange,
                duration=seconds(case.duration_s),
                search=" ".join(
                    (case.id, case.title, case.reason, case.observed, *case.requirements)
                ).lower(),
            )
        )
    return views


def _exchange(case: CaseResult, limit: int) -> tuple[FrameView, ...]:
    try:
        records = read_records(case.transcript)
    except (KeyError, ValueError):
        return ()  # write.py reports the damaged record when it makes the capture
    views = []
    for frame in _abridged(frames(records)):
        shown = frame.octets[:limit]
        rows = dump(shown, frame.fields) if shown else ()
        views.append(FrameView(frame, _moment(frame.time), rows, len(frame.octets) - len(shown)))
    return tuple(views)


def _abridged(exchange: list[Frame]) -> list[Frame]:
    """An exchange of thousands of PDUs without its middle: no browser shows so many."""
    half = SHOWN_FRAMES // 2
    left_out = exchange[half:-half]
    if len(exchange) <= SHOWN_FRAMES:
        return exchange
    gap = Frame(left_out[0].time, 1, "", f"{len(left_out)} more PDUs and events are in the capture")
    return [*exchange[:half], gap, *exchange[-half:]]


def _result(check: Check, catalogue: Catalogue) -> str:
    if failed_as(check, catalogue):
        return "failed"
    return "passed" if check.passed else "recorded"


def _moment(at: float) -> str:
    return f"+{at * 1000:.1f} ms" if at < 1 else f"+{at:.3f} s"


def _groups(
    outcome: CaseOutcome, views: dict[CaseOutcome, list[CaseView]], catalogue: Catalogue
) -> list[Group]:
    """The cases of one outcome, in groups."""
    found = views[outcome]
    if outcome == "passed":
        return [
            Group(suite, None, tuple(view for view in found if view.case.suite == suite))
            for suite in SUITES
            if any(view.case.suite == suite for view in found)
        ]
    by_heading: dict[str, list[CaseView]] = {}
    for view in found:
        first = view.findings[0].requirement if view.findings else ""
        heading = first if first in catalogue.requirements else view.case.reason
        by_heading.setdefault(heading, []).append(view)
    groups = [
        Group(heading, catalogue.requirements.get(heading), tuple(cases))
        for heading, cases in by_heading.items()
    ]
    if outcome == "not-tested":
        return sorted(groups, key=lambda group: -len(group.cases))
    return sorted(groups, key=lambda group: _position(group.requirement))


def _position(row: Requirement | None) -> tuple[object, ...]:
    return (0, not row.source.startswith("MS-SWN"), section_key(row.section), row.id) if row else (1,)


def _sorted(verdicts: Iterable[RequirementVerdict], catalogue: Catalogue) -> list[RequirementVerdict]:
    return sorted(verdicts, key=lambda verdict: _position(catalogue.requirements[verdict.id]))


def _choices(results: Results) -> Sequence[ChoiceView]:
    seen: dict[str, dict[str, list[str]]] = {}
    for choice in results.choices:
        seen.setdefault(choice.ambiguity, {}).setdefault(choice.observed, []).append(choice.case)
    known = results.catalogue.ambiguities
    order = {id_: number for number, id_ in enumerate(known)}
    return [
        ChoiceView(
            known.get(id_), id_, tuple((text, tuple(dict.fromkeys(ids))) for text, ids in observed.items())
        )
        for id_, observed in sorted(seen.items(), key=lambda item: order.get(item[0], len(order)))
    ]
