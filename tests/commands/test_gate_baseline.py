"""``swn-torture gate samba --write-baseline``: what is written, and what is an error; without a lab.

The lab is not started. The suite runs two cases on the reference instead, which has a fault.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from swn_torture import lab
from swn_torture.baseline.read import load_baseline
from swn_torture.commands import gate_run
from swn_torture.commands.gate import command
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from click.testing import Result

VIOLATED = "rpc.register.wrong-version[ndr32-register-0x20000]"
OTHER = "rpc.register.null-name[ndr32-register-net_name]"
FAULT, OTHER_FAULT = "register-version-invalid-parameter", "register-takes-null-net-name"


class Machine:
    """A machine on which a gate starts no lab.

    Attributes:
        fault: of the server that the suite runs against.
        suite: what takes the place of a run; None for a run.
        started: the names of the labs that were started.
        ran: how many times the suite ran.
    """

    def __init__(self, directory: Path, run_suite: Callable[[Sequence[str]], int]) -> None:
        self.directory = directory
        self.fault = FAULT
        self.suite: Callable[[Path], int] | None = None
        self.started: list[str] = []
        self.ran = 0
        self._run_suite = run_suite

    def up(self, config: lab.LabConfig, *_: object) -> lab.Lab:
        """In place of `lab.up`."""
        self.started.append(config.name)
        return lab.Lab(config, "4.22.11-Debian", self.directory)

    def run_suite(self, argv: Sequence[str]) -> int:
        """In place of a run in the lab."""
        self.ran += 1
        words = list(argv)
        assert words[:3] == [sys.executable, "-m", "swn_torture"]
        report = self.directory / words[words.index("--report") + 1]
        if self.suite is not None:
            return self.suite(report)
        words[words.index("--target") + 1] = "reference"
        cases = ["-n", "0", "--case", VIOLATED, "--case", OTHER]
        return self._run_suite([*program(), *words[3:], "--fault", self.fault, *cases])

    def gate(self, *options: str) -> Result:
        """Call the gate."""
        return CliRunner().invoke(command, ["samba", "--report", str(self.directory / "out"), *options])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    made = Machine(tmp_path, gate_run._run_suite)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "down", lambda *_: False)
    monkeypatch.setattr(lab, "up", made.up)
    monkeypatch.setattr(gate_run, "run_directory", lambda name: tmp_path / name)
    monkeypatch.setattr(gate_run, "profile", lambda _: {"expect": {}})
    monkeypatch.setattr(gate_run, "_run_suite", made.run_suite)
    return made


def words(result: Result) -> str:
    """What was printed, on one line: click folds it."""
    return " ".join(result.output.split())


def test_written_baseline_is_true_of_the_same_build_and_not_of_a_worse_one(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.json").write_text("of an earlier run", encoding="utf-8")
    domain = ["--domain", "--no-ntlm"]
    written = machine.gate(*domain, "--write-baseline", "new/ours.toml")
    assert written.exit_code == 0, written.output
    assert "wrote new/ours.toml: 1 cause. For the changed build: --baseline new/ours.toml" in written.output
    assert "no baseline was written" not in written.output

    (cause,) = load_baseline(str(tmp_path / "new/ours.toml")).causes
    assert (cause.kind, [each.cases for each in cause.findings]) == ("known", [(VIOLATED,)])
    assert cause.reason.startswith("Nobody has looked for the reason yet: ")
    assert machine.gate(*domain, "--baseline", "new/ours.toml").exit_code == 0
    machine.fault = OTHER_FAULT
    assert machine.gate(*domain, "--baseline", "new/ours.toml").exit_code == 1
    assert machine.ran == 3


@pytest.mark.parametrize("others", [["--baseline", "samba-4.22"], ["--no-baseline"], ["--allow-fixed"]])
def test_option_that_compares_is_excluded(machine: Machine, others: list[str]) -> None:
    result = machine.gate("--write-baseline", "ours.toml", *others)
    assert result.exit_code == 2
    assert "It excludes --baseline, --no-baseline, --allow-fixed." in words(result)
    assert machine.started == []


def test_gate_in_a_domain_without_a_baseline_names_the_options(machine: Machine) -> None:
    result = machine.gate("--domain", "--no-ntlm")
    assert result.exit_code == 2
    for option in ("--write-baseline FILE", "--baseline FILE", "--no-baseline"):
        assert option in words(result)
    assert machine.started == []


@pytest.mark.parametrize(
    ("file", "mend"),
    [
        ("there.toml", "Give another name, or remove it. To compare with it, use --baseline there.toml."),
        ("there.toml/ours.toml", "(a part of that path is a file; choose another path)"),
        ("ours", "give the file a name that ends in .toml"),
        (f"{'x' * 260}.toml", "(the name is too long; choose a shorter one)"),
    ],
)
def test_file_that_cannot_be_written_is_found_before_the_lab_starts(
    machine: Machine, tmp_path: Path, file: str, mend: str
) -> None:
    (tmp_path / "there.toml").write_text("theirs", encoding="utf-8")
    result = machine.gate("--write-baseline", file)
    assert result.exit_code == 2
    assert mend in words(result)
    assert machine.started == []
    assert (tmp_path / "there.toml").read_text(encoding="utf-8") == "theirs"


def test_lab_that_does_not_start_leaves_no_file(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(*_: object) -> lab.Lab:
        raise lab.LabError("It lacks ctdb.")

    monkeypatch.setattr(lab, "up", up)
    result = machine.gate("--write-baseline", "ours.toml")
    assert result.exit_code == 3
    assert "gate: no baseline was written to ours.toml" in result.output
    assert not (tmp_path / "ours.toml").exists()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a run with a violation."""
    machine = Machine(tmp_path_factory.mktemp("run"), gate_run._run_suite)
    out = machine.directory / "out"
    python = [sys.executable, "-m", "swn_torture", "run", "--target", "-", "--report", str(out)]
    assert machine.run_suite(python) == 1
    found: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return found


def stopped(results: dict[str, Any]) -> None:
    results["run"].update(complete=False, stopped="the target no longer answers")


def with_error(results: dict[str, Any]) -> None:
    case = next(each for each in results["cases"] if each["id"] == OTHER)
    case.update(outcome="error", reason="the controller failed")


def not_ended(results: dict[str, Any]) -> None:
    results["cases"] = [each for each in results["cases"] if each["id"] != OTHER]
    results["run"]["unfinished"] = [OTHER]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (stopped, "A run that is not complete cannot be a baseline: the target no longer answers."),
        (with_error, f"1 case did not end, or ended in an error: {OTHER}."),
        (not_ended, f"1 case did not end, or ended in an error: {OTHER}."),
    ],
)
def test_run_with_a_violation_that_is_not_whole_is_no_baseline(
    machine: Machine,
    tmp_path: Path,
    results: dict[str, Any],
    change: Callable[[dict[str, Any]], None],
    why: str,
) -> None:
    changed = json.loads(json.dumps(results))
    change(changed)

    def suite(report: Path) -> int:
        (report / "results.json").write_text(json.dumps(changed), encoding="utf-8")
        return 1

    machine.suite = suite
    result = machine.gate("--write-baseline", "ours.toml")
    assert result.exit_code == 3, result.output
    assert why in words(result)
    assert "gate: no baseline was written to ours.toml" in result.output
    assert not (tmp_path / "ours.toml").exists()


@pytest.mark.parametrize(("code", "exits"), [(0, 3), (1, 3), (2, 2), (3, 3), (-9, 3)])
def test_results_of_an_earlier_run_are_no_baseline(
    machine: Machine, tmp_path: Path, results: dict[str, Any], code: int, exits: int
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.json").write_text(json.dumps(results), encoding="utf-8")
    machine.suite = lambda _: code
    result = machine.gate("--write-baseline", "ours.toml")
    assert result.exit_code == exits, result.output
    assert "gate: no baseline was written to ours.toml" in result.output
    assert not (tmp_path / "ours.toml").exists()
