"""The processes of pytest-xdist for these tests: how they start, and where each test begins.

They are forked from one process that has collected the tests, so that each need not import all modules.

Most of the time that the tests take is spent waiting: for a time-out of a server, for a node that comes back.
Those that wait longest start first (`WAITS`), in every other process; else one of them is still waiting when
all else is done. The other processes start with those that compute longest (`COMPUTES`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING, Final

import pytest

from swn_torture.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A lab that is not available is a failure.
IS_LAB_REQUIRED: Final = os.environ.get("SWN_TORTURE_REQUIRE_LAB") == "1"


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


#: Tests that wait most of their time; about how many seconds they take alone (2026-12-01), the longest first.
#: Modules with many of them are here as a whole.
WAITS: Final = {
    "tests/docs/test_server_from_scratch.py::test_step_gets_the_verdict_of_the_page[timers]": 48,
    "tests/halfmade/test_half_made.py::test_author_sees_few_findings[silent-after-bind]": 48,
    "tests/commands/test_run_guilty.py": 46,
    "tests/suite/test_unusual_runs.py": 35,
    "tests/selftest/test_supervisor.py": 28,
    "tests/suite/test_readings.py": 27,
    "tests/instruments/test_smbtorture.py": 26,
    "tests/control/test_command_reference.py": 19,
    "tests/harness/test_preflight_trouble.py": 18,
    "tests/docs/test_all_commands.py": 17,
    "tests/commands/test_run.py": 17,
    "tests/control/test_manual_controller.py": 16,
    "tests/harness/test_broken_servers.py": 15,
    "tests/time_to_know/test_time_to_know.py": 14,
    "tests/harness/test_rung_gate.py": 14,
    "tests/doctor/test_broken_set_ups.py": 13,
    "tests/casekit/test_casekit_effects.py": 9,
    "tests/instruments/test_samba_client.py": 8,
    "tests/suite/test_wire_fields.py": 7,
    "tests/control/test_reference_effects.py": 7,
    "tests/control/test_manual_run.py": 5,
    "tests/instruments/test_samba_companion.py::test_smbtorture_passes": 5,
    "tests/harness/test_tree_connect.py": 4,
    "tests/dcerpc/test_silent_peer.py": 4,
}

#: Tests that keep a processor busy, with the same.
COMPUTES: Final = {
    "tests/suite/test_reference_run.py": 27,
    "tests/report/matrix/test_matrix_in_a_browser.py": 15,
    "tests/report/test_report_in_a_browser.py": 12,
    "tests/docs/test_from_address_to_gate.py": 9,
    "tests/docs/test_audience_pages.py": 8,
    "tests/docs/test_ci_page.py": 8,
}

#: About how many seconds a test of the lab takes.
_LAB_TEST = 10


def is_lab_asked_for(config: pytest.Config) -> bool:
    """Whether the tests of the lab run where they can; otherwise they are skipped everywhere."""
    return IS_LAB_REQUIRED or "lab" in config.getoption("markexpr")


def in_order(items: Sequence[pytest.Item], processes: int, *, lab: bool) -> list[pytest.Item]:
    """The tests in the order in which pytest-xdist has to get them.

    Each process gets as many tests as the others, one after another, and starts with its first (``--dist
    worksteal``). Processes 0, 2, 4, … start with tests that wait, the others with tests that compute. Tests
    that share one lab begin in one process, those with a lab of their own in another.

    Args:
        items: the tests.
        processes: how many processes run them.
        lab: whether the tests of the lab run, and are not skipped.
    """
    listed = {**WAITS, **COMPUTES}
    first: list[list[pytest.Item]] = [[] for _ in range(processes)]
    long: dict[str, list[pytest.Item]] = {}
    rest = []
    for item in items:
        if lab and item.get_closest_marker("lab") is not None:
            shares = "running_lab" in getattr(item, "fixturenames", ())
            first[0 if shares else processes // 2].append(item)
        elif item.get_closest_marker("skip") is not None:
            rest.append(item)
        elif name := next((each for each in (item.nodeid, item.nodeid.split("::")[0]) if each in listed), ""):
            long.setdefault(name, []).append(item)
        else:
            rest.append(item)
    taken = [_LAB_TEST * len(each) for each in first]
    for name, seconds in listed.items():
        if name in long:
            chosen = range(0, processes, 2) if name in WAITS else range(1, processes, 2) or range(1)
            process = min(chosen, key=taken.__getitem__)
            first[process] += long[name]
            taken[process] += seconds
    ordered: list[pytest.Item] = []
    left = iter(rest)
    for process, begin in enumerate(first):
        share = (len(items) - len(ordered)) // (processes - process)
        ordered += begin
        ordered += itertools.islice(left, max(0, share - len(begin)))
    return [*ordered, *left]
