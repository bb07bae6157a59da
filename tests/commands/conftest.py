"""A running reference cluster, its profile, and the command as a user calls it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.server.nodes.embedded import EmbeddedCluster
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def swn_torture() -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        command = [*program(), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)

    return call


@pytest.fixture(scope="session")
def served() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def profile_text() -> Callable[..., str]:
    """Makes the profile of a cluster, with other values for some keys."""
    return _profile_text


def _profile_text(cluster: EmbeddedCluster, **changes: Any) -> str:
    values = {
        "password": "Passw0rd!",
        "net_name": cluster.config.net_name,
        "address": cluster.nodes[0].address,
        "epm_port": cluster.nodes[0].epm_port,
        **changes,
    }
    return f"""
schema = "swn-torture-target/1"
name = "served"
net_name = {json.dumps(values["net_name"])}
[account]
username = "witness"
password = {json.dumps(values["password"])}
domain = "SWNTEST"
[[node]]
name = {json.dumps(cluster.nodes[0].name)}
address = {json.dumps(values["address"])}
endpoint_mapper_port = {values["epm_port"]}
[controller]
kind = "reference"
address = {json.dumps(cluster.admin_address)}
port = {cluster.admin_port}
[expect]
unused_timeout = 3.0
scan_interval = 1.0
event_deadline = 5.0
reply_deadline = 3.0
quiet_time = 0.3
"""


@pytest.fixture
def profile(served: EmbeddedCluster, tmp_path: Path) -> Path:
    path = tmp_path / "served.toml"
    path.write_text(_profile_text(served), encoding="utf-8")
    return path
