"""Cases that run together wait for each other at their calls: which calls are made next, in one action.

The plan of a run counts actions by the same rules.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeVar

from swn_torture.control.undoing.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from swn_torture.control.manual.call import Call

M = TypeVar("M")

_ITS_HOST: Final = "the node that hosts it"


def next_action(waiting: Mapping[M, Call]) -> tuple[list[M], list[M]]:
    """Return who is served by the next action, and who cannot go on with the others.

    Moves of clients come before changes of nodes: they disturb no other case. Those with the same verb are
    one action. A change of a node serves those who want the same; nobody else may see it.

    Args:
        waiting: who waits, in the order in which they began -> the call that each waits for.
    """
    moves = {member: call.verb for member, call in waiting.items() if call.of_a_client}
    if moves:
        verb, _ = min(Counter(moves.values()).items(), key=lambda each: (-each[1], each[0]))
        return [member for member, each in moves.items() if each == verb], []
    first = next(iter(waiting.values()), None)
    served = [member for member, call in waiting.items() if call == first]
    return served, [member for member in waiting if member not in served]


def count(sequences: Iterable[Sequence[Call]], width: int) -> Counter[str]:
    """Count the actions, by their verb, of cases that run together.

    Args:
        sequences: the calls of each case.
        width: how many run at once.
    """
    left = [list(sequence) for sequence in sequences]
    active: dict[int, list[Call]] = {}
    changes, actions, begun = Changes(), Counter[str](), 0
    while True:
        active = {number: calls for number, calls in active.items() if calls}
        while begun < len(left) and len(active) < width:
            if left[begun]:
                active[begun] = left[begun]
            begun += 1
        if not active:
            break
        served, apart = next_action({number: calls[0] for number, calls in active.items()})
        call = active[served[0]][0]
        actions[call.verb] += 1
        if call.step is not None:
            changes.begin(call.step, _ITS_HOST)
            changes.end(call.step)
        for number in served:
            del active[number][0]
        for number in apart:
            del active[number]
    for undo in changes.pending:
        actions[undo.call.replace("_", "-")] += 1
    return actions


def changes_of(sequence: Iterable[Call]) -> list[Call]:
    """The calls that other cases notice."""
    return [call for call in sequence if not call.of_a_client]
