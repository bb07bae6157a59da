"""The condition of a cluster node."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """The condition of a cluster node."""

    OK = "ok"
    DISABLED = "disabled"
    """Out of service by order; its witness server still answers."""
    CRASHED = "crashed"
    """Its processes are dead, its kernel is not: connections are reset, new ones refused."""
    SILENT = "silent"
    """It has no power: nothing comes from it any more."""
    PARTITIONED = "partitioned"
    """It runs, but does not see the other nodes, nor they it; clients reach it."""

    @property
    def runs(self) -> bool:
        """Whether its witness server is alive."""
        return self not in {Condition.CRASHED, Condition.SILENT}
