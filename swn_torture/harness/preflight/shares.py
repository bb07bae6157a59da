"""What the server service and SMB of a node say about the shares, and about the product.

impacket asks: by SMB (NetrShareEnum and NetrServerGetInfo on the srvsvc pipe, TREE_CONNECT of each share), or
where SMB does not answer by the server service at a TCP endpoint. Its calls block, so they run in a thread.
A witness server may have neither.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.sockets import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from swn_torture.target import NodeAddress, Profile

#: Seconds for each step. A run does not depend on SMB, so a target without it must not delay the run.
_STEP_S = 5

#: SMB 3.0: since this dialect a share has the capabilities for clusters (MS-SMB2 2.2.10).
_SMB_3 = 0x0300

#: STYPE_CLUSTER_FS, STYPE_CLUSTER_SOFS and STYPE_CLUSTER_DFS (MS-SRVS 2.2.2.4).
CLUSTER_BITS = 0x0E000000
STYPE_CLUSTER_SOFS = 0x04000000


@dataclass(frozen=True, slots=True)
class ShareFacts:
    """What a node says about its shares.

    Attributes:
        types: shi1_type of each share by name (NetrShareEnum); None when it was not answered.
        scale_out: for each share of the profile whether TREE_CONNECT has SMB2_SHARE_CAP_SCALEOUT. A share is
            absent when that is not known: the dialect is lower than 3.0, or TREE_CONNECT failed.
        missing: the shares of the profile that TREE_CONNECT does not know (STATUS_BAD_NETWORK_NAME).
        server: product and version, from NetrServerGetInfo.
        problem: why the shares are not known.
    """

    types: Mapping[str, int] | None = None
    scale_out: Mapping[str, bool] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    server: str = ""
    problem: str = ""

    def __str__(self) -> str:
        if self.types is None:
            return f"not available: {self.problem}"
        return ", ".join(f"{name} (type 0x{kind:08X})" for name, kind in self.types.items()) or "none"


@dataclass(frozen=True, slots=True)
class ImpacketLogon:
    """A service ticket as impacket takes it.

    Attributes:
        user: the name of the client, without realm.
        realm: its realm.
        ticket: the ticket with its session key.
    """

    user: str
    realm: str
    ticket: Any = field(repr=False)


def ticket_for_impacket(profile: Profile) -> ImpacketLogon:
    """The service ticket for the target, as impacket takes it. impacket does not ask a KDC itself.

    Args:
        profile: the profile with the account.

    Raises:
        AuthenticationError: there is no ticket.
    """
    from impacket.krb5.ccache import CCache

    from swn_torture.dcerpc.security.tickets import NoTicket, fetch_ticket

    path = fetch_ticket(profile.account.credentials(), profile.principal)
    cache = None if path is None else CCache.loadFile(str(path))
    wanted = profile.principal.partition("@")[0].casefold()
    for credential in cache.credentials if cache else ():
        if str(credential["server"].prettyPrint(), "utf-8").partition("@")[0].casefold() == wanted:
            user, _, realm = str(credential["client"].prettyPrint(), "utf-8").rpartition("@")
            return ImpacketLogon(user, realm, credential.toTGS())
    raise NoTicket(f"Kerberos: no ticket for {profile.principal} in a cache of this process")


def _by_ticket(profile: Profile) -> ImpacketLogon | None:
    """The ticket to log on with where the account is for Kerberos only; None to log on with the password."""
    account = profile.account
    if account.auth != "kerberos" and not account.without_password:
        return None
    return ticket_for_impacket(profile)


def ask_shares(profile: Profile, node: NodeAddress) -> ShareFacts:
    """Ask a node for its shares, by SMB or by the server service at a TCP endpoint."""
    try:
        with _smb(profile, node) as smb:
            return _by_smb(profile, smb)
    except Exception as problem:  # noqa: BLE001 - impacket raises what its layers raise, down to Exception
        by_smb = f"by SMB: {_text(problem)}"
    account = profile.account
    if account.auth in {"any", "spnego"} and account.has_tickets and not account.without_password:
        # SMB may refuse NTLM where witness takes SPNEGO with Kerberos in it.
        return ask_shares(replace(profile, account=replace(account, auth="kerberos")), node)
    try:
        return ShareFacts(types=_by_tcp(profile, node))
    except Exception as problem:  # noqa: BLE001 - as above
        return ShareFacts(problem=f"{by_smb}; by srvsvc at a TCP endpoint: {_text(problem)}")


@contextlib.contextmanager
def _smb(profile: Profile, node: NodeAddress) -> Iterator[Any]:
    from impacket.smbconnection import SMBConnection

    _check_reachable(node.address, node.smb_port)
    account, kerberos = profile.account, _by_ticket(profile)
    smb = SMBConnection(node.address, node.address, sess_port=node.smb_port, timeout=_STEP_S)
    try:
        if kerberos is None:
            smb.login(account.username, account.password, account.domain)
        else:
            smb.kerberosLogin(kerberos.user, "", kerberos.realm, TGS=kerberos.ticket, useCache=False)
        yield smb
    finally:
        smb.close()


def _by_smb(profile: Profile, smb: Any) -> ShareFacts:
    from impacket.nt_errors import STATUS_BAD_NETWORK_NAME
    from impacket.smbconnection import SessionError

    types = {each["shi1_netname"][:-1]: int(each["shi1_type"]) for each in smb.listShares()}
    scale_out, missing = {}, []
    for share in profile.expect.shares:
        try:
            smb.connectTree(share.name)
        except SessionError as problem:
            if problem.getErrorCode() == STATUS_BAD_NETWORK_NAME:
                missing.append(share.name)
        else:
            if smb.getDialect() >= _SMB_3:
                session = smb.getSMBServer()._Session  # noqa: SLF001 - the only place that has it
                scale_out[share.name] = bool(session["TreeConnectTable"][share.name]["IsScaleoutShare"])
    return ShareFacts(types, scale_out, tuple(missing), server=_server(smb))


def _server(smb: Any) -> str:
    """Product and version as the server service says them (NetrServerGetInfo, level 101)."""
    from impacket.dcerpc.v5 import srvs, transport

    try:
        pipe = transport.SMBTransport(smb.getRemoteName(), filename=r"\srvsvc", smb_connection=smb)
        dce = pipe.get_dce_rpc()
        dce.connect()
        dce.bind(srvs.MSRPC_UUID_SRVS)
        info = srvs.hNetrServerGetInfo(dce, 101)["InfoStruct"]["ServerInfo101"]
        comment = str(info["sv101_comment"])[:-1].strip()
        version = f"Windows NT {info['sv101_version_major']}.{info['sv101_version_minor']}"
    except Exception:  # noqa: BLE001 - as above; the product is worth no more than an attempt
        return ""
    return f"{comment} ({version})" if comment else version


def _by_tcp(profile: Profile, node: NodeAddress) -> dict[str, int]:
    from impacket.dcerpc.v5 import epm, srvs, transport
    from impacket.dcerpc.v5.rpcrt import RPC_C_AUTHN_GSS_NEGOTIATE, RPC_C_AUTHN_LEVEL_PKT_PRIVACY

    _check_reachable(node.address, node.endpoint_mapper_port)
    mapper = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{node.address}[{node.endpoint_mapper_port}]")
    mapper.set_connect_timeout(_STEP_S)
    directory = mapper.get_dce_rpc()
    directory.connect()
    try:
        binding = epm.hept_map(node.address, srvs.MSRPC_UUID_SRVS, protocol="ncacn_ip_tcp", dce=directory)
    finally:
        directory.disconnect()
    rpc = transport.DCERPCTransportFactory(binding)
    rpc.set_connect_timeout(_STEP_S)
    account, kerberos = profile.account, _by_ticket(profile)
    dce = rpc.get_dce_rpc()
    if kerberos is None:
        rpc.set_credentials(account.username, account.password, account.domain)
    else:
        rpc.set_credentials(kerberos.user, "", kerberos.realm, TGS=kerberos.ticket)
        rpc.set_kerberos(True)
        dce.set_auth_type(RPC_C_AUTHN_GSS_NEGOTIATE)
    dce.set_auth_level(RPC_C_AUTHN_LEVEL_PKT_PRIVACY)
    dce.connect()
    try:
        dce.bind(srvs.MSRPC_UUID_SRVS)
        listed = srvs.hNetrShareEnum(dce, 1)["InfoStruct"]["ShareInfo"]["Level1"]["Buffer"]
    finally:
        dce.disconnect()
    return {each["shi1_netname"][:-1]: int(each["shi1_type"]) for each in listed}


def _check_reachable(address: str, port: int) -> None:
    """Connect and close again: impacket does not close a socket that it cannot connect.

    Raises:
        OSError: the port cannot be reached.
    """
    socket.create_connection((address, port), _STEP_S).close()


def _text(problem: Exception) -> str:
    if isinstance(problem, OSError):
        return reason_of(problem)
    return str(problem).strip() or type(problem).__name__
