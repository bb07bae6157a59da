"""The reference cluster by the `clusapi` controller, and what its client does with errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control import Capability, ControllerError, EffectNotSeen, NodeState, NotHealthy
from swn_torture.control.clusapi import controller as module
from swn_torture.control.clusapi.client import CallFailed
from swn_torture.control.kinds import controller_from
from swn_torture.control.reference import ReferenceController
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from swn_torture.control import Controller


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(ClusterConfig(clusapi=True)) as running:
        yield running


def settings(cluster: EmbeddedCluster, log: Path, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "clusapi",
        "address": cluster.nodes[0].address,
        "endpoint_mapper_port": cluster.nodes[0].epm_port,
        "username": "witness",
        "password": "Passw0rd!",
        "domain": "SWNTEST",
        "nodes": {node.name: [node.address] for node in cluster.nodes},
        "interfaces": {node.name: f"IP Address {node.address}" for node in cluster.nodes},
        "groups": {cluster.nodes[2].address: f"Role {cluster.nodes[2].address}"},
        "log": str(log),
        **changes,
    }


@pytest.fixture
def perform(cluster: EmbeddedCluster, tmp_path: Path) -> Callable[..., str]:
    """Runs calls of the controller; returns the log."""

    def run(steps: Callable[[Controller, ReferenceController], Awaitable[None]], **changes: Any) -> str:
        log = tmp_path / "clusapi.log"

        async def both() -> None:
            async with ReferenceController(port=cluster.admin_port) as own:
                try:
                    async with controller_from(settings(cluster, log, **changes)) as controller:
                        await steps(controller, own)
                finally:
                    await own.restore()

        asyncio.run(both())
        return log.read_text(encoding="utf-8")

    return run


@pytest.mark.parametrize("auth", ["spnego", "ntlm"])
@pytest.mark.parametrize("drain", [True, False])
def test_calls_change_the_cluster(perform: Callable[..., str], drain: bool, auth: str) -> None:
    async def steps(controller: Controller, own: ReferenceController) -> None:
        assert controller.capabilities == {
            Capability.LIST_NODES,
            Capability.DISABLE_NODE,
            Capability.INTERFACE_STATE,
            Capability.MOVE_ADDRESS,
        }
        before = [(n.name, n.state) for n in await own.nodes()]
        assert [(n.name, n.state) for n in await controller.nodes()] == before
        assert (await controller.node("node1")).addresses == (await own.node("node1")).addresses
        address = (await own.node("NODE3")).addresses[0]
        await controller.move_address(address, "NODE1")
        assert address in (await own.node("NODE1")).addresses
        assert [address in n.addresses for n in await controller.nodes()] == [True, False, False]
        await controller.move_address(address, "NODE3")
        await controller.disable("NODE2")
        assert (await own.node("NODE2")).state is NodeState.DISABLED
        await controller.enable("NODE2")
        assert (await own.node("NODE2")).state is NodeState.OK
        await controller.set_interface("NODE3", up=False)
        assert {i["state"] for i in await own.send("interfaces")} == {"AVAILABLE", "UNAVAILABLE"}
        await controller.set_interface("NODE3", up=True)
        await own.fail("NODE3")
        assert (await controller.node("NODE3")).state is NodeState.DOWN
        await own.recover("NODE3")
        await controller.set_interface("NODE3", up=False)
        await controller.disable("NODE2")
        with pytest.raises(NotHealthy, match="not all nodes are in service"):
            await controller.wait_healthy(0)
        await controller.restore()
        await own.wait_healthy(0)

    log = perform(steps, drain=drain, auth=auth)
    assert ("PAUSE_NODE_EX (opnum 126)" in log) is drain
    assert ("PAUSE_NODE (opnum 69)" in log) is not drain
    assert "bound on port" in log
    assert "Passw0rd!" not in log
    assert "    sent     00 00 00 00 " in log
    assert "SwitchResourceResponse(rpc_status=0, result=0)" in log


def test_errors_name_the_method_and_the_code(perform: Callable[..., str]) -> None:
    async def steps(controller: Controller, own: ReferenceController) -> None:
        with pytest.raises(CallFailed, match=r"OPEN_NODE NODE9 returned ERROR_CLUSTER_NODE_NOT_FOUND"):
            await controller.disable("NODE9")
        await own.fail("NODE2")
        with pytest.raises(CallFailed, match=r"PAUSE_NODE_EX NODE2 returned ERROR_CLUSTER_NODE_DOWN \("):
            await controller.disable("NODE2")
        await own.recover("NODE2")

    perform(steps)


def test_effect_that_is_not_seen_is_an_error(
    perform: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "seen", lambda _step, _sight: False)

    async def steps(controller: Controller, own: ReferenceController) -> None:
        with pytest.raises(EffectNotSeen, match=r"no effect of disable NODE2 within 0.1 s; seen: nodes"):
            await controller.disable("NODE2")
        with pytest.raises(NotHealthy, match="no effect of enable NODE2"):
            await controller.enable("NODE2")

    perform(steps, timeout=0.1)


def test_other_nodes_or_a_wrong_account_are_errors(
    cluster: EmbeddedCluster, perform: Callable[..., str], tmp_path: Path
) -> None:
    async def nothing(controller: Controller, own: ReferenceController) -> None:
        pytest.fail("it is open")

    with pytest.raises(ControllerError, match="has the nodes node1, node2, node3, but the profile has node1"):
        perform(nothing, nodes={"NODE1": []}, interfaces={}, groups={})
    with pytest.raises(ControllerError, match=r"is not available: .* must be an administrator .* the log is"):
        perform(nothing, password="wrong")
    assert "failed: " in (tmp_path / "clusapi.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"auth": "basic"}, "auth must be spnego, ntlm or kerberos"),
        ({"interfaces": {"NODE9": "x"}}, "interfaces: unknown node 'NODE9'"),
        ({"groups": {"192.0.2.77": "Role"}}, "groups: 192.0.2.77 is an address of no node"),
        ({"password": None}, "password_env is missing"),
        ({"nodes": None}, "nodes is missing"),
        (
            {"password": None, "password_env": "NO_SUCH_VARIABLE"},
            "NO_SUCH_VARIABLE, which holds the password",
        ),
    ],
)
def test_wrong_setting_is_named(
    cluster: EmbeddedCluster, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    given = settings(cluster, tmp_path / "log", **changes)
    with pytest.raises(ValueError, match=problem):
        controller_from({key: value for key, value in given.items() if value is not None})
