"""One case of a group: it runs in its own thread before pytest's turn of it, and what ended it is kept."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from swn_torture.casekit.case import slug_of
from swn_torture.control.base import ControllerError
from swn_torture.control.manual.forwarded import ForwardedController
from swn_torture.harness.case_ends import CaseError
from swn_torture.harness.case_run import CaseRun
from swn_torture.harness.persons.rehearsal import arguments_of, syntax_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import pytest

    from swn_torture.control.base import Controller
    from swn_torture.control.manual.call import Call
    from swn_torture.control.stimulus import Stimulus
    from swn_torture.harness.live_target import LiveTarget


@dataclass
class Ask:
    """One call that a case waits for."""

    call: Call
    done: asyncio.Future[Stimulus | None]
    loop: asyncio.AbstractEventLoop
    since: float = field(default_factory=time.monotonic)

    def end(self, result: Stimulus | Exception | None) -> None:
        """Let the case go on, from another thread."""

        def go_on() -> None:
            if self.done.done():
                return
            if isinstance(result, Exception):
                self.done.set_exception(result)
            else:
                self.done.set_result(result)

        with suppress(RuntimeError):  # the loop is closed: the case has given up the call, and ended
            self.loop.call_soon_threadsafe(go_on)


class _WaitingController(ForwardedController):
    """The controller that a case of a group sees: its calls wait for those of the others."""

    def __init__(self, inner: Controller, member: Member) -> None:
        super().__init__(inner)
        self._member = member

    @override
    async def hand_over(self, call: Call) -> Stimulus | None:
        loop = asyncio.get_running_loop()
        ask = Ask(call, loop.create_future(), loop)
        self._member.wait_for(ask)
        return await ask.done

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return at once: the group waits."""

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Return at once: the group restores the cluster."""


class Member:
    """One case of a group.

    Args:
        item: the case.
        target: the target of the group, which holds it.
        controller: makes the changes of the group.
        changed: notified when it asks for a call, and when it has ended; guards `asks`.

    Attributes:
        item: as the argument.
        run: how it runs; None before that, and if its set-up fails.
        asks: the calls that it waits for, in their order.
        goes_apart: whether it could not go on with the others.
        stopped: whether it gets no more calls, because the run ends.
    """

    def __init__(
        self, item: pytest.Item, target: LiveTarget, controller: Controller, changed: threading.Condition
    ) -> None:
        self.item = item
        self.run: CaseRun | None = None
        self.asks: deque[Ask] = deque()
        self.goes_apart = self.stopped = self._has_ended = False
        self._target = target
        self._changed = changed
        self._controller = controller
        self._of_set_up: BaseException | None = None
        self._of_tear_down: BaseException | None = None
        self._thread = threading.Thread(target=self._perform, name=slug_of(item), daemon=True)

    def start(self) -> None:
        """Start the case in its thread."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait until the case has ended, at most so many seconds."""
        self._thread.join(timeout)

    @property
    def running(self) -> bool:
        """Whether the case has not ended."""
        return not self._has_ended

    def _perform(self) -> None:
        try:
            self._of_set_up = _problem(self._set_up)
            if self.run is not None:
                self.run.ended_by = _problem(self._call)
                self._of_tear_down = _problem(self._tear_down)
                self.run.ended = time.monotonic()
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify()

    def _set_up(self) -> None:
        controller = _WaitingController(self._controller, self)
        run = CaseRun(self.item, self._target, syntax_of(self.item), controller=controller)
        self.run = run.__enter__()

    def _call(self) -> None:
        assert self.run is not None
        self.run.perform(self.item.obj(**arguments_of(self.item, self.run)))  # type: ignore[attr-defined]

    def _tear_down(self) -> None:
        assert self.run is not None
        self.run.__exit__(None, None, None)

    def wait_for(self, ask: Ask) -> None:
        """Let the group know that the case waits for a call.

        Raises:
            ControllerError: the run ends.
        """
        with self._changed:
            if self.stopped:
                raise ControllerError("the run ends")
            self.asks.append(ask)
            self._changed.notify()

    def blame(self, problem: Exception) -> None:
        """Let the case end in an error of its tear-down."""
        self._of_tear_down = self._of_tear_down or problem

    def __enter__(self) -> Self:
        """Raise what ended its set-up, at pytest's turn of the case."""
        if self._of_set_up is not None:
            raise self._of_set_up
        if self.run is None or not self.run.ended:
            raise CaseError("an error in its group ended the case before its end")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._of_tear_down is not None:
            raise self._of_tear_down


def _problem(step: Callable[[], None]) -> BaseException | None:
    """What ended a step of a case; pytest gets it at its turn of the case."""
    try:
        step()
    except BaseException as problem:  # noqa: BLE001 - a skip, too, is what ended it
        return problem
    return None
