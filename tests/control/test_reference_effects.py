"""The reference controller with a cluster that carries out a command some time after it answered it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import EffectNotSeen, Failure, NodeState, NotHealthy
from swn_torture.control.reference import ReferenceController

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SPARE = "127.9.9.9"


class SlowCluster:
    """An administration with two nodes.

    Attributes:
        hesitate: so many answers to `nodes` and `interfaces` do not show an effect yet.
        errors: command -> the errors of its next calls.
        calls: the commands that it received.
    """

    def __init__(self, hesitate: int = 6) -> None:
        self.hesitate = hesitate
        self.errors: dict[str, list[str]] = {}
        self.calls: list[str] = []
        self.silent: set[str] = set()
        self._conditions = {"NODE1": "ok", "NODE2": "ok"}
        self._detected = True
        self._hang: set[str] = set()
        self._interfaces = {"127.9.9.1": ["NODE1", "AVAILABLE"], "127.9.9.2": ["NODE2", "AVAILABLE"]}
        self._waiting: list[list[Any]] = []

    @asynccontextmanager
    async def controller(self, timeout: float = 5.0) -> AsyncIterator[ReferenceController]:
        """The administration runs, and a controller is connected to it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1")
        async with (
            server,
            ReferenceController(port=server.sockets[0].getsockname()[1], timeout=timeout) as controller,
        ):
            yield controller

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            request = json.loads(line)
            command = request.pop("do")
            request.pop("token", None)  # sent if another cluster had this port
            self.calls.append(command)
            if command in self.silent:
                continue
            if errors := self.errors.get(command):
                answer = {"ok": False, "error": errors.pop(0)}
            else:
                answer = {"ok": True, "result": self._execute(command, **request)}
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    def _execute(self, command: str, node: str = "", address: str = "", state: str = "") -> Any:
        if command in {"nodes", "interfaces"}:
            for each in self._waiting:
                each[0] -= 1
                if each[0] == 0:
                    each[1]()
            return self._nodes() if command == "nodes" else self._listed()
        effects: dict[str, Callable[[], None]] = {
            "disable": lambda: self._set(node, "disabled", "UNAVAILABLE"),
            "enable": lambda: self._set(node, "ok", "AVAILABLE"),
            "recover": lambda: self._set(node, "ok", "AVAILABLE"),
            "crash": lambda: self._set(node, "crashed", "AVAILABLE"),
            "power_off": lambda: self._set(node, "silent", "AVAILABLE"),
            "partition": lambda: self._set(node, "partitioned", "AVAILABLE"),
            "link_down": lambda: self._set(node, "link-down", "AVAILABLE"),
            "hang": lambda: self._set(node, "hung", "AVAILABLE"),
            "hang_service": lambda: self._hang.add(node),
            "kill_worker": lambda: None,
            "ban": lambda: self._set(node, "excluded", "UNAVAILABLE"),
            "stop": lambda: self._set(node, "excluded", "UNAVAILABLE"),
            "set_interface": lambda: self._set(node, "ok", state),
            "add_address": lambda: self._interfaces.update({address: [node, "AVAILABLE"]}),
            "move_address": lambda: self._interfaces.update({address: [node, "AVAILABLE"]}),
            "remove_address": lambda: self._interfaces.__delitem__(address),
            "restore": self._restore,
        }
        self._waiting.append([self.hesitate, effects[command]])
        if command == "power_off":
            self._detected = False
            self._waiting.append([2 * self.hesitate, self._detect])
        return None

    def _detect(self) -> None:
        self._detected = True

    def _restore(self) -> None:
        for node in self._conditions:
            self._set(node, "ok", "AVAILABLE")

    def _set(self, node: str, condition: str, state: str) -> None:
        self._conditions[node] = condition
        for interface in self._interfaces.values():
            if interface[0] == node:
                interface[1] = state

    def _nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "condition": condition,
                "serves": condition == "ok",
                "hangs": name in self._hang,
                "failure_detected": self._detected,
                "address": "",
                "addresses": [address for address, (host, _) in self._interfaces.items() if host == name],
            }
            for name, condition in self._conditions.items()
        ]

    def _listed(self) -> list[dict[str, Any]]:
        return [
            {"node": node, "ipv4": address, "ipv6": None, "state": state}
            for address, (node, state) in self._interfaces.items()
        ]


def test_calls_return_when_nodes_and_interfaces_show_their_effect() -> None:
    cluster = SlowCluster()

    async def steps() -> None:
        async with cluster.controller() as controller:
            await controller.disable("NODE2")
            assert (await controller.node("NODE2")).state is NodeState.DISABLED
            await controller.enable("NODE2")
            assert (await controller.node("NODE2")).state is NodeState.OK
            await controller.set_interface("NODE1", up=False)
            assert cluster._interfaces["127.9.9.1"][1] == "UNAVAILABLE"
            await controller.set_interface_unknown("NODE1")
            assert cluster._interfaces["127.9.9.1"][1] == "UNKNOWN"
            await controller.add_address("NODE1", SPARE)
            assert cluster._interfaces[SPARE][0] == "NODE1"
            await controller.move_address(SPARE, "NODE2")
            assert cluster._interfaces[SPARE][0] == "NODE2"
            await controller.remove_address("NODE2", SPARE)
            assert SPARE not in cluster._interfaces

    asyncio.run(steps())


LEFT = {
    Failure.BAN: NodeState.UNHEALTHY,
    Failure.STOP: NodeState.UNHEALTHY,
    Failure.HANG_SERVICE: NodeState.OK,
    Failure.KILL_WORKER: NodeState.OK,
}


@pytest.mark.parametrize("how", Failure)
def test_failure_returns_when_it_is_detected(how: Failure) -> None:
    cluster = SlowCluster()

    async def steps() -> None:
        async with cluster.controller() as controller:
            await controller.fail("NODE2", how)
            assert (await controller.node("NODE2")).state is LEFT.get(how, NodeState.DOWN)
            assert cluster._detected
            assert ("NODE2" in cluster._hang) is (how is Failure.HANG_SERVICE)
            await controller.recover("NODE2")
            assert (await controller.node("NODE2")).state is NodeState.OK

    asyncio.run(steps())


def test_effect_that_does_not_come_is_named() -> None:
    async def steps() -> None:
        async with SlowCluster(hesitate=1000).controller(timeout=0.1) as controller:
            with pytest.raises(EffectNotSeen, match=r"within 0\.1 s that NODE2 is down: NODE1 ok \[127"):
                await controller.fail("NODE2")

    asyncio.run(steps())


def test_restore_repeats_a_command_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = SlowCluster()
    monkeypatch.setattr("swn_torture.control.reference._RETRY_SECONDS", 0.01)

    async def steps() -> None:
        async with cluster.controller() as controller:
            await controller.disable("NODE2")
            cluster.errors["restore"] = ["address in use", "address in use"]
            await controller.restore(5)
            assert (await controller.node("NODE2")).state is NodeState.OK

    asyncio.run(steps())
    assert cluster.calls.count("restore") >= 3


def test_restore_that_fails_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = SlowCluster()
    monkeypatch.setattr("swn_torture.control.reference._RETRY_SECONDS", 0.01)
    cluster.errors["restore"] = ["address in use"] * 1000

    async def steps() -> None:
        async with cluster.controller() as controller:
            with pytest.raises(
                NotHealthy, match=r"not restored: restore: address in use\. .*cluster restore"
            ):
                await controller.restore(0.05)

    asyncio.run(steps())


def test_silent_administration_is_not_healthy() -> None:
    """The commands time out, and the error is that of a cluster that is not restored."""
    cluster = SlowCluster()
    cluster.silent.add("restore")

    async def steps() -> None:
        async with cluster.controller(timeout=0.05) as controller:
            with pytest.raises(NotHealthy, match="restore: no response in time"):
                await controller.restore(0.01)

    asyncio.run(steps())


def test_restore_of_a_cluster_that_ended_fails_at_once() -> None:
    async def steps() -> None:
        async with SlowCluster().controller() as controller:
            await controller.close()
        with pytest.raises(NotHealthy, match=r"administration at .* is not reachable"):
            await controller.restore(60)

    asyncio.run(steps())
