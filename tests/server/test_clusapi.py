"""ClusAPI of the reference over real sockets: the network name is opened, queried and switched."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.errors import ContextRefused, Fault
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.server.companions.clusapi import codec
from swn_torture.server.companions.clusapi.messages import (
    CLUSAPI,
    ClusapiOpnum,
    CreateEnumRequest,
    GetResourceStateResponse,
    GroupState,
    MoveGroupRequest,
    NetworkState,
    NoParameters,
    OpenResourceRequest,
    PauseNodeExRequest,
    ResourceRequest,
    ResourceState,
)
from swn_torture.stubdata.ndr import Reader, Writer
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import NULL_HANDLE, ContextHandle
from tests.server.scenarios import TIMEOUT, WITNESS, client_of, notified, register, run_in_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from swn_torture.dcerpc.client.client import RpcClient
    from swn_torture.server.nodes.cluster import ReferenceCluster
    from swn_torture.server.nodes.node import Node
    from swn_torture.stubdata.syntax import SyntaxId

#: Methods that take no handle, or more than one parameter.
WITHOUT_HANDLE = {
    *(ClusapiOpnum.OPEN_CLUSTER, ClusapiOpnum.GET_CLUSTER_NAME, ClusapiOpnum.CREATE_ENUM),
    *(ClusapiOpnum.OPEN_RESOURCE, ClusapiOpnum.OPEN_GROUP, ClusapiOpnum.OPEN_NODE),
    *(ClusapiOpnum.PAUSE_NODE_EX, ClusapiOpnum.GET_CLUSTER_VERSION_2),
    *(ClusapiOpnum.MOVE_GROUP_TO_NODE, ClusapiOpnum.OPEN_NETWORK),
}


class Administrator:
    """A client of ClusAPI."""

    def __init__(self, rpc: RpcClient, syntax: SyntaxId) -> None:
        self.rpc = rpc
        self.syntax = syntax

    async def ask(
        self, opnum: int, write: Callable[[Writer, Any], None], request: Any, read: Callable[[Reader], Any]
    ) -> Any:
        writer = Writer(self.syntax)
        write(writer, request)
        reader = Reader(await self.rpc.call(opnum, writer.finish()).reply(TIMEOUT), self.syntax, "little")
        answer = read(reader)
        reader.finish()
        return answer

    async def open(
        self, name: str, opnum: ClusapiOpnum = ClusapiOpnum.OPEN_RESOURCE
    ) -> tuple[int, ContextHandle]:
        request, read = OpenResourceRequest(name), codec.read_open_response
        answer = await self.ask(opnum, codec.write_open_request, request, read)
        return answer.status, answer.resource

    async def of(self, opnum: ClusapiOpnum, handle: ContextHandle) -> Any:
        """Return the response of a method that takes a handle."""
        read: dict[ClusapiOpnum, Callable[[Reader], Any]] = {
            ClusapiOpnum.CLOSE_RESOURCE: codec.read_close_response,
            ClusapiOpnum.GET_RESOURCE_STATE: codec.read_state_response,
            ClusapiOpnum.GET_RESOURCE_ID: codec.read_id_response,
            ClusapiOpnum.ONLINE_RESOURCE: codec.read_switch_response,
            ClusapiOpnum.OFFLINE_RESOURCE: codec.read_switch_response,
            ClusapiOpnum.FAIL_RESOURCE: codec.read_switch_response,
            ClusapiOpnum.CLOSE_CLUSTER: codec.read_close_response,
            ClusapiOpnum.CLOSE_GROUP: codec.read_close_response,
            ClusapiOpnum.CLOSE_NODE: codec.read_close_response,
            ClusapiOpnum.GET_GROUP_STATE: codec.read_group_state_response,
            ClusapiOpnum.ONLINE_GROUP: codec.read_switch_response,
            ClusapiOpnum.OFFLINE_GROUP: codec.read_switch_response,
            ClusapiOpnum.MOVE_GROUP: codec.read_switch_response,
            ClusapiOpnum.CLOSE_NETWORK: codec.read_close_response,
            ClusapiOpnum.GET_NETWORK_STATE: codec.read_node_state_response,
            ClusapiOpnum.GET_NODE_STATE: codec.read_node_state_response,
            ClusapiOpnum.PAUSE_NODE: codec.read_switch_response,
            ClusapiOpnum.RESUME_NODE: codec.read_switch_response,
        }
        return await self.ask(opnum, codec.write_resource_request, ResourceRequest(handle), read[opnum])

    async def state(self, handle: ContextHandle) -> ResourceState:
        answer = await self.of(ClusapiOpnum.GET_RESOURCE_STATE, handle)
        assert answer.result == 0
        return ResourceState(answer.state)

    async def switch(self, opnum: ClusapiOpnum, handle: ContextHandle) -> int:
        result: int = (await self.of(opnum, handle)).result
        return result


@asynccontextmanager
async def administrator(
    node: Node, syntax: SyntaxId = NDR64, level: AuthLevel = AuthLevel.PRIVACY
) -> AsyncIterator[Administrator]:
    async with await connect(node.address, node.port) as rpc:
        await rpc.bind(CLUSAPI, transfer=(syntax,), credentials=WITNESS, level=level)
        yield Administrator(rpc, syntax)


@pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])
def test_network_name_can_be_opened_queried_and_closed(syntax: SyntaxId) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE2"], syntax) as admin:
            status, handle = await admin.open("swncluster")

            assert status == Win32.ERROR_SUCCESS
            assert not handle.is_null
            assert await admin.of(ClusapiOpnum.GET_RESOURCE_STATE, handle) == GetResourceStateResponse(
                ResourceState.ONLINE, "NODE1", "SWNCLUSTER", 0, 0
            )

            closed = await admin.of(ClusapiOpnum.CLOSE_RESOURCE, handle)

            assert (closed.resource, closed.result) == (NULL_HANDLE, Win32.ERROR_SUCCESS)
            again = await admin.of(ClusapiOpnum.CLOSE_RESOURCE, handle)
            assert (again.resource, again.result) == (handle, Win32.ERROR_INVALID_HANDLE)

    run_in_cluster(scenario, clusapi=True)


def test_resource_id_opens_the_resource_on_every_node() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE1"]) as admin:
            answer = await admin.of(ClusapiOpnum.GET_RESOURCE_ID, (await admin.open("SWNCLUSTER"))[1])
            assert answer.result == 0

        async with administrator(cluster.nodes["NODE3"]) as admin:
            status, _ = await admin.open(answer.resource_id.upper())

        assert status == 0

    run_in_cluster(scenario, clusapi=True)


@pytest.mark.parametrize("name", ["", "SWNCLUSTER2", "swncluster.swn.test"])
def test_unknown_resource_name_is_not_found(name: str) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE1"]) as admin:
            assert await admin.open(name) == (Win32.ERROR_RESOURCE_NOT_FOUND, NULL_HANDLE)

    run_in_cluster(scenario, clusapi=True)


def test_clients_are_notified_when_the_name_is_switched() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        one, two = cluster.nodes["NODE1"], cluster.nodes["NODE2"]
        async with client_of(one) as first, client_of(two) as second, administrator(one) as admin:
            watches = [
                (client, await register(client, node)) for client, node in ((first, two), (second, one))
            ]
            waiting = [client.async_notify(handle) for client, handle in watches]
            handle = (await admin.open("SWNCLUSTER"))[1]

            assert await admin.switch(ClusapiOpnum.OFFLINE_RESOURCE, handle) == 0

            for call, group in zip(waiting, ("NODE2", "NODE1"), strict=True):
                assert notified(await call.reply(TIMEOUT)) == (1, [f"{group} UNAVAILABLE"])
            assert await admin.state(handle) is ResourceState.OFFLINE

            waiting = [client.async_notify(handle) for client, handle in watches]
            assert await admin.switch(ClusapiOpnum.ONLINE_RESOURCE, handle) == 0

            for call, group in zip(waiting, ("NODE2", "NODE1"), strict=True):
                assert notified(await call.reply(TIMEOUT)) == (1, [f"{group} AVAILABLE"])
            assert await admin.state(handle) is ResourceState.ONLINE

    run_in_cluster(scenario, clusapi=True)


def test_switching_to_the_current_state_notifies_no_client() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        one, two = cluster.nodes["NODE1"], cluster.nodes["NODE2"]
        async with client_of(one) as client, administrator(one) as admin:
            context = await register(client, two)
            handle = (await admin.open("SWNCLUSTER"))[1]
            waiting = client.async_notify(context)

            assert await admin.switch(ClusapiOpnum.ONLINE_RESOURCE, handle) == 0

            # A round trip on the same connection: a notification would arrive before its response.
            await client.get_interface_list()
            assert not waiting.done()

            assert await admin.switch(ClusapiOpnum.OFFLINE_RESOURCE, handle) == 0
            await waiting.reply(TIMEOUT)
            waiting = client.async_notify(context)
            assert await admin.switch(ClusapiOpnum.OFFLINE_RESOURCE, handle) == 0
            assert (await client.unregister(context)).result == 0

            assert (await waiting.reply(TIMEOUT)).result == Win32.ERROR_NOT_FOUND

    run_in_cluster(scenario, clusapi=True)


def test_online_does_not_change_a_disabled_node() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        await cluster.disable("NODE1")
        async with administrator(cluster.nodes["NODE1"]) as admin:
            handle = (await admin.open("SWNCLUSTER"))[1]
            answer = await admin.of(ClusapiOpnum.GET_RESOURCE_STATE, handle)
            assert (answer.state, answer.node_name) == (ResourceState.ONLINE, "NODE2")
            assert await admin.switch(ClusapiOpnum.OFFLINE_RESOURCE, handle) == 0

            assert await admin.switch(ClusapiOpnum.ONLINE_RESOURCE, handle) == 0

            states = {interface.node: interface.state for interface in cluster.interfaces}
            assert states["NODE1"] is InterfaceState.UNAVAILABLE
            assert states["NODE2"] is states["NODE3"] is InterfaceState.AVAILABLE

    run_in_cluster(scenario, clusapi=True)


def test_nodes_are_paused_and_resumed() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE1"]) as admin:
            names = await admin.ask(
                *(ClusapiOpnum.CREATE_ENUM, codec.write_enum_request, CreateEnumRequest(1 | 4 | 8 | 16)),
                codec.read_enum_response,
            )
            assert [(entry.type, entry.name) for entry in names.entries] == [
                *((1, "NODE1"), (1, "NODE2"), (1, "NODE3"), (4, "SWNCLUSTER")),
                *((4, f"IP Address {cluster.addresses_of(name)[0]}") for name in cluster.nodes),
                (8, "SWNCLUSTER"),
                *((8, f"Role {cluster.addresses_of(name)[0]}") for name in cluster.nodes),
                (16, "Cluster Network 1"),
            ]
            opened = await admin.open("node2", ClusapiOpnum.OPEN_NODE)
            assert opened[0] == 0
            for opnum, expected in ((ClusapiOpnum.PAUSE_NODE, 2), (ClusapiOpnum.RESUME_NODE, 0)):
                assert await admin.switch(opnum, opened[1]) == 0
                assert (await admin.of(ClusapiOpnum.GET_NODE_STATE, opened[1])).state == expected
            again = await admin.switch(ClusapiOpnum.RESUME_NODE, opened[1])
            assert again == Win32.ERROR_CLUSTER_NODE_NOT_PAUSED
            # With a drain, too.
            paused = await admin.ask(
                *(ClusapiOpnum.PAUSE_NODE_EX, codec.write_pause_request),
                *(PauseNodeExRequest(opened[1], drain=True), codec.read_switch_response),
            )
            assert (paused.result, cluster.is_in_service("NODE2")) == (0, False)
            await cluster.restore()
            await cluster.crash("NODE2")
            for opnum in (ClusapiOpnum.PAUSE_NODE, ClusapiOpnum.RESUME_NODE):
                assert await admin.switch(opnum, opened[1]) == Win32.ERROR_CLUSTER_NODE_DOWN
            assert (await admin.of(ClusapiOpnum.GET_NODE_STATE, opened[1])).state == 1
            assert (await admin.open("NODE9", ClusapiOpnum.OPEN_NODE))[
                0
            ] == Win32.ERROR_CLUSTER_NODE_NOT_FOUND

    run_in_cluster(scenario, clusapi=True)


@pytest.mark.parametrize("kind", [0, 0x40, 0x80000001])
def test_enumeration_of_an_unknown_type_fails(kind: int) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE1"]) as admin:
            answer = await admin.ask(
                *(ClusapiOpnum.CREATE_ENUM, codec.write_enum_request, CreateEnumRequest(kind)),
                codec.read_enum_response,
            )
            assert (answer.entries, answer.result) == (None, Win32.ERROR_INVALID_PARAMETER)

    run_in_cluster(scenario, clusapi=True)


def test_address_resource_is_the_interface_of_one_node() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        name = f"IP Address {cluster.addresses_of('NODE2')[0]}"
        async with administrator(cluster.nodes["NODE1"]) as admin:
            handle = (await admin.open(name))[1]
            group = (await admin.open("swncluster", ClusapiOpnum.OPEN_GROUP))[1]
            answer = await admin.of(ClusapiOpnum.GET_RESOURCE_STATE, handle)
            assert answer == GetResourceStateResponse(2, "NODE2", "SWNCLUSTER", 0, 0)
            assert (await admin.of(ClusapiOpnum.GET_GROUP_STATE, group)).state == GroupState.ONLINE
            for opnum, online in (
                (ClusapiOpnum.OFFLINE_RESOURCE, False),
                (ClusapiOpnum.ONLINE_RESOURCE, True),
                (ClusapiOpnum.FAIL_RESOURCE, False),
            ):
                assert await admin.switch(opnum, handle) == 0
                (found,) = [each for each in cluster.interfaces if each.node == "NODE2"]
                assert (found.state is InterfaceState.AVAILABLE) is online
            assert await admin.switch(ClusapiOpnum.FAIL_RESOURCE, handle) == Win32.ERROR_INVALID_STATE
            assert (await admin.of(ClusapiOpnum.GET_GROUP_STATE, group)).state == GroupState.PARTIAL_ONLINE
            assert await admin.switch(ClusapiOpnum.OFFLINE_GROUP, group) == 0
            assert (await admin.of(ClusapiOpnum.GET_GROUP_STATE, group)).state == GroupState.OFFLINE
            await cluster.disable("NODE2")
            assert (
                await admin.switch(ClusapiOpnum.ONLINE_RESOURCE, handle) == Win32.ERROR_RESOURCE_NOT_AVAILABLE
            )
            assert await admin.switch(ClusapiOpnum.ONLINE_GROUP, group) == 0
            assert (await admin.of(ClusapiOpnum.CLOSE_GROUP, group)).result == 0
            assert (await admin.open("other", ClusapiOpnum.OPEN_GROUP))[0] == Win32.ERROR_GROUP_NOT_FOUND

    run_in_cluster(scenario, clusapi=True)


def test_group_of_an_address_moves_to_another_node() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        address = str(cluster.addresses_of("NODE3")[0])

        async def move(admin: Administrator, group: ContextHandle, node: ContextHandle) -> int:
            answer = await admin.ask(
                *(ClusapiOpnum.MOVE_GROUP_TO_NODE, codec.write_move_request),
                *(MoveGroupRequest(group, node), codec.read_switch_response),
            )
            return int(answer.result)

        def host() -> str:
            return next(i.node for i in cluster.interfaces if address in map(str, i.addresses))

        async with administrator(cluster.nodes["NODE1"]) as admin:
            group = (await admin.open(f"role {address}", ClusapiOpnum.OPEN_GROUP))[1]
            everything = (await admin.open("SWNCLUSTER", ClusapiOpnum.OPEN_GROUP))[1]
            node2 = (await admin.open("NODE2", ClusapiOpnum.OPEN_NODE))[1]
            assert await move(admin, group, node2) == 0
            assert host() == "NODE2"
            assert await move(admin, group, node2) == 0
            state = await admin.of(ClusapiOpnum.GET_GROUP_STATE, group)
            assert (state.state, state.node_name) == (GroupState.ONLINE, "NODE2")
            assert await admin.switch(ClusapiOpnum.OFFLINE_GROUP, group) == 0
            assert (await admin.of(ClusapiOpnum.GET_GROUP_STATE, group)).state == GroupState.OFFLINE
            assert await admin.switch(ClusapiOpnum.ONLINE_GROUP, group) == 0
            assert await admin.switch(ClusapiOpnum.MOVE_GROUP, group) == 0
            assert host() == "NODE1"
            assert await move(admin, node2, group) == Win32.ERROR_INVALID_HANDLE
            assert await move(admin, everything, node2) == Win32.ERROR_HOST_NODE_NOT_AVAILABLE
            assert await admin.switch(ClusapiOpnum.MOVE_GROUP, everything) == (
                Win32.ERROR_HOST_NODE_NOT_AVAILABLE
            )
            await cluster.disable("NODE2")
            assert await move(admin, group, node2) == Win32.ERROR_SHARING_PAUSED
            await cluster.enable("NODE2")
            await cluster.crash("NODE2")
            assert await move(admin, group, node2) == Win32.ERROR_HOST_NODE_NOT_AVAILABLE
            await cluster.crash("NODE3")
            assert await admin.switch(ClusapiOpnum.MOVE_GROUP, group) == Win32.ERROR_HOST_NODE_NOT_AVAILABLE

    run_in_cluster(scenario, clusapi=True)


def test_network_is_up_while_all_nodes_are_seen() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE1"]) as admin:
            status, network = await admin.open("cluster network 1", ClusapiOpnum.OPEN_NETWORK)
            assert status == 0
            for expected in (NetworkState.UP, NetworkState.PARTITIONED, NetworkState.DOWN):
                assert (await admin.of(ClusapiOpnum.GET_NETWORK_STATE, network)).state == expected
                up = [name for name in ("NODE2", "NODE3") if cluster.sees("NODE1", name)]
                if up:
                    await cluster.crash(up[0])
            assert (await admin.of(ClusapiOpnum.CLOSE_NETWORK, network)).result == 0
            missing = await admin.open("Cluster Network 2", ClusapiOpnum.OPEN_NETWORK)
            assert missing[0] == Win32.ERROR_CLUSTER_NETWORK_NOT_FOUND

    run_in_cluster(scenario, clusapi=True)


def test_cluster_has_a_name_and_a_handle() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE3"]) as admin:
            nothing = (codec.write_nothing, NoParameters())
            named = await admin.ask(ClusapiOpnum.GET_CLUSTER_NAME, *nothing, codec.read_name_response)
            assert (named.cluster_name, named.node_name, named.result) == ("SWNCLUSTER", "NODE3", 0)
            opened = await admin.ask(ClusapiOpnum.OPEN_CLUSTER, *nothing, codec.read_open_cluster_response)
            assert opened.status == 0
            closed = await admin.of(ClusapiOpnum.CLOSE_CLUSTER, opened.cluster)
            assert (closed.resource, closed.result) == (NULL_HANDLE, 0)

    run_in_cluster(scenario, clusapi=True)


def test_online_fails_if_no_node_is_in_service() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        for name in ("NODE1", "NODE2", "NODE3"):
            await cluster.disable(name)
        async with administrator(cluster.nodes["NODE1"]) as admin:
            handle = (await admin.open("SWNCLUSTER"))[1]

            code = await admin.switch(ClusapiOpnum.ONLINE_RESOURCE, handle)

            assert code == Win32.ERROR_RESOURCE_NOT_AVAILABLE
            assert await admin.state(handle) is ResourceState.OFFLINE

    run_in_cluster(scenario, clusapi=True)


@pytest.mark.parametrize(
    "opnum",
    [opnum for opnum in ClusapiOpnum if opnum not in WITHOUT_HANDLE],
    ids=lambda opnum: opnum.name.lower(),
)
def test_resource_handle_works_only_in_its_association(opnum: ClusapiOpnum) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node = cluster.nodes["NODE1"]
        async with administrator(node) as owner, administrator(node) as other:
            handle = (await owner.open("SWNCLUSTER"))[1]

            for invalid in (handle, ContextHandle(0, uuid4()), NULL_HANDLE):
                assert (await other.of(opnum, invalid)).result == Win32.ERROR_INVALID_HANDLE

            assert await owner.state(handle) is ResourceState.ONLINE

    run_in_cluster(scenario, clusapi=True)


@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.PKT, AuthLevel.INTEGRITY])
def test_calls_below_privacy_return_access_denied(level: AuthLevel) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE1"], level=level) as admin:
            with pytest.raises(Fault) as refused:
                await admin.open("SWNCLUSTER")

        assert refused.value.status == FaultStatus.ERROR_ACCESS_DENIED

    run_in_cluster(scenario, clusapi=True)


@pytest.mark.parametrize(
    ("opnum", "stub", "status"),
    [
        (9, b"", FaultStatus.NCA_S_OP_RNG_ERROR),
        (8, bytes(3), FaultStatus.RPC_X_BAD_STUB_DATA),
        (12, bytes(19), FaultStatus.RPC_X_BAD_STUB_DATA),
    ],
)
def test_invalid_calls_return_faults(opnum: int, stub: bytes, status: FaultStatus) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with administrator(cluster.nodes["NODE1"], NDR32) as admin:
            with pytest.raises(Fault) as refused:
                await admin.rpc.call(opnum, stub).reply(TIMEOUT)

            assert refused.value.status == status
            assert (await admin.open("SWNCLUSTER"))[0] == 0

    run_in_cluster(scenario, clusapi=True)


def test_endpoint_mapper_returns_the_clusapi_port() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node = cluster.nodes["NODE1"]
        found = await ept_map(node.address, CLUSAPI, port=node.epm_port)

        assert [endpoint.port for endpoint in found] == [node.port]

    run_in_cluster(scenario, clusapi=True)


def test_clusapi_is_not_served_by_default() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        with pytest.raises(ContextRefused):
            async with administrator(cluster.nodes["NODE1"]):
                pytest.fail("the bind was accepted")

    run_in_cluster(scenario)
