"""The start of a witness service: its registrations, interfaces, version and name (MS-SWN 3.1.3)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import ProtocolVersion, UnRegisterRequest, Win32
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.steps.interface_list import (
    ANY_VERSION,
    complete_lists,
    is_complete,
    wait_for_interfaces,
)
from swn_torture.casekit.steps.registering import (
    CONTEXT_MISMATCH,
    INVALID_PARAMETER,
    NOT_FOUND,
    OP_RNG_ERROR,
    forget,
    methods_of,
    registrations_of,
    show_registrations,
    succeeded,
    version_1_server,
    with_handle,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import InterfaceInfo
    from swn_torture.casekit.witness import Witness


@case(
    "SWN-3.1.3-registrations-empty",
    "SWN-3.1.3-interfaces-from-config",
    needs=("restart-service",),
    disturbs=True,
    lasts=15,
)
async def test_restart(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """After a restart the service has no earlier registration and lists the same interfaces."""
    node = len(witness.nodes) - 1
    name, before = witness.client_name(), await witness.interfaces(node)
    client = await witness.connect(node)
    methods = methods_of(witness)
    handles = [await m.register(witness, client, client_computer_name=name) for m in methods]
    client.async_notify(handles[0])

    await cluster.restart(witness.nodes[node].name)
    witness.forget_ports()

    new_client = await witness.connect(node)
    deadline = witness.expect.reply_deadline
    for method, handle in zip(methods, handles, strict=True):
        note = f"with the handle of a {method} before the restart"
        notify = await outcome_of(new_client.async_notify(handle), deadline)
        spec("SWN-3.1.3-registrations-empty").allows(
            notify, NOT_FOUND, CONTEXT_MISMATCH, note=f"AsyncNotify {note}"
        )
        unregister = await outcome_of(new_client.start(UnRegisterRequest(handle)), deadline)
        spec("SWN-3.1.3-registrations-empty").allows(
            unregister, NOT_FOUND, INVALID_PARAMETER, CONTEXT_MISMATCH, note=f"UnRegister {note}"
        )
        spec.choice("AMB-2", f"a handle from before a restart: AsyncNotify {notify}, UnRegister {unregister}")
    if cluster.can(Capability.LIST_REGISTRATIONS):
        left = await registrations_of(cluster, name)
        spec("SWN-3.1.3-registrations-empty").holds(
            not left, expected="no registration of the client", observed=show_registrations(left)
        )
    expected = _show_list(before)
    after = await wait_for_interfaces(witness, lambda found: _show_list(found) == expected, node=node)
    spec("SWN-3.1.3-interfaces-from-config").equal(
        _show_list(after),
        expected,
        show=str,
        note=f"interface list of {witness.nodes[node].name} after its restart",
    )
    if cluster.can(Capability.LIST_NODES):
        await check_configured(witness, spec, cluster, node, after)


async def check_configured(
    witness: Witness, spec: Spec, cluster: Controller, node: int, interfaces: tuple[InterfaceInfo, ...]
) -> None:
    """Check that a node lists the addresses that the cluster has, perhaps without its own."""
    name = witness.nodes[node].name
    hosts = {each.name.casefold(): {*map(ip_address, each.addresses)} for each in await cluster.nodes()}
    configured = {address for addresses in hosts.values() for address in addresses}
    own = hosts.get(name.casefold(), set())
    listed = {address for interface in interfaces for address in addresses_of(interface)}
    spec("SWN-3.1.3-interfaces-from-config").holds(
        is_complete(listed, configured, own),
        expected=complete_lists(configured, own),
        observed=", ".join(sorted(map(str, listed))) or "no address",
        note=f"the addresses that {name} lists after its restart",
    )


def _show_list(interfaces: tuple[InterfaceInfo, ...]) -> str:
    """Names, addresses, Flags and states of an interface list, in a fixed order."""
    return "; ".join(
        sorted(
            f"{i.group_name} {' '.join(map(str, addresses_of(i)))} Flags {i.flags:#x} State {i.state:#x}"
            for i in interfaces
        )
    )


@case("SWN-3.1.3-version-highest")
async def test_highest_version(witness: Witness, spec: Spec) -> None:
    """The interface list has Version 2 if the server has WitnessrRegisterEx, else Version 1."""
    await check_version(witness, spec)


@case("SWN-3.1.3-version-highest", needs=("version-1",))
async def test_highest_version_is_1(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A server of version 1 lists Version 1 and has no WitnessrRegisterEx."""
    await check_version(await version_1_server(witness, variant), spec)


async def check_version(witness: Witness, spec: Spec) -> None:
    """Check the Version in the interface list against the methods that the server has."""
    client = await witness.connect()
    request = witness.registration_ex(ip_address=await witness.address_of(0))
    reply = await outcome_of(client.start(request), witness.expect.reply_deadline)

    version = ProtocolVersion.V1 if OP_RNG_ERROR.matches(reply) else ProtocolVersion.V2
    for listed in sorted({interface.version for interface in await witness.interfaces()}):
        spec("SWN-3.1.3-version-highest").equal(
            listed,
            version,
            ANY_VERSION,
            show=lambda value: f"0x{value:08X}",
            note=f"WitnessrRegisterEx: {reply}",
        )
        spec.choice("AMB-9", f"Version 0x{listed:08X}")


@case("SWN-3.1.3-global-name-admin", needs=("variant:renamed",))
async def test_name_is_set_by_the_administrator(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A renamed cluster accepts its new NetName; the old one returns ERROR_INVALID_PARAMETER (0x57)."""
    renamed = await variant("renamed")
    client = await renamed.connect()
    fields: dict[str, Any] = {"ip_address": await renamed.address_of(0)}

    for method in methods_of(renamed):
        with_new = await method.reply(renamed, client, **fields)
        with_old = await method.reply(renamed, client, net_name=witness.net_name, **fields)
        await forget(renamed, client, with_new, with_old)

        spec("SWN-3.1.3-global-name-admin").holds(
            succeeded(with_new),
            expected="ERROR_SUCCESS (0x0) with a handle",
            observed=with_handle(with_new),
            note=f"{method} with the new NetName, {renamed.net_name}",
        )
        spec("SWN-3.1.3-global-name-admin").allows(
            with_old,
            returns(Win32.ERROR_INVALID_PARAMETER),
            note=f"{method} with the old NetName, {witness.net_name}",
        )
