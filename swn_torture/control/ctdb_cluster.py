"""The nodes of a CTDB cluster: run commands on them, read their view of the cluster, start, stop and wait."""

from __future__ import annotations

import asyncio
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import (
    ControllerError,
    NodeState,
    NodeStatus,
    NotHealthy,
    describe,
    unknown_node,
)
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

# The kernel keeps this many characters of the name of a program, and pgrep compares with them.
_COMM_LENGTH: Final = 15


@dataclass(frozen=True, slots=True)
class CtdbView:
    """The cluster as one of its nodes sees it."""

    seen_from: str
    """The name of that node."""
    nodes: tuple[CtdbNode, ...]
    hosts: Mapping[str, int | None]
    """Public address -> PNN of the node that hosts it; None where no node does."""

    @property
    def connected(self) -> int:
        """The number of nodes that this node is connected to, itself included."""
        return sum("disconnected" not in node.flags for node in self.nodes)

    @property
    def healthy(self) -> bool:
        """Whether every node is OK and every public address is hosted."""
        return not any(node.flags for node in self.nodes) and None not in self.hosts.values()

    def node(self, address: str) -> CtdbNode:
        """Return the node with this address.

        Raises:
            ControllerError: CTDB has no such node.
        """
        for node in self.nodes:
            if node.address == address:
                return node
        raise ControllerError(
            f"CTDB has no node {address}; it has {', '.join(n.address for n in self.nodes)}"
        )


class CtdbCluster:
    """The nodes of a `CtdbController`.

    Every method that runs a command raises `ControllerError` when it fails (`runner.CommandFailed`).

    Args:
        settings: the settings of the profile.
    """

    def __init__(self, settings: CtdbSettings) -> None:
        self.settings = settings
        self.names = list(settings.nodes)
        self._runner = Runner(settings.prefix, settings.nodes, settings.timeout)

    def node_name(self, name: str) -> str:
        """Return the name of a node as in the profile, without regard to case.

        Raises:
            ControllerError: the name is unknown; the text lists the known names.
        """
        for known in self.names:
            if known.casefold() == name.casefold():
                return known
        raise unknown_node(name, self.names)

    async def run_on(self, node: str, *command: str, check: bool = True) -> Output:
        """Run a command on a node; see `Runner.run_on`."""
        return await self._runner.run_on(node, *command, check=check)

    async def run_here(self, command: Sequence[str], node: str) -> Output:
        """Run a command about a node on this machine; see `Runner.run_here`."""
        return await self._runner.run_here(command, node)

    # Queries

    async def view(self) -> CtdbView:
        """Return the cluster as seen by a node that is connected to more than half of the nodes.

        Without such a node: as seen by the one with the most connections. A node that is cut off answers
        too, and reports the others as disconnected.

        Raises:
            ControllerError: CTDB answers on no node.
        """
        best: CtdbView | None = None
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
            raise ControllerError(f"CTDB answers on no node of the cluster: {'; '.join(problems)}")
        return best

    async def view_from(self, name: str) -> CtdbView:
        """Return the cluster as this node sees it."""
        status = await self.run_on(name, "ctdb", "-X", "status")
        addresses = await self.run_on(name, "ctdb", "-X", "ip", "all")
        return CtdbView(name, parse_status(status.text), parse_addresses(addresses.text))

    def statuses(self, view: CtdbView) -> tuple[NodeStatus, ...]:
        """Return the states of all nodes in a view, in the order of the profile."""
        found = {node.address: node for node in view.nodes}
        statuses = []
        for name, address in self.settings.nodes.items():
            node = found.get(address)
            hosted = tuple(ip for ip, pnn in view.hosts.items() if node is not None and pnn == node.pnn)
            statuses.append(NodeStatus(name, NodeState.DOWN if node is None else node.state, hosted, address))
        return tuple(statuses)

    def pnn(self, view: CtdbView, name: str) -> int:
        """Return CTDB's number of a node."""
        return view.node(self.settings.nodes[self.node_name(name)]).pnn

    def flags(self, view: CtdbView, name: str) -> frozenset[str]:
        """Return CTDB's flags of a node; empty if it is OK."""
        return view.node(self.settings.nodes[name]).flags

    async def interface_addresses(self, node: str) -> tuple[InterfaceAddress, ...]:
        """Return the addresses of all interfaces of a node."""
        return parse_interfaces((await self.run_on(node, "ip", "-o", "address", "show")).text)

    async def own_addresses(self, node: str) -> dict[str, int | None]:
        """Return the public addresses in the configuration of a node, each with the PNN of its host."""
        return parse_addresses((await self.run_on(node, "ctdb", "-X", "ip")).text)

    async def in_recovery(self, view: CtdbView) -> bool:
        """Whether CTDB recovers its databases. Takes up to a second: `ctdb status` waits for the leader."""
        status = await self.run_on(view.seen_from, "ctdb", "status", check=False)
        return "Recovery mode:NORMAL" not in status.text

    async def ready(self, node: str) -> bool:
        """Whether the witness service of a node answers; True where the profile has no command `ready`."""
        if not self.settings.ready:
            return True
        return (await self.run_on(node, *self.settings.ready, check=False)).code == 0

    # Changes

    async def net_witness(
        self, view: CtdbView, subcommand: str, *options: str
    ) -> tuple[RegistrationView, ...]:
        """Run `net witness SUBCOMMAND`, and return the registrations that it prints: those that match."""
        output = await self.run_on(view.seen_from, "net", "witness", subcommand, "--json", *options)
        return parse_registrations(output.text, {self.pnn(view, name): name for name in self.names})

    async def start(self, node: str, command: Sequence[str]) -> None:
        """Run a start command on a node unless its program already runs there."""
        program = command[0].rpartition("/")[2][:_COMM_LENGTH]
        guard = f'pgrep --ns $$ --nslist net -x "$0" >/dev/null || exec {shlex.join(command)}'
        await self.run_on(node, "sh", "-c", guard, program)

    async def stop(self, node: str, program: str) -> None:
        """End a program on a node, and return when it has ended."""
        find = '--ns $$ --nslist net -x "$0"'
        await self.run_on(
            node,
            *("sh", "-c", f"pkill -TERM {find}; while pgrep {find} >/dev/null; do sleep 0.05; done"),
            program[:_COMM_LENGTH],
        )

    async def crash(self, node: str) -> None:
        """Kill CTDB and Samba on a node, and remove its public addresses: its CTDB does not any more."""
        public = (await self.view()).hosts
        await self.run_on(node, *self.settings.crash)
        for found in await self.interface_addresses(node):
            if found.address in public:
                address = f"{found.address}/{found.prefix_length}"
                await self.run_on(node, "ip", "address", "delete", address, "dev", found.interface)

    async def return_to_service(self, node: str, deadline: float) -> None:
        """Return a node to service from any state; return when its CTDB is OK and its Samba is started.

        Args:
            node: the name of the node.
            deadline: the latest time, by `time.monotonic()`.

        Raises:
            NotHealthy: CTDB is not OK on the node at the deadline.
        """
        settings = self.settings
        for command in filter(None, (settings.power_on, settings.heal)):
            await self.run_here(command, node)
        await self.start(node, settings.start_ctdb)

        async def in_service() -> bool:
            view = await self.view()
            flags = self.flags(view, node)
            if "disconnected" not in flags:
                subcommands = {"banned": "unban", "stopped": "continue", "disabled": "enable"}
                for flag in flags & subcommands.keys():
                    pnn = str(self.pnn(view, node))
                    await self.run_on(view.seen_from, "ctdb", "-n", pnn, subcommands[flag])
            return not flags

        await self.wait_until(in_service, deadline)
        for command in settings.start_services:
            await self.start(node, command)

    async def wait_until(self, condition: Callable[[], Awaitable[bool]], deadline: float) -> None:
        """Check a condition until it is true.

        While the cluster changes, the check itself may raise `ControllerError`; only the last one counts.

        Args:
            condition: the check.
            deadline: the latest time, by `time.monotonic()`.

        Raises:
            NotHealthy: the condition is false at the deadline; the text has the states of the nodes.
        """
        while True:
            problem = ""
            try:
                if await condition():
                    return
            except ControllerError as error:
                problem = str(error)
            if time.monotonic() > deadline:
                with suppress(ControllerError):
                    problem = "; ".join(filter(None, (problem, describe(self.statuses(await self.view())))))
                raise NotHealthy(f"the cluster was not healthy before the deadline: {problem}")
            await asyncio.sleep(_POLL_SECONDS)
