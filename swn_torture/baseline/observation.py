r"""Observations without what differs from run to run, and how two of them are compared.

A baseline and a run are compared by text: what was observed, and the note of the check in brackets, as a
report shows them. `normal` replaces what a second run of the same target shows in another way:

================================  ================================================================
``{client}``                      a ClientComputerName that the suite made: ``SWN6F463E00309``
``{address 1}``, ``{address 2}``  IPv4 and IPv6 addresses, numbered by their first place in the text, so
                                  that "the same address" and "another address" stay different
``:{port}``                       the port after an address
lists                             addresses with flags or states (``; V4|ONLINE (0x9)``) are sorted by these:
                                  the order of addresses is not a rule
``{uuid}``                        a UUID without a version: context handles, keys. An interface or a
                                  transfer syntax has a version (``v1.0``) and stays; so does the nil UUID
``{id}``                          an assoc_group_id other than 0
``{16 octets}``                   eight or more octets that are not all equal; their number stays
================================  ================================================================

Error codes, states, flags, counts, names and the note stay: a defect that changes in one of them has changed.
Durations stay, too, and `same` compares them with a tolerance of 1 s or 10 %, whichever is more: a busy
target or machine is not another defect. In a text of a baseline ``*`` stands for any text.
"""

from __future__ import annotations

import functools
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.report.model import Check

#: Durations that differ by less than this number of seconds are equal.
TOLERANCE_S = 1.0
#: Durations that differ by less than this part are equal.
TOLERANCE = 0.1

_CLIENT = re.compile(r"[Ss](?:\\[Uux][0-9A-Fa-f]+|[^\x00-\x7f]){0,2}[Ww][Nn][0-9A-Fa-f]{6,}[0-9]*")
_UUID = re.compile(
    r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b(?! v[0-9])"
)
_GROUP = re.compile(r"(assoc_group_id:? (?:of |is |= ?)?)0x0*[1-9A-Fa-f][0-9A-Fa-f]*")
_OCTETS = re.compile(r"\b[0-9a-fA-F]{2}(?: [0-9a-fA-F]{2}){7,}\b")
_ADDRESS = re.compile(
    r"""
    (?P<head>MS-[A-Z]+[ ]|C706[ ]|SWN-|RPC-)?
    (?<![\w.:-])
    (?P<address>
        (?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4})
        | [0-9]{1,3}(?:\.[0-9]{1,3}){3}
    )
    (?P<port>\]?:[0-9]{2,5}(?![\w:]))?
    (?![\w.-]*[\w-])
    """,
    re.VERBOSE,
)
_FLAGS = r"V[46]\|[A-Z0-9|]+ \(0x[0-9A-F]+\)"
_ITEM = rf"(?:[0-9A-Fa-f.:]+ (?:{_FLAGS}|(?:UN)?AVAILABLE \(0x[0-9A-F]+\))|{_FLAGS})"
_LIST = re.compile(rf"{_ITEM}(?:[,;] {_ITEM})+")
_PORT = re.compile(r"(\{address [0-9]+\} port )[0-9]+")
_DURATION = re.compile(r"(?<![\w.])([0-9]+(?:\.[0-9]+)?) (ms|s|min)\b")
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0}


def observation(check: Check) -> str:
    """The observation of a check as a baseline has it: normalised, with the note in brackets."""
    text = check.observed or "not recorded"
    return normal(f"{text} ({check.note})" if check.note else text)


@functools.lru_cache(maxsize=8192)
def normal(text: str) -> str:
    """The text without what differs from run to run. A second call changes nothing."""
    text = " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").split())
    text = _UUID.sub(_uuid, text)
    text = _CLIENT.sub("{client}", text)
    text = _GROUP.sub(r"\1{id}", text)
    text = _OCTETS.sub(_octets, text)
    text = _LIST.sub(_sorted, text)
    numbers: dict[str, int] = {}

    def address(found: re.Match[str]) -> str:
        name = found["address"]
        try:
            value = ip_address(name)
        except ValueError:
            return found[0]
        if found["head"] or value.is_unspecified or name == "255.255.255.255":
            return found[0]
        number = numbers.setdefault(str(value), len(numbers) + 1)
        port = found["port"] or ""
        bracket = "]" if port.startswith("]") else ""
        return f"{{address {number}}}{bracket}" + (":{port}" if port else "")

    return _PORT.sub(r"\1{port}", _ADDRESS.sub(address, text))


def _sorted(found: re.Match[str]) -> str:
    """A list of addresses, sorted by their flags or states; the order among equal ones stays."""
    separator = "; " if "; " in found[0] else ", "
    items = re.split("[,;] ", found[0])
    return separator.join(sorted(items, key=lambda item: re.sub(r"^[0-9A-Fa-f.:]+ (?=[A-Z])", "", item)))


def _uuid(found: re.Match[str]) -> str:
    return found[0] if not found[0].strip("0-") else "{uuid}"


def _octets(found: re.Match[str]) -> str:
    octets = found[0].split()
    return found[0] if len(set(octets)) == 1 else f"{{{len(octets)} octets}}"


def same(pinned: str, observed: str) -> bool:
    """Whether an observation is the one that a baseline has.

    Args:
        pinned: text of the baseline; ``*`` stands for any text.
        observed: normalised observation of a run.
    """
    pinned = normal(pinned)
    if pinned == observed:
        return True
    words, times = _split(pinned)
    found, measured = _split(observed)
    if "*" in words:
        # Durations are not compared where the text is free: there is no telling which belongs to which.
        pattern = "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", words))
        return re.fullmatch(pattern, found) is not None
    return words == found and all(_close(*pair) for pair in zip(times, measured, strict=True))


def seen(pinned: Iterable[str], observed: str) -> bool:
    """Whether an observation is one of those that a baseline has."""
    return any(same(each, observed) for each in pinned)


@functools.lru_cache(maxsize=8192)
def _split(text: str) -> tuple[str, tuple[float, ...]]:
    """The text without durations, and the durations in seconds."""
    times = tuple(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
    return _DURATION.sub("{duration}", text), times


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= max(TOLERANCE_S, TOLERANCE * max(one, other))
