"""Locks on a live target: many cases share it, one case has it alone, and a waiting case gets its turn."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from swn_torture.harness.locks import LockTimeout, lost_reason, mark_lost, use_of


@pytest.fixture
def target() -> str:
    return f"test {uuid.uuid4()}"


def test_two_cases_share_a_target(target: str) -> None:
    with use_of(target, alone=False), use_of(target, alone=False, timeout=0.2):
        pass


def test_a_case_that_runs_alone_excludes_all_others(target: str) -> None:
    with (
        use_of(target, alone=True),
        pytest.raises(LockTimeout, match="kept"),
        use_of(target, alone=False, timeout=0.1),
    ):
        pass
    with use_of(target, alone=False), pytest.raises(LockTimeout), use_of(target, alone=True, timeout=0.1):
        pass


def test_the_target_is_released_after_the_block(target: str) -> None:
    with use_of(target, alone=True):
        pass
    with use_of(target, alone=True, timeout=0.2):
        pass


def test_later_cases_wait_for_one_that_waits_to_run_alone(target: str) -> None:
    order: list[str] = []

    def alone() -> None:
        with use_of(target, alone=True, timeout=60):
            order.append("alone")

    with use_of(target, alone=False):
        first = threading.Thread(target=alone)
        first.start()
        deadline = time.monotonic() + 30
        # It is next: once it has begun to wait, no later case gets the target before it.
        while _gets_in(target):
            assert time.monotonic() < deadline
    first.join(30)
    assert order == ["alone"]


def _gets_in(target: str) -> bool:
    try:
        with use_of(target, alone=False, timeout=0.05):
            return True
    except LockTimeout:
        return False


def test_reason_of_a_lost_target_reaches_the_processes_of_its_run(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one")
    assert lost_reason(target) is None
    mark_lost(target, "it is gone")
    assert lost_reason(target) == "it is gone"
    assert lost_reason(f"{target} 2") is None
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "two")
    assert lost_reason(target) is None
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID")
    mark_lost(target, "a run without other processes")
    assert lost_reason(target) is None
