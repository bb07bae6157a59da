"""Terminal lines: violations first, each with its rule, the comparison and the command; counts last."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from swn_torture.report.text import count, print_summary, seconds, summary_lines

if TYPE_CHECKING:
    from swn_torture.report.results import Results


def test_violation_has_at_most_four_lines(many: Results) -> None:
    lines = summary_lines(many)
    failed = [case for case in many.cases if case.outcome == "failed"]
    starts = [index for index, line in enumerate(lines) if line.startswith("FAILED ")]
    assert [lines[start] for start in starts] == [f"FAILED {case.id}" for case in failed]
    for case, start in zip(failed, starts, strict=True):
        rule, comparison, command = lines[start + 1 : start + 4]
        assert rule.startswith("  ")
        assert "expected ERROR_INVALID_STATE (0x139F) or" in comparison
        assert command == f"  {case.repro}"


def test_counts_come_last(many: Results) -> None:
    head, counts, requirements = summary_lines(many)[-3:]
    assert head == "samba-4.22: The target violates the specification."
    assert counts.startswith("480 cases in 3 min 32 s: ")
    assert f"{many.summary.cases['failed']} violations" in counts
    assert f"{many.summary.requirements['violated']} violated" in requirements


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
