"""What a run waits for: the cases that were started and have not ended, for how long, and how long yet."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds after which a case is named as one that the run waits for; most cases take less.
NAMED_S = 2.0


class Waiting:
    """The cases that are running.

    Args:
        lasts: seconds that a case is expected to take on a live target, by its node id; 0 if not known.
    """

    def __init__(self, lasts: Callable[[str], float]) -> None:
        self._lasts = lasts
        self._running: dict[str, float] = {}

    def start(self, node_id: str, now: float) -> None:
        """A case has started at this time (seconds of any clock)."""
        self._running[node_id] = now

    def end(self, node_id: str) -> None:
        """A case has ended."""
        self._running.pop(node_id, None)

    def text(self, now: float) -> str:
        """What is waited for, in one line; empty if nothing has taken long.

        The case that takes longest yet is named: the others end before it.
        """
        # A copy: the live line asks from a thread of its own.
        running = list(self._running.items())
        long = {name: now - began for name, began in running if now - began >= NAMED_S}
        if not long:
            return ""
        yet = {name: max(self._lasts(name) - age, 0.0) for name, age in long.items()}
        name = max(long, key=lambda each: (yet[each], long[each]))
        rest = f", about {yet[name]:.0f} s yet" if yet[name] >= 1 else ""
        others = f", and {len(long) - 1} more" if len(long) > 1 else ""
        return f"waiting for {shown(name)}: {long[name]:.0f} s{rest}{others}"


def shown(node_id: str) -> str:
    """A node id as the id of its case, without the suite: ``keep-alive.expires[ndr32]``."""
    path, _, name = node_id.partition("::")
    module = path.rpartition("/")[2].removesuffix(".py").removeprefix("test_")
    function, bracket, parameters = name.partition("[")
    return f"{module}.{function.removeprefix('test_')}".replace("_", "-") + bracket + parameters


@functools.cache
def lasts_of(node_id: str) -> float:
    """Seconds that a case of the suite is expected to take (its mark); 0 if that is not known.

    The processes that run the cases know the marks; this one imports the module of the case.
    """
    from swn_torture.casekit.case import CaseMark

    path, _, name = node_id.partition("::")
    parts = path.removesuffix(".py").split("/")
    start = next((at for at, part in enumerate(parts) if part in {"ndr", "rpc", "cluster"}), None)
    if start is None:
        return 0.0
    try:
        module = importlib.import_module(".".join(("swn_torture", *parts[start:])))
    except ImportError:
        return 0.0  # a test of somebody else in a directory of this name
    for mark in getattr(getattr(module, name.partition("[")[0], None), "pytestmark", ()):
        if mark.args and isinstance(mark.args[0], CaseMark):
            return mark.args[0].lasts
    return 0.0
