"""Which of the collected cases run, and in what order."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.case import mark_of, slug_of
from swn_torture.harness.case_map import select_ids, unknown, unknown_case, unknown_rung
from swn_torture.harness.persons.plan import in_groups
from swn_torture.harness.resume import kept_ids
from swn_torture.harness.session import chosen_baseline, target_profile
from swn_torture.spec import load_catalogue
from swn_torture.spec.rungs import BY_ID, RUNGS, height, is_up_to, rung_of_case

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from swn_torture.casekit.case import CaseMark
    from swn_torture.target import Profile

#: A case counts as long from this number of seconds on a live target.
LONG_S = 4.0


def select(config: pytest.Config, items: list[pytest.Item], cases: list[pytest.Item]) -> None:
    """Keep the selected cases and put them in order; tests that are not cases come before them.

    Args:
        config: has the options --swn-requirement, --swn-case and --swn-up-to.
        items: every collected test; changed in place.
        cases: the cases among them.

    Raises:
        pytest.UsageError: a requirement, case, target or fault is unknown, or the mark of a case is wrong.
    """
    profile = check_options(config)
    marks = {item: _checked_mark(item) for item in cases}
    for item in cases:
        item.extra_keyword_matches.add(slug_of(item))
    requirements = set(config.getoption("--swn-requirement"))
    ids = _selected_ids(config.getoption("--swn-case"), [slug_of(item) for item in cases])
    rungs = {item: _rung_of(item, marks[item]) for item in cases}
    highest = config.getoption("--swn-up-to") or RUNGS[-1].id
    ended = kept_ids(config)
    kept = [
        item
        for item in cases
        if slug_of(item) not in ended
        and (not requirements or requirements & set(marks[item].requirements))
        and (ids is None or slug_of(item) in ids)
        and is_up_to(rungs[item], highest)
    ]
    if len(kept) < len(cases):
        config.hook.pytest_deselected(items=[item for item in cases if item not in set(kept)])
    chosen = set(cases)
    by_person = profile.controller.get("kind") == "manual"
    ordered = in_groups(kept, marks) if by_person else in_order(kept, marks, rungs, profile.variants)
    items[:] = [item for item in items if item not in chosen] + ordered


def check_options(config: pytest.Config) -> Profile:
    """Check the options that can be checked without the collected cases; return the profile of the target.

    Raises:
        pytest.UsageError: a target, a fault, a baseline, a requirement or a rung is unknown.
    """
    profile = target_profile(config)
    chosen_baseline(config)
    highest = config.getoption("--swn-up-to")
    if highest is not None and highest not in BY_ID:
        raise pytest.UsageError(unknown_rung(highest))
    known = load_catalogue().requirements
    for name in config.getoption("--swn-requirement"):
        if name not in known:
            raise pytest.UsageError(unknown("requirement", name, known))
    return profile


def _selected_ids(asked: list[str], known: list[str]) -> set[str] | None:
    """The ids of the cases that --swn-case selects; None when the option is not given."""
    if not asked:
        return None
    selected: set[str] = set()
    for case_id in asked:
        found = select_ids(case_id, known)
        if not found:
            raise pytest.UsageError(unknown_case(case_id, known))
        selected.update(found)
    return selected


def in_order(
    cases: list[pytest.Item],
    marks: Mapping[pytest.Item, CaseMark],
    rungs: Mapping[pytest.Item, str],
    variants: Container[str] = (),
) -> list[pytest.Item]:
    """The cases in the order in which they start.

    Short cases start in the order of their rungs, so that the verdicts on the lower rungs come first. Long
    cases start before them, so that they wait while the others run. A short case follows each long one: a
    worker of pytest-xdist always holds its next case, and a long case there would wait for the long one
    before it. Cases that need the target alone come last, so that they do not delay the others. Those that a
    variant keeps apart run there one after another: they are spread among the others, in turns by variant, so
    that not all processes wait for the same one.
    """
    shared = [item for item in cases if not marks[item].disturbs]
    apart = [item for item in cases if marks[item].disturbs and marks[item].apart in variants]
    others = {*shared, *apart}
    long = sorted((item for item in shared if marks[item].lasts >= LONG_S), key=lambda i: -marks[i].lasts)
    short = sorted((item for item in shared if marks[item].lasts < LONG_S), key=lambda i: height(rungs[i]))
    mixed = [item for pair in zip_longest(long, short[: len(long)]) for item in pair if item is not None]
    alone = sorted((item for item in cases if item not in others), key=lambda i: -marks[i].lasts)
    together = mixed + short[len(long) :]
    step = len(together) // max(1, len(apart)) + 1
    for number, item in enumerate(_in_turns(apart, marks)):
        together.insert(number * step, item)
    return together + alone


def _in_turns(apart: list[pytest.Item], marks: Mapping[pytest.Item, CaseMark]) -> list[pytest.Item]:
    """The cases of several variants, one of each in turn, the longest of each first."""
    by_variant: dict[str, list[pytest.Item]] = {}
    for item in sorted(apart, key=lambda i: -marks[i].lasts):
        by_variant.setdefault(marks[item].apart, []).append(item)
    return [item for turn in zip_longest(*by_variant.values()) for item in turn if item is not None]


def _rung_of(item: pytest.Item, mark: CaseMark) -> str:
    return rung_of_case(slug_of(item), mark.requirements, mark.needs).id


def _checked_mark(item: pytest.Item) -> CaseMark:
    mark = mark_of(item)
    if mark is None:
        raise pytest.UsageError(f"{item.nodeid}: use the @case decorator, not the swn mark itself")
    known = load_catalogue().requirements
    for name in mark.requirements:
        if name not in known:
            raise pytest.UsageError(f"{item.nodeid}: {unknown('requirement', name, known)}")
    if not mark.requirements:
        raise pytest.UsageError(f"{item.nodeid}: @case names no requirement")
    return mark
