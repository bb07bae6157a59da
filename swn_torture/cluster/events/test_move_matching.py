"""Which registrations a move of a client or of a share applies to (MS-SWN 3.1.6.2, 3.1.6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, case
from swn_torture.casekit.cluster import Capability, ControllerError
from swn_torture.casekit.protocol import MessageType
from swn_torture.casekit.rules.notification_rules import naming
from swn_torture.casekit.steps.host_nodes import HostNode, destination, destinations, share_of
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
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

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

_MOVES = ("move-client", "list-nodes", "two-nodes")
_SHARES = ("version-2", "move-share", "any-share", "list-nodes", "two-nodes")


def notified(listener: Listener) -> str:
    """All that a listener heard, for a report."""
    return "; ".join(map(str, listener.notified)) or str(listener.outcome)


# Client moves
# ----------------------------------------------------------------------------------------------------------


@case("SWN-3.1.6.2-match-client", "SWN-3.1.6.2-wake", needs=_MOVES)
async def test_move_goes_by_client_name(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Of waiting registrations those of the client that is moved are answered, and no others."""
    name = witness.client_name()
    mine = [
        await listen(witness, client_computer_name=name, version=version) for version in versions(witness)
    ]
    others = [
        await listen(witness, version=1, client_computer_name=other)
        for other in (witness.client_name(), f"{name}X", name[:-1])
    ]
    host = await destination(witness, cluster, other_than=others[0].address)

    await cluster.move_client(name, host.node)
    outcomes = await wait_for_notifications(*mine)
    silent = await wait_quiet_time(*others)

    for listener, outcome in zip(mine, outcomes, strict=True):
        spec("SWN-3.1.6.2-wake", "SWN-3.1.6.2-match-client").allows(outcome, SUCCESS)
        notification = listener.notification(spec, "SWN-3.1.6.2-wake")
        spec("SWN-3.1.6.2-wake").equal(
            notification.message_type,
            MessageType.CLIENT_MOVE,
            show=naming(MessageType),
            note=str(notification),
        )
    for listener, outcome in zip(others, silent, strict=True):
        spec("SWN-3.1.6.2-match-client").allows(
            outcome, SILENCE, note=f"registered as {listener.name}, while {name} was moved"
        )


@case("SWN-3.1.6.2-set-move", needs=(*_MOVES, "three-nodes"))
async def test_later_move_replaces_earlier(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client that is moved twice before it asks is told of the second destination alone."""
    listener = await listen(witness, version=1, asks=False)
    first, second = (await destinations(witness, cluster, other_than=listener.address))[:2]

    for host in (first, second):
        await cluster.move_client(listener.name, host.node)
    await drain_notifications(listener)

    check_last(spec, listener, MessageType.CLIENT_MOVE, second, "SWN-3.1.6.2-set-move")


def check_last(spec: Spec, listener: Listener, kind: MessageType, host: HostNode, rule: str) -> None:
    """Of two events of a kind only the second was told: the one about this node."""
    notifications = listener.notifications_of(kind)
    spec(rule).holds(
        len(notifications) == 1 and set(notifications[0].addresses) == set(host.addresses),
        expected=f"{kind.name} once, with the addresses of {host.node}: {', '.join(host.addresses)}",
        observed=notified(listener),
    )


@case("SWN-3.1.6.2-destination-forms", needs=_MOVES)
async def test_destination_forms(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client is moved to a node, an interface group, an address of either family, a host's full name."""
    host = await destination(witness, cluster, other_than=await witness.address_of(0))
    forms = {"node": host.node, "interface group": host.interfaces[0].group_name}
    forms |= {f"IPv{address.version} address": str(address) for address in host.ips}
    forms |= {"full name of the host": f"{host.node}.swn.test"}
    listeners = {form: await listen(witness, version=1) for form in forms}

    refused = {}
    for form, listener in listeners.items():
        try:
            await cluster.move_client(listener.name, forms[form])
        except ControllerError as problem:
            refused[form] = str(problem)
    await wait_quiet_time(*(listener for form, listener in listeners.items() if form not in refused))

    for form, listener in listeners.items():
        result = f"not offered: {refused[form]}" if form in refused else notified(listener)
        spec("SWN-3.1.6.2-destination-forms").record(f"{form} {forms[form]}: {result}")
        spec.choice(
            "AMB-19", f"a move to a {form}: {'not offered' if form in refused else told_how(listener)}"
        )


def told_how(listener: Listener) -> str:
    """How many addresses a listener was sent to."""
    if listener.outcome != SUCCESS or not listener.notified:
        return "no notification"
    return f"{len(listener.notified[-1].entries)} addresses"


@case("SWN-3.1.6.2-clientname-compare", needs=_MOVES)
async def test_client_name_in_another_form(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A client is moved by its name in other letters, in short, or in full: whether that is the same name."""
    host = await destination(witness, cluster, other_than=await witness.address_of(0))
    short, full = witness.client_name(), f"{witness.client_name()}.contoso.com"
    forms = {
        "in capitals and small letters exchanged": (full, full.swapcase()),
        "without its domain": (f"{short}A.contoso.com", f"{short}A"),
        "with a domain that it was registered without": (f"{short}B", f"{short}B.contoso.com"),
    }
    listeners = {
        form: await listen(witness, version=1, client_computer_name=names[0]) for form, names in forms.items()
    }

    for _, moved in forms.values():
        await move_if_there(cluster.move_client(moved, host.node))
    await wait_quiet_time(*listeners.values())

    for form, listener in listeners.items():
        spec("SWN-3.1.6.2-clientname-compare").record(
            f"registered as {forms[form][0]}, moved as {forms[form][1]}: {notified(listener)}", form
        )


async def move_if_there(order: Awaitable[None]) -> None:
    """Give an order; a controller that finds nobody whom it concerns says so by an error, and may."""
    try:
        await order
    except ControllerError:
        return


# Share moves
# ----------------------------------------------------------------------------------------------------------


@case("SWN-3.1.6.3-match", "SWN-3.1.6.3-wake", needs=_SHARES)
async def test_share_move_goes_by_client_and_share(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Of registrations that differ in client, share and version, the one that all three fit is answered."""
    share = share_of(witness)
    mine: dict[str, Any] = {"client_computer_name": witness.client_name(), "share_name": share}
    full = await listen(witness, **mine)
    other_client = await listen(witness, share_name=share)
    no_share = await listen(witness, **{**mine, "share_name": None})
    version_1 = await listen(witness, version=1, client_computer_name=full.name)
    others = {"another client": other_client, "ShareName NULL": no_share, "version 1": version_1}
    if len(witness.expect.shares) > 1:
        others["another share"] = await listen(witness, **{**mine, "share_name": share_of(witness, share)})
    host = await destination(witness, cluster, other_than=full.address)
    # Some servers tell whoever registers for a share where it is best reached (AMB-33): that is no event.
    await drain_notifications(full, *others.values())
    unprompted = {what: len(listener.notified) for what, listener in others.items()}

    await cluster.move_share(share, host.node, client=full.name)
    (outcome,) = await wait_for_notifications(full)
    if outcome == SILENCE:
        if await answered_when_called_again(full):
            spec("SWN-3.1.6.3-wake").allows(outcome, SUCCESS, note="answered after a second call")
            raise spec.stop()
        quiet = witness.expect.quiet_time
        outcome = await wait_or_move_client(spec, cluster, full, MessageType.SHARE_MOVE, host, timeout=quiet)
    await drain_notifications(*others.values())

    spec("SWN-3.1.6.3-wake", "SWN-3.1.6.3-match").allows(outcome, SUCCESS)
    notification = full.notification(spec, "SWN-3.1.6.3-wake")
    spec("SWN-3.1.6.3-wake", "SWN-3.1.6.3-match").equal(
        notification.message_type, MessageType.SHARE_MOVE, show=naming(MessageType), note=str(notification)
    )
    for what, listener in others.items():
        spec("SWN-3.1.6.3-match").holds(
            all(n.message_type != MessageType.SHARE_MOVE for n in listener.notified[unprompted[what] :]),
            expected="no SHARE_MOVE",
            observed="; ".join(map(str, listener.notified[unprompted[what] :])) or listener.outcome,
            note=f"registration with {what}",
        )


@case("SWN-3.1.6.3-set", needs=(*_SHARES, "three-nodes"))
async def test_later_share_move_replaces_earlier(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A share that moves twice before its client asks is told with the second destination alone."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share, asks=False)
    first, second = (await destinations(witness, cluster, other_than=listener.address))[:2]

    for host in (first, second):
        await cluster.move_share(share, host.node, client=listener.name)
    await drain_notifications(listener)
    if not listener.notified:
        await wait_or_move_client(spec, cluster, listener, MessageType.SHARE_MOVE, second)

    check_last(spec, listener, MessageType.SHARE_MOVE, second, "SWN-3.1.6.3-set")


@case("SWN-3.1.6.3-sharename-compare", needs=_SHARES)
async def test_share_name_in_other_letters(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A share is moved by its name in other letters: whether that is the same name."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share)
    host = await destination(witness, cluster, other_than=listener.address)

    await move_if_there(cluster.move_share(share.swapcase(), host.node, client=listener.name))
    await wait_quiet_time(listener)

    spec("SWN-3.1.6.3-sharename-compare").record(
        f"registered for {share}, moved as {share.swapcase()}: {notified(listener)}"
    )


# Servers of version 1
# ----------------------------------------------------------------------------------------------------------


@case("SWN-3.1.6.3-v2-only", "SWN-3.1.6.4-v2-only", needs=("version-1",))
async def test_version_1_server(
    witness: Witness, spec: Spec, cluster: Controller, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A server of version 1 tells nobody of share moves and new addresses, but of client moves."""
    old = await version_1_server(witness, variant)
    controller = old.cluster or cluster
    listener = await listen(old, version=1)
    host = await destination(old, controller, other_than=listener.address)
    expect = old.profile.expect

    await move_if_there(controller.move_share(expect.shares[0].name, host.node, client=listener.name))
    (after_share,) = await wait_quiet_time(listener)
    spec("SWN-3.1.6.3-v2-only").allows(after_share, SILENCE, note=f"{expect.shares[0].name} was moved")
    if controller.can(Capability.CHANGE_ADDRESS) and expect.spare_addresses:
        await controller.add_address(host.node, expect.spare_addresses[0])
        (after_address,) = await wait_quiet_time(listener)
        spec("SWN-3.1.6.4-v2-only").allows(
            after_address, SILENCE, note=f"{expect.spare_addresses[0]} was added to {host.node}"
        )
        await controller.remove_address(host.node, expect.spare_addresses[0])
    await controller.move_client(listener.name, host.node)
    await wait_for_notifications(listener)

    notification = listener.notification(spec, "SWN-3.1.6.3-v2-only")
    spec("SWN-3.1.6.3-v2-only", "SWN-3.1.6.4-v2-only").equal(
        notification.message_type,
        MessageType.CLIENT_MOVE,
        show=naming(MessageType),
        note="what it is told at last",
    )
