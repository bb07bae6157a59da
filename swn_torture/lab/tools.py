"""Commands of this machine: check that they exist, run them with deadlines; file locks."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_PACKAGES: Final[Mapping[str, str]] = {
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "pivot_root": "util-linux",
}

# The PATH of a user often lacks the directories of these commands.
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing_tools(tools: Iterable[str] = tuple(_PACKAGES)) -> dict[str, str]:
    """Return the commands that this machine lacks, each with the Debian package that has it."""
    path = os.pathsep.join(filter(None, (os.environ.get("PATH", ""), _SYSTEM_PATH)))
    return {tool: _PACKAGES.get(tool, tool) for tool in tools if shutil.which(tool, path=path) is None}


def unavailable_reason() -> str | None:
    """Return in one sentence why this machine cannot run a lab; None if no reason is known."""
    if os.geteuid() != 0:
        return "The lab needs network namespaces and mounts, which only root may make: run it as root."
    if missing := missing_tools():
        packages = " ".join(sorted(set(missing.values())))
        return f"This machine lacks {', '.join(missing)}. Install with: apt-get install {packages}"
    return None


def require_host() -> None:
    """Return if this machine can run a lab: root, and all commands exist.

    Raises:
        LabError: it cannot; the text says why.
    """
    if reason := unavailable_reason():
        raise LabError(reason)


def environment() -> dict[str, str]:
    """Return the environment of the commands: that of this process, with the system directories in PATH."""
    path = os.pathsep.join(filter(None, (os.environ.get("PATH", ""), _SYSTEM_PATH)))
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"}


def run(
    argv: Sequence[str], *, timeout: float = 30.0, stdin: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command of this machine, and return its result.

    Args:
        argv: the command line.
        timeout: seconds that it may take.
        stdin: its standard input; None for none.
        check: whether an exit code other than 0 is an error.

    Raises:
        LabError: the command fails, cannot be started or exceeds its time.
    """
    try:
        done = subprocess.run(  # noqa: S603 - commands of the lab
            argv,
            input="" if stdin is None else stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env=environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"{command_text(argv)} did not end within {timeout:g} s{_last_lines(error.stderr)}"
        ) from error
    except OSError as error:
        raise LabError(f"Cannot start {command_text(argv)}: {error}") from error
    if check and done.returncode != 0:
        output = _last_lines(done.stderr or done.stdout)
        raise LabError(f"{command_text(argv)} failed with exit code {done.returncode}{output}")
    return done


@contextmanager
def locked(path: Path, holder: str, progress: Callable[[str], None], *, timeout: float) -> Iterator[None]:
    """Hold a file lock. It ends with this process, even if the process is killed.

    Args:
        path: the lock file.
        holder: what another process with the lock does, for messages: `is making ...`.
        progress: called with one line if there is a wait.
        timeout: seconds to wait for the lock.

    Raises:
        LabError: another process held the lock all the time, or the lock file cannot be made.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"waiting: another process {holder}")
        try:
            lock.acquire(timeout=timeout)
        except Timeout as error:
            raise LabError(f"Another process {holder}, and has not finished after {timeout:g} s.") from error
    except OSError as error:
        raise LabError(f"Cannot take the lock {path}: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()


def command_text(argv: Sequence[str]) -> str:
    """Return a command line as text, cut to a readable length."""
    text = " ".join(argv)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _last_lines(output: str | bytes | None) -> str:
    """Return the last lines of an output as the end of a sentence."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else (output or "")
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return f": {' / '.join(lines[-3:])}" if lines else "."
