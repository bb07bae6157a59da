"""A run is compared with a baseline: each kind of difference, and the situation that follows."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest

from swn_torture import shipped
from swn_torture.baseline import model
from swn_torture.baseline.compare import compare
from swn_torture.baseline.words import next_steps, plain_lines
from swn_torture.report.html import anchor, render_html
from swn_torture.report.json_report import results_schema
from swn_torture.report.results import Results
from swn_torture.report.text import summary_lines
from tests.baseline.conftest import (
    CAUSE,
    IPV6,
    KNOWN,
    MUST,
    OTHER,
    OTHER_MUST,
    PICTURE,
    SHOULD,
    case,
    check,
    results,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.baseline.model import Baseline
    from swn_torture.report.comparison import Comparison
    from swn_torture.report.model import CaseResult

Make = "Callable[..., Baseline]"


def kinds(comparison: Comparison) -> list[tuple[str, str]]:
    return [(each.kind, each.case) for each in comparison.differences]


def test_run_that_the_baseline_was_made_from_is_as_expected(baseline: Callable[..., Baseline]) -> None:
    comparison = compare(results(KNOWN, OTHER, IPV6), baseline())
    assert kinds(comparison) == []
    assert (comparison.situation, comparison.exit_code) == ("as-expected", 0)
    assert comparison.causes_of(KNOWN.id)[0].id == "empty-list"
    assert comparison.causes[0].failed == 1


NEW = case("cluster.lists.other[ndr32]", check(OTHER_MUST), choices=("kept after a move",))
CHANGED = case("cluster.lists.empty[ndr64]", check(observed="ERROR_TIMEOUT (0x5B4)"))
FIXED = case("cluster.lists.empty[ndr64]", check(passed=True))


@pytest.mark.parametrize(
    ("cases", "expected", "code"),
    [
        ((KNOWN, NEW, IPV6), [("new", NEW.id)], 1),
        ((CHANGED, OTHER, IPV6), [("changed", CHANGED.id)], 1),
        ((case(KNOWN.id, check(note="NDR32 too")), OTHER, IPV6), [("changed", KNOWN.id)], 1),
        ((FIXED, OTHER, IPV6), [("fixed", FIXED.id)], 4),
        ((KNOWN, case(OTHER.id, skip="no controller"), IPV6), [("lost", OTHER.id)], 4),
        ((KNOWN, IPV6), [("lost", "cluster.lists.other")], 4),
        ((KNOWN, OTHER, case(IPV6.id, check(passed=True))), [("judged", IPV6.id)], 4),
        ((KNOWN, OTHER, case(IPV6.id, skip="no controller")), [("not-tested", IPV6.id)], 4),
        (
            (KNOWN, OTHER, IPV6, case("cluster.lists.more", skip="no share")),
            [("not-tested", "cluster.lists.more")],
            4,
        ),
        ((KNOWN, OTHER, IPV6, case("cluster.lists.more", check(passed=True))), [], 0),
        ((KNOWN, replace(OTHER, choices=()), IPV6), [("choice", OTHER.id)], 4),
        ((KNOWN, case(OTHER.id, check(passed=True), choices=("removed",)), IPV6), [("choice", OTHER.id)], 4),
        (
            (KNOWN, case(OTHER.id, check(SHOULD), choices=("kept after a move",)), IPV6),
            [("deviation", OTHER.id)],
            4,
        ),
        ((KNOWN, case(OTHER.id, error="controller failed"), IPV6), [("error", OTHER.id)], 3),
        (
            (case(KNOWN.id, check(passed=True), check(OTHER_MUST)), OTHER, IPV6),
            [("new", KNOWN.id), ("fixed", KNOWN.id)],
            1,
        ),
    ],
)
def test_each_difference_has_its_kind_and_exit_code(
    baseline: Callable[..., Baseline],
    cases: tuple[CaseResult, ...],
    expected: list[tuple[str, str]],
    code: int,
) -> None:
    comparison = compare(results(*cases), baseline())
    assert kinds(comparison) == expected
    assert comparison.exit_code == code


def test_run_that_tests_nearly_nothing_is_not_as_expected(baseline: Callable[..., Baseline]) -> None:
    nothing = [
        replace(each, outcome="not-tested", reason="no node answers", checks=()) for each in (KNOWN, OTHER)
    ]
    comparison = compare(results(*nothing, IPV6), baseline())
    assert {kind for kind, _ in kinds(comparison)} == {"lost"}
    assert comparison.exit_code == 3
    assert comparison.incomplete == "No case was judged."


def test_unfinished_case_fails_by_its_name(baseline: Callable[..., Baseline]) -> None:
    comparison = compare(results(KNOWN, IPV6, unfinished=(OTHER.id,)), baseline())
    assert kinds(comparison) == [("unfinished", OTHER.id)]
    assert comparison.exit_code == 3
    assert any(OTHER.id in line for line in plain_lines(comparison))


def test_incomplete_run_is_unusable_but_a_new_violation_counts(baseline: Callable[..., Baseline]) -> None:
    stopped = {"complete": False, "stopped": "terminated (SIGTERM)"}
    assert compare(results(KNOWN, OTHER, IPV6, **stopped), baseline()).exit_code == 3
    assert compare(results(KNOWN, NEW, IPV6, **stopped), baseline()).exit_code == 1


def test_fixed_and_judged_are_allowed_on_request(baseline: Callable[..., Baseline]) -> None:
    run = results(FIXED, OTHER, case(IPV6.id, check(passed=True)))
    assert compare(run, baseline()).exit_code == 4
    assert compare(run, baseline(), allow_fixed=True).exit_code == 0


def test_strict_makes_a_new_deviation_a_violation(baseline: Callable[..., Baseline]) -> None:
    run = results(KNOWN, case(OTHER.id, check(SHOULD), choices=("kept after a move",)), IPV6)
    assert compare(run, baseline(), strict=True).exit_code == 1
    assert compare(run, baseline(head='ignore = ["deviations"]')).exit_code == 0


def test_one_of_two_listed_observations_that_is_gone_is_fixed(baseline: Callable[..., Baseline]) -> None:
    causes = CAUSE.replace(
        '["ERROR_SUCCESS (0x0) (0 elements)"]', '["ERROR_SUCCESS (0x0) (0 elements)", "other"]'
    )
    comparison = compare(results(KNOWN, OTHER, IPV6), baseline(causes))
    assert [(each.kind, each.pinned) for each in comparison.differences] == [("fixed", ("other",))]
    varying = causes.replace(', "other"]', ']\nsometimes = ["other"]')
    assert compare(results(KNOWN, OTHER, IPV6), baseline(varying)).exit_code == 0


def test_glob_of_cases_is_fixed_when_no_case_shows_it(baseline: Callable[..., Baseline]) -> None:
    causes = CAUSE.replace("cluster.lists.empty[ndr64]", "cluster.lists.*")
    assert compare(results(KNOWN, OTHER, IPV6), baseline(causes)).exit_code == 0
    assert kinds(compare(results(FIXED, OTHER, IPV6), baseline(causes))) == [("fixed", "cluster.lists.*")]


def test_cause_whose_case_is_gone_is_lost(baseline: Callable[..., Baseline]) -> None:
    causes = CAUSE.replace("cluster.lists.empty[ndr64]", "cluster.lists.gone")
    picture = PICTURE.replace('"empty 1", ', "")
    comparison = compare(results(OTHER, IPV6), baseline(causes, picture))
    assert kinds(comparison) == [("lost", "cluster.lists.gone")]


def test_selected_part_of_the_suite_loses_nothing(baseline: Callable[..., Baseline]) -> None:
    comparison = compare(results(KNOWN, selection="-k empty"), baseline())
    assert (comparison.exit_code, comparison.partial) == (0, "-k empty")
    changed = compare(results(CHANGED, selection="-k empty"), baseline())
    assert changed.exit_code == 1
    (step,) = next_steps(changed, results="out/results.json")
    assert "run the part of the suite that the baseline has" in step
    assert "baseline update" not in step  # it would remove the causes of all other cases


def test_baseline_of_a_part_is_compared_whole_with_the_same_part(baseline: Callable[..., Baseline]) -> None:
    picture = PICTURE.replace('date = "2026', 'selection = "-k lists"\ndate = "2026')
    comparison = compare(results(KNOWN, IPV6, selection="-k lists"), baseline(picture=picture))
    assert kinds(comparison) == [("lost", "cluster.lists.other")]


# -- classes

FLAKY = CAUSE.replace('"known"', '"flaky"\nsince = 2026-11-01')
TODAY = dt.date(2026, 11, 28)


def test_flaky_entry_counts_failures_and_passes(baseline: Callable[..., Baseline]) -> None:
    runs = [results(KNOWN, OTHER, IPV6), results(FIXED, OTHER, IPV6), results(FIXED, OTHER, IPV6)]
    comparison = compare(runs, baseline(FLAKY), today=TODAY)
    assert comparison.exit_code == 0
    cause = comparison.causes[0]
    assert (cause.failed, cause.passed, cause.age_days) == (1, 2, 27)
    assert any("FLAKY empty-list: seen 1 time, not seen 2 times" in line for line in plain_lines(comparison))


def test_flaky_entry_with_another_observation_is_changed(baseline: Callable[..., Baseline]) -> None:
    assert kinds(compare(results(CHANGED, OTHER, IPV6), baseline(FLAKY))) == [("changed", CHANGED.id)]


def test_flaky_entry_goes_only_when_enough_runs_agree(baseline: Callable[..., Baseline]) -> None:
    clean = results(FIXED, OTHER, IPV6)
    assert compare([clean], baseline(FLAKY), draws=2).exit_code == 0
    assert compare([clean, clean], baseline(FLAKY), draws=2).exit_code == 4
    assert compare([clean, results(KNOWN, OTHER, IPV6)], baseline(FLAKY), draws=2).exit_code == 0


def test_old_flaky_entry_is_reported(baseline: Callable[..., Baseline]) -> None:
    run = results(KNOWN, OTHER, IPV6)
    assert compare(run, baseline(FLAKY), max_age=30, today=TODAY).notes == ()
    (note,) = compare(run, baseline(FLAKY), max_age=14, today=TODAY).notes
    assert "27 days old" in note


def test_flaky_error_is_counted(baseline: Callable[..., Baseline]) -> None:
    causes = FLAKY.replace('"SWN-3.1.4.1-empty-list"', '"error"').replace(
        "ERROR_SUCCESS (0x0) (0 elements)", "busy*"
    )
    run = results(case(KNOWN.id, error="busy: the controller failed"), OTHER, IPV6)
    assert compare(run, baseline(causes)).exit_code == 0
    assert compare(results(case(KNOWN.id, error="lost"), OTHER, IPV6), baseline(causes)).exit_code == 3


IMPOSSIBLE = """
[[cause]]
id = "no-second-address"
title = "This set-up has one address"
class = "impossible"
reason = "There is one interface."
[[cause.finding]]
cases = ["cluster.lists.*"]
"""


def test_impossible_cases_may_end_in_any_way_but_not_all_pass(baseline: Callable[..., Baseline]) -> None:
    made = baseline(IMPOSSIBLE, PICTURE.replace("[picture.choices.AMB-30]", "[picture.sometimes.AMB-30]"))
    failing = case(OTHER.id, check(OTHER_MUST, observed="anything"))
    assert compare(results(KNOWN, failing, IPV6), made).exit_code == 0
    assert compare(results(KNOWN, case(OTHER.id, skip="one address"), IPV6), made).exit_code == 0
    assert compare(results(KNOWN, case(OTHER.id, error="no route"), IPV6), made).exit_code == 0
    assert kinds(compare(results(FIXED, OTHER, IPV6), made)) == [("fixed", "cluster.lists.*")]


REQUIRED = """
[[cause]]
id = "moves-work"
title = "Moves work"
class = "required"
reason = "The release notes promise it."
[[cause.finding]]
cases = ["cluster.lists.other[ndr32]"]
"""


def test_required_case_must_be_judged_and_pass(baseline: Callable[..., Baseline]) -> None:
    made = baseline(CAUSE + REQUIRED)
    assert compare(results(KNOWN, OTHER, IPV6), made).exit_code == 0
    broken = compare(results(KNOWN, NEW, IPV6), made)
    assert ("required", OTHER.id) in kinds(broken)
    assert broken.exit_code == 1
    skipped = compare(results(KNOWN, case(OTHER.id, skip="no share"), IPV6), made)
    assert "it is required, and not tested: no share" in {each.reason for each in skipped.differences}
    assert skipped.exit_code == 4


def test_known_finding_does_not_excuse_a_required_requirement(baseline: Callable[..., Baseline]) -> None:
    required = REQUIRED.replace('cases = ["cluster.lists.other[ndr32]"]', f'requirement = "{MUST}"')
    comparison = compare(results(KNOWN, OTHER, IPV6), baseline(CAUSE + required))
    assert kinds(comparison) == [("required", KNOWN.id)]
    assert comparison.exit_code == 1


# -- more of the picture


def test_choice_of_every_case_may_be_seen_anywhere(baseline: Callable[..., Baseline]) -> None:
    picture = PICTURE.replace('["cluster.lists.other[ndr32]"]', '["*"]')
    assert compare(results(KNOWN, OTHER, IPV6), baseline(picture=picture)).exit_code == 0
    without = compare(results(KNOWN, replace(OTHER, choices=()), IPV6), baseline(picture=picture))
    assert kinds(without) == [("choice", "*")]


def test_other_checks_of_a_failing_case_are_compared(baseline: Callable[..., Baseline]) -> None:
    observations = (
        '\n[picture.observations]\n"cluster.lists.empty[ndr64]" = ["SWN-3.1.4.2-null-netname: 2 addresses"]\n'
    )
    picture = PICTURE.replace("\n[picture.judged]", f"{observations}\n[picture.judged]")

    def run(observed: str) -> Comparison:
        failing = case(KNOWN.id, check(), check(OTHER_MUST, passed=True, observed=observed, note=""))
        return compare(results(failing, OTHER, IPV6), baseline(picture=picture))

    assert run("2 addresses").exit_code == 0
    assert kinds(run("1 address")) == [("observation", KNOWN.id)]
    assert run("1 address").exit_code == 4


def test_record_that_differs_is_only_reported(baseline: Callable[..., Baseline]) -> None:
    recorded = case(
        OTHER.id, check(passed=True), check(OTHER_MUST, None, "a new text"), choices=("kept after a move",)
    )
    comparison = compare(results(KNOWN, recorded, IPV6), baseline())
    assert kinds(comparison) == [("record", OTHER.id)]
    assert comparison.exit_code == 0


def test_failed_case_without_a_failed_check_is_new(baseline: Callable[..., Baseline]) -> None:
    bare = replace(OTHER, outcome="failed", reason="checks were lost", checks=())
    assert kinds(compare(results(KNOWN, bare, IPV6), baseline())) == [("new", OTHER.id)]


def test_renamed_case_is_the_same_case(
    monkeypatch: pytest.MonkeyPatch, baseline: Callable[..., Baseline]
) -> None:
    monkeypatch.setattr(shipped, "renamed_cases", lambda: {"cluster.old.name": "cluster.lists.empty"})
    model.matches.cache_clear()
    for old in ("cluster.old.name[ndr64]", "cluster.old.*"):
        causes = CAUSE.replace("cluster.lists.empty[ndr64]", old)
        for name in (KNOWN.id, "cluster.old.name[ndr64]"):
            run = results(replace(KNOWN, id=name), OTHER, IPV6)
            assert compare(run, baseline(causes)).exit_code == 0
    model.matches.cache_clear()


def test_other_version_of_the_suite_is_said(baseline: Callable[..., Baseline]) -> None:
    run = replace(results(KNOWN, OTHER, IPV6), version="9.9")
    assert "written with swn-torture 0.1.0" in compare(run, baseline()).notes[0]


# -- as JSON


def test_comparison_is_part_of_the_results(baseline: Callable[..., Baseline]) -> None:
    run = results(KNOWN, NEW, IPV6)
    compared = run.compared(compare(run, baseline(FLAKY), today=TODAY))
    document = json.loads(json.dumps(compared.to_json()))
    jsonschema_rs.validate(results_schema(), document)
    assert document["baseline"]["exit_code"] == 1
    assert Results.from_json(document, run.catalogue).comparison == compared.comparison


def test_known_findings_are_apart_in_text_and_page(baseline: Callable[..., Baseline]) -> None:
    run = results(KNOWN, NEW, IPV6)
    compared = run.compared(compare(run, baseline()))
    lines = summary_lines(compared)
    assert f"FAILED {NEW.id}" in lines
    assert f"FAILED {KNOWN.id}" not in lines
    assert "KNOWN empty-list: An empty list is returned with success (1 case)" in lines
    page = render_html(compared)
    assert page.index(f'id="{anchor(NEW.id)}"') < page.index(
        '<details class="cause" id="cause-failed-empty-list">'
    )
    assert page.index('id="cause-failed-empty-list"') < page.index(f'id="{anchor(KNOWN.id)}"')
    assert "MS-SWN 3.1.4.1 says otherwise." in page
