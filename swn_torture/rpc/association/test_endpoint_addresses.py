"""The addresses in the towers of the endpoint mapper (MS-RPCE 3.1.3.5.3, 3.3.3.3.1.4; C706 Appendix L).

Each endpoint mapper is called at each address of its node that answers, IPv4 and IPv6. It knows only the
interfaces of its own node, so that no tower names another node. A tower has no floor for IPv6, and both ends
ignore the address in a tower: 0.0.0.0, and an address that the suite does not know, are recorded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SUCCESS, Outcome, case, outcome_of
from swn_torture.casekit.endpoint_mapper import (
    EPM,
    NIL,
    NULL_SEARCH,
    EpmOpnum,
    EptStatus,
    FloorProtocol,
    InquiryType,
    LookupRequest,
    LookupResponse,
    MapRequest,
    MapResponse,
    Tower,
)
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.casekit.protocol import (
    WITNESS,
    GetInterfaceListRequest,
    InterfaceFlags,
    InterfaceInfo,
    WitnessClient,
)
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.transport import RpcError, connect_rpc
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import RpcClient
    from swn_torture.casekit.witness import Witness

Address = IPv4Address | IPv6Address

_TCP = (FloorProtocol.NCACN, FloorProtocol.TCP, FloorProtocol.IP)
_UNSPECIFIED = IPv4Address(0)
#: Seconds for a connection to an address that the profile does not name: it need not be reachable.
_CONNECT_S = 2.0
#: The most replies of one ept_lookup; a map has fewer elements of one interface.
_PAGES = 20


# The calls
# ----------------------------------------------------------------------------------------------------------


async def _ept_map(rpc: RpcClient) -> list[bytes]:
    """The towers that ept_map returns for the witness interface."""
    request = MapRequest(Tower.of_tcp(WITNESS).pack(), NIL)
    return list(MapResponse.unpack(await rpc.call(EpmOpnum.MAP, request.pack()).reply()).towers)


async def _ept_lookup(rpc: RpcClient) -> list[bytes]:
    """The towers that ept_lookup returns for the witness interface."""
    found: list[bytes] = []
    handle = NULL_SEARCH
    for _ in range(_PAGES):
        request = LookupRequest(InquiryType.MATCH_BY_INTERFACE, interface=WITNESS, handle=handle)
        page = LookupResponse.unpack(await rpc.call(EpmOpnum.LOOKUP, request.pack()).reply())
        found += [entry.tower for entry in page.entries if entry.tower is not None]
        handle = page.handle
        if handle == NULL_SEARCH or page.status != EptStatus.OK:
            break
    return found


CALLS: dict[str, Callable[[RpcClient], Awaitable[list[bytes]]]] = {
    "ept_map": _ept_map,
    "ept_lookup": _ept_lookup,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint mapper of a node returns at one address of the node.

    Attributes:
        address: the address.
        towers: the TCP towers of the witness interface; none if the call was not served.
        problem: why the call was not served; None if it was.
    """

    address: Address
    towers: tuple[Tower, ...] = ()
    problem: Outcome | None = None


async def _ask(witness: Witness, index: int, address: Address, call: str) -> Answer:
    node = witness.nodes[index]
    timeout = witness.expect.reply_deadline if str(address) == node.address else _CONNECT_S
    try:
        rpc = await connect_rpc(
            str(address), node.endpoint_mapper_port, timeout=timeout, transcript=witness.transcript
        )
        async with rpc:
            await rpc.bind(EPM)
            towers = [Tower.unpack(octets) for octets in await CALLS[call](rpc)]
            return Answer(
                address,
                tuple(t for t in towers if t.protocol_sequence == _TCP and t.interface.serves(WITNESS)),
            )
    except RpcError as error:
        return Answer(address, problem=_failure(error))


def _failure(error: RpcError) -> Outcome:
    """The outcome of a call, also of one that did not get as far as a call."""
    try:
        return outcome_of_error(error)
    except RpcError:
        return Outcome("pdu", detail=str(error))


# The nodes
# ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Place:
    """A node, and which addresses are its own.

    Attributes:
        index: its index in the profile.
        own: its address in the profile, and those in the list that it returns as its own.
        elsewhere: the addresses of the other nodes, from the profile and from that list.
    """

    index: int
    own: set[Address]
    elsewhere: set[Address] = field(default_factory=set)

    def foreign(self, others: list[Place]) -> set[Address]:
        """The addresses of another node.

        It has them in the profile or in its list, and they are not this node's in the list of this node.
        """
        listed: set[Address] = set().union(*(other.own & self.elsewhere for other in others))
        return listed - self.own


async def _place(witness: Witness, index: int) -> Place:
    """A node with the addresses of its list; with that of the profile only if it returns no list."""
    address = ip_address(witness.nodes[index].address)
    place = Place(index, {address})
    try:
        client = await witness.connect(index)
        outcome = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)
        await client.rpc.close()
    except (RpcError, NotTestable):
        return place
    listed: tuple[InterfaceInfo, ...] = ()
    if outcome == SUCCESS and outcome.response.interface_list is not None:
        listed = tuple(outcome.response.interface_list.interfaces or ())
    for interface in listed:
        # INTERFACE_WITNESS: the address is not on the node that returns the list (MS-SWN 3.1.4.1).
        known = place.elsewhere if interface.flags & InterfaceFlags.WITNESS else place.own
        known.update(a for a in addresses_of(interface) if not a.is_link_local)
    place.elsewhere -= place.own
    return place


async def _places(witness: Witness) -> list[Place]:
    places = [await _place(witness, index) for index in range(len(witness.nodes))]
    by_profile = {ip_address(node.address) for node in witness.nodes}
    for place in places:
        place.elsewhere |= by_profile - place.own
    return places


# The checks
# ----------------------------------------------------------------------------------------------------------


async def _check_node(
    witness: Witness, spec: Spec, place: Place, others: list[Place], call: str
) -> list[Answer]:
    """Call the endpoint mapper of a node at each of its addresses, and check the towers.

    Returns:
        The answers of the calls that were served.
    """
    node, foreign = witness.nodes[place.index], place.foreign(others)
    first = ip_address(node.address)
    addresses = sorted(place.own, key=lambda address: (address != first, str(address)))
    answers = await asyncio.gather(*(_ask(witness, place.index, address, call) for address in addresses))
    working: set[int] = set()
    for answer in answers:
        note = f"{call} at {answer.address}, node {node.name}"
        if answer.problem is not None:
            if answer.problem.blame is not None:
                raise spec.precondition_failed(
                    "RPC-EPM-lookup", expected="a readable response", observed=answer.problem, note=note
                )
            spec("RPC-EPM-own-address").record(answer.problem, note=note)
            continue
        named = {tower.address for tower in answer.towers if tower.address is not None}
        spec("RPC-EPM-own-address").holds(
            not named & foreign,
            expected=f"no address of another node ({', '.join(sorted(map(str, foreign))) or 'none known'})",
            observed=", ".join(sorted(map(str, named))) or "no tower",
            note=note,
        )
        for unusual in sorted(named - foreign - {answer.address}):
            known = (
                "unspecified" if unusual == _UNSPECIFIED else "its own" if unusual in place.own else "unknown"
            )
            spec("RPC-EPM-own-address").record(f"address {unusual} ({known})", note=note)
        if answer.address == first or working:
            working |= await _check_ports(witness, spec, answer, working, note)
    return [answer for answer in answers if answer.problem is None]


async def _check_ports(
    witness: Witness, spec: Spec, answer: Answer, working: set[int], note: str
) -> set[int]:
    """Check that a port of the towers is that of the witness service; returns the ports that are.

    One port of several is enough: the map may also have endpoints of processes that have ended (C706 Appendix
    O). A port that works at another address of the node is not tried again.
    """
    ports = {tower.port for tower in answer.towers if tower.port}
    if not ports or ports & working:
        return working
    replies = {port: await _get_interface_list(witness, answer.address, port) for port in sorted(ports)}
    answering = {port for port, reply in replies.items() if reply.kind not in {"closed", "silence"}}
    spec("RPC-EPM-each-node").holds(
        bool(answering),
        expected="a TCP port at which GetInterfaceList is answered",
        observed="; ".join(f"port {port}: {reply}" for port, reply in replies.items()),
        note=note,
    )
    return answering


async def _get_interface_list(witness: Witness, address: Address, port: int) -> Outcome:
    """Bind to the witness interface at an endpoint and call GetInterfaceList."""
    try:
        rpc = await connect_rpc(str(address), port, transcript=witness.transcript)
        async with rpc:
            await rpc.bind(WITNESS, **witness.logon())
            return await outcome_of(WitnessClient(rpc).start(GetInterfaceListRequest()))
    except RpcError as error:
        return _failure(error)


async def _check_nodes(witness: Witness, spec: Spec, call: str) -> list[Answer]:
    """Check the endpoint mappers of all nodes.

    Raises:
        NotTestable: none of them serves the call.
    """
    places = await _places(witness)
    served: list[Answer] = []
    for place in places:
        others = [other for other in places if other is not place]
        served += await _check_node(witness, spec, place, others, call)
    if not any(answer.towers for answer in served):
        raise NotTestable(f"no endpoint mapper returns a tower of the witness interface by {call}")
    return served


@case("RPC-EPM-own-address", "RPC-EPM-each-node", needs=("two-nodes",))
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.replace("_", "-"))
async def test_address_in_towers(witness: Witness, spec: Spec, call: str) -> None:
    """ept_map or ept_lookup at each address of each node returns no tower of another node."""
    await _check_nodes(witness, spec, call)


@case("RPC-EPM-own-address", "RPC-EPM-each-node", needs=("variant:ipv6-management",))
async def test_ipv4_and_ipv6(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """ept_map and ept_lookup at an IPv4 and an IPv6 address of a node return towers of this node."""
    both = await variant("ipv6-management")
    for call in CALLS:
        try:
            served = await _check_nodes(both, spec, call)
        except NotTestable as reason:
            if call == "ept_map":
                raise
            spec("RPC-EPM-own-address").record(reason, note=call)
            continue
        if {answer.address.version for answer in served if answer.towers} != {4, 6}:
            raise NotTestable(f"{call} is not served at an IPv4 and an IPv6 address")
