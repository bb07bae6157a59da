"""The map of casekit is complete, its example runs, and a search for a requirement id finds its cases."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import subprocess
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import swn_torture
from swn_torture import casekit
from swn_torture.casekit import invariants, raw, rules, steps
from swn_torture.casekit.case import MARK, SUITES
from tests.preloaded import plain_pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PACKAGE = Path(swn_torture.__file__).parent


@pytest.mark.parametrize("room", [casekit, invariants, raw, rules, steps], ids=lambda room: room.__name__)
def test_the_map_of_a_room_names_every_module(room: ModuleType) -> None:
    named = set(re.findall(r"``([a-z_]+)``: ", room.__doc__ or ""))

    modules = {module.name for module in pkgutil.iter_modules(room.__path__)}

    assert modules <= named


def test_the_example_of_the_map_is_a_case_that_passes(tmp_path: Path) -> None:
    text = re.search(r"catalogue::\n\n(.*?)\n\nWhat every case uses", casekit.__doc__ or "", re.DOTALL)
    assert text
    (tmp_path / "test_example.py").write_text(textwrap.dedent(text[1]), encoding="utf-8")

    command = [*plain_pytest(), "-q", "--swn-json", "results.json", "--swn-target", "reference"]
    # Without what the run that this test belongs to has set for itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SWN_"))}
    ended = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=100
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    cases = json.loads((tmp_path / "results.json").read_text("utf-8"))["cases"]
    assert [(case["id"], case["outcome"]) for case in cases] == [
        ("own.example.null-net-name[ndr32]", "passed"),
        ("own.example.null-net-name[ndr64]", "passed"),
    ]
    assert [[check["passed"] for check in case["checks"]] for case in cases] == [[True], [True]]


def test_the_raw_readers_do_not_use_the_codec() -> None:
    allowed = {
        "casekit.raw.notification",
        "casekit.shown",
        "stubdata.fields",
        "stubdata.syntax",
        "witness.constants",
    }

    imported = {
        name
        for path in (PACKAGE / "casekit" / "raw").glob("*.py")
        for name in re.findall(
            r"^ *(?:from|import) swn_torture\.([\w.]+)", path.read_text("utf-8"), re.MULTILINE
        )
    }

    assert imported == allowed


IDS = re.compile(r'"((?:SWN|RPC)-[^"{}]+)"')


def composed_ids() -> Iterator[tuple[str, str]]:
    """Every case with an id in its mark that neither its module nor casekit has as a whole string."""
    shared = {
        name for path in (PACKAGE / "casekit").rglob("*.py") for name in IDS.findall(path.read_text("utf-8"))
    }
    for path in (path for suite in SUITES for path in (PACKAGE / suite).rglob("test_*.py")):
        written = shared.union(IDS.findall(path.read_text("utf-8")))
        module = ".".join(("swn_torture", *path.relative_to(PACKAGE).with_suffix("").parts))
        for function in vars(importlib.import_module(module)).values():
            marks = (mark for mark in getattr(function, "pytestmark", ()) if mark.name == MARK)
            for name in (name for mark in marks for name in mark.args[0].requirements):
                if name not in written:
                    yield f"{module}.{function.__name__}", name


def test_a_search_for_an_id_finds_its_cases() -> None:
    assert not list(composed_ids())
