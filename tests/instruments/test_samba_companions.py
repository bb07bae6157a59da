"""The companion services with Samba: ndrdump reads our stub data, and Samba's clients use our shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.server.config import ClusterConfig, default_nodes
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.stubdata.syntax import NDR64
from tests.examples import one_in
from tests.server.companion_samples import CLUSAPI, SRVSVC, SYNTAXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swn_torture.stubdata.syntax import SyntaxId
    from tests.instruments.samba_tree import SambaTree
    from tests.server.companion_samples import Sample

pytestmark = pytest.mark.lab

USER = "SWNTEST\\witness%Passw0rd!"

# For a response of NetShareGetInfo ndrdump needs the request, which has the level; smbtorture reads these
# responses below. Samba's union for NetShareEnumAll has no level above 502; it reads a share container there.
DUMPED = {f"clusapi_{name}": sample for name, sample in CLUSAPI.items()} | {
    f"srvsvc_{name}": sample
    for name, sample in SRVSVC.items()
    if not name.startswith("info_out") and not name.endswith(("_503", "_unknown_level"))
}


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("name", one_in(3, DUMPED))
def test_ndrdump_reads_our_stub_data(name: str, syntax: SyntaxId, tree: SambaTree, tmp_path: Path) -> None:
    """It reads them completely, and in NDR32 it writes the same again (NDR64 has no ``--validate``)."""
    sample: Sample = DUMPED[name]
    interface = name.partition("_")[0]
    (tmp_path / "stub").write_bytes(sample.encode(syntax))
    options = ("--ndr64",) if syntax == NDR64 else ("--validate",)

    done = tree.run(
        "ndrdump", *options, interface, f"{interface}_{sample.call}", sample.side, "stub", directory=tmp_path
    )

    assert done.stdout.startswith("pull returned Success\n"), done.stdout + done.stderr
    assert done.stdout.endswith("dump OK\n"), done.stdout
    assert "WARNING" not in done.stdout
    for text in texts_of(sample):
        assert f"'{text}'" in done.stdout


def texts_of(sample: Sample) -> set[str]:
    """The texts in a message that the output must contain."""
    shares = getattr(sample.message, "shares", None) or ()
    values = [value for one in (sample.message, *shares) for value in values_of(one)]
    return {value for value in values if isinstance(value, str) and value not in {"", "*"}}


def values_of(value: object) -> list[object]:
    return [getattr(value, name) for name in getattr(value, "__dataclass_fields__", {})]


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(ClusterConfig(nodes=default_nodes(2), smb_port=0)) as running:
        yield running


@pytest.mark.parametrize("subtest", ["NetShareEnumAll", "NetShareGetInfo", "NetShareEnum"])
@pytest.mark.parametrize("binding", one_in(3, ["", "sign", "seal", "ndr64", "seal,ndr64", "spnego,seal"]))
def test_smbtorture_finds_the_shares(
    cluster: EmbeddedCluster, tree: SambaTree, tmp_path: Path, binding: str, subtest: str
) -> None:
    node = cluster.nodes[0]

    done = tree.run(
        "smbtorture",
        f"ncacn_np:{node.address}[{binding}]",
        f"--user={USER}",
        f"--option=smb ports={node.smb_port}",
        f"rpc.srvsvc.srvsvc (admin access).{subtest}",
        directory=tmp_path,
    )

    assert f"success: srvsvc (admin access).{subtest}\n" in done.stdout, done.stdout + done.stderr


def smbclient(
    tree: SambaTree, directory: Path, cluster: EmbeddedCluster, node: int, *options: str
) -> tuple[int, str]:
    """Run smbclient on a node; return its exit code and its output."""
    server = cluster.nodes[node]
    service = f"//{server.address}/SHARE"
    done = tree.run(
        "smbclient", service, f"--port={server.smb_port}", f"--user={USER}", *options, directory=directory
    )
    return done.returncode, done.stdout + done.stderr


def test_smbclient_writes_via_one_node_and_reads_via_another(
    cluster: EmbeddedCluster, tree: SambaTree, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content")

    code, output = smbclient(tree, tmp_path, cluster, 0, "--command=mkdir folder; put file folder/copy")
    assert code == 0, output
    code, output = smbclient(tree, tmp_path, cluster, 1, "--command=get folder/copy back; rm folder/copy")
    assert code == 0, output

    assert (tmp_path / "back").read_text() == "content"


def test_smbclient_lists_the_shares(cluster: EmbeddedCluster, tree: SambaTree, tmp_path: Path) -> None:
    code, output = smbclient(tree, tmp_path, cluster, 0, f"--list={cluster.nodes[0].address}", "--grepable")

    assert code == 0, output
    assert [line for line in output.splitlines() if "|" in line] == [
        "Disk|SHARE|scale-out",
        "Disk|PLAIN|clustered, not scale-out",
        "IPC|IPC$|Remote IPC",
    ]
