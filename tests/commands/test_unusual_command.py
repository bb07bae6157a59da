"""``swn-torture unusual``, and ``--unusual`` of the commands that start a reference cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]


def test_unusual_lists_name_summary_and_reason(swn_torture: Command) -> None:
    done = swn_torture("unusual", "two-nodes")

    assert done.returncode == 0
    assert "nodes\n  two-nodes\n      The cluster has two nodes.\n" in done.stdout
    assert "MS-SWN 3.1.1.2" in done.stdout


def test_unusual_lists_what_a_value_does_not_follow(swn_torture: Command) -> None:
    done = swn_torture("unusual", "SWN-3.1.4.1-empty-list")

    assert "empty_interface_list=success" in done.stdout
    assert "does not follow SWN-3.1.4.1-empty-list" in done.stdout


def test_unusual_prints_json_and_names(swn_torture: Command) -> None:
    rows = json.loads(swn_torture("unusual", "--area", "limits", "--json").stdout)
    names = swn_torture("unusual", "--area", "limits", "--names").stdout.split()

    assert names == [row["name"] for row in rows]
    assert {row["area"] for row in rows} == {"limits"}
    assert all(row["conforms"] and not row["breaks"] for row in rows)


def test_unknown_area_lists_the_known(swn_torture: Command) -> None:
    done = swn_torture("unusual", "--area", "weather")

    assert done.returncode == 2
    assert "limits" in done.stderr


def test_unusual_reference_passes(swn_torture: Command) -> None:
    done = swn_torture("run", "-n", "0", "--unusual", "two-nodes", "--requirement", "SWN-3.1.4.1-count")

    assert done.returncode == 0, done.stdout + done.stderr


def test_value_of_an_option_is_found_wrong(swn_torture: Command) -> None:
    unusual = "empty_interface_list=success"
    done = swn_torture("run", "-n", "0", "--unusual", unusual, "--requirement", "SWN-3.1.4.1-empty-list")

    assert done.returncode == 1, done.stderr
    assert f"--unusual {unusual}" in done.stdout, "the command that repeats the case names the server"


@pytest.mark.parametrize("command", ["run", "serve"])
def test_unknown_server_lists_close_matches(swn_torture: Command, command: str) -> None:
    done = swn_torture(command, "--unusual", "two-node")
    text = done.stderr.replace("\n", " ")

    assert done.returncode == 2
    assert "Unknown unusual server 'two-node'. Close matches: two-nodes" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("command", ["run", "serve"])
def test_fault_and_unusual_server_exclude_each_other(swn_torture: Command, command: str) -> None:
    done = swn_torture(command, "--unusual", "two-nodes", "--fault", "codes-as-hresult")

    assert done.returncode == 2
    assert ("not both" if command == "run" else "only one of") in done.stderr


def test_only_an_embedded_cluster_can_be_unusual(swn_torture: Command, profile: Path) -> None:
    done = swn_torture("run", "--target", str(profile), "--unusual", "two-nodes")

    assert done.returncode == 2
    assert "embedded" in done.stderr
