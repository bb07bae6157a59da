"""The reference cluster by the `manual` controller, with a person whose answers are scripted."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import (
    Capability,
    ControllerError,
    EffectNotSeen,
    Failure,
    NodeState,
    NotSupported,
    witness_lists,
)
from swn_torture.control.kinds import controller_from
from swn_torture.control.manual import memory
from swn_torture.control.manual.call import Call
from swn_torture.control.manual.controller import ManualController
from swn_torture.control.manual.terminal import Terminal
from swn_torture.control.reference import ReferenceController
from swn_torture.control.witness_lists import WitnessLists, WitnessNode
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.server.nodes.embedded import EmbeddedCluster
from tests.control.scripted_person import ScriptedPerson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from swn_torture.control import Controller

ALL = [
    *(failure.capability.value for failure in Failure),
    *("disable-node", "restart-service", "move-client"),
    *("move-share", "change-address", "move-address", "interface-state", "force-unregister"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as running:
        yield running


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MEMORIES", {})


def admin(cluster: EmbeddedCluster, verb: str, values: dict[str, str]) -> None:
    """Do what the person is asked to do."""

    async def call() -> None:
        async with ReferenceController(port=cluster.admin_port) as own:
            name = verb.replace("-", "_")
            if verb.startswith("interface-"):
                await own.set_interface(values["node"], up=verb == "interface-up")
            elif verb in set(Failure):
                await own.fail(values["node"], Failure(verb))
            else:
                await getattr(own, name)(**values)

    asyncio.run(call())


def perform(
    cluster: EmbeddedCluster,
    steps: Callable[[Controller], Awaitable[None]],
    act: Callable[[str, dict[str, str]], str | None],
    **settings: Any,
) -> str:
    """Run calls of the controller with a person; return what the terminal showed."""
    with ScriptedPerson(act) as person:

        async def run() -> None:
            controller = controller_from({"kind": "manual", "can": ALL, "terminal": person.path, **settings})
            nodes = [WitnessNode(n.name, n.address, n.epm_port) for n in cluster.nodes]
            controller.attach(
                WitnessLists(nodes, Credentials("witness", "Passw0rd!", "SWNTEST"), "SWNCLUSTER")
            )
            async with controller:
                await steps(controller)

        asyncio.run(run())
    return person.text


def test_call_is_done_when_the_interface_lists_show_it(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness_lists, "_CALL_SECONDS", 0.5)  # of a node that does not answer
    nodes = {node.name: [node.address] for node in cluster.nodes}
    asked: list[str] = []

    def act(verb: str, values: dict[str, str]) -> str | None:
        asked.append(verb)
        admin(cluster, verb, values)
        return "" if verb in {"restart", "kill-worker", "move-client", "move-share"} else None

    async def steps(controller: Controller) -> None:
        await controller.disable("NODE2")
        assert [n.state for n in await controller.nodes()] == [NodeState.OK, NodeState.DISABLED, NodeState.OK]
        await controller.enable("NODE2")
        for how in Failure:
            await controller.fail("NODE3", how)
            served = how in {Failure.HANG_SERVICE, Failure.KILL_WORKER}
            assert ((await controller.node("NODE3")).state is NodeState.OK) is served
            await controller.recover("NODE3")
        await controller.restart("NODE1")
        await controller.set_interface("NODE2", up=False)
        await controller.set_interface("NODE2", up=True)
        await controller.add_address("NODE1", "127.99.99.96")
        await controller.move_address("127.99.99.96", "NODE2")
        assert (await controller.node("node2")).addresses[-1] == "127.99.99.96"
        sent = await controller.move_client("C1", "NODE3", ip_address=cluster.nodes[0].address)
        assert not sent.reaches("key")
        await controller.move_share("SHARE", "NODE3", client="C1", net_name="SWNCLUSTER")
        await controller.restore()
        assert [n.addresses for n in await controller.nodes()] == [(node.address,) for node in cluster.nodes]

    text = perform(cluster, steps, act, nodes=nodes, how={"disable": "Open the console."})
    assert asked == [
        *("disable", "enable"),
        *(verb for how in Failure for verb in (how.value, "recover")),
        *("restart", "interface-down", "interface-up", "add-address", "move-address"),
        *("move-client", "move-share", "move-address", "remove-address"),
    ]
    assert "=== swn-torture, action 1: disable ===\n" in text
    assert "Please: Take NODE2 out of service in an orderly way (disable, pause or drain it).\n" in text
    assert (
        "Why:    Clients registered for its addresses must be notified that they are UNAVAILABLE.\n" in text
    )
    assert "How:    Open the console.\n" in text
    assert f"to NODE3 (only registrations with the IpAddress {cluster.nodes[0].address}).\n" in text


def test_what_cannot_be_done_is_not_asked_again(cluster: EmbeddedCluster) -> None:
    async def steps(controller: Controller) -> None:
        assert controller.can(Capability.FAIL_CRASH, Capability.LIST_NODES) is False
        with pytest.raises(NotSupported, match=r"fail-crash \(by the person: it cannot be done here\)"):
            await controller.fail("NODE2")
        assert not controller.can(Capability.FAIL_CRASH)
        with pytest.raises(NotSupported):
            await controller.fail("NODE2")
        assert controller.can(Capability.FAIL_POWER_OFF)
        controller._changes.pending.clear()  # type: ignore[attr-defined]

    text = perform(cluster, steps, lambda _verb, _values: "n")
    assert text.count("action 1: crash") == 1
    assert "action 2" not in text


def test_done_is_believed_only_when_the_person_insists(cluster: EmbeddedCluster) -> None:
    answers = iter(["", "d"])

    async def steps(controller: Controller) -> None:
        with pytest.raises(EffectNotSeen, match="no answer to disable within 1 s"):
            await controller.disable("NODE2")

    text = perform(cluster, steps, lambda _verb, _values: next(answers), timeout=1.0)
    assert "The interface lists do not show it yet. [Enter] look again   [d] it is done, go on" in text

    async def insists(controller: Controller) -> None:
        await controller.disable("NODE2")

    perform(cluster, insists, lambda _verb, _values: next(answers))


def test_case_is_not_judged_if_the_person_is_too_slow(cluster: EmbeddedCluster) -> None:
    async def steps(controller: Controller) -> None:
        with pytest.raises(EffectNotSeen, match=r"needed \d s for move-client; clients wait no longer"):
            await controller.move_client("C", "NODE1")

    perform(cluster, steps, lambda _verb, _values: "", within=0.0001)


def test_person_learns_before_the_run_what_it_asks_for(cluster: EmbeddedCluster) -> None:
    async def steps(controller: Controller) -> None:
        assert isinstance(controller, ManualController)
        await controller.ask_what_cannot_be_done()
        assert not controller.can(Capability.MOVE_SHARE)
        assert controller.can(Capability.MOVE_CLIENT)
        await controller.show_plan(["=== this run asks for 2 actions ==="], 2)
        controller.cases = ("a", "b", "c", "d")
        await controller.restart("NODE1")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptedPerson, "_enter", _answers(iter(["move-share x", "move-share fail-crash"])))
        text = perform(cluster, steps, lambda _verb, _values: "")
    assert "Unknown: x. Known: change-address" in text
    assert "=== this run asks for 2 actions ===\n" in text
    assert "=== swn-torture, action 1 of 2: restart ===\nFor 4 cases: a, b, c and 1 more\nPlease: " in text


def test_moves_of_several_clients_are_one_question(cluster: EmbeddedCluster) -> None:
    moved: list[str] = []

    async def steps(controller: Controller) -> None:
        assert isinstance(controller, ManualController)
        calls = [Call.of("move_client", name, "NODE3", ip_address="192.0.2.1") for name in ("C1", "C2", "C1")]
        sent = await controller.move_all(calls)
        assert not sent.reaches("key")

    def act(_verb: str, values: dict[str, str]) -> str:
        moved.append(f"{values['client']} {values['destination']} {values['ip_address']}")
        return ""

    text = perform(cluster, steps, act)
    assert moved == ["C1 NODE3 192.0.2.1", "C2 NODE3 192.0.2.1"]
    assert text.count("=== swn-torture, action") == 1


def _answers(lines: Iterator[str]) -> Callable[[ScriptedPerson, str], None]:
    """Enters these lines first, and later the given answers."""

    def enter(person: ScriptedPerson, answer: str) -> None:
        for line in [*lines] or [answer]:
            os.write(person._master, line.encode() + b"\n")

    return enter


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"can": ["list-registrations"]}, "a person cannot do 'list-registrations'; known: disable-node"),
        ({"how": {"reboot": "x"}}, "unknown key 'reboot'; known keys: disable"),
        ({"nodes": {"a": "x"}}, "nodes.a must be a list of IP addresses"),
    ],
)
def test_wrong_setting_is_named(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        controller_from({"kind": "manual", **settings})


def test_terminal_that_is_none_or_has_ended_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ControllerError, match="file is no terminal"):
        Terminal(str(tmp_path / "file"))
    master, slave = os.openpty()
    terminal = Terminal(os.ttyname(slave))
    os.close(master)
    with pytest.raises(ControllerError, match="the terminal of the person has ended"):
        terminal.show("a question")
    with pytest.raises(ControllerError, match="the terminal of the person has ended"):
        asyncio.run(terminal.__aenter__())
    os.close(slave)


def test_without_a_terminal_the_error_says_so() -> None:
    async def call() -> None:
        await controller_from({"kind": "manual", "terminal": "/nowhere"}).disable("NODE1")

    with pytest.raises(ControllerError, match=r"there is no terminal .* Start swn-torture in a terminal"):
        asyncio.run(call())
