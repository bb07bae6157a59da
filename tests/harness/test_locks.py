"""The use of a live target: shared by many, alone for one, and nobody is starved."""

from __future__ import annotations

import threading
import uuid

import pytest

from swn_torture.harness.locks import LockTimeout, use_of


@pytest.fixture
def target() -> str:
    return f"test {uuid.uuid4()}"


def test_sharers_share(target: str) -> None:
    with use_of(target, alone=False), use_of(target, alone=False, timeout=0.2):
        pass


def test_alone_means_alone(target: str) -> None:
    with (
        use_of(target, alone=True),
        pytest.raises(LockTimeout, match="kept"),
        use_of(target, alone=False, timeout=0.1),
    ):
        pass
    with use_of(target, alone=False), pytest.raises(LockTimeout), use_of(target, alone=True, timeout=0.1):
        pass


def test_it_is_free_again_after_the_block(target: str) -> None:
    with use_of(target, alone=True):
        pass
    with use_of(target, alone=True, timeout=0.2):
        pass


def test_whoever_waits_alone_holds_up_those_who_come_after(target: str) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def alone() -> None:
        waiting.set()
        with use_of(target, alone=True, timeout=5):
            order.append("alone")

    with use_of(target, alone=False):
        first = threading.Thread(target=alone)
        first.start()
        waiting.wait(1)
        # It has the turn: once it has begun to wait, nobody gets past it.
        assert any(not _gets_in(target) for _ in range(200))
    first.join(5)
    assert order == ["alone"]


def _gets_in(target: str) -> bool:
    try:
        with use_of(target, alone=False, timeout=0.05):
            return True
    except LockTimeout:
        return False
