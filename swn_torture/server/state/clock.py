"""Clocks: where the state machine gets its time from.

A clock is any callable that returns seconds and never goes back. The state machine only ever asks the one it
was given, so hours of its timers pass in a test as fast as the test can count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since some fixed moment."""


def scaled(scale: float, clock: Clock = time.monotonic) -> Clock:
    """A clock that runs `scale` times as fast as `clock`, starting from 0 now."""
    start = clock()
    return lambda: (clock() - start) * scale


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time now."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass; raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back, and {seconds} s would")
        self.now += seconds
