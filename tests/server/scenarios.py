"""Runs a test scenario in a cluster, and makes clients for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.cluster import ReferenceCluster
from swn_torture.witness.client import WitnessClient, connect
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from swn_torture.server.nodes.node import Node
    from swn_torture.witness.messages import AsyncNotifyResponse, ContextHandle

WITNESS = Credentials("witness", "Passw0rd!", "SWNTEST")
TIMEOUT = 5.0


def run_in_cluster(scenario: Callable[[ReferenceCluster], Awaitable[None]], **settings: Any) -> None:
    """Run a scenario in a cluster with these settings (`ClusterConfig.from_mapping`)."""

    async def run() -> None:
        async with ReferenceCluster(ClusterConfig.from_mapping(settings)) as cluster:
            await scenario(cluster)

    asyncio.run(run())


@asynccontextmanager
async def client_of(node: Node, **options: Any) -> AsyncIterator[WitnessClient]:
    """An authenticated client that found the witness port by the endpoint mapper of the node."""
    values: dict[str, Any] = {"credentials": WITNESS, "level": AuthLevel.INTEGRITY} | options
    client = await connect(node.address, epm_port=node.epm_port, **values)
    try:
        yield client
    finally:
        await client.close()


async def register(client: WitnessClient, node: Node, **fields: Any) -> ContextHandle:
    """Register for the address of a node."""
    values: dict[str, Any] = {
        "net_name": "SWNCLUSTER",
        "ip_address": node.address,
        "client_computer_name": "CLIENT01",
    }
    response = await client.register_ex(**values | fields)
    assert response.result == 0
    return response.context


def notified(answer: AsyncNotifyResponse) -> tuple[int, list[str]]:
    """Return (MessageType, contents) of a notification: changes as "NODE2 UNAVAILABLE", or addresses."""
    assert answer.result == 0
    assert answer.response is not None
    contents = []
    for item in answer.response.decode().items:
        if isinstance(item, ResourceChange):
            contents.append(f"{item.resource_name} {InterfaceState(item.change_type).name}")
        else:
            contents += [str(a.ipv4 if a.flags & 1 else a.ipv6) for a in item.addresses]
    return answer.response.message_type, contents
