"""How long calls take, and how exactly that can be known.

The specification promises lower bounds to the second and no upper bounds: when a timer is looked at is the
server's choice (AMB-27). So a wait may be late by the target's scan interval and by our own patience, and
never early but for the resolution of two clocks.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import Outcome, outcome_of

if TYPE_CHECKING:
    from swn_torture.target import Expectations
    from swn_torture.witness.client import PendingCall

#: Seconds by which a wait may seem short though it was not: the server's clock starts when it reads the
#: request and ours when we wrote it, so ours sees more, not less; what is left is the resolution of the
#: server's timer, whose coarsest known is the 15.6 ms tick of Windows, read twice.
CLOCK_RESOLUTION_S = 0.05


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended and after how many seconds."""

    outcome: Outcome
    seconds: float

    def __str__(self) -> str:
        return f"{self.outcome} after {self.seconds:.2f} s"


async def ending_of(call: PendingCall[Any], timeout: float) -> Ending:
    """Wait up to ``timeout`` seconds for a call; it has to have been started just now."""
    began = time.monotonic()
    outcome = await outcome_of(call, timeout)
    return Ending(outcome, time.monotonic() - began)


def latest(expect: Expectations, seconds: float) -> float:
    """When a timer of ``seconds`` has to have acted at the latest, as far as we are ready to wait."""
    return seconds + expect.scan_interval + expect.reply_deadline


async def stay_idle(seconds: float) -> None:
    """Do nothing for a while, because the rule at hand is about a client that does nothing."""
    await asyncio.sleep(seconds)
