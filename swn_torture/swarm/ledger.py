"""Who must have heard of each change of the cluster, and who has.

A client is concerned by a change if it was registered for one of the addresses concerned when the change
began. It has until the end of the change, and a grace time after it, to hear of it once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swn_torture.swarm.records import Kind, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the cluster.

    Attributes:
        title: what it was.
        began: when its command was given, in seconds of ``time.time()``.
        ended: when the cluster showed the effect.
        until: when the next change began, or the run ended: later notifications are not counted for this one.
        addresses: the addresses that it concerned.
        message_type: of the notification that is expected, 0 for none.
        change: its ChangeType.
        failed: the controller failed, so that only a part of it may have happened.
    """

    title: str
    began: float
    ended: float
    until: float
    addresses: frozenset[str]
    message_type: int = 0
    change: int = 0
    failed: bool = False


@dataclass(slots=True)
class Account:
    """What came of one change.

    Attributes:
        change: the change.
        concerned: clients that had to hear of it.
        delays: for each that did, the seconds after the change began.
        twice: clients that heard of it more than once.
        lost: clients that did not hear of it although their registration lasted.
        gone: clients whose registration ended before they could hear of it.
        late: clients that heard of it after the deadline.
        others: clients that heard of it without being concerned.
    """

    change: Change
    concerned: int = 0
    delays: list[float] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Stay:
    address: str
    began: float
    ended: float = float("inf")


def settle(changes: Iterable[Change], records: Iterable[Record], deadline: float) -> list[Account]:
    """Compare what the clients heard with what happened.

    Args:
        changes: those of the run, in their order.
        records: of all clients, in any order.
        deadline: seconds after a change after which a notification is late.
    """
    stays: defaultdict[int, list[_Stay]] = defaultdict(list)
    told: defaultdict[int, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda each: each.at):
        if record.kind == Kind.REGISTERED:
            stays[record.client].append(_Stay(record.address, record.at))
        elif record.kind == Kind.ENDED and stays[record.client]:
            stays[record.client][-1].ended = record.at
        elif record.kind == Kind.TOLD:
            told[record.client].append(record)
    return [_account(change, stays, told, deadline) for change in changes if change.message_type]


def _account(
    change: Change, stays: dict[int, list[_Stay]], told: dict[int, list[Record]], deadline: float
) -> Account:
    account = Account(change)
    concerned = set()
    for client, each in stays.items():
        stay = next((stay for stay in each if stay.began < change.began < stay.ended), None)
        if stay is None or stay.address not in change.addresses:
            continue
        concerned.add(client)
        heard = [record.at for record in told.get(client, ()) if _of(change, record, stay.address)]
        if heard:
            account.delays.append(heard[0] - change.began)
            if heard[0] - change.began > deadline:
                account.late.append(client)
            if len(heard) > 1:
                account.twice.append(client)
        else:
            (account.gone if stay.ended < change.until else account.lost).append(client)
    account.concerned = len(concerned)
    account.delays.sort()
    account.others = [
        client
        for client, records in told.items()
        if client not in concerned and any(_of(change, record, "") for record in records)
    ]
    return account


def _of(change: Change, record: Record, address: str) -> bool:
    """Whether a notification is the one that a change calls for."""
    return (
        change.began <= record.at < change.until
        and record.message_type == change.message_type
        and record.change == change.change
        and (not address or record.address == address)
    )


def failures(records: Sequence[Record]) -> dict[str, int]:
    """Return how often each failure happened, the most frequent first."""
    counts: defaultdict[str, int] = defaultdict(int)
    for record in records:
        if record.kind == Kind.FAILED:
            counts[record.text] += 1
    return dict(sorted(counts.items(), key=lambda each: -each[1]))
