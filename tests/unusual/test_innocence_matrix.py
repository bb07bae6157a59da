"""The evaluation of trials, made up and real; the sample; the page."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from swn_torture.trials import Job, Trial, run_jobs
from swn_torture.unusual.library import Unusual, load_unusual
from swn_torture.unusual.matrix.matrix import Alarm, Innocence, ServerResult
from swn_torture.unusual.matrix.page import page, problem_lines, summary
from swn_torture.unusual.matrix.trials import choose_sample
from tests.preloaded import python

TOOL = Path(__file__).parents[2] / "tools" / "innocence_matrix.py"

REFERENCE = Trial(
    "",
    {"a": "passed", "b": "passed"},
    judged={"a": ("RPC-ONE", "RPC-TWO"), "b": ("RPC-THREE",)},
    broken={"a": (), "b": ()},
)
CONFORMING = Unusual(name="odd", summary="It is odd.", conforms="No text forbids it.", area="limits")
WRONG = Unusual(name="odd=true", summary="It is wrong.", area="options", breaks=("RPC-ONE", "RPC-TWO"))


def result_of(
    outcomes: dict[str, str],
    broken: dict[str, tuple[str, ...]] | None = None,
    *,
    server: Unusual = CONFORMING,
    reasons: dict[str, str] | None = None,
    crashes: tuple[str, ...] = (),
    cut_short: str = "",
) -> ServerResult:
    """The result of a made-up trial."""
    found = {case: (broken or {}).get(case, ()) for case in outcomes}
    trial = Trial(
        server.name,
        outcomes,
        judged={case: ("RPC-ONE",) for case, outcome in outcomes.items() if outcome == "passed"},
        broken=found,
        reasons=reasons or {},
        crashes=crashes,
        cut_short=cut_short,
    )
    return ServerResult(server, trial, REFERENCE)


def test_server_without_findings_is_innocent() -> None:
    result = result_of({"a": "passed", "b": "not-tested"}, reasons={"b": "one node"})

    assert result.innocent
    assert not problem_lines(result)
    assert dict(result.outcomes) == {"passed": 1, "not-tested": 1}
    assert dict(result.why_not_tested) == {"one node": 1}
    assert result.not_judged == ("RPC-THREE", "RPC-TWO")


@pytest.mark.parametrize("outcome", ["failed", "deviation", "error"])
def test_finding_on_a_conforming_server_is_a_false_alarm(outcome: str) -> None:
    result = result_of({"a": outcome}, {"a": ("RPC-ONE",)}, reasons={"a": "it says"})

    assert result.alarms == (Alarm("a", outcome, ("RPC-ONE",), "it says"),)
    assert not result.innocent
    assert problem_lines(result) == [f"a: {outcome} (RPC-ONE): it says"]


def test_what_is_broken_on_purpose_must_be_found() -> None:
    found = result_of({"a": "failed", "b": "deviation"}, {"a": ("RPC-ONE",), "b": ("RPC-TWO",)}, server=WRONG)
    missed = result_of({"a": "failed", "b": "passed"}, {"a": ("RPC-ONE",)}, server=WRONG)

    assert found.innocent
    assert missed.not_found == ("RPC-TWO",)
    assert problem_lines(missed) == ["no case found RPC-TWO broken"]


def test_more_than_what_is_broken_on_purpose_is_a_false_alarm() -> None:
    result = result_of({"a": "failed"}, {"a": ("RPC-ONE", "RPC-TWO", "RPC-THREE")}, server=WRONG)

    assert result.alarms == (Alarm("a", "failed", ("RPC-THREE",), ""),)


def test_consequence_may_be_found_and_need_not_be() -> None:
    server = Unusual(name="late", summary="It is late.", breaks=("RPC-ONE",), consequences=("RPC-TWO",))
    with_it = result_of({"a": "failed"}, {"a": ("RPC-ONE", "RPC-TWO")}, server=server)
    without = result_of({"a": "failed"}, {"a": ("RPC-ONE",)}, server=server)

    assert with_it.innocent
    assert without.innocent


def test_error_is_a_false_alarm_whatever_is_broken() -> None:
    result = result_of({"a": "error"}, {"a": ("RPC-ONE", "RPC-TWO")}, server=WRONG)

    assert [alarm.outcome for alarm in result.alarms] == ["error"]


def test_failure_without_a_broken_requirement_is_a_false_alarm() -> None:
    result = result_of({"a": "failed", "b": "failed"}, {"b": WRONG.breaks}, server=WRONG)

    assert [alarm.case for alarm in result.alarms] == ["a"]


def test_server_that_crashes_or_was_not_run_is_not_innocent() -> None:
    assert not result_of({"a": "passed"}, crashes=("KeyError: 1",)).innocent
    assert not result_of({"a": "passed"}, cut_short="the time is up").innocent
    assert problem_lines(result_of({})) == ["not all cases ran: no case ran"]


def test_same_alarms_of_several_cases_are_one_line() -> None:
    result = result_of({"a": "error", "b": "error"}, reasons={"a": "no answer", "b": "no answer"})

    assert problem_lines(result) == ["a and 1 more: error: no answer"]


def matrix_of(*results: ServerResult) -> Innocence:
    """A matrix of the reference and these results."""
    return Innocence((ServerResult(None, REFERENCE, REFERENCE), *results), date="2026-01-31")


def test_matrix_names_servers_judged_wrongly() -> None:
    good, bad = result_of({"a": "passed"}), result_of({"a": "failed"}, {"a": ("RPC-ONE",)}, server=WRONG)
    matrix = matrix_of(good, bad)

    assert not matrix.as_expected
    assert [result.name for result in matrix.false_alarms] == ["odd=true"]
    assert summary(matrix)[-1] == "The suite judged 1 servers wrongly: odd=true."
    assert matrix_of(good).as_expected


def test_page_shows_servers_and_what_is_not_tested() -> None:
    text = page(matrix_of(result_of({"a": "passed", "b": "not-tested"}, reasons={"b": "a|b"})))

    assert "on 2026-01-31; do not edit" in text
    assert "Judged wrongly" not in text
    assert "| `odd` | It is odd. No text forbids it. | 1 | 1 |  |" in text
    assert "| `odd` | 2 | a\\|b (1) |" in text


def test_page_lists_false_alarms_first() -> None:
    text = page(matrix_of(result_of({"a": "failed"}, {"a": ("RPC-ONE",)}, reasons={"a": "it says"})))

    assert "## Judged wrongly\n\n- `odd`\n    - a: failed (RPC-ONE): it says\n" in text
    assert "| **judged wrongly** `odd` |" in text


def test_matrix_as_json() -> None:
    (reference, row) = matrix_of(result_of({"a": "error"}, reasons={"a": "no answer"})).to_json()["servers"]

    assert reference["name"] == "reference"
    assert reference["innocent"]
    assert row["alarms"] == [{"case": "a", "outcome": "error", "broken": [], "reason": "no answer"}]


def test_sample_follows_from_the_seed() -> None:
    servers = list(load_unusual().values())
    sample = choose_sample(servers, 5, "commit", ["two-nodes"])

    assert sample == choose_sample(servers, 5, "commit", ["two-nodes"])
    assert sample != choose_sample(servers, 5, "another commit", ["two-nodes"])
    assert len(sample) == 6
    assert "two-nodes" in [server.name for server in sample]
    assert not [server.name for server in sample if server.slow]
    assert len(choose_sample(servers[:3], 99, "", [])) == 3


def test_command_tries_one_server(tmp_path: Path) -> None:
    """In a process of its own, since it forks: a process with the threads of a test run must not."""
    path = tmp_path / "matrix.json"
    command = [python(), str(TOOL), "--only", "two-nodes", "--json", str(path)]
    command += ["--only", "empty_interface_list=success", "--requirement", "SWN-3.1.4.1-empty-list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(path.read_text(encoding="utf-8"))["servers"]
    assert [row["name"] for row in rows] == ["reference", "two-nodes", "empty_interface_list=success"]
    assert all(row["innocent"] for row in rows), rows
    assert rows[2]["outcomes"] == {"failed": 1}


def test_command_rejects_an_unknown_server() -> None:
    command = [python(), str(TOOL), "--only", "two-node"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert "Close matches: two-nodes" in done.stderr


def test_trial_that_has_a_result_is_not_run_again(tmp_path: Path) -> None:
    result = {"name": "a=b", "outcomes": {"x": "passed"}, "crashes": []}
    tables: dict[str, dict[str, list[str]]] = {"named": {"x": ["RPC-ONE"]}, "judged": {}, "broken": {}}
    (tmp_path / "a=b.json").write_text(json.dumps(result | tables), encoding="utf-8")
    loaded: list[int] = []

    (trial,) = run_jobs(
        [Job("a=b", (), 1.0)], processes=1, directory=tmp_path, preload=lambda: loaded.append(1)
    )
    assert not loaded
    assert trial.outcomes == {"x": "passed"}
    assert trial.named == {"x": ("RPC-ONE",)}


def test_slow_trials_start_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_trial(job: Job, path: Path) -> None:
        empty: dict[str, object] = {"named": {}, "judged": {}, "broken": {}}
        path.write_text(
            json.dumps({"name": job.name, "outcomes": {}, "crashes": [], **empty}), encoding="utf-8"
        )

    monkeypatch.setattr("swn_torture.trials._run_trial", run_trial)
    started: list[str] = []
    trials = run_jobs(
        [Job("a", (), 1.0), Job("b", (), 1.0, slow=True)],
        processes=1,
        directory=tmp_path,
        preload=lambda: None,
        on_trial=lambda trial: started.append(trial.name),
    )
    assert started == ["b", "a"]
    assert [trial.name for trial in trials] == ["a", "b"]


def test_parts_of_a_trial_are_joined() -> None:
    one = Trial("slow", {"a": "passed"}, {"a": ("X",)}, crashes=("late",), duration_s=3.0)
    two = Trial("slow", {"b": "failed"}, {"b": ("Y",)}, crashes=("late",), cut_short="time", duration_s=5.0)

    joined = Trial.joined([one, two])

    assert joined.outcomes == {"a": "passed", "b": "failed"}
    assert joined.named == {"a": ("X",), "b": ("Y",)}
    assert (joined.crashes, joined.cut_short, joined.duration_s) == (("late",), "time", 5.0)


def test_parts_of_a_slow_server_run_every_case(tmp_path: Path) -> None:
    requirement, path = "SWN-3.1.4.3-returns-success", tmp_path / "matrix.json"
    command = [python(), str(TOOL), "--only", "slow-events", "--requirement", requirement]
    done = subprocess.run(
        [*command, "--json", str(path)], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr
    reference, slow = json.loads(path.read_text(encoding="utf-8"))["servers"]
    assert (slow["name"], slow["cut_short"]) == ("slow-events", "")
    assert slow["outcomes"] == reference["outcomes"]
