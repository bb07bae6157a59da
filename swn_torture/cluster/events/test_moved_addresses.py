"""An address that moves to another node: the interface list, and the notifications (MS-SWN 3.1.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import case
from swn_torture.casekit.protocol import RegisterFlags
from swn_torture.casekit.steps.host_nodes import destination, other_nodes
from swn_torture.casekit.steps.interface_list import (
    listed_and_hosted_states,
    show_states,
    states_of,
    wait_for_interfaces,
)
from swn_torture.casekit.steps.listeners import drain_notifications, listen, versions

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness


def fields_of(version: int, address: str) -> dict[str, Any]:
    """The fields of a registration for an address, with IP notifications where the version has them."""
    flags = {"flags": int(RegisterFlags.IP_NOTIFICATION)} if version == 2 else {}
    return {"ip_address": address, **flags}


@case(
    "SWN-3.1.4.1-state",
    "SWN-3.1.6.1-new-interface",
    "SWN-3.1.6.1-queues-change",
    "SWN-3.1.6.1-sets-state",
    needs=("move-address", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
)
async def test_address_moves(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An address moves to another node: it is listed AVAILABLE; what its clients get is recorded."""
    (host, *_) = await other_nodes(witness, cluster)
    address = host.addresses[0]
    where = await destination(witness, cluster, other_than=address)
    listeners = [
        await listen(
            witness,
            version=version,
            **fields_of(version, address),
        )
        for version in versions(witness)
    ]

    await cluster.move_address(address, where.node)
    await wait_for_interfaces(witness, lambda found: address in states_of(found))
    listed, hosted = await listed_and_hosted_states(witness, cluster, [address])
    spec("SWN-3.1.6.1-new-interface").holds(
        address in listed,
        expected=f"{address} in the list",
        observed=show_states(states_of(await witness.interfaces())),
        note=f"it moved from {host.node} to {where.node}",
    )
    spec("SWN-3.1.6.1-sets-state", "SWN-3.1.4.1-state").equal(
        listed, hosted, show=show_states, note=f"{address} moved from {host.node} to {where.node}"
    )
    await drain_notifications(*listeners)
    for version, listener in zip(versions(witness), listeners, strict=True):
        spec("SWN-3.1.6.1-queues-change").record(
            listener.received, f"registration of version {version} for {address}, which moved"
        )
