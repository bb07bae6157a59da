"""WITNESS_INTERFACE_LIST and WITNESS_INTERFACE_INFO, octet by octet (MS-SWN 2.2.2.5, 2.2.2.6)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from swn_torture.casekit import SUCCESS, Outcome, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.casekit.protocol import (
    GROUP_NAME_UNITS,
    GetInterfaceListRequest,
    InterfaceFlags,
    InterfaceState,
    ProtocolVersion,
    Win32,
)
from swn_torture.casekit.raw.interface_list import ELEMENT_SIZE, NAME_SIZE, RawInterfaceList
from swn_torture.casekit.raw.notification import Unreadable
from swn_torture.casekit.shown import quoted
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.steps.interface_list import ANY_VERSION
from swn_torture.casekit.transport import RpcError
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

VERSIONS = (*map(int, ProtocolVersion), ANY_VERSION)

_DEFINED_FLAGS = InterfaceFlags.IPV4 | InterfaceFlags.IPV6 | InterfaceFlags.WITNESS


async def raw_list(witness: Witness, spec: Spec, *ids: str) -> RawInterfaceList:
    """The interface list of the first node, read from the octets of the response.

    Args:
        witness: the target.
        spec: the checks of the case.
        ids: the rules that fail if there is no readable list, or if it is empty.

    Raises:
        CaseStopped: there is no readable list, or it is empty.
    """
    client = await witness.connect()
    call = client.start(GetInterfaceListRequest())
    outcome = await outcome_of(call, witness.expect.reply_deadline)
    response = call.call.response_meta
    expected = f"{returns(Win32.ERROR_SUCCESS)} with at least one interface"
    if response is None or (outcome.blame is not None and outcome.blame.of_transport):
        raise spec.precondition_failed(
            "SWN-3.1.4.1-returns-success", expected=expected, observed=outcome, note="GetInterfaceList"
        )
    try:
        interfaces = RawInterfaceList.read(response.stub, witness.syntax, response.byte_order)
    except Unreadable as unreadable:
        problem = str(unreadable)
    else:
        if interfaces.max_count:
            return interfaces
        problem = f"{outcome}, {'a null pointer' if interfaces.max_count is None else 'no element'}"
    spec(*ids).holds(condition=False, expected=expected, observed=problem)
    raise spec.stop()


@case(
    "SWN-2.2.2.6-array",
    "SWN-2.2.2.6-count",
    "SWN-2.2-dtyp-types",
    "SWN-2.2.2.5-groupname-fixed-260",
    "RPC-NDR-fixed-array",
    "RPC-NDR-referent-unique",
    "SWN-2.2.2-others-ndr",
    syntaxes="both",
)
async def test_layout(witness: Witness, spec: Spec) -> None:
    """The interface list is two pointers, two counts and 552 octets for each interface."""
    interfaces = await raw_list(witness, spec, "SWN-2.2.2.6-array")

    spec("RPC-NDR-referent-unique").holds(
        bool(interfaces.referent and interfaces.array_referent),
        expected="InterfaceList and InterfaceInfo with referents other than 0, because data follow",
        observed=f"{interfaces.referent:#x} and {interfaces.array_referent:#x}",
    )
    spec("SWN-2.2.2.6-count").holds(
        interfaces.number == interfaces.max_count == len(interfaces.elements),
        expected="NumberOfInterfaces is the max_count of the array and the number of its elements",
        observed=f"NumberOfInterfaces {interfaces.number}, max_count {interfaces.max_count}, "
        f"octets for {len(interfaces.elements)} elements",
    )
    if interfaces.number != interfaces.max_count:
        raise spec.stop()  # where the elements are is not known
    size = ELEMENT_SIZE * (interfaces.max_count or 0)
    spec("SWN-2.2.2.6-array", "SWN-2.2-dtyp-types", "SWN-2.2.2-others-ndr").holds(
        len(interfaces.area) == size,
        expected=f"{size} octets, 552 for each of {interfaces.max_count} elements, then a return value",
        observed=f"{len(interfaces.area)} octets, then {interfaces.result:#x}",
    )
    for number, element in enumerate(interfaces.elements):
        # A count before the name would be read as the units 260 and 0, or as an unprintable character.
        spec("SWN-2.2.2.5-groupname-fixed-260", "RPC-NDR-fixed-array").holds(
            element.text.isprintable()
            and bool(element.text)
            and element.name[:2] != (GROUP_NAME_UNITS, 0)
            and element.version in VERSIONS,
            expected=f"characters from the first octet on, and Version after {NAME_SIZE} octets",
            observed=f"{element.octets[:16].hex(' ')}; after {NAME_SIZE} octets: "
            f"{element.octets[NAME_SIZE : NAME_SIZE + 4].hex(' ')}",
            note=f"element {number}",
        )


@case("SWN-2.2.2.5-groupname-terminated", "SWN-2.2.2.5-groupname-nonempty", syntaxes="both")
async def test_group_name(witness: Witness, spec: Spec) -> None:
    """Each InterfaceGroupName is not empty and is terminated within its 260 UTF-16 units."""
    interfaces = await raw_list(witness, spec, "SWN-2.2.2.5-groupname-terminated")

    for number, element in enumerate(interfaces.elements):
        spec("SWN-2.2.2.5-groupname-terminated").holds(
            0 in element.name,
            expected="a null character among the 260 units",
            observed=f"{quoted(element.text)}, {len(element.text)} characters before the first null character"
            if 0 in element.name
            else f"no null character: {element.octets[:32].hex(' ')} ...",
            note=f"element {number}",
        )
        spec("SWN-2.2.2.5-groupname-nonempty").holds(
            element.name[0] != 0,
            expected="a first character other than null",
            observed=quoted(element.text),
            note=f"element {number}",
        )


@case("SWN-2.2.2.5-version", "SWN-2.2.2.5-flags-defined", "SWN-2.2.2.5-state-values", syntaxes="both")
async def test_numbers(witness: Witness, spec: Spec) -> None:
    """Version, State and Flags of each interface have defined values."""
    interfaces = await raw_list(witness, spec, "SWN-2.2.2.5-version")

    for number, element in enumerate(interfaces.elements):
        note = f"element {number}: {element}"
        spec("SWN-2.2.2.5-version").equal(
            element.version, *VERSIONS, show=lambda value: f"0x{value:08X}", note=note
        )
        spec("SWN-2.2.2.5-state-values").equal(
            element.state, *map(int, InterfaceState), show=lambda value: f"0x{value:04X}", note=note
        )
        spec("SWN-2.2.2.5-flags-defined").holds(
            not element.flags & ~int(_DEFINED_FLAGS),
            expected="no bits other than 0x1 (IPv4), 0x2 (IPv6) and 0x4 (INTERFACE_WITNESS)",
            observed=f"0x{element.flags:08X}",
            note=note,
        )
    versions = sorted({element.version for element in interfaces.elements})
    spec.choice("AMB-9", f"Version {', '.join(f'0x{version:08X}' for version in versions)}")


@case("SWN-2.2.2.5-ipv4-if-flag", "SWN-2.2.2.5-ipv6-if-flag", syntaxes="both")
async def test_addresses(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An address field with its flag set has an address of the cluster, in network order."""
    interfaces = await raw_list(witness, spec, "SWN-2.2.2.5-ipv4-if-flag")
    hosted: set[IPv4Address | IPv6Address] | None = None
    if cluster.can(Capability.LIST_NODES):
        hosted = {ip_address(address) for node in await cluster.nodes() for address in node.addresses}

    for family, flag, rule in (
        (IPv4Address, InterfaceFlags.IPV4, "SWN-2.2.2.5-ipv4-if-flag"),
        (IPv6Address, InterfaceFlags.IPV6, "SWN-2.2.2.5-ipv6-if-flag"),
    ):
        named = sorted(map(str, (a for a in hosted or () if isinstance(a, family))))
        marked = [element for element in interfaces.elements if element.flags & flag]
        for element in marked:
            (address,) = (a for a in element.addresses if isinstance(a, family))
            spec(rule).holds(
                int(address) != 0 and (hosted is None or address in hosted),
                expected=f"an address of the cluster: {', '.join(named)}" if hosted else "an address",
                observed=f"{address} ({address.packed.hex(' ')})",
                note=f"Flags 0x{element.flags:X}",
            )
        if not marked:
            spec(rule).record(f"no interface has Flags {flag:#x}")


@case("SWN-2.2.2.5-witness-flag-meaning", needs=("two-nodes", "list-nodes"))
async def test_witness_interfaces(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client can bind and register at each AVAILABLE interface with INTERFACE_WITNESS set."""
    hosts = {ip_address(a): node.name.casefold() for node in await cluster.nodes() for a in node.addresses}
    indexes = {node.name.casefold(): index for index, node in enumerate(witness.nodes)}
    marked = [
        address
        for interface in await witness.interfaces(0)
        if interface.state == InterfaceState.AVAILABLE and interface.flags & InterfaceFlags.WITNESS
        for address in addresses_of(interface)
    ]
    if not marked:
        raise NotTestable("no AVAILABLE interface is marked INTERFACE_WITNESS")
    rule = spec("SWN-2.2.2.5-witness-flag-meaning")
    reached = False
    for address in marked:
        if address not in hosts:
            rule.holds(
                False,  # noqa: FBT003 - no node to register with
                expected=f"an address of a node: {', '.join(map(str, hosts))}",
                observed=address,
            )
            reached = True
            continue
        if hosts[address] not in indexes:
            rule.record(f"{address} of {hosts[address]}, which the profile does not list")
            continue
        try:
            outcome = await _register_at(witness, str(address), indexes[hosts[address]])
        except NotTestable as reason:
            rule.record(reason)
        else:
            rule.allows(outcome, SUCCESS, note=f"Register at {address}")
            reached = True
    if not reached:
        raise NotTestable(
            "this machine reaches no interface with INTERFACE_WITNESS by the nodes of the profile"
        )


async def _register_at(witness: Witness, address: str, node: int) -> Outcome:
    """Connect to an address of a node and call Register; returns how Register, or the connect, ended.

    Raises:
        NotTestable: this machine cannot reach the address.
    """
    try:
        client = await witness.connect_at(address, node)
    except RpcError as problem:
        return outcome_of_error(problem)
    request = witness.registration(ip_address=await witness.address_of(node))
    outcome = await outcome_of(client.start(request), witness.expect.reply_deadline)
    await client.rpc.close()
    return outcome
