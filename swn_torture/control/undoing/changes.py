"""What a controller has changed, as the calls that undo it.

Each change is stored before it is made. A call that undoes a stored change removes it when it has succeeded.
So the list is empty when the cluster is as it was.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import Capability, ControllerError, NotHealthy
from swn_torture.control.step import undo_of

if TYPE_CHECKING:
    from swn_torture.control.base import Controller
    from swn_torture.control.step import Step

_PAUSE_SECONDS: Final = 1.0


async def perform(step: Step, controller: Controller) -> None:
    """Make a call.

    Raises:
        ControllerError: the call failed.
    """
    node = step.arguments[0]
    if step.call == "interface_unknown":
        await controller.set_interface_unknown(node)
    elif step.call.startswith("interface_"):
        await controller.set_interface(node, up=step.call == "interface_up")
    else:
        await getattr(controller, step.call)(*step.arguments)


class Changes:
    """The calls that undo what was changed, oldest change first.

    Attributes:
        pending: the calls.
    """

    def __init__(self) -> None:
        self.pending: list[Step] = []

    def begin(self, step: Step, host: str | None = None) -> None:
        """Store how a call is undone, before the call is made.

        A call that itself undoes a stored change needs no other one.

        Args:
            step: the call.
            host: as for `undo_of`.
        """
        undo = undo_of(step, host)
        if undo is not None and step not in self.pending and undo not in self.pending:
            self.pending.append(undo)

    def end(self, step: Step) -> None:
        """Remove what a call has undone, after it has succeeded."""
        if step in self.pending:
            self.pending.remove(step)


async def host_of(controller: Controller, address: str) -> str | None:
    """The node that hosts an address; None if no node does, or the controller cannot list the nodes."""
    if Capability.LIST_NODES not in controller.capabilities:
        return None
    return next((node.name for node in await controller.nodes() if address in node.addresses), None)


async def undo_all(controller: Controller, changes: Changes, timeout: float) -> None:
    """Undo all changes, the last one first, and wait until the cluster is healthy; repeat what fails.

    Args:
        controller: makes the calls, and removes each from `changes` when it has succeeded.
        changes: what to undo.
        timeout: seconds to try.

    Raises:
        NotHealthy: something is left undone after `timeout` seconds; the text says what.
    """
    deadline = time.monotonic() + timeout
    while True:
        problems = []
        for step in reversed(tuple(changes.pending)):
            try:
                await perform(step, controller)
                changes.end(step)
            except ControllerError as problem:
                problems.append(f"{step}: {problem}")
        if not problems:
            await controller.wait_healthy(max(deadline - time.monotonic(), 0.0))
            return
        if time.monotonic() >= deadline:
            raise NotHealthy(
                f"the cluster is not restored after {timeout:g} s. Left undone: {'; '.join(problems)}. "
                "To try it again: swn-torture cluster restore --target PROFILE"
            )
        await asyncio.sleep(_PAUSE_SECONDS)
