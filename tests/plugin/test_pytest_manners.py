"""Options of pytest do on the suite what a user expects: -k, -m, --co, --lf, -x, -n, --junitxml."""

from __future__ import annotations

import gc
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from swn_torture import plugin
from swn_torture.harness.session import selection

if TYPE_CHECKING:
    from tests.plugin.conftest import Directory

#: Four cases in one module, two of which find the fault.
CASES = ("--pyargs", "swn_torture.rpc.methods.test_register", "-k", "wrong_version and ndr32 and 0x1")
FAULT = "register-ex-version-not-supported"


def test_header_says_which_target_is_judged(directory: Directory) -> None:
    ended = directory.run(*CASES, "--co", "-q", "--swn-fault", FAULT, "-v")
    assert ended.exit == 0, ended.text
    assert re.search(rf"^swn-torture \S+: target reference, fault {FAULT}$", ended.text, re.MULTILINE)


def test_run_of_other_tests_has_no_header_and_no_mark_of_ours(directory: Directory) -> None:
    directory.write("test_other", "def test_other():\n    pass\n")
    ended = directory.run("-v", "test_other.py")
    assert ended.exit == 0, ended.text
    assert not re.search(r"^swn-torture", ended.text, re.MULTILINE)
    marks = directory.run("--markers").text
    assert re.findall(r"^@pytest\.mark\.(swn\w*|lab)", marks, re.MULTILINE) == ["swn", "swn_needs"]
    assert "-m swn" in marks


def test_options_stand_in_a_group_of_the_help(directory: Directory) -> None:
    text = directory.run("--help").text
    group = text.partition("conformance of a witness server (MS-SWN):")[2].partition("\n\n")[0]
    assert set(re.findall(r"--swn-[\w-]+", group)) == set(re.findall(r"--swn-[\w-]+(?=[= ])", text))
    assert len(re.findall(r"^ +--swn-", group, re.MULTILINE)) > 14


def test_mark_selects_the_cases(own: Directory) -> None:
    ended = own.run("-m", "swn", "--co", "-q")
    assert "test_conforms[ndr32]" in ended.text
    assert "test_not_a_case" not in ended.text


def test_first_violation_ends_the_run_and_is_what_runs_again(directory: Directory) -> None:
    first = directory.run(*CASES, "--swn-fault", FAULT, "-x", "--junitxml", "junit.xml")
    assert first.exit == 1, first.text
    assert "stopping after 1 failures" in first.text
    failed = [name for name, each in first.results.items() if each["outcome"] == "failed"]
    assert len(failed) == 1
    suite = ET.parse(directory.path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "1"

    again = directory.run(*CASES, "--swn-fault", FAULT, "--lf")
    assert again.exit == 1, again.text
    assert list(again.results) == failed


def test_several_processes_have_the_header_and_the_same_verdicts(directory: Directory) -> None:
    ended = directory.run(*CASES, "--swn-fault", FAULT, "-n", "2")
    assert ended.exit == 1, ended.text
    assert "target reference" in ended.text
    assert sorted({each["outcome"] for each in ended.results.values()}) == ["failed", "passed"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ""),
        (("--swn-up-to", "register"), "--up-to register"),
        (("--lf",), "--last-failed"),
        (("--sw",), "--stepwise"),
        (("-k", "a", "-m", "swn"), "-k a, -m swn"),
        (("--swn-case", "x", "--swn-requirement", "y"), "--case x, --requirement y"),
    ],
)
def test_part_of_the_suite_is_named(
    options: tuple[str, ...], expected: str, pytestconfig: pytest.Config
) -> None:
    """A run of a part is not taken for one of the whole suite, for instance by a baseline."""
    config = pytest.Config.fromdictargs({}, ["--pyargs", "swn_torture", "-p", "no:randomly", *options])
    assert selection(config) == expected


@pytest.mark.parametrize(("marks", "frozen"), [(["parametrize"], 0), (["parametrize", "swn"], 2)])
def test_only_a_run_with_cases_changes_where_garbage_is_looked_for(
    marks: list[str], frozen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    monkeypatch.setattr(gc, "freeze", lambda: calls.append(None))
    items = [SimpleNamespace(get_closest_marker=dict.fromkeys([mark], mark).get) for mark in marks]
    config = SimpleNamespace(stash=pytest.Stash())
    plugin.pytest_collection_finish(cast("pytest.Session", SimpleNamespace(items=items, config=config)))
    plugin.pytest_unconfigure(cast("pytest.Config", config))
    assert len(calls) == frozen
