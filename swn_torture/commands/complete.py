"""Completion of names by the shell (README): targets, baselines, cases, requirements, faults, rungs.

A shell waits for it at each TAB. Cases, faults and requirements are therefore read from the text of their
modules and of the catalogue, and nothing of them is imported; a test compares them with what is loaded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from swn_torture.shipped import fixtures_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import click

_PACKAGE = Path(__file__).parent.parent

#: The suites, as `swn_torture.casekit.case.SUITES`.
_SUITES = ("ndr", "rpc", "cluster")

_CASE = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
_FAULT = re.compile(r"^@violates\(.*?^(?:class|def) (\w+)", re.MULTILINE | re.DOTALL)
_REQUIREMENT = re.compile(r'^id = "((?:SWN|RPC)-[^"]+)"', re.MULTILINE)
_AMBIGUITY = re.compile(r'^id = "(AMB-\d+)"', re.MULTILINE)


def profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """The shipped profiles, and files."""
    return _names_or_file(_shipped("profiles"), incomplete)


def baselines(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """The shipped baselines, and files."""
    return _names_or_file(_shipped("baselines"), incomplete)


def cases(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The ids of cases without their parameters; such an id stands for all of them."""
    return _beginning(case_ids(), incomplete)


def requirements(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The ids of requirements."""
    return _beginning(requirement_ids(), incomplete)


def faults(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The names of faults."""
    return _beginning(fault_names(), incomplete)


def unusual(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The names of unusual servers."""
    from swn_torture.unusual.library import load_unusual

    return _beginning(load_unusual(), incomplete)


def rungs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The rungs of the ladder, lowest first."""
    from swn_torture.spec.rungs import BY_ID

    return [name for name in BY_ID if name.startswith(incomplete)]


def ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """What ``swn-torture explain`` explains, but codes: they are known to who asks."""
    known = [*requirement_ids(), *ambiguity_ids(), *case_ids(), *fault_names()]
    return _beginning(known, incomplete)


def case_ids() -> Iterator[str]:
    """Every case, without its parameters."""
    for suite in _SUITES:
        for path in (_PACKAGE / suite).rglob("test_*.py"):
            module = path.stem.removeprefix("test_").replace("_", "-")
            for name in _CASE.findall(path.read_text(encoding="utf-8")):
                yield f"{suite}.{module}.{name.removeprefix('test_').replace('_', '-')}"


def fault_names() -> Iterator[str]:
    """Every fault."""
    for path in (_PACKAGE / "faults").glob("*/*.py"):
        for name in _FAULT.findall(path.read_text(encoding="utf-8")):
            parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
            yield parted.replace("_", "-").lower()


def requirement_ids() -> list[str]:
    """Every requirement."""
    return _REQUIREMENT.findall(_catalogue())


def ambiguity_ids() -> list[str]:
    """Every ambiguity."""
    return _AMBIGUITY.findall(_catalogue())


def _catalogue() -> str:
    return (_PACKAGE / "spec" / "catalogue.toml").read_text(encoding="utf-8")


def _shipped(kind: str) -> list[str]:
    paths = (fixtures_directory() / kind).glob("*.toml")
    return sorted(path.stem for path in paths if path.stem.islower())


def _names_or_file(names: list[str], incomplete: str) -> list[CompletionItem]:
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return [*found, CompletionItem(incomplete, type="file")]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
