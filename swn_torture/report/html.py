"""Results as one HTML page that needs nothing but itself: no network, no fonts, no other file.

It is made for the person who has to act on it: what is violated comes first, each with the rule, what is
allowed, what came, the octets and the command that shows it again. Without JavaScript everything can be read;
with it, the cases can be filtered.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from swn_torture.report.exchange.hexdump import dump
from swn_torture.report.exchange.records import Frame, frames, read_records
from swn_torture.report.junit import legal
from swn_torture.report.model import OUTCOMES, SUITES
from swn_torture.report.text import NAMES, VERDICTS, count, seconds
from swn_torture.report.verdict import VERDICTS as REQUIREMENT_VERDICTS
from swn_torture.report.verdict import RequirementVerdict, failed_as
from swn_torture.spec import section_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.report.model import CaseOutcome, CaseResult, Check
    from swn_torture.report.results import Results
    from swn_torture.spec import Ambiguity, Catalogue, Requirement

#: Octets shown of one PDU of a finding; the rest is in the capture and in the JSON results.
FINDING_OCTETS = 4096

#: PDUs and events shown of one case, half of them from its beginning and half from its end.
SHOWN_FRAMES = 200

#: Octets shown of all that passed together. Most of them are never read, and a page must stay quick.
PASSED_OCTETS = 100_000

HEADINGS: dict[CaseOutcome, str] = {
    "failed": "Violations",
    "error": "Errors",
    "deviation": "Deviations",
    "not-tested": "Not tested",
    "passed": "Passed",
}

MEANINGS: dict[CaseOutcome, str] = {
    "failed": "The target breaks a rule that binds it (MUST, MUST NOT, or what the text implies).",
    "error": "The case or the target could not be used. This says nothing about conformance.",
    "deviation": "The target does not follow a recommendation (SHOULD).",
    "not-tested": "These cases cannot be run on this target.",
    "passed": "Every check held, or only recorded what the target chose.",
}

REQUIREMENT_WORDS = {
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
    failing: tuple[tuple[Check, Requirement | None], ...]
    exchange: tuple[FrameView, ...]
    duration: str
    search: str


@dataclass(frozen=True, slots=True)
class FrameView:
    """A PDU as the page shows it: its title line, and its octets if they fit."""

    frame: Frame
    at: str
    rows: tuple[tuple[str, str], ...]
    omitted: int


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that belong under one heading: the requirement they break, or the reason they share."""

    heading: str
    requirement: Requirement | None
    cases: tuple[CaseView, ...]


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """What the target chose at one ambiguity, with the cases that saw it."""

    ambiguity: Ambiguity | None
    id: str
    observed: tuple[tuple[str, tuple[str, ...]], ...]


def render_html(results: Results) -> str:
    """The page, as one HTML document."""
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
        words=NAMES,
        meanings=MEANINGS,
        requirement_words=REQUIREMENT_WORDS,
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
    """The name of a case within the page: readable, and different for different ids."""
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
        known = results.catalogue.requirements
        views[case.outcome].append(
            CaseView(
                case=case,
                anchor=anchor(case.id),
                failing=tuple(
                    (check, known.get(check.requirement))
                    for check in case.checks
                    if failed_as(check, results.catalogue)
                ),
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
        return ()  # the capture's writer has already said so, with the details
    views = []
    for frame in _abridged(frames(records)):
        shown = frame.octets[:limit]
        rows = dump(shown, frame.fields) if shown else ()
        views.append(FrameView(frame, _moment(frame.time), rows, len(frame.octets) - len(shown)))
    return tuple(views)


def _abridged(exchange: list[Frame]) -> list[Frame]:
    """An exchange of thousands of PDUs without its middle, or no browser would show the page."""
    half = SHOWN_FRAMES // 2
    left_out = exchange[half:-half]
    if len(exchange) <= SHOWN_FRAMES:
        return exchange
    gap = Frame(left_out[0].time, 1, "", f"{len(left_out)} more PDUs and events are in the capture")
    return [*exchange[:half], gap, *exchange[-half:]]


def _moment(at: float) -> str:
    return f"+{at * 1000:.1f} ms" if at < 1 else f"+{at:.3f} s"


def _groups(
    outcome: CaseOutcome, views: dict[CaseOutcome, list[CaseView]], catalogue: Catalogue
) -> list[Group]:
    """The cases of one outcome under their headings."""
    found = views[outcome]
    if outcome == "passed":
        return [
            Group(suite, None, tuple(view for view in found if view.case.suite == suite))
            for suite in SUITES
            if any(view.case.suite == suite for view in found)
        ]
    by_heading: dict[str, list[CaseView]] = {}
    for view in found:
        first = view.failing[0][0].requirement if view.failing else ""
        heading = first if first in catalogue.requirements else view.case.reason
        by_heading.setdefault(heading, []).append(view)
    groups = [
        Group(heading, catalogue.requirements.get(heading), tuple(cases))
        for heading, cases in by_heading.items()
    ]
    if outcome == "not-tested":
        return sorted(groups, key=lambda group: -len(group.cases))
    return sorted(groups, key=lambda group: _place(group.requirement))


def _place(row: Requirement | None) -> tuple[object, ...]:
    return (0, not row.source.startswith("MS-SWN"), section_key(row.section), row.id) if row else (1,)


def _sorted(verdicts: Iterable[RequirementVerdict], catalogue: Catalogue) -> list[RequirementVerdict]:
    return sorted(verdicts, key=lambda verdict: _place(catalogue.requirements[verdict.id]))


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
