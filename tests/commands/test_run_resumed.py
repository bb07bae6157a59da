"""A run that is killed, interrupted or out of disk space leaves a valid report; --resume goes on from it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.harness.resume import kept_of, stopped_run
from swn_torture.report.journal import Journal, read_content
from swn_torture.report.model import LOST
from swn_torture.spec import load_catalogue
from tests.examples import one_in
from tests.preloaded import process_of, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

#: Some dozen cases of a second in all.
SELECT = ("-k", "wrong-version")


def run_words(report: Path, *more: str) -> list[str]:
    return ["run", "--target", "reference", *SELECT, "--report", str(report), *more]


def run_command(report: Path, *more: str) -> list[str]:
    return [*program(), *run_words(report, *more)]


def resumed(report: Path, journal: Path, processes: str = "0") -> subprocess.CompletedProcess[str]:
    """A run that goes on from a journal."""
    command = run_command(report, "-n", processes, "--resume", str(journal))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def ended(journal: Path) -> int:
    """The number of cases in a journal that a run writes at this moment."""
    return journal.read_text(encoding="utf-8").count('{"case":') if journal.exists() else 0


def results(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((report / "results.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the same run without a disturbance."""
    report = tmp_path_factory.mktemp("whole")
    subprocess.run(run_command(report, "-n", "0"), check=True, capture_output=True)
    return report


@pytest.mark.parametrize("processes", one_in(2, ["2", "0"]))
def test_a_killed_run_goes_on_from_its_journal(
    swn_torture: Command, whole: Path, tmp_path: Path, processes: str
) -> None:
    report = tmp_path / "report"
    journal = report / "journal.jsonl"
    with subprocess.Popen(
        run_command(report, "-n", processes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while ended(journal) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process_of(process.pid), signal.SIGKILL)
    before = read_content(journal)
    assert not before.run.complete
    kept = {case.id for case in before.cases}
    shown = swn_torture("report", str(journal), "--json", str(tmp_path / "early.json"))
    assert shown.returncode == 0, shown.stderr
    early = json.loads((tmp_path / "early.json").read_text(encoding="utf-8"))
    assert early["run"]["complete"] is False
    assert early["summary"]["verdict"] == "undecided"

    done = subprocess.run(
        run_command(report, "-n", processes, "--resume", str(journal)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"Going on from the run of {before.run.started}: {len(kept)} results kept" in done.stderr
    found = results(report)
    assert {case["id"] for case in found["cases"]} == {case["id"] for case in results(whole)["cases"]}
    assert found["run"]["complete"] is True
    assert found["run"]["resumes"] == before.run.started
    now = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert not kept & {line["start"] for line in now if "start" in line}


def test_ctrl_c_leaves_a_report_that_is_not_complete(tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = ["env", "--default-signal=INT", *run_command(report, "-n", "2")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not ended(report / "journal.jsonl"):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 3
    found = results(report)
    assert found["run"]["complete"] is False
    assert found["run"]["stopped"]
    assert found["cases"]
    assert "not complete" in (report / "index.html").read_text(encoding="utf-8")
    assert not read_content(report / "journal.jsonl").run.complete


def test_a_lost_target_leaves_a_report_that_is_not_complete(tmp_path: Path) -> None:
    profile, report = tmp_path / "ref.toml", tmp_path / "report"
    serve = [*program(), "serve", "--write-profile", str(profile)]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 60
        while not (profile.is_file() and profile.read_text(encoding="utf-8").endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        command = [*run_command(report, "-n", "0"), "--target", str(profile)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while ended(report / "journal.jsonl") < 3:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.01)
            server.kill()
            assert process.wait(120) == 3
    found = results(report)
    assert found["run"]["complete"] is False
    assert found["run"]["stopped"].lower().startswith(LOST)
    assert found["summary"]["verdict"] == "undecided"
    content = read_content(report / "journal.jsonl")
    kept = kept_of(stopped_run(report / "journal.jsonl"), content.target, content.run.selection)
    assert {case.outcome for case in kept.cases} == {"passed"}
    assert {case.id for case in content.cases} == {case.id for case in kept.cases} | set(kept.again)


def test_a_full_disk_leaves_a_journal_that_can_be_resumed(whole: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    size = (whole / "journal.jsonl").stat().st_size // 2

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [sys.executable, "-m", "swn_torture", *run_words(report, "-n", "0")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 3, done.stderr
    assert "Cannot write to the journal" in done.stderr
    assert "Cannot write the JSON results" in done.stderr
    assert not (report / "results.json").exists()
    content = read_content(report / "journal.jsonl")
    assert not content.run.complete
    assert content.cases
    again = resumed(report, report / "journal.jsonl")
    assert again.returncode == 0, again.stderr
    assert results(report)["run"]["complete"] is True


def test_errors_run_again_and_a_finished_selection_is_written(
    swn_torture: Command, whole: Path, tmp_path: Path
) -> None:
    """A journal with every case: one error is repeated; without one, no case is left, and the report is."""
    content = read_content(whole / "journal.jsonl")
    for outcome in ("error", "passed"):
        path = tmp_path / f"{outcome}.jsonl"
        with Journal(path, content.run, content.target, load_catalogue()) as journal:
            for number, case in enumerate(content.cases):
                data = case.to_json() | ({"outcome": outcome, "reason": "Lost."} if number == 0 else {})
                journal.add(type(case).from_json(data))
        report = tmp_path / outcome
        done = resumed(report, path)
        assert done.returncode == 0, done.stderr
        assert ("1 case of them again" in done.stderr) == (outcome == "error")
        assert len(results(report)["cases"]) == len(content.cases)


def test_another_run_is_not_resumed(swn_torture: Command, whole: Path, tmp_path: Path) -> None:
    journal = whole / "journal.jsonl"
    complete = swn_torture("run", *SELECT, "-n", "0", "--resume", str(journal))
    assert complete.returncode == 2
    assert "nothing to resume" in " ".join(complete.stderr.split())
    text = journal.read_text(encoding="utf-8").rsplit("\n", 2)[0] + "\n"
    path = tmp_path / "journal.jsonl"
    path.write_text(text, encoding="utf-8")
    for options, says in (
        (("-k", "null-name"), "the selected cases of that run: -k wrong-version; of this one: -k null-name"),
        (
            (*SELECT, "--fault", "any-net-name-taken"),
            "the fault of that run: none; of this one: any-net-name",
        ),
    ):
        other = swn_torture("run", *options, "-n", "0", "--resume", str(path))
        assert other.returncode == 2
        assert says in " ".join(other.stderr.split())
    missing = swn_torture("run", *SELECT, "--resume", str(tmp_path / "none.jsonl"))
    assert missing.returncode == 2
    assert "Cannot read" in missing.stderr
    assert "First look" not in missing.stderr + complete.stderr
    wrong = swn_torture("run", *SELECT, "--resume", str(whole / "results.json"))
    assert wrong.returncode == 2
    assert "Cannot resume" in wrong.stderr
