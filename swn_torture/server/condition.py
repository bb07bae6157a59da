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
    HUNG = "hung"
    """Its processes hang: they keep their connections and registrations, and send nothing."""
    LINK_DOWN = "link-down"
    """Its network link is down: nothing reaches it, and nothing comes from it; its processes run."""
    EXCLUDED = "excluded"
    """The cluster excluded it, or it left the cluster. Its witness server still answers."""

    @property
    def runs(self) -> bool:
        """Whether its witness server runs, and is reached."""
        return self not in {Condition.CRASHED, Condition.SILENT, Condition.HUNG, Condition.LINK_DOWN}

    @property
    def keeps_state(self) -> bool:
        """Whether its witness server goes on after it recovers, with the registrations that it had."""
        return self not in {Condition.CRASHED, Condition.SILENT}
