"""What a preflight finds violated: a finding like that of a case, with the octets that show it.

A server whose defect stops every client before its first call would otherwise only be refused. Each violated
requirement makes one result with the id ``preflight.first-answers[REQUIREMENT]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from swn_torture.report.model import CaseResult, Check
from swn_torture.report.roots import PREFLIGHT
from swn_torture.report.verdict import decide_outcome
from swn_torture.spec import load_catalogue
from swn_torture.spec.rungs import BY_ID, height, holds_for_every_method, rung_of_requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from swn_torture.dcerpc.transcript import Transcript


@dataclass(frozen=True, slots=True)
class PreflightFinding:
    """One violation by one node.

    Attributes:
        requirement: catalogue id.
        expected: what the text demands, in words.
        observed: what the node did.
        note: which node, and what was sent.
        octets: records of the exchange, as ``dcerpc.transcript`` writes them.
        rung: id of the rung of the method that was called; empty before the first call.
    """

    requirement: str
    expected: str
    observed: str
    note: str
    octets: tuple[Mapping[str, Any], ...] = ()
    rung: str = ""

    @classmethod
    def of(
        cls, requirement: str, expected: str, observed: str, note: str, transcript: Transcript | None = None
    ) -> Self:
        """A finding with the octets of a transcript."""
        records = () if transcript is None else tuple(each.to_dict() for each in transcript.entries)
        return cls(requirement, expected, observed, note, records)

    def __str__(self) -> str:
        return f"{self.requirement}, {self.note}: expected {self.expected}; observed {self.observed}"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The finding from its plain values."""
        return cls(**{**data, "octets": tuple(data["octets"])})


def results_of(findings: Sequence[PreflightFinding], target: str) -> tuple[CaseResult, ...]:
    """The findings as results: one for each violated requirement, with a check for each node.

    Args:
        findings: what a preflight found.
        target: the target profile, for the command that runs it again.
    """
    requirements = dict.fromkeys(finding.requirement for finding in findings)
    return tuple(
        _result(requirement, [each for each in findings if each.requirement == requirement], target)
        for requirement in requirements
    )


def _result(requirement: str, findings: Sequence[PreflightFinding], target: str) -> CaseResult:
    catalogue = load_catalogue()
    row = catalogue.requirements[requirement]
    rung = rung_of_requirement(requirement)
    called = sorted((each.rung for each in findings if each.rung), key=height)
    if called and holds_for_every_method(requirement):
        rung = BY_ID[called[0]]
    checks = tuple(_checks(findings))
    outcome, reason = decide_outcome(checks, catalogue)
    return CaseResult(
        id=f"{PREFLIGHT}[{requirement}]",
        title=f"Before the first case: {row.text}",
        suite="rpc",
        requirements=(requirement,),
        level=row.level,
        outcome=outcome,
        reason=reason,
        expected=checks[0].expected,
        observed=checks[0].observed,
        checks=checks,
        repro=f"swn-torture run --target {target} --requirement {requirement}",
        transcript=tuple(dict(record) for record in findings[0].octets),
        rung=rung.id if rung else "",
    )


def _checks(findings: Iterable[PreflightFinding]) -> Iterable[Check]:
    for each in findings:
        yield Check(
            each.requirement, passed=False, expected=(each.expected,), observed=each.observed, note=each.note
        )
