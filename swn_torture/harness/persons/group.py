"""Cases that run together, each in its own thread: a call is made when all of them wait for one.

So a person takes a node down once, when the clients of all these cases are registered. What a case sees and
checks is the same as alone. It waits longer: a case that waited longer than clients do runs again, alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from swn_torture.casekit.case import mark_of, slug_of
from swn_torture.control.base import ControllerError, EffectNotSeen
from swn_torture.control.manual.controller import ManualController
from swn_torture.control.undoing.journaled import JournaledController
from swn_torture.harness.persons.member import Member
from swn_torture.harness.persons.rounds import next_action

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from swn_torture.control.base import Controller
    from swn_torture.control.manual.call import Call
    from swn_torture.control.stimulus import Stimulus
    from swn_torture.harness.live_target import LiveTarget
    from swn_torture.harness.persons.member import Ask

#: Seconds after which waiting cases are looked at again: one may have given up its call.
_LOOK_S: Final = 0.5
#: Seconds that the cases may take to end when the run is interrupted.
_END_S: Final = 10.0


def person_of(controller: Controller) -> ManualController | None:
    """The person who makes the changes of a controller; None if a program makes them."""
    inner = controller.inner if isinstance(controller, JournaledController) else controller
    return inner if isinstance(inner, ManualController) else None


class Group:
    """Cases that run together.

    Args:
        items: the cases.
        target: the target, whose cluster a person changes.
        width: how many run at once.

    Attributes:
        target: as the argument.
    """

    def __init__(self, items: Sequence[pytest.Item], target: LiveTarget, width: int) -> None:
        self.target = target
        self._items = items
        self._width = width
        self._ended: dict[pytest.Item, Member] = {}
        self._changed = threading.Condition()

    def member(self, item: pytest.Item) -> Member:
        """One case of the group, which has ended. The first call runs all of them."""
        if not self._ended:
            alone = any(mark.disturbs for each in self._items if (mark := mark_of(each)) is not None)
            with self.target.use(alone=alone):
                apart = self._run(self._items)
                for each in apart:
                    self._run([each])
        return self._ended[item]

    def _run(self, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Run cases together, restore the cluster, and return those that could not go on with the others."""
        with asyncio.Runner() as runner:
            controller = self.target.controller()
            try:
                runner.run(controller.open())
                members = [Member(item, self.target, controller, self._changed) for item in items]
                self._ended |= {member.item: member for member in members}
                try:
                    self._to_their_ends(members, controller, runner)
                finally:
                    self._restore(members, controller, runner)
            finally:
                runner.run(controller.close())
        return [member.item for member in members if member.goes_apart] if len(members) > 1 else []

    def _to_their_ends(
        self, members: Sequence[Member], controller: Controller, runner: asyncio.Runner
    ) -> None:
        left, active = deque(members), list[Member]()
        try:
            while left or active:
                while left and len(active) < self._width:
                    active.append(left.popleft())
                    active[-1].start()
                waiting = self._wait(active)
                ended = [member for member in active if not member.running]
                active = [member for member in active if member not in ended]
                if not ended and waiting:
                    self._serve(waiting, controller, runner)
        finally:
            self._stop(active)

    def _wait(self, active: Sequence[Member]) -> dict[Member, Ask]:
        """Wait until a case has ended, or all of them wait for a call; what they wait for."""
        with self._changed:
            while True:
                for member in active:
                    while member.asks and member.asks[0].done.done():  # the case gave it up
                        member.asks.popleft()
                waiting = {member: member.asks[0] for member in active if member.asks}
                if len(waiting) == len(active) or not all(member.running for member in active):
                    return waiting
                self._changed.wait(_LOOK_S)

    def _serve(self, waiting: dict[Member, Ask], controller: Controller, runner: asyncio.Runner) -> None:
        """Make the next action, and let those go on whom it serves."""
        person = person_of(controller)
        assert person is not None
        served, apart = next_action({member: ask.call for member, ask in waiting.items()})
        for member in apart:
            self._leave(member, "another case of its group needs another action first")
        asks = [waiting[member] for member in served]
        person.cases = tuple(slug_of(member.item) for member in served)
        results = runner.run(_made(controller, person, [ask.call for ask in asks]))
        late = time.monotonic() - person.within
        for member, ask, result in zip(served, asks, results, strict=True):
            with self._changed:
                member.asks.popleft()
            if ask.since < late and not person.undoes(ask.call) and not isinstance(result, Exception):
                self._leave(member, f"it waited longer than clients do ({person.within:g} s)")
                ask.end(EffectNotSeen("the other cases of its group took too long"))
            else:
                ask.end(result)

    def _leave(self, member: Member, reason: str) -> None:
        member.goes_apart = True
        with self._changed:
            asks, member.asks = member.asks, deque()
        for ask in asks:
            ask.end(EffectNotSeen(f"it runs again, alone: {reason}"))

    def _stop(self, active: Sequence[Member]) -> None:
        """End the cases that still run, because the run is interrupted."""
        with self._changed:
            for member in active:
                member.stopped = True
            asks = [ask for member in active for ask in member.asks]
        for ask in asks:
            ask.end(ControllerError("the run ends"))
        deadline = time.monotonic() + _END_S
        for member in active:
            member.join(max(0.0, deadline - time.monotonic()))

    def _restore(self, members: Sequence[Member], controller: Controller, runner: asyncio.Runner) -> None:
        """Restore the cluster; if that is not possible, end the run: no further case can be judged."""
        last, person = members[-1], person_of(controller)
        if person is not None:  # what is left to undo is not for the cases of the last action only
            person.cases = tuple(slug_of(member.item) for member in members)
        try:
            runner.run(controller.restore())
        except (ControllerError, OSError) as problem:
            self.target.lost = f"{slug_of(last.item)} changed the cluster and could not restore it: {problem}"
            last.item.session.shouldstop = self.target.lost
            last.blame(problem)


async def _made(
    controller: Controller, person: ManualController, calls: Sequence[Call]
) -> list[Stimulus | Exception | None]:
    """Make calls in one action; how each ended."""
    try:
        if calls[0].of_a_client:
            sent: Stimulus | None = await person.move_all(calls)
        else:
            sent = await calls[0].make(controller)
    except ControllerError as problem:
        return [problem] * len(calls)
    except OSError as problem:  # as such it would be blamed on the server
        failed = ControllerError(f"{calls[0].verb}: {problem}")
        failed.__cause__ = problem
        return [failed] * len(calls)
    return [sent] * len(calls)
