"""AsyncNotify answered with state changes of an interface (MS-SWN 3.1.4.4, 3.1.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.harness import case, outcome_of, returns
from swn_torture.harness.buffer_rules import check_length, fits, name_form, naming
from swn_torture.harness.notice import CHANGE_HEADER
from swn_torture.harness.steps import (
    SUCCESS,
    Home,
    Listener,
    bring_up,
    destinations,
    hear,
    hear_out,
    hear_past,
    homes,
    listen,
    take_down,
)
from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType
from swn_torture.witness.win32 import Win32

if TYPE_CHECKING:
    from swn_torture.control.base import Controller
    from swn_torture.harness import Law
    from swn_torture.harness.notice import Notice
    from swn_torture.harness.witness import Witness

_CHANGE_RULES = (
    "SWN-3.1.4.4-change-type",
    "SWN-3.1.4.4-change-buffer",
    "SWN-3.1.4.4-change-length",
    "SWN-3.1.4.4-change-name",
    "SWN-3.1.4.4-change-count",
    "SWN-3.1.4.4-change-total-length",
)


@case(
    *_CHANGE_RULES,
    "SWN-3.1.4.4-change-unavailable",
    "SWN-3.1.4.4-change-otherwise-available",
    "SWN-3.1.4.4-processed-removed-changes",
    "SWN-3.1.4.4-search-by-key",
    "SWN-3.1.4.4-move-offline",
    "SWN-2.2.2.1-offline",
    "SWN-3.1.4.2-entry-ipaddress",
    "SWN-3.1.4.5-entry-ipaddress",
    "SWN-3.1.4.2-entry-netname",
    "SWN-3.1.4.5-entry-netname",
    "SWN-3.1.4.2-no-initial-changes",
    "SWN-3.1.4.5-no-initial-changes",
    "SWN-B6-alias-single",
    needs=("version-2", "interface-event", "move-client", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
)
async def test_down_and_up(witness: Witness, law: Law, cluster: Controller) -> None:
    """An interface that goes down and comes up is told, in that order, to those who registered for it."""
    (home, *_) = await destinations(witness, cluster, beside=await witness.address_of(0))
    here: dict[str, Any] = {"ip_address": home.addresses[0]}
    groups = {interface.group_name for interface in await witness.interfaces()}
    first, second = [await listen(witness, version=version, **here) for version in (1, 2)]
    elsewhere = [await listen(witness, version=version) for version in (1, 2)]
    alias = await listen_as_alias(witness, second)

    host = await host_of(witness, cluster, elsewhere[0].address)
    await take_down(cluster, home.node)
    await hear(first, second, *alias)
    displaced = await host_of(witness, cluster, elsewhere[0].address) != host

    for version, listener in enumerate((first, second), 1):
        section = f"SWN-3.1.4.{_SECTION[version]}"
        notice = listener.notice(law, f"{section}-entry-netname", f"{section}-entry-ipaddress")
        law(f"{section}-entry-netname").equal(
            notice.message_type, MessageType.RESOURCE_CHANGE, show=naming(MessageType)
        )
        note = f"interface down, registration of version {version}"
        check_changes(law, listener, notice, groups, note)
        law("SWN-3.1.4.4-change-unavailable").equal(
            notice.changes[0].change_type, ChangeType.UNAVAILABLE, show=naming(ChangeType), note=note
        )
    record_alias(law, second, alias)

    late = [await listen(witness, version=version, **here) for version in (1, 2)]
    await check_offline(law, cluster, elsewhere[1], home)
    await hear_out(first, second, *late, *elsewhere)
    for listener in (first, second):
        law("SWN-3.1.4.4-processed-removed-changes").equal(
            listener.states_told.count(ChangeType.UNAVAILABLE),
            1,
            show=lambda times: f"UNAVAILABLE told {times} times",
            note="AsyncNotify again until nothing comes",
        )
    check_untold(law, late, "no-initial-changes", "registered while the interface was down already")

    await bring_up(cluster, home.node)
    overdue = [listener.may_be_gone for listener in late]
    outcomes = await hear(*late)

    for version, listener in enumerate(late, 1):
        if version == 1 and overdue[0] and outcomes[0] == returns(Win32.ERROR_NOT_FOUND):
            law.choice("AMB-14", "a registration of version 1 ends with an AsyncNotify outstanding")
            continue
        notice = listener.notice(law, "SWN-3.1.4.4-change-otherwise-available")
        note = f"interface up, registration of version {version}"
        check_changes(law, listener, notice, groups, note)
        law("SWN-3.1.4.4-change-otherwise-available").equal(
            notice.changes[-1].change_type, ChangeType.AVAILABLE, show=naming(ChangeType), note=note
        )
    displaced |= await host_of(witness, cluster, elsewhere[0].address) != host
    latest = [await listen(witness, version=version, **here) for version in (1, 2)]
    await hear_out(*latest, *elsewhere)
    check_untold(law, latest, "no-initial-changes", "registered after the interface was up again")
    if not displaced:
        check_untold(law, elsewhere, "entry-ipaddress", f"registered for {elsewhere[0].address}")
        law("SWN-3.1.4.4-search-by-key").holds(
            not any(listener.states_told for listener in elsewhere),
            expected="an answer to the calls of the registrations for that address only",
            observed="; ".join(str(n) for listener in elsewhere for n in listener.told) or "silence",
        )


async def host_of(witness: Witness, cluster: Controller, address: str) -> str | None:
    """The node that hosts an address: a cluster may move others, too, when it loses one."""
    return next((each.node for each in await homes(witness, cluster) if address in each.addresses), None)


#: Where MS-SWN describes the method that registers, by protocol version.
_SECTION = {1: 2, 2: 5}


def check_changes(law: Law, listener: Listener, notice: Notice, groups: set[str], note: str) -> None:
    """An answer about state changes is built as 3.1.4.4 has it.

    Raises:
        Stop: it is about something else, or holds no change.
    """
    if not law("SWN-3.1.4.4-change-type").equal(
        notice.message_type, MessageType.RESOURCE_CHANGE, show=naming(MessageType), note=note
    ):
        raise law.stop()
    law("SWN-3.1.4.4-change-buffer").holds(
        bool(notice.changes) and all(fits(notice)) and not notice.slack,
        expected="RESOURCE_CHANGE structures and nothing after them",
        observed=f"{sum(fits(notice))} whole ones, then {len(notice.slack)} octets",
        note=note,
    )
    law("SWN-3.1.4.4-change-count").holds(
        notice.number == len(notice.changes) > 0,
        expected="NumberOfMessages is the number of changes in the buffer, 1 at least",
        observed=f"{notice.number}, with {len(notice.changes)} changes and {len(notice.slack)} octets more",
        note=note,
    )
    if not notice.changes:
        raise law.stop()
    check_length(law, notice, "SWN-3.1.4.4-change-total-length", note=note)
    for change in notice.changes:
        law("SWN-3.1.4.4-change-length").equal(
            change.length, CHANGE_HEADER + 2 * (len(change.text) + 1), note=note
        )
        form = name_form(change.text, listener, groups)
        law("SWN-3.1.4.4-change-name").holds(
            form is not None,
            expected=f"{listener.fields['net_name']}, {listener.address} or one of {', '.join(groups)}",
            observed=change.text,
            note=note,
        )
        law.choice("AMB-11", form)


def check_untold(law: Law, listeners: list[Listener], slug: str, note: str) -> None:
    """Registrations of either version, in this order, that are told no state change."""
    for version, listener in enumerate(listeners, 1):
        law(f"SWN-3.1.4.{_SECTION[version]}-{slug}").holds(
            not listener.states_told,
            expected="no RESOURCE_CHANGE",
            observed="; ".join(map(str, listener.told)) or listener.outcome,
            note=f"version {version}, {note}",
        )


async def check_offline(law: Law, cluster: Controller, listener: Listener, home: Home) -> None:
    """A move to an address that is down lists it as offline, if it lists it at all (AMB-19)."""
    await cluster.move_client(listener.name, home.addresses[0])
    outcome = await hear_past(
        listener, MessageType.RESOURCE_CHANGE, timeout=listener.witness.place.profile.expect.quiet_time
    )
    moves = listener.told_of(MessageType.CLIENT_MOVE)
    if not moves or not moves[-1].entries:
        law.choice("AMB-19", f"a move to an UNAVAILABLE interface: {outcome}")
        return
    notice = moves[-1]
    law.choice("AMB-19", "a move to an UNAVAILABLE interface lists it")
    law("SWN-3.1.4.4-move-offline", "SWN-2.2.2.1-offline").holds(
        all(entry.flags & AddressFlags.OFFLINE for entry in notice.entries),
        expected="IPADDR_OFFLINE (0x10), the interface being UNAVAILABLE",
        observed=notice,
    )


async def listen_as_alias(witness: Witness, original: Listener) -> list[Listener]:
    """The same registration under the cluster's qualified name, if it knows itself by that (AMB-32)."""
    fields = {**original.fields, "net_name": f"{witness.net_name}.swn.test".lower()}
    client = await witness.connect()
    outcome = await outcome_of(client.start(witness.registration_ex(**fields)))
    if outcome != SUCCESS:
        return []
    listener = Listener(witness, client, outcome.response.context, fields)
    listener.ask()
    return [listener]


def record_alias(law: Law, original: Listener, alias: list[Listener]) -> None:
    """How many of two registrations under two names for the same cluster were told."""
    if not alias:
        law("SWN-B6-alias-single").record("the cluster knows no qualified name of itself")
        return
    told = [listener.fields["net_name"] for listener in (original, *alias) if listener.told]
    law("SWN-B6-alias-single").record(f"told: {', '.join(told)}")
    law.choice("AMB-32", "each registration is told" if len(told) == 2 else "one for both names")


@case(
    "SWN-3.1.4.4-change-otherwise-available",
    needs=("version-2", "unknown-state", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=10,
)
async def test_unknown_state(witness: Witness, law: Law, cluster: Controller) -> None:
    """A new state of UNKNOWN is told as AVAILABLE or as UNKNOWN, never as UNAVAILABLE."""
    (home, *_) = await destinations(witness, cluster, beside=await witness.address_of(0))
    listener = await listen(witness, ip_address=home.addresses[0])

    await cluster.set_interface_unknown(home.node)
    await hear(listener)

    notice = listener.notice(law, "SWN-3.1.4.4-change-otherwise-available")
    law("SWN-3.1.4.4-change-otherwise-available").equal(
        notice.changes[0].change_type if notice.changes else None,
        ChangeType.AVAILABLE,
        ChangeType.UNKNOWN,
        show=naming(ChangeType),
    )
    law.choice("AMB-13", naming(ChangeType)(notice.changes[0].change_type) if notice.changes else notice)
