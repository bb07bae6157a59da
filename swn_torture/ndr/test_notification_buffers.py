"""RESP_ASYNC_NOTIFY and the structures in its MessageBuffer, octet by octet (MS-SWN 2.2.2.1 to 2.2.2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import case
from swn_torture.casekit.protocol import MessageType
from swn_torture.casekit.rules.notification_rules import (
    CHANGE_RULES,
    FAMILY_RULES,
    IPV6_RULES,
    LAYOUT_RULES,
    LIST_RULES,
    check_changes,
    check_families,
    check_ipv6,
    check_layout,
    check_list,
)
from swn_torture.casekit.steps.host_nodes import (
    address_elsewhere,
    destination,
    host_nodes,
    make_unavailable,
    other_nodes,
    share_of,
)
from swn_torture.casekit.steps.listeners import (
    Listener,
    connect_each_syntax,
    listen,
    wait_for_notifications,
    wait_or_move_client,
)
from swn_torture.casekit.steps.octets import syntax_name
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.raw.notification import AddressList, Notification
    from swn_torture.casekit.witness import Witness

#: The rule that a notification violates which cannot be read.
_LAYOUT = "SWN-2.2.2.4-layout"


@case(
    *LAYOUT_RULES,
    *LIST_RULES,
    *FAMILY_RULES,
    needs=("move-client", "list-nodes", "two-nodes"),
    syntaxes="both",
)
async def test_client_move(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The notification of a client move has one well-formed list of the destination's addresses."""
    listener = await listen(witness)
    host = await destination(witness, cluster, other_than=listener.address)

    await cluster.move_client(listener.name, host.node)
    await wait_for_notifications(listener)

    notification = listener.notification(spec, _LAYOUT, event="SWN-3.1.6.2-wake")
    check_layout(spec, notification)
    address_list = first_list(spec, notification)
    check_list(spec, address_list, host)
    check_families(spec, address_list, host)


@case(
    *LAYOUT_RULES,
    *LIST_RULES,
    *FAMILY_RULES,
    needs=("version-2", "any-share", "move-share", "move-client", "list-nodes", "two-nodes"),
    syntaxes="both",
)
async def test_share_move(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The notification of a share move has one well-formed list of the destination's addresses."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share)
    host = await destination(witness, cluster, other_than=listener.address)

    await cluster.move_share(share, host.node, client=listener.name)
    await wait_or_move_client(spec, cluster, listener, MessageType.SHARE_MOVE, host)

    notification = listener.notification(spec, _LAYOUT, event="SWN-3.1.6.3-wake")
    check_layout(spec, notification)
    address_list = first_list(spec, notification)
    check_list(spec, address_list, host)
    check_families(spec, address_list, host)


@case(
    *LAYOUT_RULES,
    *FAMILY_RULES,
    *IPV6_RULES,
    needs=("move-client", "list-nodes", "two-nodes"),
    syntaxes="both",
)
async def test_move_to_ipv6(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client move to a node with IPv6 addresses lists them in well-formed IPv6 entries."""
    await move_to_ipv6(witness, spec, cluster)


@case(
    *LAYOUT_RULES, *FAMILY_RULES, *IPV6_RULES, needs=("variant:single-family", "move-client"), syntaxes="both"
)
async def test_move_to_single_family(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """A client move to a node with an interface for each family lists no entry with both families."""
    witness = await variant("single-family")
    assert witness.cluster is not None
    hosts = await host_nodes(witness, witness.cluster)
    if not any(len(host.interfaces) > 1 and host.has_family(6) for host in hosts):
        raise NotTestable("the variant has no node with an interface for each family")
    await move_to_ipv6(witness, spec, witness.cluster)


async def move_to_ipv6(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Move a client to a node with IPv6 addresses and check the notification."""
    host = await destination(witness, cluster, ipv6=True)
    listener = await listen(witness, ip_address=await address_elsewhere(witness, host))

    await cluster.move_client(listener.name, host.node)
    await wait_for_notifications(listener)

    notification = listener.notification(spec, _LAYOUT, event="SWN-3.1.6.2-wake")
    check_layout(spec, notification)
    address_list = first_list(spec, notification)
    check_families(spec, address_list, host)
    check_ipv6(spec, address_list, host)


def first_list(spec: Spec, notification: Notification) -> AddressList:
    """The first IPADDR_INFO_LIST of a notification that ``check_layout`` has checked.

    Raises:
        CaseStopped: there is none, which ``check_layout`` has recorded as a failed check.
    """
    if not notification.lists:
        raise spec.stop()
    return notification.lists[0]


@case(
    *LAYOUT_RULES,
    *CHANGE_RULES,
    needs=("interface-event", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=15,
)
async def test_resource_change(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """An interface that goes down is notified in well-formed RESOURCE_CHANGEs, in NDR32 and NDR64."""
    listeners: dict[str, Listener] = {}
    (host, *_) = await other_nodes(witness, cluster)
    groups = {interface.group_name for interface in await witness.interfaces()}
    for client in await connect_each_syntax(witness):
        listeners[syntax_name(client.syntax)] = await listen(witness, client, ip_address=host.addresses[0])

    await make_unavailable(cluster, host.node)
    await wait_for_notifications(*listeners.values())

    for name, listener in listeners.items():
        notification = listener.notification(spec, _LAYOUT, event="SWN-3.1.6.1-queues-change")
        check_layout(spec, notification, note=name)
        check_changes(spec, notification, listener, groups, note=name)
