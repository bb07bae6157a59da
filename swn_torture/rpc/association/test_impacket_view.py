"""A stranger's client, impacket, finds and sees the same as ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.casekit import case
from swn_torture.casekit.impacket_view import NoOpinion, endpoint, served_interfaces
from swn_torture.casekit.protocol import INTERFACE_UUID
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness


@case("RPC-EPM-lookup", "SWN-1.9-uuid")
async def test_the_endpoint_is_found_by_others_too(witness: Witness, spec: Spec) -> None:
    """A client of other make asks endpoint mapper and management for the witness interface."""
    node = witness.nodes[0]
    if node.port is not None:
        raise NotTestable(
            "the profile names the port of the witness endpoint, so no endpoint mapper is asked"
        )
    ours = await witness.port(0)

    try:
        theirs = await asyncio.to_thread(endpoint, node.address, node.endpoint_mapper_port)
    except NoOpinion as problem:
        spec("RPC-EPM-lookup").holds(
            condition=False, expected=f"port {ours}, as we were told", observed=problem
        )
        raise spec.stop() from problem
    spec("RPC-EPM-lookup").equal(theirs, ours, show=lambda port: f"port {port}", note="ept_map by impacket")

    try:
        served = await asyncio.to_thread(served_interfaces, node.address, ours)
    except NoOpinion:
        return  # inq_if_ids may be refused; no rule of the witness service obliges it
    spec("SWN-1.9-uuid").holds(
        str(INTERFACE_UUID) in served,
        expected=f"{INTERFACE_UUID} among the interfaces served",
        observed=", ".join(served) or "none",
        note="inq_if_ids by impacket",
    )
