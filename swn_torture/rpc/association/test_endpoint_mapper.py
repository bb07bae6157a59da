"""The witness endpoint in the endpoint mapper (MS-RPCE 2.1.1.1, 2.2.1.2.5; C706 Appendix O).

impacket, an independent client, is asked for a second result.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from swn_torture.casekit import Outcome, case, outcome_of, returns
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
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.casekit.protocol import (
    INTERFACE_UUID,
    WITNESS,
    GetInterfaceListRequest,
    SyntaxId,
    Win32,
    WitnessClient,
)
from swn_torture.casekit.shown import shown
from swn_torture.casekit.transport import (
    BindRefused,
    ConnectionLost,
    ContextRefused,
    Fault,
    FaultStatus,
    RemoteProtocolError,
    connect_rpc,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

#: Statuses with which an endpoint mapper rejects a caller without authentication.
_DENIALS = (
    FaultStatus.ERROR_ACCESS_DENIED,
    FaultStatus.ERROR_NOT_AUTHENTICATED,
    FaultStatus.RPC_S_UNKNOWN_AUTHN_LEVEL,
    FaultStatus.NCA_S_UNSUPPORTED_AUTHN_LEVEL,
)

_TCP = (FloorProtocol.NCACN, FloorProtocol.TCP, FloorProtocol.IP)


async def _map(witness: Witness, interface: SyntaxId, node: int = 0) -> MapResponse:
    """Send ept_map for the TCP endpoints of an interface to a node; without authentication, as clients do."""
    target = witness.nodes[node]
    rpc = await connect_rpc(target.address, target.endpoint_mapper_port, transcript=witness.transcript)
    async with rpc:
        await rpc.bind(EPM)
        request = MapRequest(Tower.of_tcp(interface).pack(), NIL)
        return MapResponse.unpack(await rpc.call(EpmOpnum.MAP, request.pack()).reply())


#: How a call ends at a port where no witness service answers.
_NO_ANSWER = {"closed", "silence", "pdu"}


async def _get_interface_list(witness: Witness, node: int, port: int) -> Outcome:
    """Bind to witness at a port of a node and call GetInterfaceList.

    The outcome is also that of the connection, if nobody listens at the port, and of the bind at the port of
    the endpoint mapper itself.
    """
    target = witness.nodes[node]
    try:
        rpc = await connect_rpc(target.address, port, transcript=witness.transcript)
    except ConnectionLost as refused:
        return outcome_of_error(refused)
    async with rpc:
        try:
            await rpc.bind(WITNESS, **witness.logon())
        except (BindRefused, ContextRefused) as refused:
            if port != target.endpoint_mapper_port:
                raise
            return Outcome("pdu", detail=f"the endpoint mapper itself: {refused}")
        return await outcome_of(WitnessClient(rpc).start(GetInterfaceListRequest()))


def _ports(found: MapResponse) -> list[int]:
    """The TCP ports in those towers of an ept_map response that name the witness interface."""
    towers = [Tower.unpack(octets) for octets in found.towers]
    return [
        tower.port
        for tower in towers
        if tower.port and tower.protocol_sequence == _TCP and tower.interface.serves(WITNESS)
    ]


async def _endpoints(witness: Witness, node: int = 0) -> tuple[int | None, list[int], str]:
    """The status of ept_map for witness at a node, the TCP ports in its towers, and the answer in words.

    A fault and octets that cannot be read are answers without a port. An endpoint mapper may reject a caller
    without authentication (MS-RPCE 3.1.1.5.4): that is no answer of this kind.
    """
    try:
        found = await _map(witness, WITNESS, node)
        ports = _ports(found)
    except Fault as fault:
        if fault.status in _DENIALS:
            raise
        return None, [], str(outcome_of_error(fault))
    except RemoteProtocolError as problem:
        if not re.match(r"tower|num_|entries|status", problem.field or ""):
            raise
        return None, [], str(outcome_of_error(problem))
    status = EptStatus.describe(found.status)
    return found.status, ports, f"status {status}, {len(found.towers)} towers, TCP ports {shown(ports)}"


async def _get_list_at_one(witness: Witness, node: int, ports: list[int]) -> Outcome:
    """Call GetInterfaceList at the first port where it is answered.

    A map may still have the endpoint of a process that has ended; a client then tries the next one.
    """
    first, *others = dict.fromkeys(ports)
    answer = await _get_interface_list(witness, node, first)
    for port in others:
        if answer.kind not in _NO_ANSWER:
            break
        answer = await _get_interface_list(witness, node, port)
    return answer


@case("RPC-EPM-lookup")
async def test_lookup_leads_to_the_service(witness: Witness, spec: Spec) -> None:
    """ept_map for the witness interface returns a TCP port at which GetInterfaceList succeeds."""
    fixed = witness.nodes[0].port
    try:
        status, ports, answered = await _endpoints(witness)
    except ConnectionLost as loss:
        if fixed is None:
            raise
        spec("RPC-EPM-lookup").record(f"the profile gives the fixed port {fixed}; endpoint mapper: {loss}")
        return
    if fixed is not None and status == EptStatus.NOT_REGISTERED:
        spec("RPC-EPM-lookup").record(f"the fixed port {fixed} is not registered with the endpoint mapper")
        return
    listed = spec("RPC-EPM-lookup").holds(
        status == EptStatus.OK and bool(ports),
        expected="status ept_s_ok (0x00000000) and a tower of the interface with a TCP port",
        observed=answered,
    )
    if not listed:
        raise spec.stop()

    spec("RPC-EPM-lookup").allows(
        await _get_list_at_one(witness, 0, ports),
        returns(Win32.ERROR_SUCCESS),
        note=f"GetInterfaceList at port {' or '.join(map(str, dict.fromkeys(ports)))}",
    )


_UNREGISTERED = {
    "random-uuid": lambda: SyntaxId(uuid4(), 1, 1),
    "other-major-version": lambda: dataclasses.replace(WITNESS, major=WITNESS.major + 1),
}


@case("RPC-EPM-not-registered")
@pytest.mark.parametrize("which", _UNREGISTERED)
async def test_lookup_of_unregistered_interface(witness: Witness, spec: Spec, which: str) -> None:
    """ept_map for an unregistered interface returns ept_s_not_registered (0x16C9A0D6) and no tower."""
    try:
        found = await _map(witness, _UNREGISTERED[which]())
    except Fault as fault:
        status = EptStatus.describe(EptStatus.NOT_REGISTERED)
        expected, observed = f"a response with status {status}", outcome_of_error(fault)
        spec("RPC-EPM-not-registered").holds(condition=False, expected=expected, observed=observed)
        raise spec.stop() from fault

    spec("RPC-EPM-not-registered").holds(
        found.status == EptStatus.NOT_REGISTERED and not found.towers,
        expected=f"status {EptStatus.describe(EptStatus.NOT_REGISTERED)} and no tower",
        observed=f"status {EptStatus.describe(found.status)}, {len(found.towers)} towers",
    )


@case("RPC-EPM-each-node", needs=("two-nodes",))
async def test_every_node_has_its_endpoint(witness: Witness, spec: Spec) -> None:
    """ept_map at the address of each node returns a port of that node; GetInterfaceList succeeds there."""

    async def find_and_call(node: int) -> tuple[int | None, str, Outcome | None]:
        status, ports, answered = await _endpoints(witness, node)
        return status, answered, await _get_list_at_one(witness, node, ports) if ports else None

    answers = await asyncio.gather(*(find_and_call(node) for node in range(len(witness.nodes))))

    for node, (status, answered, answer) in zip(witness.nodes, answers, strict=True):
        note = f"node {node.name}: {answered}"
        if node.port is not None and status == EptStatus.NOT_REGISTERED:
            # A server with a well-known endpoint need not register it (MS-RPCE 3.3.3.3.1.4).
            spec("RPC-EPM-each-node").record(f"the fixed port {node.port} is not registered", note)
            continue
        spec("RPC-EPM-each-node").holds(
            answer is not None and answer.kind not in _NO_ANSWER,
            expected="a TCP port at which GetInterfaceList is answered",
            observed=answer or "no port",
            note=note,
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
    ports = _ports(await _map(witness, WITNESS))

    try:
        found = await asyncio.to_thread(endpoint, node.address, node.endpoint_mapper_port)
    except ImpacketFailed as problem:
        spec("RPC-EPM-lookup").holds(
            condition=False, expected=f"port {port}, as returned to this suite's client", observed=problem
        )
        raise spec.stop() from problem
    spec("RPC-EPM-lookup").equal(
        found, port, *ports, show=lambda number: f"port {number}", note="ept_map by impacket"
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
