"""Asking and telling the nodes of a CTDB cluster: who sees whom, who hosts what, and waiting for either."""

from __future__ import annotations

import asyncio
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import ControllerError, NodeState, NodeStatus, NotHealthy, describe
from swn_torture.control.ctdb_output import (
    CtdbNode,
    InterfaceAddress,
    parse_addresses,
    parse_interfaces,
    parse_registrations,
    parse_status,
)
from swn_torture.control.runner import Output, Runner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from swn_torture.control.base import RegistrationView
    from swn_torture.control.ctdb_settings import CtdbSettings

_POLL_SECONDS: Final = 0.1

# The kernel keeps so many characters of a program's name.
_COMM: Final = 15


@dataclass(frozen=True, slots=True)
class View:
    """The cluster as one of its nodes sees it."""

    seen_from: str
    nodes: tuple[CtdbNode, ...]
    hosts: Mapping[str, int | None]
    """Public address -> PNN of the node that hosts it."""

    @property
    def connected(self) -> int:
        """How many nodes it is connected to, itself included."""
        return sum("disconnected" not in node.flags for node in self.nodes)

    @property
    def healthy(self) -> bool:
        """Whether every node is OK and every public address is hosted."""
        return not any(node.flags for node in self.nodes) and None not in self.hosts.values()

    def node(self, address: str) -> CtdbNode:
        """The node of this address; `ControllerError` if CTDB has none."""
        for node in self.nodes:
            if node.address == address:
                return node
        raise ControllerError(
            f"CTDB has no node {address}; it has {', '.join(n.address for n in self.nodes)}"
        )


class CtdbCluster:
    """The nodes behind a `CtdbController`."""

    def __init__(self, settings: CtdbSettings) -> None:
        self.settings = settings
        self.names = list(settings.nodes)
        self._runner = Runner(settings.prefix, settings.nodes, settings.timeout)

    def known(self, name: str) -> str:
        """The name as the profile writes it; `ControllerError` for one that no node has."""
        for known in self.names:
            if known.casefold() == name.casefold():
                return known
        raise ControllerError(f"no node is called {name!r}; known are: {', '.join(self.names)}")

    async def on(self, node: str, *command: str, check: bool = True) -> Output:
        """Run a command on a node."""
        return await self._runner.on(node, *command, check=check)

    async def here(self, command: Sequence[str], node: str) -> Output:
        """Run a command about a node on this machine."""
        return await self._runner.here(command, node)

    # Questions

    async def view(self) -> View:
        """The cluster as a node sees it that is connected to more than half of it, if there is one.

        A node that is cut off answers too, and takes the others for dead.
        """
        best: View | None = None
        problems = []
        for name in self.names:
            try:
                view = await self.view_from(name)
            except ControllerError as error:
                problems.append(str(error))
                continue
            if best is None or view.connected > best.connected:
                best = view
            if view.connected * 2 > len(view.nodes):
                break
        if best is None:
            raise ControllerError(f"CTDB answers on no node of the cluster. {'; '.join(problems)}")
        return best

    async def view_from(self, name: str) -> View:
        """The cluster as this node sees it."""
        status = await self.on(name, "ctdb", "-X", "status")
        addresses = await self.on(name, "ctdb", "-X", "ip", "all")
        return View(name, parse_status(status.text), parse_addresses(addresses.text))

    def statuses(self, view: View) -> tuple[NodeStatus, ...]:
        """A view in the words of all controllers."""
        found = {node.address: node for node in view.nodes}
        statuses = []
        for name, address in self.settings.nodes.items():
            node = found.get(address)
            hosted = tuple(ip for ip, pnn in view.hosts.items() if node is not None and pnn == node.pnn)
            statuses.append(NodeStatus(name, NodeState.DOWN if node is None else node.state, hosted, address))
        return tuple(statuses)

    def pnn(self, view: View, name: str) -> int:
        """CTDB's number of a node."""
        return view.node(self.settings.nodes[self.known(name)]).pnn

    def flags(self, view: View, name: str) -> frozenset[str]:
        """CTDB's flags of a node; none when it is OK."""
        return view.node(self.settings.nodes[name]).flags

    async def interface_addresses(self, node: str) -> tuple[InterfaceAddress, ...]:
        """What `ip address` shows on a node."""
        return parse_interfaces((await self.on(node, "ip", "-o", "address", "show")).text)

    async def own_addresses(self, node: str) -> dict[str, int | None]:
        """The public addresses that a node itself may host, and where they are."""
        return parse_addresses((await self.on(node, "ctdb", "-X", "ip")).text)

    async def recovered(self, view: View) -> bool:
        """Whether CTDB is not recovering its databases. Takes up to a second: it waits for the leader."""
        status = await self.on(view.seen_from, "ctdb", "status", check=False)
        return "Recovery mode:NORMAL" in status.text

    async def ready(self, node: str) -> bool:
        """Whether the witness service of a node answers; True where the profile has no way to ask."""
        if not self.settings.ready:
            return True
        return (await self.on(node, *self.settings.ready, check=False)).code == 0

    # Orders

    async def net_witness(self, view: View, order: str, *options: str) -> tuple[RegistrationView, ...]:
        """`net witness ORDER`: the registrations that it lists, or that it has given the order to."""
        done = await self.on(view.seen_from, "net", "witness", order, "--json", *options)
        return parse_registrations(done.text, {self.pnn(view, name): name for name in self.names})

    async def start(self, node: str, command: Sequence[str]) -> None:
        """Run a start command unless its program already runs on the node."""
        program = command[0].rpartition("/")[2][:_COMM]
        guard = f'pgrep --ns $$ --nslist net -x "$0" >/dev/null || exec {shlex.join(command)}'
        await self.on(node, "sh", "-c", guard, program)

    async def stop(self, node: str, program: str) -> None:
        """End a program on a node, and return when it has."""
        find = '--ns $$ --nslist net -x "$0"'
        await self.on(
            node,
            *("sh", "-c", f"pkill -TERM {find}; while pgrep {find} >/dev/null; do sleep 0.05; done"),
            program[:_COMM],
        )

    async def crash(self, node: str) -> None:
        """Kill CTDB and Samba on a node, and take away the public addresses that its CTDB no longer can."""
        public = (await self.view()).hosts
        await self.on(node, *self.settings.crash)
        for found in await self.interface_addresses(node):
            if found.address in public:
                address = f"{found.address}/{found.prefix_length}"
                await self.on(node, "ip", "address", "delete", address, "dev", found.interface)

    async def revive(self, node: str, deadline: float) -> None:
        """Bring a node back, whatever was done to it and by whom; returns when CTDB says OK and Samba runs.

        Raises `NotHealthy` when it is not OK at `deadline` (of `time.monotonic()`).
        """
        settings = self.settings
        for mend in filter(None, (settings.power_on, settings.heal)):
            await self.here(mend, node)
        await self.start(node, settings.start_ctdb)

        async def in_service() -> bool:
            view = await self.view()
            flags = self.flags(view, node)
            if "disconnected" not in flags:
                orders = {"banned": "unban", "stopped": "continue", "disabled": "enable"}
                for flag in flags & orders.keys():
                    await self.on(view.seen_from, "ctdb", "-n", str(self.pnn(view, node)), orders[flag])
            return not flags

        await self.until(in_service, deadline)
        for command in settings.start_services:
            await self.start(node, command)

    async def until(self, done: Callable[[], Awaitable[bool]], deadline: float) -> None:
        """Ask until the answer is yes; `NotHealthy` at `deadline` (of `time.monotonic()`).

        While the cluster changes, questions may fail: only the last failure counts.
        """
        while True:
            problem = ""
            try:
                if await done():
                    return
            except ControllerError as error:
                problem = str(error)
            if time.monotonic() > deadline:
                with suppress(ControllerError):
                    problem = "; ".join(filter(None, (problem, describe(self.statuses(await self.view())))))
                raise NotHealthy(f"the cluster is not healthy in time: {problem}")
            await asyncio.sleep(_POLL_SECONDS)
