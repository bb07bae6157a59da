"""Samba reads what the reference says beside witness: its ndrdump our stubs, its clients our shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.server.config import ClusterConfig, default_nodes
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.stubdata.syntax import NDR64
from tests.server.companion_samples import CLUSAPI, SRVSVC, SYNTAXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swn_torture.stubdata.syntax import SyntaxId
    from tests.instruments.samba_tree import SambaTree
    from tests.server.companion_samples import Sample

pytestmark = pytest.mark.lab

USER = "SWNTEST\\witness%Passw0rd!"

# ndrdump reads a response of NetShareGetInfo only along with its request, which names the level; smbtorture
# below reads them. Samba's union for NetShareEnumAll ends at level 502.
DUMPED = {f"clusapi_{name}": sample for name, sample in CLUSAPI.items()} | {
    f"srvsvc_{name}": sample
    for name, sample in SRVSVC.items()
    if not name.startswith("info_out") and not name.endswith("_503")
}


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("name", DUMPED)
def test_ndrdump_reads_our_stubs(name: str, syntax: SyntaxId, tree: SambaTree, tmp_path: Path) -> None:
    """To the end; and of NDR32 it writes the same again (its ``--validate`` does not know NDR64)."""
    sample: Sample = DUMPED[name]
    interface = name.partition("_")[0]
    (tmp_path / "stub").write_bytes(sample.encode(syntax))
    options = ("--ndr64",) if syntax == NDR64 else ("--validate",)

    notified = tree.run(
        "ndrdump", *options, interface, f"{interface}_{sample.call}", sample.side, "stub", ours=tmp_path
    )

    assert notified.stdout.startswith("pull returned Success\n"), notified.stdout + notified.stderr
    assert notified.stdout.endswith("dump OK\n"), notified.stdout
    assert "WARNING" not in notified.stdout
    for text in texts_of(sample):
        assert f"'{text}'" in notified.stdout


def texts_of(sample: Sample) -> set[str]:
    """The texts in a message that anybody could look for."""
    shares = getattr(sample.message, "shares", None) or ()
    values = [value for one in (sample.message, *shares) for value in vars_of(one)]
    return {value for value in values if isinstance(value, str) and value not in {"", "*"}}


def vars_of(value: object) -> list[object]:
    return [getattr(value, name) for name in getattr(value, "__dataclass_fields__", {})]


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(ClusterConfig(nodes=default_nodes(2), smb_port=0)) as running:
        yield running


@pytest.mark.parametrize("subtest", ["NetShareEnumAll", "NetShareGetInfo", "NetShareEnum"])
@pytest.mark.parametrize("binding", ["", "sign", "seal", "spnego,seal", "ndr64", "seal,ndr64"])
def test_smbtorture_finds_the_shares(
    cluster: EmbeddedCluster, tree: SambaTree, tmp_path: Path, binding: str, subtest: str
) -> None:
    node = cluster.nodes[0]

    notified = tree.run(
        "smbtorture",
        f"ncacn_np:{node.address}[{binding}]",
        f"--user={USER}",
        f"--option=smb ports={node.smb_port}",
        f"rpc.srvsvc.srvsvc (admin access).{subtest}",
        ours=tmp_path,
    )

    assert f"success: srvsvc (admin access).{subtest}\n" in notified.stdout, notified.stdout + notified.stderr


def smbclient(tree: SambaTree, ours: Path, cluster: EmbeddedCluster, node: int, *how: str) -> tuple[int, str]:
    """Exit code, and all that was said."""
    at = cluster.nodes[node]
    service = f"//{at.address}/SHARE"
    notified = tree.run("smbclient", service, f"--port={at.smb_port}", f"--user={USER}", *how, ours=ours)
    return notified.returncode, notified.stdout + notified.stderr


def test_smbclient_puts_a_file_through_one_node_and_gets_it_through_another(
    cluster: EmbeddedCluster, tree: SambaTree, tmp_path: Path
) -> None:
    (tmp_path / "here").write_text("what is in it")

    code, said = smbclient(tree, tmp_path, cluster, 0, "--command=mkdir folder; put here folder/there")
    assert code == 0, said
    code, said = smbclient(tree, tmp_path, cluster, 1, "--command=get folder/there back; rm folder/there")
    assert code == 0, said

    assert (tmp_path / "back").read_text() == "what is in it"


def test_smbclient_lists_the_shares(cluster: EmbeddedCluster, tree: SambaTree, tmp_path: Path) -> None:
    code, said = smbclient(tree, tmp_path, cluster, 0, f"--list={cluster.nodes[0].address}", "--grepable")

    assert code == 0, said
    assert [line for line in said.splitlines() if "|" in line] == [
        "Disk|SHARE|scale-out",
        "Disk|PLAIN|clustered, not scale-out",
        "IPC|IPC$|Remote IPC",
    ]
