"""The controller and the profile of Samba's selftest, with a stand-in for its tools."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.needs import unmet
from swn_torture.control import Capability, ControllerError, Failure, NodeState, NotSupported
from swn_torture.control.kinds import controller_from
from swn_torture.control.samba_selftest import SelftestCluster, SelftestSettings
from swn_torture.target import ProfileError, load_profile, make_controller
from tests.control.selftest_source import log, make_source, set_registrations

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from swn_torture.control import Controller
    from swn_torture.target import Profile


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source directory with a running clusteredmember, whose variables are set."""
    for name, value in make_source(tmp_path / "samba").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "samba"


@pytest.fixture
def profile(source: Path) -> Profile:
    return load_profile("samba-selftest")


def perform(profile: Profile, steps: Callable[[Controller], Coroutine[Any, Any, None]]) -> None:
    async def with_controller() -> None:
        async with make_controller(profile) as controller:
            await steps(controller)

    asyncio.run(with_controller())


def test_profile_takes_the_target_from_the_environment(profile: Profile, source: Path) -> None:
    assert profile.net_name == "CLUSTEREDMEMBER"
    assert [(node.name, node.address) for node in profile.nodes] == [
        ("ctdb0", "10.53.57.40"),
        ("ctdb1", "10.53.57.41"),
        ("ctdb2", "10.53.57.42"),
    ]
    assert profile.account.domain == "SAMBADOMAIN"
    assert profile.account.password == "locDCpass1"
    assert profile.controller["source"] == str(source)


def test_profile_names_the_variable_that_is_not_set(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CTDB_PREFIX")
    problem = "the environment variable CTDB_PREFIX is not set; the profile is for the environment clusteredm"
    with pytest.raises(ProfileError, match=problem):
        load_profile("samba-selftest")


def test_node_hosts_its_own_address_while_in_service(profile: Profile, source: Path) -> None:
    async def steps(controller: Controller) -> None:
        await controller.disable("ctdb1")
        states = {node.name: (node.state, node.addresses) for node in await controller.nodes()}
        assert states["ctdb0"] == (NodeState.OK, ("10.53.57.40",))
        assert states["ctdb1"] == (NodeState.DISABLED, ())
        await controller.enable("CTDB1")
        assert (await controller.node("ctdb1")).addresses == ("10.53.57.41",)
        await controller.wait_healthy(1.0)

    perform(profile, steps)
    assert log(source) == ["1 ctdb disable", "1 ctdb enable"]


def test_interface_is_unavailable_while_the_node_is_disabled(profile: Profile, source: Path) -> None:
    async def steps(controller: Controller) -> None:
        await controller.set_interface("ctdb2", up=False)
        assert (await controller.node("ctdb2")).state is NodeState.DISABLED
        await controller.set_interface("ctdb2", up=True)
        assert (await controller.node("ctdb2")).state is NodeState.OK

    perform(profile, steps)
    assert log(source) == ["2 ctdb disable", "2 ctdb enable"]


def test_restore_returns_every_node_to_service(profile: Profile, source: Path) -> None:
    async def steps(controller: Controller) -> None:
        await controller.disable("ctdb0")
        await controller.disable("ctdb2")
        await controller.restore(10.0)
        assert {node.state for node in await controller.nodes()} == {NodeState.OK}

    perform(profile, steps)
    assert not list((source / "state").glob("disabled.*"))


def test_net_witness_runs_with_the_configuration_of_a_node(profile: Profile, source: Path) -> None:
    set_registrations(source, "CLIENT")

    async def steps(controller: Controller) -> None:
        (registration,) = await controller.registrations()
        assert registration.client_computer_name == "CLIENT"
        await controller.move_client("CLIENT", "ctdb2")
        await controller.move_share("tmp", "10.53.57.42", client="CLIENT")

    perform(profile, steps)
    node = source / "st/clusteredmember/node.0"
    where = f"UID_WRAPPER_ROOT=1 {node}/ctdbd.socket {node}/lib/server.conf"
    client, address = "--witness-client-computer-name=^CLIENT$", "--witness-new-ip=10.53.57.42"
    assert log(source) == [
        f"net witness list --json {where}",
        f"net witness client-move --json {client} --witness-new-node=2 {where}",
        f"net witness share-move --json --witness-share-name=^tmp$ {client} {address} {where}",
    ]


def test_python_runs_with_the_configuration_of_its_node(profile: Profile) -> None:
    settings = dict(profile.controller)
    settings.pop("kind")
    cluster = SelftestCluster(SelftestSettings.from_mapping({**settings, "python": "python3 -u"}))
    argv = cluster.argv("ctdb1", ["python3", "-u", "-c", "pass"])
    node = profile.controller["nodes"][1]["directory"]
    assert argv[3:] == [
        "UID_WRAPPER_ROOT=1",
        f"CTDB_SOCKET={node}/ctdbd.socket",
        f"SMB_CONF_PATH={node}/lib/server.conf",
        *("python3", "-u", "-c", "pass"),
    ]
    with pytest.raises(ControllerError, match="no tool that runs `ip address` on the node ctdb1"):
        cluster.argv("ctdb1", ["ip", "address"])


@pytest.mark.parametrize(
    ("capability", "why"),
    [
        (Capability.FAIL_CRASH, "belong to selftest.pl"),
        (Capability.FAIL_POWER_OFF, "socket_wrapper"),
        (Capability.FAIL_PARTITION, "socket_wrapper"),
        (Capability.FAIL_KILL_WORKER, "belong to selftest.pl"),
        (Capability.FAIL_LINK_DOWN, "socket_wrapper"),
        (Capability.RESTART_SERVICE, "belong to selftest.pl"),
        (Capability.CHANGE_ADDRESS, "no public addresses"),
        (Capability.MOVE_ADDRESS, "no public addresses"),
    ],
)
def test_what_the_environment_cannot_do_is_impossible_here(
    profile: Profile, capability: Capability, why: str
) -> None:
    controller = make_controller(profile)
    with pytest.raises(NotSupported, match=rf"^impossible here: .*{why}"):
        controller.require(capability)
    reason = unmet(("spare-address", capability.value), profile, controller)
    assert reason is not None
    assert reason.startswith("impossible here: ")
    assert why in reason


def test_failure_that_a_case_asks_for_later_is_impossible_here(profile: Profile) -> None:
    with pytest.raises(NotSupported, match=r"^impossible here: "):
        asyncio.run(make_controller(profile).fail("ctdb1", Failure.POWER_OFF))


@pytest.mark.parametrize("need", ["tcp-reset", "silent-client", "no-interfaces"])
def test_what_the_sockets_cannot_show_is_impossible_here(profile: Profile, need: str) -> None:
    assert (unmet((need,), profile, make_controller(profile)) or "").startswith("impossible here: ")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"nodes": []}, "nodes must be an array of tables"),
        ({"nodes": [{"name": "a"}]}, "node 0 must be a table with name, address, directory, socket"),
        ({"colour": 1}, "unknown key 'colour'; known keys: source, directory, nodes, python, timeout"),
        ({"source": None}, "source is missing; the shipped profile samba-selftest has all keys"),
    ],
)
def test_wrong_setting_is_named(profile: Profile, change: dict[str, Any], problem: str) -> None:
    settings = {**profile.controller, **change}
    with pytest.raises(ValueError, match=problem):
        controller_from({key: value for key, value in settings.items() if value is not None})


def test_changes_of_a_killed_process_are_restored(profile: Profile, source: Path) -> None:
    """The journal of another process says that a node was disabled."""

    async def disable(controller: Controller) -> None:
        await controller.disable("ctdb1")

    perform(profile, disable)
    state: dict[str, Any] = {}

    async def restore(controller: Controller) -> None:
        controller.recall(state, [])
        await controller.restore(10.0)

    perform(profile, restore)
    assert not list((source / "state").glob("disabled.*"))
