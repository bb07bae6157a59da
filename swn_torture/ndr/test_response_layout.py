"""The out parameters of AsyncNotify, octet by octet: pointers, gaps, and MessageBuffer (MS-SWN 2.2.2).

The content of MessageBuffer is not NDR: it is little-endian and packed for every caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import (
    AsyncNotifyRequest,
    ChangeType,
    ResourceChange,
    RespAsyncNotify,
    wide_size,
)
from swn_torture.casekit.rules.notification_rules import check_packing
from swn_torture.casekit.steps.host_nodes import destination
from swn_torture.casekit.steps.listeners import Listener, listen, wait_for_notifications
from swn_torture.casekit.steps.registering import registration_of, registrations_of

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ByteOrder
    from swn_torture.casekit.witness import Witness

_MOVES = ("move-client", "list-nodes", "two-nodes")
FORCED = (Capability.FORCE_RESPONSE, Capability.LIST_REGISTRATIONS)

#: Octets before MessageBuffer by the size of a pointer: 4 in NDR32, 8 in NDR64.
_HEAD = {4: 24, 8: 40}

#: Names for ResourceName. "odd-length" and "one-character" end on a boundary of 4, the others 2 octets later.
NAMES = {"odd-length": "NODE1", "even-length": "SOFS", "one-character": "N", "long": "N" * 252}


async def _notify_changes(cluster: Controller, listener: Listener, *names: str) -> None:
    """Complete a listener's AsyncNotify with a RESOURCE_CHANGE for each name, and wait for the response."""
    listener.async_notify()
    entry = await registration_of(cluster, listener.name)
    # AVAILABLE, because some servers end the registration after other notifications (AMB-30).
    changes = [ResourceChange(ChangeType.AVAILABLE, name) for name in names]
    await cluster.force_response(entry.key, response=RespAsyncNotify.of(*changes))
    await wait_for_notifications(listener)


@case("RPC-NDR-return-align", "RPC-NDR-referent-unique", needs=FORCED, syntaxes="both")
@pytest.mark.parametrize("kind", NAMES)
async def test_return_value(witness: Witness, spec: Spec, cluster: Controller, kind: str) -> None:
    """The return value is at the next multiple of 4 octets after MessageBuffer and ends the response."""
    listener = await listen(witness, version=1)

    await _notify_changes(cluster, listener, NAMES[kind])

    notification, stub = listener.notification(spec, "RPC-NDR-return-align"), _stub(listener)
    wide = wide_size(witness.syntax)
    head = _HEAD[wide]
    end = head + len(notification.buffer)
    spec("RPC-NDR-return-align").holds(
        notification.result == 0 and len(stub) == end + -end % 4 + 4,
        expected=f"{end} octets up to the end of MessageBuffer, a gap of {-end % 4}, then 00 00 00 00",
        observed=f"{len(stub)} octets, the last of them {stub[end - 2 :].hex(' ')}",
        note=f"MessageBuffer of {len(notification.buffer)} octets",
    )
    referents = [int.from_bytes(stub[at : at + wide], _byte_order(listener)) for at in (0, head - 2 * wide)]
    spec("RPC-NDR-referent-unique").holds(
        all(referents),
        expected="pResp and MessageBuffer with referents other than 0, because data follow",
        observed=" and ".join(f"{referent:#x}" for referent in referents),
    )


@case("RPC-NDR-referent-unique", syntaxes="both")
async def test_response_without_notification(witness: Witness, spec: Spec) -> None:
    """An AsyncNotify response without a notification has referent 0 and a code, or else has data."""
    client = await witness.connect()
    handle = await witness.register(client)
    await client.unregister(handle)

    call = client.async_notify(handle)
    outcome = await outcome_of(call, witness.expect.reply_deadline)

    response = call.call.response_meta
    if response is None:
        spec("RPC-NDR-referent-unique").record(f"no response: {outcome}")
        return
    wide = wide_size(witness.syntax)
    null = not any(response.stub[:wide])
    spec("RPC-NDR-referent-unique").holds(
        len(response.stub) == wide + 4 if null else outcome.kind == "result",
        expected=f"{wide} octets of 0 and a code, or a pointer to what follows",
        observed=f"{response.stub.hex(' ')}: {outcome}",
    )


@case("SWN-2.2.2-buffer-packed", "SWN-2.2.2-little-endian", needs=FORCED, syntaxes="both")
async def test_several_structures(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """RESOURCE_CHANGEs of different lengths in one response follow each other without gaps."""
    listener = await listen(witness, version=1)

    await _notify_changes(cluster, listener, "SOFS", "NODE1", "N", "SOFS")

    check_packing(spec, listener.notification(spec, "SWN-2.2.2-buffer-packed"), note="SOFS, NODE1, N, SOFS")


@case("SWN-2.2.2-little-endian", "SWN-2.2.2-buffer-packed", needs=_MOVES)
async def test_client_move_in_either_byte_order(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A big-endian client gets the same MessageBuffer for a client move as a little-endian one."""
    little, big = await _listeners_of_one_client(witness)
    host = await destination(witness, cluster, other_than=little.address)

    await cluster.move_client(little.name, host.node)
    await wait_for_notifications(little, big)

    check_same_buffer(spec, little, big, event="SWN-3.1.6.2-wake")


@case("SWN-2.2.2-little-endian", "SWN-2.2.2-buffer-packed", needs=FORCED)
async def test_state_change_in_either_byte_order(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A big-endian client gets the same MessageBuffer for a state change as a little-endian one."""
    little, big = await _listeners_of_one_client(witness)

    change = ResourceChange(ChangeType.AVAILABLE, "SOFS")
    for entry in await registrations_of(cluster, little.name):
        await cluster.force_response(entry.key, response=RespAsyncNotify.of(change))
    await wait_for_notifications(little, big)

    check_same_buffer(spec, little, big)


async def _listeners_of_one_client(witness: Witness) -> tuple[Listener, Listener]:
    """Two registrations of one client with AsyncNotify pending: one little-endian, one big-endian."""
    little = await listen(witness, version=1)
    client = await witness.connect(byte_order="big")
    big = await listen(witness, client, version=1, async_notify=False, **little.fields)
    big.call = client.start(AsyncNotifyRequest(big.handle), byte_order="big")
    return little, big


def check_same_buffer(spec: Spec, little: Listener, big: Listener, *, event: str = "") -> None:
    """Both have the same octets in MessageBuffer, which are little-endian and packed.

    Args:
        spec: the checks of the case.
        little: the registration of the little-endian client.
        big: the registration of the big-endian client.
        event: the rule of the event that notifies both.
    """
    rule = "SWN-2.2.2-little-endian"
    notifications = [listener.notification(spec, rule, event=event) for listener in (little, big)]
    for notification, order in zip(notifications, ("little-endian", "big-endian"), strict=True):
        check_packing(spec, notification, note=f"response to a {order} request")
    spec("SWN-2.2.2-little-endian").holds(
        notifications[0].buffer == notifications[1].buffer,
        expected=f"as for a little-endian request: {notifications[0].buffer.hex(' ')}",
        observed=notifications[1].buffer.hex(" "),
        note=f"{_byte_order(big)}-endian response to a big-endian request",
    )


def _stub(listener: Listener) -> bytes:
    """The stub data of the last response."""
    assert listener.call is not None
    assert listener.call.call.response_meta is not None
    return listener.call.call.response_meta.stub


def _byte_order(listener: Listener) -> ByteOrder:
    assert listener.call is not None
    assert listener.call.call.response_meta is not None
    return listener.call.call.response_meta.byte_order
