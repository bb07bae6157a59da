"""Terminal lines: violations first, each with its rule, the comparison and the command; counts last."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from swn_torture.report.text import (
    count,
    mostly_not_tested,
    print_summary,
    seconds,
    summary_lines,
    verdict_sentence,
)

if TYPE_CHECKING:
    from swn_torture.report.model import CaseOutcome
    from swn_torture.report.results import Results


def test_violation_has_at_most_four_lines(many: Results) -> None:
    """Besides the line with a right answer, which has its own tests."""
    lines = [line for line in summary_lines(many) if not line.startswith("  a right answer: ")]
    failed = [case for case in many.cases if case.outcome == "failed"]
    starts = [index for index, line in enumerate(lines) if line.startswith("FAILED ")]
    assert [lines[start] for start in starts] == [f"FAILED {case.id}" for case in failed]
    for case, start in zip(failed, starts, strict=True):
        rule, comparison, command = lines[start + 1 : start + 4]
        assert rule.startswith("  ")
        assert "expected ERROR_INVALID_STATE (0x139F) or" in comparison
        assert command == f"  {case.repro}"


def test_counts_come_last(many: Results) -> None:
    head, counts, requirements, unchecked = summary_lines(many)[-4:]
    assert head == "samba-4.22: The target violates the specification."
    assert counts.startswith("480 cases in 3 min 32 s: ")
    assert f"{many.summary.cases['failed']} violations" in counts
    assert f"{many.summary.requirements['violated']} violated" in requirements
    assert unchecked.startswith("Not checked: ")


def test_last_line_says_that_the_run_is_incomplete(few: Results) -> None:
    run = dataclasses.replace(few.run, complete=False, stopped="Interrupted from the keyboard.")
    assert summary_lines(dataclasses.replace(few, run=run))[-1] == (
        "The run is not complete. Interrupted from the keyboard."
    )


def test_run_without_findings_has_three_lines(few: Results) -> None:
    clean = few.with_cases(case for case in few.cases if case.outcome == "passed")
    lines = summary_lines(clean)
    assert len(lines) == 3
    assert lines[0] == "samba-4.22: No violation was found."


@pytest.mark.parametrize(
    ("facts", "title", "controller", "product"),
    [
        ({"version": "Samba 4.22.3"}, "Samba 4.22.3 on Debian trixie", "ctdb", "Samba 4.22.3"),
        ({}, "A cluster", "none", "A cluster"),
        ({}, "", "none", "samba-4.22"),
        ({"fault": "x"}, "swn-torture reference, MS-SWN 14.0", "reference", "swn-torture reference 9.9 (x)"),
    ],
)
def test_verdict_names_product_version_and_revision(
    few: Results, facts: dict[str, str], title: str, controller: str, product: str
) -> None:
    target = dataclasses.replace(few.target, facts=facts, title=title, controller=controller)
    results = dataclasses.replace(few, target=target, version="9.9")
    assert verdict_sentence(results) == f"{product} violates the specification (MS-SWN 14.0)."


def test_target_and_warnings_come_first(few: Results) -> None:
    target = dataclasses.replace(
        few.target,
        title="Samba 4.22.3 on Debian trixie",
        nodes=("node1 (192.0.2.11)", "node2 (192.0.2.12)"),
        warnings=("The run goes without node node3.",),
        facts={"authentication": "NTLM at PKT_INTEGRITY"},
    )
    lines = summary_lines(dataclasses.replace(few, target=target))
    assert lines[:5] == [
        "samba-4.22: Samba 4.22.3 on Debian trixie",
        "Nodes: node1 (192.0.2.11), node2 (192.0.2.12)",
        "Authentication: NTLM at PKT_INTEGRITY",
        "Warning: The run goes without node node3.",
        "",
    ]


def test_main_reason_of_a_run_that_tests_little(few: Results) -> None:
    assert not mostly_not_tested(few)
    skipped = [case for case in few.cases if case.outcome == "passed"][:6]
    reasons = ["no interface", "no interface", "no interface.", "no share", "", ""]
    not_tested: CaseOutcome = "not-tested"
    passed: CaseOutcome = "passed"
    outcomes = [not_tested] * 4 + [passed] * 2
    cases = [
        dataclasses.replace(case, outcome=outcome, reason=reason)
        for case, outcome, reason in zip(skipped, outcomes, reasons, strict=True)
    ]
    sentence = "4 of 6 cases were not tested; the main reason, for 3 of them: no interface."
    assert mostly_not_tested(few.with_cases(cases)) == sentence
    assert sentence in summary_lines(few.with_cases(cases))
    half = [dataclasses.replace(case, outcome="passed", reason="") for case in cases[:1]] + cases[1:]
    assert not mostly_not_tested(few.with_cases(half))


def test_terminal_shows_the_same_lines(few: Results) -> None:
    for coloured in (False, True):
        out = io.StringIO()
        console = Console(
            file=out, width=100, force_terminal=coloured, color_system="standard" if coloured else None
        )
        print_summary(few, console)
        assert ("\x1b[" in out.getvalue()) == coloured
        if not coloured:
            assert out.getvalue().splitlines() == summary_lines(few)


@pytest.mark.parametrize(
    ("duration", "text"),
    [(0.004, "4 ms"), (0.4, "0.4 s"), (9.94, "9.9 s"), (42.4, "42 s"), (212.4, "3 min 32 s")],
)
def test_durations_have_readable_units(duration: float, text: str) -> None:
    assert seconds(duration) == text


def test_nouns_follow_their_numbers() -> None:
    assert [count(1, "case"), count(2, "case"), count(0, "error", "errors")] == [
        "1 case",
        "2 cases",
        "0 errors",
    ]


@pytest.mark.parametrize(
    ("because", "other", "line"),
    [
        (0, 0, None),
        (1, 0, "Not checked: 1 requirement because of a violation"),
        (0, 2, "Not checked: 2 requirements that this run could not show"),
        (21, 16, "Not checked: 21 requirements because of a violation, 16 that this run could not show"),
    ],
)
def test_two_kinds_of_unchecked_requirements(
    few: Results, because: int, other: int, line: str | None
) -> None:
    counts = {**few.summary.requirements, "not-tested": because + other}
    summary = dataclasses.replace(few.summary, requirements=counts, because=because)
    found = dataclasses.replace(few)
    found.__dict__["summary"] = summary
    assert [each for each in summary_lines(found) if each.startswith("Not checked")] == (
        [line] if line else []
    )
