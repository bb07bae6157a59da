"""WitnessrAsyncNotify and the events that complete it (MS-SWN 3.1.4.4, 3.1.6)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from swn_torture.server.state.methods import FIRST_REPLIES, MANY_REGISTRATIONS, RpcFault
from swn_torture.server.state.responses import Responder
from swn_torture.server.state.service import Selection
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    RespAsyncNotify,
    UnRegisterRequest,
)
from swn_torture.witness.notifications import ResourceChange
from tests.server.notifications import (
    CHANGE,
    CLIENT_MOVE,
    DOWN,
    IP_CHANGE,
    NODE2,
    NODE2_V6,
    NODE3,
    SHARE_MOVE,
    UP,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.server.state.service import Reply
    from tests.server.conftest import Bench

# Many registrations


EVENTS: dict[int, Callable[[Bench], None]] = {
    CHANGE: lambda bench: bench.down(),
    CLIENT_MOVE: lambda bench: bench.move("NODE3"),
    SHARE_MOVE: lambda bench: bench.move_share("NODE3"),
    IP_CHANGE: lambda bench: bench.change_ip("NODE3"),
}


def first_replies_of(bench: Bench) -> list[tuple[int, int]]:
    """Record each early sending: the number of replies, and of registrations with pending notifications."""
    early: list[tuple[int, int]] = []

    def send(replies: list[Reply]) -> None:
        queued = sum(bool(r.pending_kinds()) for r in bench.service.registrations)
        early.append((len(replies), queued))
        bench.take(replies)

    bench.service.first_replies = send
    return early


@pytest.mark.parametrize("kind", EVENTS)
def test_first_clients_of_many_are_told_before_the_others_are_looked_at(bench: Bench, kind: int) -> None:
    handles = [bench.register_ex(flags=1, share_name="PROFILES") for _ in range(MANY_REGISTRATIONS)]
    waiting = [bench.notify(handle) for handle in handles]
    early = first_replies_of(bench)
    EVENTS[kind](bench)

    # At the first replies nothing is pending for anybody: the others have not been looked at.
    assert early[0] == (FIRST_REPLIES, 0)
    assert {bench.notified(token)[0] for token in waiting} == {kind}
    assert all(bench.pending(bench.notify(handle)) for handle in handles), "each is told once"


def test_first_replies_of_few_are_sent_when_all_are_looked_at(bench: Bench) -> None:
    """An event for fewer than `MANY_REGISTRATIONS` is queued for all first; 16 replies are sent at once."""
    count = FIRST_REPLIES + 4
    waiting = [bench.notify(bench.register_ex(flags=1)) for _ in range(count)]
    early = first_replies_of(bench)
    bench.down()

    assert early == [(FIRST_REPLIES, count - FIRST_REPLIES)]
    assert [bench.notified(token) for token in waiting] == [(CHANGE, (DOWN,))] * count


@pytest.mark.parametrize("count", [FIRST_REPLIES + 4, MANY_REGISTRATIONS])
def test_without_a_way_for_first_replies_all_are_returned(bench: Bench, count: int) -> None:
    waiting = [bench.notify(bench.register_ex(flags=1)) for _ in range(count)]
    bench.down()
    assert [bench.notified(token) for token in waiting] == [(CHANGE, (DOWN,))] * count


def test_first_replies_are_for_those_that_wait(bench: Bench) -> None:
    """The first registrations have no pending call; the first sixteen that have one get the first replies."""
    idle = [bench.register_ex(flags=1) for _ in range(MANY_REGISTRATIONS - FIRST_REPLIES)]
    waiting = [bench.notify(bench.register_ex(flags=1)) for _ in range(FIRST_REPLIES)]
    early = first_replies_of(bench)
    bench.down()

    assert early == [(FIRST_REPLIES, len(idle))]
    assert [bench.notified(token) for token in waiting] == [(CHANGE, (DOWN,))] * FIRST_REPLIES
    assert bench.notified(bench.notify(idle[0])) == (CHANGE, (DOWN,))


# Resource changes


def test_change_completes_a_waiting_call(bench: Bench) -> None:
    for make in (bench.register, bench.register_ex):
        handle = make()
        waiting = bench.notify(handle)
        assert bench.pending(waiting)
        bench.down()
        assert bench.notified(waiting) == (CHANGE, (DOWN,))
        assert bench.pending(bench.notify(handle)), "the change is sent once"
        bench.ask(UnRegisterRequest(handle))


def test_queued_changes_are_sent_together_and_in_order(bench: Bench) -> None:
    handle = bench.register_ex()
    bench.down()
    bench.up()
    bench.down()

    assert bench.notified(bench.notify(handle)) == (CHANGE, (DOWN, UP, DOWN))
    assert bench.pending(bench.notify(handle))


def test_change_needs_registered_address_and_own_name(bench: Bench) -> None:
    elsewhere = bench.notify(bench.register_ex(ip_address=str(NODE3)))
    by_v6 = bench.notify(bench.register_ex(ip_address=str(NODE2_V6)))
    by_alias = bench.notify(bench.register_ex(net_name="swncluster.swn.test"))

    bench.down()
    assert bench.pending(elsewhere, by_v6)
    assert bench.notified(by_alias) == (CHANGE, (DOWN,))

    bench.take(bench.service.interface_event("NODE2", InterfaceState.AVAILABLE, ipv4=NODE2, ipv6=NODE2_V6))
    assert bench.notified(by_v6) == (CHANGE, (UP,))
    assert bench.pending(elsewhere)


def test_event_for_another_network_name_is_ignored(bench: Bench) -> None:
    waiting = bench.notify(bench.register_ex())

    bench.take(
        bench.service.interface_event("NODE2", InterfaceState.UNAVAILABLE, ipv4=NODE2, net_name="OTHER")
    )

    assert bench.pending(waiting)


def test_new_interface_is_not_a_change(bench: Bench) -> None:
    bench.view.shares.replace(())
    waiting = bench.notify(bench.register(ip_address="192.0.2.4"))

    bench.up(IPv4Address("192.0.2.4"), "NODE4")
    assert bench.pending(waiting)

    bench.down(IPv4Address("192.0.2.4"), "NODE4")
    assert bench.notified(waiting) == (CHANGE, (ResourceChange(0xFF, "NODE4"),))


@pytest.mark.parametrize("net_name", [None, "OTHER"])
def test_new_interface_has_the_network_name_of_its_event(bench: Bench, net_name: str | None) -> None:
    address = IPv4Address("192.0.2.4")
    bench.take(
        bench.service.interface_event("NODE4", InterfaceState.AVAILABLE, ipv4=address, net_name=net_name)
    )
    (new,) = (each for each in bench.service.interfaces if each.ipv4 == address)
    assert new.net_name == (net_name or "")


def test_unknown_state_is_sent_as_available(bench: Bench, make_bench: Callable[..., Bench]) -> None:
    for server, change_type in ((bench, 1), (make_bench(unknown_state="unknown"), 0)):
        waiting = server.notify(server.register_ex())
        server.take(server.service.interface_event("NODE2", InterfaceState.UNKNOWN, ipv4=NODE2))
        assert server.notified(waiting) == (CHANGE, (ResourceChange(change_type, "NODE2"),))


def test_repeated_state_is_announced_unless_suppressed(
    bench: Bench, make_bench: Callable[..., Bench]
) -> None:
    waiting = bench.notify(bench.register_ex())
    bench.up()
    assert bench.notified(waiting) == (CHANGE, (UP,))

    quiet = make_bench(repeated_state="suppress")
    waiting = quiet.notify(quiet.register_ex())
    quiet.up()
    assert quiet.pending(waiting)


@pytest.mark.parametrize(
    ("choice", "name"), [("group", "NODE2"), ("net-name", "SWNCLUSTER"), ("address", "192.0.2.2")]
)
def test_option_chooses_the_resource_name(make_bench: Callable[..., Bench], choice: str, name: str) -> None:
    bench = make_bench(resource_name=choice)
    waiting = bench.notify(bench.register_ex(net_name="swncluster"))
    bench.down()
    assert bench.notified(waiting) == (CHANGE, (ResourceChange(0xFF, name),))


def test_option_chooses_the_affected_registrations(make_bench: Callable[..., Bench]) -> None:
    old = make_bench(change_concerns="group-and-address")
    waiting = old.notify(old.register_ex())
    old.down()
    assert old.pending(waiting), "by revision 11.0 NetName must equal the group name"

    by_group = old.notify(old.register_ex(net_name="swncluster.swn.test"))
    event = old.service.interface_event
    old.take(event("SWNCLUSTER.swn.test", InterfaceState.AVAILABLE, ipv4=IPv4Address("192.0.2.2")))
    assert old.pending(by_group), "a new interface is not a change"
    old.take(event("SWNCLUSTER.swn.test", InterfaceState.UNAVAILABLE, ipv4=IPv4Address("192.0.2.2")))
    assert old.notified(by_group)[1] == (ResourceChange(0xFF, "SWNCLUSTER.swn.test"),)
    assert old.pending(waiting)

    samba = make_bench(change_concerns="address")
    waiting = samba.notify(samba.register_ex())
    samba.take(samba.service.interface_event("NODE2", InterfaceState.UNAVAILABLE, ipv4=NODE2, net_name="X"))
    assert samba.notified(waiting) == (CHANGE, (DOWN,))


def test_client_with_aliases_can_be_notified_once(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(aliases_notified_once=True)
    by_name = bench.notify(bench.register_ex())
    by_alias = bench.notify(bench.register_ex(net_name="swncluster.swn.test"))
    other = bench.notify(bench.register_ex(client="CLIENT02"))

    bench.down()

    assert bench.notified(by_name) == bench.notified(other) == (CHANGE, (DOWN,))
    assert bench.pending(by_alias)


def test_event_can_name_only_the_ipv6_address(bench: Bench) -> None:
    by_v4 = bench.notify(bench.register_ex())
    by_v6 = bench.notify(bench.register_ex(ip_address=str(NODE2_V6)))

    bench.take(bench.service.interface_event("NODE2", InterfaceState.UNAVAILABLE, ipv6=NODE2_V6))

    assert bench.notified(by_v6) == (CHANGE, (DOWN,))
    assert bench.pending(by_v4)
    assert len(bench.service.interfaces) == 3


# Several pending kinds, several waiting calls


def test_pending_kinds_are_sent_one_by_one(bench: Bench) -> None:
    handle = bench.register_ex(share_name="PROFILES", flags=1)
    bench.change_ip("NODE1")
    bench.move_share("NODE3")
    bench.move("NODE3")
    bench.down()
    bench.up()

    notifications = [bench.notified(bench.notify(handle)) for _ in range(4)]

    assert [kind for kind, _ in notifications] == [CHANGE, CLIENT_MOVE, SHARE_MOVE, IP_CHANGE]
    assert notifications[0][1] == (DOWN, UP)
    assert bench.pending(bench.notify(handle))


def test_last_kind_can_overwrite_the_others(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(several_kinds="last-overwrites", share_and_ip_end_wait=False)
    handle = bench.register_ex(share_name="PROFILES")
    waiting = bench.notify(handle)
    bench.move_share("NODE3")
    assert bench.pending(waiting), "a share move does not complete a call on this server"
    bench.down()
    assert bench.notified(waiting)[0] == SHARE_MOVE
    assert bench.pending(bench.notify(handle))


def test_last_of_three_kinds_overwrites_both_others(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(several_kinds="last-overwrites")
    handle = bench.register_ex(share_name="PROFILES")
    bench.down()
    bench.move("NODE3")
    bench.move_share("NODE3")

    assert bench.notified(bench.notify(handle))[0] == SHARE_MOVE
    assert bench.pending(bench.notify(handle))


def test_client_move_also_sends_a_pending_share_move(make_bench: Callable[..., Bench]) -> None:
    """The client move completes two calls: the first with the share move, which alone completes none."""
    order = ["share-move", "client-move", "change", "ip-change"]
    bench = make_bench(share_and_ip_end_wait=False, pending_order=order)
    handle = bench.register_ex(share_name="PROFILES")
    first, second = bench.notify(handle), bench.notify(handle)
    bench.move_share("NODE3")
    assert bench.pending(first, second)

    bench.move("NODE3")

    assert bench.notified(first)[0] == SHARE_MOVE
    assert bench.notified(second)[0] == CLIENT_MOVE


def test_client_move_releases_a_pending_share_move(make_bench: Callable[..., Bench]) -> None:
    """Without the release, the server would never send it: the next wait ends with another client move."""
    bench = make_bench(share_and_ip_end_wait=False)
    handle = bench.register_ex(share_name="PROFILES")
    waiting = bench.notify(handle)
    bench.move_share("NODE3")
    assert bench.pending(waiting)

    bench.move("NODE3")

    assert bench.notified(waiting)[0] == CLIENT_MOVE
    assert bench.notified(bench.notify(handle))[0] == SHARE_MOVE
    waiting = bench.notify(handle)
    bench.move_share("NODE2")
    assert bench.pending(waiting), "the next share move waits again"


def test_release_sends_nothing_that_is_not_pending(make_bench: Callable[..., Bench]) -> None:
    """Released kinds are those whose wait has ended; only those that are still pending are sent."""
    bench = make_bench(share_and_ip_end_wait=False)
    handle = bench.register_ex(share_name="PROFILES")
    registration = bench.service.registrations.find(handle)
    assert registration is not None
    bench.move_share("NODE3")
    registration.released = {"share-move", "ip-change"}

    deliverable = Responder(bench.service.interfaces, bench.service.options).deliverable(registration)

    assert deliverable == ["share-move"], "the IP change is released, but there is none"
    assert registration.released == {"share-move", "ip-change"}


def test_waiting_calls_are_completed_in_order(bench: Bench) -> None:
    handle = bench.register_ex()
    first, second = bench.notify(handle), bench.notify(handle)

    bench.down()
    assert bench.notified(first) == (CHANGE, (DOWN,))
    assert bench.pending(second)

    bench.up()
    assert bench.notified(second) == (CHANGE, (UP,))


def test_one_event_can_complete_all_waiting_calls(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(several_calls="all")
    handle = bench.register_ex()
    tokens = bench.notify(handle), bench.notify(handle)
    bench.down()
    assert [bench.notified(token) for token in tokens] == [(CHANGE, (DOWN,))] * 2


# Cancelled calls, closed connections


def test_cancelled_call_keeps_registration_and_event(bench: Bench) -> None:
    handle = bench.register_ex()
    cancelled = bench.notify(handle)

    assert bench.service.cancel(cancelled, "A")
    assert not bench.service.cancel(cancelled, "A")
    bench.down()

    assert bench.pending(cancelled)
    assert bench.notified(bench.notify(handle)) == (CHANGE, (DOWN,))


def test_association_ends_with_its_last_connection(bench: Bench) -> None:
    handle = bench.register_ex(connection="A1")
    lost = bench.notify(handle, connection="A1")

    bench.take(bench.service.disconnected("A1", "A"))
    kept = bench.notify(handle, connection="A2")
    bench.down()
    assert bench.pending(lost)
    assert bench.notified(kept) == (CHANGE, (DOWN,))

    bench.service.rundown("A")
    assert len(bench.service.registrations) == 0


def test_registration_can_end_with_its_connection(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(rundown="connection")
    handle = bench.register_ex(connection="A1")
    waiting = bench.notify(handle, connection="A2")

    bench.take(bench.service.disconnected("A1", "A"))

    assert bench.result(waiting) == Win32.ERROR_NOT_FOUND
    assert bench.result(bench.notify(handle, connection="A2")) == Win32.ERROR_NOT_FOUND


def test_rundown_closes_the_handles_of_one_association(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(unknown_handle="fault")
    gone = bench.register_ex(association="A")
    kept = bench.register_ex(association="B")

    bench.service.rundown("A")

    assert len(bench.service.registrations) == 1
    assert bench.ask(UnRegisterRequest(kept), association="B").result == 0
    # An RPC runtime still knows the handle after UnRegister, because the handle is [in] only.
    assert bench.ask(UnRegisterRequest(kept), association="B").result == Win32.ERROR_INVALID_PARAMETER
    assert isinstance(bench.ask(UnRegisterRequest(gone), association="A"), RpcFault)


# Administration


def test_administrator_can_unregister_and_force_responses(bench: Bench) -> None:
    handle, other = bench.register_ex(), bench.register_ex(client="CLIENT02")
    waiting, left = bench.notify(handle), bench.notify(other)
    forced = AsyncNotifyResponse(RespAsyncNotify(77, 3, b"raw"), 0x1234)
    key = Selection(key=str(handle.uuid).upper())

    bench.take(bench.service.force_response(key, forced))
    assert bench.answers[waiting] == forced
    bench.take(bench.service.force_response(key, forced))
    assert bench.answers[bench.notify(handle)] == forced

    again = bench.notify(handle)
    bench.take(bench.service.force_unregister(key))
    assert bench.result(again) == Win32.ERROR_NOT_FOUND
    assert bench.pending(left)


def test_option_chooses_the_order_of_kinds(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(pending_order=["ip-change", "share-move", "client-move", "change"])
    handle = bench.register_ex(share_name="PROFILES", flags=1)
    bench.down()
    bench.move("NODE3")
    bench.move_share("NODE3")
    bench.change_ip("NODE3")
    kinds = [bench.notified(bench.notify(handle))[0] for _ in range(4)]
    assert kinds == [IP_CHANGE, SHARE_MOVE, CLIENT_MOVE, CHANGE]


def test_selection_can_combine_several_attributes(bench: Bench) -> None:
    selected = bench.notify(bench.register_ex(ip_address="2001:db8:0::2"))
    other_address = bench.notify(bench.register_ex(ip_address=str(NODE3)))
    other_name = bench.notify(bench.register_ex(net_name="swncluster.swn.test"))

    bench.move("NODE1", ip_address="2001:db8::2", net_name="swncluster")

    assert bench.notified(selected)[0] == CLIENT_MOVE
    assert bench.pending(other_address, other_name)

    bench.move("NODE1", net_name="SwnCluster.swn.test")

    assert bench.notified(other_name)[0] == CLIENT_MOVE
    assert bench.pending(other_address)


def test_selection_by_key_ignores_case(bench: Bench) -> None:
    bench.service.new_uuid = lambda: UUID("abcdefab-cdef-abcd-efab-cdefabcdefab")
    one = bench.notify(bench.register_ex())
    bench.service.new_uuid = lambda: UUID(int=1)
    other = bench.notify(bench.register_ex())

    bench.move("NODE1", key="ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB")

    assert bench.notified(one)[0] == CLIENT_MOVE
    assert bench.pending(other)


def test_selection_compares_invalid_addresses_as_text(bench: Bench) -> None:
    """RegisterEx without ShareName does not check IpAddress, so it can be any text."""
    somewhere = bench.notify(bench.register_ex(ip_address="somewhere"))
    elsewhere = bench.notify(bench.register_ex(ip_address="elsewhere"))

    bench.move("NODE1", ip_address="somewhere")

    assert bench.notified(somewhere)[0] == CLIENT_MOVE
    assert bench.pending(elsewhere)
