"""The witness endpoint in the endpoint mapper (MS-RPCE 2.1.1.1, 2.2.1.2.5; C706 Appendix O).

impacket, an independent client, is asked for a second result.
"""

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
from swn_torture.casekit.impacket_view import ImpacketFailed, endpoint, served_interfaces
from swn_torture.casekit.protocol import (
    INTERFACE_UUID,
    WITNESS,
    GetInterfaceListRequest,
    SyntaxId,
    Win32,
    WitnessClient,
)
from swn_torture.casekit.transport import ConnectionLost, connect_rpc
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.witness import Witness

_TCP = (FloorProtocol.NCACN, FloorProtocol.TCP, FloorProtocol.IP)


async def _map(witness: Witness, interface: SyntaxId, node: int = 0) -> MapResponse:
    """Send ept_map for the TCP endpoints of an interface to a node; without authentication, as clients do."""
    target = witness.nodes[node]
    rpc = await connect_rpc(target.address, target.endpoint_mapper_port, transcript=witness.transcript)
    async with rpc:
        await rpc.bind(EPM)
        request = MapRequest(Tower.of_tcp(interface).pack(), NIL)
        return MapResponse.unpack(await rpc.call(EpmOpnum.MAP, request.pack()).reply())


async def _get_interface_list(witness: Witness, node: int, port: int) -> Outcome:
    """Bind to witness at a port of a node and call GetInterfaceList."""
    target = witness.nodes[node]
    rpc = await connect_rpc(target.address, port, transcript=witness.transcript)
    async with rpc:
        await rpc.bind(WITNESS, **witness.logon())
        return await outcome_of(WitnessClient(rpc).start(GetInterfaceListRequest()))


def _ports(found: MapResponse) -> list[int]:
    """The TCP ports in those towers of an ept_map response that name the witness interface."""
    towers = [Tower.unpack(octets) for octets in found.towers]
    return [
        tower.port
        for tower in towers
        if tower.port and tower.protocol_sequence == _TCP and tower.interface.serves(WITNESS)
    ]


@case("RPC-EPM-lookup")
async def test_lookup_leads_to_the_service(witness: Witness, spec: Spec) -> None:
    """ept_map for the witness interface returns a TCP port at which GetInterfaceList succeeds."""
    fixed = witness.nodes[0].port
    try:
        found = await _map(witness, WITNESS)
    except ConnectionLost as loss:
        if fixed is None:
            raise
        spec("RPC-EPM-lookup").record(f"the profile gives the fixed port {fixed}; endpoint mapper: {loss}")
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
        await _get_interface_list(witness, 0, ports[0]),
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
    """ept_map for an unregistered interface returns ept_s_not_registered (0x16C9A0D6) and no tower."""
    found = await _map(witness, _UNREGISTERED[which]())

    spec("RPC-EPM-not-registered").holds(
        found.status == EptStatus.NOT_REGISTERED and not found.towers,
        expected=f"status {EptStatus.describe(EptStatus.NOT_REGISTERED)} and no tower",
        observed=f"status {EptStatus.describe(found.status)}, {len(found.towers)} towers",
    )


@case("RPC-EPM-each-node", needs=("two-nodes",))
async def test_every_node_has_its_endpoint(witness: Witness, spec: Spec) -> None:
    """ept_map at the address of each node returns a port of that node; GetInterfaceList succeeds there."""

    async def find_and_call(node: int) -> tuple[MapResponse, Outcome | None]:
        found = await _map(witness, WITNESS, node)
        ports = _ports(found)
        return found, await _get_interface_list(witness, node, ports[0]) if ports else None

    answers = await asyncio.gather(*(find_and_call(node) for node in range(len(witness.nodes))))

    for node, (found, answer) in zip(witness.nodes, answers, strict=True):
        spec("RPC-EPM-each-node").holds(
            answer == returns(Win32.ERROR_SUCCESS),
            expected="a TCP port at which GetInterfaceList returns ERROR_SUCCESS (0x0)",
            observed=f"status {EptStatus.describe(found.status)}, ports {_ports(found)}: {answer}",
            note=f"node {node.name}",
        )


@case("RPC-EPM-lookup", "SWN-1.9-uuid")
async def test_impacket_finds_the_same_endpoint(witness: Witness, spec: Spec) -> None:
    """Call ept_map and inq_if_ids by impacket: the same TCP port, and the witness interface on it."""
    node = witness.nodes[0]
    if node.port is not None:
        raise NotTestable(
            "the profile gives the port of the witness endpoint: the endpoint mapper is not used"
        )
    port = await witness.port(0)

    try:
        found = await asyncio.to_thread(endpoint, node.address, node.endpoint_mapper_port)
    except ImpacketFailed as problem:
        spec("RPC-EPM-lookup").holds(
            condition=False, expected=f"port {port}, as returned to this suite's client", observed=problem
        )
        raise spec.stop() from problem
    spec("RPC-EPM-lookup").equal(
        found, port, show=lambda number: f"port {number}", note="ept_map by impacket"
    )

    try:
        served = await asyncio.to_thread(served_interfaces, node.address, port)
    except ImpacketFailed:
        return  # a server may reject inq_if_ids: no rule of MS-SWN requires it
    spec("SWN-1.9-uuid").holds(
        str(INTERFACE_UUID) in served,
        expected=f"{INTERFACE_UUID} among the interfaces served",
        observed=", ".join(served) or "none",
        note="inq_if_ids by impacket",
    )
