"""The static map of the suite: every case by id, collected without a run. Also renamed and unknown ids."""

from __future__ import annotations

import difflib
import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.case import SUITES, mark_of, slug_of, suite_of, title_of
from swn_torture.harness.narrowing import modules_with
from swn_torture.shipped import current_id
from swn_torture.spec.rungs import BY_ID
from swn_torture.suite import SUITES as PACKAGES
from swn_torture.suite import suite_arguments, without_other_plugins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class CollectionError(Exception):
    """A module of the suite cannot be imported; the text is pytest's report of it."""


@dataclass(frozen=True, slots=True)
class CaseInfo:
    """What a case declares about itself.

    Attributes:
        id: ``rpc.register.null-netname[ndr64]``.
        title: first line of its docstring: what is sent and what must come back.
        details: the other lines of its docstring; usually empty.
        suite: ``ndr``, ``rpc`` or ``cluster``.
        requirements: catalogue ids that it checks.
        needs: what it needs of the target, by the names in ``casekit.needs``.
        disturbs: whether it runs alone on a live target.
        lasts: seconds it is expected to take on a live target.
        source: its test function: ``swn_torture/rpc/methods/test_register.py:25``.
        node_id: pytest's node id in a run of the suite.
    """

    id: str
    title: str
    details: str
    suite: str
    requirements: tuple[str, ...]
    needs: tuple[str, ...]
    disturbs: bool
    lasts: float
    source: str
    node_id: str = ""

    @property
    def base(self) -> str:
        """The id without parameters: ``rpc.register.null-netname``."""
        return base_of(self.id)


def base_of(case_id: str) -> str:
    """The id of a case without its parameters."""
    return case_id.partition("[")[0]


@functools.cache
def collect_cases() -> Mapping[str, CaseInfo]:
    """Every case of the suite by id, in the order of suites, modules and lines (takes about 1 s).

    pytest collects the cases in this process and runs none.

    Raises:
        CollectionError: a module of the suite cannot be imported.
    """
    return _collected(PACKAGES)


def cases_named(case_ids: Iterable[str]) -> Mapping[str, CaseInfo]:
    """Every case with the same functions as these cases, by id; none if an id has no function in the suite.

    Only the modules of these functions are collected, unless the whole suite was collected before.

    Args:
        case_ids: ids with or without parameters, present or renamed.

    Raises:
        CollectionError: a module of the suite cannot be imported.
    """
    asked = tuple(case_ids)
    parts = modules_with(asked) if asked else None
    if not parts:
        return {}
    bases = {base_of(current_id(case_id)) for case_id in asked}
    known = collect_cases() if collect_cases.cache_info().currsize else _of_modules(parts)
    return {each: info for each, info in known.items() if info.base in bases}


@functools.cache
def _of_modules(names: frozenset[str]) -> Mapping[str, CaseInfo]:
    return _collected(sorted(names))


def _collected(parts: Sequence[str]) -> Mapping[str, CaseInfo]:
    collector = _Collector()
    arguments = [*suite_arguments(parts), "-n", "0", "--collect-only", "--swn-target=reference"]
    with without_other_plugins():
        code = pytest.main(arguments, plugins=[collector])
    if code != pytest.ExitCode.OK:
        raise CollectionError("\n".join(collector.problems) or f"pytest ended with exit code {int(code)}")
    return {case_id: info for _, case_id, info in sorted(collector.found, key=lambda found: found[0])}


class _Collector:
    """A pytest plugin that keeps what the collected cases declare."""

    def __init__(self) -> None:
        self.found: list[tuple[tuple[int, str, int], str, CaseInfo]] = []
        self.problems: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(f"{report.nodeid}: {report.longrepr}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            mark = mark_of(item)
            if mark is None or not isinstance(item, pytest.Function):
                continue
            module = item.function.__module__
            line = inspect.unwrap(item.function).__code__.co_firstlineno
            _, _, details = inspect.cleandoc(item.function.__doc__ or "").partition("\n")
            info = CaseInfo(
                id=slug_of(item),
                title=title_of(item),
                details=details.strip(),
                suite=suite_of(item),
                requirements=mark.requirements,
                needs=mark.needs,
                disturbs=mark.disturbs,
                lasts=mark.lasts,
                source=f"{module.replace('.', '/')}.py:{line}",
                node_id=item.nodeid,
            )
            self.found.append(((SUITES.index(info.suite), module, line), info.id, info))


def select_ids(case_id: str, known: Iterable[str]) -> list[str]:
    """The ids among the known ones that an id given by a user selects.

    An id without parameters selects the case with all its parameters. A renamed id selects the present one.
    """
    present = current_id(case_id)
    return [each for each in known if present in {each, base_of(each)}]


def unknown_case(case_id: str, known: Iterable[str]) -> str:
    """An error text for an unknown case id; without parameters in the id there are none in the matches."""
    ids = known if "[" in case_id else dict.fromkeys(map(base_of, known))
    return unknown("case", case_id, ids)


def unknown_rung(name: str) -> str:
    """An error text for an unknown rung, with all rungs.

    Args:
        name: the unknown name.
    """
    return unknown("rung", name, BY_ID, f"The rungs, lowest first: {', '.join(BY_ID)}.")


def unknown(what: str, name: str, known: Iterable[str], remedy: str = "") -> str:
    """An error text for an unknown name, with up to three close matches.

    Args:
        what: what the name should be: ``requirement``.
        name: the unknown name.
        known: all known names.
        remedy: a further sentence, for instance how to list all names.
    """
    names = list(known)
    close = [each for each in names if each.startswith(name)] if name else []
    close = close[:3] or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    matches = f"Close matches: {', '.join(close)}." if close else "There are no close matches."
    return f"Unknown {what} '{name}'. {matches} {remedy}".rstrip()
