"""The ladder of a run: a verdict on each rung, the reasons, and the finding to mend next."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import TYPE_CHECKING

import jsonschema_rs

from swn_torture.harness.case_map import collect_cases
from swn_torture.report.html import anchor, render_html
from swn_torture.report.json_report import render_json, results_schema
from swn_torture.report.ladder import climb, ladder_lines, next_line, says
from swn_torture.report.model import CaseResult, Check, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.report.text import summary_lines
from swn_torture.report.verdict import decide_outcome, strictest
from swn_torture.spec import load_catalogue
from swn_torture.spec.rungs import RUNGS, rung_of_case

if TYPE_CHECKING:
    from swn_torture.report.ladder import Ladder

CATALOGUE = load_catalogue()
OPNUM_1 = "SWN-3.1.4-opnum-1"
NULL_NAME = "SWN-3.1.4.2-null-netname"
LIST = "SWN-3.1.4.1-returns-success"


def case(id_: str, *checks: Check, because: str = "", found_by: str = "", reason: str = "") -> CaseResult:
    """The result of a case of the suite."""
    info = collect_cases()[id_]
    outcome, why = decide_outcome(checks, CATALOGUE, skip_reason=reason or None)
    return CaseResult(
        id_, info.title, info.suite, info.requirements, strictest(info.requirements, CATALOGUE), outcome, why,
        checks=checks, because=because, found_by=found_by,
        rung=rung_of_case(id_, info.requirements, info.needs).id,
    )  # fmt: skip


def good(id_: str) -> CaseResult:
    return case(id_, Check(collect_cases()[id_].requirements[0], passed=True, expected=("x",), observed="x"))


def bad(id_: str, requirement: str) -> CaseResult:
    return case(id_, Check(requirement, passed=False, expected=("x",), observed="y"))


def blocked(id_: str, requirement: str, found_by: str) -> CaseResult:
    return case(id_, because=requirement, found_by=found_by, reason=f"not tested because of {requirement}")


def of(*cases: CaseResult) -> Ladder:
    return climb(cases, CATALOGUE)


LISTED = good("rpc.get-interface-list.list-is-returned[ndr32]")
NO_REGISTER = bad("rpc.opnums.opnum[ndr32-1]", OPNUM_1)
WAITS = [
    blocked("cluster.keep-alive.zero", OPNUM_1, NO_REGISTER.id),
    blocked("cluster.keep-alive.timeout-starts-with-the-call", OPNUM_1, NO_REGISTER.id),
]
NULL = bad("rpc.register.null-name[ndr32-register-net_name]", NULL_NAME)


def test_rungs_have_their_verdicts() -> None:
    ladder = of(LISTED, NO_REGISTER, *WAITS)
    verdicts = {each.rung: each.verdict for each in ladder.rungs if each.verdict != "not-run"}
    assert verdicts == {
        "reachable": "conforms",
        "interface-list": "conforms",
        "register": "violated",
        "async-notify": "not-tested",
    }
    assert ladder.reached == "interface-list"


def test_untested_rung_names_the_finding_below() -> None:
    ladder = of(LISTED, NO_REGISTER, *WAITS)
    rung = ladder["async-notify"]
    assert (rung.because, rung.found_by, rung.untested) == (OPNUM_1, NO_REGISTER.id, 2)
    assert says(rung, ladder) == f"not tested because of {OPNUM_1} (Register)"


def test_next_is_the_finding_that_unlocks_most() -> None:
    others = [bad(f"rpc.names.client-name[ndr32-register-{name}]", LIST) for name in ("short", "longest")]
    ladder = of(*others, NULL, NO_REGISTER, *WAITS)
    assert ladder.next is not None
    assert (ladder.next.requirement, ladder.next.unlocks) == (OPNUM_1, 2)
    assert ladder.next.case == NO_REGISTER.id
    assert "2 cases depend on it" in next_line(ladder.next, CATALOGUE)


def test_next_is_on_the_lowest_rung_if_nothing_depends() -> None:
    ladder = of(NULL, bad("rpc.get-interface-list.list-is-returned[ndr32]", LIST))
    assert ladder.next is not None
    assert (ladder.next.requirement, ladder.next.rung) == (LIST, "interface-list")


def test_no_next_without_a_violation() -> None:
    ladder = of(LISTED, case("cluster.keep-alive.zero", reason="the profile has nothing"))
    assert ladder.next is None
    assert ladder["async-notify"].verdict == "not-tested"
    assert ladder["async-notify"].reason == "the profile has nothing"


def test_finding_counts_on_the_rung_of_its_requirement() -> None:
    move = bad("cluster.client-move.answer[ndr32]", LIST)
    ladder = of(move)
    assert ladder["interface-list"].violated == (LIST,)
    assert ladder["moves"].verdict == "conforms"  # the case was judged, and nothing of this rung is violated


def test_finding_on_every_method_counts_on_the_lowest_rung_that_has_it() -> None:
    code = "SWN-1.8-win32-codes"
    ladder = of(LISTED, bad("cluster.client-move.answer[ndr32]", code), bad(NULL.id, code))
    assert ladder["register"].violated == (code,)
    assert ladder["interface-list"].verdict == "conforms"


def test_order_of_cases_does_not_matter() -> None:
    cases = [LISTED, NO_REGISTER, NULL, *WAITS]
    shuffled = random.Random(1).sample(cases, len(cases))
    assert of(*cases) == of(*shuffled)


def test_rung_of_the_result_counts_if_it_names_one() -> None:
    moved = dataclasses.replace(LISTED, rung="several-nodes")
    assert of(moved)["several-nodes"].verdict == "conforms"
    assert of(moved)["interface-list"].verdict == "not-run"


def test_nothing_reached_without_an_answer() -> None:
    lost = case("rpc.bind.no-contexts", reason="the target stopped answering")
    rung = of(lost)["reachable"]
    assert (rung.verdict, rung.reason) == ("not-tested", "the target stopped answering")


def test_every_rung_of_a_run_has_a_line() -> None:
    every = [good(id_) for id_, info in collect_cases().items() if info.requirements]
    lines = ladder_lines(of(*every), CATALOGUE)
    assert len(lines) == len(RUNGS)
    assert all("no violation" in line or "yes" in line for line in lines)


def test_summary_shows_the_ladder_of_several_rungs() -> None:
    run = Run("2026-01-01T00:00:00+00:00")
    several = Results.of_run(run, TargetInfo("t"), [LISTED, NO_REGISTER, *WAITS], CATALOGUE)
    text = "\n".join(summary_lines(several))
    assert "Ladder:" in text
    assert f"Next: {OPNUM_1}" in text
    one = Results.of_run(run, TargetInfo("t"), [LISTED], CATALOGUE)
    assert "Ladder:" not in "\n".join(summary_lines(one))


def test_page_begins_with_the_ladder() -> None:
    results = Results.of_run(
        Run("2026-01-01T00:00:00+00:00"), TargetInfo("t"), [LISTED, NO_REGISTER, *WAITS], CATALOGUE
    )
    page = render_html(results)
    ladder = page.index('<nav class="ladder"')
    assert ladder < page.index('<nav class="violated"')
    assert f"not tested because of {OPNUM_1} (Register)" in page
    assert f'<a href="#{anchor(NO_REGISTER.id)}">Next: {OPNUM_1}' in page


def test_results_hold_the_ladder() -> None:
    results = Results.of_run(
        Run("2026-01-01T00:00:00+00:00"), TargetInfo("t"), [LISTED, NO_REGISTER, *WAITS], CATALOGUE
    )
    data = json.loads(render_json(results))
    jsonschema_rs.validate(results_schema(), data)
    assert [each["rung"] for each in data["ladder"]["rungs"]] == [rung.id for rung in RUNGS]
    assert data["ladder"]["next"] == {
        "requirement": OPNUM_1,
        "rung": "register",
        "case": NO_REGISTER.id,
        "unlocks": 2,
    }
