"""Measures an attack: the memory of the cluster, and how long another client waits meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.hostile.attacks import serve_list
from tests.hostile.served import memory_of, served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hostile.attacks import Target


@dataclass(frozen=True)
class Measured:
    """What an attack costs.

    Attributes:
        megabytes: how much larger the process of the cluster is while the connections of the attack are open.
        calls: calls that another client made meanwhile, each on a connection of its own.
        delay: seconds that the slowest of them took, with connect and bind.
        seconds: how long the attack took.
    """

    megabytes: float
    calls: int
    delay: float
    seconds: float


def measure(attack: Callable[[Target, contextlib.ExitStack], None], directory: Path) -> Measured:
    """Run an attack on a new cluster, with another client beside it that must always be served.

    Args:
        attack: the attack.
        directory: for the profile of the cluster.

    Raises:
        AssertionError, OSError: the cluster does not serve the other client, or the attack sees something
            else than it expects.
    """
    with served(directory) as (target, pid):
        serve_list(target)
        before, began = memory_of(pid), time.monotonic()
        done, delays, problems = threading.Event(), list[float](), list[Exception]()

        def others() -> None:
            while not done.is_set():
                call_began = time.monotonic()
                try:
                    serve_list(target)
                except (OSError, AssertionError) as problem:
                    problems.append(problem)
                    return
                delays.append(time.monotonic() - call_began)

        other = threading.Thread(target=others)
        other.start()
        try:
            with contextlib.ExitStack() as stack:
                attack(target, stack)
                serve_list(target)
                grown = memory_of(pid) - before
        finally:
            done.set()
            other.join()
        took = time.monotonic() - began
        if problems:
            raise problems[0]
        serve_list(target)
        return Measured(grown, len(delays), max(delays), took)
