"""The nodes of a CTDB cluster: run commands on them, read their view of the cluster, start, stop and wait."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import (
    ControllerError,
    EffectNotSeen,
    NodeState,
    NodeStatus,
    NotHealthy,
    unknown_node,
)
from swn_torture.control.ctdb.daemon import DaemonChoice
from swn_torture.control.ctdb.output import (
    CtdbNode,
    InterfaceAddress,
    parse_addresses,
    parse_interfaces,
    parse_recovery,
    parse_registrations,
    parse_status,
    parse_tunables,
)
from swn_torture.control.runner import CommandFailed, Output, Runner
from swn_torture.control.shared import describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from swn_torture.control.base import RegistrationView
    from swn_torture.control.ctdb.settings import CtdbSettings

_POLL_SECONDS: Final = 0.1
_REPEAT_SECONDS: Final = 3.0
"""Seconds until a command that failed is repeated."""

# The kernel keeps this many characters of the name of a program, and pgrep compares with them.
COMM_LENGTH: Final = 15


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
    def in_majority(self) -> bool:
        """Whether this node is connected to more than half of the nodes, itself included."""
        return self.connected * 2 > len(self.nodes)

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
        self._daemon = DaemonChoice(settings.socket)
        self._prints_json = True

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
        """Run a command on a node; see `Runner.run_on`. `ctdb` calls the daemon of the settings."""
        if command[0] == "ctdb" and self._daemon.socket:
            if not self._daemon.is_known:
                version = await self._runner.run_on(node, "ctdb", "version")
                self._daemon.learn(version.text)
            command = (*self._daemon.words, *command)
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
            if view.in_majority:
                break
        if best is None:
            raise ControllerError(f"CTDB answers on no node of the cluster: {'; '.join(problems)}")
        return best

    async def view_from(self, name: str) -> CtdbView:
        """Return the cluster as this node sees it."""
        status = await self.run_on(name, "ctdb", "-X", "status")
        addresses = await self.run_on(name, "ctdb", "-X", "ip", "all")
        return CtdbView(name, parse_status(status.text), parse_addresses(addresses.text))

    async def in_majority(self, name: str) -> bool:
        """Whether this node answers, and reports that it is connected to more than half of the nodes."""
        try:
            return (await self.view_from(name)).in_majority
        except CommandFailed:
            return False

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

    async def movable_addresses(self, view: CtdbView, node: str) -> frozenset[str]:
        """Return the addresses that a node hosts and another node that is OK can take over."""
        pnn = self.pnn(view, node)
        others = [name for name in self.names if name != node and not self.flags(view, name)]
        known = await asyncio.gather(*map(self.own_addresses, others))
        elsewhere = {address for each in known for address in each}
        return frozenset(a for a, host in view.hosts.items() if host == pnn and a in elsewhere)

    async def tunables(self, node: str) -> dict[str, int]:
        """Return the variables of CTDB on a node."""
        return parse_tunables((await self.run_on(node, "ctdb", "listvars")).text)

    async def in_recovery(self, view: CtdbView) -> bool:
        """Whether CTDB recovers its databases.

        Takes up to a second, because without -X `ctdb status` waits for the leader. It prints JSON from Samba
        4.25 on.
        """
        if self._prints_json:
            status = await self.run_on(view.seen_from, "ctdb", "--json", "status", check=False)
            if status.code == 0:
                return parse_recovery(status.text)
            # An older release, or one that was built without it. Any other failure may pass.
            self._prints_json = "unknown option" not in status.errors
        status = await self.run_on(view.seen_from, "ctdb", "status", check=False)
        return parse_recovery(status.text)

    async def ready(self, node: str) -> bool:
        """Whether the witness service of a node answers; True where the profile has no command `ready`."""
        if not self.settings.ready:
            return True
        return (await self.run_on(node, *self.settings.ready, check=False)).code == 0

    async def state_text(self) -> str:
        """Return the states of the nodes and the addresses without a host in one line, for messages."""
        view = await self.view()
        unhosted = [address for address, pnn in view.hosts.items() if pnn is None]
        without_host = f"; no node hosts {', '.join(unhosted)}" if unhosted else ""
        return describe(self.statuses(view)) + without_host

    # Changes

    async def set_tunable(self, name: str, value: int) -> None:
        """Set a variable of CTDB on every node that is connected."""
        view = await self.view()
        connected = [node for node in self.names if "disconnected" not in self.flags(view, node)]
        await asyncio.gather(*(self.run_on(n, "ctdb", "setvar", name, str(value)) for n in connected))

    async def net_witness(
        self, view: CtdbView, subcommand: str, *options: str
    ) -> tuple[RegistrationView, ...]:
        """Run `net witness SUBCOMMAND`, and return the registrations that it prints: those that match."""
        text = await self.net_witness_text(view, subcommand, *options)
        return parse_registrations(text, {self.pnn(view, name): name for name in self.names})

    async def net_witness_text(self, view: CtdbView, subcommand: str, *options: str) -> str:
        """Run `net witness SUBCOMMAND`, and return the JSON that it prints.

        `list` changes nothing. So it is run again if a busy machine does not end it before its deadline.
        """
        command = ("net", "witness", subcommand, "--json", *options)
        try:
            return (await self.run_on(view.seen_from, *command)).text
        except CommandFailed as problem:
            if subcommand != "list" or problem.code is not None:
                raise
        return (await self.run_on(view.seen_from, *command)).text

    async def start(self, node: str, command: Sequence[str]) -> None:
        """Run a start command on a node unless its program already runs there."""
        program = command[0].rpartition("/")[2][:COMM_LENGTH]
        guard = f'pgrep --ns $$ --nslist net -x "$0" >/dev/null || exec {shlex.join(command)}'
        await self.run_on(node, "sh", "-c", guard, program)

    async def stop(self, node: str, program: str) -> None:
        """End a program on a node, and return when it has ended."""
        find = '--ns $$ --nslist net -x "$0"'
        await self.run_on(
            node,
            *("sh", "-c", f"pkill -TERM {find}; while pgrep {find} >/dev/null; do sleep 0.05; done"),
            program[:COMM_LENGTH],
        )

    async def resume(self, node: str) -> None:
        """Let processes that hang go on."""
        await self.run_on(node, *self.settings.resume)

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

        async def powered_and_connected() -> bool:
            for command in filter(None, (settings.power_on, settings.heal, settings.link_up)):
                await self.run_here(command, node)
            # A process that hangs ignores all other commands, and a start would find its program running.
            await self.resume(node)
            return True

        async def in_service() -> bool:
            await self.start(node, settings.start_ctdb)
            view = await self.view()
            flags = self.flags(view, node)
            if "disconnected" not in flags:
                subcommands = {"banned": "unban", "stopped": "continue", "disabled": "enable"}
                for flag in flags & subcommands.keys():
                    pnn = str(self.pnn(view, node))
                    await self.run_on(view.seen_from, "ctdb", "-n", pnn, subcommands[flag])
            return not flags

        async def samba_started() -> bool:
            for command in settings.start_services:
                await self.start(node, command)
            return True

        for step in (powered_and_connected, in_service, samba_started):
            await self.wait_until(step, deadline)

    async def until_seen(
        self,
        what: str,
        change: Callable[[], Awaitable[object]],
        seen: Callable[[], Awaitable[bool]],
        limit: float,
    ) -> None:
        """Change the cluster, and return when it shows the effect.

        A command fails while CTDB moves addresses or recovers its databases, and it may take effect all the
        same. So only the effect counts, and a command that failed is repeated until the effect is there.

        Args:
            what: the effect, for the error: `node1 is disabled`.
            change: runs the commands; it can be repeated.
            seen: whether the effect is there.
            limit: seconds to wait.

        Raises:
            EffectNotSeen: the effect is not there after the limit.
        """
        deadline = time.monotonic() + limit
        failure = ""
        while time.monotonic() < deadline:
            failed = False
            try:
                await change()
            except ControllerError as error:
                failed, failure = True, str(error)
            # The effect of a command that did not fail is only a matter of time.
            until = min(deadline, time.monotonic() + _REPEAT_SECONDS) if failed else deadline
            problem = await self._poll(seen, until)
            if problem is None:
                return
            failure = problem or failure
        state = await self._state_or_problem()
        details = "; ".join(filter(None, (failure, state)))
        raise EffectNotSeen(f"CTDB did not show within {limit:g} s that {what}: {details}")

    async def wait_until(self, condition: Callable[[], Awaitable[bool]], deadline: float) -> None:
        """Check a condition until it is true.

        While the cluster changes, the check itself may raise `ControllerError`; only the last one counts.

        Args:
            condition: the check.
            deadline: the latest time, by `time.monotonic()`.

        Raises:
            NotHealthy: the condition is false at the deadline; the text has the states of the nodes.
        """
        problem = await self._poll(condition, deadline)
        if problem is not None:
            details = "; ".join(filter(None, (problem, await self._state_or_problem())))
            raise NotHealthy(f"the cluster was not healthy before the deadline: {details}")

    async def _poll(self, condition: Callable[[], Awaitable[bool]], deadline: float) -> str | None:
        """Check a condition until it is true; None then, or else why the last check failed, if it did."""
        while True:
            problem = ""
            try:
                if await condition():
                    return None
            except ControllerError as error:
                problem = str(error)
            if time.monotonic() > deadline:
                return problem
            await asyncio.sleep(_POLL_SECONDS)

    async def _state_or_problem(self) -> str:
        try:
            return await self.state_text()
        except ControllerError as error:
            return str(error)
