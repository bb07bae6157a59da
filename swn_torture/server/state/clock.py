"""Clocks of the state machine.

A clock is a callable that returns seconds and never decreases. The state machine reads only the clock passed
to it, so a test can advance its timers by hours without waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds since a fixed moment."""


def scaled(scale: float, clock: Clock = time.monotonic) -> Clock:
    """Return a clock that starts at 0 now and runs `scale` times as fast as `clock`."""
    start = clock()
    return lambda: (clock() - start) * scale


class FakeClock:
    """A clock that changes only by `advance`."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the current time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Advance the clock.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot go back: seconds must be at least 0, not {seconds}")
        self.now += seconds
