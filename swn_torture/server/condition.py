"""The condition of a cluster node."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """The condition of a cluster node."""

    OK = "ok"
    DISABLED = "disabled"
    """Taken out of service by an administrator. Its witness server still answers."""
    CRASHED = "crashed"
    """Its processes ended, its kernel runs: connections are reset, new ones are refused."""
    SILENT = "silent"
    """It has no power and sends nothing."""
    PARTITIONED = "partitioned"
    """It runs. Clients reach it, but it and the other nodes do not see each other."""

    @property
    def runs(self) -> bool:
        """Whether its witness server runs."""
        return self not in {Condition.CRASHED, Condition.SILENT}
