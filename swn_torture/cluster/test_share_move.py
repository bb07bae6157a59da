"""AsyncNotify answered with a share move (MS-SWN 3.1.4.4, 3.1.6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.harness import case
from swn_torture.harness.answer_rules import SUCCESS_RULES, check_move, check_move_to_ipv6, move_rules
from swn_torture.harness.buffer_rules import naming
from swn_torture.harness.steps import (
    SUCCESS,
    Listener,
    destination,
    destinations,
    hear_late,
    hear_out,
    listen,
    share_of,
)
from swn_torture.witness.constants import AddressFlags, MessageType

if TYPE_CHECKING:
    from swn_torture.control.base import Controller
    from swn_torture.harness import Law
    from swn_torture.harness.witness import Witness

_NEEDS = ("version-2", "any-share", "move-share", "move-client", "list-nodes", "two-nodes")


@case(
    *SUCCESS_RULES,
    *move_rules("share"),
    "SWN-3.1.4.4-wakes-on-share-move",
    "SWN-3.1.4.5-share-flag-true",
    needs=_NEEDS,
    syntaxes="both",
)
async def test_answer(witness: Witness, law: Law, cluster: Controller) -> None:
    """A client that registered for a share is told the addresses of the node that the share moves to."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share)
    there = await destinations(witness, cluster, beside=listener.address)
    home = max(there, key=lambda each: len(each.addresses))

    await cluster.move_share(share, home.node, client=listener.name)
    outcome = await hear_late(law, cluster, listener, MessageType.SHARE_MOVE, home)

    law(*SUCCESS_RULES, "SWN-3.1.4.4-wakes-on-share-move").allows(outcome, SUCCESS)
    notice = listener.notice(law, "SWN-3.1.4.5-share-flag-true")
    law("SWN-3.1.4.5-share-flag-true").equal(
        notice.message_type, MessageType.SHARE_MOVE, show=naming(MessageType)
    )
    told = check_move(law, "share", notice, home)
    flags = sorted({entry.flags & AddressFlags(0x1B) for entry in told.entries})
    law.choice("AMB-15", f"share move: {', '.join(map(naming(AddressFlags), flags))}")


@case(*move_rules("share", ipv6=True), needs=_NEEDS, syntaxes="both")
async def test_ipv6(witness: Witness, law: Law, cluster: Controller) -> None:
    """A share move to a node with IPv6 addresses is answered with these in IPV6."""
    share = share_of(witness)
    listener = await listen(witness, share_name=share)
    home = await destination(witness, cluster, beside=listener.address, ipv6=True)

    await cluster.move_share(share, home.node, client=listener.name)
    await hear_late(law, cluster, listener, MessageType.SHARE_MOVE, home)

    check_move_to_ipv6(law, "share", listener.notice(law, "SWN-3.1.4.4-share-type"), home)


@case(
    "SWN-3.1.4.5-entry-sharename",
    "SWN-3.1.4.5-share-flag-false",
    "SWN-3.1.4.5-entry-client-version",
    "SWN-3.1.4.4-share-needs-v2-client",
    "SWN-3.1.4.2-v2-client-version",
    "SWN-3.1.4.2-v2-no-share-notification",
    "SWN-3.1.4.4-processed-removed-share",
    needs=_NEEDS,
)
async def test_who_is_told(witness: Witness, law: Law, cluster: Controller) -> None:
    """A share move is told once, to the registrations of the client for that share, and to no other."""
    share, name, address = share_of(witness), witness.client_name(), await witness.address_of(0)
    mine: dict[str, Any] = {"client_computer_name": name, "ip_address": address}
    told = await listen(witness, share_name=share, **mine)
    of_version_1 = await listen(witness, version=1, **mine)
    without_share = await listen(witness, **mine)
    of_another = await listen(witness, share_name=share, ip_address=address)
    other_share = await listen(witness, share_name=share_of(witness, share), **mine)
    home = await destination(witness, cluster, beside=address)

    await cluster.move_share(share, home.node, client=name)
    same_client = (of_version_1, without_share, other_share)
    await hear_late(law, cluster, told, MessageType.SHARE_MOVE, home, *same_client)
    heard = told.notice(law, "SWN-3.1.4.5-entry-client-version", "SWN-3.1.4.5-entry-sharename")
    law("SWN-3.1.4.5-entry-client-version").equal(
        heard.message_type,
        MessageType.SHARE_MOVE,
        show=naming(MessageType),
        note="registration of version 2",
    )

    await hear_out(told, of_version_1, without_share, of_another, other_share)

    def check_told(listener: Listener, times: int, note: str, *ids: str) -> None:
        law(*ids).equal(
            len(listener.told_of(MessageType.SHARE_MOVE)),
            times,
            show=lambda number: f"told {number} times of the share move",
            note=note,
        )

    check_told(told, 1, "AsyncNotify again until nothing comes", "SWN-3.1.4.4-processed-removed-share")
    check_told(
        of_version_1,
        0,
        "registration of version 1 under the same client name",
        "SWN-3.1.4.4-share-needs-v2-client",
        "SWN-3.1.4.2-v2-client-version",
        "SWN-3.1.4.2-v2-no-share-notification",
        "SWN-3.1.4.5-entry-client-version",
    )
    check_told(without_share, 0, "registration with ShareName NULL", "SWN-3.1.4.5-share-flag-false")
    another = f"registration for {other_share.fields['share_name']}, not {share}"
    check_told(other_share, 0, another, "SWN-3.1.4.5-entry-sharename")
    check_told(of_another, 0, "registration of another client", "SWN-3.1.4.5-entry-sharename")
