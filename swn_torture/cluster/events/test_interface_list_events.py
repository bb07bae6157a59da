"""GetInterfaceList with no AVAILABLE interface, and with an empty interface list (MS-SWN 3.1.4.1)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from swn_torture.casekit import CLOSED, SILENCE, SUCCESS, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import GetInterfaceListRequest, InterfaceState, UnRegisterRequest, Win32
from swn_torture.casekit.steps.host_nodes import index_of, make_available, make_unavailable, other_nodes
from swn_torture.casekit.steps.interface_list import show_states, states_of
from swn_torture.casekit.steps.listeners import connect_each_syntax
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import GetInterfaceListResponse, PendingCall, WitnessClient
    from swn_torture.casekit.witness import Witness

#: Seconds between two queries of the controller while addresses are removed.
_POLL_S = 0.1


@case(
    "SWN-3.1.4.1-wait-available",
    "SWN-3.1.4.1-waiting-woken",
    "SWN-3.1.4.1-wait-does-not-block-others",
    "SWN-3.1.6.1-wake-interface-list",
    needs=("interface-event", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
)
async def test_no_interface_available(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """GetInterfaceList stays pending while no interface is AVAILABLE and completes when one is."""
    hosting = [node.name for node in await cluster.nodes() if node.addresses]
    # The first interface to come up is not one of the called node: that node is not a witness for it (AMB-7).
    others = [host.node for host in await other_nodes(witness, cluster) if host.node in hosting]
    if not others:
        raise NotTestable(f"no other node than {witness.nodes[0].name} hosts an interface")
    last = others[0]
    clients = await connect_each_syntax(witness)
    to_last = await witness.connect(index_of(witness, last))
    address = await witness.address_of(0)

    # The survival check of the harness calls GetInterfaceList, which may not complete now.
    spec.survival_checked = True
    for node in hosting:
        await make_unavailable(cluster, node)
    pending = await wait_until_pending(witness, spec, clients)
    await record_other_calls(witness, spec, clients[0], address)
    await make_unavailable(cluster, last)
    await check_still_pending(witness, spec, pending, f"{last} went down again")

    local = to_last.start(GetInterfaceListRequest())
    await make_available(cluster, last)
    await check_completed(witness, spec, pending, f"an interface of {last} came up")
    record_local(spec, await outcome_of(local, witness.expect.quiet_time))

    spares = witness.expect.spare_addresses
    if spares and cluster.can(Capability.CHANGE_ADDRESS):
        await make_unavailable(cluster, last)
        with contextlib.suppress(NotTestable):
            pending = await wait_until_pending(witness, spec, clients)
            await cluster.add_address(last, spares[0])
            await check_completed(witness, spec, pending, f"{spares[0]} was added to {last}")


async def check_still_pending(
    witness: Witness, spec: Spec, pending: list[PendingCall[GetInterfaceListResponse]], event: str
) -> None:
    """Check that an event which makes no interface AVAILABLE does not complete the pending calls."""
    quiet = witness.expect.quiet_time
    for outcome in await asyncio.gather(*(outcome_of(call, quiet) for call in pending)):
        spec("SWN-3.1.4.1-wait-available").allows(outcome, SILENCE, note=f"the pending call, after {event}")


async def check_completed(
    witness: Witness, spec: Spec, pending: list[PendingCall[GetInterfaceListResponse]], event: str
) -> None:
    """Check that the pending calls complete with a list that has an AVAILABLE interface.

    Raises:
        CaseStopped: a call does not complete with ERROR_SUCCESS.
    """
    deadline = witness.expect.event_deadline
    for outcome in await asyncio.gather(*(outcome_of(call, deadline) for call in pending)):
        states = _states(outcome)
        if not spec("SWN-3.1.4.1-waiting-woken", "SWN-3.1.6.1-wake-interface-list").allows(
            outcome, SUCCESS, note=f"the pending call, after {event}"
        ):
            raise spec.stop()
        spec("SWN-3.1.4.1-wait-available").holds(
            InterfaceState.AVAILABLE in states.values(),
            expected="a list with an AVAILABLE interface",
            observed=show_states(states),
            note=f"response to the pending call, after {event}",
        )


def record_local(spec: Spec, outcome: Outcome) -> None:
    """Record the response of a node that hosts the only AVAILABLE interface itself."""
    result = "pending" if outcome == SILENCE else outcome
    spec.choice("AMB-7", f"only an interface of the called node AVAILABLE: {result}")


def _states(outcome: Outcome) -> dict[str, int]:
    """The state of each address in a response; empty if the response has no list."""
    interface_list = getattr(outcome.response, "interface_list", None)
    return states_of(interface_list.interfaces or ()) if interface_list else {}


async def wait_until_pending(
    witness: Witness, spec: Spec, clients: list[WitnessClient]
) -> list[PendingCall[GetInterfaceListResponse]]:
    """Repeat GetInterfaceList on each connection until no interface is AVAILABLE; the call must stay pending.

    Raises:
        CaseStopped: a call completed although no interface is AVAILABLE.
        NotTestable: an interface stays AVAILABLE, or a node closes its connections with its interface down.
    """
    expect = witness.expect
    loop = asyncio.get_running_loop()
    deadline = loop.time() + expect.event_deadline

    async def call_until_none(client: WitnessClient) -> tuple[PendingCall[GetInterfaceListResponse], Outcome]:
        while True:
            call = client.start(GetInterfaceListRequest())
            outcome = await outcome_of(call, expect.quiet_time)
            if outcome == CLOSED:
                raise NotTestable("a node closes its connections when its interface goes down")
            if InterfaceState.AVAILABLE not in _states(outcome).values():
                return call, outcome
            if loop.time() > deadline:
                raise NotTestable("an interface stays AVAILABLE after all nodes were taken down")

    calls = await asyncio.gather(*map(call_until_none, clients))
    for client, (_, outcome) in zip(clients, calls, strict=True):
        spec("SWN-3.1.4.1-wait-available").holds(
            outcome == SILENCE,
            expected=f"pending while no interface is AVAILABLE (for {expect.quiet_time:g} s)",
            observed=f"{outcome}: {show_states(_states(outcome))}" if outcome == SUCCESS else outcome,
            note=f"{client.syntax}",
        )
        spec.choice("AMB-7", f"no interface AVAILABLE: {'pending' if outcome == SILENCE else 'not pending'}")
    if spec.failed:
        raise spec.stop()
    return [call for call, _ in calls]


async def record_other_calls(witness: Witness, spec: Spec, busy: WitnessClient, address: str) -> None:
    """Record how other calls end while one is pending: on another connection, and on its own if allowed."""
    deadline = witness.expect.reply_deadline
    results = []
    connections = {"another connection": await witness.connect(0)}
    if busy.rpc.core.multiplexed:
        connections["the same connection"] = busy
    for where, client in connections.items():
        registered = await outcome_of(client.start(witness.registration(ip_address=address)), deadline)
        results.append(f"Register on {where}: {registered}")
        if registered == SUCCESS:
            request = UnRegisterRequest(registered.response.context)
            results.append(f"UnRegister: {await outcome_of(client.start(request), deadline)}")
    spec("SWN-3.1.4.1-wait-does-not-block-others").record("; ".join(results))


@case("SWN-3.1.4.1-empty-list", needs=("no-interfaces",), disturbs=True, lasts=30)
async def test_no_interface_at_all(
    witness: Witness, spec: Spec, cluster: Controller, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """With an empty interface list GetInterfaceList returns ERROR_NO_MORE_ITEMS (0x103)."""
    if "no-interfaces" in witness.profile.variants:
        witness = await variant("no-interfaces")
    else:
        await remove_all_addresses(witness, cluster)
    client = await witness.connect()

    reply = await wait_until_empty(witness, client)

    interface_list = getattr(reply.response, "interface_list", None)
    shown = "null" if interface_list is None else f"{len(interface_list.interfaces or ())} elements"
    spec("SWN-3.1.4.1-empty-list").allows(
        reply,
        returns(Win32.ERROR_NO_MORE_ITEMS),
        note=f"InterfaceList: {shown}",
    )
    spec.choice("AMB-8", f"{reply}, InterfaceList {'null' if interface_list is None else 'not null'}")


async def remove_all_addresses(witness: Witness, cluster: Controller) -> None:
    """Remove every witness address from every node.

    Raises:
        NotTestable: the profile reaches a node by one of these addresses.
    """
    own = {node.address for node in witness.nodes}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 2 * witness.expect.event_deadline
    while hosts := await hosted_addresses(cluster):
        if own.intersection(address for _, address in hosts):
            raise NotTestable("the profile reaches the nodes by witness addresses, which the case removes")
        # Remove all at once, and repeat: another node may take over an address that one node lost.
        await asyncio.gather(*(cluster.remove_address(node, address) for node, address in hosts))
        while await hosted_addresses(cluster) == hosts:
            if loop.time() > deadline:
                raise NotTestable("the nodes still host addresses after all were removed")
            await asyncio.sleep(_POLL_S)


async def hosted_addresses(cluster: Controller) -> list[tuple[str, str]]:
    """Each address with the name of the node that hosts it."""
    return [(node.name, address) for node in await cluster.nodes() for address in node.addresses]


async def wait_until_empty(witness: Witness, client: WitnessClient) -> Outcome:
    """Repeat GetInterfaceList until it lists nothing, up to the event deadline; returns the last outcome.

    A call may stay pending while the last interfaces are not AVAILABLE; then another one follows.
    """
    expect = witness.expect
    loop = asyncio.get_running_loop()
    deadline = loop.time() + expect.event_deadline
    while True:
        call = (await witness.idle_connection(client)).start(GetInterfaceListRequest())
        outcome = await outcome_of(call, expect.reply_deadline)
        if (outcome != SILENCE and not _states(outcome)) or loop.time() > deadline:
            return outcome
