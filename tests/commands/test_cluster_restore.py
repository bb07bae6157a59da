"""Ctrl-C and kill -9 in the middle of a change: it is undone at once, or by `swn-torture cluster restore`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from swn_torture.control.reference import ReferenceController
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.target import journal_of, load_profile
from tests.preloaded import process_of, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT = 60.0
"""Seconds until a command has done what a test waits for."""


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    """A cluster that detects a failure late, so that a command waits for it."""
    with EmbeddedCluster(ClusterConfig(detection_delay=15.0)) as running:
        yield running


@pytest.fixture
def profile(cluster: EmbeddedCluster, profile_text: Callable[..., str], tmp_path: Path) -> Path:
    path = tmp_path / "target.toml"
    others = "".join(
        f'[[node]]\nname = "{each.name}"\naddress = "{each.address}"\n'
        f"endpoint_mapper_port = {each.epm_port}\n"
        for each in cluster.nodes[1:]
    )
    path.write_text(profile_text(cluster).replace("[controller]", f"{others}[controller]"), encoding="utf-8")
    return path


def states(cluster: EmbeddedCluster) -> list[str]:
    async def ask() -> list[str]:
        async with ReferenceController(cluster.admin_address, cluster.admin_port) as controller:
            return [node.state.value for node in await controller.nodes()]

    return asyncio.run(ask())


def start(*arguments: str) -> subprocess.Popen[str]:
    command = ["env", "--default-signal=INT", *program(), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def stop_when_changed(process: subprocess.Popen[str], cluster: EmbeddedCluster) -> int:
    """Stop a process while the cluster has a change of it."""
    command = process_of(process.pid)
    deadline = time.monotonic() + LIMIT
    while True:
        assert time.monotonic() < deadline, "nothing changed the cluster"
        assert process.poll() is None, process.stdout and process.stdout.read()
        if states(cluster) != ["ok"] * 3:
            os.kill(command, signal.SIGSTOP)
            if states(cluster) != ["ok"] * 3:
                return command
            os.kill(command, signal.SIGCONT)
        time.sleep(0.02)


def test_interrupted_command_undoes_its_change(profile: Path, cluster: EmbeddedCluster) -> None:
    with start("cluster", "fail", "NODE2", "--target", str(profile)) as process:
        command = stop_when_changed(process, cluster)
        for number in (signal.SIGINT, signal.SIGCONT):
            os.kill(command, number)
        output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode != 0
    assert "Interrupted. Undoing what this command changed.\nUndone: fail NODE2\n" in output
    assert states(cluster) == ["ok"] * 3
    assert not journal_of(load_profile(str(profile))).path.exists()


def test_killed_command_is_undone_by_restore(
    profile: Path,
    cluster: EmbeddedCluster,
    swn_torture: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    with start("cluster", "fail", "NODE2", "--target", str(profile)) as process:
        command = stop_when_changed(process, cluster)
        refused = swn_torture("cluster", "restore", "--target", str(profile))
        os.kill(command, signal.SIGKILL)
    assert (refused.returncode, f"process {command} still uses the cluster" in refused.stderr) == (
        3,
        True,
    )
    assert states(cluster) == ["ok", "down", "ok"]

    said = swn_torture("run", "--target", str(profile), "-n", "0", "--case", "rpc.names.foreign-net-name")
    assert "Changes of the cluster that were not undone:\n  fail NODE2 (" in said.stderr
    assert f"To undo them: swn-torture cluster restore --target {profile}\n" in said.stderr
    restored = swn_torture("cluster", "restore", "--target", str(profile))
    assert restored.returncode == 0, restored.stderr
    assert "Undoing: fail NODE2" in restored.stderr
    assert "The cluster is restored and healthy." in restored.stderr
    assert states(cluster) == ["ok"] * 3
    assert not journal_of(load_profile(str(profile))).path.exists()


def test_run_that_was_killed_is_undone_by_restore(
    profile: Path,
    cluster: EmbeddedCluster,
    swn_torture: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    with start("run", "--target", str(profile), "-n", "0", "-k", "node-disabled") as process:
        os.kill(stop_when_changed(process, cluster), signal.SIGKILL)
    assert "disabled" in states(cluster)
    (entry,) = journal_of(load_profile(str(profile))).entries()
    assert entry.undo.call == "enable"
    assert "test_node_disabled" in entry.by
    assert swn_torture("cluster", "restore", "--target", str(profile)).returncode == 0
    assert states(cluster) == ["ok"] * 3


def test_wanted_change_stays_in_the_journal_until_it_is_undone(
    profile: Path,
    cluster: EmbeddedCluster,
    swn_torture: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    journal = journal_of(load_profile(str(profile)))
    assert swn_torture("cluster", "disable", "NODE1", "--target", str(profile)).returncode == 0
    assert [str(entry.undo) for entry in journal.entries()] == ["enable NODE1"]
    shown = swn_torture("cluster", "status", "--target", str(profile))
    assert "Changes of the cluster that were not undone:\n  disable NODE1 (" in shown.stderr
    assert swn_torture("cluster", "enable", "node1", "--target", str(profile)).returncode == 0
    assert not journal.path.exists()
