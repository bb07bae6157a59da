"""Any controller, with a journal: what must be undone is in a file before it is done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.control.base import Controller, ControllerError, NotSupported
from swn_torture.control.step import Step, failure_of, undo_of
from swn_torture.control.undoing.changes import host_of, perform
from swn_torture.control.values import Failure
from swn_torture.control.wrapped import WrappedController

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from swn_torture.control.stimulus import Stimulus
    from swn_torture.control.undoing.journal import Entry, Journal
    from swn_torture.control.witness_lists import WitnessLists
    from swn_torture.witness.messages import RespAsyncNotify


class JournaledController(WrappedController):
    """A controller that writes each change into a journal before it makes it.

    Args:
        inner: the controller that makes the changes.
        journal: the journal of its target.

    Attributes:
        inner: as the argument.
        journal: as the argument.
    """

    def __init__(self, inner: Controller, journal: Journal) -> None:
        super().__init__(inner)
        self.journal = journal
        self.finds_hung = inner.finds_hung

    async def restore_from_journal(self, timeout: float = 120.0) -> tuple[Entry, ...]:
        """Undo what the journal has, also of processes that were killed, and return it.

        Raises:
            NotHealthy: something is left undone after `timeout` seconds; the journal keeps it.
            ControllerError: a process that made a change still runs, or a call failed.
        """
        entries = self.journal.entries()
        running = next((entry for entry in entries if entry.running), None)
        if running is not None:
            raise ControllerError(
                f"process {running.process} still uses the cluster ({running.by}), and undoes its changes "
                "when it ends. End it first"
            )
        if entries:
            self.inner.recall(self.journal.state(), [entry.undo for entry in entries])
        await self.inner.restore(timeout)
        self.journal.clear()
        return entries

    async def undo_own(self) -> tuple[Entry, ...]:
        """Undo the changes of this process, the last one first, and return them. For an interrupted command.

        Raises:
            ControllerError: a call failed; the journal keeps the change.
        """
        entries = tuple(e for e in self.journal.entries() if e.process == os.getpid())
        for entry in reversed(entries):
            await perform(entry.undo, self)
        return entries

    # What the inner controller does

    @override
    def attach(self, lists: WitnessLists) -> None:
        self.inner.attach(lists)

    @override
    async def open(self) -> None:
        await self.inner.open()

    @override
    async def close(self) -> None:
        await self.inner.close()

    @override
    def changed_at(self) -> float | None:
        return self.inner.changed_at()

    @override
    async def restart(self, node: str) -> None:
        await self.inner.restart(node)

    @override
    async def move_client(
        self,
        client: str,
        destination: str,
        *,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        return await self.inner.move_client(
            client, destination, net_name=net_name, ip_address=ip_address, not_for=not_for
        )

    @override
    async def move_share(
        self,
        share: str,
        destination: str,
        *,
        client: str | None = None,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        return await self.inner.move_share(
            share, destination, client=client, net_name=net_name, ip_address=ip_address, not_for=not_for
        )

    @override
    async def force_unregister(self, key: str) -> None:
        await self.inner.force_unregister(key)

    @override
    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        await self.inner.force_response(key, result=result, response=response)

    @override
    async def hung(self) -> tuple[str, ...]:
        return await self.inner.hung()

    @override
    async def end_hung(self) -> tuple[str, ...]:
        return await self.inner.end_hung()

    # What is written into the journal before

    async def _change(self, step: Step, make: Callable[[], Awaitable[None]]) -> None:
        """Write how a call is undone, make the call, and remove what it has undone itself."""
        host = await host_of(self.inner, step.arguments[0]) if step.call == "move_address" else None
        undo = undo_of(step, host)
        entries = self.journal.entries()
        undoes = any(entry.undo == step for entry in entries)
        new = undo is not None and not undoes and all(entry.undo != undo for entry in entries)
        if new and undo is not None:
            self.journal.add(step, undo, self.inner.state())
        try:
            await make()
        except NotSupported:
            if new and undo is not None:
                self.journal.remove(undo)
            raise
        if undoes:
            self.journal.remove(step)

    @override
    async def disable(self, node: str) -> None:
        await self._change(Step("disable", (node,)), lambda: self.inner.disable(node))

    @override
    async def enable(self, node: str) -> None:
        await self._change(Step("enable", (node,)), lambda: self.inner.enable(node))

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        await self._change(failure_of(node, how), lambda: self.inner.fail(node, how))

    @override
    async def recover(self, node: str) -> None:
        await self._change(Step("recover", (node,)), lambda: self.inner.recover(node))

    @override
    async def add_address(self, node: str, address: str) -> None:
        step = Step("add_address", (node, address))
        await self._change(step, lambda: self.inner.add_address(node, address))

    @override
    async def remove_address(self, node: str, address: str) -> None:
        step = Step("remove_address", (node, address))
        await self._change(step, lambda: self.inner.remove_address(node, address))

    @override
    async def move_address(self, address: str, node: str) -> None:
        step = Step("move_address", (address, node))
        await self._change(step, lambda: self.inner.move_address(address, node))

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        step = Step("interface_up" if up else "interface_down", (node,))
        await self._change(step, lambda: self.inner.set_interface(node, up=up))

    @override
    async def set_interface_unknown(self, node: str) -> None:
        step = Step("interface_unknown", (node,))
        await self._change(step, lambda: self.inner.set_interface_unknown(node))

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        await self.inner.restore(timeout)
        self.journal.remove_own()
