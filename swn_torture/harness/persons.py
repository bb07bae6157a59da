"""A run in which a person changes the cluster: how many actions it asks for, and in which order.

Cases that need the same actions follow each other. Before the first case the person learns what comes, and
can say at once what cannot be done here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from swn_torture.casekit.case import mark_of
from swn_torture.control.values import Capability, Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest

    from swn_torture.casekit.case import CaseMark
    from swn_torture.harness.live_target import LiveTarget

#: Needs that are events, with the least number of actions of a case: with the one that undoes it.
_ACTIONS = {
    Capability.DISABLE_NODE.value: 2,
    "interface-event": 2,
    **{failure.capability.value: 2 for failure in Failure},
    Capability.INTERFACE_STATE.value: 2,
    Capability.CHANGE_ADDRESS.value: 2,
    "no-interfaces": 2,
    Capability.MOVE_ADDRESS.value: 2,
    Capability.RESTART_SERVICE.value: 1,
    Capability.MOVE_CLIENT.value: 1,
    Capability.MOVE_SHARE.value: 1,
    Capability.FORCE_UNREGISTER.value: 1,
}


def grouped(cases: Sequence[pytest.Item], marks: Mapping[pytest.Item, CaseMark]) -> list[pytest.Item]:
    """The cases in an order in which those that need the same actions follow each other; others first."""
    return sorted(cases, key=lambda item: sorted(need for need in marks[item].needs if need in _ACTIONS))


def count(marks: Iterable[CaseMark], able: frozenset[Capability]) -> Counter[str]:
    """The least number of actions that the cases need, by their need.

    Args:
        marks: of the cases.
        able: what the person can do. A case that needs more is not run.
    """
    found: Counter[str] = Counter()
    event = {Capability.DISABLE_NODE, Capability.INTERFACE_STATE}
    for mark in marks:
        needed = [need for need in mark.needs if need in _ACTIONS]
        capabilities = {Capability(need) for need in mark.needs if need in set(Capability)}
        unmet = bool(capabilities - able) or ("interface-event" in mark.needs and not event & able)
        for need in needed if not unmet else ():
            found[need] += _ACTIONS[need]
    return found


def begin(target: LiveTarget, items: Iterable[pytest.Item]) -> None:
    """Say how many actions the run will ask for, and let the person say what cannot be done here.

    Args:
        target: the target; nothing happens if no person changes it.
        items: what will be run.

    Raises:
        ControllerError: there is no terminal.
    """
    controller = target.controller()
    if controller.needs_person:
        marks = [mark for item in items if (mark := mark_of(item)) is not None]
        asyncio.run(controller.begin_run(count(marks, controller.capabilities)))
