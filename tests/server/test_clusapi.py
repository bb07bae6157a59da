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
    GetResourceStateResponse,
    OpenResourceRequest,
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


class Administrator:
    """A client of ClusAPI."""

    def __init__(self, rpc: RpcClient, syntax: SyntaxId) -> None:
        self.rpc = rpc
        self.syntax = syntax

    async def _ask(
        self, opnum: int, write: Callable[[Writer, Any], None], request: Any, read: Callable[[Reader], Any]
    ) -> Any:
        writer = Writer(self.syntax)
        write(writer, request)
        reader = Reader(await self.rpc.call(opnum, writer.finish()).reply(TIMEOUT), self.syntax, "little")
        answer = read(reader)
        reader.finish()
        return answer

    async def open(self, name: str) -> tuple[int, ContextHandle]:
        request, read = OpenResourceRequest(name), codec.read_open_response
        answer = await self._ask(ClusapiOpnum.OPEN_RESOURCE, codec.write_open_request, request, read)
        return answer.status, answer.resource

    async def of(self, opnum: ClusapiOpnum, handle: ContextHandle) -> Any:
        """Return the response of a method that takes a handle."""
        read: dict[ClusapiOpnum, Callable[[Reader], Any]] = {
            ClusapiOpnum.CLOSE_RESOURCE: codec.read_close_response,
            ClusapiOpnum.GET_RESOURCE_STATE: codec.read_state_response,
            ClusapiOpnum.GET_RESOURCE_ID: codec.read_id_response,
            ClusapiOpnum.ONLINE_RESOURCE: codec.read_switch_response,
            ClusapiOpnum.OFFLINE_RESOURCE: codec.read_switch_response,
        }
        return await self._ask(opnum, codec.write_resource_request, ResourceRequest(handle), read[opnum])

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
    [opnum for opnum in ClusapiOpnum if opnum is not ClusapiOpnum.OPEN_RESOURCE],
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
