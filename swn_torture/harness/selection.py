"""Which cases run, and in what order."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.case import mark_of, slug_of
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.casekit.case import CaseMark


#: Seconds on a live target from which a case counts as long.
LONG_S = 4.0


def select(config: pytest.Config, items: list[pytest.Item], cases: list[pytest.Item]) -> None:
    """Keep the cases asked for and put them in order; other tests stay where they are, before them.

    Raises:
        pytest.UsageError: a requirement, a case, a target or a fault does not exist, or a mark is wrong.
    """
    from swn_torture.harness.session import target_profile

    target_profile(config)  # read before every case fails for one reason
    catalogue = load_catalogue()
    marks = {item: _checked(item) for item in cases}
    for item in cases:
        item.extra_keyword_matches.add(slug_of(item))
    wanted = set(config.getoption("--swn-requirement"))
    for name in wanted:
        if name not in catalogue.requirements:
            near = ", ".join(catalogue.closest(name)) or "nothing like it"
            raise pytest.UsageError(f"There is no requirement {name}. The catalogue has: {near}.")
    slugs = set(config.getoption("--swn-case"))
    known = {slug_of(item) for item in cases}
    for slug in sorted(slugs - known):
        import difflib

        near = ", ".join(difflib.get_close_matches(slug, known, n=3, cutoff=0.5)) or "nothing like it"
        raise pytest.UsageError(f"There is no case {slug!r} among those collected. Close to it: {near}.")
    kept = [
        item
        for item in cases
        if (not wanted or wanted & set(marks[item].requirements)) and (not slugs or slug_of(item) in slugs)
    ]
    if len(kept) < len(cases):
        config.hook.pytest_deselected(items=[item for item in cases if item not in set(kept)])
    chosen = set(cases)
    items[:] = [item for item in items if item not in chosen] + in_order(kept, marks)


def in_order(cases: list[pytest.Item], marks: Mapping[pytest.Item, CaseMark]) -> list[pytest.Item]:
    """The order in which cases are handed out.

    The long ones start first, so that they wait beside all others. Each is followed by a short one: a worker
    of pytest-xdist always has its next case already, and a long one behind a long one would wait for no
    reason. Cases that want the target for themselves come last, so that they do not hold up the rest.
    """
    shared = [item for item in cases if not marks[item].disturbs]
    long = sorted((item for item in shared if marks[item].lasts >= LONG_S), key=lambda i: -marks[i].lasts)
    short = [item for item in shared if marks[item].lasts < LONG_S]
    mixed = [item for pair in zip_longest(long, short[: len(long)]) for item in pair if item is not None]
    alone = sorted((item for item in cases if marks[item].disturbs), key=lambda i: -marks[i].lasts)
    return mixed + short[len(long) :] + alone


def _checked(item: pytest.Item) -> CaseMark:
    mark = mark_of(item)
    if mark is None:
        raise pytest.UsageError(f"{item.nodeid}: the swn mark is set by @case, not by hand")
    catalogue = load_catalogue()
    for name in mark.requirements:
        if name not in catalogue.requirements:
            near = ", ".join(catalogue.closest(name)) or "nothing like it"
            raise pytest.UsageError(f"{item.nodeid} names {name}, which the catalogue lacks; it has {near}")
    if not mark.requirements:
        raise pytest.UsageError(f"{item.nodeid} names no requirement")
    return mark
