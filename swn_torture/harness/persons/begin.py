"""The begin of a run in which a person changes the cluster: what cannot be done, and what will be asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.casekit.case import mark_of
from swn_torture.harness.persons import GROUP
from swn_torture.harness.persons.group import Group, person_of
from swn_torture.harness.persons.plan import plan, with_events
from swn_torture.harness.persons.rehearsal import rehearse
from swn_torture.report.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from swn_torture.harness.live_target import LiveTarget
    from swn_torture.harness.persons.plan import Plan


def begin(target: LiveTarget, items: Iterable[pytest.Item]) -> None:
    """Let the person say what cannot be done here, form the groups, and say what the run will ask for.

    Args:
        target: the target; nothing happens if no person changes it.
        items: what will be run.

    Raises:
        ControllerError: there is no terminal.
    """
    controller = target.controller()
    person = person_of(controller)
    if person is None:
        return
    marks = {item: mark for item in items if (mark := mark_of(item)) is not None}
    if not with_events(marks, target, controller):
        return
    asyncio.run(person.ask_what_cannot_be_done())
    cases = with_events(marks, target, controller)
    found = plan(rehearse(cases, target.profile, person.capabilities), marks, target)
    for members in found.groups:
        group = Group(members, target, found.width)
        for item in members:
            item.stash[GROUP] = group
    asyncio.run(person.show_plan(_lines(found, len(cases)), found.actions.total()))


def _lines(found: Plan, cases: int) -> list[str]:
    """What the person reads before the first case."""
    actions = count(found.actions.total(), "action")
    grouped = (
        f"One case at a time, they would be {found.single}. Cases that need the same action are prepared "
        "together; then one action serves all of them."
    )
    counted = (
        "Counted on the reference cluster, which conforms. If the server does not, a case may end early, or "
        "ask for an action more."
    )
    return [
        f"=== swn-torture: this run asks for {actions}, for {count(cases, 'case')} ===",
        *(f"{times:5} x {verb}" for verb, times in sorted(found.actions.items())),
        grouped,
        counted,
    ]
