"""Files that ship with the package: their directory, and the table of renamed cases."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def fixtures_directory() -> Path:
    """The directory ``fixtures``: inside an installed package, or at the top of a checkout."""
    installed = Path(str(resources.files("swn_torture"))) / "fixtures"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "fixtures"


@functools.cache
def renamed_cases() -> Mapping[str, str]:
    """New case ids by old ids, from ``fixtures/renamed-cases.toml``; ids with or without parameters."""
    path = fixtures_directory() / "renamed-cases.toml"
    if not path.is_file():
        return {}
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return {str(old): str(new) for old, new in table["cases"].items()}


def current_id(case_id: str) -> str:
    """The present id of a case that was renamed; any other id unchanged.

    An entry with parameters holds for that id only. An entry without parameters holds for all parameters of
    the case, and the parameters stay.
    """
    renamed = renamed_cases()
    if case_id in renamed:
        return renamed[case_id]
    base, bracket, parameters = case_id.partition("[")
    return f"{renamed.get(base, base)}{bracket}{parameters}"


def all_ids(case_id: str) -> tuple[str, ...]:
    """The present id of a case, and its earlier ids."""
    base, bracket, parameters = case_id.partition("[")
    table = renamed_cases().items()
    earlier = [old for old, new in table if new == case_id]
    earlier += [f"{old}{bracket}{parameters}" for old, new in table if bracket and new == base]
    return (case_id, *earlier)
