"""A CTDB cluster in memory: it answers the commands of the controller, and fails or hesitates on request."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swn_torture.control.ctdb.controller import CtdbController
from swn_torture.control.runner import CommandFailed, Output

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

BUSY = "Failed to disable takeover runs"
"""What `ctdb reloadips` prints while CTDB moves addresses."""

_FLAGS = ("disconnected", "banned", "disabled", "unhealthy", "stopped")


@dataclass
class SimulatedNode:
    """One node.

    Attributes:
        pnn: its number.
        address: its fixed address.
        known: the public addresses that it can host.
        flags: those of `ctdb status`.
        reachable: whether the other nodes and its own CTDB answer.
        tunables: the variables of CTDB.
        workers: the processes of its witness service: process id -> letter of the state.
        hung: the ids of those that answer no message.
    """

    pnn: int
    address: str
    known: set[str]
    flags: set[str] = field(default_factory=set)
    reachable: bool = True
    tunables: dict[str, int] = field(
        default_factory=lambda: {"IPAllocAlgorithm": 0, "NoIPFailback": 0, "NoIPTakeover": 0}
    )
    workers: dict[int, str] = field(default_factory=lambda: {41: "S", 42: "S"})
    hung: set[str] = field(default_factory=set)


class SimulatedCtdb:
    """The cluster.

    Attributes:
        nodes: the nodes by name.
        hosts: public address -> PNN of its host.
        history: ``hosts`` after every reallocation.
        configured: the public addresses in the file of every node.
        commands: the commands that changed something, as `node words`.
        hesitate: so many views of the cluster do not show the next effect yet.
        ignore: the subcommands of ctdb that have no effect.
        prints_json: whether its `ctdb status` can print JSON.
    """

    def __init__(self, count: int = 3) -> None:
        self.configured = {f"198.51.100.{200 - n}" for n in range(count)}
        self.nodes = {
            f"node{n + 1}": SimulatedNode(n, f"198.51.100.{10 + n}", set(self.configured))
            for n in range(count)
        }
        self.hosts: dict[str, int | None] = {}
        self.history: list[dict[str, int | None]] = []
        self.commands: list[str] = []
        self.hesitate = 0
        self.ignore: set[str] = set()
        self.prints_json = False
        self._unaware = ""
        self._silenced: set[str] = set()
        """The nodes that hang or have no link: they go on where they were."""
        self._failures: list[tuple[str, str, bool]] = []
        self._effects: list[tuple[int, Callable[[], None]]] = []
        self.reallocate()

    def controller(self, **settings: object) -> CtdbController:
        """A controller of this cluster, with these settings beside its own."""
        return CtdbController.from_settings(
            {
                "nodes": {name: node.address for name, node in self.nodes.items()},
                "prefix": ["on", "{node}"],
                "power_off": "power_off {node}",
                "power_on": "power_on {node}",
                "partition": "partition {node}",
                "heal": "heal {node}",
                "link_down": "link_down {node}",
                "link_up": "link_up {node}",
                **settings,
            }
        )

    def fail_next(self, words: str, error: str = BUSY, *, times: int = 1, carried_out: bool = False) -> None:
        """Let the next commands that contain these words fail.

        Args:
            words: part of the command.
            error: what it prints.
            times: how many fail.
            carried_out: whether the command takes effect all the same.
        """
        self._failures += [(words, error, carried_out)] * times

    def host_of(self, address: str) -> str | None:
        """The name of the node that hosts an address."""
        pnn = self.hosts.get(address)
        return next((name for name, node in self.nodes.items() if node.pnn == pnn), None)

    def reallocate(self) -> None:
        """Allocate the addresses as CTDB does with its algorithms 0, and 2 with NoIPFailback."""
        able = [node for node in self.nodes.values() if not node.flags]
        if not able:
            self.hosts = dict.fromkeys(self.hosts)
            return
        known = sorted({a for node in able for a in node.known}, key=_order, reverse=True)
        # What no node knows is gone.
        hosts = {address: self.hosts.get(address) for address in known}
        for index, address in enumerate(known):
            if able[0].tunables["IPAllocAlgorithm"] == 0:
                hosts[address] = index % len(self.nodes)
            if hosts[address] not in {node.pnn for node in able if address in node.known}:
                hosts[address] = None
        for address in known:
            loads = {node.pnn: list(hosts.values()).count(node.pnn) for node in able if address in node.known}
            if hosts[address] is None and not able[0].tunables["NoIPTakeover"]:
                hosts[address] = min(loads, key=lambda pnn: (loads[pnn], pnn))
        self.hosts = hosts
        self.history.append(hosts)

    async def run(self, argv: Sequence[str], *, timeout: float, check: bool = True) -> Output:  # noqa: ARG002
        """What `runner.run` does, for this cluster."""
        await asyncio.sleep(0)
        words = [word for word in argv if word != "on"]
        command = " ".join(words)
        failure = next((each for each in self._failures if each[0] in command), None)
        if failure is not None:
            self._failures.remove(failure)
        if failure is None or failure[2]:
            output = self._carry_out(words)
        if failure is not None:
            output = Output(1, "", failure[1])
        if check and output.code != 0:
            raise CommandFailed(argv, output.code, output.errors)
        return output

    def _carry_out(self, words: list[str]) -> Output:
        match words:
            case ["power_off" | "partition" | "link_down" as how, name]:
                self._later(lambda: self._lose(name))
                self.nodes[name].reachable = how == "partition"
                self._silenced |= {name} if how == "link_down" else set()
                if how == "partition":
                    # The node notices later than the others that it is cut off.
                    self._unaware = name
                    self._effects.append((2 * self.hesitate + 1, lambda: setattr(self, "_unaware", "")))
            case ["power_on" | "heal", name]:
                pass
            case ["link_up", name]:
                self._go_on(name)
            case [name, "sh", "-c", script, *_]:
                return self._shell(name, script, words)
            case [name, "probe"] if not self.nodes[name].hung:
                pass
            case [name, "kill", "-KILL", *pids]:
                self.nodes[name].hung -= {*pids}
            case [name, "ip", *_] if "show" in words:
                own = (self.nodes[name].address, *(a for a in self.hosts if self.host_of(a) == name))
                return Output(0, "".join(f"2: eth0 inet {a}/24 scope global\n" for a in own), "")
            case [name, "ctdb", *rest] if self.nodes[name].reachable:
                return self._ctdb(name, rest)
            case [name, "cat", _]:
                return Output(0, "IPAllocAlgorithm=0\n", "")
            case _:
                return Output(1, "", f"cannot connect to {words[0]}")
        self.commands.append(" ".join(words))
        return Output(0, "", "")

    def _shell(self, name: str, script: str, words: list[str]) -> Output:
        """Run a script on a node: it starts, signals or lists processes."""
        if "smbcontrol" in script:
            return Output(0, "".join(f"{pid}\n" for pid in sorted(self.nodes[name].hung)), "")
        if "State:" in script:
            states = self.nodes[name].workers
            return Output(0, "".join(f"{pid} {state} (state)\n" for pid, state in states.items()), "")
        if "pkill -CONT" in script:
            self._go_on(name)
            return Output(0, "", "")
        if "rpcd_witness" in script:
            self._harm_service(name, stop="-STOP" in script)
        elif "exec ctdbd" in script or "pkill" in script:
            self._silenced |= {name} if "-STOP" in script else set()
            self._crash_or_start(name, start="exec ctdbd" in script)
        else:
            return Output(0, "", "")
        self.commands.append(" ".join(words))
        return Output(0, "", "")

    def _long_status(self, *, json: bool) -> Output:
        if json and not self.prints_json:
            return Output(1, "", "Invalid option --json: unknown option\n")
        assert json or not self.prints_json, "ctdb status without --json, though it prints JSON"
        text = '{"recovery_mode": "NORMAL", "recovery_mode_raw": 0, "leader": 0}'
        return Output(0, text if json else "Recovery mode:NORMAL (0)\n", "")

    def _ctdb(self, name: str, words: list[str]) -> Output:
        node = self.nodes[name]
        match words:
            case ["-X", "status"]:
                self._step()
                return Output(0, self._status(seen_from=name), "")
            case ["-X", "ip", "all"]:
                return Output(0, _addresses(self.hosts), "")
            case ["-X", "ip"]:
                return Output(0, _addresses({a: self.hosts.get(a) for a in node.known}), "")
            case [*json, "status"]:
                return self._long_status(json=bool(json))
            case ["listvars"]:
                return Output(0, "".join(f"{key} = {value}\n" for key, value in node.tunables.items()), "")
        self.commands.append(f"{name} {' '.join(words)}")
        if words[0] not in self.ignore:
            self._change(node, words)
        return Output(0, "", "")

    def _change(self, node: SimulatedNode, words: list[str]) -> None:
        match words:
            case ["setvar", variable, value]:
                node.tunables[variable] = int(value)
                # The leader notices soon that addresses have no host, and that it may give them one.
                if variable == "NoIPTakeover" and value == "0" and None in self.hosts.values():
                    self.reallocate()
            case ["disable"]:
                self._later(lambda: self._set_flags(node, {"disabled"}))
            case ["ban", _]:
                self._later(lambda: self._set_flags(node, {"banned"}))
            case ["stop"]:
                self._later(lambda: self._set_flags(node, {"stopped"}))
            case ["enable"]:
                self._later(lambda: self._set_flags(node, set()))
            case ["-n", pnn, "enable" | "unban" | "continue"]:
                self._later(lambda: self._set_flags(self.nodes[f"node{int(pnn) + 1}"], set()))
            case ["moveip", address, pnn]:
                self._later(lambda: self.hosts.update({address: int(pnn)}))
            case _:
                self._change_addresses(node, words)

    def _change_addresses(self, node: SimulatedNode, words: list[str]) -> None:
        match words:
            case ["delip", address]:
                node.known.discard(address)
                return  # it has an effect with the next reallocation
            case ["addip", network, _]:
                node.known.add(network.partition("/")[0])
            case ["reloadips", "all"]:
                for each in self.nodes.values():
                    each.known = set(self.configured)
            case ["ipreallocate"]:
                pass
            case _:
                raise AssertionError(f"unexpected command: {words}")
        self._later(self.reallocate)

    def _harm_service(self, name: str, *, stop: bool) -> None:
        workers = self.nodes[name].workers
        if stop:
            workers.update(dict.fromkeys(workers, "T"))
        else:
            del workers[min(workers)]

    def _go_on(self, name: str) -> None:
        node = self.nodes[name]
        node.workers.update(dict.fromkeys(node.workers, "S"))
        if name in self._silenced:
            self._silenced.remove(name)
            node.reachable = True
            self._later(lambda: self._set_flags(node, set()))

    def _crash_or_start(self, name: str, *, start: bool) -> None:
        node = self.nodes[name]
        if not start:
            node.reachable = False
            self._later(lambda: self._lose(name))
        elif "disconnected" in node.flags:
            node.reachable = True
            self._later(lambda: self._set_flags(node, set()))

    def _lose(self, name: str) -> None:
        self._set_flags(self.nodes[name], {"disconnected"})

    def _set_flags(self, node: SimulatedNode, flags: set[str]) -> None:
        node.flags = flags
        self.reallocate()

    def _later(self, effect: Callable[[], None]) -> None:
        """Let an effect show after as many views as `hesitate` says."""
        if self.hesitate:
            self._effects.append((self.hesitate, effect))
        else:
            effect()

    def _step(self) -> None:
        waiting = [(left - 1, effect) for left, effect in self._effects]
        self._effects = [each for each in waiting if each[0] > 0]
        for left, effect in waiting:
            if left <= 0:
                effect()

    def _status(self, *, seen_from: str) -> str:
        rows = defaultdict(list)
        for name, node in self.nodes.items():
            flags = set() if self._unaware == seen_from else node.flags
            if self._unaware != seen_from and "disconnected" in self.nodes[seen_from].flags:
                flags = set() if name == seen_from else {"disconnected"}
            rows[node.pnn] = ["1" if flag in flags else "0" for flag in _FLAGS]
        header = f"|Node|IP|{'|'.join(flag.title() for flag in _FLAGS)}|\n"
        return header + "".join(
            f"|{node.pnn}|{node.address}|{'|'.join(rows[node.pnn])}|\n" for node in self.nodes.values()
        )


def perform(
    cluster: SimulatedCtdb, steps: Callable[[CtdbController], Awaitable[None]], **settings: object
) -> None:
    """Open a controller of the cluster with these settings, and run the steps."""

    async def with_controller() -> None:
        async with cluster.controller(**settings) as controller:
            await steps(controller)

    asyncio.run(with_controller())


def _order(address: str) -> tuple[int, str]:
    return (":" in address, address)


def _addresses(hosts: dict[str, int | None]) -> str:
    rows = (f"|{address}|{-1 if pnn is None else pnn}|\n" for address, pnn in hosts.items())
    return f"|Public IP|Node|\n{''.join(rows)}"
