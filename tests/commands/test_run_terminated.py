"""SIGTERM to ``swn-torture run``: the report is incomplete, and the cluster is as it was."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from swn_torture.target import load_profile, make_controller
from tests.examples import one_in
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Cases in which a node fails.
DISTURBING = "node-failure"


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[Path]:
    """The profile of a cluster in a process of its own."""
    path = tmp_path / "served.toml"
    command = [*program(), "serve", "--write-profile", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not (path.is_file() and path.read_text(encoding="utf-8").endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield path
        process.terminate()


def states(profile: Path) -> set[str]:
    """The states of the nodes, as their controller says."""

    async def ask() -> set[str]:
        controller = make_controller(load_profile(str(profile)))
        await controller.open()
        try:
            return {node.state.name for node in await controller.nodes()}
        finally:
            await controller.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("processes", one_in(2, ["0", "2"]))
def test_sigterm_restores_and_reports(profile: Path, tmp_path: Path, processes: str) -> None:
    healthy = states(profile)
    report = tmp_path / "report"
    command = [*program(), "run", "--target", str(profile), "-n", processes]
    command += ["-k", DISTURBING, "--report", str(report)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while states(profile) == healthy:
            assert time.monotonic() < deadline, "no case has disturbed the cluster"
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert states(profile) == healthy
    assert process.returncode == 3
    run = json.loads((report / "results.json").read_text(encoding="utf-8"))["run"]
    assert run["complete"] is False
    assert run["stopped"]
