"""Allure's results of a run that was compared with a baseline, as allure-pytest and the plugin write them."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.ci.conftest import GOOD, KNOWN
from tests.docs.documents import DOCS, clean_environment
from tests.preloaded import plain_pytest

if TYPE_CHECKING:
    from tests.ci.conftest import KnownTarget

CI_PAGE = DOCS / "ci.md"


def run_pytest(known: KnownTarget, directory: str) -> None:
    """Judge two cases with pytest; Allure's results are in a directory of this name."""
    options = ("--swn-target", "faulty.toml", "--swn-baseline", "known.toml", "--alluredir", directory)
    cases = (f"--swn-case={KNOWN}", f"--swn-case={GOOD}")
    module = "swn_torture.rpc.methods.test_register"
    done = subprocess.run(
        [*plain_pytest(), "-q", "--pyargs", module, *options, *cases],
        cwd=known.directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_known_violation_is_skipped_with_its_cause(known: KnownTarget) -> None:
    run_pytest(known, "allure")
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
    attached = {each["name"]: each for each in by_case[KNOWN]["attachments"]}
    assert set(attached) == {"PDUs, field by field", "packet capture"}
    capture = known.directory / "allure" / attached["packet capture"]["source"]
    assert capture.read_bytes().startswith(b"\x0a\x0d\x0d\x0a"), "pcapng"
    assert (known.directory / "allure" / "categories.json").exists()


def page_command() -> list[str]:
    """The command of docs/ci.md that builds Allure's page, with an `allure` that is installed."""
    (line,) = [line for line in CI_PAGE.read_text(encoding="utf-8").splitlines() if "npx allure@3 " in line]
    return shlex.split(line.replace("$ npx allure@3 ", "allure "))


@pytest.mark.skipif(not shutil.which("allure"), reason="allure is not installed (npm install -g allure@3)")
def test_page_of_allure_has_every_case_once(known: KnownTarget) -> None:
    run_pytest(known, "allure-results")
    subprocess.run(page_command(), cwd=known.directory, check=True, capture_output=True, timeout=150)
    report = known.directory / "allure-report"
    summary = json.loads((report / "summary.json").read_text("utf-8"))
    assert summary["stats"] == {"total": 2, "passed": 1, "skipped": 1}
    assert summary["name"].startswith("Conformance of ")
    assert (report / "index.html").exists()
