"""What a registration shows after a node failed, and when it shows nothing."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from swn_torture.casekit.rules.failure_scenario import FailureScenario
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import AsyncNotifyResponse
from tests.casekit.fakes import QUICK
from tests.casekit.samples import failed
from tests.casekit.test_casekit_listeners import listener

if TYPE_CHECKING:
    from swn_torture.casekit.steps.listeners import Listener

NOT_FOUND = AsyncNotifyResponse(None, Win32.ERROR_NOT_FOUND)
RULE = "SWN-3.1.6.1-queues-change"


def scenario(one: Listener) -> FailureScenario:
    host = SimpleNamespace(node="NODE2")
    return FailureScenario(
        one.witness,
        one.witness.spec,
        cluster=cast("Any", None),
        host=cast("Any", host),
        index=1,
        affected=[one],
        without_call=listener([None]),
        unaffected=[],
    )


@pytest.mark.parametrize(
    ("version", "age", "findings"),
    [(1, 0.0, [RULE]), (1, QUICK.unused_timeout, []), (2, QUICK.unused_timeout, [RULE])],
)
def test_only_version_1_may_end_after_the_unused_timeout(
    version: int, age: float, findings: list[str]
) -> None:
    one = listener([NOT_FOUND], requirements=[RULE])
    one.version = version
    asyncio.run(one.wait_for_notifications(QUICK.event_deadline))
    one.last_use = time.monotonic() - age

    scenario(one).check_each_notified([one])

    assert failed(one.witness.spec) == findings
