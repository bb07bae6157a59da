"""Samba's own Python client uses every call it knows on the reference, signed and sealed, NDR32 and NDR64."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from swn_torture import lab
from swn_torture.lab.base import ensure_base
from swn_torture.server.config import ClusterConfig
from swn_torture.server.embedded import EmbeddedCluster
from swn_torture.server.options import Options

SCRIPT = Path(__file__).with_name("samba_witness_client.py")


@pytest.fixture(scope="module")
def tree() -> Path:
    """A Debian tree with Samba's bindings: the lab's own base."""
    reason = lab.unavailable()
    if reason is not None:
        if os.environ.get("SWN_TORTURE_REQUIRE_LAB") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return ensure_base("trixie", lambda _: None)


@pytest.mark.lab
def test_every_call_by_every_binding(tree: Path, tmp_path: Path) -> None:
    options = Options(unused_timeout=30.0, scan_interval=0.05)
    work = tmp_path / "script.py"
    shutil.copy(SCRIPT, work)
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
        # Its own mount namespace, so that the script is seen in the tree and nothing of this is left in it.
        command = (
            'mount --bind "$1" "$2/mnt" && shift && root=$1 && shift && '
            'exec chroot "$root" env PYTHONDONTWRITEBYTECODE=1 python3 /mnt/script.py "$@"'
        )
        answer = subprocess.run(
            [
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                command,
                "sh",
                str(tmp_path),
                str(tree),
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert answer.returncode == 0, answer.stderr
    told = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [t["binding"] for t in told] == [
        f"{auth},{level}{syntax}"
        for auth in ("ntlm", "spnego")
        for level in ("sign", "seal")
        for syntax in ("", ",ndr64")
    ]
    for one in told:
        assert len(one["interfaces"]) == 3, one
        assert one["interfaces"][0].startswith(f"NODE1 {node.address} 1 "), one
        assert one["unknown_version"] == 0x51A, one
        assert one["timeout"] == 0x5B4, one
        assert one["unregister"] == [0, 0], one
        assert one["again"] == 0x57, one
