"""Finding the witness endpoint through the endpoint mapper (MS-RPCE 2.1.1.1, 2.2.1.2.5; C706 Appendix O)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.endpoint_mapper import (
    EPM,
    NIL,
    EpmOpnum,
    EptStatus,
    FloorProtocol,
    MapRequest,
    MapResponse,
    Tower,
)
from swn_torture.casekit.protocol import WITNESS, GetInterfaceListRequest, SyntaxId, Win32, WitnessClient
from swn_torture.casekit.transport import ConnectionLost, connect_rpc

if TYPE_CHECKING:
    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.witness import Witness

_TCP = (FloorProtocol.NCACN, FloorProtocol.TCP, FloorProtocol.IP)


async def _map(witness: Witness, interface: SyntaxId, node: int = 0) -> MapResponse:
    """Ask a node's endpoint mapper for the TCP endpoints of an interface, anonymously as clients do."""
    where = witness.nodes[node]
    rpc = await connect_rpc(where.address, where.endpoint_mapper_port, transcript=witness.transcript)
    async with rpc:
        await rpc.bind(EPM)
        request = MapRequest(Tower.of_tcp(interface).pack(), NIL)
        return MapResponse.unpack(await rpc.call(EpmOpnum.MAP, request.pack()).reply())


async def _serves(witness: Witness, node: int, port: int) -> Outcome:
    """Whether the witness service answers at this port of a node."""
    where = witness.nodes[node]
    rpc = await connect_rpc(where.address, port, transcript=witness.transcript)
    async with rpc:
        await rpc.bind(WITNESS, **witness.logon())
        return await outcome_of(WitnessClient(rpc).start(GetInterfaceListRequest()))


def _ports(found: MapResponse) -> list[int]:
    """The ports of its towers that lead to the witness interface over TCP."""
    towers = [Tower.unpack(octets) for octets in found.towers]
    return [
        tower.port
        for tower in towers
        if tower.port and tower.protocol_sequence == _TCP and tower.interface.serves(WITNESS)
    ]


@case("RPC-EPM-lookup")
async def test_lookup_leads_to_the_service(witness: Witness, spec: Spec) -> None:
    """ept_map for the witness interface over TCP gives a port at which it can be bound."""
    fixed = witness.nodes[0].port
    try:
        found = await _map(witness, WITNESS)
    except ConnectionLost as loss:
        if fixed is None:
            raise
        spec("RPC-EPM-lookup").record(f"the target is reached by its fixed port {fixed}; port 135: {loss}")
        return
    if fixed is not None and found.status == EptStatus.NOT_REGISTERED:
        spec("RPC-EPM-lookup").record(f"the fixed port {fixed} is not registered with the endpoint mapper")
        return
    ports = _ports(found)
    listed = spec("RPC-EPM-lookup").holds(
        found.status == EptStatus.OK and bool(ports),
        expected="status ept_s_ok (0x00000000) and a tower of the interface with a TCP port",
        observed=f"status {EptStatus.describe(found.status)}, {len(found.towers)} towers, TCP ports {ports}",
    )
    if not listed:
        raise spec.stop()

    spec("RPC-EPM-lookup").allows(
        await _serves(witness, 0, ports[0]),
        returns(Win32.ERROR_SUCCESS),
        note=f"GetInterfaceList at port {ports[0]}",
    )


_UNREGISTERED = {
    "random-uuid": lambda: SyntaxId(uuid4(), 1, 1),
    "other-major-version": lambda: dataclasses.replace(WITNESS, major=WITNESS.major + 1),
}


@case("RPC-EPM-not-registered")
@pytest.mark.parametrize("which", _UNREGISTERED)
async def test_lookup_of_unregistered_interface(witness: Witness, spec: Spec, which: str) -> None:
    """ept_map for an interface that nobody serves says so and gives no tower."""
    found = await _map(witness, _UNREGISTERED[which]())

    spec("RPC-EPM-not-registered").holds(
        found.status == EptStatus.NOT_REGISTERED and not found.towers,
        expected=f"status {EptStatus.describe(EptStatus.NOT_REGISTERED)} and no tower",
        observed=f"status {EptStatus.describe(found.status)}, {len(found.towers)} towers",
    )


@case("RPC-EPM-each-node", needs=("two-nodes",))
async def test_every_node_has_its_endpoint(witness: Witness, spec: Spec) -> None:
    """ept_map at the address of each node gives a port of that node at which the service answers."""

    async def ask(node: int) -> tuple[MapResponse, Outcome | None]:
        found = await _map(witness, WITNESS, node)
        ports = _ports(found)
        return found, await _serves(witness, node, ports[0]) if ports else None

    answers = await asyncio.gather(*(ask(node) for node in range(len(witness.nodes))))

    for node, (found, answer) in zip(witness.nodes, answers, strict=True):
        spec("RPC-EPM-each-node").holds(
            answer == returns(Win32.ERROR_SUCCESS),
            expected="a TCP port at which GetInterfaceList returns ERROR_SUCCESS (0x0)",
            observed=f"status {EptStatus.describe(found.status)}, ports {_ports(found)}: {answer}",
            note=f"node {node.name}",
        )
