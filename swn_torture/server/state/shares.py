"""The shares of the cluster: names, types and owners.

The checks of Register and RegisterEx depend on the types of the shares (MS-SWN 3.1.4.2, 3.1.4.5). The types
are those of MS-SRVS 2.2.2.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from swn_torture.server.state.names import same_name


class ShareType(IntFlag):
    """shi*_type (MS-SRVS 2.2.2.4): a kind in the low bits, and flags. The kind DISK is 0."""

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
        name: the share name.
        type: shi*_type with its cluster bits.
        owner: the node that owns an asymmetric share; None for a symmetric share.
        comment: shi*_remark.
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
    """The shares cannot be enumerated."""


class ShareTable:
    """The current shares, common to all nodes.

    Args:
        shares: the configured shares.
        failing: makes every enumeration fail.
    """

    def __init__(self, shares: tuple[Share, ...] = (), *, failing: bool = False) -> None:
        self._configured = shares, failing
        self._shares = shares
        self.failing = failing

    def enumerate(self) -> tuple[Share, ...]:
        """Return all shares, as NetrShareEnum returns them to the local server.

        Raises:
            EnumerationError: `failing` is set.
        """
        if self.failing:
            raise EnumerationError("the enumeration of shares is set to fail")
        return self._shares

    def find(self, name: str, *, ignore_case: bool = True) -> Share | None:
        """Return the share with this name, or None."""
        return next((s for s in self._shares if same_name(s.name, name, ignore_case=ignore_case)), None)

    def replace(self, shares: tuple[Share, ...]) -> None:
        """Replace all shares."""
        self._shares = shares

    def restore(self) -> None:
        """Restore the configured shares and the configured `failing`."""
        self._shares, self.failing = self._configured
