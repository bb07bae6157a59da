"""The controller ``manual``: asks a person to change the cluster, and waits until the effect is seen.

A call is done when the interface lists of the nodes show its effect, or when the person says so. If the
person is slower than clients wait, the case cannot be judged: it is not tested.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import replace
from ipaddress import ip_address as parse_ip
from typing import TYPE_CHECKING, Any, Final, Self

from typing_extensions import override

from swn_torture.control.base import (
    Capability,
    Controller,
    EffectNotSeen,
    Failure,
    NodeState,
    NodeStatus,
    NotHealthy,
    NotSupported,
)
from swn_torture.control.effects import Sight, seen
from swn_torture.control.manual.memory import memory_of
from swn_torture.control.manual.terminal import Terminal
from swn_torture.control.manual.texts import ACTIONS, VERBS, question
from swn_torture.control.shared import check_known_keys
from swn_torture.control.step import Step, failure_of
from swn_torture.control.stimulus import Stimulus
from swn_torture.control.undoing.changes import Changes, host_of, undo_all
from swn_torture.control.witness_lists import views

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from swn_torture.control.manual.call import Call
    from swn_torture.control.manual.texts import Question
    from swn_torture.control.witness_lists import WitnessLists

_DEFAULT: Final = (
    *("disable-node", "fail-crash", "fail-power-off"),
    *("move-client", "move-share", "restart-service"),
)
_POLL_SECONDS: Final = 0.5
_UNDOES: Final = frozenset({"enable", "recover", "interface-up"})

#: Verb -> the values of its question, from a call.
_VALUES: Final[Mapping[str, Callable[[Call], dict[str, str]]]] = {
    "move-client": lambda call: {
        **dict(zip(("client", "destination"), call.arguments, strict=True)),
        **dict(call.named),
    },
    "move-share": lambda call: {
        **dict(zip(("share", "destination"), call.arguments, strict=True)),
        **dict(call.named),
    },
    "force-unregister": lambda call: {"key": call.arguments[0]},
}


class ManualController(Controller):
    """A person changes the cluster.

    Args:
        can: what the person can do.
        nodes: name of each node -> its addresses; empty if the profile does not have them.
        how: verb -> how it is done in this cluster.
        terminal: the path of the terminal.
        within: seconds that the person may take for one action of a case. Clients wait 120 s.
        timeout: seconds after which a question ends without an answer.
        server_selects: as in the kind command.

    Attributes:
        within: as the argument.
        cases: the cases that the next question is for; empty for the one that runs.
    """

    kind = "manual"
    needs_person = True

    def __init__(
        self,
        can: Collection[Capability],
        nodes: Mapping[str, tuple[str, ...]],
        how: Mapping[str, str],
        terminal: str = "/dev/tty",
        within: float = 100.0,
        timeout: float = 900.0,
        *,
        server_selects: bool = False,
    ) -> None:
        self._can = frozenset(can)
        self._nodes = nodes
        self._how = how
        self._terminal = terminal
        self.within = within
        self._timeout = timeout
        self._server_selects = server_selects
        self.cases: tuple[str, ...] = ()
        self._lists: WitnessLists | None = None
        self._changes = Changes()
        self._states = dict.fromkeys(nodes, NodeState.OK)
        self._hosts = {name: list(addresses) for name, addresses in nodes.items()}
        self._memory = memory_of(json.dumps([sorted(can), sorted(nodes), terminal]))

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller; docs/adding-a-controller.md explains the keys.

        Raises:
            ValueError: a setting is unknown or wrong; the text names it.
        """
        known = ("can", "nodes", "how", "terminal", "within", "timeout", "server_selects")
        check_known_keys(settings, known)
        names = settings.get("can", list(_DEFAULT))
        possible = {capability.value: capability for capability in VERBS}
        for name in names:
            if name not in possible:
                raise ValueError(f"can: a person cannot do {name!r}; known: {', '.join(possible)}")
        how = settings.get("how", {})
        check_known_keys(how, ACTIONS)
        nodes = {name: _addresses(name, value) for name, value in settings.get("nodes", {}).items()}
        others = {key: settings[key] for key in known[3:] if key in settings}
        return cls([possible[name] for name in names], nodes, how, **others)

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """What the person can do, without what was answered by "cannot be done here"."""
        able = self._can - self._memory.refused
        return able | {Capability.LIST_NODES} if self._nodes else able

    @override
    def attach(self, lists: WitnessLists) -> None:
        self._lists = lists

    @override
    def recall(self, state: Mapping[str, Any], undo: Sequence[Step]) -> None:
        self._changes.pending = list(undo)

    # A run

    def undoes(self, call: Call) -> bool:
        """Whether a call only undoes another one. Clients do not wait for it, so that it may take long."""
        return call.verb in _UNDOES

    async def ask_what_cannot_be_done(self) -> None:
        """Ask once, before the first case, which actions cannot be done here.

        Raises:
            ControllerError: there is no terminal.
        """
        async with Terminal(self._terminal) as terminal:
            names = [capability.value for capability in sorted(self._can)]
            terminal.show("", "=== swn-torture: this run asks you to change the cluster ===")
            terminal.show("The actions: " + " ".join(names))
            terminal.show("Which of them cannot be done here? [Enter] for none, or their names")
            answer = await terminal.line(self._timeout)
            while answer is not None and (wrong := set(answer.split()) - set(names)):
                terminal.show(f"Unknown: {' '.join(sorted(wrong))}. Known: {' '.join(names)}")
                answer = await terminal.line(self._timeout)
            self._memory.refused |= set(map(Capability, (answer or "").split()))
            terminal.show("Counting the actions; this takes less than a minute.")

    async def show_plan(self, lines: Sequence[str], actions: int) -> None:
        """Show what the run will ask for.

        Args:
            lines: the text.
            actions: how many actions.

        Raises:
            ControllerError: there is no terminal.
        """
        self._memory.expected = actions
        async with Terminal(self._terminal) as terminal:
            terminal.show("", *lines)
            terminal.show(f"Answer each within {self.within:g} s: clients do not wait longer.")

    @override
    async def close(self) -> None:
        if self._lists is not None:
            await self._lists.close()

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """Return the nodes of the profile, with what the person has changed."""
        self.require(Capability.LIST_NODES)
        found = []
        for name, addresses in self._hosts.items():
            gone = self._states[name] is NodeState.DOWN
            found.append(NodeStatus(name, self._states[name], () if gone else tuple(addresses)))
        return tuple(found)

    # Asking

    async def _ask(self, capability: Capability, asked: Question, step: Step | None) -> None:
        """Ask the person, and return when the effect is seen, or when the person says that it is done.

        Raises:
            NotSupported: it cannot be done here. It is not asked again.
            EffectNotSeen: the person did not answer, or took longer than clients wait.
            ControllerError: there is no terminal.
        """
        self._memory.asked += 1
        case = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
        cases = self.cases or ((case,) if case else ())
        began = time.monotonic()
        visible = step is not None and self._lists is not None
        async with Terminal(self._terminal) as terminal:
            terminal.show(*asked.lines(self._memory.asked, self._memory.expected, cases))
            own = "; goes on by itself when the interface lists show it" if visible else ""
            terminal.show(f"[Enter] done   [n] cannot be done here{own}")
            while not (step is not None and visible and await self._seen(step)):
                answer = await terminal.line(_POLL_SECONDS)
                if answer == "n":
                    self._memory.refused.add(capability)
                    raise NotSupported(capability, self.kind, "by the person: it cannot be done here")
                if answer == "d" or (answer == "" and not visible):
                    break
                if answer is not None:
                    terminal.show(
                        "The interface lists do not show it yet. [Enter] look again   [d] it is done, go on"
                        "   [n] cannot be done here"
                    )
                if time.monotonic() - began > self._timeout:
                    raise EffectNotSeen(f"no answer to {asked.verb} within {self._timeout:g} s")
            took = time.monotonic() - began
            terminal.show(f"Thank you ({took:.0f} s).")
        if took > self.within and asked.verb not in _UNDOES:
            raise EffectNotSeen(
                f"the person needed {took:.0f} s for {asked.verb}; clients wait no longer than "
                f"{self.within:g} s (within in [controller])"
            )

    async def _seen(self, step: Step) -> bool:
        assert self._lists is not None
        lists = await self._lists.read()
        answering = frozenset(name for name, found in lists.items() if found is not None)
        return seen(step, Sight(None, views(lists, self._lists.nodes), answering))

    async def _change(self, capability: Capability, verb: str, step: Step, **values: str) -> None:
        self.require(capability)
        host = await host_of(self, step.arguments[0]) if step.call == "move_address" else None
        self._changes.begin(step, host)
        # That one process was killed, nothing shows.
        shown = None if step.call == "kill_worker" else step
        await self._ask(capability, question(verb, values, self._how.get(verb, "")), shown)
        self._changes.end(step)
        self._note(step)

    def _note(self, step: Step) -> None:
        """Note what the person has done, for `nodes`."""
        states = {"disable": NodeState.DISABLED, "fail": NodeState.DOWN, "exclude": NodeState.UNHEALTHY}
        states |= {"enable": NodeState.OK, "recover": NodeState.OK}
        first, *others = step.arguments
        if step.call in states and first in self._states:
            self._states[first] = states[step.call]
        if not step.call.endswith("_address"):
            return
        node, address = (others[0], first) if step.call == "move_address" else (first, others[0])
        for hosted in self._hosts.values():
            hosted[:] = [each for each in hosted if parse_ip(each) != parse_ip(address)]
        if step.call != "remove_address" and node in self._hosts:
            self._hosts[node].append(address)

    # Calls

    @override
    async def disable(self, node: str) -> None:
        await self._change(Capability.DISABLE_NODE, "disable", Step("disable", (node,)), node=node)

    @override
    async def enable(self, node: str) -> None:
        await self._change(Capability.DISABLE_NODE, "enable", Step("enable", (node,)), node=node)

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        await self._change(how.capability, how.value, failure_of(node, how), node=node)

    @override
    async def recover(self, node: str) -> None:
        failures = [failure.capability for failure in Failure if failure.capability in self.capabilities]
        if not failures:
            raise NotSupported(Capability.FAIL_CRASH, self.kind)
        await self._change(failures[0], "recover", Step("recover", (node,)), node=node)

    @override
    async def restart(self, node: str) -> None:
        self.require(Capability.RESTART_SERVICE)
        asked = question("restart", {"node": node}, self._how.get("restart", ""))
        await self._ask(Capability.RESTART_SERVICE, asked, None)

    @override
    def stimulus(self, capability: Capability) -> Stimulus:
        """By a person; `server_selects` says whether the server selects the registrations."""
        how = f"by a person ({capability.value})"
        if self._server_selects:
            return Stimulus(how + "; by the profile, the server itself selects the registrations")
        return Stimulus(
            how, frozenset(), "The profile does not say that the server itself selects the registrations."
        )

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
        values = {"client": client, "destination": destination}
        return await self._move(
            Capability.MOVE_CLIENT, values | {"net_name": net_name, "ip_address": ip_address}
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
        values = {"share": share, "destination": destination, "client": client}
        return await self._move(
            Capability.MOVE_SHARE, values | {"net_name": net_name, "ip_address": ip_address}
        )

    async def _move(self, capability: Capability, values: Mapping[str, str | None]) -> Stimulus:
        self.require(capability)
        verb = capability.value
        await self._ask(capability, question(verb, values, self._how.get(verb, "")), None)
        return self.stimulus(capability)

    async def move_all(self, calls: Sequence[Call]) -> Stimulus:
        """Ask for moves of several clients at once.

        Args:
            calls: with the same verb; `Call.of_a_client` is true for each.

        Raises:
            ControllerError: as for one move.
        """
        capability = calls[0].capability
        self.require(capability)
        verb, how = calls[0].verb, self._how.get(calls[0].verb, "")
        questions = [question(verb, _VALUES[verb](call), how) for call in calls]
        what = tuple(dict.fromkeys(each for asked in questions for each in asked.what))
        await self._ask(capability, replace(questions[0], what=what), None)
        return self.stimulus(capability)

    @override
    async def force_unregister(self, key: str) -> None:
        self.require(Capability.FORCE_UNREGISTER)
        asked = question("force-unregister", {"key": key}, self._how.get("force-unregister", ""))
        await self._ask(Capability.FORCE_UNREGISTER, asked, None)

    @override
    async def add_address(self, node: str, address: str) -> None:
        step = Step("add_address", (node, address))
        await self._change(Capability.CHANGE_ADDRESS, "add-address", step, node=node, address=address)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        step = Step("remove_address", (node, address))
        await self._change(Capability.CHANGE_ADDRESS, "remove-address", step, node=node, address=address)

    @override
    async def move_address(self, address: str, node: str) -> None:
        step = Step("move_address", (address, node))
        await self._change(Capability.MOVE_ADDRESS, "move-address", step, node=node, address=address)

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        verb = "interface-up" if up else "interface-down"
        step = Step(verb.replace("-", "_"), (node,))
        await self._change(Capability.INTERFACE_STATE, verb, step, node=node)

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return when every interface list has only AVAILABLE interfaces, or at once without lists.

        Raises:
            NotHealthy: it is otherwise after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self._lists is not None:
            lists = await self._lists.read()
            silent = [name for name, found in lists.items() if found is None]
            problem = f"no answer from {', '.join(silent)}" if silent else ""
            problem = problem or Sight(None, views(lists, self._lists.nodes)).unhealthy()
            if not problem:
                return
            if time.monotonic() >= deadline:
                raise NotHealthy(f"after {timeout:g} s {problem}")
            await asyncio.sleep(_POLL_SECONDS)

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Ask the person to undo each change that is left, the last one first.

        Raises:
            NotHealthy: something is left undone.
        """
        await undo_all(self, self._changes, timeout)


def _addresses(node: str, value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    try:
        return tuple(str(parse_ip(each)) for each in listed)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"nodes.{node} must be a list of IP addresses: {problem}") from problem
