"""``run --baseline``, ``pytest --swn-baseline`` and ``baseline``, on the reference: every exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.shipped import fixtures_directory
from tests.examples import one_in
from tests.preloaded import plain_pytest, process_of, program

if TYPE_CHECKING:
    from collections.abc import Callable

#: A case of each kind: violated by FAULT, violated by OTHER_FAULT, and one that needs a variant.
VERSION = "rpc.register.wrong-version[ndr32-register-0x20000]"
NULL_NAME = "rpc.register.null-name[ndr32-register-net_name]"
FULL = "rpc.register-ex.server-is-full[register]"
SELECTED = [word for name in (VERSION, NULL_NAME, FULL) for word in ("--case", name)]

FAULT = "register-version-invalid-parameter"
OTHER_FAULT = "register-takes-null-net-name"
#: Violates the requirement of FAULT in the same case, and answers with another code.
CHANGED = "register-takes-version2"


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference without its variants: cases that need one are not tested."""
    text = (fixtures_directory() / "profiles" / "reference.toml").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("profile") / "few.toml"
    path.write_text(text[: text.index("[variants.")], encoding="utf-8")
    return path


#: A baseline of the reference with FAULT, for the three cases.
TEXT = f"""
schema = "swn-torture-baseline/2"
ignore = ["choices", "records"]

[[cause]]
id = "wrong-code"
title = "A wrong Version has another code"
class = "known"
reason = "The fault of this test."

[[cause.finding]]
requirement = "SWN-3.1.4.2-version-mismatch"
cases = ["{VERSION}"]
observed = ["ERROR_INVALID_PARAMETER (0x57)"]

[picture]
selection = "{", ".join(f"--case {name}" for name in (VERSION, NULL_NAME, FULL))}"

[picture.judged]
"rpc.register" = ["null-name 1", "wrong-version 1"]
"rpc.register-ex" = ["server-is-full 1"]
"""


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "faulty.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_update_writes_a_baseline_that_needs_reasons_and_is_then_true(
    tmp_path: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path, found = tmp_path / "faulty.toml", tmp_path / "results.json"
    made = swn_torture("run", "-n", "0", *SELECTED, "--fault", FAULT, "--json", str(found))
    assert made.returncode == 1, made.stderr
    updated = swn_torture("baseline", "update", str(found), str(path))
    assert updated.returncode == 0, updated.stderr
    assert "new, without a reason: new-swn-3-1-4-2-version-mismatch" in updated.stdout
    refused = swn_torture("baseline", "check", str(found), str(path))
    assert refused.returncode == 2
    assert "the reason is empty" in refused.stderr
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('reason = ""', 'reason = "The fault of this test."'), encoding="utf-8")
    assert swn_torture("baseline", "check", str(found), str(path)).returncode == 0
    again = swn_torture("baseline", "update", str(found), str(path), "--json")
    assert json.loads(again.stdout) == {
        "baseline": str(path),
        "added": [],
        "removed": [],
        "kept": [],
        "notes": [],
    }


def run(
    call: Callable[..., subprocess.CompletedProcess[str]], baseline: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    return call("run", "-n", "0", *SELECTED, "--baseline", str(baseline), *options)


def test_known_violation_is_as_expected_and_grouped_by_cause(
    baseline: Path, tmp_path: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    page, data = tmp_path / "page.html", tmp_path / "results.json"
    answer = run(swn_torture, baseline, "--fault", FAULT, "--html", str(page), "--json", str(data))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"FAILED {VERSION}" not in answer.stdout
    assert "KNOWN wrong-code: " in answer.stdout
    assert answer.stdout.endswith("nothing is new, fixed or lost.\nExit code 0: as expected.\n")
    html = page.read_text(encoding="utf-8")
    assert '<details class="cause" id="cause-failed-wrong-code">' in html
    assert "The fault of this test." in html
    compared = json.loads(data.read_text(encoding="utf-8"))["baseline"]
    assert (compared["situation"], compared["exit_code"]) == ("as-expected", 0)
    assert compared["explained"][0]["cause"] == "wrong-code"


def test_another_fault_is_new_and_the_first_is_fixed(
    baseline: Path, tmp_path: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    data = tmp_path / "results.json"
    answer = run(swn_torture, baseline, "--fault", OTHER_FAULT, "--json", str(data))
    assert answer.returncode == 1
    assert f"NEW {NULL_NAME}: " in answer.stdout
    assert f"FIXED {VERSION}: " in answer.stdout
    assert f"`swn-torture baseline update {data} {baseline}`" in answer.stdout
    assert answer.stdout.endswith("Exit code 1: new violation.\n")


def test_other_observation_of_the_same_case_is_changed(
    baseline: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    answer = run(swn_torture, baseline, "--fault", CHANGED)
    assert answer.returncode == 1
    assert f"CHANGED {VERSION}: SWN-3.1.4.2-version-mismatch: observed: " in answer.stdout
    assert "the baseline has: ERROR_INVALID_PARAMETER (0x57) (cause wrong-code)" in answer.stdout


def test_fault_that_is_gone_is_fixed(
    baseline: Path, tmp_path: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    data = tmp_path / "results.json"
    answer = run(swn_torture, baseline, "--json", str(data))
    assert answer.returncode == 4
    assert f"FIXED {VERSION}: " in answer.stdout
    assert "With --allow-fixed it does not fail." in answer.stdout
    assert swn_torture("baseline", "check", str(data), str(baseline), "--allow-fixed").returncode == 0
    machine = swn_torture("baseline", "check", str(data), str(baseline), "--json")
    assert machine.returncode == 4
    assert [each["kind"] for each in json.loads(machine.stdout)["differences"]] == ["fixed"]


def test_case_that_is_no_longer_tested_is_lost(
    baseline: Path, profile: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    answer = run(swn_torture, baseline, "--fault", FAULT, "--target", str(profile))
    assert answer.returncode == 4
    assert f"LOST {FULL}: needs the variant 'full' of the target" in answer.stdout
    assert "restore what the lost cases need" in answer.stdout


def test_wrong_baseline_is_a_usage_error_before_the_run(
    tmp_path: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    answer = swn_torture("run", "--baseline", "samba-3")
    assert answer.returncode == 2
    assert "Unknown baseline 'samba-3'" in answer.stderr
    path = tmp_path / "wrong.toml"
    path.write_text('schema = "swn-torture-baseline/2"\n[picture]\n[[cause]]\nid = "a"\n', encoding="utf-8")
    answer = swn_torture("run", "--baseline", str(path))
    assert answer.returncode == 2
    assert "line 3, cause 'a': the key 'title' is missing" in " ".join(answer.stderr.split())


def test_target_that_cannot_be_used_is_not_a_difference(
    baseline: Path, tmp_path: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = tmp_path / "nowhere.toml"
    path.write_text(
        'schema = "swn-torture-target/1"\nname = "nowhere"\nnet_name = "X"\n[account]\nusername = "u"\n'
        'password = "p"\n[[node]]\nname = "n"\naddress = "127.0.0.1"\nendpoint_mapper_port = 1\n',
        encoding="utf-8",
    )
    assert run(swn_torture, baseline, "--target", str(path)).returncode == 3


# -- pytest


@pytest.mark.parametrize("processes", one_in(2, ["0", "2"]))
def test_pytest_has_the_exit_status_of_the_comparison(baseline: Path, tmp_path: Path, processes: str) -> None:
    cases = [f"--swn-case={case}" for case in (VERSION, NULL_NAME, FULL)]
    command = [*plain_pytest(), "--pyargs", "swn_torture", "-c", os.devnull, *cases]
    command += [
        "-p",
        "no:cacheprovider",
        "-n",
        processes,
        f"--swn-baseline={baseline}",
        "--swn-target=reference",
    ]

    def status(*options: str) -> tuple[int, str]:
        answer = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120
        )
        return answer.returncode, answer.stdout

    code, output = status(f"--swn-fault={FAULT}")
    assert code == 0, output
    assert "Exit code 0: as expected." in output
    assert status(f"--swn-fault={OTHER_FAULT}")[0] == 1


def test_pytest_refuses_a_wrong_baseline(tmp_path: Path) -> None:
    command = [*plain_pytest(), "--pyargs", "swn_torture", "-c", os.devnull]
    command += ["-p", "no:cacheprovider", "--swn-baseline=samba-3"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert answer.returncode == 4
    assert "Unknown baseline 'samba-3'" in answer.stderr


# -- runs that stop

#: A case that takes seconds on the reference.
LONG = "cluster.unused-registrations.idle-registrations-are-removed"


def started(journal: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the journal says that the long case was started."""
    deadline = time.monotonic() + 60
    while not (journal.is_file() and f'{{"start":"{LONG}"}}' in journal.read_text(encoding="utf-8")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers(process: subprocess.Popen[str]) -> list[int]:
    """The processes of pytest-xdist that a run has started."""
    run = process_of(process.pid)
    path = Path(f"/proc/{run}/task/{run}/children")
    return [int(word) for word in path.read_text(encoding="utf-8").split()]


def stopped_run(
    baseline: Path, report: Path, stop: Callable[[subprocess.Popen[str]], Any]
) -> tuple[int, str]:
    command = [*program(), "run", "-n", "1", "--report", str(report)]
    command += ["--case", VERSION, "--case", LONG, "--fault", FAULT, "--baseline", str(baseline)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        started(report / "journal.jsonl", process)
        stop(process)
        output, _ = process.communicate(timeout=90)
    return process.returncode, output


def test_terminated_run_names_the_case_that_did_not_end(baseline: Path, tmp_path: Path) -> None:
    code, output = stopped_run(
        baseline, tmp_path / "out", lambda process: process.send_signal(signal.SIGTERM)
    )
    assert code == 3, output
    assert f"UNFINISHED {LONG}: it was started and did not end" in output
    assert "the run is not complete: terminated" in output


def test_case_whose_process_died_is_not_finished(
    baseline: Path, tmp_path: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    def kill(process: subprocess.Popen[str]) -> None:
        for worker in workers(process):
            os.kill(worker, signal.SIGKILL)

    code, output = stopped_run(baseline, tmp_path / "out", kill)
    assert code == 3, output
    assert f"UNFINISHED {LONG}: it was started and did not end" in output
    check = swn_torture("baseline", "check", str(tmp_path / "out" / "results.json"), str(baseline))
    assert check.returncode == 3


def test_journal_of_a_killed_run_names_the_case_that_did_not_end(
    baseline: Path, tmp_path: Path, swn_torture: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    def kill(process: subprocess.Popen[str]) -> None:
        for one in (*workers(process), process_of(process.pid)):
            os.kill(one, signal.SIGKILL)

    stopped_run(baseline, tmp_path / "out", kill)
    check = swn_torture("baseline", "check", str(tmp_path / "out" / "journal.jsonl"), str(baseline))
    assert check.returncode == 3
    assert f"UNFINISHED {LONG}" in check.stdout


# -- show


def test_show_lists_and_explains(swn_torture: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert "samba-4.22" in swn_torture("baseline", "show").stdout
    assert "known      no-ip-change: " in swn_torture("baseline", "show", "samba-4.22").stdout
    one = swn_torture("baseline", "show", "samba-4.22", "no-ip-change").stdout
    assert "MS-SWN 3.1.6.4" in one
    machine = json.loads(swn_torture("baseline", "show", "samba-4.22", "no-ip-change", "--json").stdout)
    assert [cause["id"] for cause in machine["causes"]] == ["no-ip-change"]
    wrong = swn_torture("baseline", "show", "samba-4.22", "no-ip-chang")
    assert wrong.returncode == 2
    assert "Close matches: no-ip-change" in " ".join(wrong.stderr.split())
