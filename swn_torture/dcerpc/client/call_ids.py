"""The call_ids of a client: distinct in a whole association, and increasing on each of its connections.

C706 12.6.3.1 requires that all call_ids outstanding in an association group are distinct; MS-RPCE 3.3.3.5.2
requires that they increase on a connection. So all connections of an association take them from one counter.
Windows rejects a call_id that another connection of the group has used (secdev/scapy #4900, #4941).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from swn_torture.dcerpc.pdu.header import MAX_CALL_ID

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["CallIds", "ids_of_association", "ids_of_new_association"]


class CallIds:
    """A counter of call_ids.

    Args:
        first: the first one that it returns.

    Attributes:
        next: the next one that it returns.
    """

    def __init__(self, first: int = 1) -> None:
        self.next = first

    def take(self, chosen: int | None = None) -> int:
        """Return the next call_id, above all that were taken; or ``chosen``, which any 32 bits may be.

        A chosen one above 0x7FFFFFFF does not move the counter: Windows rejects such ids (MS-RPCE note 123).
        """
        number = self.next if chosen is None else chosen
        if chosen is None or chosen <= MAX_CALL_ID:
            self.next = max(self.next, number + 1)
        return number


_associations: Final[WeakValueDictionary[tuple[Hashable, int], CallIds]] = WeakValueDictionary()
"""The counters of the associations that connections of this process belong to, by server and id."""


def ids_of_association(server: Hashable, assoc_group: int) -> CallIds | None:
    """Return the counter of an association, ``None`` if no connection of this process belongs to it.

    Args:
        server: names the server, because different servers may use the same id.
        assoc_group: the id of the association.
    """
    return _associations.get((server, assoc_group))


def ids_of_new_association(server: Hashable, assoc_group: int, ids: CallIds) -> None:
    """Make a counter the one of an association that a server has just created.

    It replaces an older counter: the server may use the id of an association that has ended again.
    """
    _associations[server, assoc_group] = ids
