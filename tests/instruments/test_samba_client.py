"""Samba's Python client calls its methods on the reference: signed and sealed, NDR32 and NDR64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.state.options import Options

if TYPE_CHECKING:
    from tests.instruments.samba_tree import SambaTree

SCRIPT = Path(__file__).with_name("samba_witness_client.py")


@pytest.mark.lab
def test_every_method_works_with_every_binding(tree: SambaTree) -> None:
    options = Options(unused_timeout=30.0, scan_interval=0.05)
    with EmbeddedCluster(ClusterConfig(options=options)) as cluster:
        node = cluster.nodes[0]
        arguments = [
            node.address,
            str(node.port),
            cluster.config.net_name,
            node.address,
            "witness",
            "Passw0rd!",
        ]
        done = tree.run("python3", SCRIPT.name, *arguments, directory=SCRIPT.parent)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["binding"] for result in results] == [
        f"{auth},{level}{syntax}"
        for auth in ("ntlm", "spnego")
        for level in ("sign", "seal")
        for syntax in ("", ",ndr64")
    ]
    for result in results:
        assert len(result["interfaces"]) == 3, result
        assert result["interfaces"][0].startswith(f"NODE1 {node.address} 1 "), result
        assert result["unknown_version"] == 0x51A, result
        assert result["timeout"] == 0x5B4, result
        assert result["unregister"] == [0, 0], result
        assert result["again"] == 0x57, result
