"""The processes of pytest-xdist for these tests: how they start, and where each test begins.

They are forked from one process that has collected the tests, so that each need not import all modules.

Most of the time that the tests take is spent waiting: for a time-out of a server, for a node that comes back.
Those that wait longest start first (`WAITS`), in every other process, and the tests of the others compute
meanwhile; else one of them is still waiting when all else is done.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Final

import pytest

from swn_torture.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence


def forked(config: pytest.Config) -> contextlib.ExitStack:
    """Let the processes of this session be forked. Close the result at the end.

    Call it before this process opens pipes to others: the forked ones keep them open.
    """
    stack = contextlib.ExitStack()
    workers = stack.enter_context(Workers(lambda: _collect(config.args)))
    stack.enter_context(workers.in_use())
    return stack


def _collect(places: Sequence[str]) -> None:
    pytest.main(["--collect-only", "-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider", *places])


#: Tests that wait most of their time, and about how many seconds they take (2 processors, 2026-12-01); the
#: longest first. Modules whose tests share what takes long are here as a whole.
WAITS: Final = {
    "tests/docs/test_server_from_scratch.py::test_step_gets_the_verdict_of_the_page[timers]": 49,
    "tests/halfmade/test_half_made.py::test_author_sees_few_findings[silent-after-bind]": 49,
    "tests/docs/test_all_commands.py": 46,
    "tests/suite/test_reference_run.py": 34,
    "tests/control/test_command_reference.py": 19,
    "tests/harness/test_broken_servers.py": 17,
    "tests/docs/test_audience_pages.py": 16,
    "tests/time_to_know/test_time_to_know.py": 15,
    "tests/suite/test_unusual_runs.py::test_cases_pass_on_an_unusual_server[slow-events]": 14,
    "tests/control/test_manual_controller.py::test_call_is_done_when_the_interface_lists_show_it": 14,
    "tests/docs/test_ci_page.py": 12,
    "tests/suite/test_readings.py::test_case_outcomes_by_reading[AMB-12: the group name is compared]": 12,
    "tests/docs/test_from_address_to_gate.py::test_every_command_works_in_this_order": 11,
    "tests/selftest/test_supervisor.py::test_killed_worker_ends_its_case_as_an_error": 10,
    "tests/instruments/test_samba_client.py::test_every_method_works_with_every_binding": 9,
    "tests/selftest/test_supervisor.py::test_killed_run_ends_the_running_case_as_an_error": 9,
    "tests/harness/test_preflight_trouble.py::test_binds_stay_unanswered": 8,
    "tests/harness/test_preflight_trouble.py::test_silent_calls_are_for_the_cases_to_find": 8,
    "tests/harness/test_rung_gate.py::test_preflight_stops_at_the_first_call_without_an_answer": 8,
    "tests/suite/test_unusual_runs.py::test_cases_pass_on_an_unusual_server[no-multiplexing]": 7,
    "tests/commands/test_run.py::test_killed_run_leaves_its_journal": 7,
    "tests/selftest/test_supervisor.py::test_interrupt_ends_the_running_case_as_an_error": 7,
    "tests/suite/test_unusual_runs.py::test_a_move_that_comes_too_late_is_a_reason": 6,
}

#: The same for a test of the lab.
_LAB_TEST = 10


def in_order(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """The tests in the order in which pytest-xdist has to get them.

    Each process gets as many tests as the others, one after another, and starts with its first (``--dist
    worksteal``). Tests that share one lab begin in one process, those with a lab of their own in another.

    Args:
        items: the tests.
        processes: how many processes run them.
    """
    first: list[list[pytest.Item]] = [[] for _ in range(processes)]
    waiting: dict[str, list[pytest.Item]] = {}
    rest = []
    for item in items:
        if item.get_closest_marker("lab") is not None:
            shares = "running_lab" in getattr(item, "fixturenames", ())
            first[0 if shares else processes // 2].append(item)
        elif name := next((each for each in (item.nodeid, item.nodeid.split("::")[0]) if each in WAITS), ""):
            waiting.setdefault(name, []).append(item)
        else:
            rest.append(item)
    taken = [_LAB_TEST * len(each) for each in first]
    for name, seconds in WAITS.items():
        if name in waiting:
            process = min(range(0, processes, 2), key=taken.__getitem__)
            first[process] += waiting[name]
            taken[process] += seconds
    ordered: list[pytest.Item] = []
    left = iter(rest)
    for process, begin in enumerate(first):
        share = (len(items) - len(ordered)) // (processes - process)
        ordered += begin
        ordered += itertools.islice(left, max(0, share - len(begin)))
    return [*ordered, *left]
