"""SIGTERM ends a run as Ctrl-C does: the cluster is restored, and the reports are written.

A process that runs cases interrupts its case, whose fixtures restore the cluster. The main process of
pytest-xdist passes the signal on to its workers, writes the reports, and waits until the workers have ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import FrameType

#: Seconds that workers have to restore the cluster.
_RESTORE_S = 120.0


#: Why a run stopped, for its report.
_REASON = "terminated (SIGTERM)"


def interrupt_at_sigterm(session: pytest.Session) -> None:
    """Interrupt this process at the first SIGTERM, as Ctrl-C does. Later signals do not end the clean-up.

    Args:
        session: the session of the process; it runs no further case.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        session.shouldstop = _REASON
        _interrupt()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


def _interrupt() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        signal.raise_signal(signal.SIGINT)  # handled at once: by asyncio, or as a KeyboardInterrupt
    finally:
        # execnet sends a worker that is slow to end a SIGINT of its own.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Interrupts:
    """A pytest plugin for the main process of a run."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._terminated = False
        self._session: pytest.Session | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Handle SIGTERM, and SIGINT where a shell without job control has made this process ignore it."""
        self._session = session
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, self._terminate)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Remember a worker of pytest-xdist."""
        self._nodes.append(node)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Wait for the workers, after the reports were written: pytest-xdist would kill them soon."""
        deadline = time.monotonic() + _RESTORE_S
        while self._terminated and self._working() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _working(self) -> bool:
        return any(not node.shutting_down for node in self._nodes)

    def _terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._terminated = True
        if self._session is not None:
            self._session.shouldstop = _REASON  # also where a case does not end at its cancellation
        for node in self._nodes:
            with contextlib.suppress(OSError):
                os.kill(node.gateway._rinfo().pid, signal.SIGTERM)  # noqa: SLF001 - as pytest-xdist does
        _interrupt()
