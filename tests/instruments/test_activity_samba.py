"""The log of the reference explains what Samba's clients do wrong, with the parameter and the section."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from swn_torture.server.activity.log import ActivityLog
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.instruments.samba_tree import SambaTree

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("binding", "password", "net_name", "lines"),
    [
        (
            "sign",
            "Passw0rd!",
            "OTHERNAME",
            ["logon of SWNTEST\\witness", 'NetName "OTHERNAME" is not ServerGlobalName (SWNCLUSTER, '],
        ),
        (
            "sign",
            "wrong",
            "SWNCLUSTER",
            ["alter_context (14), call 1, rejected: ", "response does not match the password"],
        ),
        ("connect", "Passw0rd!", "SWNCLUSTER", ["the caller uses CONNECT, the server needs PKT_INTEGRITY"]),
    ],
    ids=["net-name", "password", "level"],
)
def test_smbtorture_is_explained(
    tree: SambaTree,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    binding: str,
    password: str,
    net_name: str,
    lines: list[str],
) -> None:
    config = ClusterConfig(clusapi=True)
    caplog.set_level(logging.INFO)
    with EmbeddedCluster(config, activity=ActivityLog(logging.getLogger("tests.activity"))) as cluster:
        node = cluster.nodes[0]
        done = tree.run(
            "smbtorture",
            f"ncacn_ip_tcp:{node.address}[{node.port},{binding}]",
            f"--user={config.domain}\\witness%{password}",
            f"--option=torture:net_name={net_name}",
            "rpc.witness.witness.Register",
            directory=tmp_path,
        )
    assert done.returncode, done.stdout
    for line in lines:
        assert line in caplog.text, caplog.text + done.stdout + done.stderr
