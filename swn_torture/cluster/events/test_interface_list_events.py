"""GetInterfaceList when there is little to list: no interface AVAILABLE, or none at all (MS-SWN 3.1.4.1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.casekit import CLOSED, SILENCE, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import GetInterfaceListRequest, InterfaceState, UnRegisterRequest, Win32
from swn_torture.casekit.steps.host_nodes import bring_up, host_nodes, index_of, take_down
from swn_torture.casekit.steps.interface_list import show_states, states_of
from swn_torture.casekit.steps.listeners import SUCCESS, either_syntax
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import GetInterfaceListResponse, PendingCall, WitnessClient
    from swn_torture.casekit.witness import Witness


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
    """With no interface AVAILABLE GetInterfaceList is held, and answered when one is again."""
    hosting = [host for host in await host_nodes(witness, cluster) if host.interfaces]
    # The one that comes back is no interface of the node that is asked: that it is no witness for (AMB-7).
    last = next(h for h in hosting if h.node.casefold() != witness.nodes[0].name.casefold())
    clients = await either_syntax(witness)
    there = await witness.connect(index_of(witness, last.node))
    address = await witness.address_of(0)

    # Whoever looks for signs of life asks for the interface list, which nobody is to be told now.
    spec.survival_checked = True
    for host in hosting:
        await take_down(cluster, host.node)
    held = await until_none_available(witness, spec, clients)
    await record_others(witness, spec, clients[0], address)
    await take_down(cluster, last.node)
    await check_still_held(witness, spec, held, f"{last.node} went down once more")

    local = there.start(GetInterfaceListRequest())
    await bring_up(cluster, last.node)
    await check_woken(witness, spec, held, f"an interface of {last.node} came up")
    record_local(spec, await outcome_of(local, witness.expect.quiet_time))

    spares = witness.expect.spare_addresses
    if spares and cluster.can(Capability.CHANGE_ADDRESS):
        await take_down(cluster, last.node)
        held = await until_none_available(witness, spec, clients)
        await cluster.add_address(last.node, spares[0])
        await check_woken(witness, spec, held, f"{spares[0]} came to {last.node}")


async def check_still_held(
    witness: Witness, spec: Spec, held: list[PendingCall[GetInterfaceListResponse]], event: str
) -> None:
    """An event that makes nothing AVAILABLE does not end the wait."""
    quiet = witness.expect.quiet_time
    for outcome in await asyncio.gather(*(outcome_of(call, quiet) for call in held)):
        spec("SWN-3.1.4.1-wait-available").allows(outcome, SILENCE, note=f"the held call, after {event}")


async def check_woken(
    witness: Witness, spec: Spec, held: list[PendingCall[GetInterfaceListResponse]], event: str
) -> None:
    """The held calls are answered with a list in which something is AVAILABLE.

    Raises:
        Stop: they are not answered.
    """
    deadline = witness.expect.event_deadline
    for outcome in await asyncio.gather(*(outcome_of(call, deadline) for call in held)):
        states = _states(outcome)
        if not spec("SWN-3.1.4.1-waiting-woken", "SWN-3.1.6.1-wake-interface-list").allows(
            outcome, SUCCESS, note=f"the held call, after {event}"
        ):
            raise spec.stop()
        spec("SWN-3.1.4.1-wait-available").holds(
            InterfaceState.AVAILABLE in states.values(),
            expected="a list with an AVAILABLE interface",
            observed=show_states(states),
            note=f"what the held call was answered with, after {event}",
        )


def record_local(spec: Spec, outcome: Outcome) -> None:
    """What a node answers that has the only AVAILABLE interface itself."""
    held = outcome == SILENCE
    spec.choice("AMB-7", f"only the asked node's interface AVAILABLE: {'held' if held else outcome}")


def _states(outcome: Outcome) -> dict[str, int]:
    """The states in an answer; none where there is no list in it."""
    notified = getattr(outcome.response, "interface_list", None)
    return states_of(notified.interfaces or ()) if notified else {}


async def until_none_available(
    witness: Witness, spec: Spec, clients: list[WitnessClient]
) -> list[PendingCall[GetInterfaceListResponse]]:
    """Ask on each connection until the call is held, which it has to be once nothing is AVAILABLE.

    Raises:
        Stop: a call was answered by a list in which nothing is AVAILABLE.
        Unsuitable: something stays AVAILABLE whatever the controller does.
    """
    expect = witness.expect
    loop = asyncio.get_running_loop()
    deadline = loop.time() + expect.event_deadline

    async def hold(client: WitnessClient) -> tuple[PendingCall[GetInterfaceListResponse], Outcome]:
        while True:
            call = client.start(GetInterfaceListRequest())
            outcome = await outcome_of(call, expect.quiet_time)
            if outcome == CLOSED:
                raise NotTestable("the witness service of a node goes away with its interface")
            if InterfaceState.AVAILABLE not in _states(outcome).values():
                return call, outcome
            if loop.time() > deadline:
                raise NotTestable("an interface stays AVAILABLE while all nodes are to be without one")

    found = await asyncio.gather(*map(hold, clients))
    for client, (_, outcome) in zip(clients, found, strict=True):
        spec("SWN-3.1.4.1-wait-available").holds(
            outcome == SILENCE,
            expected=f"no answer while no interface is AVAILABLE ({expect.quiet_time:g} s watched)",
            observed=f"{outcome}: {show_states(_states(outcome))}" if outcome == SUCCESS else outcome,
            note=f"{client.syntax}",
        )
        spec.choice("AMB-7", f"no interface AVAILABLE: {'held' if outcome == SILENCE else 'not held'}")
    if spec.failed:
        raise spec.stop()
    return [call for call, _ in found]


async def record_others(witness: Witness, spec: Spec, busy: WitnessClient, address: str) -> None:
    """Whether others are served while a call is held: on its own connection, and on another."""
    deadline = witness.expect.reply_deadline
    notified = []
    for where, client in (("another connection", await witness.connect(0)), ("its connection", busy)):
        registered = await outcome_of(client.start(witness.registration(ip_address=address)), deadline)
        notified.append(f"Register on {where}: {registered}")
        if registered == SUCCESS:
            request = UnRegisterRequest(registered.response.context)
            notified.append(f"UnRegister: {await outcome_of(client.start(request), deadline)}")
    spec("SWN-3.1.4.1-wait-does-not-block-others").record("; ".join(notified))


@case("SWN-3.1.4.1-empty-list", needs=("no-interfaces",), disturbs=True, lasts=30)
async def test_no_interface_at_all(
    witness: Witness, spec: Spec, cluster: Controller, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """With no interface in the list GetInterfaceList returns ERROR_NO_MORE_ITEMS."""
    if "no-interfaces" in witness.profile.variants:
        witness = await variant("no-interfaces")
    else:
        await remove_all(witness, cluster)
    client = await witness.connect()

    reply = await until_empty(witness, client)

    notified = getattr(reply.response, "interface_list", None)
    spec("SWN-3.1.4.1-empty-list").allows(
        reply,
        returns(Win32.ERROR_NO_MORE_ITEMS),
        note=f"InterfaceList: {'null' if notified is None else f'{len(notified.interfaces or ())} elements'}",
    )
    spec.choice("AMB-8", f"{reply}, InterfaceList {'null' if notified is None else 'not null'}")


async def remove_all(witness: Witness, cluster: Controller) -> None:
    """Take every witness address from every node.

    Raises:
        Unsuitable: then nobody could reach the nodes any more.
    """
    own = {node.address for node in witness.nodes}
    while hosts := [node for node in await cluster.nodes() if node.addresses]:
        if own.intersection(a for node in hosts for a in node.addresses):
            raise NotTestable("the nodes are reached by witness addresses, which would be gone")
        # All at once; another node may take each of them over, until none of them knows it any more.
        orders = [cluster.remove_address(n.name, address) for n in hosts for address in n.addresses]
        await asyncio.gather(*orders)


async def until_empty(witness: Witness, client: WitnessClient) -> Outcome:
    """Ask until nothing is listed any more, as long as an event may take; how the last call ended."""
    expect = witness.expect
    loop = asyncio.get_running_loop()
    deadline = loop.time() + expect.event_deadline
    while True:
        outcome = await outcome_of(client.start(GetInterfaceListRequest()), expect.reply_deadline)
        if not _states(outcome) or loop.time() > deadline:
            return outcome
