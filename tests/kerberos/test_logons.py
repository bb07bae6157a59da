"""Our client logs on to the reference by Kerberos, alone and in SPNEGO, with each kind of ticket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.account import Account
from swn_torture.control.reference import ReferenceController
from swn_torture.dcerpc.errors import BindRefused
from swn_torture.dcerpc.pdu.bind import BindNakReason
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.server.config import ClusterConfig, ConfigError
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.client import connect
from swn_torture.witness.constants import ProtocolVersion
from swn_torture.witness.logon import connect_by
from swn_torture.witness.messages import RegisterRequest
from tests.kerberos.realm import NAME, NET_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from swn_torture.server.nodes.embedded import EmbeddedNode
    from swn_torture.stubdata.syntax import SyntaxId
    from tests.kerberos.realm import Realm

SERVICES = (AuthType.KERBEROS, AuthType.SPNEGO)


def configured(realm: Realm, *, ntlm: bool = True, spnego: bool = True) -> ClusterConfig:
    return ClusterConfig(keytab=str(realm.keytab), ntlm=ntlm, spnego=spnego)


async def register(
    node: EmbeddedNode,
    account: Account,
    services: Sequence[AuthType],
    level: AuthLevel = AuthLevel.PRIVACY,
    syntax: SyntaxId = NDR32,
) -> tuple[int, str]:
    """Register; returns the result, and the mechanism that protects the connection."""
    client = await connect_by(
        services,
        node.address,
        node.port,
        credentials=account.credentials(),
        level=level,
        syntax=syntax,
        net_name=NET_NAME,
    )
    async with client:
        (entry,) = client.rpc.core.security.values()
        mechanism = entry.context._proxy.negotiated_protocol  # type: ignore[attr-defined]
        request = RegisterRequest(ProtocolVersion.V1, NET_NAME, node.address, "ME")
        return (await client.send(request)).result, mechanism


@pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name)
@pytest.mark.parametrize("service", SERVICES, ids=lambda value: value.name)
@pytest.mark.parametrize("source", ["password", "keytab", "ccache"])
def test_every_service_and_level(
    realm: Realm, source: str, service: AuthType, level: AuthLevel, syntax: SyntaxId
) -> None:
    account = Account(**realm.account(source))
    with EmbeddedCluster(configured(realm, ntlm=False)) as cluster:
        done = asyncio.run(register(cluster.nodes[0], account, (service,), level, syntax))

    assert done == (Win32.ERROR_SUCCESS, "kerberos")


@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name)
def test_spnego_falls_back_to_ntlm_where_the_server_has_no_keytab(realm: Realm, level: AuthLevel) -> None:
    account = Account(**realm.account("password"))
    with EmbeddedCluster(ClusterConfig()) as cluster:
        done = asyncio.run(register(cluster.nodes[0], account, (AuthType.SPNEGO,), level))

    assert done == (Win32.ERROR_SUCCESS, "ntlm")


def test_spnego_falls_back_to_ntlm_where_there_is_no_ticket(realm: Realm) -> None:
    account = Account(**realm.account("password", spn="cifs/elsewhere"))
    with EmbeddedCluster(configured(realm)) as cluster:
        done = asyncio.run(register(cluster.nodes[0], account, (AuthType.SPNEGO,)))

    assert done == (Win32.ERROR_SUCCESS, "ntlm")


def test_service_is_the_first_that_the_server_offers(realm: Realm) -> None:
    account = Account(**realm.account("password"))
    assert account.services == (AuthType.KERBEROS, AuthType.SPNEGO, AuthType.NTLM)
    with EmbeddedCluster(configured(realm)) as cluster:
        done = asyncio.run(register(cluster.nodes[0], account, account.services))
    with EmbeddedCluster(ClusterConfig()) as without_keytab:
        other = asyncio.run(register(without_keytab.nodes[0], account, account.services))

    assert (done, other) == ((Win32.ERROR_SUCCESS, "kerberos"), (Win32.ERROR_SUCCESS, "ntlm"))


@pytest.mark.parametrize("spnego", [True, False])
def test_cluster_without_ntlm_does_not_recognize_it(realm: Realm, *, spnego: bool) -> None:
    account = Account(**realm.account("password"))

    async def recognized(node: EmbeddedNode) -> set[AuthType]:
        found = set()
        for service in (AuthType.NTLM, *SERVICES):
            try:
                await register(node, account, (service,))
                found.add(service)
            except BindRefused as problem:
                if problem.reason != BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED:
                    raise
        return found

    with EmbeddedCluster(configured(realm, ntlm=False, spnego=spnego)) as cluster:
        found = asyncio.run(recognized(cluster.nodes[0]))

    assert found == {*SERVICES} if spnego else {AuthType.KERBEROS}


def test_cluster_without_ntlm_needs_a_keytab() -> None:
    with pytest.raises(ConfigError, match="without NTLM a cluster needs a keytab"):
        ClusterConfig(ntlm=False)


def test_keytab_that_cannot_be_used_is_said_before_the_cluster_starts(realm: Realm, tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"Keytab FILE:.*/absent is nonexistent or empty; check the path"),
        EmbeddedCluster(ClusterConfig(keytab=str(tmp_path / "absent"))),
    ):
        pass


def test_list_of_registrations_has_the_principal(realm: Realm) -> None:
    account = Account(**realm.account("password"))

    async def accounts(cluster: EmbeddedCluster) -> list[str | None]:
        node = cluster.nodes[0]
        controller = ReferenceController(cluster.admin_address, cluster.admin_port, token=cluster.admin_token)
        client = await connect(
            node.address,
            node.port,
            credentials=account.credentials(),
            auth_type=AuthType.KERBEROS,
            net_name=NET_NAME,
        )
        async with client, controller:
            await client.send(RegisterRequest(ProtocolVersion.V1, NET_NAME, node.address, "ME"))
            return [each.account for each in await controller.registrations()]

    with EmbeddedCluster(configured(realm)) as cluster:
        assert asyncio.run(accounts(cluster)) == [f"witness@{NAME}"]
