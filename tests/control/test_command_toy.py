"""The worked example of the `command` controller: a toy cluster, changed by its own command."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import (
    Capability,
    ControllerError,
    EffectNotSeen,
    Failure,
    NodeState,
    NotHealthy,
    NotSupported,
)
from swn_torture.control.kinds import controller_from
from swn_torture.shipped import fixtures_directory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from swn_torture.control import Controller

EXAMPLES = fixtures_directory() / "controllers"


class Toy:
    """A toy cluster of two nodes, and the example profile for it."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "toy.json"
        self.prefix = [sys.executable, str(EXAMPLES / "toy_cluster.py"), str(self.state)]
        subprocess.run([*self.prefix, "init", "node1=192.0.2.21", "node2=192.0.2.22"], check=True)
        settings = tomllib.loads((EXAMPLES / "toy.toml").read_text(encoding="utf-8"))["controller"]
        self.settings: dict[str, Any] = settings | {"prefix": self.prefix, "poll": 0.01}

    @property
    def calls(self) -> list[list[str]]:
        return list(json.loads(self.state.read_text(encoding="utf-8"))["calls"])

    def perform(self, steps: Callable[[Controller], Awaitable[None]], **changes: Any) -> None:
        async def run() -> None:
            async with controller_from(self.settings | changes) as controller:
                await steps(controller)

        asyncio.run(run())


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_capabilities_follow_from_the_commands(toy: Toy) -> None:
    assert controller_from(toy.settings).capabilities == {
        Capability.LIST_NODES,
        Capability.DISABLE_NODE,
        Capability.FAIL_CRASH,
        Capability.CHANGE_ADDRESS,
        Capability.MOVE_ADDRESS,
        Capability.MOVE_CLIENT,
    }


def test_every_verb_changes_the_cluster_and_restore_undoes_it(toy: Toy) -> None:
    async def steps(controller: Controller) -> None:
        await controller.disable("node1")
        assert [n.state for n in await controller.nodes()] == [NodeState.DISABLED, NodeState.OK]
        await controller.enable("node1")
        await controller.fail("node2", Failure.CRASH)
        assert (await controller.node("NODE2")).state is NodeState.DOWN
        await controller.add_address("node1", "192.0.2.99")
        await controller.move_address("192.0.2.22", "node1")
        assert (await controller.node("node1")).addresses == ("192.0.2.21", "192.0.2.99", "192.0.2.22")
        await controller.remove_address("node1", "192.0.2.21")
        with pytest.raises(NotHealthy, match="after 0 s `healthy` ended with exit code 3"):
            await controller.wait_healthy(0)
        await controller.restore()
        assert [(n.state, n.addresses) for n in await controller.nodes()] == [
            (NodeState.OK, ("192.0.2.21",)),
            (NodeState.OK, ("192.0.2.22",)),
        ]

    toy.perform(steps)
    assert [call[0] for call in toy.calls] == [
        *("stop", "start", "kill", "add", "move", "remove"),
        *("add", "move", "remove", "boot"),
    ]


def test_a_value_is_one_argument_whatever_it_contains(toy: Toy) -> None:
    name = "C L; touch $(x) {node} 'q'"

    async def steps(controller: Controller) -> None:
        sent = await controller.move_client(name, "node2")
        assert sent.reaches("any key")
        await controller.move_client(name, "node2", net_name="--name")
        with pytest.raises(NotSupported, match=r"move-client \(run.move-client has no {ip_address}\)"):
            await controller.move_client(name, "node2", ip_address="192.0.2.21")

    toy.perform(steps)
    assert toy.calls == [["notify", name, "node2"], ["notify", name, "node2", "--name", "--name"]]


def test_effect_that_is_not_seen_is_an_error(toy: Toy) -> None:
    async def not_seen(controller: Controller) -> None:
        with pytest.raises(
            EffectNotSeen, match=r"no effect of disable node1 within 0.2 s; seen: nodes node1 ok"
        ):
            await controller.disable("node1")

    toy.perform(not_seen, effect_timeout=0.2, run={"disable": ["check"], "enable": ["check"]})

    async def rejected(controller: Controller) -> None:
        with pytest.raises(ControllerError, match=r"stop node9` ended with exit code 1: no node node9"):
            await controller.disable("node9")

    toy.perform(rejected)


def test_command_that_takes_too_long_is_killed(toy: Toy) -> None:
    slow = {"run": "sleep 60", "shell": True, "timeout": 0.2}

    async def steps(controller: Controller) -> None:
        with pytest.raises(ControllerError, match="sleep 60'` did not end before its deadline"):
            await controller.disable("node1")

    toy.perform(steps, run={"disable": slow, "enable": ["start", "{node}"]})


def test_expected_exit_codes_are_those_of_the_profile(toy: Toy) -> None:
    async def steps(controller: Controller) -> None:
        await controller.disable("node1")
        with pytest.raises(NotHealthy, match=r"no effect of enable node1 .* ended with exit code 7"):
            await controller.enable("node1")

    text = f"'{toy.prefix[0]}' '{toy.prefix[1]}' '{toy.prefix[2]}' %s {{node}}; exit 7"
    toy.perform(
        steps,
        effect_timeout=0.5,
        run={
            "disable": {"run": text % "stop", "shell": True, "exit_codes": [0, 7]},
            "enable": {"run": text % "start", "shell": True},
        },
    )
