"""Hostile clients of the reference: each has a bound on memory, and does not keep others from being served.

The bounds are generous, because the machine of a test is busy. `python -m tests.hostile` prints the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.examples import one_in
from tests.hostile.attacks import ATTACKS
from tests.hostile.measuring import measure

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable
    from pathlib import Path

    from tests.hostile.attacks import Target

_LONGEST_DELAY = 30.0
"""Seconds within which another client is answered. On an idle machine it takes a small part of one."""

_MEGABYTES = 120
"""Megabytes that an attack may take."""


@pytest.mark.parametrize("attack", one_in(5, ATTACKS), ids=lambda attack: attack.__name__.replace("_", "-"))
def test_attack_is_bounded(attack: Callable[[Target, contextlib.ExitStack], None], tmp_path: Path) -> None:
    found = measure(attack, tmp_path)
    assert found.megabytes < _MEGABYTES
    assert found.calls
    assert found.delay < _LONGEST_DELAY
