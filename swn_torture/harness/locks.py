"""Who may use a live target when: cases share it, a case that disturbs the cluster has it alone.

The lock lies in files, so that processes of one run (pytest-xdist) and of two runs on this machine heed it.
It is fair: whoever wants the target alone holds up those that come after, so it is not starved by a stream
of sharers.
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

#: How often a waiting process looks again. Short beside any case, long beside a system call.
_POLL_S = 0.02


class LockTimeout(Exception):  # noqa: N818 - named as the builtin it resembles
    """Somebody else held the target for longer than we were ready to wait."""


@contextlib.contextmanager
def use_of(target: str, *, alone: bool, timeout: float = 900.0) -> Iterator[None]:
    """Hold the target, shared or alone, while the block runs.

    Args:
        target: what tells targets apart: the profile's name and addresses.
        alone: nobody else uses the target meanwhile.
        timeout: seconds to wait for it.

    Raises:
        LockTimeout: it was not to be had in that time.
    """
    digest = hashlib.sha256(target.encode()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"swn-torture-locks-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    deadline = time.monotonic() + timeout
    with (directory / f"{digest}.turn").open("a") as turn, (directory / f"{digest}.use").open("a") as use:
        _take(turn.fileno(), fcntl.LOCK_EX, deadline, target)
        _take(use.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, deadline, target)
        fcntl.flock(turn.fileno(), fcntl.LOCK_UN)
        # Closing the files at the end of the block, or the death of this process, lets go.
        yield


def _take(descriptor: int, operation: int, deadline: float, target: str) -> None:
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LockTimeout(f"another run or case kept {target} to itself for too long") from None
            time.sleep(_POLL_S)
        else:
            return
