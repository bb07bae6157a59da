"""Findings: what a case found against the target, and the plain text that every report shows of it.

A finding is a failed check together with the requirement it breaks. The terminal, JUnit, the HTML page,
Allure and pytest's own output all take their findings from this module, so that they show the same facts in
the same words.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.report.verdict import failed_as

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.report.model import CaseResult, Check
    from swn_torture.spec import Catalogue, Requirement


@dataclass(frozen=True, slots=True)
class Finding:
    """One failed check and the requirement it breaks.

    Attributes:
        requirement: catalogue id.
        row: the requirement; None when the catalogue does not know the id.
        expected: every allowed observation, one entry each.
        observed: what the target did instead.
        note: where in the case this was, or what a reader should know.
        case: id of the case.
        repro: the command that runs the case again; empty when there is none.
    """

    requirement: str
    row: Requirement | None
    expected: tuple[str, ...] = ()
    observed: str = ""
    note: str = ""
    case: str = ""
    repro: str = ""

    @property
    def text(self) -> str:
        """The statement that is violated; empty when the catalogue does not know the id."""
        return self.row.text if self.row else ""

    @property
    def level(self) -> str:
        """How strongly the requirement binds; empty when the catalogue does not know the id."""
        return self.row.level if self.row else ""

    @property
    def cite(self) -> str:
        """Where the requirement stands: ``MS-SWN 3.1.4.2``; empty when the catalogue does not know the id."""
        return self.row.cite if self.row else ""

    @property
    def rule(self) -> str:
        """Section, level and statement on one line: ``MS-SWN 3.1.4.2 MUST: ...``; else the id."""
        return f"{self.cite} {self.level}: {self.text}" if self.row else self.requirement

    def lines(self) -> list[str]:
        """The finding as plain text: the rule, its id, what is expected, what was observed."""
        return [
            self.rule,
            f"  requirement: {self.requirement}",
            f"  expected: {' or '.join(self.expected) or 'not recorded'}",
            f"  observed: {self.observed or 'not recorded'}" + (f" ({self.note})" if self.note else ""),
        ]


def findings(
    checks: Iterable[Check], catalogue: Catalogue, *, case: str = "", repro: str = ""
) -> list[Finding]:
    """The findings among these checks, in their order: violations, and deviations from a SHOULD.

    Args:
        checks: checks of one case.
        catalogue: the requirements that the checks name.
        case: id of the case.
        repro: the command that runs it again.
    """
    return [
        Finding(
            requirement=check.requirement,
            row=catalogue.requirements.get(check.requirement),
            expected=check.expected,
            observed=check.observed,
            note=check.note,
            case=case,
            repro=repro,
        )
        for check in checks
        if failed_as(check, catalogue) is not None
    ]


def case_findings(case: CaseResult, catalogue: Catalogue) -> list[Finding]:
    """The findings of a case, in the order of its checks."""
    return findings(case.checks, catalogue, case=case.id, repro=case.repro)


def case_lines(case: CaseResult, catalogue: Catalogue) -> list[str]:
    """All findings of a case as plain text, then the command that runs it again.

    A case without findings (it could not be run, or its checks were lost) shows its reason instead.
    """
    lines = [line for finding in case_findings(case, catalogue) for line in finding.lines()]
    if not lines:
        lines += case.reason.splitlines() or [case.outcome]
        lines += [f"  expected: {' or '.join(case.expected)}"] if case.expected else []
        lines += [f"  observed: {case.observed}"] if case.observed else []
    return [*lines, f"  run again: {case.repro}"] if case.repro else lines


def case_summary(case: CaseResult, catalogue: Catalogue, width: int) -> list[str]:
    """The first finding of a case on at most three lines: the rule, the comparison, the command.

    Args:
        case: a case that did not pass.
        catalogue: the requirements that its checks name.
        width: characters after which a line is cut; the comparison may be twice as long.
    """
    found = case_findings(case, catalogue)
    if found:
        first = found[0]
        lines = [_cut(first.rule, width), _cut(_comparison(first.expected, first.observed), 2 * width)]
    else:
        comparison = _comparison(case.expected, case.observed) if case.expected else ""
        lines = [_cut(case.reason.strip().split("\n", 1)[0], 2 * width), _cut(comparison, 2 * width)]
    return [line for line in (*lines, case.repro) if line]


def _comparison(expected: tuple[str, ...], observed: str) -> str:
    return f"expected {' or '.join(expected) or 'something else'}; observed {observed or 'nothing'}"


def _cut(text: str, width: int) -> str:
    return textwrap.shorten(text, max(width, 40), placeholder=" …")
