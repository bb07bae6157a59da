"""Every unusual server starts and answers the suite's own client, and is unusual in the way that it says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control.reference import ReferenceController
from swn_torture.dcerpc.client.client import connect as connect_rpc
from swn_torture.dcerpc.epm.endpoint_mapper import ept_lookup, ept_map
from swn_torture.dcerpc.epm.messages import EPM, EpmOpnum, LookupRequest
from swn_torture.dcerpc.errors import BindRefused, Fault, RpcError
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.harness.live_target import embedded_cluster
from swn_torture.harness.session import with_unusual
from swn_torture.server.companions.srvsvc.messages import SRVSVC
from swn_torture.stubdata.win32 import Win32
from swn_torture.target import load_profile
from swn_torture.unusual.library import find_unusual, load_unusual
from swn_torture.witness.client import WitnessClient, connect
from swn_torture.witness.constants import WITNESS, InterfaceFlags, ProtocolVersion
from swn_torture.witness.messages import GetInterfaceListRequest
from tests.examples import one_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.server.nodes.embedded import EmbeddedCluster
    from swn_torture.witness.messages import InterfaceInfo

SERVICES = {"spnego-only": AuthType.SPNEGO}
"""The authentication services of servers that do not offer NTLM."""


@contextlib.contextmanager
def running(name: str) -> Iterator[EmbeddedCluster]:
    """The cluster of the reference profile as an unusual server."""
    with embedded_cluster(with_unusual(load_profile("reference"), name)) as cluster:
        yield cluster


async def client_of(cluster: EmbeddedCluster, name: str = "", node: int = 0, **others: Any) -> WitnessClient:
    """A connection at PKT_PRIVACY, which every server accepts."""
    where = cluster.nodes[node]
    settings = {"level": AuthLevel.PRIVACY, "auth_type": SERVICES.get(name, AuthType.NTLM), **others}
    return await connect(
        where.address,
        where.port,
        credentials=Credentials("witness", "Passw0rd!", "SWNTEST"),
        net_name="SWNCLUSTER",
        **settings,
    )


async def interfaces_of(cluster: EmbeddedCluster, name: str = "", node: int = 0) -> list[InterfaceInfo]:
    """The interface list that a node returns."""
    client = await client_of(cluster, name, node)
    async with client.rpc:
        listed = (await client.get_interface_list()).interface_list
    assert listed is not None
    return list(listed.interfaces or ())


@pytest.mark.parametrize("name", one_in(3, load_unusual()))
def test_server_answers_get_interface_list(name: str) -> None:
    if not find_unusual(name).can_run:
        pytest.skip("this machine does not have its address")
    with running(name) as cluster:
        assert asyncio.run(interfaces_of(cluster, name))


def test_every_node_of_eight_answers() -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        for node in range(8):
            assert len(await interfaces_of(cluster, node=node)) == 8

    with running("eight-nodes") as cluster:
        asyncio.run(scenario(cluster))


def test_node_lists_its_partners_only() -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        for number, node in enumerate(cluster.nodes):
            listed = await interfaces_of(cluster, node=number)
            assert len(listed) == 2
            assert all(each.flags & InterfaceFlags.WITNESS for each in listed)
            assert node.address not in {str(each.ipv4) for each in listed}

    with running("partners-only") as cluster:
        asyncio.run(scenario(cluster))


def test_order_of_the_list_changes() -> None:
    async def scenario(cluster: EmbeddedCluster) -> list[tuple[str, ...]]:
        return [tuple(str(each.ipv4) for each in await interfaces_of(cluster)) for _ in range(3)]

    with running("changing-order") as cluster:
        orders = asyncio.run(scenario(cluster))
    assert len(set(orders)) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1


@pytest.mark.parametrize(
    ("name", "families"),
    [
        ("ipv4-only", [InterfaceFlags.IPV4] * 3),
        ("ipv6-only", [InterfaceFlags.IPV6] * 3),
        ("dual-stack-one-entry", [InterfaceFlags.IPV4 | InterfaceFlags.IPV6] * 3),
        ("dual-stack-two-entries", [InterfaceFlags.IPV4, InterfaceFlags.IPV6] * 3),
        ("several-interfaces", [InterfaceFlags.IPV4] * 3),
    ],
)
def test_families_of_interfaces(name: str, families: list[InterfaceFlags]) -> None:
    with running(name) as cluster:
        listed = asyncio.run(interfaces_of(cluster))

    of_family = [each.flags & (InterfaceFlags.IPV4 | InterfaceFlags.IPV6) for each in listed]
    if name == "several-interfaces":
        assert len(listed) == 9
        listed = [each for each in listed if not each.flags & InterfaceFlags.WITNESS]
        of_family = [each.flags & InterfaceFlags.IPV4 for each in listed]
    assert of_family == families


@pytest.mark.parametrize(
    ("name", "refused", "accepted"),
    [("ntlm-only", AuthType.SPNEGO, AuthType.NTLM), ("spnego-only", AuthType.NTLM, AuthType.SPNEGO)],
)
def test_other_authentication_service_is_refused(name: str, refused: AuthType, accepted: AuthType) -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        with pytest.raises(BindRefused):
            await client_of(cluster, auth_type=refused)
        await (await client_of(cluster, auth_type=accepted)).rpc.close()

    with running(name) as cluster:
        asyncio.run(scenario(cluster))


def test_level_below_privacy_is_denied() -> None:
    async def scenario(cluster: EmbeddedCluster) -> Win32 | int:
        client = await client_of(cluster, level=AuthLevel.INTEGRITY)
        async with client.rpc:
            return (await client.get_interface_list()).result

    with running("privacy-required") as cluster:
        assert asyncio.run(scenario(cluster)) == Win32.ERROR_ACCESS_DENIED


# The endpoint mapper


def test_mapper_without_lookup_serves_map() -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        node = cluster.nodes[0]
        with pytest.raises(Fault):
            await ept_lookup(node.address, port=node.epm_port)
        (tower,) = await ept_map(node.address, WITNESS, port=node.epm_port)
        assert tower.port == node.port

    with running("mapper-without-lookup") as cluster:
        asyncio.run(scenario(cluster))


async def _lookup_as_a_user(address: str, port: int) -> None:
    async with await connect_rpc(address, port) as rpc:
        await rpc.bind(
            EPM,
            credentials=Credentials("witness", "Passw0rd!", "SWNTEST"),
            auth_type=AuthType.NTLM,
            level=AuthLevel.INTEGRITY,
            host="SWNCLUSTER",
        )
        await rpc.call(EpmOpnum.LOOKUP, LookupRequest().pack()).reply()


@pytest.mark.parametrize(
    ("name", "error"),
    [("mapper-refuses-authenticated", Fault), ("mapper-without-authentication", BindRefused)],
)
def test_authenticated_call_of_the_mapper(name: str, error: type[Exception]) -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        node = cluster.nodes[0]
        with pytest.raises(error):
            await _lookup_as_a_user(node.address, node.epm_port)
        assert await ept_map(node.address, WITNESS, port=node.epm_port)

    with running(name) as cluster:
        asyncio.run(scenario(cluster))


def test_map_with_other_transports() -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        node = cluster.nodes[0]
        assert len(await ept_lookup(node.address, port=node.epm_port)) == 7
        (tower,) = await ept_map(node.address, WITNESS, port=node.epm_port)
        assert tower.port == node.port

    with running("mapper-with-other-transports") as cluster:
        asyncio.run(scenario(cluster))


def test_map_with_several_entries() -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        node = cluster.nodes[0]
        towers = await ept_map(node.address, WITNESS, port=node.epm_port)
        assert [tower.port for tower in towers] == [node.port, node.port]

    with running("mapper-with-several-entries") as cluster:
        asyncio.run(scenario(cluster))


def test_server_service_denies() -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        node = cluster.nodes[0]
        (tower,) = await ept_map(node.address, SRVSVC, port=node.epm_port)
        async with await connect_rpc(node.address, tower.port) as rpc:
            await rpc.bind(SRVSVC)
            with pytest.raises(Fault, match=r"0x5|ACCESS_DENIED"):
                await rpc.call(15, b"").reply()

    with running("srvsvc-denies") as cluster:
        asyncio.run(scenario(cluster))


# Errors, times and limits


@pytest.mark.parametrize(("name", "stays"), [("closes-on-errors", False), ("keeps-connections", True)])
def test_connection_after_a_rejected_request(name: str, stays: bool) -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        client = await client_of(cluster)
        async with client.rpc:
            with pytest.raises(RpcError):
                await client.rpc.call(0, b"", context_id=77).reply()
            again = client.get_interface_list(timeout=5)
            if stays:
                assert (await again).result == Win32.ERROR_SUCCESS
            else:
                with pytest.raises(RpcError):
                    await again

    with running(name) as cluster:
        asyncio.run(scenario(cluster))


def test_call_id_of_another_connection_is_rejected() -> None:
    async def test(cluster: EmbeddedCluster) -> None:
        first = await client_of(cluster)
        group = first.rpc.core.assoc_group
        async with first, await client_of(cluster, assoc_group=group) as second:
            assert (await second.get_interface_list()).result == 0
            used = first.rpc.core.next_call_id()
            assert (await first.start(GetInterfaceListRequest(), call_id=used).reply()).result == 0
            with pytest.raises(Fault, match="nca_s_proto_error"):
                await second.start(GetInterfaceListRequest(), call_id=used).reply()
            async with await client_of(cluster) as other:
                assert (await other.start(GetInterfaceListRequest(), call_id=used).reply()).result == 0

    with running("call-ids-of-associations") as cluster:
        asyncio.run(test(cluster))


def test_every_reply_is_slow() -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        client = await client_of(cluster)
        async with client.rpc:
            began = time.monotonic()
            await client.get_interface_list()
            assert time.monotonic() - began >= 0.4

    with running("slow-replies") as cluster:
        asyncio.run(scenario(cluster))


def test_slow_server_forgets_calls_of_ended_connections(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        client = await client_of(cluster)
        client.start(GetInterfaceListRequest())
        await client.rpc.close()
        assert await interfaces_of(cluster)

    with running("slow-replies") as cluster:
        asyncio.run(scenario(cluster))
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_registrations_end_some_time_after_their_client() -> None:
    async def scenario(cluster: EmbeddedCluster) -> list[int]:
        client = await client_of(cluster)
        async with client.rpc:
            await client.register(
                version=ProtocolVersion.V1,
                net_name="SWNCLUSTER",
                ip_address=cluster.nodes[0].address,
                client_computer_name="CLIENT",
            )
        counts = []
        controller = ReferenceController(cluster.admin_address, cluster.admin_port)
        async with controller:
            for pause in (0.2, 1.2):
                await asyncio.sleep(pause)
                counts.append(len(await controller.registrations()))
        return counts

    with running("slow-rundown") as cluster:
        assert asyncio.run(scenario(cluster)) == [1, 0]


def test_response_comes_in_many_fragments() -> None:
    async def scenario(cluster: EmbeddedCluster) -> int:
        client = await client_of(cluster)
        async with client.rpc:
            call = client.rpc.call(0, b"")
            await call.reply()
            assert call.response_meta is not None
            return len(call.response_meta.pdus)

    with running("many-fragments") as cluster:
        assert asyncio.run(scenario(cluster)) > 5


def test_server_is_full_after_sixty_registrations() -> None:
    async def scenario(cluster: EmbeddedCluster) -> list[int]:
        client = await client_of(cluster)
        async with client.rpc:
            return [
                (
                    await client.register(
                        version=ProtocolVersion.V1,
                        net_name="SWNCLUSTER",
                        ip_address=cluster.nodes[0].address,
                        client_computer_name=f"CLIENT{number}",
                    )
                ).result
                for number in range(61)
            ]

    with running("few-registrations") as cluster:
        results = asyncio.run(scenario(cluster))
    assert set(results[:60]) == {Win32.ERROR_SUCCESS}
    assert results[60] == Win32.ERROR_NO_SYSTEM_RESOURCES


def test_server_serves_few_connections() -> None:
    async def scenario(cluster: EmbeddedCluster) -> None:
        node = cluster.nodes[0]
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(24):
                await stack.enter_async_context(await connect_rpc(node.address, node.port))
            with pytest.raises(RpcError):
                await client_of(cluster)
        assert await interfaces_of(cluster)

    with running("few-connections") as cluster:
        asyncio.run(scenario(cluster))
