"""After a case has disturbed the cluster, the next one waits until the clients have been notified."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from swn_torture.casekit.checks import Spec
from swn_torture.control.base import ControllerError
from swn_torture.harness.case_run import CaseRun
from swn_torture.harness.live_target import LiveTarget
from swn_torture.target import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.control.base import Controller


@pytest.fixture(scope="module")
def target() -> Iterator[LiveTarget]:
    with LiveTarget(load_profile("reference")) as running:
        yield running


def settle(target: LiveTarget, controller: Controller) -> None:
    """Settle a target, as at the end of a case."""
    case = cast("Any", SimpleNamespace(target=target, spec=Spec("steps.test", ())))
    asyncio.run(CaseRun._settle(case, controller))


class Moves:
    """A controller that passes moves of clients on, or rejects them; it records the clients."""

    needs_person = False

    def __init__(self, controller: Controller, *, rejects: bool = False) -> None:
        self.controller = controller
        self.rejects = rejects
        self.moved: list[str] = []

    def can(self, *_: object) -> bool:
        return True

    async def move_client(self, client: str, destination: str) -> None:
        self.moved.append(client)
        if self.rejects:
            raise ControllerError("not now")
        async with self.controller as controller:
            await controller.move_client(client, destination)


def test_the_events_of_a_case_have_arrived_when_it_ends(target: LiveTarget) -> None:
    moves = Moves(target.controller())

    settle(target, cast("Any", moves))

    assert len(moves.moved) == 1
    assert target.notifies_of_moves


def test_a_target_that_does_not_notify_of_moves_is_not_asked_again(target: LiveTarget) -> None:
    moves = Moves(target.controller(), rejects=True)

    settle(target, cast("Any", moves))
    assert not target.notifies_of_moves
    settle(target, cast("Any", moves))

    assert len(moves.moved) == 1
    target.notifies_of_moves = True


def test_every_controller_is_restored_and_closed() -> None:
    done: list[str] = []

    class Restored:
        def __init__(self, name: str, *, fails: bool = False) -> None:
            self.name, self.fails = name, fails

        async def restore(self) -> None:
            done.append(f"restore {self.name}")
            if self.fails:
                raise ControllerError("Left undone")

        async def close(self) -> None:
            done.append(f"close {self.name}")

    controllers = [(Restored("variant", fails=True), None), (Restored("target"), None)]
    case = cast(
        "Any",
        SimpleNamespace(
            _witnesses=[],
            controllers=controllers,
            _cluster=None,
            _restore=lambda controller, _target: controller.restore(),
            _may_have_changed=lambda _target: True,
            mark=SimpleNamespace(disturbs=True),
        ),
    )
    with pytest.raises(ControllerError, match="Left undone"):
        asyncio.run(CaseRun._clean_up(case))

    assert done == ["restore variant", "restore target", "close variant", "close target"]
