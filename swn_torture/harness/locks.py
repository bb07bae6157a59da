"""Locks on a live target: cases share it, and a case that disturbs the cluster has it alone.

The locks are files, so they hold between the processes of one run (pytest-xdist) and between runs on this
machine. They are fair: a case that waits to have the target alone blocks the cases that come after it, so
that it does not wait forever while others share the target.
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
    digest = hashlib.sha256(target.encode()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"swn-torture-locks-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    deadline = time.monotonic() + timeout
    with (directory / f"{digest}.turn").open("a") as turn, (directory / f"{digest}.use").open("a") as use:
        _take(turn.fileno(), fcntl.LOCK_EX, deadline, target)
        _take(use.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, deadline, target)
        fcntl.flock(turn.fileno(), fcntl.LOCK_UN)
        # The lock ends when the files are closed: at the end of the block, or when this process ends.
        yield


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
