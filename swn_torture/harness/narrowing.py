"""Which modules of the suite can have the cases that are asked for by their ids.

To collect the whole suite takes several times as long as to run one case. The id of a case names its module
and its function, so that the module is found by its name, and only that one is imported.
"""

from __future__ import annotations

import functools
import os
import re
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swn_torture.shipped import current_id
from swn_torture.suite import SUITES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NARROWED: pytest.StashKey[frozenset[str] | None] = pytest.StashKey()


@functools.cache
def modules() -> Mapping[str, str]:
    """The path of each module of the suite by its dotted name; none is imported."""
    found: dict[str, str] = {}
    for package in SUITES:
        spec = util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(place).rglob("test_*.py")):
                name = ".".join((package, *path.relative_to(place).with_suffix("").parts))
                found[name] = str(path)
    return found


def modules_with(case_ids: Iterable[str]) -> frozenset[str] | None:
    """The dotted names of the modules that have the functions of these cases.

    Args:
        case_ids: ids of cases, with or without parameters, present or renamed.

    Returns:
        None if one of them is not the id of a function of the suite.
    """
    found: set[str] = set()
    for case_id in case_ids:
        suite, _, rest = current_id(case_id).partition("[")[0].partition(".")
        module, _, function = (f"test_{part.replace('-', '_')}" for part in rest.partition("."))
        named = [
            name
            for name, path in modules().items()
            if name.startswith(f"swn_torture.{suite}.")
            and name.rpartition(".")[2] == module
            and re.search(rf"^(?:async )?def {re.escape(function)}\(", _text(path), re.MULTILINE)
        ]
        if not named:
            return None
        found.update(named)
    return frozenset(found)


@functools.cache
def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def is_left_out(config: pytest.Config, path: Path) -> bool:
    """Whether a file is a module of the suite that has none of the cases of --swn-case.

    Modules are left out of the whole suite only: of a directory or a module on the command line, everything
    is collected, so that an id that is not there is reported.

    Args:
        config: has the option.
        path: the file that pytest is about to collect.
    """
    if _NARROWED not in config.stash:
        config.stash[_NARROWED] = _left_out(config)
    return str(path) in (config.stash[_NARROWED] or ())


def _left_out(config: pytest.Config) -> frozenset[str] | None:
    names = {os.path.basename(each) for each in config.args}  # noqa: PTH119 - an argument need not be a path
    if not ({"swn_torture"} <= names or set(SUITES) <= names):
        return None
    kept = modules_with(config.getoption("--swn-case"))
    return None if kept is None else frozenset(path for name, path in modules().items() if name not in kept)
