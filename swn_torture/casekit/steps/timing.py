"""How long calls take, and how exactly that can be measured.

The specification gives lower bounds in seconds and no upper bounds: the server chooses how often it scans its
timers (AMB-27). So a call may end late, by the scan interval of the target and the reply deadline of the
profile. It may never end early, except by the resolution of the two clocks.
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

#: Seconds by which a measured wait may be too short although the server waited long enough. The measurement
#: starts when the request is written, before the server reads it, so the network can only lengthen it. What
#: remains is the resolution of the server's timer. The coarsest known is the 15.6 ms tick of Windows, which
#: counts twice: at the start and at the end.
CLOCK_RESOLUTION_S = 0.05


@dataclass(frozen=True, slots=True)
class TimedOutcome:
    """How a call ended, and after how many seconds."""

    outcome: Outcome
    seconds: float

    def __str__(self) -> str:
        return f"{self.outcome} after {self.seconds:.2f} s"


async def timed_outcome_of(call: PendingCall[Any], timeout: float) -> TimedOutcome:
    """Wait up to ``timeout`` seconds for a call, and measure the time from before it was sent."""
    outcome = await outcome_of(call, timeout)
    return TimedOutcome(outcome, time.monotonic() - call.began)


def timer_deadline(expect: Expectations, seconds: float) -> float:
    """Seconds after which a timer of ``seconds`` must have acted: plus scan interval and reply deadline."""
    return seconds + expect.scan_interval + expect.reply_deadline


async def stay_idle_until(moment: float) -> None:
    """Send nothing until a moment by ``time.monotonic``.

    A server counts from when it receives a call, or sends a response. To be sure that it has counted less
    than some time, count from before the call was sent; to be sure of more, from after the response came.
    """
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


async def stay_idle(seconds: float) -> None:
    """Send nothing for some seconds, for a requirement about an idle client."""
    await asyncio.sleep(seconds)
