"""Samba's own Python client uses every call it knows on the reference, signed and sealed, NDR32 and NDR64."""

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
def test_every_call_by_every_binding(tree: SambaTree) -> None:
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
        answer = tree.run("python3", SCRIPT.name, *arguments, ours=SCRIPT.parent)
    assert answer.returncode == 0, answer.stderr
    notified = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [t["binding"] for t in notified] == [
        f"{auth},{level}{syntax}"
        for auth in ("ntlm", "spnego")
        for level in ("sign", "seal")
        for syntax in ("", ",ndr64")
    ]
    for one in notified:
        assert len(one["interfaces"]) == 3, one
        assert one["interfaces"][0].startswith(f"NODE1 {node.address} 1 "), one
        assert one["unknown_version"] == 0x51A, one
        assert one["timeout"] == 0x5B4, one
        assert one["unregister"] == [0, 0], one
        assert one["again"] == 0x57, one
