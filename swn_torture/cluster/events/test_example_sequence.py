"""The example of MS-SWN 4.1, call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.protocol import (
    ChangeType,
    GetInterfaceListRequest,
    InterfaceFlags,
    MessageType,
    UnRegisterRequest,
)
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.shown import quoted
from swn_torture.casekit.steps.host_nodes import (
    addresses_of,
    index_of,
    make_unavailable,
    other_nodes,
)
from swn_torture.casekit.steps.listeners import Listener, connect_each_syntax, wait_for_notifications
from swn_torture.casekit.steps.registering import REGISTER, succeeded, with_handle

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import WitnessClient
    from swn_torture.casekit.steps.host_nodes import HostNode
    from swn_torture.casekit.witness import Witness


@case(
    "SWN-4.1-example-sequence",
    "SWN-3.1.6.1-queues-change",
    needs=("interface-event", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=15,
)
async def test_sequence(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Run MS-SWN 4.1: list, register at another node, AsyncNotify, UNAVAILABLE, UnRegister."""
    (own, *_) = await other_nodes(witness, cluster)

    listeners = [
        await register_at_another(witness, spec, cluster, own, client, number)
        for number, client in enumerate(await connect_each_syntax(witness, index_of(witness, own.node)))
    ]
    await make_unavailable(cluster, own.node)
    await wait_for_notifications(*listeners)

    for listener in listeners:
        await check_notification_and_end(spec, listener)


async def register_at_another(
    witness: Witness, spec: Spec, cluster: Controller, own: HostNode, to_own: WitnessClient, number: int
) -> Listener:
    """Run the example up to AsyncNotify: list interfaces at node ``own``, then register at another node.

    Args:
        witness: the target.
        spec: the checks of the case.
        cluster: the controller, which knows the node of each interface.
        own: the node that the client uses and registers for.
        to_own: a connection to that node.
        number: the number of the client, from 0, which chooses among the other nodes.

    Raises:
        CaseStopped: a call is rejected, or no other node has an interface with INTERFACE_WITNESS.
    """
    rule, deadline = spec("SWN-4.1-example-sequence"), witness.expect.reply_deadline
    outcome = await outcome_of(to_own.start(GetInterfaceListRequest()), deadline)
    if not rule.allows(outcome, SUCCESS, note=f"GetInterfaceList at {own.node}, in {to_own.syntax}"):
        raise spec.stop()
    interfaces = outcome.response.interface_list.interfaces or ()
    marked = {str(a) for i in interfaces if i.flags & InterfaceFlags.WITNESS for a in addresses_of(i)}
    hosts = {node.name: marked.intersection(node.addresses) for node in await cluster.nodes()}
    others = [node for node, addresses in hosts.items() if addresses and node != own.node]
    if not others:
        rule.holds(
            False,  # noqa: FBT003 - no node is left to register with
            expected=f"INTERFACE_WITNESS on the interfaces of other nodes in the list of {own.node}",
            observed=", ".join(f"{' '.join(map(str, addresses_of(i)))} {i.flags:#x}" for i in interfaces),
        )
        raise spec.stop()
    reached = {node.name.casefold() for node in witness.nodes}
    others = [node for node in others if node.casefold() in reached] or others
    # A client may choose any of these nodes; the two clients choose different ones if possible.
    witness_node = others[number % len(others)]
    client = await witness.connect(index_of(witness, witness_node), syntax=to_own.syntax)
    fields = {
        "net_name": witness.net_name,
        "ip_address": own.addresses[0],
        "client_computer_name": f"{witness.client_name()}.contoso.com",
    }
    reply = await REGISTER.reply(witness, client, **fields)
    if not rule.holds(
        succeeded(reply),
        expected="ERROR_SUCCESS (0x0) with a handle",
        observed=with_handle(reply),
        note=f"Register for {own.addresses[0]} of {own.node} at {witness_node}, in {to_own.syntax}",
    ):
        raise spec.stop()
    listener = Listener(witness, client, reply.response.context, fields)
    listener.async_notify()
    return listener


async def check_notification_and_end(spec: Spec, listener: Listener) -> None:
    """Check the example from the notification on; record Length and ResourceName next to those of the text.

    Raises:
        CaseStopped: there is no notification.
    """
    rule, note = spec("SWN-4.1-example-sequence"), f"in {listener.client.syntax}"
    if listener.outcome == SILENCE:
        # That the server notifies of a change is a SHOULD, so a missing notification is not a violation.
        spec("SWN-3.1.6.1-queues-change").allows(listener.outcome, SUCCESS, note=f"AsyncNotify, {note}")
        raise spec.stop()
    notification = listener.notification(spec, "SWN-4.1-example-sequence")
    rule.holds(
        notification.message_type == MessageType.RESOURCE_CHANGE
        and [change.change_type for change in notification.changes[:1]] == [ChangeType.UNAVAILABLE],
        expected=f"RESOURCE_CHANGE, {show_as(ChangeType)(ChangeType.UNAVAILABLE)}",
        observed=notification,
        note=f"AsyncNotify, {note}",
    )
    names = ", ".join(change.text for change in notification.changes)
    rule.record(
        f"Length {notification.length}, ResourceName {quoted(names)} for NetName "
        f"{quoted(str(listener.fields['net_name']))}; "
        'in the example Length 28, "GENERALFS" for "generalfs"',
        note,
    )
    deadline = listener.witness.expect.reply_deadline
    unregistered = await outcome_of(listener.client.start(UnRegisterRequest(listener.handle)), deadline)
    rule.allows(unregistered, SUCCESS, note=f"UnRegister, {note}")
