"""How many examples hypothesis draws for each property.

`make test` draws a quarter of them: the others took a quarter of the processor time of the test processes
(2026-12-01). The gate draws all, with ``SWN_TORTURE_ALL_EXAMPLES=1``; do so after a change of the codec, the
PDUs or the state machine.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

_ALL = bool(os.environ.get("SWN_TORTURE_ALL_EXAMPLES"))


def examples(number: int, **others: Any) -> settings:
    """Settings for so many examples, or a quarter of them; use it as a decorator, too.

    Args:
        number: of examples that the gate draws.
        others: other settings of hypothesis.
    """
    return settings(max_examples=number if _ALL else -(-number // 4), **others)
