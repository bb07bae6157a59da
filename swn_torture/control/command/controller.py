"""The controller ``command``: runs the commands of a profile, and waits until their effect is seen.

The effect is seen in what the commands of ``[controller.show]`` print. Where there is none, it is seen in the
interface lists of the nodes, by the witness protocol.
"""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    EffectNotSeen,
    Failure,
    NodeState,
    NodeStatus,
    NotHealthy,
    NotSupported,
    RegistrationView,
    ShareView,
)
from swn_torture.control.command.output import addresses_in, truth
from swn_torture.control.command.settings import CommandSettings
from swn_torture.control.effects import Sight, can_be_invisible, needs_answers, needs_interfaces, seen
from swn_torture.control.step import Step, failure_of
from swn_torture.control.stimulus import Stimulus
from swn_torture.control.undoing.changes import Changes, host_of, undo_all
from swn_torture.control.witness_lists import InterfaceView, views

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from swn_torture.control.witness_lists import WitnessLists
    from swn_torture.witness.messages import RespAsyncNotify

_NUMBERS = (
    "version",
    "flags",
    "timeout",
    "notifications_sent",
    "notifications_cancelled",
    "queued_notifications",
)


class CommandController(Controller):
    """Changes a cluster by the commands of a profile.

    Args:
        settings: the settings of the profile.
    """

    kind = "command"

    def __init__(self, settings: CommandSettings) -> None:
        self._settings = settings
        self._lists: WitnessLists | None = None
        self._changes = Changes()
        self._changed_at: float | None = None

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller; `CommandSettings` has the keys.

        Raises:
            ValueError: a setting is missing, unknown or wrong; the text names it.
        """
        return cls(CommandSettings.from_mapping(settings))

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """Those that the commands of the profile are for."""
        return self._settings.capabilities

    @override
    def changed_at(self) -> float | None:
        return self._changed_at

    @override
    def attach(self, lists: WitnessLists) -> None:
        self._lists = lists

    @override
    def recall(self, state: Mapping[str, Any], undo: Sequence[Step]) -> None:
        self._changes.pending = list(undo)

    @override
    async def open(self) -> None:
        """Run the command that shows the nodes, if there is one.

        Raises:
            ControllerError: it fails, or its output cannot be read.
        """
        if "nodes" in self._settings.show:
            await self.nodes()

    @override
    async def close(self) -> None:
        if self._lists is not None:
            await self._lists.close()

    # Queries

    async def _show(self, name: str) -> list[dict[str, Any]]:
        command, shown = self._settings.show[name]
        return shown.read((await command.run({})).text)

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """Return the nodes that the command `show.nodes` prints."""
        self.require(Capability.LIST_NODES)
        shown = self._settings.show["nodes"][1]
        found = [
            NodeStatus(
                str(row.get("name", "")),
                NodeState(shown.state(row.get("state"))),
                addresses_in(row.get("addresses", "")),
                str(row.get("management_address", "")),
            )
            for row in await self._show("nodes")
        ]
        if not found:
            raise ControllerError("show.nodes printed no node; compare its output with json or lines")
        return tuple(found)

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        """Return the registrations that the command `show.registrations` prints."""
        self.require(Capability.LIST_REGISTRATIONS)
        return tuple(_registration(row) for row in await self._show("registrations"))

    @override
    async def shares(self) -> tuple[ShareView, ...]:
        """Return the shares that the command `show.shares` prints."""
        self.require(Capability.SHARES)
        return tuple(
            ShareView(str(row["name"]), truth(row.get("scale_out", "")), truth(row.get("asymmetric", "")))
            for row in await self._show("shares")
        )

    async def _interfaces(self) -> tuple[InterfaceView, ...]:
        shown = self._settings.show["interfaces"][1]
        return tuple(
            InterfaceView(address, str(row.get("node", "")), frozenset({shown.state(row.get("state"))}))
            for row in await self._show("interfaces")
            for address in addresses_in(row.get("addresses", ""))
        )

    async def _sight(self, *, interfaces: bool = False, answers: bool = False) -> Sight:
        """What the commands show; where they do not, what the interface lists show.

        Args:
            interfaces: whether the caller needs to see interfaces.
            answers: whether the caller needs to see which witness services answer.
        """
        show = self._settings.show
        nodes = await self.nodes() if "nodes" in show else None
        if "interfaces" in show and not (answers and self._lists is not None):
            return Sight(nodes, await self._interfaces())
        if self._lists is None or (nodes is not None and not (interfaces or answers)):
            return Sight(nodes)
        lists = await self._lists.read()
        answering = frozenset(name for name, found in lists.items() if found is not None)
        return Sight(nodes, views(lists, self._lists.nodes), answering)

    # Calls

    def _values(self, node: str) -> dict[str, str | None]:
        known = self._lists.nodes if self._lists is not None else ()
        own = (each.address for each in known if each.name.casefold() == node.casefold())
        return {"node": node, "address": next(own, node)}

    async def _run(self, verb: str, values: Mapping[str, str | None]) -> None:
        self._changed_at = time.monotonic()
        await self._settings.run[verb].run(values)

    async def _change(self, verb: str, step: Step, values: Mapping[str, str | None]) -> None:
        """Run a command that changes the cluster, and return when its effect is seen.

        Raises:
            EffectNotSeen: it is not seen within `effect_timeout`.
            ControllerError: the command failed, or nothing can show its effect.
        """
        # A call that undoes something is repeated until it succeeds: a cluster may be busy.
        undoes = step.call in {"enable", "recover"}
        host = await host_of(self, step.arguments[0]) if step.call == "move_address" else None
        self._changes.begin(step, host)
        deadline = time.monotonic() + self._settings.effect_timeout
        pending, problem = True, ""
        while True:
            try:
                if pending:
                    await self._run(verb, values)
                    pending = False
                sight = await self._sight(interfaces=needs_interfaces(step), answers=needs_answers(step))
            except ControllerError as error:
                if not undoes and pending:
                    raise
                problem = str(error)
            else:
                if not sight and not can_be_invisible(step):
                    raise ControllerError(
                        f"nothing shows the effect of {step}: add [controller.show.nodes] or "
                        "[controller.show.interfaces]"
                    )
                if seen(step, sight):
                    self._changes.end(step)
                    return
                problem = f"seen: {sight}"
            if time.monotonic() > deadline:
                text = f"no effect of {step} within {self._settings.effect_timeout:g} s; {problem}"
                raise (NotHealthy if undoes else EffectNotSeen)(text)
            await asyncio.sleep(self._settings.poll)

    async def _change_node(self, capability: Capability, verb: str, call: str, node: str) -> None:
        self.require(capability)
        await self._change(verb, Step(call, (node,)), self._values(node))

    @override
    async def disable(self, node: str) -> None:
        await self._change_node(Capability.DISABLE_NODE, "disable", "disable", node)

    @override
    async def enable(self, node: str) -> None:
        await self._change_node(Capability.DISABLE_NODE, "enable", "enable", node)

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        self.require(how.capability)
        await self._change(how.value, failure_of(node, how), self._values(node))

    @override
    async def recover(self, node: str) -> None:
        failures = {failure.capability for failure in Failure}
        if not failures & self.capabilities:
            raise NotSupported(Capability.FAIL_CRASH, self.kind)
        await self._change("recover", Step("recover", (node,)), self._values(node))

    @override
    async def restart(self, node: str) -> None:
        """Run `restart`, and return when the witness service of the node answers, if the profile names it."""
        self.require(Capability.RESTART_SERVICE)
        await self._run("restart", self._values(node))
        if self._lists is None or node.casefold() not in {each.name.casefold() for each in self._lists.nodes}:
            return
        deadline = time.monotonic() + self._settings.effect_timeout
        while True:
            lists = {name.casefold(): found for name, found in (await self._lists.read()).items()}
            if lists[node.casefold()] is not None:
                return
            if time.monotonic() > deadline:
                limit = f"{self._settings.effect_timeout:g} s"
                raise NotHealthy(f"the witness service of {node} does not answer {limit} after `restart`")
            await asyncio.sleep(self._settings.poll)

    # Clients and shares

    @override
    def stimulus(self, capability: Capability) -> Stimulus:
        """By a command of the profile; `server_selects` says whether the server selects the registrations."""
        how = f"by a command of the profile ({capability.value})"
        if self._settings.server_selects:
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
        """Run `move-client`; it returns when the command has ended, because no list shows its effect."""
        return await self._move(
            Capability.MOVE_CLIENT,
            {"client": client, "destination": destination},
            {"net_name": net_name, "ip_address": ip_address},
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
        """Run `move-share`; it returns when the command has ended, because no list shows its effect."""
        return await self._move(
            Capability.MOVE_SHARE,
            {"share": share, "destination": destination},
            {"client": client, "net_name": net_name, "ip_address": ip_address},
        )

    async def _move(
        self, capability: Capability, required: dict[str, str], filters: dict[str, str | None]
    ) -> Stimulus:
        self.require(capability)
        command = self._settings.run[capability.value]
        for name, value in filters.items():
            if value is not None and name not in command.placeholders:
                detail = f"run.{capability.value} has no {{{name}}}"
                raise NotSupported(capability, self.kind, detail)
        await command.run({**required, **filters})
        return self.stimulus(capability)

    @override
    async def force_unregister(self, key: str) -> None:
        """Run `force-unregister`, and return when the registration is not listed any more."""
        self.require(Capability.FORCE_UNREGISTER)
        await self._run("force-unregister", {"key": key})
        deadline = time.monotonic() + self._settings.effect_timeout
        while Capability.LIST_REGISTRATIONS in self.capabilities:
            if all(each.key != key for each in await self.registrations()):
                return
            if time.monotonic() > deadline:
                raise EffectNotSeen(f"the registration {key} is still listed after `force-unregister`")
            await asyncio.sleep(self._settings.poll)

    @override
    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Run `force-response`; {buffer} is in base64."""
        self.require(Capability.FORCE_RESPONSE)
        values: dict[str, str | None] = {"key": key, "result": str(result)}
        values |= dict.fromkeys(("message_type", "number", "buffer"))
        if response is not None:
            values |= {"message_type": str(response.message_type), "number": str(response.number_of_messages)}
            if response.message_buffer is not None:
                values["buffer"] = base64.b64encode(response.message_buffer).decode()
        await self._run("force-response", values)

    # Addresses

    @override
    async def add_address(self, node: str, address: str) -> None:
        self.require(Capability.CHANGE_ADDRESS)
        values = {"node": node, "address": address}
        await self._change("add-address", Step("add_address", (node, address)), values)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        self.require(Capability.CHANGE_ADDRESS)
        values = {"node": node, "address": address}
        await self._change("remove-address", Step("remove_address", (node, address)), values)

    @override
    async def move_address(self, address: str, node: str) -> None:
        self.require(Capability.MOVE_ADDRESS)
        values = {"node": node, "address": address}
        await self._change("move-address", Step("move_address", (address, node)), values)

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        verb = "interface-up" if up else "interface-down"
        await self._change_node(Capability.INTERFACE_STATE, verb, verb.replace("-", "_"), node)

    @override
    async def set_interface_unknown(self, node: str) -> None:
        capability = Capability.UNKNOWN_STATE
        await self._change_node(capability, "interface-unknown", "interface_unknown", node)

    # The whole cluster

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return when `healthy` succeeds, every node is in service, and every interface is AVAILABLE.

        Raises:
            NotHealthy: it is otherwise after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                problem = await self._unhealthy()
            except ControllerError as error:
                problem = str(error)
            if not problem:
                return
            if time.monotonic() >= deadline:
                raise NotHealthy(f"after {timeout:g} s {problem}")
            await asyncio.sleep(self._settings.poll)

    async def _unhealthy(self) -> str:
        if "healthy" in self._settings.run:
            command = self._settings.run["healthy"]
            output = await command.run({}, check=False)
            if not command.succeeded(output):
                return (
                    f"`healthy` ended with exit code {output.code}: {(output.errors or output.text).strip()}"
                )
        sight = await self._sight()
        silent = (
            []
            if sight.answering is None or self._lists is None
            else [node.name for node in self._lists.nodes if node.name not in sight.answering]
        )
        return f"no answer from {', '.join(silent)}" if silent else sight.unhealthy()

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Run `restore` if the profile has it, else undo each change; repeat what fails.

        Raises:
            NotHealthy: something is left undone after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while "restore" in self._settings.run:
            try:
                await self._run("restore", {})
            except ControllerError as problem:
                if time.monotonic() >= deadline:
                    raise NotHealthy(f"the command `restore` failed: {problem}") from problem
                await asyncio.sleep(self._settings.poll)
            else:
                self._changes.pending.clear()
                break
        await undo_all(self, self._changes, max(deadline - time.monotonic(), 0.0))


def _registration(row: Mapping[str, Any]) -> RegistrationView:
    values: dict[str, Any] = {"share_name": None, **row}
    for name in _NUMBERS:
        if values.get(name) is not None:
            text = str(values[name])
            values[name] = int(text, 16 if text.casefold().startswith("0x") else 10)
    if values.get("age") is not None:
        values["age"] = float(values["age"])
    return RegistrationView(**values)
