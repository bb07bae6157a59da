"""The modules that are collected for some cases: those that have them, and all if one may be anywhere."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from swn_torture.harness import narrowing
from swn_torture.harness.case_map import base_of, cases_named, collect_cases
from swn_torture.harness.narrowing import modules, modules_with
from tests.docs.documents import clean_environment
from tests.preloaded import plain_pytest

if TYPE_CHECKING:
    from pathlib import Path

CASE = "rpc.check-order.every-defect[register]"
BASE = base_of(CASE)
MODULE = "swn_torture.rpc.methods.test_check_order"


def test_every_case_is_in_the_module_that_is_found_for_it() -> None:
    for case_id, info in collect_cases().items():
        module = info.source.partition(".py:")[0].replace("/", ".")
        assert modules_with([case_id]) == frozenset({module})


def test_cases_of_one_function_are_those_of_the_whole_suite() -> None:
    every = {case_id: info for case_id, info in collect_cases().items() if info.base == BASE}

    assert cases_named([CASE]) == cases_named([BASE]) == every
    assert list(cases_named([BASE])) == list(every)


def test_two_cases_need_two_modules() -> None:
    names = modules_with([CASE, "ndr.malformed-stubs.surplus-octets-after-a-handle"])

    assert names is not None
    assert set(names) == {MODULE, "swn_torture.ndr.test_malformed_stubs"}
    assert names <= modules().keys()


@pytest.mark.parametrize(
    "unknown", ["rpc.check-order.every-defec", "rpc.check-orde.every-defect", "own.example.case", "rpc", ""]
)
def test_id_without_a_function_is_in_no_module(unknown: str) -> None:
    assert modules_with([CASE, unknown]) is None
    assert cases_named([CASE, unknown]) == {}


def test_renamed_case_is_in_its_present_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swn_torture.shipped.renamed_cases", lambda: {"rpc.old.name": BASE})

    assert narrowing.modules_with(["rpc.old.name[register]"]) == frozenset({MODULE})


def collected(directory: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [*plain_pytest(), "--collect-only", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_pytest_collects_one_module_of_the_suite_and_all_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_mine(): pass\n", encoding="utf-8")

    code, text = collected(tmp_path, "--pyargs", "swn_torture", "test_own.py", f"--swn-case={CASE}", "-v")

    assert code == 0, text
    assert "test_mine" in text
    assert "test_every_defect[register]" in text
    # The others of the same module, and no others, were collected and not kept.
    others = [each for each in collect_cases().values() if MODULE.replace(".", "/") in each.source]
    assert f"2/{len(others) + 1} tests collected ({len(others) - 1} deselected)" in text


def test_module_on_the_command_line_is_collected_whatever_is_asked_for(tmp_path: Path) -> None:
    code, text = collected(
        tmp_path, "--pyargs", "swn_torture.rpc.methods.test_register", f"--swn-case={CASE}"
    )

    assert code == pytest.ExitCode.USAGE_ERROR
    assert f"Unknown case '{CASE}'" in text
