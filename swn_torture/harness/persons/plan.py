"""Which cases run together, so that one action serves many of them, and how many actions a run asks for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from swn_torture.casekit.case import slug_of
from swn_torture.casekit.needs import registrations_needed, unmet, variants_of
from swn_torture.control.values import Capability, Failure
from swn_torture.harness.persons.rounds import changes_of, count
from swn_torture.harness.rung_gate import blocked_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest

    from swn_torture.casekit.case import CaseMark
    from swn_torture.control.base import Controller
    from swn_torture.control.manual.call import Call
    from swn_torture.harness.live_target import LiveTarget

M = TypeVar("M")

#: Needs of cases that call the controller to change something.
_EVENTS: Final = frozenset(
    {
        *(Capability.DISABLE_NODE, Capability.INTERFACE_STATE, Capability.CHANGE_ADDRESS),
        *(Capability.MOVE_ADDRESS, Capability.RESTART_SERVICE, Capability.FORCE_UNREGISTER),
        *(Capability.MOVE_CLIENT, Capability.MOVE_SHARE, "interface-event", "no-interfaces"),
        *(failure.capability for failure in Failure),
    }
)

#: How many cases run at once at most, as on a target with another controller; each has a few connections.
_WIDTH: Final = 10

#: Registrations that a case may hold at the same time without a need of its own.
_REGISTRATIONS_EACH: Final = 8

#: From this number of seconds on, a case without changes of nodes would keep the others waiting.
_LONG_S: Final = 20.0


@dataclass(frozen=True)
class Plan:
    """The cases of a run that ask for actions.

    Attributes:
        groups: cases that run together, each group with the case first that makes the most changes.
        width: how many cases of a group run at once.
        actions: the number of actions by their verb, if the server conforms.
        single: the number of actions if each case asked for its own.
    """

    groups: tuple[tuple[pytest.Item, ...], ...] = ()
    width: int = _WIDTH
    actions: Counter[str] = field(default_factory=Counter)
    single: int = 0


def with_events(
    marks: Mapping[pytest.Item, CaseMark], target: LiveTarget, controller: Controller
) -> list[pytest.Item]:
    """The cases that ask for actions and can be run on the target."""
    return [
        item
        for item, mark in marks.items()
        if _EVENTS.intersection(mark.needs)
        and unmet(mark.needs, target.profile, controller, target.facts) is None
        and blocked_by(slug_of(item), mark, target.facts) is None
    ]


def plan(
    sequences: Mapping[pytest.Item, Sequence[Call]], marks: Mapping[pytest.Item, CaseMark], target: LiveTarget
) -> Plan:
    """Form the groups, and count the actions.

    Args:
        sequences: the cases that ask for actions, with their calls.
        marks: of the cases.
        target: the target.
    """
    limit = target.facts.registrations
    width = _WIDTH if limit is None else max(1, min(_WIDTH, limit // _REGISTRATIONS_EACH))
    if target.facts.one_connection is not None:
        width = 1
    apart = [item for item in sequences if width == 1 or _must_be_alone(marks[item], limit)]
    moves = [item for item in sequences if item not in apart and not marks[item].disturbs]
    slow = [item for item in moves if marks[item].lasts >= _LONG_S]
    together = [item for item in moves if item not in slow]
    others = {item: sequences[item] for item in sequences if item not in apart and item not in moves}
    groups = [tuple(together), *chains(others, width)]
    groups = [group for group in groups if len(group) > 1]
    grouped = {item for group in groups for item in group}
    sets = [*groups, *((item,) for item in sequences if item not in grouped)]
    actions, single = Counter[str](), 0
    for each in sets:
        actions += count([sequences[item] for item in each], width)
    for sequence in sequences.values():
        single += count([sequence], 1).total()
    return Plan(tuple(groups), width, actions, single)


def _must_be_alone(mark: CaseMark, limit: int | None) -> bool:
    """Whether a case uses another server, or has needs that leave no room for others."""
    held = registrations_needed(mark.needs)
    return bool(mark.apart or variants_of(mark.needs) or (held and limit is not None))


def chains(sequences: Mapping[M, Sequence[Call]], width: int) -> list[tuple[M, ...]]:
    """Put cases together whose changes of nodes are the first changes of the same case.

    A case that has made all its changes has ended when the others go on.

    Args:
        sequences: the calls of each case.
        width: how many cases a group has at most.
    """
    changes = {item: changes_of(sequence) for item, sequence in sequences.items()}
    found: list[tuple[list[Call], list[M]]] = []
    for item in sorted(changes, key=lambda each: -len(changes[each])):
        own = changes[item]
        for longest, members in found:
            if own and longest[: len(own)] == own and len(members) < width:
                members.append(item)
                break
        else:
            found.append((own, [item]))
    return [tuple(members) for _, members in found]


def in_groups(cases: Iterable[pytest.Item], marks: Mapping[pytest.Item, CaseMark]) -> list[pytest.Item]:
    """The cases in the order in which a person is asked: those without events first."""
    return sorted(cases, key=lambda item: sorted(_EVENTS.intersection(marks[item].needs)))
