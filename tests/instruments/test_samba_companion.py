"""The shares of the reference by Samba's smbd: SMB 3.1.1, and capabilities by which a client uses witness."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from impacket.nmb import NetBIOSError, NetBIOSTimeout
from impacket.smbconnection import SMBConnection

from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.doctor.shares import find_shares
from swn_torture.harness.live_target import embedded_cluster, profile_of
from swn_torture.harness.preflight.learning import learn
from swn_torture.harness.preflight.patience import Patience
from swn_torture.harness.preflight.tree_connect import connect_trees, connect_trees_in_each_dialect, names_of
from swn_torture.server.companions.samba import Smbd, check_smbd
from swn_torture.server.config import ConfigError
from swn_torture.server.state.shares import ShareTable
from swn_torture.target import load_profile
from swn_torture.witness.constants import WITNESS
from tests.harness.targets import reference
from tests.preloaded import process_of, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from swn_torture.server.nodes.embedded import EmbeddedNode
    from swn_torture.target import NodeAddress, Profile
    from tests.instruments.samba_tree import SambaTree

TIMEOUT = 30
SHARES: list[dict[str, Any]] = [
    {"name": "SHARE", "scale_out": True},
    {"name": "Two Words"},
    {"name": "OWNED", "owner": "NODE1"},
]

#: smbd of the tree, as if it were installed here. It sees our /tmp; nothing that it writes elsewhere stays.
_WRAPPER = """\
#!/bin/sh
set -eu
exec unshare --mount --propagation private -- sh -eu -c '
    tree=$1; shift
    mount -t tmpfs -o mode=0755 swn "$tree/mnt"
    mkdir "$tree/mnt/upper" "$tree/mnt/work" "$tree/mnt/root"
    root=$tree/mnt/root
    mount -t overlay -o "lowerdir=$tree,upperdir=$tree/mnt/upper,workdir=$tree/mnt/work" swn "$root"
    mount --rbind /tmp "$root/tmp"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    exec chroot "$root" /usr/sbin/smbd "$@"' sh {tree} "$@"
"""


@pytest.fixture(scope="module")
def smbd(tree: SambaTree, tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("smbd") / "smbd"
    program.write_text(_WRAPPER.format(tree=shlex.quote(str(tree.root))), encoding="utf-8")
    program.chmod(0o755)
    return str(program)


@contextmanager
def served(smbd: str, **embedded: Any) -> Iterator[Profile]:
    profile = reference(smb_port=0, smbd=smbd, **{"shares": SHARES, **embedded})
    with embedded_cluster(profile) as cluster:
        yield dataclasses.replace(profile_of(cluster, profile), embedded=None)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for temporary files, in place of /tmp; its path is short, because it will hold sockets."""
    with tempfile.TemporaryDirectory(prefix="swn-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)  # smbd looks into it as another user
        monkeypatch.setattr(tempfile, "tempdir", directory)
        monkeypatch.setenv("TMPDIR", directory)
        yield Path(directory)


def at_work(temporary: Path) -> set[int]:
    """The processes that work with a private directory: keepers, smbd, samba-dcerpcd and its workers."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if f"{temporary}/swn-torture-smbd-".encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def host_state() -> dict[str, float]:
    """What this machine has for its own Samba."""
    roots = [Path(each) for each in ("/etc/samba", "/var/lib/samba", "/var/cache/samba", "/run/samba")]
    roots += [Path("/var/log/samba"), Path("/etc/passwd"), Path("/etc/group")]
    paths = [path for root in roots for path in (root, *root.rglob("*")) if path.exists()]
    return {str(path): path.stat().st_mtime for path in paths if path.is_file()}


def test_capabilities_by_dialect(smbd: str) -> None:
    with served(smbd) as profile:
        found = connect_trees_in_each_dialect(profile, profile.nodes[1], ["SHARE", "Two Words", "OWNED"])

    shown = {
        each.dialect_name: [" ".join(names_of(bits)) for bits in each.capabilities.values()] for each in found
    }
    newest = ["CLUSTER SCALEOUT", "CLUSTER", "CLUSTER ASYMMETRIC"]
    assert shown["2.0.2"] == shown["2.1"] == ["", "", ""]
    assert shown["3.0.2"] == shown["3.1.1"] == newest
    # Samba 4.22 announces ASYMMETRIC with CLUSTER in dialect 3.0, which does not have it.
    assert [each.replace(" ASYMMETRIC", "") for each in shown["3.0"]] == [
        each.replace(" ASYMMETRIC", "") for each in newest
    ]


def test_both_users_and_files_of_all_nodes(smbd: str) -> None:
    with served(smbd) as profile:
        one, two = (
            SMBConnection(node.name, node.address, sess_port=node.smb_port, timeout=TIMEOUT)
            for node in profile.nodes[:2]
        )
        one.login("witness", "Passw0rd!", "SWNTEST")
        two.login("WITNESS2", "Passw0rd!2", "SWNTEST")
        one.putFile("two words", "file", io.BytesIO(b"content").read)
        content = io.BytesIO()
        two.getFile("Two Words", "file", content.write)
        listed = [each["shi1_netname"][:-1] for each in one.listShares()]
        dialect = two.getDialect()
        wrong = connect_trees(
            dataclasses.replace(profile, account=dataclasses.replace(profile.account, password="x")),
            profile.nodes[0],
            ["SHARE"],
        )
        one.close()
        two.close()

    assert content.getvalue() == b"content"
    assert listed == ["SHARE", "Two Words", "OWNED", "IPC$"]
    assert dialect == 0x0311
    assert wrong.problem == "STATUS_LOGON_FAILURE (0xC000006D)"


def log_on(node: NodeAddress | EmbeddedNode) -> SMBConnection:
    smb = SMBConnection(node.name, node.address, sess_port=node.smb_port, timeout=TIMEOUT)
    smb.login("witness", "Passw0rd!", "SWNTEST")
    return smb


def test_nothing_stays(smbd: str, temporary: Path) -> None:
    state = host_state()
    with served(smbd) as profile:
        smb = log_on(profile.nodes[0])
        smb.listShares()  # starts samba-dcerpcd
        private = [each / "private" for each in temporary.glob("swn-torture-smbd-*")]
        modes = {
            each.stat().st_mode & 0o077 for each in (*private, *(each / "smbpasswd" for each in private))
        }
        assert (len(private), modes) == (3, {0})
        assert len(at_work(temporary)) > 4  # three keepers, smbd, samba-dcerpcd

    assert not at_work(temporary)
    assert not [*temporary.glob("swn-torture-smbd-*"), *temporary.glob("swn-torture-shares-*")]
    assert host_state() == state
    with pytest.raises((NetBIOSError, OSError)):
        smb.listShares()
    smb.close()


def test_preflight_finds_no_contradiction(smbd: str) -> None:
    with served(smbd, shares=[{"name": "SHARE", "scale_out": True}, {"name": "PLAIN"}]) as profile:
        facts = asyncio.run(learn(profile, Patience())).facts

    assert not facts.warnings
    assert facts.shares == "SHARE (type 0x00000000), PLAIN (type 0x00000000), IPC$ (type 0x80000003)"


def test_smbtorture_passes(smbd: str, tree: SambaTree, tmp_path: Path) -> None:
    """Samba's own test looks at the capabilities of a share before it registers."""
    with served(smbd, clusapi=True, time_scale=100, unused_timeout=3000) as profile:
        node = profile.nodes[0]
        (tower, *_) = asyncio.run(ept_map(node.address, WITNESS, port=node.endpoint_mapper_port))
        arguments = [
            f"ncacn_ip_tcp:{node.address}[{tower.port},sign]",
            "-U",
            "SWNTEST\\witness%Passw0rd!",
            f"--option=torture:net_name={profile.net_name}",
            f"--option=smb ports={node.smb_port}",
            "rpc.witness",
        ]
        done = tree.run("smbtorture", *arguments, directory=tmp_path)

    passed = re.findall(r"^success: witness\.(\w+)", done.stdout, re.MULTILINE)
    assert len(passed) == 6, f"{done.stdout}\n{done.stderr}"


def test_doctor_shows_a_node_without_witness(smbd: str) -> None:
    """A share says CLUSTER, and the endpoint mapper of the node knows no witness service."""
    with served(smbd) as profile:
        wrong = dataclasses.replace(profile.nodes[0], endpoint_mapper_port=profile.nodes[0].smb_port)
        one = dataclasses.replace(profile, nodes=(wrong,))
        found = asyncio.run(find_shares(one, Patience(step=1.0), [each["name"] for each in SHARES]))

    (warning,) = [each for each in found.warnings if "witness endpoint" in each]
    assert "of NODE1 announces the shares SHARE, Two Words and OWNED with SMB2_SHARE_CAP_CLUSTER" in warning
    assert "the endpoint mapper of NODE1 gives no witness endpoint: " in warning


def test_hanging_node_goes_on(smbd: str) -> None:
    with embedded_cluster(reference(smb_port=0, smbd=smbd, shares=SHARES)) as cluster:
        node = cluster.nodes[0]
        smb = log_on(node)
        order(cluster, "hang", node=node.name)
        smb.setTimeout(1)
        with pytest.raises(NetBIOSTimeout):
            smb.connectTree("SHARE")
        order(cluster, "recover", node=node.name)
        smb.close()
        log_on(node).close()


def test_crash_of_a_node_resets_its_connections(smbd: str, temporary: Path) -> None:
    with embedded_cluster(reference(smb_port=0, smbd=smbd, shares=SHARES)) as cluster:
        node = cluster.nodes[0]
        with socket.create_connection((node.address, node.smb_port or 0), TIMEOUT) as client:
            wait_until(lambda: len(at_work(temporary)) > len(cluster.nodes))
            order(cluster, "crash", node=node.name)
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def order(cluster: Any, do: str, **arguments: Any) -> None:
    """Send a command to the administration."""
    with socket.create_connection((cluster.admin_address, cluster.admin_port), TIMEOUT) as connection:
        connection.sendall(json.dumps({"token": cluster.admin_token, "do": do, **arguments}).encode() + b"\n")
        answer = json.loads(connection.makefile().readline())
    assert answer["ok"], answer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_serve_ends_with_all_its_processes(
    smbd: str, tree: SambaTree, number: signal.Signals, temporary: Path, tmp_path: Path
) -> None:
    """Also after kill -9, while a client is connected. smbclient of the tree used a share before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*program(), "serve", "--smb-port", str(port), "--smbd", smbd]
    command += ["--write-profile", str(tmp_path / "ref.toml")]
    output = tmp_path / "output"
    with output.open("w") as file:
        serve = subprocess.Popen(
            ["env", "--default-signal=INT", *command], stdout=file, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: "Ctrl-C" in output.read_text(encoding="utf-8"))
        assert f"port {port} of every node, by {smbd}, dialects" in output.read_text(encoding="utf-8")
        address = load_profile(str(tmp_path / "ref.toml")).nodes[0].address
        arguments = ["-m", "SMB3", "-p", str(port), "-U", "SWNTEST\\witness%Passw0rd!", f"//{address}/SHARE"]
        done = tree.run("smbclient", *arguments, "-c", "mkdir made; ls", directory=tmp_path)
        assert re.search(r"^ +made +D", done.stdout, re.MULTILINE), done.stdout + done.stderr
        with socket.create_connection((address, port), TIMEOUT) as held:
            wait_until(lambda: len(at_work(temporary)) > 3)
            os.kill(process_of(serve.pid), number)
            serve.wait(TIMEOUT)
            wait_until(lambda: not at_work(temporary))
            with contextlib.suppress(ConnectionResetError):
                assert held.recv(1) == b""
    finally:
        serve.kill()
        serve.wait(TIMEOUT)
    wait_until(lambda: not list(temporary.glob("swn-torture-smbd-*")))


@pytest.mark.parametrize(
    ("name", "mode", "why"),
    [
        ("x" * 80, 0o755, "is too long for the sockets"),
        ("x", 0o700, "smbd needs to enter .* as another user"),
    ],
)
def test_temporary_directory_that_smbd_cannot_use(
    name: str, mode: int, why: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = temporary / name
    wrong.mkdir()
    wrong.chmod(mode)
    monkeypatch.setattr(tempfile, "tempdir", str(wrong))

    with pytest.raises(ConfigError, match=why):
        Smbd("smbd", name="N", domain="D", users={}, shares=ShareTable(), root=temporary)

    assert not list(wrong.iterdir())


def test_smbd_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there is no no-smbd; install the package samba"):
        check_smbd("no-smbd")
    old = tmp_path / "smbd"
    for text, why in (
        ("Version 4.17.12-Debian", "is Samba 4.17; .* since 4.20"),
        ("?", "does not say a version"),
    ):
        old.write_text(f"#!/bin/sh\necho '{text}'\n", encoding="utf-8")
        old.chmod(0o755)
        with pytest.raises(ConfigError, match=why):
            check_smbd(str(old))
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(ConfigError, match="needs root"):
        check_smbd(str(old))
