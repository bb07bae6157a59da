"""What `make test` leaves to the gate."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests import examples
from tests.examples import in_gate, leave_out, one_in


class Test:
    """What `leave_out` asks of a test."""

    __test__ = False

    def __init__(self, *markers: str) -> None:
        self.markers = [*markers]

    def get_closest_marker(self, name: str) -> object:
        return self if name in self.markers else None

    def add_marker(self, marker: pytest.MarkDecorator) -> None:
        self.markers.append(marker.name)


def left_out(*args: str, keyword: str = "", markexpr: str = "") -> list[bool]:
    """Whether a test for the gate, and another one, are skipped when these are asked for."""
    options = {"keyword": keyword, "markexpr": markexpr}
    config: Any = SimpleNamespace(args=[*args], getoption=options.__getitem__)
    tests: list[Any] = [Test("gate"), Test("lab")]
    leave_out(config, tests)
    return ["skip" in test.markers for test in tests]


@pytest.fixture
def _sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "IS_ALL_ASKED_FOR", False)


@pytest.mark.usefixtures("_sample")
def test_only_a_run_of_all_tests_leaves_some_to_the_gate() -> None:
    assert left_out("tests") == [True, False]
    assert left_out("tests/server") == [False, False]
    assert left_out("tests", keyword="faults") == [False, False]
    assert left_out("tests", markexpr="gate") == [False, False]


def test_the_gate_leaves_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "IS_ALL_ASKED_FOR", True)
    assert left_out("tests") == [False, False]


def test_reason_names_what_runs_it() -> None:
    assert "make test-all" in examples.LEFT_OUT.kwargs["reason"]


def test_sample_has_the_first_of_so_many_and_loses_none() -> None:
    found = one_in(3, ["a", "b", "c", "d", ("e", 1)])
    assert [each.values for each in found] == [("a",), ("b",), ("c",), ("d",), ("e", 1)]
    assert [in_gate.mark in [getattr(m, "mark", m) for m in each.marks] for each in found] == [
        *(False, True, True),
        *(False, True),
    ]


@pytest.mark.parametrize(("all_of_them", "drawn"), [(True, 50), (False, 13)])
def test_a_quarter_of_the_examples(monkeypatch: pytest.MonkeyPatch, all_of_them: bool, drawn: int) -> None:
    monkeypatch.setattr(examples, "IS_ALL_ASKED_FOR", all_of_them)
    assert examples.examples(50).max_examples == drawn
