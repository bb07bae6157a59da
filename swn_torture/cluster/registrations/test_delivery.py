"""Who is told of an event and who is not (MS-SWN 3.1.4.2 to 3.1.4.5, 3.1.6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import SILENCE, case, outcome_of, returns
from swn_torture.casekit.protocol import MessageType, UnRegisterRequest, Win32
from swn_torture.casekit.rules.notification_rules import naming
from swn_torture.casekit.steps.host_nodes import destination, share_of
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
    drain_notifications,
    listen,
    wait_for_notifications,
    wait_or_move_client,
    wait_quiet_time,
)

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
async def test_registered_afterwards(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A registration made after moves under its client name starts with nothing pending."""
    share = share_of(witness)
    mine: dict[str, Any] = {
        "client_computer_name": witness.client_name(),
        "ip_address": await witness.address_of(0),
    }
    early = await listen(witness, share_name=share, **mine)
    host = await destination(witness, cluster, other_than=early.address)
    (unprompted,) = await wait_quiet_time(early)
    spec.choice(
        "AMB-33",
        "nothing is told straight after registering for a share"
        if unprompted == SILENCE
        else f"straight after registering for a share: {unprompted}",
    )
    await cluster.move_client(early.name, host.node)
    await wait_for_notifications(early)
    await cluster.move_share(share, host.node, client=early.name)
    await wait_or_move_client(spec, cluster, early, MessageType.SHARE_MOVE, host)

    late_1 = await listen(witness, version=1, **mine)
    late_2 = await listen(witness, share_name=share, **mine)
    await drain_notifications(late_1, late_2)

    for listener, kind, requirement in (
        (late_1, MessageType.CLIENT_MOVE, "SWN-3.1.4.2-no-initial-move"),
        (late_1, MessageType.SHARE_MOVE, "SWN-3.1.4.2-v2-pending-share-empty"),
        (late_2, MessageType.CLIENT_MOVE, "SWN-3.1.4.5-no-initial-move"),
        (late_2, MessageType.SHARE_MOVE, "SWN-3.1.4.5-no-initial-share"),
    ):
        if kind == MessageType.SHARE_MOVE and listener is late_2 and unprompted == SUCCESS:
            spec(requirement).record("every registration for the share is told to move at once (AMB-33)")
            continue
        spec(requirement).holds(
            not listener.notifications_of(kind),
            expected=f"no {kind.name}: it was told to the registration of that time",
            observed="; ".join(map(str, listener.notified)) or listener.outcome,
        )


@case("SWN-3.1.4.3-no-more-notifications", needs=("version-2", *_MOVES))
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("asks", [False, True], ids=["idle", "outstanding"])
async def test_nothing_after_unregister(
    witness: Witness, spec: Spec, cluster: Controller, version: int, *, asks: bool
) -> None:
    """A registration that was removed is told nothing of a move; another one of the client is."""
    name, address = witness.client_name(), await witness.address_of(0)
    client = await witness.connect()
    gone, stays = [
        await listen(
            witness, client, version=version, asks=asks, client_computer_name=name, ip_address=address
        )
        for _ in range(2)
    ]
    host = await destination(witness, cluster, other_than=address)
    unregistered = await outcome_of(client.start(UnRegisterRequest(gone.handle)))
    if unregistered != SUCCESS:
        raise spec.precondition_failed(
            "SWN-3.1.4.3-returns-success",
            expected=str(SUCCESS),
            observed=unregistered,
            note="UnRegister as a stimulus",
        )

    await cluster.move_client(name, host.node)
    await wait_for_notifications(stays)
    (outcome,) = await wait_quiet_time(gone)

    rule = spec("SWN-3.1.4.3-no-more-notifications")
    rule.equal(
        stays.notification(spec, "SWN-3.1.4.3-no-more-notifications").message_type,
        MessageType.CLIENT_MOVE,
        show=naming(MessageType),
        note="the registration that stays",
    )
    rule.holds(
        outcome != SUCCESS,
        expected="no notification",
        observed=outcome,
        note=f"AsyncNotify with that handle, {'outstanding since before' if asks else 'after the move'}",
    )


@case(
    "SWN-3.1.4.4-search-by-key",
    "SWN-3.1.4.4-concurrent-registrations",
    needs=_MOVES,
    syntaxes="both",
)
async def test_calls_are_told_apart(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Of two calls on one connection a move answers the one whose registration it concerns."""
    client = await witness.connect()
    address = await witness.address_of(0)
    first, second = [await listen(witness, client, ip_address=address) for _ in range(2)]
    host = await destination(witness, cluster, other_than=address)
    rule = spec("SWN-3.1.4.4-search-by-key", "SWN-3.1.4.4-concurrent-registrations")

    await cluster.move_client(second.name, host.node)
    answered, other = await asyncio.gather(wait_for_notifications(second), wait_quiet_time(first))
    rule.allows(answered[0], SUCCESS, note="the call of the client that was moved")
    rule.allows(other[0], SILENCE, note="the call that was sent before it, of another client")

    await cluster.move_client(first.name, host.node)
    (answered,) = [await wait_for_notifications(first)]
    rule.allows(answered[0], SUCCESS, note="that call, when its client was moved as well")


@case("SWN-3.1.1.3-key-unique", lasts=5)
async def test_a_hundred_handles(witness: Witness, spec: Spec) -> None:
    """A hundred registrations that are alike have a hundred handles, each of which can be unregistered."""
    client = await witness.connect()
    request = witness.registration(ip_address=await witness.address_of(0))

    registered = [await outcome_of(client.start(request)) for _ in range(100)]
    handles = [outcome.response.context for outcome in registered if outcome == SUCCESS]
    ended = [await outcome_of(client.start(UnRegisterRequest(handle))) for handle in handles]

    spec("SWN-3.1.1.3-key-unique").holds(
        len(set(handles)) == len(registered),
        expected="100 different handles",
        observed=f"{len(set(handles))} different handles of {len(handles)}",
    )
    spec("SWN-3.1.1.3-key-unique").holds(
        all(outcome == SUCCESS for outcome in ended),
        expected=f"{SUCCESS} for each UnRegister",
        observed=", ".join(sorted({str(outcome) for outcome in ended})) or "none was possible",
    )


@case("SWN-3.1.4.4-registration-survives", needs=_MOVES, lasts=12)
async def test_life_after_a_move(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A registration that was told of a move is still there a while later, or is not."""
    listener = await listen(witness)
    host = await destination(witness, cluster, other_than=listener.address)

    await cluster.move_client(listener.name, host.node)
    await wait_for_notifications(listener)
    # A third of the time that an unused registration lives: long enough for a server that ends it (AMB-30).
    (later,) = await wait_for_notifications(listener, timeout=witness.expect.unused_timeout / 3)
    ended = await outcome_of(listener.client.start(UnRegisterRequest(listener.handle)))

    spec("SWN-3.1.4.4-registration-survives").record(
        f"the next AsyncNotify: {later}; then UnRegister: {ended}"
    )
    spec.choice("AMB-30", "kept" if later == SILENCE else f"ended after it was told to move: {later}")


@case("SWN-3.1.4.2-entry-netname", "SWN-3.1.4.5-entry-netname", needs=("version-2", "list-registrations"))
async def test_net_name_is_kept(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The cluster's own list of registrations shows the NetName that a client gave."""
    listeners = [await listen(witness, version=version) for version in (1, 2)]

    known = {each.client_computer_name: each.net_name for each in await cluster.registrations()}

    for section, listener in zip((2, 5), listeners, strict=True):
        spec(f"SWN-3.1.4.{section}-entry-netname").equal(known.get(listener.name), witness.net_name)


@case(
    "SWN-2.2.2.4-share-move-v2-only",
    "SWN-2.2.2.4-ip-change-v2-only",
    "SWN-3.1.4.4-share-needs-v2-server",
    "SWN-3.1.4.4-ip-needs-v2-server",
    needs=("variant:version-1", "any-share", "move-share", "change-address"),
    syntaxes="both",
)
async def test_version_1_server(spec: Spec, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """A server of version 1 tells neither of share moves nor of address changes, yet of client moves."""
    witness = await variant("version-1")
    cluster = witness.cluster
    assert cluster is not None
    listener = await listen(witness, version=1)
    host = await destination(witness, cluster, other_than=listener.address)
    spare = witness.expect.spare_addresses[0]

    await cluster.move_share(share_of(witness), host.node, client=listener.name)
    await cluster.add_address(host.node, spare)
    await cluster.remove_address(host.node, spare)
    await drain_notifications(listener)
    await cluster.move_client(listener.name, host.node)
    await drain_notifications(listener)

    for kind, *ids in (
        (MessageType.SHARE_MOVE, "SWN-3.1.4.4-share-needs-v2-server", "SWN-2.2.2.4-share-move-v2-only"),
        (MessageType.IP_CHANGE, "SWN-3.1.4.4-ip-needs-v2-server", "SWN-2.2.2.4-ip-change-v2-only"),
    ):
        spec(*ids).holds(
            bool(listener.notifications_of(MessageType.CLIENT_MOVE)) and not listener.notifications_of(kind),
            expected=f"CLIENT_MOVE, but no {kind.name}",
            observed="; ".join(map(str, listener.notified)) or listener.outcome,
        )


@case(
    "SWN-3.1.4.5-share-enum-fails",
    "SWN-3.1.4.5-share-enum-empty",
    needs=("version-2", "variant:no-share-service", "variant:no-shares"),
)
@pytest.mark.parametrize(
    ("name", "requirement"),
    [
        ("no-share-service", "SWN-3.1.4.5-share-enum-fails"),
        ("no-shares", "SWN-3.1.4.5-share-enum-empty"),
    ],
    ids=["failing", "empty"],
)
async def test_shares_that_cannot_be_listed(
    spec: Spec, variant: Callable[[str], Awaitable[Witness]], name: str, requirement: str
) -> None:
    """RegisterEx for a share is refused while the server can list no share; what Register does is open."""
    witness = await variant(name)
    client = await witness.connect()
    address = await witness.address_of(0)

    reply = await outcome_of(client.start(witness.registration_ex(share_name="SHARE", ip_address=address)))
    version_1 = await outcome_of(client.start(witness.registration(ip_address=address)))

    spec(requirement).allows(reply, returns(Win32.ERROR_INVALID_STATE))
    spec.choice("AMB-31", f"Register, {name}: {version_1}")
