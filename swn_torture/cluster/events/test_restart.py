"""A witness service that starts: what it remembers, and where the rest comes from (MS-SWN 3.1.3)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import ProtocolVersion, UnRegisterRequest, Win32
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.steps.interface_list import interfaces_until
from swn_torture.casekit.steps.registering import (
    MISMATCH,
    NO_SUCH_METHOD,
    NOT_FOUND,
    WRONG_PARAMETER,
    listed,
    methods_of,
    show_listed,
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

#: What Windows announces as Version from 2012 R2 on (AMB-9).
ANY_VERSION = 0xFFFFFFFF


@case(
    "SWN-3.1.3-registrations-empty",
    "SWN-3.1.3-interfaces-from-config",
    needs=("restart-service",),
    disturbs=True,
    lasts=15,
)
async def test_restart(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A witness service that was restarted knows no registration from before, and lists what it did."""
    node = len(witness.nodes) - 1
    name, before = witness.client_name(), await witness.interfaces(node)
    client = await witness.connect(node)
    methods = methods_of(witness)
    handles = [await m.register(witness, client, client_computer_name=name) for m in methods]
    client.async_notify(handles[0])

    await cluster.restart(witness.nodes[node].name)
    witness.forget_ports()

    again = await witness.connect(node)
    quiet = witness.expect.quiet_time
    for method, handle in zip(methods, handles, strict=True):
        note = f"by the handle of a {method} before the restart"
        asked = await outcome_of(again.async_notify(handle), quiet)
        spec("SWN-3.1.3-registrations-empty").allows(asked, NOT_FOUND, MISMATCH, note=f"AsyncNotify {note}")
        removed = await outcome_of(again.start(UnRegisterRequest(handle)), quiet)
        spec("SWN-3.1.3-registrations-empty").allows(
            removed, NOT_FOUND, WRONG_PARAMETER, MISMATCH, note=f"UnRegister {note}"
        )
        spec.choice("AMB-2", f"a handle from before a restart: AsyncNotify {asked}, UnRegister {removed}")
    if cluster.can(Capability.LIST_REGISTRATIONS):
        left = await listed(cluster, name)
        spec("SWN-3.1.3-registrations-empty").holds(
            not left, expected="no registration of the client listed", observed=show_listed(left)
        )
    if cluster.can(Capability.LIST_NODES):
        configured = {ip_address(address) for each in await cluster.nodes() for address in each.addresses}
        notified = {
            address for interface in await witness.interfaces(node) for address in addresses_of(interface)
        }
        spec("SWN-3.1.3-interfaces-from-config").equal(
            sorted(map(str, notified)),
            sorted(map(str, configured)),
            note=f"the addresses that {witness.nodes[node].name} lists after its restart",
        )
    wanted = _shown(before)
    after = await interfaces_until(witness, lambda notified: _shown(notified) == wanted, node=node)
    spec("SWN-3.1.3-interfaces-from-config").equal(
        _shown(after), wanted, show=str, note=f"the list of {witness.nodes[node].name} after its restart"
    )


def _shown(interfaces: tuple[InterfaceInfo, ...]) -> str:
    """Names, addresses and Flags of a list, in a fixed order."""
    return "; ".join(
        sorted(
            f"{i.group_name} {' '.join(map(str, addresses_of(i)))} Flags {i.flags:#x} State {i.state:#x}"
            for i in interfaces
        )
    )


@case("SWN-3.1.3-version-highest")
async def test_highest_version(witness: Witness, spec: Spec) -> None:
    """A server that has WitnessrRegisterEx announces version 2, one that lacks it version 1."""
    await check_version(witness, spec)


@case("SWN-3.1.3-version-highest", needs=("version-1",))
async def test_highest_version_is_1(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A server of version 1 announces that, and has no WitnessrRegisterEx."""
    await check_version(await version_1_server(witness, variant), spec)


async def check_version(witness: Witness, spec: Spec) -> None:
    """The version in the interface list is the highest whose methods there are."""
    client = await witness.connect()
    request = witness.registration_ex(ip_address=await witness.address_of(0))
    reply = await outcome_of(client.start(request), witness.expect.reply_deadline)

    lacks = NO_SUCH_METHOD.matches(reply)
    version = ProtocolVersion.V1 if lacks else ProtocolVersion.V2
    for announced in sorted({interface.version for interface in await witness.interfaces()}):
        spec("SWN-3.1.3-version-highest").equal(
            announced,
            version,
            ANY_VERSION,
            show=lambda value: f"0x{value:08X}",
            note=f"WitnessrRegisterEx: {reply}",
        )
        spec.choice("AMB-9", f"Version 0x{announced:08X}")


@case("SWN-3.1.3-global-name-admin", needs=("variant:renamed",))
async def test_name_is_set_by_the_administrator(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A cluster that was given another name takes registrations under that, and none under the old one."""
    renamed = await variant("renamed")
    client = await renamed.connect()
    where: dict[str, Any] = {"ip_address": await renamed.address_of(0)}

    for method in methods_of(renamed):
        as_new = await method.reply(renamed, client, **where)
        as_old = await method.reply(renamed, client, net_name=witness.net_name, **where)

        spec("SWN-3.1.3-global-name-admin").holds(
            succeeded(as_new),
            expected="ERROR_SUCCESS (0x0) with a handle",
            observed=with_handle(as_new),
            note=f"{method} as {renamed.net_name}, which the cluster is called now",
        )
        spec("SWN-3.1.3-global-name-admin").allows(
            as_old,
            returns(Win32.ERROR_INVALID_PARAMETER),
            note=f"{method} as {witness.net_name}, which it is not called any more",
        )
