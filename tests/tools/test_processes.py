"""The order in which the processes of pytest-xdist get the tests."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import COMPUTES, WAITS, in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


ROOT = Path(__file__).parents[2]


class Listed:
    """What `in_order` asks of a test."""

    def __init__(self, nodeid: str, *fixtures: str, lab: bool = False) -> None:
        self.nodeid = nodeid
        self.fixturenames = fixtures
        self._lab = lab

    def get_closest_marker(self, name: str) -> object:
        return self if name == "lab" and self._lab else None


def shares(tests: Sequence[Any], processes: int, *, lab: bool = False) -> list[list[str]]:
    """The tests that each process gets (``--dist worksteal``)."""
    left = [each.nodeid for each in in_order(tests, processes, lab=lab)]
    found = []
    for remaining in range(processes, 0, -1):
        size = len(left) // remaining
        found.append(left[:size])
        del left[:size]
    return found


def test_tests_that_wait_start_first_in_every_other_process() -> None:
    longest, second, third, *_ = WAITS
    tests = [Listed(f"tests/a.py::test_{number}") for number in range(20)]
    tests[3:3] = [Listed(third + "::test_a"), Listed(third + "::test_b"), Listed(second)]
    tests.append(Listed(longest))
    got = shares(tests, 4)
    assert [each[0] for each in got] == [longest, "tests/a.py::test_3", second, "tests/a.py::test_14"]
    assert got[0][1:3] == [third + "::test_a", third + "::test_b"]
    every = list(itertools.chain(*got))
    assert sorted(every) == sorted(each.nodeid for each in tests)
    assert [each for each in every if "/a.py" in each] == [f"tests/a.py::test_{n}" for n in range(20)]


def test_tests_that_compute_start_first_in_the_others() -> None:
    longest, second, *_ = COMPUTES
    waits, *_ = WAITS
    tests = [Listed(f"tests/a.py::test_{number}") for number in range(12)]
    tests += [Listed(f"{second}::test_b"), Listed(f"{longest}::test_a"), Listed(waits)]
    assert [each[0] for each in shares(tests, 3)] == [waits, f"{longest}::test_a", "tests/a.py::test_7"]
    assert shares(tests, 3)[1][1] == f"{second}::test_b"


@pytest.mark.parametrize("table", [WAITS, COMPUTES], ids=["waits", "computes"])
def test_longest_are_first_in_the_table(table: Mapping[str, int]) -> None:
    assert list(table.values()) == sorted(table.values(), reverse=True)


def test_tests_of_the_lab_start_in_two_processes() -> None:
    tests = [Listed(f"tests/a.py::test_{number}") for number in range(12)]
    tests += [Listed("shared", "running_lab", lab=True), Listed("alone", lab=True)]
    assert [each[0] for each in shares(tests, 2, lab=True)] == ["shared", "alone"]
    assert [each[0] for each in shares(tests, 2)] == ["tests/a.py::test_0", "tests/a.py::test_7"]


@pytest.mark.parametrize("processes", [1, 2, 5, 40])
def test_every_test_is_run_once(processes: int) -> None:
    others = (f"tests/a.py::test_{number}" for number in range(9))
    tests = [Listed(name) for name in [*WAITS, *COMPUTES, *others]]
    found = [each.nodeid for each in in_order(tests, processes, lab=True)]  # type: ignore[arg-type]
    assert sorted(found) == sorted(each.nodeid for each in tests)


@pytest.mark.parametrize("name", [*WAITS, *COMPUTES])
def test_what_is_listed_exists(name: str) -> None:
    module, _, test = name.partition("::")
    text = (ROOT / module).read_text(encoding="utf-8")
    assert not test or f"def {test.split('[')[0]}(" in text
