"""What the keys of registrations look like: UUIDs of RFC 4122, random octets, or a counter.

MS-SWN wants UUIDs, and its definition of the term requires no way to generate them. So this is only recorded.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final
from uuid import RFC_4122, UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Two keys in a row that differ by less, as a number, are those of a counter.
_SMALL_STEP: Final = 1 << 16

#: The part of all steps that are small if there is a counter; several clients may register at the same time.
_MOST: Final = 0.9


def form_of(keys: Sequence[UUID]) -> str:
    """What keys look like, as text that is the same for each run of the same server.

    Args:
        keys: different keys, in the order in which the server made them; some hundred.

    >>> form_of([UUID(int=number) for number in range(200)])
    'not UUIDs of RFC 4122; a counter; 15 of 16 octets the same in all'
    """
    versions = {key.version for key in keys if key.variant == RFC_4122}
    standard = all(key.variant == RFC_4122 for key in keys)
    if standard and len(versions) == 1 and (version := versions.pop()) in range(1, 9):
        form = f"UUIDs of RFC 4122, version {version}"
    else:
        form = "not UUIDs of RFC 4122"
    fixed = len(fixed_octets(keys))
    parts = [form, "a counter" if is_counter(keys) else "no counter"]
    parts += [f"{fixed} of 16 octets the same in all"] if fixed else []
    return "; ".join(parts)


def is_counter(keys: Sequence[UUID]) -> bool:
    """Whether most keys follow the one before by a small step: in one of the fields, in either byte order."""

    def numbers(key: UUID) -> tuple[int, ...]:
        octets = key.bytes_le
        parts = (octets, octets[:4], octets[4:8], octets[8:], octets[12:])
        return tuple(int.from_bytes(part, order) for part in parts for order in ("little", "big"))

    columns = zip(*map(numbers, keys), strict=True)
    return any(
        sum(0 < abs(later - earlier) < _SMALL_STEP for earlier, later in pairwise(column))
        >= _MOST * (len(keys) - 1)
        for column in columns
        if len(keys) > 1
    )


def fixed_octets(keys: Iterable[UUID]) -> dict[int, int]:
    """The octets that are the same in all keys: position in the handle -> value."""
    positions = zip(*(key.bytes_le for key in keys), strict=True)
    return {place: octets[0] for place, octets in enumerate(positions) if len({*octets}) == 1}


def relation_of(ours: Sequence[UUID], theirs: Sequence[UUID]) -> str:
    """How the keys of two nodes relate, as text that is the same for each run of the same servers."""
    common = {*ours} & {*theirs}
    own, other = fixed_octets(ours), fixed_octets(theirs)
    same = sum(other.get(place) == value for place, value in own.items())
    parts = ["some keys are equal" if common else "no keys are equal"]
    if own or other:
        parts.append(
            f"{len(own)} and {len(other)} of 16 octets the same in all of a node, {same} in all of both nodes"
        )
    return "; ".join(parts)
