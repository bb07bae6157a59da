"""What AsyncNotify returns, octet by octet: pointers, gaps, and a buffer that is not NDR (MS-SWN 2.2.2)."""

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
from swn_torture.casekit.steps.registering import listed

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ByteOrder
    from swn_torture.casekit.witness import Witness

FORCED = (Capability.FORCE_RESPONSE, Capability.LIST_REGISTRATIONS)

#: Octets before MessageBuffer, in NDR32 and in NDR64.
_HEAD = {4: 24, 8: 40}

#: Names whose RESOURCE_CHANGE takes a multiple of 4 octets, and names with which it takes 2 more.
NAMES = {"odd-length": "NODE1", "even-length": "SOFS", "one-character": "N", "long": "N" * 252}


async def _answer(cluster: Controller, listener: Listener, *names: str) -> None:
    """Have the pending call of a listener answered by a change for each name, and wait for that."""
    listener.ask()
    (entry,) = await listed(cluster, listener.name)
    # AVAILABLE, as after other news some servers end the registration (AMB-30).
    changes = [ResourceChange(ChangeType.AVAILABLE, name) for name in names]
    await cluster.force_response(entry.key, response=RespAsyncNotify.of(*changes))
    await wait_for_notifications(listener)


@case("RPC-NDR-return-align", "RPC-NDR-referent-unique", needs=FORCED, syntaxes="both")
@pytest.mark.parametrize("kind", NAMES)
async def test_return_value(witness: Witness, spec: Spec, cluster: Controller, kind: str) -> None:
    """The return value follows a buffer of any length at the next boundary of 4 octets, and is the end."""
    listener = await listen(witness, version=1)

    await _answer(cluster, listener, NAMES[kind])

    notification, stub = listener.notification(spec, "RPC-NDR-return-align"), _stub(listener)
    wide = wide_size(witness.syntax)
    head = _HEAD[wide]
    end = head + notification.length
    spec("RPC-NDR-return-align").holds(
        notification.result == 0 and len(stub) == end + -end % 4 + 4,
        expected=f"{end} octets up to the end of MessageBuffer, a gap of {-end % 4}, then 00 00 00 00",
        observed=f"{len(stub)} octets, the last of them {stub[end - 2 :].hex(' ')}",
        note=f"Length {notification.length}",
    )
    referents = [int.from_bytes(stub[at : at + wide], _byte_order(listener)) for at in (0, head - 2 * wide)]
    spec("RPC-NDR-referent-unique").holds(
        all(referents),
        expected="pResp and MessageBuffer with referents other than 0, as data follow",
        observed=" and ".join(f"{referent:#x}" for referent in referents),
    )


@case("RPC-NDR-referent-unique", syntaxes="both")
async def test_nothing_to_point_at(witness: Witness, spec: Spec) -> None:
    """In a reply without a notification the referent is 0 and the code follows, or else there is data."""
    client = await witness.connect()
    handle = await witness.register(client)
    await client.unregister(handle)

    call = client.async_notify(handle)
    outcome = await outcome_of(call, witness.expect.reply_deadline)

    answer = call.call.response_meta
    if answer is None:
        spec("RPC-NDR-referent-unique").record(f"no reply to look at: {outcome}")
        return
    wide = wide_size(witness.syntax)
    null = not any(answer.stub[:wide])
    spec("RPC-NDR-referent-unique").holds(
        len(answer.stub) == wide + 4 if null else outcome.kind == "result",
        expected=f"{wide} octets of 0 and a code, or a pointer to what follows",
        observed=f"{answer.stub.hex(' ')}: {outcome}",
    )


@case("SWN-2.2.2-buffer-packed", "SWN-2.2.2-little-endian", needs=FORCED, syntaxes="both")
async def test_several_structures(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Several changes in one reply stand one behind the other, whatever their lengths are."""
    listener = await listen(witness, version=1)

    await _answer(cluster, listener, "SOFS", "NODE1", "N", "SOFS")

    check_packing(spec, listener.notification(spec, "SWN-2.2.2-buffer-packed"), note="SOFS, NODE1, N, SOFS")


@case("SWN-2.2.2-little-endian", "SWN-2.2.2-buffer-packed", needs=("move-client", "list-nodes"))
async def test_move_told_to_either_byte_order(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client move is told to a big-endian caller in the same MessageBuffer as to a little-endian one."""
    little, big = await _listeners_of_one_client(witness)
    host = await destination(witness, cluster, other_than=little.address)

    await cluster.move_client(little.name, host.node)
    await wait_for_notifications(little, big)

    check_same_buffer(spec, little, big)


@case("SWN-2.2.2-little-endian", "SWN-2.2.2-buffer-packed", needs=FORCED)
async def test_change_told_to_either_byte_order(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A state change is told to a big-endian caller in the same MessageBuffer as to a little-endian one."""
    little, big = await _listeners_of_one_client(witness)

    change = ResourceChange(ChangeType.AVAILABLE, "SOFS")
    for entry in await listed(cluster, little.name):
        await cluster.force_response(entry.key, response=RespAsyncNotify.of(change))
    await wait_for_notifications(little, big)

    check_same_buffer(spec, little, big)


async def _listeners_of_one_client(witness: Witness) -> tuple[Listener, Listener]:
    """Two registrations of one client, asking in little-endian and in big-endian."""
    little = await listen(witness, version=1)
    client = await witness.connect(byte_order="big")
    big = await listen(witness, client, version=1, asks=False, **little.fields)
    big.call = client.start(AsyncNotifyRequest(big.handle), byte_order="big")
    return little, big


def check_same_buffer(spec: Spec, little: Listener, big: Listener) -> None:
    """Both were told the same octets, which are little-endian and packed."""
    notifications = [listener.notification(spec, "SWN-2.2.2-little-endian") for listener in (little, big)]
    for notification, caller in zip(notifications, ("little-endian", "big-endian"), strict=True):
        check_packing(spec, notification, note=f"told to a {caller} caller")
    spec("SWN-2.2.2-little-endian").holds(
        notifications[0].buffer == notifications[1].buffer,
        expected=f"as told to the little-endian caller: {notifications[0].buffer.hex(' ')}",
        observed=notifications[1].buffer.hex(" "),
        note=f"told to a big-endian caller, in a {_byte_order(big)}-endian reply",
    )


def _stub(listener: Listener) -> bytes:
    """The last reply."""
    assert listener.call is not None
    assert listener.call.call.response_meta is not None
    return listener.call.call.response_meta.stub


def _byte_order(listener: Listener) -> ByteOrder:
    assert listener.call is not None
    assert listener.call.call.response_meta is not None
    return listener.call.call.response_meta.byte_order
