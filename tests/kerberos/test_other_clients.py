"""Other clients log on by Kerberos: Samba's Python client, smbtorture, impacket with tickets of the suite."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from impacket.dcerpc.v5 import transport
from impacket.dcerpc.v5.rpcrt import RPC_C_AUTHN_GSS_NEGOTIATE
from impacket.krb5 import kerberosv5
from impacket.spnego import SPNEGO_NegTokenInit
from impacket.uuid import uuidtup_to_bin

from swn_torture.harness.live_target import embedded_cluster, profile_of
from swn_torture.harness.preflight.shares import ask_shares, ticket_for_impacket
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.state.options import Options
from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.codec import decode_response, encode
from swn_torture.witness.constants import INTERFACE_UUID
from swn_torture.witness.messages import GetInterfaceListRequest, GetInterfaceListResponse
from tests.instruments.test_smbtorture import SCALE, SUBTESTS
from tests.kerberos.profiles import profile_in
from tests.kerberos.realm import NAME, NET_NAME, USERS

if TYPE_CHECKING:
    from tests.instruments.samba_tree import SambaTree
    from tests.kerberos.realm import Realm

SCRIPT = Path(__file__).with_name("samba_kerberos_client.py")
HOST = "swncluster.swn.test"

CONFIGURATION = """
[libdefaults]
  default_realm = {realm}
  dns_lookup_realm = false
  dns_lookup_kdc = false
  rdns = false
[realms]
  {realm} = {{
    kdc = {kdc}
  }}
"""


@pytest.mark.lab
def test_samba_with_every_binding(realm: Realm, tree: SambaTree, tmp_path: Path) -> None:
    shutil.copy(SCRIPT, tmp_path)
    configuration = CONFIGURATION.format(realm=NAME, kdc=realm.kdc)
    (tmp_path / "krb5.conf").write_text(configuration, encoding="utf-8")
    with EmbeddedCluster(ClusterConfig(keytab=str(realm.keytab), ntlm=False)) as cluster:
        node = cluster.nodes[0]
        # The client must have a name for its ticket; the tree is a copy in memory.
        named = f"echo {node.address} {HOST} >>/etc/hosts; exec env KRB5_CONFIG=/mnt/krb5.conf"
        arguments = [HOST, str(node.port), NET_NAME, node.address, "witness", USERS["witness"], NAME]
        command = ["sh", "-c", f'{named} python3 {SCRIPT.name} "$@"', "sh", *arguments]
        done = tree.run(*command, directory=tmp_path)

    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert results == [
        {"binding": f"{auth},{level}{syntax}", "interfaces": 3}
        for auth in ("krb5", "spnego")
        for level in ("sign", "seal")
        for syntax in ("", ",ndr64")
    ]


@pytest.mark.lab
@pytest.mark.parametrize("binding", ["krb5,sign", "krb5,seal", "spnego,sign"])
def test_smbtorture(realm: Realm, tree: SambaTree, tmp_path: Path, binding: str) -> None:
    """smbtorture uses Kerberos for witness, ClusAPI, SMB and the server service on its pipe.

    It asks for a ticket for another service of the same host for each, as Samba's IDL says. In Active
    Directory, ``host/`` includes ``cifs/``; here the keytab has them all.
    """
    keytab = tmp_path / "cluster.keytab"
    shutil.copy(realm.keytab, keytab)
    for service in ("host", "MSServerClusterMgmtAPI"):
        for host in (HOST, HOST.upper()):
            realm.realm.run_kadminl(f"addprinc -randkey {service}/{host}")
            realm.realm.run_kadminl(f"ktadd -k {keytab} {service}/{host}")
    (tmp_path / "krb5.conf").write_text(CONFIGURATION.format(realm=NAME, kdc=realm.kdc), encoding="utf-8")
    options = Options(time_scale=SCALE, unused_timeout=60 * SCALE)
    config = ClusterConfig(keytab=str(keytab), ntlm=False, clusapi=True, smb_port=0, options=options)
    with EmbeddedCluster(config) as cluster:
        node = cluster.nodes[0]
        named = f"echo {node.address} {HOST} >>/etc/hosts; exec env KRB5_CONFIG=/mnt/krb5.conf"
        arguments = [
            f"ncacn_ip_tcp:{HOST}[{node.port},{binding}]",
            f"--user=witness@{NAME}%{USERS['witness']}",
            "--use-kerberos=required",
            f"--realm={NAME}",
            f"--option=torture:net_name={config.net_name}",
            f"--option=smb ports={node.smb_port}",
            "rpc.witness",
        ]
        done = tree.run("sh", "-c", f'{named} smbtorture "$@"', "sh", *arguments, directory=tmp_path)

    passed = re.findall(r"^success: witness\.(\w+)", done.stdout, re.MULTILINE)
    assert passed == SUBTESTS, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("source", ["password", "keytab", "ccache"])
def test_impacket_with_a_ticket_of_the_account(
    realm: Realm, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token of impacket's SMB client. With DCE style MIT's library wants it without a GSS-API header."""
    import gssapi

    logon = ticket_for_impacket(profile_in(realm, realm.account(source, auth="kerberos")))
    monkeypatch.setattr(kerberosv5, "GSS_C_DCE_STYLE", 0)
    _, _, blob = kerberosv5.getKerberosType1(
        logon.user, "", logon.realm, "", "", "", None, logon.ticket, "the ticket has the name"
    )
    credentials = gssapi.Credentials(usage="accept", store={"keytab": str(realm.keytab)})
    acceptor = gssapi.SecurityContext(creds=credentials, usage="accept")

    acceptor.step(SPNEGO_NegTokenInit(blob)["MechToken"])

    assert acceptor.complete
    assert str(acceptor.initiator_name) == f"{logon.user}@{logon.realm}" == f"witness@{NAME}"


@pytest.mark.parametrize("level", [5, 6], ids=["signed", "sealed"])
def test_impacket_calls_a_method(realm: Realm, level: int) -> None:
    """impacket logs on by SPNEGO with Kerberos in it, in three legs, and calls GetInterfaceList."""
    logon = ticket_for_impacket(profile_in(realm, realm.account("password", auth="kerberos")))
    with EmbeddedCluster(ClusterConfig(keytab=str(realm.keytab), ntlm=False)) as cluster:
        node = cluster.nodes[0]
        connection = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{node.address}[{node.port}]")
        connection.set_credentials(logon.user, "", logon.realm, TGS=logon.ticket)
        connection.set_kerberos(True)
        rpc = connection.get_dce_rpc()
        rpc.set_auth_type(RPC_C_AUTHN_GSS_NEGOTIATE)
        rpc.set_auth_level(level)
        rpc.connect()
        rpc.bind(uuidtup_to_bin((str(INTERFACE_UUID), "1.1")))
        request = GetInterfaceListRequest()
        rpc.call(request.opnum, encode(request, NDR32))
        response = decode_response(request.opnum, rpc.recv(), NDR32, allow_trailing=True)
        rpc.disconnect()

    assert isinstance(response, GetInterfaceListResponse)
    assert len(response.interfaces) == 3


@pytest.mark.parametrize("wrong", ["", "no-key", "no-ntlm"])
def test_impacket_logs_on_to_the_shares(realm: Realm, wrong: str) -> None:
    """SMB by Kerberos with the ticket of the suite; the shares by the server service on its pipe."""
    if wrong == "no-key":
        realm.realm.run_kadminl("addprinc -randkey cifs/nobody")
    spn = {"spn": "cifs/nobody"} if wrong == "no-key" else {}
    auth = "ntlm" if wrong == "no-ntlm" else "kerberos"
    account = realm.account("password", auth=auth, **spn)
    if auth == "ntlm":
        account = {key: account[key] for key in ("username", "password", "domain", "auth")}
    profile = profile_in(realm, account, ntlm=False, smb_port=0)
    with embedded_cluster(profile) as cluster:
        running = profile_of(cluster, profile)
        found = ask_shares(running, running.nodes[0])

    assert bool(found.types) is not bool(wrong), found
