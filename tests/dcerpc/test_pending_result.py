"""What waits for the answer to a call: it gets the answer, an error, or the end of its time."""

from __future__ import annotations

import asyncio

import pytest

from swn_torture.dcerpc.client.call import PendingResult
from swn_torture.dcerpc.errors import ConnectionLost, DeadlineExceeded


def test_all_that_wait_get_the_first_result() -> None:
    async def run() -> list[int]:
        pending: PendingResult[int] = PendingResult()
        waiting = [asyncio.create_task(pending.wait(timeout, "it")) for timeout in (None, 30.0)]
        await asyncio.sleep(0)  # both wait now
        for result in (1, 2, ConnectionLost("late")):
            pending.set_result(result)
        async with asyncio.timeout(10):  # and not when the time of the second is over
            return [*await asyncio.gather(*waiting), await pending.wait(0, "it")]

    assert asyncio.run(run()) == [1, 1, 1]


def test_it_can_be_waited_for_again_after_the_time() -> None:
    async def run() -> int:
        pending: PendingResult[int] = PendingResult()
        with pytest.raises(DeadlineExceeded, match=r"^it: no answer in 0\.01 s$"):
            await pending.wait(0.01, "it")
        assert not pending.done()
        asyncio.get_running_loop().call_soon(pending.set_result, 3)
        return await pending.wait(30.0, "it")

    assert asyncio.run(run()) == 3


def test_an_error_is_raised_for_all() -> None:
    async def run() -> None:
        pending: PendingResult[int] = PendingResult()
        asyncio.get_running_loop().call_soon(pending.set_result, ConnectionLost("gone"))
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="gone"):
                await pending.wait(30.0, "it")

    asyncio.run(run())


def test_one_that_is_cancelled_does_not_disturb_the_others() -> None:
    async def run() -> int:
        pending: PendingResult[int] = PendingResult()
        first, second = (asyncio.create_task(pending.wait(30.0, "it")) for _ in range(2))
        await asyncio.sleep(0)  # both wait now
        first.cancel()
        pending.set_result(4)
        with pytest.raises(asyncio.CancelledError):
            await first
        async with asyncio.timeout(10):
            return await second

    assert asyncio.run(run()) == 4
