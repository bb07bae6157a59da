"""The live line of a run says what it waits for, for how long, and how long yet."""

from __future__ import annotations

import pytest

from swn_torture.commands.waiting import Waiting, lasts_of, shown
from swn_torture.harness.case_map import collect_cases

SLOW = "cluster/registrations/test_keep_alive.py::test_slow[ndr32]"


@pytest.fixture
def waiting() -> Waiting:
    return Waiting(lambda name: 35.0 if name == SLOW else 0.0)


def test_short_cases_are_not_named(waiting: Waiting) -> None:
    waiting.start("rpc/test_a.py::test_x", 100.0)
    assert waiting.text(101.0) == ""


def test_long_case_is_named_with_its_age_and_what_is_left(waiting: Waiting) -> None:
    waiting.start(SLOW, 100.0)
    assert waiting.text(112.0) == "waiting for keep-alive.slow[ndr32]: 12 s, about 23 s yet"
    assert waiting.text(140.0) == "waiting for keep-alive.slow[ndr32]: 40 s"
    waiting.end(SLOW)
    assert waiting.text(141.0) == ""


def test_of_several_the_one_that_takes_longest_is_named(waiting: Waiting) -> None:
    waiting.start("rpc/test_a.py::test_x", 90.0)
    waiting.start(SLOW, 100.0)
    waiting.start("rpc/test_a.py::test_y", 104.9)
    assert waiting.text(105.0) == "waiting for keep-alive.slow[ndr32]: 5 s, about 30 s yet, and 1 more"


def test_every_case_of_the_suite_has_its_mark_and_its_id() -> None:
    for case_id, info in collect_cases().items():
        assert lasts_of(info.node_id) == info.lasts, case_id
        assert case_id.endswith(shown(info.node_id)), case_id


def test_test_of_somebody_else_has_no_duration() -> None:
    assert lasts_of("tests/test_x.py::test_y") == 0.0
    assert lasts_of("rpc/test_no_such_module.py::test_y") == 0.0
