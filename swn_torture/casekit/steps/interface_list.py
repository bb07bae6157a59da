"""The interface list while the cluster changes: wait for a state of it, and compare it with the nodes."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
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

#: The Version that Windows lists from Windows Server 2012 R2 on, and the example of section 4.1 (AMB-9).
ANY_VERSION = 0xFFFFFFFF

#: Seconds between two calls of GetInterfaceList while waiting for a change; any event takes longer.
_POLL_S = 0.05


def in_order(interfaces: Iterable[InterfaceInfo] | None) -> list[InterfaceInfo]:
    """The elements of an interface list, sorted: MS-SWN does not say in which order a server lists them."""
    return sorted(interfaces or (), key=str)


async def wait_for_interfaces(
    witness: Witness, expected: Callable[[Interfaces], bool], *, node: int = 0
) -> Interfaces:
    """Call GetInterfaceList until the list is as expected or the event deadline has passed.

    Args:
        witness: the target.
        expected: whether a list is as expected.
        node: index of the node.

    Returns:
        The last list. An empty one if a call stays pending, as it does while no interface is AVAILABLE.

    Raises:
        CaseStopped: a call fails, which is recorded as a violation.
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
                note="GetInterfaceList, which the case relies on",
            )
        received = outcome.response.interface_list
        interfaces: Interfaces = tuple(received.interfaces or ()) if received else ()
        if expected(interfaces) or loop.time() > deadline:
            await client.rpc.close()
            return interfaces
        await asyncio.sleep(_POLL_S)


async def wait_until_listed(witness: Witness, address: str, *, gone: bool = False) -> bool:
    """Wait until the first node lists an address; returns whether it does within the event deadline.

    Args:
        witness: the target.
        address: the address.
        gone: wait until the address is not in the list instead.
    """
    expected = ip_address(address)

    def reached(interfaces: Interfaces) -> bool:
        return any(expected in addresses_of(interface) for interface in interfaces) is not gone

    return reached(await wait_for_interfaces(witness, reached))


def states_of(interfaces: Iterable[InterfaceInfo]) -> dict[str, int]:
    """The state of each address in an interface list, by the text of the address."""
    return {str(address): interface.state for interface in interfaces for address in addresses_of(interface)}


def show_states(states: Any) -> str:
    """States by address as text for a report, in the order of the addresses."""
    shown = (f"{address} {describe(InterfaceState, states[address])}" for address in sorted(states))
    return ", ".join(shown) or "no interface"


def is_complete(listed: Collection[object], hosted: Collection[object], own: Collection[object]) -> bool:
    """Whether a list has every address of the other nodes, perhaps those of its own node, and no others.

    The server fills its list in an implementation-specific manner (MS-SWN 3.1.3). Known servers list all
    interfaces of the cluster, or only those of the partners of the node: clients register with these.

    Args:
        listed: the addresses in the list of a node.
        hosted: the addresses of all nodes.
        own: the addresses of the node itself.
    """
    return {*hosted} - {*own} <= {*listed} <= {*hosted} | {*own}


def complete_lists(hosted: Iterable[object], own: Collection[object]) -> tuple[str, str]:
    """The two lists that ``is_complete`` accepts, as text for a report: with and without the node's own."""
    named = sorted(map(str, hosted))
    others = sorted({*named} - {*map(str, own)})
    return ", ".join(named) or "no address", f"without its own: {', '.join(others) or 'no address'}"


async def listed_and_hosted_states(
    witness: Witness, cluster: Controller, addresses: Collection[str], *, may_wait: bool = False
) -> tuple[dict[str, int], dict[str, int]]:
    """The states of some addresses in the interface list, and the states that the nodes imply.

    An address is AVAILABLE if a node in service hosts it, and UNAVAILABLE if none does. A node may take over
    addresses of another one at any time, so both are read again until they agree or the event deadline has
    passed.

    Args:
        witness: the target.
        cluster: its controller.
        addresses: the addresses to compare.
        may_wait: whether GetInterfaceList may stay pending while none of them is AVAILABLE, because the list
            has no others.

    Returns:
        The states in the list (without addresses that are not in it), and the implied states.
    """

    async def hosted() -> dict[str, int]:
        served = {a for node in await cluster.nodes() if node.state is NodeState.OK for a in node.addresses}
        return {
            address: int(InterfaceState.AVAILABLE if address in served else InterfaceState.UNAVAILABLE)
            for address in addresses
        }

    loop = asyncio.get_running_loop()
    deadline = loop.time() + witness.expect.event_deadline
    while True:
        before = await hosted()
        interfaces = (
            await wait_for_interfaces(witness, lambda _: True) if may_wait else await witness.interfaces()
        )
        listed = {a: s for a, s in states_of(interfaces).items() if a in addresses}
        expected = await hosted()
        if not interfaces and may_wait and InterfaceState.AVAILABLE not in expected.values():
            return expected, expected
        if before == expected == listed or loop.time() > deadline:
            return listed, expected
        await asyncio.sleep(_POLL_S)
