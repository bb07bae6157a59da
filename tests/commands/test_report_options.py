"""The options that name reports: one for each format, wherever reports are written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from swn_torture.report.formats import FORMATS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

CASE = "rpc.check-order.every-defect[register]"


@pytest.mark.parametrize("command", ["run", "report"])
def test_every_format_has_an_option(swn_torture: Command, command: str) -> None:
    text = swn_torture(command, "--help").stdout
    for each in FORMATS:
        assert f"--{each.name} FILE" in text
        assert each.file_name in text


def test_run_and_report_write_every_format(swn_torture: Command, tmp_path: Path) -> None:
    names = {each.name: f"own.{each.name}" for each in FORMATS}
    made = {}
    for folder, words in (
        ("run", ("run", "-n", "0", "--case", CASE)),
        ("report", ("report", str(tmp_path / "run" / "directory" / "results.json"))),
    ):
        place = tmp_path / folder
        options = [f"--{name}={place / file}" for name, file in names.items()]
        answer = swn_torture(*words, *options, f"--report={place / 'directory'}")
        assert answer.returncode == 0, answer.stderr
        made[folder] = {path.name for path in place.iterdir() if path.is_file()}
        for each in FORMATS:
            assert (place / "directory" / each.file_name).stat().st_size > 0
    assert made["run"] == made["report"] == set(names.values())


def test_report_of_a_file_without_results_is_a_usage_error(swn_torture: Command, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"schema": "other/1"}), encoding="utf-8")
    answer = swn_torture("report", str(path))
    assert answer.returncode == 2
    text = " ".join(answer.stderr.split())
    assert "the schema is other/1; this version reads swn-torture-results/1" in text
    missing = swn_torture("report", str(tmp_path / "missing.json"))
    assert missing.returncode == 2
    assert "Cannot read" in missing.stderr
