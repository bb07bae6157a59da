"""Locks on a live target: cases share it, and a case that disturbs the cluster has it alone.

The locks are files, so they hold between the processes of one run (pytest-xdist) and between runs on this
machine. They are fair: a case that waits to have the target alone blocks the cases that come after it, so
that it does not wait forever while others share the target.

A process that finds that a target cannot be used any more leaves a mark for the other processes of its run.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between two attempts. Short compared with any case, long compared with a system call.
_POLL_S = 0.02

#: Environment variable of the processes of pytest-xdist: the id of the run.
_RUN = "PYTEST_XDIST_TESTRUNUID"


class LockTimeout(Exception):  # noqa: N818 - named like the builtin TimeoutError
    """Another run or case held the target for longer than the time-out."""


@contextlib.contextmanager
def use_of(target: str, *, alone: bool, timeout: float = 900.0) -> Iterator[None]:
    """Hold the target, shared or alone, while the block runs.

    Args:
        target: text that identifies the target: the name of the profile and the addresses.
        alone: no other case uses the target meanwhile.
        timeout: seconds to wait for the target.

    Raises:
        LockTimeout: the target did not become free in that time.
    """
    deadline = time.monotonic() + timeout
    with _file(target, "turn").open("a") as turn, _file(target, "use").open("a") as use:
        _take(turn.fileno(), fcntl.LOCK_EX, deadline, target)
        _take(use.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, deadline, target)
        fcntl.flock(turn.fileno(), fcntl.LOCK_UN)
        # The lock ends when the files are closed: at the end of the block, or when this process ends.
        yield


def mark_lost(target: str, reason: str) -> None:
    """Inform the other processes of this run that no further case can use the target.

    Args:
        target: as for `use_of`.
        reason: why, in one sentence.
    """
    if (run := os.environ.get(_RUN)) is not None:
        _file(target, f"{run}.lost").write_text(reason, encoding="utf-8")


def lost_reason(target: str) -> str | None:
    """Why no further case can use the target, as another process of this run found out; else None.

    Args:
        target: as for `use_of`.
    """
    run = os.environ.get(_RUN)
    file = None if run is None else _file(target, f"{run}.lost")
    return file.read_text(encoding="utf-8") if file is not None and file.is_file() else None


def _file(target: str, suffix: str) -> Path:
    digest = hashlib.sha256(target.encode()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"swn-torture-locks-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / f"{digest}.{suffix}"


def _take(descriptor: int, operation: int, deadline: float, target: str) -> None:
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LockTimeout(
                    f"another run or case kept the target {target} locked for too long"
                ) from None
            time.sleep(_POLL_S)
        else:
            return
