"""What the keys of registrations look like, and how those of two nodes relate."""

from __future__ import annotations

import random
import uuid
from uuid import UUID

import pytest

from swn_torture.casekit.steps.keys import fixed_octets, form_of, is_counter, relation_of

_RANDOM = random.Random(1)
_V4 = [UUID(int=_RANDOM.getrandbits(128), version=4) for _ in range(300)]
_BITS = [UUID(int=_RANDOM.getrandbits(128)) for _ in range(300)]
_BASE = _V4[0].bytes


def counted(place: int) -> list[UUID]:
    """UUIDs that only differ by a number of two octets at a place of the octets of the handle."""
    return [
        UUID(bytes_le=_BASE[:place] + number.to_bytes(2, "little") + _BASE[place + 2 :])
        for number in range(300)
    ]


@pytest.mark.parametrize(
    ("keys", "form"),
    [
        (_V4, "UUIDs of RFC 4122, version 4; no counter"),
        (_BITS, "not UUIDs of RFC 4122; no counter"),
        ([*_V4[:100], *_BITS[:100]], "not UUIDs of RFC 4122; no counter"),
        ([UUID(int=0xABCD, version=5), *(UUID(int=n.int, version=3) for n in _V4)], "not UUIDs of RFC 4122"),
        (counted(14), "a counter; 14 of 16 octets the same in all"),
    ],
    ids=["version-4", "random", "mixed", "two-versions", "counted"],
)
def test_form(keys: list[UUID], form: str) -> None:
    assert form in form_of(keys)


@pytest.mark.parametrize("place", [0, 2, 4, 8, 12, 14])
def test_counter_in_any_field_is_found(place: int) -> None:
    assert is_counter(counted(place))


def test_counter_that_others_use_too_is_found() -> None:
    keys = [key for number, key in enumerate(counted(0)) if number % 7 != 3]
    assert is_counter(keys)


def test_time_based_uuids_are_a_counter() -> None:
    assert form_of([uuid.uuid1(node=1, clock_seq=1) for _ in range(200)]).startswith(
        "UUIDs of RFC 4122, version 1; a counter"
    )


def test_fixed_octets_have_their_places() -> None:
    assert fixed_octets([UUID(bytes_le=bytes([1] * 15 + [n])) for n in (2, 3)]) == dict.fromkeys(range(15), 1)


def test_keys_of_two_nodes() -> None:
    ours, theirs = _V4[:40], _V4[40:80]
    assert relation_of(ours, theirs) == "no keys are equal"
    assert relation_of(ours, [*theirs, ours[0]]) == "some keys are equal"
    by_node = [
        [UUID(bytes_le=bytes([7, node]) + key.bytes[2:]) for key in keys]
        for node, keys in enumerate((ours, theirs))
    ]
    assert relation_of(*by_node) == (
        "no keys are equal; 2 and 2 of 16 octets the same in all of a node, 1 in all of both nodes"
    )
