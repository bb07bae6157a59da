"""How long a preflight waits, and what for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: Seconds until a preflight first says what it waits for, and between two such lines.
_FIRST_S, _EACH_S = 2.0, 10.0


@dataclass(slots=True)
class Patience:
    """The time that a preflight has.

    Attributes:
        step: seconds to wait for one answer.
        passes: how many times a node is called until it answers.
        pause: seconds between two passes.
        budget: seconds for everything. What has not been learned by then stays unknown.
    """

    step: float = 8.0
    passes: int = 3
    pause: float = 1.0
    budget: float = 50.0
    _began: float = field(default_factory=time.monotonic)
    _step: str = ""
    _since: float = field(default_factory=time.monotonic)

    def begin(self, step: str) -> None:
        """Remember what is being done now.

        Args:
            step: which node, and which call.
        """
        self._step, self._since = step, time.monotonic()

    @property
    def waiting(self) -> str:
        """What is being done, and how long yet, in one line; empty before the first step."""
        if not self._step:
            return ""
        now = time.monotonic()
        of_all = f"{now - self._began:.0f} s since the start, at most {self.budget:.0f} s"
        return f"Waiting for {self._step}, {now - self._since:.0f} s; {of_all}."

    @contextlib.asynccontextmanager
    async def reporting(self, say: Callable[[str], None]) -> AsyncIterator[None]:
        """Say what is being waited for, as long as the context lasts: soon, and then now and again.

        Args:
            say: shows a line.
        """

        async def report() -> None:
            await asyncio.sleep(_FIRST_S)
            while True:
                if self.waiting:
                    say(self.waiting)
                await asyncio.sleep(_EACH_S)

        task = asyncio.create_task(report())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return self.left <= 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.budget - (time.monotonic() - self._began)

    @property
    def timeout(self) -> float:
        """Seconds to wait for the next answer."""
        return max(0.01, min(self.step, self.left))


def for_live(reply_deadline: float) -> Patience:
    """For a target that runs already.

    Args:
        reply_deadline: seconds within which an ordinary call completes, by the profile.
    """
    return Patience(step=min(8.0, max(1.0, reply_deadline)))


def for_embedded() -> Patience:
    """For a cluster of this process, which answers at once or not at all."""
    return Patience(step=2.0, passes=1, pause=0.0, budget=5.0)
