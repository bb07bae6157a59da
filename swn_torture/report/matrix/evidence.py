"""What is behind the verdict on a case: its checks, and for a finding the exchange with its last octets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.report.exchange.records import frames, read_records
from swn_torture.report.exchange.right_answer import right_answer
from swn_torture.report.exchange.stub_fields import with_stub_fields
from swn_torture.report.exchange.wrong_fields import wrong_fields
from swn_torture.report.finding import case_findings
from swn_torture.report.verdict import failed_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.report.exchange.records import Frame
    from swn_torture.report.model import CaseResult, Check
    from swn_torture.report.results import Results
    from swn_torture.spec import Catalogue

#: PDUs and events of one exchange: half from its beginning, half from its end. The page of the run has more.
SHOWN_FRAMES = 16

#: Octets of one PDU.
SHOWN_OCTETS = 192

#: Checks of one case that are not findings. A case that makes hundreds says the same in each.
SHOWN_CHECKS = 12

#: Begins the label of a field whose octets are wrong.
WRONG = "wrong: "


@dataclass(frozen=True, slots=True)
class Exchange:
    """The PDUs of a finding, in order of time.

    Attributes:
        lines: for each PDU or event ``sent``, ``received`` or an empty text, its time in milliseconds since
            the first, and its title.
        octets: for the last PDU in each direction its index in ``lines``, and its octets by field: a label,
            the offset and the octets in hexadecimal. The labels of wrong octets begin with ``WRONG``.
        omitted: number of PDUs and events that are left out between the two halves of ``lines``.
    """

    lines: tuple[tuple[str, float, str], ...]
    octets: tuple[tuple[int, tuple[tuple[str, int, str], ...]], ...]
    omitted: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is behind the verdict on one case.

    Attributes:
        checks: its checks, each with ``f`` (violation), ``d`` (deviation), ``p`` (passed) or ``r`` (only
            recorded).
        omitted: number of checks that are left out; no finding is.
        exchange: the PDUs; None if the case has none, or shares those of ``like``.
        like: id of a case of the same target with a like finding whose PDUs are shown; empty for none.
    """

    checks: tuple[tuple[Check, str], ...]
    omitted: int = 0
    exchange: Exchange | None = None
    like: str = ""


def evidence_of(results: Results) -> dict[str, Evidence]:
    """The evidence of every case, by its id. Like findings share one exchange."""
    shown: dict[tuple[str, str], str] = {}
    found = {}
    for case in results.cases:
        findings = case_findings(case, results.catalogue)
        exchange, like = None, ""
        if case.transcript and case.outcome in {"failed", "deviation", "error"} and not case.because:
            heading = (case.outcome, findings[0].requirement if findings else case.reason)
            like = shown.get(heading, "")
            if not like:
                exchange = _exchange(case, results)
            if exchange:
                shown[heading] = case.id
        checks, omitted = _checks(case, results.catalogue)
        found[case.id] = Evidence(checks, omitted, exchange, like)
    return found


def _checks(case: CaseResult, catalogue: Catalogue) -> tuple[tuple[tuple[Check, str], ...], int]:
    marked = [(check, _letter(check, catalogue)) for check in case.checks]
    room = SHOWN_CHECKS
    kept = []
    for check, letter in marked:
        if letter in {"f", "d"} or room > 0:
            kept.append((check, letter))
            room -= letter not in {"f", "d"}
    return tuple(kept), len(marked) - len(kept)


def _letter(check: Check, catalogue: Catalogue) -> str:
    failed = failed_as(check, catalogue)
    if failed:
        return "f" if failed == "violation" else "d"
    return "p" if check.passed else "r"


def _exchange(case: CaseResult, results: Results) -> Exchange | None:
    try:
        exchange = with_stub_fields(frames(read_records(case.transcript)))
    except (KeyError, ValueError):
        return None  # the page of the run names the damaged record
    right = right_answer(case, results.target)
    half = SHOWN_FRAMES // 2
    omitted = max(0, len(exchange) - SHOWN_FRAMES)
    kept = [*exchange[:half], *exchange[-half:]] if omitted else exchange
    return Exchange(
        tuple((frame.direction, round(frame.time * 1000, 1), frame.title) for frame in kept),
        tuple(
            (number, _fields(kept[number], wrong_fields(kept[number], right, case.expected, case.observed)))
            for number in sorted(_last(kept, direction) for direction in ("sent", "received"))
            if number >= 0
        ),
        omitted,
    )


def _last(exchange: Sequence[Frame], direction: str) -> int:
    """The index of the last PDU in a direction; -1 if there is none."""
    found = [n for n, frame in enumerate(exchange) if frame.direction == direction and frame.octets]
    return found[-1] if found else -1


def _fields(frame: Frame, wrong: frozenset[str]) -> tuple[tuple[str, int, str], ...]:
    parts = []
    for item in frame.fields:
        end = min(item.offset + item.length, SHOWN_OCTETS)
        if end > item.offset:
            label = f"{WRONG}{item.label}" if item.label in wrong else item.label
            parts.append((label, item.offset, frame.octets[item.offset : end].hex()))
    return tuple(parts)
