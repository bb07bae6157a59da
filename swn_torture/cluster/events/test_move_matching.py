"""Which registrations a client move or a share move notifies (MS-SWN 3.1.6.2, 3.1.6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, SUCCESS, case
from swn_torture.casekit.cluster import Capability, ControllerError, Stimulus
from swn_torture.casekit.protocol import AddressFlags, MessageType
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.effects import see_move, wait_until_events_arrive
from swn_torture.casekit.steps.host_nodes import HostNode, destination, destinations, share_of
from swn_torture.casekit.steps.interface_list import wait_until_listed
from swn_torture.casekit.steps.listeners import (
    Listener,
    answered_when_called_again,
    drain_notifications,
    listen,
    versions,
    wait_for_notifications,
    wait_or_move_client,
    wait_quiet_time,
)
from swn_torture.casekit.steps.registering import version_1_server
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

_MOVES = ("move-client", "list-nodes", "two-nodes")
_SHARES = ("version-2", "move-share", "any-share", "list-nodes", "two-nodes")


# Client moves
# ----------------------------------------------------------------------------------------------------------


@case("SWN-3.1.6.2-match-client", "SWN-3.1.6.2-wake", needs=_MOVES)
async def test_move_matches_client_name(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client move completes the pending calls of that client; calls under other names stay pending."""
    name = witness.client_name()
    of_client = [
        await listen(witness, client_computer_name=name, version=version) for version in versions(witness)
    ]
    of_others = [
        await listen(witness, version=1, client_computer_name=other)
        for other in (witness.client_name(), f"{name}X", name[:-1])
    ]
    host = await destination(witness, cluster, other_than=of_others[0].address)

    sent = await cluster.move_client(name, host.node, not_for=[other.key for other in of_others])
    outcomes = await wait_for_notifications(*of_client)
    other_outcomes = await wait_quiet_time(*of_others)

    for listener, outcome in zip(of_client, outcomes, strict=True):
        spec("SWN-3.1.6.2-wake", "SWN-3.1.6.2-match-client").allows(outcome, SUCCESS)
        notification = listener.notification(spec, "SWN-3.1.6.2-wake")
        spec("SWN-3.1.6.2-wake").equal(
            notification.message_type,
            MessageType.CLIENT_MOVE,
            show=show_as(MessageType),
            note=str(notification),
        )
    for listener, outcome in zip(of_others, other_outcomes, strict=True):
        check_not_notified(
            spec("SWN-3.1.6.2-match-client"),
            sent,
            listener,
            notified=outcome != SILENCE,
            expected=str(SILENCE),
            observed=outcome,
            note=f"registered as {listener.name}; the move is for {name}",
        )


@case("SWN-3.1.6.2-set-move", needs=_MOVES)
async def test_later_move_replaces_earlier(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Move a client twice, then call AsyncNotify: it returns the second destination only."""
    first, second, *_ = await destinations(witness, cluster, at_least=2)
    probe = await listen(witness, version=1)
    listener = await listen(witness, version=1, client_computer_name=probe.name, async_notify=False)

    for host in (first, second):
        move = cluster.move_client(listener.name, host.node)
        await see_move(cluster, probe, MessageType.CLIENT_MOVE, move)
    await drain_notifications(listener)
    if not listener.notifications and listener.expired:
        raise NotTestable("the moves took longer than the server keeps an unused registration")

    check_only_last(spec, listener, MessageType.CLIENT_MOVE, second, "SWN-3.1.6.2-set-move")


def check_only_last(spec: Spec, listener: Listener, kind: MessageType, host: HostNode, rule: str) -> None:
    """Check that two events of one kind led to one notification, with the addresses of the later node."""
    notifications = listener.notifications_of(kind)
    spec(rule).holds(
        len(notifications) == 1 and set(notifications[0].addresses) == set(host.addresses),
        expected=f"{kind.name} once, with the addresses of {host.node}: {', '.join(host.addresses)}",
        observed=listener.received,
    )


@case("SWN-3.1.6.2-destination-forms", needs=_MOVES)
async def test_destination_forms(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Move clients to a node, a group name, IP addresses and a host name; record the results."""
    host = await destination(witness, cluster, other_than=await witness.address_of(0))
    forms = {"a node": host.node, "an interface group": host.interfaces[0].group_name}
    forms |= {f"an IPv{address.version} address": str(address) for address in host.ips}
    forms |= {"a full host name": f"{host.node}.swn.test"}
    listeners = {form: await listen(witness, version=1) for form in forms}

    rejected, sent = {}, {}
    for form, listener in listeners.items():
        try:
            sent[form] = await cluster.move_client(listener.name, forms[form])
        except ControllerError as problem:
            rejected[form] = str(problem)
    await wait_until_events_arrive(witness, cluster)
    await wait_quiet_time(*(listener for form, listener in listeners.items() if form not in rejected))

    for form, listener in listeners.items():
        result = f"not supported: {rejected[form]}" if form in rejected else listener.received
        how = f"sent {sent[form].how}" if form in sent else ""
        spec("SWN-3.1.6.2-destination-forms").record(f"{form}, {forms[form]}: {result}", how)
        spec.choice(
            "AMB-19",
            f"a move to {form}: {'not supported' if form in rejected else count_addresses(listener)}",
        )


def count_addresses(listener: Listener) -> str:
    """The number of addresses in the last notification, for a report."""
    if listener.outcome != SUCCESS or not listener.notifications:
        return "no notification"
    number = len(listener.notifications[-1].entries)
    return f"{number} address{'' if number == 1 else 'es'}"


@case("SWN-3.1.6.2-clientname-compare", needs=_MOVES)
async def test_client_name_in_another_form(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Move clients by their names in other case, with and without a domain; record who is notified."""
    host = await destination(witness, cluster, other_than=await witness.address_of(0))
    short, full = witness.client_name(), f"{witness.client_name()}.contoso.com"
    forms = {
        "upper and lower case exchanged": (full, full.swapcase()),
        "without the registered domain": (f"{short}A.contoso.com", f"{short}A"),
        "with a domain that was not registered": (f"{short}B", f"{short}B.contoso.com"),
    }
    listeners = {
        form: await listen(witness, version=1, client_computer_name=names[0]) for form, names in forms.items()
    }

    sent = {
        form: await move_if_registered(cluster.move_client(names[1], host.node))
        for form, names in forms.items()
    }
    await wait_until_events_arrive(witness, cluster)
    await wait_quiet_time(*listeners.values())

    for form, listener in listeners.items():
        spec("SWN-3.1.6.2-clientname-compare").record(
            f"registered as {forms[form][0]}, moved as {forms[form][1]}: {listener.received}",
            f"{form}; {how_sent(sent[form])}",
        )


async def move_if_registered(move: Awaitable[Stimulus]) -> Stimulus | None:
    """Run a move; None if the controller reports that no registration matches, so that it sent nothing."""
    try:
        return await move
    except ControllerError:
        return None


def how_sent(sent: Stimulus | None) -> str:
    """How a move was sent, for a note."""
    return (
        f"sent {sent.how}" if sent else "the controller found no registration that matches, and sent nothing"
    )


# Share moves
# ----------------------------------------------------------------------------------------------------------


@case("SWN-3.1.6.3-match", "SWN-3.1.6.3-wake", needs=_SHARES)
async def test_share_move_matches_client_and_share(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A share move notifies the version 2 registration of that client for that share, and no other."""
    share = share_of(witness)
    matching: dict[str, Any] = {"client_computer_name": witness.client_name(), "share_name": share}
    match = await listen(witness, **matching)
    other_client = await listen(witness, share_name=share)
    no_share = await listen(witness, **{**matching, "share_name": None})
    version_1 = await listen(witness, version=1, client_computer_name=match.name)
    others = {"another client": other_client, "ShareName NULL": no_share, "version 1": version_1}
    if len(witness.expect.shares) > 1:
        others["another share"] = await listen(
            witness, **{**matching, "share_name": share_of(witness, share)}
        )
    host = await destination(witness, cluster, other_than=match.address)
    # Some servers send SHARE_MOVE at once to every registration for a share (AMB-33); do not count that.
    await drain_notifications(match, *others.values())
    received_before = {what: len(listener.notifications) for what, listener in others.items()}

    sent = await cluster.move_share(
        share, host.node, client=match.name, not_for=[listener.key for listener in others.values()]
    )
    (outcome,) = await wait_for_notifications(match)
    if outcome == SILENCE:
        if await answered_when_called_again(match):
            note = "an AsyncNotify completes only after a second one is sent"
            spec("SWN-3.1.6.3-wake").allows(outcome, SUCCESS, note=note)
            raise spec.stop()
        quiet = witness.expect.quiet_time
        outcome = await wait_or_move_client(spec, cluster, match, MessageType.SHARE_MOVE, host, timeout=quiet)
    await drain_notifications(*others.values())

    spec("SWN-3.1.6.3-wake", "SWN-3.1.6.3-match").allows(outcome, SUCCESS)
    notification = match.notification(spec, "SWN-3.1.6.3-wake")
    spec("SWN-3.1.6.3-wake", "SWN-3.1.6.3-match").equal(
        notification.message_type, MessageType.SHARE_MOVE, show=show_as(MessageType), note=str(notification)
    )
    for what, listener in others.items():
        received = listener.notifications[received_before[what] :]
        check_not_notified(
            spec("SWN-3.1.6.3-match"),
            sent,
            listener,
            notified=any(each.message_type == MessageType.SHARE_MOVE for each in received),
            expected="no SHARE_MOVE",
            observed="; ".join(map(str, received)) or listener.outcome,
            note=f"registration with {what}",
        )


@case("SWN-3.1.6.3-set", needs=_SHARES)
async def test_later_share_move_replaces_earlier(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Move a share twice, then call AsyncNotify: it returns the second destination only."""
    share = share_of(witness)
    first, second, *_ = await destinations(witness, cluster, at_least=2)
    probe = await listen(witness, share_name=share)
    name: dict[str, Any] = {"client_computer_name": probe.name}
    listener = await listen(witness, share_name=share, async_notify=False, **name)

    for host in (first, second):
        move = cluster.move_share(share, host.node, client=listener.name)
        await see_move(cluster, probe, MessageType.SHARE_MOVE, move)
    if listener.may_be_gone:
        raise NotTestable("the moves took longer than the server keeps an unused registration")
    await drain_notifications(listener)
    if not listener.notifications:
        await wait_or_move_client(spec, cluster, listener, MessageType.SHARE_MOVE, second)

    check_only_last(spec, listener, MessageType.SHARE_MOVE, second, "SWN-3.1.6.3-set")


@case("SWN-3.1.6.3-sharename-compare", needs=_SHARES)
async def test_share_name_in_other_case(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Move a share by its name in other case; record whether its client is notified."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share)
    host = await destination(witness, cluster, other_than=listener.address)

    move = cluster.move_share(share.swapcase(), host.node, client=listener.name)
    sent = await move_if_registered(move)
    await wait_until_events_arrive(witness, cluster)
    await wait_quiet_time(listener)

    spec("SWN-3.1.6.3-sharename-compare").record(
        f"registered for {share}, moved as {share.swapcase()}: {listener.received}", how_sent(sent)
    )


# Servers of version 1
# ----------------------------------------------------------------------------------------------------------


_SHARE_MOVE_RULES = ("SWN-3.1.4.4-share-needs-v2-server", "SWN-2.2.2.4-share-move-v2-only")
_IP_CHANGE_RULES = ("SWN-3.1.4.4-ip-needs-v2-server", "SWN-2.2.2.4-ip-change-v2-only")


@case(
    *_SHARE_MOVE_RULES,
    *_IP_CHANGE_RULES,
    "SWN-2.2.2.1-online",
    "SWN-2.2.2.1-offline",
    "SWN-3.1.6.3-v2-only",
    "SWN-3.1.6.4-v2-only",
    needs=("version-1",),
    syntaxes="both",
)
async def test_version_1_server(
    witness: Witness, spec: Spec, cluster: Controller, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A version 1 server sends CLIENT_MOVE without ONLINE or OFFLINE; no SHARE_MOVE, no IP_CHANGE."""
    server = await version_1_server(witness, variant)
    controller = server.cluster or cluster
    listener = await listen(server, version=1)
    host = await destination(server, controller, other_than=listener.address)
    # The rules about the events that the cluster can cause, by the notification that must not follow.
    rules: dict[MessageType, tuple[str, ...]] = {}
    if await check_share_move_ignored(spec, controller, listener, host):
        rules[MessageType.SHARE_MOVE] = _SHARE_MOVE_RULES
    if await check_address_change_ignored(spec, controller, listener, host):
        rules[MessageType.IP_CHANGE] = _IP_CHANGE_RULES

    await controller.move_client(listener.name, host.node)
    await wait_for_notifications(listener)
    notification = listener.notification(spec, "SWN-2.2.2.1-online", event="SWN-3.1.6.2-wake")
    spec("SWN-3.1.6.3-v2-only", "SWN-3.1.6.4-v2-only").equal(
        notification.message_type,
        MessageType.CLIENT_MOVE,
        show=show_as(MessageType),
        note="the response after the client move",
    )
    await drain_notifications(listener)

    moves = listener.notifications_of(MessageType.CLIENT_MOVE)
    for kind, ids in rules.items():
        spec(*ids).holds(
            bool(moves) and not listener.notifications_of(kind),
            expected=f"CLIENT_MOVE, but no {kind.name}",
            observed=listener.received,
        )
    entries = [entry for move in moves for entry in move.entries]
    for rule, bit in (
        ("SWN-2.2.2.1-online", AddressFlags.ONLINE),
        ("SWN-2.2.2.1-offline", AddressFlags.OFFLINE),
    ):
        spec(rule).holds(
            bool(entries) and not any(entry.flags & bit for entry in entries),
            expected=f"at least one entry, none with IPADDR_{bit.name}: only version 2 defines it",
            observed=listener.received,
        )


async def check_share_move_ignored(
    spec: Spec, cluster: Controller, listener: Listener, host: HostNode
) -> bool:
    """Check that no SHARE_MOVE follows while a share moves; False if the server does not learn of one."""
    witness = listener.witness
    if not (witness.expect.shares and cluster.can(Capability.MOVE_SHARE)):
        return False
    share = share_of(witness)
    move = cluster.move_share(share, host.node, client=listener.name, not_for=[listener.key])
    sent = await move_if_registered(move)
    if sent is None:
        return False
    await wait_until_events_arrive(witness, cluster)
    await drain_notifications(listener)
    check_not_notified(
        spec("SWN-3.1.6.3-v2-only"),
        sent,
        listener,
        notified=bool(listener.notifications_of(MessageType.SHARE_MOVE)) or listener.outcome != SILENCE,
        expected="the call stays pending",
        observed=listener.received,
        note=f"after a move of {share} to {host.node}",
    )
    return sent.reaches(listener.key)


async def check_address_change_ignored(
    spec: Spec, cluster: Controller, listener: Listener, host: HostNode
) -> bool:
    """Check that no IP_CHANGE follows while an address is added; False if the cluster cannot add one."""
    witness = listener.witness
    spares = witness.expect.spare_addresses
    if not (spares and cluster.can(Capability.CHANGE_ADDRESS)):
        return False
    await cluster.add_address(host.node, spares[0])
    await wait_until_listed(witness, spares[0])
    await wait_until_events_arrive(witness, cluster)
    await drain_notifications(listener)
    sent = cluster.stimulus(Capability.CHANGE_ADDRESS)
    check_not_notified(
        spec("SWN-3.1.6.4-v2-only"),
        sent,
        listener,
        notified=bool(listener.notifications_of(MessageType.IP_CHANGE)) or listener.outcome != SILENCE,
        expected="the call stays pending",
        observed=listener.received,
        note=f"after {spares[0]} was added to {host.node}",
    )
    await cluster.remove_address(host.node, spares[0])
    await wait_until_listed(witness, spares[0], gone=True)
    return sent.reaches(listener.key)
