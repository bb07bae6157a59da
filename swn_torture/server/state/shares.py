"""The shares of the cluster, as far as witness cares: their names, types and owners.

Register and RegisterEx decide by the shares' types what they check (MS-SWN 3.1.4.2, 3.1.4.5). The types are
those of MS-SRVS 2.2.2.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from swn_torture.server.state.names import same_name


class ShareType(IntFlag):
    """shi*_type (MS-SRVS 2.2.2.4): a kind in the low bits, and flags; DISK is a kind without a bit."""

    DISK = 0x00000000
    IPC = 0x00000003
    CLUSTER_FS = 0x02000000
    CLUSTER_SOFS = 0x04000000
    CLUSTER_DFS = 0x08000000
    SPECIAL = 0x80000000


@dataclass(frozen=True, slots=True)
class Share:
    """One share.

    Attributes:
        name: as clients write it; compared without regard to case.
        type: shi*_type with its cluster bits.
        owner: the node that serves an asymmetric share best, or None where all nodes are alike.
        comment: for those who list shares.
    """

    name: str
    type: ShareType = ShareType.DISK
    owner: str | None = None
    comment: str = ""

    @property
    def scale_out(self) -> bool:
        """Whether the type has STYPE_CLUSTER_SOFS."""
        return bool(self.type & ShareType.CLUSTER_SOFS)


class EnumerationError(Exception):
    """The shares could not be enumerated."""


class ShareTable:
    """The shares there are now. One table serves all nodes; `failing` makes every enumeration fail."""

    def __init__(self, shares: tuple[Share, ...] = (), *, failing: bool = False) -> None:
        self._configured = shares, failing
        self._shares = shares
        self.failing = failing

    def enumerate(self) -> tuple[Share, ...]:
        """All shares, as NetrShareEnum would tell them to the local server.

        Raises:
            EnumerationError: if it was told to fail.
        """
        if self.failing:
            raise EnumerationError("the enumeration of shares was told to fail")
        return self._shares

    def find(self, name: str, *, ignore_case: bool = True) -> Share | None:
        """The share of that name, or None."""
        return next((s for s in self._shares if same_name(s.name, name, ignore_case=ignore_case)), None)

    def replace(self, shares: tuple[Share, ...]) -> None:
        """Let there be these shares and no others."""
        self._shares = shares

    def restore(self) -> None:
        """Back to the configured shares."""
        self._shares, self.failing = self._configured
