"""The swarm against a cluster of its own: a right server, and two that lose or repeat notifications."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCUST = importlib.util.find_spec("locust") is not None
CLIENTS = 12
ON_NODE = CLIENTS // 3
"""The clients that register for an address of one of the three nodes."""


@pytest.fixture(autouse=True)
def locust() -> None:
    """Locust is there; without it the test is skipped, or fails if the swarm is required."""
    if LOCUST:
        return
    reason = "Locust is not installed (make swarm)"
    if os.environ.get("SWN_TORTURE_REQUIRE_SWARM") == "1":
        pytest.fail(f"SWN_TORTURE_REQUIRE_SWARM=1, but {reason}")
    pytest.skip(reason)


@contextmanager
def served(directory: Path, *options: str) -> Iterator[Path]:
    """The profile of a cluster in a process of its own."""
    path = directory / "served.toml"
    command = [*program(), "serve", "--log-level", "off", *options]
    with subprocess.Popen(
        [*command, "--write-profile", str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                break
        try:
            yield path
        finally:
            process.terminate()
            process.communicate()


def swarm(profile: Path, scenario: str, *options: str) -> dict[str, Any]:
    """Run the swarm and return its JSON."""
    command = [sys.executable, "-m", "swn_torture", "swarm", "--target", str(profile), "--json"]
    command += ["--scenario", scenario, "--clients", str(CLIENTS), "--grace", "2", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    assert (values["registered"], values["failures"]) == (CLIENTS, {}), values
    return values


def test_master_and_two_workers_move_their_clients(tmp_path: Path) -> None:
    with served(tmp_path) as profile:
        change, everyone = swarm(profile, "client-move", "--processes", "2")["changes"]

    assert (change["concerned"], change["told"]) == (ON_NODE, ON_NODE)
    assert (everyone["concerned"], everyone["told"]) == (CLIENTS, CLIENTS)
    for each in (change, everyone):
        assert not each["lost"] + each["told_twice"] + each["told_unconcerned"]


def test_what_a_server_loses_is_counted(tmp_path: Path) -> None:
    with served(tmp_path, "--fault", "move-reaches-one-registration") as profile:
        change, _ = swarm(profile, "client-move")["changes"]

    assert change["told"] >= 1  # the controller moves the clients of each address of the node
    assert change["lost"] == change["concerned"] - change["told"] > 0


def test_what_a_server_repeats_is_counted(tmp_path: Path) -> None:
    with served(tmp_path, "--fault", "changes-sent-again") as profile:
        first, _again = swarm(profile, "steady")["changes"]

    assert first["told_twice"] == first["concerned"] == ON_NODE


def test_the_report_says_it_in_words(tmp_path: Path) -> None:
    with served(tmp_path) as profile:
        command = [sys.executable, "-m", "swn_torture", "swarm", "--target", str(profile), "--clients", "3"]
        command += ["--scenario", "failover-storm", "--grace", "2"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)

    assert done.returncode == 0, done.stderr
    assert "3 of 3 clients were registered after" in done.stdout
    assert "crash of node 2: 1 of 1 clients concerned were told" in done.stdout
    assert "1 x call: connection lost" in done.stdout
