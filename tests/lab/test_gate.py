"""`swn-torture gate samba`: its command line without a lab, and whole gates with a few cases in a lab."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from filelock import FileLock

from swn_torture import lab
from swn_torture.baseline.read import baseline_path, shipped_baselines
from swn_torture.commands import gate_run
from swn_torture.commands.errors import CommandError
from swn_torture.commands.gate import command
from swn_torture.commands.gate_run import fitting_baseline, report_name
from swn_torture.lab.config import run_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KNOWN = "lower-minor-version"
"""A short case that Samba fails, for a cause in the shipped baselines."""

WORDS = [sys.executable, "-m", "swn_torture", "gate", "samba", "--nodes", "1"]


def words(text: str) -> str:
    """A text on one line: click folds it."""
    return " ".join(text.split())


# Without a lab


@pytest.fixture
def no_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A machine on which nothing is started; the names of the labs that were."""
    started: list[str] = []
    monkeypatch.setattr(lab, "down", lambda *_: False)
    monkeypatch.setattr(lab, "up", lambda config, *_: started.append(config.name))
    monkeypatch.setattr(gate_run, "run_directory", lambda name: tmp_path / name)
    return started


def test_baseline_is_chosen_by_version() -> None:
    assert "samba-4.22" in shipped_baselines()
    assert fitting_baseline("4.22.99-Debian-4.22.99") == "samba-4.22"
    with pytest.raises(
        CommandError, match=r"No baseline is shipped for Samba 4\.2\.1; there are: .*samba-4\.22"
    ):
        fitting_baseline("4.2.1")
    with pytest.raises(CommandError, match="No baseline is shipped for Samba devel"):
        fitting_baseline("devel")


def test_target_is_named_after_its_version(tmp_path: Path) -> None:
    assert report_name(lab.Lab(lab.LabConfig(), "4.25.1-Debian", tmp_path)) == "samba-4.25"
    assert report_name(lab.Lab(lab.LabConfig(nodes=2), "4.25.1", tmp_path)) == "samba-4.25-2-nodes"
    in_domain = lab.LabConfig(in_domain=True)
    assert report_name(lab.Lab(in_domain, "4.22.11", tmp_path)) == "samba-4.22-domain"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--baseline", "samba-9.99"], "samba-9.99"),
        (["--baseline", "samba-4.22", "--no-baseline"], "--no-baseline excludes --baseline"),
        (["--samba", "/nonexistent"], "There is no directory /nonexistent."),
        (["--release", "bookworm"], "Unknown release 'bookworm'"),
        (["--smb-conf", __file__], "must begin with the section of its settings, such as [global]"),
    ],
)
def test_mistake_is_found_before_the_lab_starts(
    no_lab: list[str], tmp_path: Path, options: list[str], problem: str
) -> None:
    result = CliRunner().invoke(command, ["samba", "--report", str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert problem in words(result.output)
    assert no_lab == []


def test_second_gate_of_one_name_is_refused(no_lab: list[str], tmp_path: Path) -> None:
    with FileLock(tmp_path / "gate.gate"):
        result = CliRunner().invoke(command, ["samba", "--report", str(tmp_path / "out")])
    assert result.exit_code == 3
    assert "Another gate uses the lab 'gate' on this machine." in words(result.output)
    assert no_lab == []


def test_lab_that_does_not_start_is_a_target_that_cannot_be_used(
    no_lab: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(*_: object) -> lab.Lab:
        raise lab.LabError("It lacks ctdb.")

    monkeypatch.setattr(lab, "up", up)
    result = CliRunner().invoke(command, ["samba", "--report", str(tmp_path / "out")])
    assert result.exit_code == 3
    assert result.output == "swn-torture: It lacks ctdb.\n"


# In a lab


@pytest.fixture
def gate_name(lab_host: None, lab_name: str) -> Iterator[str]:
    """The name of the lab of a gate; it is removed if the gate failed to do so."""
    name = f"{lab_name}gate"
    yield name
    lab.down(name)


@contextmanager
def gate(name: str, report: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    argv = [*WORDS, "--name", name, "--report", str(report), *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.lab
def test_gate_compares_with_the_baseline_of_the_version(gate_name: str, tmp_path: Path) -> None:
    run_directory(gate_name).mkdir(parents=True)  # as a gate leaves it that was killed
    with gate(gate_name, tmp_path / "out", "-k", KNOWN) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert "removing the lab" in err.splitlines()[0]
    assert "comparing with the baseline samba-4.22" in err
    assert out.rstrip().endswith("as expected.")
    assert lab.status(gate_name).state == "down"
    results = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert results["target"]["name"] == "samba-4.22-1-nodes"
    assert results["target"]["facts"]["build ids"].startswith("rpcd_witness ")


@pytest.mark.lab
def test_violation_that_is_not_listed_fails_the_gate(gate_name: str, tmp_path: Path) -> None:
    listed = baseline_path("samba-4.22").read_text(encoding="utf-8")
    other = listed.replace("(interface version 1.0)", "(interface version 0.9)")
    assert other != listed
    (tmp_path / "ours.toml").write_text(other, encoding="utf-8")
    with gate(gate_name, tmp_path / "out", "-k", KNOWN, "--baseline", str(tmp_path / "ours.toml")) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 1, out + err
    assert lab.status(gate_name).state == "down"


@pytest.mark.lab
@pytest.mark.parametrize("moment", ["starting CTDB", "[ 1/"])
def test_interrupted_gate_removes_its_lab(gate_name: str, tmp_path: Path, moment: str) -> None:
    with gate(gate_name, tmp_path / "out", "-k", "rpc.register") as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if moment in line.replace("[  1/", "[ 1/"):
                break
        else:
            pytest.fail("".join(seen))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=180)
    assert process.returncode == 3, err
    assert "gate: interrupted by SIGTERM; the verdict is not complete" in err
    assert lab.status(gate_name).state == "down"
    if moment == "[ 1/":
        run = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))["run"]
        assert run["complete"] is False
