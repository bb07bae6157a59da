"""Results as one self-contained HTML page: no network, no fonts, no other files.

Violations come first, each with the rule, the expected and the observed behaviour, the octets and the command
that runs the case again. What is wrong is in the HTML; JavaScript shows the rest (`page_data`), and filters.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from swn_torture.report.elsewhere import known_elsewhere
from swn_torture.report.exchange.hexdump import dump
from swn_torture.report.exchange.records import Frame, frames, read_records
from swn_torture.report.exchange.right_answer import right_answer, why_none
from swn_torture.report.exchange.stub_fields import with_stub_fields
from swn_torture.report.exchange.wrong_fields import wrong_fields
from swn_torture.report.finding import case_findings
from swn_torture.report.junit import legal
from swn_torture.report.known import SITUATIONS, by_cause, differences
from swn_torture.report.ladder import next_line, says
from swn_torture.report.model import OUTCOMES, SUITES
from swn_torture.report.page_data import FAILING, REQUIREMENT_NAMES, Passed, page_data
from swn_torture.report.templates import environment
from swn_torture.report.text import (
    NAMES,
    count,
    mostly_not_tested,
    not_checked,
    seconds,
    verdict_sentence,
)
from swn_torture.report.verdict import VERDICTS as REQUIREMENT_VERDICTS
from swn_torture.report.verdict import RequirementVerdict, failed_as
from swn_torture.spec import section_key
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import jinja2

    from swn_torture.report.comparison import CauseView
    from swn_torture.report.exchange.right_answer import RightAnswer
    from swn_torture.report.finding import Finding
    from swn_torture.report.model import CaseOutcome, CaseResult, Check
    from swn_torture.report.results import Results
    from swn_torture.spec import Ambiguity, Catalogue, Requirement

#: Octets shown of one PDU of a finding. The others are in the capture and in the JSON results.
FINDING_OCTETS = 4096

#: Octets shown of one case. Those of its last PDUs count first, because there is what was observed.
CASE_OCTETS = 8192

#: PDUs up to this length, like faults, are shown wherever they are; of longer ones, equal octets only once.
SHORT_PDU = 64

#: PDUs and events shown of one case: half from its beginning, half from its end.
SHOWN_FRAMES = 30

#: Octets shown of a right answer: the first element of an interface list, and the beginning of the second.
RIGHT_OCTETS = 768

#: The indentation of the template before a tag.
_INDENT = re.compile(r"\n\s+(?=<)")

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


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as the page shows it.

    Attributes:
        case: the case.
        anchor: its HTML id.
        findings: the failed checks that count.
        checks: all its checks, each with its result as a word.
        exchange: the PDUs. A page shows them once for each heading: like findings have like octets.
        duration: how long it ran, as text.
        like: id of the case under the same heading whose PDUs are shown instead.
        right: a right answer to the request of the finding; only where the PDUs are shown.
        no_right: why there is none; empty where there is one, and where no PDUs are shown.
    """

    case: CaseResult
    anchor: str
    findings: tuple[Finding, ...]
    checks: tuple[tuple[Check, str], ...]
    exchange: tuple[FrameView, ...]
    duration: str
    like: str = ""
    right: FrameView | None = None
    no_right: str = ""


@dataclass(frozen=True, slots=True)
class FrameView:
    """A PDU as the page shows it: its title line and as many of its octets as the page has room for.

    Attributes:
        frame: the PDU.
        at: when, as text.
        rows: its octets by field; empty when they are not shown.
        omitted: how many octets are not shown.
        wrong: the labels of the fields that are wrong.
        same: id of the case on this page whose PDU has the same octets; they are shown there only.
    """

    frame: Frame
    at: str
    rows: tuple[tuple[str, str], ...]
    omitted: int
    same: str = ""
    wrong: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """Cases under one heading: the requirement that they violate, or the reason that they share."""

    heading: str
    requirement: Requirement | None
    cases: tuple[CaseView, ...]

    @property
    def blocked(self) -> list[BlockedView]:
        """The cases that a finding blocked, by test function: a page only counts these, and finds them."""
        found: dict[str, list[CaseResult]] = {}
        for view in self.cases:
            if view.case.because:
                found.setdefault(view.case.id.partition("[")[0], []).append(view.case)
        return [
            BlockedView(
                function,
                suite=cases[0].suite,
                parameters=tuple(case.id.removeprefix(function) for case in cases),
                requirements=tuple(dict.fromkeys(each for case in cases for each in case.requirements)),
            )
            for function, cases in found.items()
        ]


@dataclass(frozen=True, slots=True)
class BlockedView:
    """The cases of a test function that a finding blocked.

    Attributes:
        function: their id without parameters.
        suite: their suite.
        parameters: the parameters of each, in brackets; empty text for none.
        requirements: what they would have checked.
    """

    function: str
    suite: str
    parameters: tuple[str, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownGroup:
    """Cases whose findings a cause of the baseline explains."""

    cause: CauseView
    cases: tuple[CaseView, ...]

    @property
    def requirements(self) -> list[str]:
        """The requirements of their findings, each once."""
        return list(dict.fromkeys(each.requirement for view in self.cases for each in view.findings))


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """The observed choices of the target at one ambiguity, each with the cases that observed it."""

    ambiguity: Ambiguity | None
    id: str
    observed: tuple[tuple[str, tuple[str, ...]], ...]


def _finalize(value: object) -> object:
    """Make every text that the page shows visible; the page itself is Markup."""
    from markupsafe import Markup

    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(value, keep="\n\t")


def templates() -> jinja2.Environment:
    """The templates of the page, in an environment of their own."""
    pages = environment("swn_torture.report", "page", finalize=_finalize)
    pages.globals.update(count=count, seconds=seconds, anchor=anchor)
    return pages


def render_html(results: Results) -> str:
    """The results as one HTML document."""
    pages = templates()
    pages.globals["elsewhere"] = functools.partial(known_elsewhere, catalogue=results.catalogue)
    page = resources.files("swn_torture.report").joinpath("page")
    summary, catalogue = results.summary, results.catalogue
    views = _views(results)
    known = {outcome: _known(results, views[outcome]) for outcome in OUTCOMES}
    explained = {view.case.id for groups in known.values() for group in groups for view in group.cases}
    new = {
        outcome: [view for view in found if view.case.id not in explained] for outcome, found in views.items()
    }
    counted = [row for row in results.requirements if not row.apart]
    chosen = {choice.ambiguity for choice in results.choices}
    violated = {row for row in counted if row.verdict == "violated"}
    known_rows = {row for row in violated if set(row.failing) <= explained}
    text = pages.get_template("report.html.j2").render(
        style=page.joinpath("report.css").read_text(encoding="utf-8"),
        script=page.joinpath("report.js").read_text(encoding="utf-8"),
        results=results,
        summary=summary,
        ladder=[(each, says(each, results.ladder)) for each in results.ladder.rungs],
        next=next_line(results.ladder.next, catalogue) if results.ladder.next else "",
        verdict=verdict_sentence(results),
        not_tested=mostly_not_tested(results),
        not_checked=not_checked(results),
        outcomes=[(outcome, HEADINGS[outcome], summary.cases[outcome]) for outcome in OUTCOMES],
        names=NAMES,
        meanings=MEANINGS,
        requirement_names=REQUIREMENT_NAMES,
        requirement_counts=[(name, summary.requirements[name]) for name in REQUIREMENT_VERDICTS],
        counted=len(counted),
        judged=sum(summary.requirements[name] for name in ("conforms", *FAILING)),
        suites=[suite for suite in SUITES if any(case.suite == suite for case in results.cases)],
        violated=_sorted(violated - known_rows, catalogue),
        known_violated=len(violated & known_rows),
        rows=catalogue.requirements,
        sections={outcome: _groups(outcome, new, catalogue) for outcome in OUTCOMES},
        known=known,
        comparison=results.comparison,
        situation=SITUATIONS[results.comparison.situation] if results.comparison else "",
        differences=differences(results.comparison) if results.comparison else [],
        anchors={case.id for case in results.cases},
        requirements=[row for row in counted if row.verdict in FAILING],
        data=page_data(results, [_passed(view) for view in new["passed"]]),
        choices=_choices(results),
        unseen=[row for id_, row in catalogue.ambiguities.items() if id_ not in chosen],
    )
    return legal(_INDENT.sub("\n", text).lstrip())


def anchor(case_id: str) -> str:
    """The HTML id of a case: short, because a page has it several times, and unique for each case id."""
    return f"case-{hashlib.sha256(case_id.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"


def _views(results: Results) -> dict[CaseOutcome, list[CaseView]]:
    views: dict[CaseOutcome, list[CaseView]] = {outcome: [] for outcome in OUTCOMES}
    shown: dict[tuple[str, str], str] = {}
    known: dict[bytes, str] = {}
    for case in results.cases:
        findings = tuple(case_findings(case, results.catalogue, results.blocked))
        heading = findings[0].requirement if findings else case.reason
        like = shown.get((case.outcome, heading), "")
        exchange: tuple[FrameView, ...] = ()
        right: RightAnswer | None = None
        if case.outcome != "passed" and not like and not case.because:
            right = right_answer(case, results.target) if findings else None
            exchange = _exchange(case, known, right)
        if exchange:
            shown[case.outcome, heading] = case.id
        views[case.outcome].append(
            CaseView(
                case=case,
                anchor=anchor(case.id),
                findings=findings,
                checks=tuple((check, _result(check, results.catalogue)) for check in case.checks),
                exchange=exchange,
                duration=seconds(case.duration_s),
                like=like if case.transcript else "",
                right=_right(right) if exchange and right else None,
                no_right=why_none(case) if exchange and findings and right is None else "",
            )
        )
    return views


def _passed(view: CaseView) -> Passed:
    return Passed(view.case, view.anchor, view.checks, view.duration)


def _known(results: Results, found: Sequence[CaseView]) -> list[KnownGroup]:
    """The cases of one outcome that causes of the baseline explain, by cause."""
    views = {view.case.id: view for view in found}
    _, causes = by_cause(results, [view.case for view in found])
    return [KnownGroup(cause, tuple(views[case.id] for case in cases)) for cause, cases in causes]


def _exchange(case: CaseResult, known: dict[bytes, str], right: RightAnswer | None) -> tuple[FrameView, ...]:
    """The exchange of a case.

    Args:
        case: the case.
        known: the octets on the page, each with the case that shows them; gets those of this case.
        right: a right answer to the request of its finding.
    """
    try:
        records = read_records(case.transcript)
    except (KeyError, ValueError):
        return ()  # write.py reports the damaged record when it makes the capture
    views = []
    exchange = _abridged(with_stub_fields(frames(records)))
    for frame, room in zip(exchange, _room(exchange), strict=True):
        at, shown = _moment(frame.time), frame.octets[:room]
        key = _without_call_id(frame.octets)
        wrong = wrong_fields(frame, right, case.expected, case.observed)
        if not wrong and len(shown) > SHORT_PDU and key in known:
            views.append(FrameView(frame, at, (), 0, known[key]))
            continue
        if len(shown) == len(frame.octets):
            known.setdefault(key, case.id)
        rows = dump(shown, frame.fields) if shown else ()
        views.append(FrameView(frame, at, rows, len(frame.octets) - len(shown), wrong=wrong))
    return tuple(views)


def _room(exchange: list[Frame]) -> list[int]:
    """How many octets to show of each PDU: all of a short one, and of the others as long as there is room."""
    left, rooms = CASE_OCTETS, []
    for frame in reversed(exchange):
        short = len(frame.octets) <= SHORT_PDU
        room = SHORT_PDU if short else max(0, min(FINDING_OCTETS, left))
        left -= min(room, len(frame.octets))
        rooms.append(room)
    return rooms[::-1]


def _without_call_id(octets: bytes) -> bytes:
    """The octets of a PDU with call_id 0: the same call of another case differs by nothing else."""
    return octets[:12] + bytes(4) + octets[16:]


def _right(answer: RightAnswer) -> FrameView:
    """A right answer to the request of a finding, as a PDU that the target could have sent."""
    shown = answer.octets[:RIGHT_OCTETS]
    frame = Frame(0.0, 1, "received", answer.title, answer.octets, answer.fields)
    return FrameView(frame, "", dump(shown, answer.fields), len(answer.octets) - len(shown))


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
        return "failed (precondition)" if check.precondition else "failed"
    explained = f"recorded: {check.because} explains it" if check.because else "recorded"
    return "passed" if check.passed else explained


def _moment(at: float) -> str:
    return f"+{at * 1000:.1f} ms" if at < 1 else f"+{at:.3f} s"


def _groups(
    outcome: CaseOutcome, views: dict[CaseOutcome, list[CaseView]], catalogue: Catalogue
) -> list[Group]:
    """The cases of one outcome, in groups."""
    found = views[outcome]
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
