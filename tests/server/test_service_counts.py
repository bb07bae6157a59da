"""What a registration counts for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.server.state.registrations import Selection

if TYPE_CHECKING:
    from swn_torture.server.state.registrations import Registration
    from swn_torture.witness.messages import ContextHandle
    from tests.server.conftest import Bench

KEEP_ALIVE = 5


def registration(bench: Bench, handle: ContextHandle) -> Registration:
    found = bench.service.registrations.find(handle)
    assert found is not None
    return found


def test_time_of_a_registration_is_when_it_was_made(bench: Bench) -> None:
    bench.advance(10)
    made = registration(bench, bench.register_ex())
    bench.advance(3)
    assert made.since == 10


def test_each_notification_counts(bench: Bench) -> None:
    handle = bench.register_ex()
    for calls in (1, 2, 3):
        bench.notify(handle)
        bench.down() if calls % 2 else bench.up()
        assert registration(bench, handle).sent == calls


def test_each_call_without_notification_counts(bench: Bench) -> None:
    handle = bench.register_ex(keep_alive_timeout=KEEP_ALIVE)
    counted = registration(bench, handle)
    for ended in (1, 2):
        bench.notify(handle)
        bench.advance(KEEP_ALIVE + 2)
        assert counted.cancelled == ended, "the call has timed out"
    for ended in (3, 4):
        assert bench.service.cancel(bench.notify(handle), "A")
        assert counted.cancelled == ended, "the call was cancelled"
    for ended in (5, 6):
        bench.notify(handle, connection="A2")
        bench.service.disconnected("A2", "A")
        assert counted.cancelled == ended, "the connection has ended"
    assert counted.sent == 0


def test_selection_by_names_of_clients(bench: Bench) -> None:
    handles = {name: bench.register_ex(client=name) for name in ("CLIENT01", "CLIENT02", "CLIENT03")}
    selection = Selection(client_names=frozenset({"CLIENT01", "CLIENT03"}))
    chosen = {
        name
        for name, handle in handles.items()
        if selection.matches(registration(bench, handle), bench.service.options)
    }
    assert chosen == {"CLIENT01", "CLIENT03"}
