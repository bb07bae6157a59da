"""tools/steady.py compares the verdicts of several runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools import steady

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The results of the next runs."""
    results: list[dict[str, object]] = []

    def run(command: Sequence[str], **_: object) -> None:
        if results:
            Path(command[-1]).write_text(json.dumps(results.pop(0)), encoding="utf-8")

    monkeypatch.setattr(subprocess, "run", run)
    return results


def result(*, complete: bool = True, broken: Sequence[str] = (), **outcomes: str) -> dict[str, object]:
    run = {"complete": complete, "stopped": "the cluster could not be restored"}
    checks = [{"requirement": requirement, "passed": False} for requirement in broken]
    cases = [{"id": case, "outcome": outcome, "checks": checks} for case, outcome in outcomes.items()]
    return {"run": run, "cases": cases}


@pytest.mark.parametrize(
    ("results", "code", "last"),
    [
        ([result(a="passed"), result(a="passed")], 0, "2 runs: every case has the same verdict"),
        ([result(a="passed"), result(a="failed")], 1, "2 runs: 1 cases differ"),
        ([result(a="passed"), result(b="passed")], 1, "2 runs: 2 cases differ"),
        (
            [result(a="failed", broken=["X"]), result(a="failed", broken=["X", "Y"])],
            1,
            "2 runs: 1 cases differ",
        ),
        ([result(a="passed")], 3, "run 2 has no results"),
        (
            [result(a="passed"), result(a="passed", complete=False)],
            3,
            "run 2 is not complete: the cluster could not be restored",
        ),
    ],
    ids=["same", "different", "missing", "other-requirement", "no-results", "incomplete"],
)
def test_exit_code_says_whether_the_runs_agree(
    runs: list[dict[str, object]],
    capsys: pytest.CaptureFixture[str],
    results: list[dict[str, object]],
    code: int,
    last: str,
) -> None:
    runs += results
    assert steady.main(["2", "--target", "reference"]) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_the_results_of_every_run_stay_where_asked(runs: list[dict[str, object]], tmp_path: Path) -> None:
    runs += [result(a="passed"), result(a="failed")]
    kept = tmp_path / "kept"
    assert steady.main(["2", "--keep", str(kept), "--target", "reference"]) == 1
    outcomes = [json.loads((kept / f"{n}.json").read_text())["cases"][0]["outcome"] for n in (1, 2)]
    assert outcomes == ["passed", "failed"]
