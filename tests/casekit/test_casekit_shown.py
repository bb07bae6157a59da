"""Values are shown as text, and never as Python writes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

import pytest

from swn_torture.casekit import Outcome, returns
from swn_torture.casekit.shown import in_words, quoted, require_text, shown
from swn_torture.witness.constants import InterfaceFlags, InterfaceState
from swn_torture.witness.messages import InterfaceInfo


@dataclass
class Pair:
    """A value without a text of its own."""

    name: str
    octets: bytes


class Colour(Enum):
    """An enumeration of texts."""

    RED = "red"


SHOWN = [
    (None, "none"),
    (True, "yes"),
    (False, "no"),
    (7, "7"),
    ("NODE1", "NODE1"),
    ("", '""'),
    (" NODE1", '" NODE1"'),
    ("NODE\0", '"NODE\\x00"'),
    ("\ud800", '"\\ud800"'),
    (b"\x04\x00\xff", "04 00 ff"),
    (b"", "no octets"),
    ([], "none"),
    ((1, 2), "1, 2"),
    ([(b"\x04\0", "a")], "04 00, a"),
    ({"b", "a"}, "a, b"),
    ({"port": 135, "name": None}, "port: 135, name: none"),
    (InterfaceState.AVAILABLE, "AVAILABLE (0x1)"),
    (InterfaceFlags.IPV4 | InterfaceFlags.IPV6, "IPV4|IPV6 (0x3)"),
    (Colour.RED, "red"),
    (IPv4Address("192.0.2.5"), "192.0.2.5"),
    (ValueError("too long"), "too long"),
    (TimeoutError(), "TimeoutError"),
    (returns(5), "ERROR_ACCESS_DENIED (0x5)"),
    ([returns(5), returns(0)], "ERROR_ACCESS_DENIED (0x5), ERROR_SUCCESS (0x0)"),
    (Pair("a", b"\1"), "name a, octets 01"),
    (
        InterfaceInfo("NODE1", 0x20000, 1, IPv4Address("192.0.2.5"), IPv4Address("0.0.0.0"), 1),  # type: ignore[arg-type]
        "NODE1 AVAILABLE (0x1) 192.0.2.5 0.0.0.0 IPV4 (0x1) version 0x20000",
    ),
]


@pytest.mark.parametrize(("value", "text"), SHOWN, ids=[text for _, text in SHOWN])
def test_a_value_is_shown_as_text(value: object, text: str) -> None:
    assert shown(value) == text
    assert require_text(text) == text
    assert in_words(text) == text


WRITTEN_BY_PYTHON = [
    (r"None; in larger fragments: [(b'\x04\x00', 'a')]", "none; in larger fragments: 04 00, a"),
    ("the size of MessageBuffer (None), 0 or more", "the size of MessageBuffer (none), 0 or more"),
    ("unused: {'::'}", "unused: ::"),
    ("[1, 2]", "1, 2"),
    ("True", "yes"),
    ("a <swn_torture.Listener object at 0x7f8e542990>", "a swn_torture.Listener"),
    ("<AuthLevel.PRIVACY: 6>", "PRIVACY"),
    (repr(Outcome("fault", 5)), None),
    (r"b'\x'", None),
]


@pytest.mark.parametrize(("text", "words"), WRITTEN_BY_PYTHON, ids=[text for text, _ in WRITTEN_BY_PYTHON])
def test_a_value_as_python_writes_it_is_refused(text: str, words: str | None) -> None:
    with pytest.raises(ValueError, match=r"as Python writes it.*Use casekit\.shown"):
        require_text(text)
    assert in_words(text) == (words or in_words(text))
    assert "(kind=" not in in_words(text)


@pytest.mark.parametrize(
    "text",
    [
        'RESOURCE_CHANGE (0x1): "NODE1" UNAVAILABLE (0xFF)',
        "None of the 3 nodes answers",
        "192.0.2.5 (fd00::5) at 0x10, 'NODE1'",
        "2 complete of 3, 8 octets after the last structure (00 00)",
        "[variants.full] is missing",
    ],
)
def test_ordinary_text_is_accepted(text: str) -> None:
    assert require_text(text) == text


def test_text_in_quotation_marks() -> None:
    assert quoted("a b") == '"a b"'
    assert quoted("tab\t") == '"tab\\t"'
