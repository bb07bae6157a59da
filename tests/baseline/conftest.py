"""Synthetic results and baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.baseline.read import parse_baseline
from swn_torture.report.model import CaseResult, Check, Choice, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.report.verdict import decide_outcome
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.baseline.model import Baseline

MUST = "SWN-3.1.4.1-empty-list"
OTHER_MUST = "SWN-3.1.4.2-null-netname"
SHOULD = "SWN-3.1.6.1-change-name"

CAUSE = """
[[cause]]
id = "empty-list"
title = "An empty list is returned with success"
class = "known"
reason = "MS-SWN 3.1.4.1 says otherwise."

[[cause.finding]]
requirement = "SWN-3.1.4.1-empty-list"
cases = ["cluster.lists.empty[ndr64]"]
observed = ["ERROR_SUCCESS (0x0) (0 elements)"]
"""

PICTURE = """
[picture]
suite = "0.1.0"
date = "2026-11-28"

[picture.not-tested]
"no IPv6 address" = ["cluster.lists.ipv6[ndr32]"]

[picture.choices.AMB-30]
"kept after a move" = ["cluster.lists.other[ndr32]"]

[picture.judged]
"cluster.lists" = ["empty 1", "other 1"]
"""


def check(
    requirement: str = MUST,
    passed: bool | None = False,
    observed: str = "ERROR_SUCCESS (0x0)",
    note: str = "0 elements",
) -> Check:
    return Check(requirement, passed, ("ERROR_NO_MORE_ITEMS (0x103)",), observed, note)


def case(
    name: str,
    *checks: Check,
    skip: str | None = None,
    error: str | None = None,
    choices: tuple[str, ...] = (),
) -> CaseResult:
    outcome, reason = decide_outcome(checks, load_catalogue(), skip_reason=skip, error=error)
    return CaseResult(
        id=name,
        title=name,
        suite=name.partition(".")[0],
        requirements=tuple(each.requirement for each in checks),
        level="MUST",
        outcome=outcome,
        reason=reason,
        checks=checks,
        choices=tuple(Choice("AMB-30", text, name) for text in choices),
    )


def results(*cases: CaseResult, **run: object) -> Results:
    described = Run("2026-11-28T12:00:00+00:00", **run)  # type: ignore[arg-type]
    return Results(described, TargetInfo("samba", title="Samba 4.22"), cases, load_catalogue())


#: The run that `text` describes: one known violation, one choice, one case that is not tested.
KNOWN = case("cluster.lists.empty[ndr64]", check())
OTHER = case("cluster.lists.other[ndr32]", check(passed=True), choices=("kept after a move",))
IPV6 = case("cluster.lists.ipv6[ndr32]", skip="no IPv6 address")


def text(causes: str = CAUSE, picture: str = PICTURE, head: str = "") -> str:
    return f'schema = "swn-torture-baseline/2"\n{head}\n{causes}\n{picture}'


@pytest.fixture
def baseline() -> Callable[..., Baseline]:
    def make(causes: str = CAUSE, picture: str = PICTURE, head: str = "") -> Baseline:
        return parse_baseline(text(causes, picture, head))

    return make
