"""Client moves: the AsyncNotify response with CLIENT_MOVE_NOTIFICATION (MS-SWN 3.1.4.4, 3.1.6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, SUCCESS, case
from swn_torture.casekit.protocol import AddressFlags, MessageType
from swn_torture.casekit.rules.move_rules import (
    SUCCESS_RULES,
    check_move,
    check_move_to_ipv6,
    move_rules,
)
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.effects import wait_until_events_arrive
from swn_torture.casekit.steps.host_nodes import address_elsewhere, destination, destinations
from swn_torture.casekit.steps.listeners import listen, wait_for_notifications, wait_quiet_time

if TYPE_CHECKING:
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
    """A client move completes the pending AsyncNotify with the addresses of the destination node."""
    listener = await listen(witness)
    candidates = await destinations(witness, cluster, other_than=listener.address)
    host = max(candidates, key=lambda each: len(each.addresses))

    await cluster.move_client(listener.name, host.node)
    (outcome,) = await wait_for_notifications(listener)

    if outcome.kind == "result":
        spec(*SUCCESS_RULES).allows(outcome, SUCCESS)
    notification = listener.notification(spec, "SWN-3.1.4.4-move-type")
    address_list = check_move(spec, "move", notification, host)
    spec("SWN-2.2.2.2-destination-addresses").holds(
        sorted(notification.addresses) == sorted(host.addresses),
        expected=f"the addresses of {host.node} in the interface list: {', '.join(host.addresses)}",
        observed=address_list,
    )
    online = [bool(entry.flags & AddressFlags.ONLINE) for entry in address_list.entries]
    if witness.expect.version < 2:
        spec("SWN-2.2.2.1-online").holds(
            not any(online), expected="no IPADDR_ONLINE: only version 2 defines it", observed=address_list
        )
        return
    spec("SWN-3.1.4.4-move-online", "SWN-2.2.2.1-online").holds(
        bool(online) and all(online),
        expected="IPADDR_ONLINE (0x8) in every entry, because all interfaces are AVAILABLE",
        observed=address_list,
    )
    flags = sorted({entry.flags & AddressFlags(0x1B) for entry in address_list.entries})
    spec.choice("AMB-15", f"client move: {', '.join(map(show_as(AddressFlags), flags))}")


@case(*move_rules("move", ipv6=True), needs=_NEEDS, syntaxes="both")
async def test_ipv6(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client move to a node with IPv6 addresses returns them in the IPV6 field."""
    host = await destination(witness, cluster, ipv6=True)
    listener = await listen(witness, version=1, ip_address=await address_elsewhere(witness, host))

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
    """A client move notifies each registration of that client once, and no other client."""
    name = witness.client_name()
    address = await witness.address_of(0)
    of_client = [
        await listen(witness, version=version, client_computer_name=name, ip_address=address)
        for version in (1, 2)
    ]
    of_others = [await listen(witness, version=version, ip_address=address) for version in (1, 2)]
    host = await destination(witness, cluster, other_than=address)

    sent = await cluster.move_client(name, host.node, not_for=[other.key for other in of_others])
    outcomes = await wait_for_notifications(*of_client)
    # If neither version is notified, the versions make no difference.
    event = "" if SUCCESS in outcomes else "SWN-3.1.6.2-wake"
    rule = "SWN-3.1.4.4-move-both-versions"
    notifications = [listener.notification(spec, rule, event=event) for listener in of_client]
    name_rules = ("SWN-3.1.4.2-entry-clientname", "SWN-3.1.4.5-entry-clientname")
    for version, (notification, name_rule) in enumerate(zip(notifications, name_rules, strict=True), 1):
        spec("SWN-3.1.4.4-move-both-versions", name_rule).equal(
            notification.message_type,
            MessageType.CLIENT_MOVE,
            show=show_as(MessageType),
            note=f"registration of version {version} of {name}",
        )

    next_calls = await wait_quiet_time(*of_client, *of_others)
    for version, outcome in enumerate(next_calls[:2], 1):
        spec("SWN-3.1.4.4-processed-removed-move").allows(
            outcome, SILENCE, note=f"the next AsyncNotify, registration of version {version}"
        )
    for name_rule, listener, outcome in zip(name_rules, of_others, next_calls[2:], strict=True):
        check_not_notified(
            spec(name_rule),
            sent,
            listener,
            notified=outcome != SILENCE,
            expected=str(SILENCE),
            observed=outcome,
            note="registration of another client",
        )


@case("SWN-2.2.2.2-at-least-one", needs=_NEEDS)
async def test_unknown_destination(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Record a move to an address that no interface has; the next move lists at least one address."""
    listener = await listen(witness)
    host = await destination(witness, cluster, other_than=listener.address)

    # RFC 5737 reserves this address for documentation, so no interface has it.
    await cluster.move_client(listener.name, "203.0.113.77")
    await wait_until_events_arrive(witness, cluster)
    (outcome,) = await wait_quiet_time(listener)
    spec.choice("AMB-19", f"a move to an unknown address: {outcome}")
    await cluster.move_client(listener.name, host.node)
    await wait_for_notifications(listener)

    notification = listener.notification(spec, "SWN-2.2.2.2-at-least-one", event="SWN-3.1.6.2-wake")
    spec("SWN-2.2.2.2-at-least-one").holds(
        bool(notification.entries), expected=f"at least one entry for {host.node}", observed=notification
    )
