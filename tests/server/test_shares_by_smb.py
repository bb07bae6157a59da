"""The shares of the reference over SMB, with impacket as the client."""

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

TIMEOUT = 5
SHARES = (
    Share("SHARE", ShareType.CLUSTER_SOFS, comment="scale-out"),
    Share("Mixed Case", ShareType.CLUSTER_FS),
)


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(ClusterConfig(nodes=default_nodes(2), shares=SHARES, smb_port=0)) as running:
        yield running


def command(cluster: EmbeddedCluster, do: str, **arguments: Any) -> None:
    """Send a command to the administration."""
    with socket.create_connection((cluster.admin_address, cluster.admin_port), TIMEOUT) as connection:
        connection.sendall(json.dumps({"token": cluster.admin_token, "do": do, **arguments}).encode() + b"\n")
        answer = json.loads(connection.makefile().readline())
    assert answer["ok"], answer


def log_on(node: EmbeddedNode, user: str = "witness", password: str = "Passw0rd!") -> SMBConnection:
    smb = SMBConnection(node.name, node.address, sess_port=node.smb_port, timeout=TIMEOUT)
    try:
        smb.login(user, password, "SWNTEST")
    except SessionError:
        smb.close()
        raise
    return smb


def listed(smb: SMBConnection) -> list[tuple[str, int, str]]:
    """Return name, type and remark of each share."""
    return [(one["shi1_netname"][:-1], one["shi1_type"], one["shi1_remark"][:-1]) for one in smb.listShares()]


def test_listed_shares_have_no_cluster_bits(cluster: EmbeddedCluster) -> None:
    smb = log_on(cluster.nodes[0])

    shares = listed(smb)

    # MS-SRVS 3.1.4.8: the cluster bits of shi1_type are cleared.
    assert shares == [
        ("SHARE", 0, "scale-out"),
        ("Mixed Case", 0, ""),
        ("IPC$", 0x80000003, "Remote IPC"),
    ]
    smb.close()


def test_all_nodes_serve_the_same_files(cluster: EmbeddedCluster) -> None:
    one, two = (log_on(node) for node in cluster.nodes)
    one.createDirectory("mixed case", "folder")
    one.putFile("Mixed Case", "folder\\file", io.BytesIO(b"content").read)

    content = io.BytesIO()
    two.getFile("Mixed Case", "folder\\file", content.write)

    assert content.getvalue() == b"content"
    assert {entry.get_longname() for entry in two.listPath("SHARE", "*")} <= {".", ".."}
    one.close()
    two.close()


def test_share_with_a_special_name_stays_below_the_root(tmp_path: Path) -> None:
    """The names are special in configuration files, in impacket and in paths."""
    names = ("DEFAULT", "global", "..", "..hidden", "50%")
    (tmp_path / "file of the host").touch()
    (tmp_path / "shares").mkdir()
    config = ClusterConfig(
        nodes=default_nodes(1),
        shares=tuple(map(Share, names)),
        smb_port=0,
        share_root=str(tmp_path / "shares"),
    )
    with EmbeddedCluster(config) as cluster:
        smb = log_on(cluster.nodes[0])
        for name in names:
            smb.putFile(name, "file", io.BytesIO(name.encode()).read)

        found = {
            name: {entry.get_longname() for entry in smb.listPath(name, "*")} - {".", ".."} for name in names
        }

        assert found == {name: {"file"} for name in names}
        smb.close()


def test_several_clients_list_shares_at_once(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    clients = [log_on(node) for _ in range(8)]

    with ThreadPoolExecutor(len(clients)) as pool:
        lists = list(pool.map(listed, clients))

    assert [[name for name, _, _ in shares] for shares in lists] == [["SHARE", "Mixed Case", "IPC$"]] * 8
    for smb in clients:
        smb.close()


def test_node_with_only_ipv6_serves_shares() -> None:
    nodes = (NodeConfig("NODE1", (InterfaceConfig(None, IPv6Address("::1")),)),)
    with EmbeddedCluster(ClusterConfig(nodes=nodes, shares=SHARES, smb_port=0)) as cluster:
        smb = log_on(cluster.nodes[0])

        assert [name for name, _, _ in listed(smb)] == ["SHARE", "Mixed Case", "IPC$"]
        smb.close()


def test_replaced_shares_are_served_at_once(cluster: EmbeddedCluster) -> None:
    smb = log_on(cluster.nodes[0])
    command(cluster, "set_shares", shares=[{"name": "OTHER", "scale_out": True}])

    assert [name for name, _, _ in listed(smb)] == ["OTHER", "IPC$"]
    smb.connectTree("other")
    with pytest.raises(SessionError):
        smb.connectTree("SHARE")
    smb.close()


def test_failed_enumeration_prevents_tree_connect(cluster: EmbeddedCluster) -> None:
    smb = log_on(cluster.nodes[0])
    command(cluster, "fail_share_enumeration", failing=True)

    with pytest.raises(SessionError):
        smb.connectTree("SHARE")
    smb.close()


@pytest.mark.parametrize(
    ("user", "password"), [("witness", "wrong"), ("nobody", "Passw0rd!"), ("", ""), ("witness", "")]
)
def test_wrong_credentials_are_rejected(cluster: EmbeddedCluster, user: str, password: str) -> None:
    with pytest.raises(SessionError):
        log_on(cluster.nodes[0], user, password)


def test_failed_logon_prevents_tree_connect(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    smb = SMBConnection(node.name, node.address, sess_port=node.smb_port, timeout=TIMEOUT)
    with pytest.raises(SessionError):
        smb.login("witness", "wrong", "SWNTEST")

    # impacket's server alone would accept this request.
    with pytest.raises(SessionError):
        smb.connectTree("SHARE")
    smb.close()


def test_anonymous_logon_can_be_allowed() -> None:
    config = ClusterConfig(nodes=default_nodes(1), smb_port=0, allow_anonymous=True)
    with EmbeddedCluster(config) as cluster:
        smb = log_on(cluster.nodes[0], "", "")

        assert [name for name, _, _ in listed(smb)] == ["SHARE", "PLAIN", "IPC$"]
        smb.close()


def test_ipc_share_has_no_files_of_the_host(cluster: EmbeddedCluster) -> None:
    smb = log_on(cluster.nodes[0])
    tree = smb.connectTree("IPC$")

    for name in ("pyproject.toml", "..\\SHARE", "/etc/passwd", "wkssvc"):
        with pytest.raises(SessionError):
            smb.openFile(tree, name)
    smb.close()


def pipe(node: EmbeddedNode, level: int | None = None) -> Any:
    """Bind to the server service on its pipe, at an authentication level if one is given."""
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
def test_srvsvc_pipe_works_plain_and_sealed(cluster: EmbeddedCluster, level: int | None) -> None:
    dce = pipe(cluster.nodes[0], level)

    response = srvs.hNetrShareGetInfo(dce, "share\0", 502)

    info = response["InfoStruct"]["ShareInfo502"]
    assert info["shi502_netname"] == "SHARE\0"
    assert info["shi502_path"] == "C:\\ClusterStorage\\SHARE\0"
    dce.disconnect()


@pytest.mark.parametrize(
    ("name", "level", "code"),
    [("NONE\0", 1, 0x906), ("SHARE\0", 7, 0x7C), ("\0", 1, 0x57)],
    ids=["no-such-share", "no-such-level", "no-name"],
)
def test_get_info_returns_an_error_code(cluster: EmbeddedCluster, name: str, level: int, code: int) -> None:
    dce = pipe(cluster.nodes[0])

    with pytest.raises(srvs.DCERPCSessionError) as refused:
        srvs.hNetrShareGetInfo(dce, name, level)

    assert refused.value.get_error_code() == code
    dce.disconnect()


@pytest.mark.parametrize(
    ("device", "kind", "code"),
    [
        # MS-SRVS 3.1.4.16: without the cluster bits and without STYPE_SPECIAL.
        ("c:\\clusterstorage\\Mixed Case", 0, 0),
        # NetrShareEnum returns this path for IPC$. smbtorture checks each path that it returns.
        ("", 3, 0),
        ("C:\\ClusterStorage", 0, 0x907),
    ],
    ids=["share", "ipc", "nothing"],
)
def test_share_check_returns_the_type_of_the_path(
    cluster: EmbeddedCluster, device: str, kind: int, code: int
) -> None:
    dce = pipe(cluster.nodes[0])
    request = srvs.NetrShareCheck()
    request["ServerName"] = "\0"
    request["Device"] = f"{device}\0"

    response = dce.request(request, checkError=False)

    assert (response["Type"], response["ErrorCode"]) == (kind, code)
    dce.disconnect()


@pytest.mark.parametrize(("level", "code"), [(1, 0), (501, 0x7C)])
def test_enum_sticky_rejects_level_501(cluster: EmbeddedCluster, level: int, code: int) -> None:
    dce = pipe(cluster.nodes[0])
    request = srvs.NetrShareEnumSticky()
    request["ServerName"] = "\0"
    request["PreferedMaximumLength"] = 0xFFFFFFFF
    request["ResumeHandle"] = 0
    request["InfoStruct"]["Level"] = request["InfoStruct"]["ShareInfo"]["tag"] = level
    request["InfoStruct"]["ShareInfo"][f"Level{level}"]["Buffer"] = b""

    response = dce.request(request, checkError=False)

    assert (response["TotalEntries"], response["ErrorCode"]) == (0 if code else 3, code)
    dce.disconnect()


def test_failed_enumeration_returns_gen_failure(cluster: EmbeddedCluster) -> None:
    command(cluster, "fail_share_enumeration", failing=True)
    dce = pipe(cluster.nodes[0])

    with pytest.raises(srvs.DCERPCSessionError) as refused:
        srvs.hNetrShareEnum(dce, 1)

    assert refused.value.get_error_code() == Win32.ERROR_GEN_FAILURE
    dce.disconnect()


def test_enumeration_can_be_resumed(cluster: EmbeddedCluster) -> None:
    dce = pipe(cluster.nodes[0])
    names, resume, codes = [], 0, []
    for _ in range(10):
        request = srvs.NetrShareEnum()
        request["ServerName"] = "\0"
        request["PreferedMaximumLength"] = 8
        request["ResumeHandle"] = resume
        request["InfoStruct"]["Level"] = request["InfoStruct"]["ShareInfo"]["tag"] = 1
        request["InfoStruct"]["ShareInfo"]["Level1"]["Buffer"] = b""
        response = dce.request(request, checkError=False)
        names += [one["shi1_netname"][:-1] for one in response["InfoStruct"]["ShareInfo"]["Level1"]["Buffer"]]
        codes.append((response["TotalEntries"], response["ErrorCode"]))
        resume = response["ResumeHandle"]
        if not resume:
            break

    assert names == ["SHARE", "Mixed Case", "IPC$"]
    assert codes == [(3, 0xEA), (2, 0xEA), (1, 0)]
    dce.disconnect()


def test_crash_resets_clients_until_recovery(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    smb = log_on(node)
    command(cluster, "crash", node=node.name)

    with pytest.raises((ConnectionError, NetBIOSError)):
        smb.connectTree("SHARE")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node.address, node.smb_port or 0), TIMEOUT)
    log_on(cluster.nodes[1]).close()

    command(cluster, "recover", node=node.name)

    log_on(node).close()
    smb.close()


def test_moved_address_serves_shares_on_the_new_node(cluster: EmbeddedCluster) -> None:
    one, two = cluster.nodes
    smb = log_on(one)
    command(cluster, "move_address", address=one.address, node=two.name)

    with pytest.raises((ConnectionError, NetBIOSError)):
        smb.connectTree("SHARE")
    smb.close()

    moved = log_on(dataclasses.replace(two, address=one.address))
    assert moved.getServerName() == two.name
    moved.close()


def test_power_off_sends_nothing_until_a_reset(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    smb = log_on(node)
    smb.setTimeout(0.3)
    command(cluster, "power_off", node=node.name)

    with pytest.raises(NetBIOSTimeout):
        smb.connectTree("SHARE")

    smb.setTimeout(TIMEOUT)
    command(cluster, "recover", node=node.name)
    with pytest.raises((ConnectionError, NetBIOSError)) as ended:
        smb.connectTree("SHARE")
    assert not isinstance(ended.value, NetBIOSTimeout)
    log_on(node).close()
    smb.close()


def test_request_to_a_silent_node_is_never_executed(cluster: EmbeddedCluster) -> None:
    node = cluster.nodes[0]
    smb = log_on(node)
    share = smb.connectTree("SHARE")
    smb.setTimeout(0.3)
    command(cluster, "power_off", node=node.name)
    with pytest.raises(NetBIOSTimeout):
        smb.createFile(share, "too late")

    command(cluster, "recover", node=node.name)

    again = log_on(node)
    assert {entry.get_longname() for entry in again.listPath("SHARE", "*")} <= {".", ".."}
    again.close()
    smb.close()


def test_share_root_keeps_the_files(tmp_path: Path) -> None:
    (tmp_path / "SHARE").mkdir()
    (tmp_path / "SHARE" / "kept").write_text("before")
    config = ClusterConfig(nodes=default_nodes(1), smb_port=0, share_root=str(tmp_path))

    with EmbeddedCluster(config) as cluster:
        smb = log_on(cluster.nodes[0])
        content = io.BytesIO()
        smb.getFile("SHARE", "kept", content.write)
        smb.putFile("SHARE", "new", io.BytesIO(b"after").read)
        smb.close()

    assert content.getvalue() == b"before"
    assert (tmp_path / "SHARE" / "new").read_text() == "after"


@pytest.mark.parametrize("enabled", [False, True], ids=["by-default", "with-all-companions"])
def test_companion_modules_are_imported_only_on_demand(*, enabled: bool) -> None:
    program = f"""
import sys
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
with EmbeddedCluster(ClusterConfig(clusapi={enabled}, smb_port={0 if enabled else None})):
    names = ("impacket", *("swn_torture.server.companions." + name for name in ("smb", "srvsvc", "clusapi")))
    print(*[name in sys.modules for name in names])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.split() == [str(enabled)] * 4
