"""The interface list while the cluster changes: which address is in which state, on which node's word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import SILENCE, outcome_of, returns
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.control.base import NodeState
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState, describe
from swn_torture.witness.messages import GetInterfaceListRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller
    from swn_torture.witness.messages import InterfaceInfo

    Interfaces = tuple[InterfaceInfo, ...]

#: How often a list is asked for that is to change: short beside any event of a cluster.
_POLL_S = 0.05


async def interfaces_until(
    witness: Witness, met: Callable[[Interfaces], bool], *, node: int = 0
) -> Interfaces:
    """Ask a node for the interface list until it is as wanted, as long as an event may take; the last one.

    A call that is not answered, as while no interface is AVAILABLE, ends that with an empty list.

    Raises:
        Stop: the node does not tell its list, which is a violation.
    """
    expect = witness.expect
    client = await witness.connect(node)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + expect.event_deadline
    while True:
        outcome = await outcome_of(client.start(GetInterfaceListRequest()), expect.reply_deadline)
        if outcome == SILENCE:
            return ()
        if outcome != returns(Win32.ERROR_SUCCESS):
            raise witness.spec.precondition_failed(
                "SWN-3.1.4.1-returns-success",
                expected=str(returns(Win32.ERROR_SUCCESS)),
                observed=outcome,
                note="GetInterfaceList as a stimulus",
            )
        notified = outcome.response.interface_list
        interfaces: Interfaces = tuple(notified.interfaces or ()) if notified else ()
        if met(interfaces) or loop.time() > deadline:
            await client.rpc.close()
            return interfaces
        await asyncio.sleep(_POLL_S)


def states_of(interfaces: Iterable[InterfaceInfo]) -> dict[str, int]:
    """The state of each address in a list."""
    return {str(address): interface.state for interface in interfaces for address in addresses_of(interface)}


def show_states(states: Any) -> str:
    """States by address for a report, in a fixed order."""
    shown = (f"{address} {describe(InterfaceState, states[address])}" for address in sorted(states))
    return ", ".join(shown) or "no interface"


async def as_hosted(
    witness: Witness, cluster: Controller, addresses: Collection[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """The states of some addresses in the list, and those they have to be in; waits until both agree.

    AVAILABLE is what a node in service hosts, UNAVAILABLE what nobody does. A node may take over addresses
    of another meanwhile, so that is asked again and again, as long as an event may take.
    """

    async def hosted() -> dict[str, int]:
        there = {a for node in await cluster.nodes() if node.state is NodeState.OK for a in node.addresses}
        return {
            address: int(InterfaceState.AVAILABLE if address in there else InterfaceState.UNAVAILABLE)
            for address in addresses
        }

    loop = asyncio.get_running_loop()
    deadline = loop.time() + witness.expect.event_deadline
    while True:
        before = await hosted()
        listed = {a: s for a, s in states_of(await witness.interfaces()).items() if a in addresses}
        wanted = await hosted()
        if before == wanted == listed or loop.time() > deadline:
            return listed, wanted
        await asyncio.sleep(_POLL_S)
