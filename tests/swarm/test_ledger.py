"""The ledger: who had to hear of a change, and who did."""

from __future__ import annotations

import json

from swn_torture.swarm.ledger import Account, Change, failures, settle
from swn_torture.swarm.records import Kind, Record
from swn_torture.witness.constants import ChangeType, MessageType

HERE, ELSEWHERE = "192.0.2.2", "192.0.2.3"


def change(began: float = 100.0, until: float = 110.0) -> Change:
    return Change(
        "disable node 2",
        began,
        began + 1,
        until,
        frozenset({HERE, "2001:db8::2"}),
        MessageType.RESOURCE_CHANGE,
        ChangeType.UNAVAILABLE,
    )


def registered(client: int, at: float, address: str = HERE) -> Record:
    return Record(client, Kind.REGISTERED, at, "node1", address)


def ended(client: int, at: float, address: str = HERE) -> Record:
    return Record(client, Kind.ENDED, at, "node1", address)


def told(
    client: int, at: float, address: str = HERE, change_type: ChangeType = ChangeType.UNAVAILABLE
) -> Record:
    return Record(client, Kind.TOLD, at, "node1", address, MessageType.RESOURCE_CHANGE, change_type, "node2")


def only(*records: Record, deadline: float = 5.0) -> Account:
    (account,) = settle([change()], records, deadline)
    return account


def test_one_client_is_told_once() -> None:
    account = only(registered(1, 90), told(1, 100.5))

    assert (account.concerned, account.delays) == (1, [0.5])
    assert not account.lost + account.twice + account.late + account.gone + account.others


def test_the_records_may_come_in_any_order() -> None:
    account = only(told(1, 100.5), registered(2, 91), registered(1, 90), told(2, 100.25))

    assert account.delays == [0.25, 0.5]


def test_a_registered_client_that_hears_nothing_is_lost() -> None:
    assert only(registered(1, 90), registered(2, 90), told(2, 101)).lost == [1]


def test_another_notification_is_not_that_of_the_change() -> None:
    account = only(
        registered(1, 90),
        told(1, 101, change_type=ChangeType.AVAILABLE),
        Record(1, Kind.TOLD, 101, "node1", HERE, MessageType.CLIENT_MOVE),
    )

    assert account.lost == [1]


def test_a_notification_before_or_after_the_change_does_not_count() -> None:
    assert only(registered(1, 90), told(1, 99.9), told(1, 110)).lost == [1]


def test_a_client_is_told_twice() -> None:
    account = only(registered(1, 90), told(1, 101), told(1, 102))

    assert (account.twice, account.delays) == ([1], [1.0])


def test_a_client_is_told_late() -> None:
    assert only(registered(1, 90), told(1, 106)).late == [1]


def test_a_client_whose_registration_ended_is_not_lost() -> None:
    account = only(registered(1, 90), ended(1, 100.2))

    assert (account.lost, account.gone) == ([], [1])


def test_a_client_that_registers_during_the_change_is_not_concerned() -> None:
    account = only(registered(1, 100.5), told(1, 101))

    assert (account.concerned, account.others) == (0, [1])


def test_a_client_of_another_address_is_not_concerned() -> None:
    account = only(registered(1, 90, ELSEWHERE), told(1, 101, ELSEWHERE))

    assert (account.concerned, account.others) == (0, [1])


def test_the_registration_at_the_time_of_the_change_counts() -> None:
    account = only(
        registered(1, 80, ELSEWHERE), ended(1, 85, ELSEWHERE), registered(1, 86), told(1, 101), ended(1, 105)
    )

    assert account.delays == [1.0]


def test_a_change_without_demand_has_no_account() -> None:
    assert settle([Change("enable node 2", 1, 2, 3, frozenset({HERE}))], [registered(1, 0)], 5) == []


def test_failures_are_counted_the_most_frequent_first() -> None:
    records = [Record(n, Kind.FAILED, 1.0, text="connect + bind: refused") for n in range(3)]
    records.insert(0, Record(9, Kind.FAILED, 1.0, text="call: connection lost"))

    assert failures(records) == {"connect + bind: refused": 3, "call: connection lost": 1}


def test_a_record_survives_its_line_of_json() -> None:
    record = told(0, 12.5)

    assert Record.from_values(json.loads(record.to_json())) == record
