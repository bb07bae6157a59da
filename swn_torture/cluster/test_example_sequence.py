"""The example of MS-SWN 4.1, call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.harness import SILENCE, case, outcome_of
from swn_torture.harness.buffer_rules import naming
from swn_torture.harness.registering import REGISTER, succeeded, with_handle
from swn_torture.harness.steps import (
    SUCCESS,
    Listener,
    addresses_of,
    destinations,
    either_syntax,
    hear,
    homes,
    index_of,
    take_down,
)
from swn_torture.witness.constants import ChangeType, InterfaceFlags, MessageType
from swn_torture.witness.messages import GetInterfaceListRequest, UnRegisterRequest

if TYPE_CHECKING:
    from swn_torture.control.base import Controller
    from swn_torture.harness import Law
    from swn_torture.harness.steps import Home
    from swn_torture.harness.witness import Witness
    from swn_torture.witness.client import WitnessClient


@case(
    "SWN-4.1-example-sequence",
    "SWN-3.1.6.1-queues-change",
    needs=("interface-event", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=15,
)
async def test_sequence(witness: Witness, law: Law, cluster: Controller) -> None:
    """List interfaces, register at another node, ask, hear that the own node is down, unregister."""
    (own, *_) = await destinations(witness, cluster, beside=await witness.address_of(0))

    clients = [
        await register_at_another(witness, law, cluster, own, client, number)
        for number, client in enumerate(await either_syntax(witness, index_of(witness, own.node)))
    ]
    await take_down(cluster, own.node)
    await hear(*clients)

    for client in clients:
        await check_end(law, client)


async def register_at_another(
    witness: Witness, law: Law, cluster: Controller, own: Home, to_own: WitnessClient, number: int
) -> Listener:
    """The example up to AsyncNotify: the client is connected to ``own`` and looks for a witness beside it."""
    rule, deadline = law("SWN-4.1-example-sequence"), witness.place.profile.expect.reply_deadline
    told = await outcome_of(to_own.start(GetInterfaceListRequest()), deadline)
    if not rule.allows(told, SUCCESS, note=f"GetInterfaceList at {own.node}, in {to_own.syntax}"):
        raise law.stop()
    interfaces = told.response.interface_list.interfaces or ()
    marked = {str(a) for i in interfaces if i.flags & InterfaceFlags.WITNESS for a in addresses_of(i)}
    others = [h for h in await homes(witness, cluster) if marked.intersection(h.addresses)]
    if not others:
        rule.holds(
            False,  # noqa: FBT003 - nobody is left to register with
            expected=f"INTERFACE_WITNESS on the interfaces of the other nodes, as {own.node} tells them",
            observed=", ".join(f"{' '.join(map(str, addresses_of(i)))} {i.flags:#x}" for i in interfaces),
        )
        raise law.stop()
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
        raise law.stop()
    listener = Listener(witness, client, reply.response.context, fields)
    listener.ask()
    return listener


async def check_end(law: Law, client: Listener) -> None:
    """The example from the notification on; its lengths and names are put down beside those of the text."""
    rule, note = law("SWN-4.1-example-sequence"), f"in {client.client.syntax}"
    if client.outcome == SILENCE:
        # Nobody has to be told of a change, but everybody should be.
        law("SWN-3.1.6.1-queues-change").allows(client.outcome, SUCCESS, note=f"AsyncNotify, {note}")
        raise law.stop()
    notice = client.notice(law, "SWN-4.1-example-sequence")
    rule.holds(
        notice.message_type == MessageType.RESOURCE_CHANGE
        and [change.change_type for change in notice.changes[:1]] == [ChangeType.UNAVAILABLE],
        expected=f"RESOURCE_CHANGE, {naming(ChangeType)(ChangeType.UNAVAILABLE)}",
        observed=notice,
        note=f"AsyncNotify, {note}",
    )
    rule.record(
        f"Length {notice.length}, ResourceName {', '.join(change.text for change in notice.changes)!r} for "
        f"NetName {client.fields['net_name']!r}; in the example Length 28, 'GENERALFS' for 'generalfs'",
        note,
    )
    deadline = client.witness.place.profile.expect.reply_deadline
    ended = await outcome_of(client.client.start(UnRegisterRequest(client.handle)), deadline)
    rule.allows(ended, SUCCESS, note=f"UnRegister, {note}")
