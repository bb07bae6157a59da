"""The interface of controllers, through the one that can do nothing."""

from __future__ import annotations

import asyncio

import pytest

from swn_torture.control import Capability, Failure, NoController, NotSupported


def test_every_failure_names_its_capability() -> None:
    assert [failure.capability for failure in Failure] == [
        Capability.FAIL_CRASH,
        Capability.FAIL_POWER_OFF,
        Capability.FAIL_PARTITION,
    ]


def test_an_order_without_its_capability_names_what_is_missing() -> None:
    controller = NoController()
    with pytest.raises(NotSupported, match="the none controller cannot do fail-power-off") as caught:
        asyncio.run(controller.fail("NODE1", Failure.POWER_OFF))
    assert caught.value.capability is Capability.FAIL_POWER_OFF


def test_missing_keeps_the_order_of_the_question() -> None:
    wanted = (Capability.MOVE_SHARE, Capability.LIST_NODES)
    assert NoController().missing(wanted) == wanted
    assert not NoController().can(*wanted)
    assert NoController().can()


@pytest.mark.parametrize("order", ["wait_healthy", "restore"])
def test_nothing_to_restore_returns_at_once(order: str) -> None:
    coroutine = getattr(NoController(), order)(timeout=0)
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)  # ends in its first step: it waits for nothing
    assert ended.value.value is None
