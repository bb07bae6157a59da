"""The methods that all controllers inherit, tested with `NoController`."""

from __future__ import annotations

import asyncio

import pytest

from swn_torture.control import Capability, Failure, NoController, NotSupported


def test_every_failure_has_its_capability() -> None:
    assert [failure.capability for failure in Failure] == [
        capability for capability in Capability if capability.value.startswith("fail-")
    ]


def test_call_without_its_capability_names_the_capability() -> None:
    controller = NoController()
    with pytest.raises(NotSupported, match="the none controller does not support fail-power-off") as caught:
        asyncio.run(controller.fail("NODE1", Failure.POWER_OFF))
    assert caught.value.capability is Capability.FAIL_POWER_OFF


def test_no_capability_is_there() -> None:
    assert not NoController().can(Capability.MOVE_SHARE, Capability.LIST_NODES)
    assert NoController().can()


@pytest.mark.parametrize("call", ["wait_healthy", "restore"])
def test_wait_and_restore_return_at_once(call: str) -> None:
    coroutine = getattr(NoController(), call)(timeout=0)
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)  # it ends in its first step, so it does not wait
    assert ended.value.value is None
