"""AsyncNotify answered with a client move (MS-SWN 3.1.4.4, 3.1.6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, case
from swn_torture.casekit.protocol import AddressFlags, MessageType
from swn_torture.casekit.rules.move_rules import (
    SUCCESS_RULES,
    check_move,
    check_move_to_ipv6,
    move_rules,
)
from swn_torture.casekit.rules.notification_rules import naming
from swn_torture.casekit.steps.host_nodes import destination, destinations
from swn_torture.casekit.steps.listeners import SUCCESS, listen, wait_for_notifications, wait_quiet_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

_NEEDS = ("move-client", "list-nodes", "two-nodes")


@case(
    *SUCCESS_RULES,
    *move_rules("move"),
    "SWN-2.2.2.2-destination-addresses",
    "SWN-3.1.4.4-move-online",
    "SWN-2.2.2.1-online",
    needs=_NEEDS,
    syntaxes="both",
)
async def test_answer(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A pending AsyncNotify is answered with the addresses of the node that the client is to move to."""
    listener = await listen(witness)
    there = await destinations(witness, cluster, other_than=listener.address)
    host = max(there, key=lambda each: len(each.addresses))

    await cluster.move_client(listener.name, host.node)
    (outcome,) = await wait_for_notifications(listener)

    spec(*SUCCESS_RULES).allows(outcome, SUCCESS)
    notification = listener.notification(spec, "SWN-3.1.4.4-move-type")
    notified = check_move(spec, "move", notification, host)
    spec("SWN-2.2.2.2-destination-addresses").holds(
        sorted(notification.addresses) == sorted(host.addresses),
        expected=f"the addresses that the interface list has of {host.node}: {', '.join(host.addresses)}",
        observed=notified,
    )
    online = [bool(entry.flags & AddressFlags.ONLINE) for entry in notified.entries]
    if witness.expect.version < 2:
        spec("SWN-2.2.2.1-online").holds(
            not any(online), expected="no IPADDR_ONLINE: the bit belongs to version 2", observed=notified
        )
        return
    spec("SWN-3.1.4.4-move-online", "SWN-2.2.2.1-online").holds(
        bool(online) and all(online),
        expected="IPADDR_ONLINE (0x8) with every address, all interfaces being AVAILABLE",
        observed=notified,
    )
    flags = sorted({entry.flags & AddressFlags(0x1B) for entry in notified.entries})
    spec.choice("AMB-15", f"client move: {', '.join(map(naming(AddressFlags), flags))}")


@case(*move_rules("move", ipv6=True), needs=_NEEDS, syntaxes="both")
async def test_ipv6(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A move to a node with IPv6 addresses is answered with these in IPV6."""
    listener = await listen(witness, version=1)
    host = await destination(witness, cluster, other_than=listener.address, ipv6=True)

    await cluster.move_client(listener.name, host.node)
    await wait_for_notifications(listener)

    check_move_to_ipv6(spec, "move", listener.notification(spec, "SWN-3.1.4.4-move-type"), host)


@case(
    "SWN-3.1.4.4-move-both-versions",
    "SWN-3.1.4.2-entry-clientname",
    "SWN-3.1.4.5-entry-clientname",
    "SWN-3.1.4.4-processed-removed-move",
    needs=("version-2", *_NEEDS),
)
async def test_every_registration_of_the_client(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A move reaches all registrations of the client, of either version, once, and those of no other."""
    name = witness.client_name()
    address = await witness.address_of(0)
    mine = [
        await listen(witness, version=version, client_computer_name=name, ip_address=address)
        for version in (1, 2)
    ]
    others = [await listen(witness, version=version, ip_address=address) for version in (1, 2)]
    host = await destination(witness, cluster, other_than=address)

    await cluster.move_client(name, host.node)
    await wait_for_notifications(*mine)
    notified = [listener.notification(spec, "SWN-3.1.4.4-move-both-versions") for listener in mine]
    for version, notification in enumerate(notified, 1):
        spec("SWN-3.1.4.4-move-both-versions").equal(
            notification.message_type,
            MessageType.CLIENT_MOVE,
            show=naming(MessageType),
            note=f"registration of version {version}",
        )

    again = await wait_quiet_time(*mine, *others)
    for version, outcome in enumerate(again[:2], 1):
        spec("SWN-3.1.4.4-processed-removed-move").allows(
            outcome, SILENCE, note=f"the next AsyncNotify, registration of version {version}"
        )
    spec("SWN-3.1.4.2-entry-clientname").allows(again[2], SILENCE, note="registration under another name")
    spec("SWN-3.1.4.5-entry-clientname").allows(again[3], SILENCE, note="registration under another name")


@case("SWN-2.2.2.1-online", "SWN-2.2.2.1-offline", needs=("variant:version-1",))
async def test_version_1_server(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """A server of version 1 tells of a move without saying whether addresses are available."""
    witness = await variant("version-1")
    assert witness.cluster is not None
    listener = await listen(witness, version=1)
    host = await destination(witness, witness.cluster, other_than=listener.address)

    await witness.cluster.move_client(listener.name, host.node)
    await wait_for_notifications(listener)

    notification = listener.notification(spec, "SWN-2.2.2.1-online")
    for bit in (AddressFlags.ONLINE, AddressFlags.OFFLINE):
        spec(f"SWN-2.2.2.1-{str(bit.name).lower()}").holds(
            bool(notification.entries) and not any(entry.flags & bit for entry in notification.entries),
            expected=f"no IPADDR_{bit.name}: the bit belongs to version 2",
            observed=notification,
        )


@case("SWN-2.2.2.2-at-least-one", needs=_NEEDS)
async def test_lost_destination(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A move to an address that no interface has may be told in any way; the next one is told properly."""
    listener = await listen(witness)
    host = await destination(witness, cluster, other_than=listener.address)

    # An address for documentation, so that surely nobody has it (RFC 5737).
    await cluster.move_client(listener.name, "203.0.113.77")
    (outcome,) = await wait_quiet_time(listener)
    spec.choice("AMB-19", f"a move to an unknown address: {outcome}")
    await cluster.move_client(listener.name, host.node)
    await wait_for_notifications(listener)

    notification = listener.notification(spec, "SWN-2.2.2.2-at-least-one")
    spec("SWN-2.2.2.2-at-least-one").holds(
        bool(notification.entries), expected=f"an entry at least about {host.node}", observed=notification
    )
