"""What `make test` leaves to the gate: tests that are one of many of their kind.

`make test` is for every commit, and has three minutes. It runs a sample of the tests that repeat one test for
each fault, server, page, example or size of a window, and draws a quarter of the examples of hypothesis. The
gate, ``.ci/run``, runs and draws all, with ``SWN_TORTURE_ALL_EXAMPLES=1``; so does ``make test-all``. A test
that is asked for by its file, name or marker always runs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _pytest.mark import ParameterSet

#: Whether nothing is left to the gate.
IS_ALL_ASKED_FOR: Final = bool(os.environ.get("SWN_TORTURE_ALL_EXAMPLES"))

#: Marks a test, or a parameter of one, that `make test` leaves to the gate.
in_gate: Final = pytest.mark.gate

LEFT_OUT: Final = pytest.mark.skip(reason="left to the gate and to `make test-all` (tests/examples.py)")


def examples(number: int, **others: Any) -> settings:
    """Settings for so many examples, or a quarter of them; use it as a decorator, too.

    Args:
        number: of examples that the gate draws.
        others: other settings of hypothesis.
    """
    return settings(max_examples=number if IS_ALL_ASKED_FOR else -(-number // 4), **others)


def one_in(number: int, values: Iterable[Any]) -> list[ParameterSet]:
    """Parameters of a test of which the first of so many is a sample, and the gate runs the others.

    Args:
        number: of values for each of the sample.
        values: one for each test; a tuple has the values of several arguments.
    """
    return [
        pytest.param(*(value if type(value) is tuple else (value,)), marks=[in_gate] * bool(place % number))
        for place, value in enumerate(values)
    ]


def leave_out(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Skip what is left to the gate, if all tests of the project are asked for."""
    chosen = config.args != ["tests"] or config.getoption("keyword") or config.getoption("markexpr")
    if not IS_ALL_ASKED_FOR and not chosen:
        for item in items:
            if item.get_closest_marker("gate") is not None:
                item.add_marker(LEFT_OUT)
