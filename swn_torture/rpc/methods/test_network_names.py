"""Several network names, each with its own addresses: which lists and registrations they have (AMB-45)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SUCCESS, case, outcome_of
from swn_torture.casekit.protocol import GetInterfaceListRequest, InterfaceFlags
from swn_torture.casekit.shown import quoted
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.steps.network_names import (
    canonical,
    connection_to,
    known_names,
    names_with_addresses,
    several_names,
)
from swn_torture.casekit.steps.registering import (
    INVALID_PARAMETER,
    Method,
    each_method,
    forget,
    succeeded,
    with_handle,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

NEEDS = ("several-names",)


@case("SWN-3.1.4.1-all-copied", needs=NEEDS)
async def test_interface_list(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """GetInterfaceList at an address of each network name lists interfaces of that name."""
    named = await several_names(witness, variant)
    for name in known_names(named):
        client, called = await connection_to(named, name)
        reply = await outcome_of(client.start(GetInterfaceListRequest()), named.expect.reply_deadline)
        note = f"called at {called}"
        if reply != SUCCESS:
            raise spec.precondition_failed(
                "SWN-3.1.4.1-returns-success", expected=str(SUCCESS), observed=reply, note=note
            )
        interfaces = reply.response.interface_list.interfaces or ()
        listed = {str(address) for interface in interfaces for address in addresses_of(interface)}
        own = canonical(name.known.addresses)
        others = {a for each in named.profile.network_names for a in canonical(each.addresses)} - own
        # A server may leave out the interfaces of its own node, and with them the one that was called.
        if all(interface.flags & InterfaceFlags.WITNESS for interface in interfaces):
            spec("SWN-3.1.4.1-all-copied").record(f"only other nodes: {', '.join(sorted(listed))}", note)
        else:
            spec("SWN-3.1.4.1-all-copied").holds(
                bool(own & listed),
                expected=f"an address of {name.name}: {', '.join(sorted(own))}",
                observed=", ".join(sorted(listed)) or "no address",
                note=note,
            )
        spec.choice("AMB-45", f"the list has addresses of {'all names' if listed & others else 'one name'}")


@case("SWN-3.1.4.2-returns-success", "SWN-3.1.4.5-returns-success", needs=NEEDS)
@each_method
async def test_each_name(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]], method: Method
) -> None:
    """Register or RegisterEx with each network name and an address of it returns ERROR_SUCCESS."""
    named = await several_names(witness, variant)
    for name in await names_with_addresses(named):
        client, called = name.client, name.called
        for address in name.listed[:2]:
            reply = await method.reply(named, client, net_name=name.name, ip_address=address)
            spec(method.rule("returns-success")).holds(
                succeeded(reply),
                expected="ERROR_SUCCESS (0x0) with a handle",
                observed=with_handle(reply),
                note=f"NetName {name.name}, IpAddress {address}, called at {called}",
            )
            await forget(named, client, reply)


@case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch", needs=NEEDS)
@each_method
async def test_foreign_names(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]], method: Method
) -> None:
    """Register or RegisterEx with a name that is almost a network name returns ERROR_INVALID_PARAMETER."""
    named = await several_names(witness, variant)
    found = await names_with_addresses(named)
    ours = {said.casefold() for known in named.profile.network_names for said in (known.name, *known.aliases)}
    joined = "".join(each.name for each in found[:2])
    for name in found:
        client, called = name.client, name.called
        for foreign in (f"{name.name}X", name.name[:-1], f"X{name.name}", joined):
            if foreign.casefold() in ours:
                continue
            reply = await method.reply(named, client, net_name=foreign, ip_address=name.listed[0])
            spec(method.rule("netname-mismatch")).allows(
                reply, INVALID_PARAMETER, note=f"NetName {quoted(foreign)}, called at {called}"
            )


@case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch", needs=NEEDS)
@each_method
async def test_alias_or_other_address(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]], method: Method
) -> None:
    """Register or RegisterEx with an alias, or with an address of another name; record the results."""
    named = await several_names(witness, variant)
    first, second, *_ = await names_with_addresses(named)
    for name, other in ((first, second), (second, first)):
        client, called = name.client, name.called
        for alias in name.known.aliases:
            reply = await method.reply(named, client, net_name=alias, ip_address=name.listed[0])
            spec(method.rule("netname-mismatch")).record(f"the alias {quoted(alias)} of {name.name}: {reply}")
            spec.choice("AMB-45", f"{method} with an alias: {reply}")
            await forget(named, client, reply)
        reply = await method.reply(named, client, net_name=name.name, ip_address=other.listed[0])
        spec(method.rule("netname-mismatch")).record(
            f"NetName {name.name} with {other.listed[0]} of {other.name}, called at {called}: {reply}"
        )
        spec.choice("AMB-45", f"{method} with an address of another network name: {reply}")
        await forget(named, client, reply)
