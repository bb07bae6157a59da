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
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        blocked: how many cases were not tested because of this finding.
    """

    requirement: str
    row: Requirement | None
    expected: tuple[str, ...] = ()
    observed: str = ""
    note: str = ""
    case: str = ""
    repro: str = ""
    blocked: int = 0

    @property
    def knock_on(self) -> str:
        """How many cases were not tested because of this finding, as a sentence; empty when there is none."""
        cases = "1 case was" if self.blocked == 1 else f"{self.blocked} cases were"
        return f"{cases} not tested because of this." if self.blocked else ""

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
    def url(self) -> str:
        """Where that section is published; empty when it is not known."""
        return self.row.url if self.row else ""

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
            *([f"  {self.knock_on}"] if self.knock_on else []),
        ]


def findings(
    checks: Iterable[Check],
    catalogue: Catalogue,
    *,
    case: str = "",
    repro: str = "",
    blocked: Mapping[tuple[str, str], int] | None = None,
) -> list[Finding]:
    """The findings among these checks, in their order: violations, and deviations from a SHOULD.

    Args:
        checks: checks of one case.
        catalogue: the requirements that the checks name.
        case: id of the case.
        repro: the command that runs it again.
        blocked: how many cases were not tested because of a finding (``Results.blocked``).
    """
    counts = dict(blocked or {})
    return [
        Finding(
            requirement=check.requirement,
            row=catalogue.requirements.get(check.requirement),
            expected=check.expected,
            observed=check.observed,
            note=check.note,
            case=case,
            repro=repro,
            # A requirement may fail several times in one case; its first finding has the number.
            blocked=counts.pop((case, check.requirement), 0),
        )
        for check in checks
        if failed_as(check, catalogue) is not None
    ]


def case_findings(
    case: CaseResult, catalogue: Catalogue, blocked: Mapping[tuple[str, str], int] | None = None
) -> list[Finding]:
    """The findings of a case, in the order of its checks.

    A case that was not tested because of the finding of another case has none.

    Args:
        case: the case.
        catalogue: the requirements that its checks name.
        blocked: how many cases were not tested because of a finding (``Results.blocked``).
    """
    if case.because:
        return []
    return findings(case.checks, catalogue, case=case.id, repro=case.repro, blocked=blocked)


def case_lines(
    case: CaseResult, catalogue: Catalogue, blocked: Mapping[tuple[str, str], int] | None = None
) -> list[str]:
    """All findings of a case as plain text, then the command that runs it again.

    A case without findings (it could not be run, or its checks were lost) shows its reason instead.
    """
    lines = [line for finding in case_findings(case, catalogue, blocked) for line in finding.lines()]
    if not lines:
        lines += case.reason.splitlines() or [case.outcome]
        lines += [f"  expected: {' or '.join(case.expected)}"] if case.expected else []
        lines += [f"  observed: {case.observed}"] if case.observed else []
    lines += [f"  run again: {case.repro}"] if case.repro else []
    return [visible(line) for line in lines]


def case_summary(
    case: CaseResult, catalogue: Catalogue, width: int, blocked: Mapping[tuple[str, str], int] | None = None
) -> list[str]:
    """The first finding of a case on at most four lines: rule, comparison, knock-on, command.

    The third line says how many cases were not tested because of the findings of this case, if there are any.

    Args:
        case: a case that did not pass.
        catalogue: the requirements that its checks name.
        width: characters after which a line is cut; the comparison may be twice as long.
        blocked: how many cases were not tested because of a finding (``Results.blocked``).
    """
    found = case_findings(case, catalogue, blocked)
    if found:
        first = found[0]
        lines = [_cut(first.rule, width), _cut(_comparison(first.expected, first.observed), 2 * width)]
        lines += [each.knock_on for each in found if each.knock_on]
    else:
        comparison = _comparison(case.expected, case.observed) if case.expected else ""
        lines = [_cut(case.reason.strip().split("\n", 1)[0], 2 * width), _cut(comparison, 2 * width)]
    return [line for line in (*lines, case.repro) if line]


def _comparison(expected: tuple[str, ...], observed: str) -> str:
    return f"expected {' or '.join(expected) or 'something else'}; observed {observed or 'nothing'}"


def _cut(text: str, width: int) -> str:
    return textwrap.shorten(text, max(width, 40), placeholder=" …")
