"""The shares of the reference over SMB, as a stranger's client finds them: impacket's."""

from __future__ import annotations

import dataclasses
import io
import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from impacket.dcerpc.v5 import srvs, transport
from impacket.dcerpc.v5.rpcrt import RPC_C_AUTHN_LEVEL_PKT_PRIVACY
from impacket.nmb import NetBIOSError, NetBIOSTimeout
from impacket.smbconnection import SessionError, SMBConnection

from swn_torture.server.config import ClusterConfig, InterfaceConfig, NodeConfig, default_nodes
from swn_torture.server.nodes.embedded import EmbeddedCluster, EmbeddedNode
from swn_torture.server.state.shares import Share, ShareType
from swn_torture.stubdata.win32 import Win32

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOON = 5
SHARES = (
    Share("SHARE", ShareType.CLUSTER_SOFS, comment="scale-out"),
    Share("Mixed Case", ShareType.CLUSTER_FS),
)


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(ClusterConfig(nodes=default_nodes(2), shares=SHARES, smb_port=0)) as running:
        yield running


def order(cluster: EmbeddedCluster, do: str, **what: Any) -> None:
    """Have the administration do something."""
    with socket.create_connection((cluster.admin_address, cluster.admin_port), SOON) as line:
        line.sendall(json.dumps({"do": do, **what}).encode() + b"\n")
        answer = json.loads(line.makefile().readline())
    assert answer["ok"], answer


def visit(node: EmbeddedNode, user: str = "witness", password: str = "Passw0rd!") -> SMBConnection:
    smb = SMBConnection(node.name, node.address, sess_port=node.smb_port, timeout=SOON)
    try:
        smb.login(user, password, "SWNTEST")
    except SessionError:
        smb.close()
        raise
    return smb


def listed(smb: SMBConnection) -> list[tuple[str, int, str]]:
    """Name, type and remark of each share."""
    return [(one["shi1_netname"][:-1], one["shi1_type"], one["shi1_remark"][:-1]) for one in smb.listShares()]


def test_shares_are_listed_and_nobody_is_told_that_they_are_clustered(cluster: EmbeddedCluster) -> None:
    smb = visit(cluster.nodes[0])

    shares = listed(smb)

    # MS-SRVS 3.1.4.8: the cluster bits of shi1_type are cleared.
    assert shares == [
        ("SHARE", 0, "scale-out"),
        ("Mixed Case", 0, ""),
        ("IPC$", 0x80000003, "Remote IPC"),
    ]
    smb.close()


def test_what_one_node_was_given_another_one_has(cluster: EmbeddedCluster) -> None:
    one, two = (visit(node) for node in cluster.nodes)
    one.createDirectory("mixed case", "folder")
    one.putFile("Mixed Case", "folder\\file", io.BytesIO(b"what is in it").read)

    content = io.BytesIO()
    two.getFile("Mixed Case", "folder\\file", content.write)

    assert content.getvalue() == b"what is in it"
    assert {entry.get_longname() for entry in two.listPath("SHARE", "*")} <= {".", ".."}
    one.close()
    two.close()


def test_a_share_may_have_a_name_that_means_something_else_elsewhere(tmp_path: Path) -> None:
    """In configuration files, to impacket and in paths; and no name leads out of where the shares are."""
    names = ("DEFAULT", "global", "..", "..hidden", "50%")
    (tmp_path / "of the host").touch()
    (tmp_path / "shares").mkdir()
    config = ClusterConfig(
        nodes=default_nodes(1),
        shares=tuple(map(Share, names)),
        smb_port=0,
        share_root=str(tmp_path / "shares"),
    )
    with EmbeddedCluster(config) as cluster:
        smb = visit(cluster.nodes[0])
        for name in names:
            smb.putFile(name, "mine", io.BytesIO(name.encode()).read)

        found = {name: [entry.get_longname() for entry in smb.listPath(name, "*")] for name in names}

        assert all(set(files) - {".", ".."} == {"mine"} for files in found.values()), found
        smb.close()


def test_several_clients_at_once(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    clients = [visit(node) for _ in range(8)]

    with ThreadPoolExecutor(len(clients)) as pool:
        notified = list(pool.map(listed, clients))

    assert notified == [notified[0]] * len(clients)
    for smb in clients:
        smb.close()


def test_a_node_with_nothing_but_ipv6() -> None:
    nodes = (NodeConfig("NODE1", (InterfaceConfig(None, IPv6Address("::1")),)),)
    with EmbeddedCluster(ClusterConfig(nodes=nodes, shares=SHARES, smb_port=0)) as cluster:
        smb = visit(cluster.nodes[0])

        assert [name for name, _, _ in listed(smb)] == ["SHARE", "Mixed Case", "IPC$"]
        smb.close()


def test_shares_are_those_there_are_now(cluster: EmbeddedCluster) -> None:
    smb = visit(cluster.nodes[0])
    order(cluster, "set_shares", shares=[{"name": "OTHER", "scale_out": True}])

    assert [name for name, _, _ in listed(smb)] == ["OTHER", "IPC$"]
    smb.connectTree("other")
    with pytest.raises(SessionError):
        smb.connectTree("SHARE")
    smb.close()


def test_no_share_is_told_of_when_they_cannot_be_enumerated(cluster: EmbeddedCluster) -> None:
    smb = visit(cluster.nodes[0])
    order(cluster, "fail_share_enumeration", failing=True)

    with pytest.raises(SessionError):
        smb.connectTree("SHARE")
    smb.close()


@pytest.mark.parametrize(
    ("user", "password"), [("witness", "wrong"), ("nobody", "Passw0rd!"), ("", ""), ("witness", "")]
)
def test_who_is_not_a_user_stays_out(cluster: EmbeddedCluster, user: str, password: str) -> None:
    with pytest.raises(SessionError):
        visit(cluster.nodes[0], user, password)


def test_a_logon_that_failed_leads_nowhere(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    smb = SMBConnection(node.name, node.address, sess_port=node.smb_port, timeout=SOON)
    with pytest.raises(SessionError):
        smb.login("witness", "wrong", "SWNTEST")

    # impacket's server alone would go on with this client.
    with pytest.raises(SessionError):
        smb.connectTree("SHARE")
    smb.close()


def test_anonymous_clients_come_in_where_they_are_allowed() -> None:
    config = ClusterConfig(nodes=default_nodes(1), smb_port=0, allow_anonymous=True)
    with EmbeddedCluster(config) as cluster:
        smb = visit(cluster.nodes[0], "", "")

        assert [name for name, _, _ in listed(smb)] == ["SHARE", "PLAIN", "IPC$"]
        smb.close()


def test_nothing_of_the_host_is_behind_the_pipes(cluster: EmbeddedCluster) -> None:
    smb = visit(cluster.nodes[0])
    tree = smb.connectTree("IPC$")

    for name in ("pyproject.toml", "..\\SHARE", "/etc/passwd", "wkssvc"):
        with pytest.raises(SessionError):
            smb.openFile(tree, name)
    smb.close()


def pipe(node: EmbeddedNode, level: int | None = None) -> Any:
    """The server service on its pipe, sealed if a level is given."""
    rpc = transport.DCERPCTransportFactory(f"ncacn_np:{node.address}[\\pipe\\srvsvc]")
    rpc.set_dport(node.smb_port)
    rpc.set_credentials("witness", "Passw0rd!", "SWNTEST")
    dce = rpc.get_dce_rpc()
    if level is not None:
        dce.set_auth_level(level)
    dce.connect()
    dce.bind(srvs.MSRPC_UUID_SRVS)
    return dce


@pytest.mark.parametrize("level", [None, RPC_C_AUTHN_LEVEL_PKT_PRIVACY], ids=["plain", "sealed"])
def test_the_pipe_can_be_sealed(cluster: EmbeddedCluster, level: int | None) -> None:
    dce = pipe(cluster.nodes[0], level)

    notified = srvs.hNetrShareGetInfo(dce, "share\0", 502)

    info = notified["InfoStruct"]["ShareInfo502"]
    assert info["shi502_netname"] == "SHARE\0"
    assert info["shi502_path"] == "C:\\ClusterStorage\\SHARE\0"
    dce.disconnect()


@pytest.mark.parametrize(
    ("name", "level", "code"),
    [("NONE\0", 1, 0x906), ("SHARE\0", 7, 0x7C), ("\0", 1, 0x57)],
    ids=["no-such-share", "no-such-level", "no-name"],
)
def test_what_is_not_told(cluster: EmbeddedCluster, name: str, level: int, code: int) -> None:
    dce = pipe(cluster.nodes[0])

    with pytest.raises(srvs.DCERPCSessionError) as refused:
        srvs.hNetrShareGetInfo(dce, name, level)

    assert refused.value.get_error_code() == code
    dce.disconnect()


@pytest.mark.parametrize(
    ("device", "kind", "code"),
    [
        # MS-SRVS 3.1.4.16: here, too, without the cluster bits, and without STYPE_SPECIAL.
        ("c:\\clusterstorage\\Mixed Case", 0, 0),
        # What NetrShareEnum tells as the path of IPC$; smbtorture asks for each path that it was told.
        ("", 3, 0),
        ("C:\\ClusterStorage", 0, 0x907),
    ],
    ids=["share", "ipc", "nothing"],
)
def test_whether_a_path_is_shared(cluster: EmbeddedCluster, device: str, kind: int, code: int) -> None:
    dce = pipe(cluster.nodes[0])
    request = srvs.NetrShareCheck()
    request["ServerName"] = "\0"
    request["Device"] = f"{device}\0"

    notified = dce.request(request, checkError=False)

    assert (notified["Type"], notified["ErrorCode"]) == (kind, code)
    dce.disconnect()


@pytest.mark.parametrize(("level", "code"), [(1, 0), (501, 0x7C)])
def test_the_shares_that_outlive_the_server_are_told_but_not_in_level_501(
    cluster: EmbeddedCluster, level: int, code: int
) -> None:
    dce = pipe(cluster.nodes[0])
    request = srvs.NetrShareEnumSticky()
    request["ServerName"] = "\0"
    request["PreferedMaximumLength"] = 0xFFFFFFFF
    request["ResumeHandle"] = 0
    request["InfoStruct"]["Level"] = request["InfoStruct"]["ShareInfo"]["tag"] = level
    request["InfoStruct"]["ShareInfo"][f"Level{level}"]["Buffer"] = b""

    notified = dce.request(request, checkError=False)

    assert (notified["TotalEntries"], notified["ErrorCode"]) == (0 if code else 3, code)
    dce.disconnect()


def test_shares_that_cannot_be_enumerated_are_not_told_of(cluster: EmbeddedCluster) -> None:
    order(cluster, "fail_share_enumeration", failing=True)
    dce = pipe(cluster.nodes[0])

    with pytest.raises(srvs.DCERPCSessionError) as refused:
        srvs.hNetrShareEnum(dce, 1)

    assert refused.value.get_error_code() == Win32.ERROR_GEN_FAILURE
    dce.disconnect()


def test_a_list_can_be_had_in_pieces(cluster: EmbeddedCluster) -> None:
    dce = pipe(cluster.nodes[0])
    names, resume, codes = [], 0, []
    for _ in range(10):
        request = srvs.NetrShareEnum()
        request["ServerName"] = "\0"
        request["PreferedMaximumLength"] = 8
        request["ResumeHandle"] = resume
        request["InfoStruct"]["Level"] = request["InfoStruct"]["ShareInfo"]["tag"] = 1
        request["InfoStruct"]["ShareInfo"]["Level1"]["Buffer"] = b""
        notified = dce.request(request, checkError=False)
        names += [one["shi1_netname"][:-1] for one in notified["InfoStruct"]["ShareInfo"]["Level1"]["Buffer"]]
        codes.append((notified["TotalEntries"], notified["ErrorCode"]))
        resume = notified["ResumeHandle"]
        if not resume:
            break

    assert names == ["SHARE", "Mixed Case", "IPC$"]
    assert codes == [(3, 0xEA), (2, 0xEA), (1, 0)]
    dce.disconnect()


def test_a_crash_resets_clients_and_a_restart_lets_them_back(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    smb = visit(node)
    order(cluster, "crash", node=node.name)

    with pytest.raises((ConnectionError, NetBIOSError)):
        smb.connectTree("SHARE")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node.address, node.smb_port or 0), SOON)
    visit(cluster.nodes[1]).close()

    order(cluster, "recover", node=node.name)

    visit(node).close()
    smb.close()


def test_the_shares_move_with_an_address(cluster: EmbeddedCluster) -> None:
    one, two = cluster.nodes
    smb = visit(one)
    order(cluster, "move_address", address=one.address, node=two.name)

    with pytest.raises((ConnectionError, NetBIOSError)):
        smb.connectTree("SHARE")
    smb.close()

    moved = visit(dataclasses.replace(two, address=one.address))
    assert moved.getServerName() == two.name
    moved.close()


def test_without_power_nothing_comes_and_afterwards_a_reset(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    smb = visit(node)
    smb.setTimeout(0.3)
    order(cluster, "power_off", node=node.name)

    with pytest.raises(NetBIOSTimeout):
        smb.connectTree("SHARE")

    smb.setTimeout(SOON)
    order(cluster, "recover", node=node.name)
    with pytest.raises((ConnectionError, NetBIOSError)) as ended:
        smb.connectTree("SHARE")
    assert not isinstance(ended.value, NetBIOSTimeout)
    visit(node).close()
    smb.close()


def test_what_was_asked_of_a_node_without_power_is_not_done_when_it_is_back(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    smb = visit(node)
    share = smb.connectTree("SHARE")
    smb.setTimeout(0.3)
    order(cluster, "power_off", node=node.name)
    with pytest.raises(NetBIOSTimeout):
        smb.createFile(share, "too late")

    order(cluster, "recover", node=node.name)

    again = visit(node)
    assert {entry.get_longname() for entry in again.listPath("SHARE", "*")} <= {".", ".."}
    again.close()
    smb.close()


def test_the_files_go_with_the_cluster_unless_they_have_a_place_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "SHARE").mkdir()
    (tmp_path / "SHARE" / "kept").write_text("before")
    config = ClusterConfig(nodes=default_nodes(1), smb_port=0, share_root=str(tmp_path))

    with EmbeddedCluster(config) as cluster:
        smb = visit(cluster.nodes[0])
        content = io.BytesIO()
        smb.getFile("SHARE", "kept", content.write)
        smb.putFile("SHARE", "new", io.BytesIO(b"after").read)
        smb.close()

    assert content.getvalue() == b"before"
    assert (tmp_path / "SHARE" / "new").read_text() == "after"


@pytest.mark.parametrize("asked", [False, True], ids=["as-it-is", "with-everything"])
def test_nothing_of_it_is_imported_before_it_is_asked_for(*, asked: bool) -> None:
    program = f"""
import sys
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
with EmbeddedCluster(ClusterConfig(clusapi={asked}, smb_port={0 if asked else None})):
    names = ("impacket", "swn_torture.server.companions.smb", "swn_torture.server.companions.srvsvc", "swn_torture.server.companions.clusapi")
    print(*[name in sys.modules for name in names])
"""
    notified = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert notified.stdout.split() == [str(asked)] * 4
