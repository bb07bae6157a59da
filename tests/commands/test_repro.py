"""``swn-torture repro``: the case of a report again, with a trace and what differs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

CASE = "rpc.names.foreign-net-name[ndr32-register-longer]"
FAULT = "any-net-name-taken"


@pytest.fixture(scope="module")
def results(swn_torture: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faulty") / "results.json"
    done = swn_torture("run", "--fault", FAULT, "-n", "0", "--case", CASE, "--json", str(path))
    assert done.returncode == 1, done.stderr
    return path


def test_the_same_target_gives_the_same(swn_torture: Command, results: Path, tmp_path: Path) -> None:
    done = swn_torture("repro", str(results), CASE, "--report", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "recorded: failed" in done.stdout
    assert "0000  05 00 0b" in done.stdout  # the octets of the bind
    assert "opnum 1 WitnessrRegister" in done.stdout
    assert "The checks are as recorded.\nThe PDUs are as recorded.\n" in done.stdout
    made = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [case["id"] for case in made["cases"] if not case["id"].startswith("preflight")] == [CASE]
    assert list((tmp_path / "out" / "captures").glob("*.pcapng"))


def test_another_target_shows_what_differs(swn_torture: Command, results: Path, tmp_path: Path) -> None:
    """The reference without the fault: as if the server had been mended."""
    document = json.loads(results.read_text(encoding="utf-8"))
    for case in document["cases"]:
        case["repro"] = case["repro"].replace(f" --fault {FAULT}", "")
    other = tmp_path / "results.json"
    other.write_text(json.dumps(document), encoding="utf-8")
    done = swn_torture("repro", str(other), CASE, "--no-octets")
    assert done.returncode == 1
    assert "now: passed" in done.stdout
    assert "-outcome: failed" in done.stdout
    difference = done.stdout.partition("The PDUs differ:\n")[2].splitlines()
    changed = [line for line in difference if line.startswith(("+", "-"))]
    assert changed[2:] == ["-      ReturnValue = 00 00 00 00", "+      ReturnValue = 57 00 00 00"]
    assert "0000  05 00 0b" not in done.stdout


def test_without_recorded_pdus_only_the_checks_are_compared(
    swn_torture: Command, results: Path, tmp_path: Path
) -> None:
    document = json.loads(results.read_text(encoding="utf-8"))
    for case in document["cases"]:
        case["transcript"] = []
    bare = tmp_path / "results.json"
    bare.write_text(json.dumps(document), encoding="utf-8")
    done = swn_torture("repro", str(bare), CASE, "--no-octets")
    assert done.returncode == 0, done.stderr
    assert "No PDUs were recorded to compare with" in done.stdout


def test_wrong_words_are_usage_errors(swn_torture: Command, results: Path, tmp_path: Path) -> None:
    unknown = swn_torture("repro", str(results), CASE.replace("longer", "longest"))
    assert unknown.returncode == 2
    assert CASE in " ".join(unknown.stderr.split())
    document = json.loads(results.read_text(encoding="utf-8"))
    for case in document["cases"]:
        case["repro"] = ""
    nameless = tmp_path / "results.json"
    nameless.write_text(json.dumps(document), encoding="utf-8")
    assert "use --target" in " ".join(swn_torture("repro", str(nameless), CASE).stderr.split())
    lost = swn_torture("repro", str(results), CASE, "--target", "nowhere.toml")
    assert lost.returncode == 2
    assert "Name the profile with --target" in " ".join(lost.stderr.split())
