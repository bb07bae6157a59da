"""The [controller] table of a CTDB target, and the runner of its commands."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from swn_torture.control import Capability, Failure, NotSupported
from swn_torture.control.ctdb.controller import CtdbController
from swn_torture.control.ctdb.settings import CtdbSettings
from swn_torture.control.runner import CommandFailed, Runner, run

_NODES = {"node1": "198.51.100.10", "node2": "198.51.100.11"}


def test_command_is_a_string_or_an_array_of_words() -> None:
    as_string = CtdbSettings.from_mapping({"nodes": _NODES, "prefix": "ssh -p '22' root@{node}"})
    as_words = CtdbSettings.from_mapping({"nodes": _NODES, "prefix": ["ssh", "-p", "22", "root@{node}"]})
    assert as_string == as_words


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({}, "nodes is missing"),
        ({"nodes": {}}, "nodes must be names and addresses"),
        ({"nodes": {"node1": "fs1.example"}}, "the address of node1"),
        ({"nodes": _NODES, "prefx": "ssh"}, "unknown key 'prefx'"),
        ({"nodes": _NODES, "prefix": 7}, "prefix must be a command"),
        ({"nodes": _NODES, "prefix": "ssh 'root"}, "prefix is not a command line"),
        ({"nodes": _NODES, "start_services": "smbd -D"}, "start_services must be an array"),
        ({"nodes": _NODES, "timeout": 0}, "timeout must be a positive number of seconds"),
        ({"nodes": _NODES, "timeout": True}, "timeout must be a positive number of seconds"),
        ({"nodes": _NODES, "witness_service": ["x"]}, "witness_service must be the name"),
        ({"nodes": _NODES, "power_off": "off"}, "power_off and power_on must be set together"),
        ({"nodes": _NODES, "socket": 5}, "socket must be a path"),
        ({"nodes": _NODES, "end_hung_workers": "no"}, "end_hung_workers must be true or false"),
        ({"nodes": _NODES, "link_down": "down"}, "link_down and link_up must be set together"),
        ({"nodes": _NODES, "heal": "heal"}, "partition and heal must be set together"),
    ],
)
def test_error_names_the_wrong_setting(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CtdbController.from_settings(table)


def test_capabilities_follow_from_the_settings() -> None:
    plain = CtdbController.from_settings({"nodes": _NODES})
    assert plain.can(Capability.FAIL_CRASH, Capability.MOVE_CLIENT, Capability.SHARES)
    for capability in (Capability.FAIL_POWER_OFF, Capability.FAIL_PARTITION):
        assert not plain.can(capability)
    assert plain.can(Capability.FAIL_HANG, Capability.FAIL_BAN, Capability.FAIL_KILL_WORKER)
    assert not plain.can(Capability.FAIL_LINK_DOWN)
    full = CtdbController.from_settings(
        {"nodes": _NODES, "power_off": "a", "power_on": "b", "partition": "c", "heal": "d"}
    )
    assert full.can(Capability.FAIL_POWER_OFF, Capability.FAIL_PARTITION)


def test_unsupported_failure_runs_no_command() -> None:
    controller = CtdbController.from_settings({"nodes": _NODES, "prefix": "/nonexistent"})
    with pytest.raises(NotSupported, match="fail-power-off"):
        asyncio.run(controller.fail("node1", Failure.POWER_OFF))


def test_prefix_has_the_name_of_the_node() -> None:
    runner = Runner(("lab", "exec", "{node}", "--"), _NODES)
    assert runner.argv("node2", ["ctdb", "ip"]) == ["lab", "exec", "node2", "--", "ctdb", "ip"]


def test_command_is_quoted_for_the_remote_shell_of_ssh() -> None:
    runner = Runner(("ssh", "root@{address}"), _NODES)
    argv = runner.argv("node1", ["net", "--forced={ 'a b' }"])
    assert argv == ["ssh", "root@198.51.100.10", """net '--forced={ '"'"'a b'"'"' }'"""]


def test_error_of_a_command_has_its_exit_code_and_output() -> None:
    with pytest.raises(CommandFailed, match=r"exit code 3: no such node") as caught:
        asyncio.run(run(["sh", "-c", "echo no such node >&2; exit 3"], timeout=5))
    assert caught.value.code == 3


def test_unknown_command_is_an_error() -> None:
    with pytest.raises(CommandFailed, match="/nonexistent"):
        asyncio.run(run(["/nonexistent"], timeout=5))


def test_command_and_its_children_are_killed_at_the_deadline() -> None:
    with pytest.raises(CommandFailed, match="did not end before its deadline") as caught:
        asyncio.run(run(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.1))
    assert caught.value.code is None


def test_cancelled_command_is_killed() -> None:
    mark = f"60.{secrets.randbelow(10**9):09}"

    async def start_and_cancel() -> None:
        async with asyncio.TaskGroup() as tasks:
            for step in range(20):
                task = tasks.create_task(run(["sleep", mark], timeout=60))
                # Each command is cancelled at another moment of its start.
                await asyncio.sleep(step * 0.0005)
                task.cancel()

    # asyncio.run waits for the threads, and so for the commands.
    asyncio.run(start_and_cancel())
    assert not running_with(mark)


def test_running_command_is_found_by_its_argument() -> None:
    mark = f"60.{secrets.randbelow(10**9):09}"
    process = subprocess.Popen(["sleep", mark])
    try:
        # Popen returns a moment before the kernel shows the arguments of the new program.
        deadline = time.monotonic() + 5
        while not running_with(mark) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running_with(mark) == [process.pid]
    finally:
        process.kill()
        process.wait()


def running_with(argument: str) -> list[int]:
    """Process ids of the programs with this argument. A zombie has no arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # the process has ended
            continue
        if argument.encode() in words:
            found.append(int(path.parent.name))
    return found
