"""The two timers (MS-SWN 3.1.2, 3.1.5), with a fake clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import UnRegisterRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.witness.messages import ContextHandle
    from tests.server.conftest import Bench

SCAN = 1.0


def is_empty(bench: Bench) -> bool:
    return len(bench.service.registrations) == 0


@pytest.mark.parametrize("keepalive", [1, 10, 120, 2**31, 2**32 - 1])
def test_call_times_out_after_its_keep_alive(bench: Bench, keepalive: int) -> None:
    handle = bench.register_ex(keep_alive_timeout=keepalive)
    waiting = bench.notify(handle)
    if keepalive > 1000:  # without the scans, which would take too long
        bench.clock.advance(keepalive - 1)
    else:
        bench.advance(keepalive)
    assert bench.pending(waiting)

    bench.advance(2 * SCAN)
    assert bench.result(waiting) == Win32.ERROR_TIMEOUT
    assert bench.answers[waiting].response is None


def test_keep_alive_zero_expires_at_the_next_scan(bench: Bench, make_bench: Callable[..., Bench]) -> None:
    waiting = bench.notify(bench.register_ex(keep_alive_timeout=0))
    assert bench.pending(waiting)
    bench.advance(SCAN)
    assert bench.result(waiting) == Win32.ERROR_TIMEOUT

    samba = make_bench(keepalive_zero="never-expires")
    waiting = samba.notify(samba.register_ex(keep_alive_timeout=0))
    samba.advance(1000)
    assert samba.pending(waiting)


def test_keep_alive_counts_from_the_call(bench: Bench) -> None:
    handle = bench.register_ex(keep_alive_timeout=10)
    bench.advance(9)
    waiting = bench.notify(handle)
    bench.advance(9.5)
    assert bench.pending(waiting)
    bench.advance(2)
    assert bench.result(waiting) == Win32.ERROR_TIMEOUT


def test_each_call_has_its_own_keep_alive(bench: Bench) -> None:
    handle = bench.register_ex(keep_alive_timeout=10)
    first = bench.notify(handle)
    bench.advance(5)
    second = bench.notify(handle)
    bench.advance(6.5)
    assert (bench.result(first), bench.pending(second)) == (Win32.ERROR_TIMEOUT, True)
    bench.advance(5)
    assert bench.result(second) == Win32.ERROR_TIMEOUT


def test_registration_can_be_used_after_a_timeout(bench: Bench) -> None:
    handle = bench.register_ex(keep_alive_timeout=60)
    for _ in range(5):
        waiting = bench.notify(handle)
        bench.advance(60 + 2 * SCAN)
        assert bench.result(waiting) == Win32.ERROR_TIMEOUT
        bench.advance(29)
    bench.down()
    assert bench.notified(bench.notify(handle))[0] == 1


def test_timeout_does_not_count_as_use_by_option(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(timeout_counts_as_use=False)
    waiting = bench.notify(bench.register_ex(keep_alive_timeout=60))
    bench.advance(62)
    assert bench.result(waiting) == Win32.ERROR_TIMEOUT
    assert is_empty(bench)


def test_unused_registration_ends_after_30_seconds(bench: Bench) -> None:
    handle = bench.register_ex()
    bench.advance(30)
    assert not is_empty(bench)
    bench.advance(SCAN)
    assert is_empty(bench)
    assert bench.result(bench.notify(handle)) == Win32.ERROR_NOT_FOUND
    assert bench.ask(UnRegisterRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER
    assert bench.service.next_deadline() is None


def test_registering_counts_as_use(bench: Bench) -> None:
    bench.clock.now = 1000
    bench.register_ex()

    bench.advance(30)
    assert not is_empty(bench)
    bench.advance(1)
    assert is_empty(bench)


def test_registration_with_a_waiting_call_is_in_use(bench: Bench) -> None:
    waiting = bench.notify(bench.register_ex(keep_alive_timeout=1000))
    bench.advance(999)
    assert bench.pending(waiting)
    assert not is_empty(bench)


def test_response_counts_as_use(bench: Bench) -> None:
    handle = bench.register_ex(keep_alive_timeout=1000)
    waiting = bench.notify(handle)
    bench.advance(100)
    bench.down()
    assert bench.notified(waiting)
    bench.advance(30)
    assert not is_empty(bench)
    bench.advance(SCAN)
    assert is_empty(bench)


def test_cancelled_call_counts_as_use(bench: Bench) -> None:
    waiting = bench.notify(bench.register_ex(keep_alive_timeout=1000))
    bench.advance(100)
    bench.service.cancel(waiting, "A")
    bench.advance(30)
    assert not is_empty(bench)
    bench.advance(SCAN)
    assert is_empty(bench)


def test_version_1_registrations_never_time_out(bench: Bench) -> None:
    idle, busy = bench.register(), bench.register()
    waiting = bench.notify(busy)
    bench.advance(10_000)
    assert bench.pending(waiting)
    assert bench.ask(UnRegisterRequest(idle)).result == 0


@pytest.mark.parametrize("choice", ["unused", "unused-even-if-pending"])
def test_version_1_timers_by_option(make_bench: Callable[..., Bench], choice: str) -> None:
    bench = make_bench(v1_timers=choice)
    bench.register()
    waiting = bench.notify(bench.register())
    bench.advance(32)
    if choice == "unused":
        assert bench.pending(waiting)
        assert len(bench.service.registrations) == 1
    else:
        assert bench.result(waiting) == Win32.ERROR_NOT_FOUND
        assert is_empty(bench)


def test_forced_unregister_after_unavailable_or_client_move(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(forced_unregister_after=5)
    available, unavailable = bench.register_ex(), bench.register_ex()
    moved = bench.register_ex(client="CLIENT02")
    events: list[tuple[ContextHandle, Callable[[], None]]] = [
        (available, bench.up),
        (unavailable, bench.down),
        (moved, lambda: bench.move("NODE3", client="CLIENT02")),
    ]
    for handle, event in events:
        for registration in bench.service.registrations:
            registration.changes.clear()
        waiting = bench.notify(handle)
        event()
        assert bench.notified(waiting)
    for registration in bench.service.registrations:
        registration.changes.clear()
    calls = bench.notify(available), bench.notify(unavailable), bench.notify(moved)

    bench.advance(6)

    assert bench.result(calls[1]) == bench.result(calls[2]) == Win32.ERROR_NOT_FOUND
    assert bench.pending(calls[0])


def test_forced_unregister_happens_at_the_configured_time(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(forced_unregister_after=5)
    handle = bench.register_ex()
    waiting = bench.notify(handle)
    bench.down()
    assert not bench.pending(waiting)

    bench.advance(4)
    assert not is_empty(bench)
    bench.advance(1)
    assert is_empty(bench)


def test_nothing_expires_between_two_scans(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(scan_interval=10)
    assert bench.service.tick() == [], "without registrations there is nothing to scan"
    waiting = bench.notify(bench.register_ex(keep_alive_timeout=1))
    assert bench.service.next_deadline() == 10

    bench.clock.now = 5
    assert bench.service.tick() == []
    bench.clock.now = 10
    bench.take(bench.service.tick())
    assert bench.result(waiting) == Win32.ERROR_TIMEOUT

    bench.clock.now = 15
    assert bench.service.next_deadline() == 20, "the interval counts from the last scan"


def test_keep_alive_unit_by_option(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(keepalive_unit=0.5)
    waiting = bench.notify(bench.register_ex(keep_alive_timeout=20))

    bench.advance(10)
    assert bench.pending(waiting)
    bench.advance(1)
    assert bench.result(waiting) == Win32.ERROR_TIMEOUT


def test_scan_interval_by_option(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(scan_interval=0.1, unused_timeout=0.5)
    bench.register_ex()
    assert bench.service.next_deadline() == pytest.approx(0.1)
    assert bench.service.tick() == []
    bench.advance(0.45)
    assert not is_empty(bench)
    bench.advance(0.2)
    assert is_empty(bench)
