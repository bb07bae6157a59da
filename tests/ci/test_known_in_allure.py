"""Allure's results of a run that was compared with a baseline, as allure-pytest and the plugin write them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.ci.conftest import GOOD, KNOWN
from tests.docs.documents import clean_environment

if TYPE_CHECKING:
    from tests.ci.conftest import KnownTarget


def test_known_violation_is_skipped_with_its_cause(known: KnownTarget) -> None:
    options = ("--swn-target", "faulty.toml", "--swn-baseline", "known.toml", "--alluredir", "allure")
    cases = (f"--swn-case={KNOWN}", f"--swn-case={GOOD}")
    module = "swn_torture.rpc.methods.test_register"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--pyargs", module, *options, *cases],
        cwd=known.directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = [
        json.loads(path.read_text("utf-8")) for path in (known.directory / "allure").glob("*-result.json")
    ]
    by_case = {
        label["value"]: each for each in results for label in each["labels"] if label["name"] == "case"
    }
    assert {case: each["status"] for case, each in by_case.items()} == {KNOWN: "skipped", GOOD: "passed"}
    details = by_case[KNOWN]["statusDetails"]
    assert details["known"] is True
    assert details["message"].startswith("known: ")
    assert (known.directory / "allure" / "categories.json").exists()
