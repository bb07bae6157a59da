"""One of several daemons on a machine is called in the way that its release allows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.control import ControllerError
from swn_torture.control.ctdb.cluster import CtdbCluster
from swn_torture.control.ctdb.daemon import DaemonChoice
from swn_torture.control.ctdb.settings import CtdbSettings

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = """#!/bin/sh
[ "$1" != ctdb ] || {{ echo "{version}"; exit 0; }}
echo "$*"
"""


def command_for(directory: Path, version: str, *command: str) -> str:
    """The command line that arrives at a node with this `ctdb version`."""
    script = directory / "script"
    script.write_text(_SCRIPT.format(version=version), encoding="utf-8")
    script.chmod(0o755)
    settings = CtdbSettings.from_mapping(
        {"nodes": {"node1": "192.0.2.1"}, "prefix": [str(script)], "socket": "/st/{node}/ctdbd.socket"}
    )
    return asyncio.run(CtdbCluster(settings).run_on("node1", *command)).text.strip()


@pytest.mark.parametrize("version", ["4.20.8", "4.22.5-Debian", "4.23.0"])
def test_older_release_is_told_the_socket(tmp_path: Path, version: str) -> None:
    found = command_for(tmp_path, version, "ctdb", "disable")
    assert found == "env CTDB_SOCKET=/st/node1/ctdbd.socket ctdb disable"


@pytest.mark.parametrize("version", ["4.22.6", "4.22.11-Debian-4.22.11", "4.23.1", "4.25.0pre1", "5.0"])
def test_newer_release_needs_the_test_mode(tmp_path: Path, version: str) -> None:
    found = command_for(tmp_path, version, "ctdb", "disable")
    socket = "CTDB_SOCKET=/st/node1/ctdbd.socket"
    assert found == f"env {socket} CTDB_TEST_MODE=1 CTDB_BASE=/st/node1 ctdb disable"


def test_other_programs_are_called_as_they_are(tmp_path: Path) -> None:
    assert command_for(tmp_path, "4.22.6", "net", "witness", "list") == "net witness list"


def test_text_without_a_version_is_an_error() -> None:
    with pytest.raises(ControllerError, match="printed no version, but 'command not found'"):
        DaemonChoice("/st/ctdbd.socket").learn("command not found")
