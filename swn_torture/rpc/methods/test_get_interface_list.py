"""WitnessrGetInterfaceList, opnum 0: the list and the cluster it describes (MS-SWN 3.1.4.1)."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, TypeAlias

from swn_torture.casekit import SUCCESS, case, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import (
    NDR64,
    GetInterfaceListRequest,
    InterfaceFlags,
    InterfaceState,
    ProtocolVersion,
)
from swn_torture.casekit.raw.interface_list import ELEMENT_SIZE
from swn_torture.casekit.shown import quoted, shown
from swn_torture.casekit.steps.host_nodes import addresses_of, make_available, make_unavailable
from swn_torture.casekit.steps.interface_list import ANY_VERSION, complete_lists, is_complete
from swn_torture.casekit.steps.registering import version_1_server
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import InterfaceInfo, WitnessClient
    from swn_torture.casekit.witness import Witness


NETBIOS_LENGTH = 15

#: Seconds between two GetInterfaceList calls while the list changes.
POLL_S = 0.02


def show(addresses: Any) -> str:
    """Addresses as text for a report, sorted."""
    return ", ".join(sorted(map(str, addresses))) or "none"


async def nonempty_list(witness: Witness) -> tuple[InterfaceInfo, ...]:
    """The interface list of the first node.

    Raises:
        NotTestable: the list is empty.
    """
    interfaces = await witness.interfaces()
    if not interfaces:
        raise NotTestable("the interface list is empty")
    return interfaces


@case(
    "SWN-3.1.4.1-returns-success",
    "SWN-3.1.4.1-success-code",
    "SWN-3.1.4.1-out-param",
    "SWN-3.1.4.1-count",
    syntaxes="both",
)
async def test_list_is_returned(witness: Witness, spec: Spec) -> None:
    """GetInterfaceList on a healthy cluster returns ERROR_SUCCESS and at least one interface."""
    client = await witness.connect()

    call = client.start(GetInterfaceListRequest())
    reply = await outcome_of(call, witness.expect.reply_deadline)

    if reply.kind != "result" and reply.blame is None:  # without a return value one rule is violated
        spec("SWN-3.1.4.1-returns-success").holds(
            reply == SUCCESS, expected="ERROR_SUCCESS (0x0) with at least one interface", observed=str(reply)
        )
        raise spec.stop()
    spec("SWN-3.1.4.1-success-code").allows(reply, SUCCESS)
    interface_list = getattr(reply.response, "interface_list", None)
    interfaces = interface_list.interfaces if interface_list else None
    if reply.blame is None:
        spec("SWN-3.1.4.1-returns-success").holds(
            reply == SUCCESS and bool(interfaces),
            expected="ERROR_SUCCESS (0x0) with at least one interface",
            observed=f"{reply}, {'no list' if interfaces is None else f'{len(interfaces)} interfaces'}",
        )
        spec("SWN-3.1.4.1-out-param").holds(
            reply == SUCCESS and interfaces is not None,
            expected="InterfaceList and its InterfaceInfo are not null pointers",
            observed=f"{reply}, {'a null pointer' if interfaces is None else 'neither is null'}",
        )
    response = call.call.response_meta
    if response is None:
        raise spec.stop()
    wide = 8 if witness.syntax == NDR64 else 4
    number = int.from_bytes(response.stub[wide : wide + 4], response.byte_order)
    max_count = int.from_bytes(response.stub[3 * wide : 4 * wide], response.byte_order)
    elements = (len(response.stub) - 4 * wide - 4) // ELEMENT_SIZE
    spec("SWN-3.1.4.1-count").holds(
        number == max_count == elements,
        expected="NumberOfInterfaces is the number of elements in the array",
        observed=f"NumberOfInterfaces {number}, array of {max_count}, octets for {elements} elements",
    )


@case("SWN-3.1.4.1-no-registration-needed", "SWN-3.1.4.1-error-codes")
async def test_list_needs_no_registration(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """GetInterfaceList succeeds three times without a registration, and creates none."""
    # Other clients may register with a live cluster, so only the embedded cluster's list is compared.
    compared = witness.profile.embedded is not None and cluster.can(Capability.LIST_REGISTRATIONS)
    before = await cluster.registrations() if compared else ()
    client = await witness.connect()

    replies = [await outcome_of(client.start(GetInterfaceListRequest())) for _ in range(3)]

    for number, reply in enumerate(replies, 1):
        spec("SWN-3.1.4.1-no-registration-needed").allows(reply, SUCCESS, note=f"call {number} of 3")
    spec("SWN-3.1.4.1-error-codes").record(f"no failure in {len(replies)} calls: {replies[-1]}")
    if compared:
        spec("SWN-3.1.4.1-no-registration-needed").equal(
            len(await cluster.registrations()), len(before), show=lambda n: f"{n} registrations"
        )


@case("SWN-3.1.4.1-version", "SWN-3.1.1.1-service-version-listed")
async def test_announced_version(witness: Witness, spec: Spec) -> None:
    """All nodes list one Version for all interfaces: 0x00010001, 0x00020000 or 0xFFFFFFFF."""
    lists = [await witness.interfaces(node) for node in range(len(witness.nodes))]

    versions = {interface.version for interfaces in lists for interface in interfaces}
    shown = ", ".join(f"0x{version:08X}" for version in sorted(versions))
    spec("SWN-3.1.4.1-version", "SWN-3.1.1.1-service-version-listed").holds(
        len(versions) == 1 and versions <= {*ProtocolVersion, ANY_VERSION},
        expected="0x00010001 or 0x00020000 for every interface (Windows: 0xFFFFFFFF, AMB-9)",
        observed=shown,
    )
    spec.choice("AMB-9", f"Version {shown}")


@case("SWN-3.1.4.1-version", "SWN-3.1.1.1-service-version-listed", needs=("version-1",))
async def test_version_announced_by_an_old_server(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A version 1 server lists Version 0x00010001, or 0xFFFFFFFF, for every interface."""
    old = await version_1_server(witness, variant)

    versions = {interface.version for interface in await old.interfaces()}

    spec("SWN-3.1.4.1-version", "SWN-3.1.1.1-service-version-listed").holds(
        versions in ({ProtocolVersion.V1}, {ANY_VERSION}),
        expected="0x00010001 for every interface (later Windows: 0xFFFFFFFF, AMB-9)",
        observed=", ".join(f"0x{version:08X}" for version in sorted(versions)),
    )


@case("SWN-3.1.1.2-groupname-netbios")
async def test_group_names_have_the_form_of_netbios_names(witness: Witness, spec: Spec) -> None:
    """Each InterfaceGroupName has 1 to 15 characters, as a NetBIOS name has."""
    for name in sorted({interface.group_name for interface in await nonempty_list(witness)}):
        spec("SWN-3.1.1.2-groupname-netbios").holds(
            1 <= len(name) <= NETBIOS_LENGTH,
            expected="a name of 1 to 15 characters",
            observed=f"{quoted(name)}, {len(name)} characters{', a dot among them' if '.' in name else ''}",
        )


@case("SWN-3.1.4.1-groupname", needs=("two-nodes", "list-nodes"))
async def test_group_names_are_those_of_the_cluster(
    witness: Witness, spec: Spec, cluster: Controller
) -> None:
    """InterfaceGroupName is the hosting node's name, or the cluster's name for all interfaces."""
    hosts = {ip_address(a): node.name for node in await cluster.nodes() for a in node.addresses}
    interfaces = await nonempty_list(witness)

    names = {interface.group_name.casefold() for interface in interfaces}
    one_name = {name.partition(".")[0] for name in names} == {witness.net_name.partition(".")[0].casefold()}
    for interface in interfaces:
        owners = {hosts[address] for address in addresses_of(interface) if address in hosts}
        spec("SWN-3.1.4.1-groupname").holds(
            one_name or {interface.group_name.casefold()} == {owner.casefold() for owner in owners},
            expected=[
                f"the name of the hosting node: {', '.join(sorted(owners)) or 'unknown'}",
                f"the cluster's name for all interfaces: {witness.net_name}",
            ],
            observed=f"{interface.group_name} for {show(addresses_of(interface))}",
        )
    dots = " with dots" if any("." in name for name in names) else ""
    spec.choice("AMB-10", f"one name for the cluster{dots}" if one_name else f"a name for each node{dots}")


Addresses: TypeAlias = "set[IPv4Address | IPv6Address]"


async def hosted_addresses(cluster: Controller) -> Addresses:
    """The witness addresses that the nodes of the cluster host now."""
    return {address for addresses in (await addresses_by_node(cluster)).values() for address in addresses}


async def addresses_by_node(cluster: Controller) -> dict[str, Addresses]:
    """The witness addresses of each node, by its name in lower case."""
    return {node.name.casefold(): set(map(ip_address, node.addresses)) for node in await cluster.nodes()}


@case(
    "SWN-3.1.4.1-one-info-per-interface",
    "SWN-3.1.4.1-all-copied",
    "SWN-3.1.4.1-ipv4-value",
    "SWN-3.1.4.1-ipv4-flag",
    "SWN-3.1.4.1-no-address-no-flag",
    needs=("two-nodes", "list-nodes"),
)
async def test_every_address_is_listed_once(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Each node lists every address of the others once, its own perhaps, and no other address."""
    hosts = await addresses_by_node(cluster)
    hosted: Addresses = set().union(*hosts.values())
    hosted_ipv4 = {address for address in hosted if isinstance(address, IPv4Address)}
    lists = await asyncio.gather(*(witness.interfaces(node) for node in range(len(witness.nodes))))

    for node, interfaces in zip(witness.nodes, lists, strict=True):
        note, own = f"the list of {node.name}", hosts.get(node.name.casefold(), set())
        listed = [address for interface in interfaces for address in addresses_of(interface)]
        spec("SWN-3.1.4.1-one-info-per-interface").holds(
            is_complete(listed, hosted, own),
            expected=complete_lists(hosted, own),
            observed=show(set(listed)),
            note=note,
        )
        spec("SWN-3.1.4.1-all-copied").holds(
            is_complete(listed, hosted, own) and len(set(listed)) == len(listed),
            expected=[f"each address once: {addresses}" for addresses in complete_lists(hosted, own)],
            observed=show(listed),
            note=note,
        )
        in_ipv4 = {i.ipv4 for i in interfaces if i.flags & InterfaceFlags.IPV4}
        own_ipv4 = own & hosted_ipv4
        spec("SWN-3.1.4.1-ipv4-value").holds(
            is_complete(in_ipv4, hosted_ipv4, own_ipv4),
            expected=complete_lists(hosted_ipv4, own_ipv4),
            observed=show(in_ipv4),
            note=note,
        )
        unmarked = {i.ipv4 for i in interfaces if not i.flags & InterfaceFlags.IPV4} & hosted_ipv4
        spec("SWN-3.1.4.1-ipv4-flag").holds(
            not unmarked,
            expected="bit 0x1 in Flags of each interface with an IPv4 address",
            observed=f"not set for {show(unmarked)}",
            note=note,
        )
        spec("SWN-3.1.4.1-no-address-no-flag").holds(
            set(listed) <= hosted,
            expected=f"no address other than {show(hosted)}",
            observed=f"other addresses: {show(set(listed) - hosted)}",
            note=note,
        )
        unused = {str(i.ipv6) for i in interfaces if not i.flags & InterfaceFlags.IPV6}
        if unused:
            observed = f"IPV6 where its flag is not set: {shown(unused)}"
            spec("SWN-3.1.4.1-no-address-no-flag").record(observed, note)


@case("SWN-3.1.4.1-ipv6-value", "SWN-3.1.4.1-ipv6-flag", needs=("list-nodes",))
async def test_ipv6_addresses_are_listed(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An interface with an IPv6 address has it in IPV6, in network order, and has the flag set."""
    hosts = await addresses_by_node(cluster)
    hosted_ipv6 = {a for addresses in hosts.values() for a in addresses if isinstance(a, IPv6Address)}
    own_ipv6 = hosts.get(witness.nodes[0].name.casefold(), set()) & hosted_ipv6
    if not hosted_ipv6:
        raise NotTestable("no node of the target has an IPv6 witness address")

    interfaces = await witness.interfaces()

    in_ipv6 = {i.ipv6 for i in interfaces if i.flags & InterfaceFlags.IPV6}
    spec("SWN-3.1.4.1-ipv6-value").holds(
        is_complete(in_ipv6, hosted_ipv6, own_ipv6),
        expected=complete_lists(hosted_ipv6, own_ipv6),
        observed=show(in_ipv6),
    )
    unmarked = {i.ipv6 for i in interfaces if not i.flags & InterfaceFlags.IPV6} & hosted_ipv6
    spec("SWN-3.1.4.1-ipv6-flag").holds(
        not unmarked,
        expected="bit 0x2 in Flags of each interface with an IPv6 address",
        observed=f"not set for {show(unmarked)}",
    )


@case("SWN-3.1.4.1-no-address-no-flag", needs=("variant:single-family",))
async def test_interfaces_with_one_family(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """An interface with addresses of one family does not have the flag of the other family set."""
    single = await variant("single-family")
    assert single.cluster is not None
    hosted = await hosted_addresses(single.cluster)

    interfaces = await nonempty_list(single)

    for interface in interfaces:
        listed = addresses_of(interface)
        spec("SWN-3.1.4.1-no-address-no-flag").holds(
            len(listed) <= 1 and set(listed) <= hosted,
            expected=f"no more than one of the addresses {show(hosted)}",
            observed=f"{show(listed)} (Flags 0x{interface.flags:X})",
        )
        unused = interface.ipv4 if interface.flags & InterfaceFlags.IPV6 else interface.ipv6
        spec("SWN-3.1.4.1-no-address-no-flag").record(f"in the field of the other family: {unused}")


@case(
    "SWN-3.1.4.1-determine-local",
    "SWN-3.1.4.1-witness-flag-remote",
    "SWN-3.1.4.1-witness-flag-local",
    needs=("two-nodes", "list-nodes"),
)
async def test_each_node_marks_the_interfaces_of_the_others(
    witness: Witness, spec: Spec, cluster: Controller
) -> None:
    """Each node sets INTERFACE_WITNESS on the interfaces of other nodes, and not on its own if listed."""
    hosted = await addresses_by_node(cluster)

    lists = await asyncio.gather(*(witness.interfaces(node) for node in range(len(witness.nodes))))

    for node, interfaces in zip(witness.nodes, lists, strict=True):
        own = hosted.get(node.name.casefold(), set())
        marked, unmarked = (
            {a for i in interfaces if bool(i.flags & InterfaceFlags.WITNESS) is flag for a in addresses_of(i)}
            for flag in (True, False)
        )
        note = f"the list of {node.name}, which hosts {show(own)}"
        spec("SWN-3.1.4.1-determine-local").equal(unmarked, own & (marked | unmarked), show=show, note=note)
        spec("SWN-3.1.4.1-witness-flag-remote").holds(
            not unmarked - own,
            expected="INTERFACE_WITNESS (0x4) on every interface of another node",
            observed=f"not on {show(unmarked - own)}",
            note=note,
        )
        spec("SWN-3.1.4.1-witness-flag-local").holds(
            not marked & own,
            expected="no INTERFACE_WITNESS (0x4) on an interface of the node itself",
            observed=f"on {show(marked & own)}",
            note=note,
        )


@case(
    "SWN-3.1.4.1-one-info-per-interface",
    "SWN-3.1.4.1-witness-flag-remote",
    "SWN-3.1.1.2-state-values",
    "SWN-2.2.2.5-state-values",
    needs=("two-nodes", "list-nodes", "interface-event"),
    disturbs=True,
    lasts=15,
)
async def test_interface_that_is_down_stays_listed(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Make a node's interfaces unavailable, then available: every list has the same interfaces."""
    changed_node = witness.nodes[-1].name
    hosts = await addresses_by_node(cluster)
    own = hosts.get(witness.nodes[0].name.casefold(), set())
    client = await witness.connect(0)
    lists: list[tuple[InterfaceInfo, ...]] = [await current_list(client)]
    changed = hosts.get(changed_node.casefold(), set())
    if not any(
        i.state == InterfaceState.AVAILABLE and not changed.issuperset(addresses_of(i)) for i in lists[0]
    ):
        raise NotTestable(
            f"without {changed_node} no interface in the list is AVAILABLE, and no list returned"
        )

    await make_unavailable(cluster, changed_node)
    deadline = asyncio.get_running_loop().time() + witness.expect.event_deadline
    while asyncio.get_running_loop().time() < deadline:
        lists.append(await current_list(client))
        if any(interface.state != InterfaceState.AVAILABLE for interface in lists[-1]):
            break
        await asyncio.sleep(POLL_S)
    recovery = asyncio.create_task(make_available(cluster, changed_node))
    while not recovery.done():
        lists.append(await current_list(client))
        await asyncio.wait([recovery], timeout=POLL_S)
    await recovery

    states = {interface.state for interfaces in lists for interface in interfaces}
    note = f"{len(lists)} lists before, while and after the interfaces of {changed_node} were unavailable"
    spec("SWN-3.1.1.2-state-values", "SWN-2.2.2.5-state-values").holds(
        states <= {*InterfaceState},
        expected="0x0000 (UNKNOWN), 0x0001 (AVAILABLE) or 0x00FF (UNAVAILABLE)",
        observed=", ".join(f"0x{state:04X}" for state in sorted(states)),
        note=note,
    )
    listed = [{a for interface in interfaces for a in addresses_of(interface)} for interfaces in lists]
    of_others: Addresses = set().union(*hosts.values()) - own
    known = listed[0] | of_others
    missing = {address for addresses in listed for address in known - addresses}
    spec("SWN-3.1.4.1-one-info-per-interface").holds(
        not missing,
        expected="every interface in every list, in any state",
        observed=f"missing from a list: {show(missing)}",
        note=note,
    )
    unmarked = {
        address
        for interfaces in lists
        for interface in interfaces
        if interface.state != InterfaceState.AVAILABLE and not interface.flags & InterfaceFlags.WITNESS
        for address in addresses_of(interface)
    }
    spec("SWN-3.1.4.1-witness-flag-remote").holds(
        not unmarked - own,
        expected="INTERFACE_WITNESS (0x4) on interfaces of another node also while they are not AVAILABLE",
        observed=f"not on {show(unmarked - own)}",
    )


async def current_list(client: WitnessClient) -> tuple[InterfaceInfo, ...]:
    """The interface list that the server returns now."""
    interface_list = (await client.get_interface_list()).interface_list
    return tuple(interface_list.interfaces or ()) if interface_list else ()
