"""Which registrations the server notifies of an event (MS-SWN 3.1.4.2 to 3.1.4.5, 3.1.6)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of, returns
from swn_torture.casekit.protocol import MessageType, UnRegisterRequest, Win32
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.host_nodes import destination, share_of
from swn_torture.casekit.steps.listeners import (
    drain_notifications,
    listen,
    wait_for_notifications,
    wait_or_move_client,
    wait_quiet_time,
)
from swn_torture.casekit.steps.registering import register_many
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

_MOVES = ("move-client", "list-nodes", "two-nodes")


@case(
    "SWN-3.1.4.2-no-initial-move",
    "SWN-3.1.4.5-no-initial-move",
    "SWN-3.1.4.5-no-initial-share",
    "SWN-3.1.4.2-v2-pending-share-empty",
    needs=("version-2", "any-share", "move-share", *_MOVES),
)
async def test_registered_after_moves(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A registration gets no notification of client moves and share moves from before it."""
    share = share_of(witness)
    client: dict[str, Any] = {
        "client_computer_name": witness.client_name(),
        "ip_address": await witness.address_of(0),
    }
    early = await listen(witness, share_name=share, **client)
    host = await destination(witness, cluster, other_than=early.address)
    (unprompted,) = await wait_quiet_time(early)
    spec.choice(
        "AMB-33",
        "no notification right after the registration for a share"
        if unprompted == SILENCE
        else f"right after the registration for a share: {unprompted}",
    )
    sent = {MessageType.CLIENT_MOVE: await cluster.move_client(early.name, host.node)}
    await wait_for_notifications(early)
    early.notification(spec, "SWN-3.1.4.5-no-initial-move", event="SWN-3.1.6.2-wake")
    sent[MessageType.SHARE_MOVE] = await cluster.move_share(share, host.node, client=early.name)
    await wait_or_move_client(spec, cluster, early, MessageType.SHARE_MOVE, host)
    seen = {notification.message_type for notification in early.notifications}

    late_1 = await listen(witness, version=1, **client)
    late_2 = await listen(witness, share_name=share, **client)
    await drain_notifications(late_1, late_2)

    for listener, kind, requirement in (
        (late_1, MessageType.CLIENT_MOVE, "SWN-3.1.4.2-no-initial-move"),
        (late_1, MessageType.SHARE_MOVE, "SWN-3.1.4.2-v2-pending-share-empty"),
        (late_2, MessageType.CLIENT_MOVE, "SWN-3.1.4.5-no-initial-move"),
        (late_2, MessageType.SHARE_MOVE, "SWN-3.1.4.5-no-initial-share"),
    ):
        if kind not in seen:
            continue  # it is not known when this move took effect
        if kind == MessageType.SHARE_MOVE and listener is late_2 and unprompted == SUCCESS:
            spec(requirement).record("every registration for the share gets SHARE_MOVE at once (AMB-33)")
            continue
        spec(requirement).holds(
            not listener.notifications_of(kind),
            expected=f"no {kind.name}: the move happened before the registration",
            observed="; ".join(map(str, listener.notifications)) or listener.outcome,
            note=f"the move was sent {sent[kind].how}",
        )


@case("SWN-3.1.4.3-no-more-notifications", needs=("version-2", *_MOVES))
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("pending", [False, True], ids=["idle", "outstanding"])
async def test_nothing_after_unregister(
    witness: Witness, spec: Spec, cluster: Controller, version: int, *, pending: bool
) -> None:
    """After UnRegister a client move notifies the client's other registration, not the removed one."""
    name, address = witness.client_name(), await witness.address_of(0)
    host = await destination(witness, cluster, other_than=address)
    fields: dict[str, Any] = {"client_computer_name": name, "ip_address": address}
    client = await witness.connect()
    unregistered, registered = [
        await listen(witness, client, version=version, async_notify=pending, **fields) for _ in range(2)
    ]
    to_unregister = (await witness.idle_connection(client)).start(UnRegisterRequest(unregistered.handle))
    result = await outcome_of(to_unregister)
    if result != SUCCESS:
        raise spec.precondition_failed(
            "SWN-3.1.4.3-returns-success",
            expected=str(SUCCESS),
            observed=result,
            note="UnRegister as a stimulus",
        )

    sent = await cluster.move_client(name, host.node, not_for=[unregistered.key])
    if registered.may_be_gone:
        raise NotTestable("the events took longer than the server keeps an unused registration")
    await wait_for_notifications(registered)
    (outcome,) = await wait_quiet_time(unregistered)

    rule = spec("SWN-3.1.4.3-no-more-notifications")
    notification = registered.notification(
        spec, "SWN-3.1.4.3-no-more-notifications", event="SWN-3.1.6.2-wake"
    )
    rule.equal(
        notification.message_type,
        MessageType.CLIENT_MOVE,
        show=show_as(MessageType),
        note="the other registration of the client",
    )
    # How a pending call ends is open (AMB-20); ERROR_SUCCESS with a NULL pResp is not a notification.
    check_not_notified(
        rule,
        sent,
        unregistered,
        notified=bool(unregistered.notifications),
        observed=outcome,
        note=f"AsyncNotify with that handle, sent {'before UnRegister' if pending else 'after the move'}",
    )


@case(
    "SWN-3.1.4.4-search-by-key",
    "SWN-3.1.4.4-concurrent-registrations",
    needs=_MOVES,
    syntaxes="both",
)
async def test_move_completes_the_right_call(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """With two calls pending on one connection, a client move completes that of the moved client only."""
    client = await witness.connect()
    address = await witness.address_of(0)
    first, second = [await listen(witness, client, ip_address=address) for _ in range(2)]
    host = await destination(witness, cluster, other_than=address)
    rule = spec("SWN-3.1.4.4-search-by-key", "SWN-3.1.4.4-concurrent-registrations")

    # One connection is one process of the server. If the move has the key of its registration and no name,
    # the server looks for the key, and that is the rule.
    sent = await cluster.move_client(second.name, host.node)
    (completed,) = await wait_for_notifications(second)
    (pending,) = await wait_quiet_time(first)
    rule.allows(completed, SUCCESS, note="the call of the moved client")
    rule.allows(
        pending, SILENCE, note=f"the call of the other client, sent earlier; the move was sent {sent.how}"
    )

    await cluster.move_client(first.name, host.node)
    (completed,) = await wait_for_notifications(first)
    rule.allows(completed, SUCCESS, note="the call of the other client, after its own move")


#: More handles than any client of a cluster has at a time.
HANDLES = 100


@case("SWN-3.1.1.3-key-unique", needs=("registrations:2",), lasts=5)
async def test_a_hundred_handles(witness: Witness, spec: Spec) -> None:
    """Up to 100 equal Register calls return different handles; UnRegister succeeds for each of them."""
    client = await witness.connect()
    request = witness.registration(ip_address=await witness.address_of(0))
    room = witness.facts.registrations or HANDLES

    began = time.monotonic()
    registered = await register_many(witness, client, request, min(HANDLES, room))
    handles = [outcome.response.context for outcome in registered if outcome == SUCCESS]
    unregistered = [
        await outcome_of(client.start(UnRegisterRequest(handle)), witness.expect.reply_deadline)
        for handle in handles
    ]
    took = time.monotonic() - began

    spec("SWN-3.1.1.3-key-unique").holds(
        len(set(handles)) == len(handles),
        expected=f"{len(handles)} different handles",
        observed=f"{len(set(handles))} different handles of {len(handles)}",
    )
    if took > witness.expect.unused_timeout / 2:
        spec("SWN-3.1.1.3-key-unique").record(
            f"{took:.1f} s for all calls: the first registrations may have been removed as unused (AMB-14)"
        )
        return
    others = [outcome for outcome in unregistered if outcome != SUCCESS]
    spec("SWN-3.1.1.3-key-unique").holds(
        not others,
        expected=f"{SUCCESS} for each UnRegister",
        observed=others[0] if others else f"{SUCCESS} for each of {len(unregistered)}",
        note=f"{len(others)} of {len(unregistered)} in another way" if others else "",
    )


@case("SWN-3.1.4.4-registration-survives", needs=_MOVES, lasts=12)
async def test_registration_after_a_move(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Record whether the server keeps a registration after it sent a client move."""
    listener = await listen(witness)
    host = await destination(witness, cluster, other_than=listener.address)

    await cluster.move_client(listener.name, host.node)
    await wait_for_notifications(listener)
    # A third of the unused timeout is longer than servers wait that remove it after a move (AMB-30).
    (later,) = await wait_for_notifications(listener, timeout=witness.expect.unused_timeout / 3)
    client = await witness.idle_connection(listener.client)
    ended = await outcome_of(client.start(UnRegisterRequest(listener.handle)))

    spec("SWN-3.1.4.4-registration-survives").record(
        f"the next AsyncNotify: {later}; then UnRegister: {ended}"
    )
    spec.choice("AMB-30", "kept" if later == SILENCE else f"ended after CLIENT_MOVE: {later}")


@case("SWN-3.1.4.2-entry-netname", "SWN-3.1.4.5-entry-netname", needs=("version-2", "list-registrations"))
async def test_net_name_is_kept(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The cluster's list of registrations shows the NetName that the client registered."""
    listeners = [await listen(witness, version=version) for version in (1, 2)]

    net_names = {each.client_computer_name: each.net_name for each in await cluster.registrations()}

    rules = ("SWN-3.1.4.2-entry-netname", "SWN-3.1.4.5-entry-netname")
    for rule, listener in zip(rules, listeners, strict=True):
        spec(rule).equal(net_names.get(listener.name), witness.net_name)


@case("SWN-3.1.4.5-share-enum-fails", needs=("version-2", "variant:no-share-service"))
async def test_share_enumeration_fails(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """RegisterEx for a share returns ERROR_INVALID_STATE (0x139F) if NetrShareEnum fails."""
    server = await variant("no-share-service")
    await check_no_share(spec, "SWN-3.1.4.5-share-enum-fails", "NetrShareEnum fails", server)


@case("SWN-3.1.4.5-share-enum-empty", needs=("version-2", "variant:no-shares"))
async def test_no_share_at_all(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """RegisterEx for a share returns ERROR_INVALID_STATE (0x139F) if NetrShareEnum returns no share."""
    server = await variant("no-shares")
    await check_no_share(spec, "SWN-3.1.4.5-share-enum-empty", "NetrShareEnum returns no share", server)


async def check_no_share(spec: Spec, requirement: str, why: str, witness: Witness) -> None:
    """Check that RegisterEx for a share is rejected where the shares cannot be listed; `why` says why."""
    client = await witness.connect()
    address = await witness.address_of(0)

    reply = await outcome_of(client.start(witness.registration_ex(share_name="SHARE", ip_address=address)))
    version_1 = await outcome_of(client.start(witness.registration(ip_address=address)))

    spec(requirement).allows(reply, returns(Win32.ERROR_INVALID_STATE))
    spec.choice("AMB-31", f"Register, {why}: {version_1}")
