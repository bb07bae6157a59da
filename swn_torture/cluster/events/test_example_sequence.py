"""The example of MS-SWN 4.1, call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, case, outcome_of
from swn_torture.casekit.protocol import (
    ChangeType,
    GetInterfaceListRequest,
    InterfaceFlags,
    MessageType,
    UnRegisterRequest,
)
from swn_torture.casekit.rules.notification_rules import naming
from swn_torture.casekit.steps.host_nodes import addresses_of, destinations, host_nodes, index_of, take_down
from swn_torture.casekit.steps.listeners import SUCCESS, Listener, either_syntax, wait_for_notifications
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
    """List interfaces, register at another node, ask, hear that the own node is down, unregister."""
    (own, *_) = await destinations(witness, cluster, other_than=await witness.address_of(0))

    clients = [
        await register_at_another(witness, spec, cluster, own, client, number)
        for number, client in enumerate(await either_syntax(witness, index_of(witness, own.node)))
    ]
    await take_down(cluster, own.node)
    await wait_for_notifications(*clients)

    for client in clients:
        await check_end(spec, client)


async def register_at_another(
    witness: Witness, spec: Spec, cluster: Controller, own: HostNode, to_own: WitnessClient, number: int
) -> Listener:
    """The example up to AsyncNotify: the client is connected to ``own`` and looks for a witness beside it."""
    rule, deadline = spec("SWN-4.1-example-sequence"), witness.expect.reply_deadline
    notified = await outcome_of(to_own.start(GetInterfaceListRequest()), deadline)
    if not rule.allows(notified, SUCCESS, note=f"GetInterfaceList at {own.node}, in {to_own.syntax}"):
        raise spec.stop()
    interfaces = notified.response.interface_list.interfaces or ()
    marked = {str(a) for i in interfaces if i.flags & InterfaceFlags.WITNESS for a in addresses_of(i)}
    others = [h for h in await host_nodes(witness, cluster) if marked.intersection(h.addresses)]
    if not others:
        rule.holds(
            False,  # noqa: FBT003 - nobody is left to register with
            expected=f"INTERFACE_WITNESS on the interfaces of the other nodes, as {own.node} tells them",
            observed=", ".join(f"{' '.join(map(str, addresses_of(i)))} {i.flags:#x}" for i in interfaces),
        )
        raise spec.stop()
    # Clients are free in their choice; these two choose differently where they can.
    witness_node = others[number % len(others)].node
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
    listener.ask()
    return listener


async def check_end(spec: Spec, client: Listener) -> None:
    """The example from the notification on; its lengths and names are put down beside those of the text."""
    rule, note = spec("SWN-4.1-example-sequence"), f"in {client.client.syntax}"
    if client.outcome == SILENCE:
        # Nobody has to be told of a change, but everybody should be.
        spec("SWN-3.1.6.1-queues-change").allows(client.outcome, SUCCESS, note=f"AsyncNotify, {note}")
        raise spec.stop()
    notification = client.notification(spec, "SWN-4.1-example-sequence")
    rule.holds(
        notification.message_type == MessageType.RESOURCE_CHANGE
        and [change.change_type for change in notification.changes[:1]] == [ChangeType.UNAVAILABLE],
        expected=f"RESOURCE_CHANGE, {naming(ChangeType)(ChangeType.UNAVAILABLE)}",
        observed=notification,
        note=f"AsyncNotify, {note}",
    )
    rule.record(
        f"Length {notification.length}, ResourceName {', '.join(change.text for change in notification.changes)!r} for "
        f"NetName {client.fields['net_name']!r}; in the example Length 28, 'GENERALFS' for 'generalfs'",
        note,
    )
    deadline = client.witness.expect.reply_deadline
    ended = await outcome_of(client.client.start(UnRegisterRequest(client.handle)), deadline)
    rule.allows(ended, SUCCESS, note=f"UnRegister, {note}")
