"""Processes of a server that hang, found and ended by the controller of the target."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from swn_torture.control.base import ControllerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from swn_torture.control.base import Controller
    from swn_torture.harness.live_target import LiveTarget


async def hung_in(targets: Iterable[tuple[LiveTarget, Controller | None]]) -> str:
    """Which processes of the server answer nothing any more, in words; empty if there are none.

    A client of such a process waits in vain, whatever the case is about.

    Args:
        targets: the target and the variants that a case uses, each with its open controller, if there is one.
    """
    found: list[str] = []
    for target, controller in targets:
        # The case itself, or what restores the cluster, tells what the controller cannot do.
        with contextlib.suppress(ControllerError):
            async with _looking(target, controller) as looking:
                found += await looking.hung() if looking else ()
    return "; ".join(found)


async def end_hung_processes(target: LiveTarget) -> None:
    """End the processes of the server that answer nothing: the next client may meet them again.

    Raises:
        ControllerError: the controller cannot reach the cluster.
    """
    async with _looking(target, None) as looking:
        if looking is not None:
            await looking.end_hung()


@contextlib.asynccontextmanager
async def _looking(target: LiveTarget, controller: Controller | None) -> AsyncIterator[Controller | None]:
    """A controller for a look at the target, if its kind knows of processes. It changes nothing to undo."""
    looking = controller or target.controller()
    if not looking.finds_hung:
        yield None
        return
    if controller is not None:
        yield controller
        return
    await looking.open()
    try:
        yield looking
    finally:
        await looking.close()
