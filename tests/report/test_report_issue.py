"""A finding as a text block: by cause, requirement or case; complete, and safe in Markdown."""

from __future__ import annotations

import dataclasses
import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swn_torture.report.comparison import CauseView, Comparison, Explained
from swn_torture.report.finding import case_findings
from swn_torture.report.issue import SHOWN_CASES, UnknownCauseError, issue_text
from swn_torture.report.json_report import load_results
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"


def failed(results: Results) -> CaseResult:
    return next(case for case in results.cases if case.outcome == "failed")


def requirement_of(results: Results) -> str:
    return case_findings(failed(results), results.catalogue)[0].requirement


def test_text_has_what_a_reader_needs(few: Results) -> None:
    case = failed(few)
    row = few.catalogue.requirements[requirement_of(few)]
    text = issue_text(few, row.id)
    for part in (
        row.text, row.cite, row.level, case.title, "Samba 4.22.11 with CTDB", "MS-SWN 14.0", "2026-11-22",
        "**Allowed:** ERROR_INVALID_STATE (0x139F) or ERROR_INVALID_PARAMETER (0x57)",
        f"**How it is tested:** {row.how}",
        "**Observed:** ERROR_SUCCESS (0x0)", "-> bind, call 1", "0000  05 00", f"--case '{case.id}'",
    ):  # fmt: skip
        assert part in text
    assert "--target samba-4.22" not in text  # the profile of one user is none of another


def test_a_case_and_a_cause_name_a_finding(few: Results) -> None:
    case, requirement = failed(few), requirement_of(few)
    assert f"`{case.id}`" in issue_text(few, case.id)
    cause = CauseView("my-cause", "A title", "known", "A reason.", bug="https://bugs.example/1")
    found = Explained(case.id, requirement, "ERROR_SUCCESS (0x0)", "my-cause")
    compared = few.compared(Comparison("base", "as-expected", causes=(cause,), explained=(found,)))
    text = issue_text(compared, "my-cause")
    assert text.startswith("### A title\n")
    assert "A reason." in text
    assert "Reported before: https://bugs.example/1" in text
    unseen = few.compared(Comparison("base", "as-expected", causes=(cause,)))
    with pytest.raises(UnknownCauseError, match="no finding of the cause my-cause"):
        issue_text(unseen, "my-cause")


def test_an_unknown_name_has_close_matches(few: Results) -> None:
    requirement = requirement_of(few)
    with pytest.raises(UnknownCauseError, match=re.escape(requirement)):
        issue_text(few, requirement[:-1])
    passed = few.with_cases(case for case in few.cases if case.outcome == "passed")
    with pytest.raises(UnknownCauseError, match="these results have none"):
        issue_text(passed, requirement)


def test_many_cases_are_counted(few: Results) -> None:
    case = failed(few)
    cases = [dataclasses.replace(case, id=f"rpc.a.b[{number}]") for number in range(SHOWN_CASES + 3)]
    text = issue_text(few.with_cases(cases), requirement_of(few))
    assert "Found by 13 cases" in text
    assert "- and 3 more" in text


def test_no_text_of_a_target_has_an_effect(few: Results) -> None:
    case = failed(few)
    checks = tuple(dataclasses.replace(check, observed="\x1b[2J\n```\n# forged") for check in case.checks)
    text = issue_text(few.with_cases([dataclasses.replace(case, checks=checks)]), case.id)
    assert "\x1b" not in text
    assert "\n# forged" not in text
    assert len(re.findall(r"^```", text, re.MULTILINE)) % 2 == 0


def test_octets_end_a_code_block_nowhere(few: Results) -> None:
    """Octets of a target are shown as text beside the hexadecimal; three backticks among them are none."""
    case = failed(few)
    record = {
        "time": 1.0,
        "connection": 1,
        "kind": "received",
        "data": "YGBgYGBgYGA=",
        "local": ["", 0],
        "remote": ["", 0],
    }
    text = issue_text(few.with_cases([dataclasses.replace(case, transcript=(record,))]), case.id)
    assert "60 60 60 60" in text
    assert len(re.findall("```", text)) == 4


@pytest.mark.parametrize("name", ["samba-4.22", "samba-4.25"])
def test_every_published_finding_has_a_text(name: str) -> None:
    path = PUBLISHED / f"{name}.json.gz"
    assert gzip.decompress(path.read_bytes())
    results = load_results(path, load_catalogue())
    assert results.comparison is not None
    for cause in {each.cause for each in results.comparison.explained}:
        assert len(issue_text(results, cause)) > 500
