"""Commands of the host: whether they are there, and running them with deadlines."""

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

# A user's PATH often lacks the directories where half of these commands live.
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing_tools(tools: Iterable[str] = tuple(_PACKAGES)) -> dict[str, str]:
    """The commands that this host lacks, each with the Debian package that has it."""
    path = os.pathsep.join(filter(None, (os.environ.get("PATH", ""), _SYSTEM_PATH)))
    return {tool: _PACKAGES.get(tool, tool) for tool in tools if shutil.which(tool, path=path) is None}


def unavailable() -> str | None:
    """Why this host cannot run a lab, in one sentence; None if it can, as far as can be seen."""
    if os.geteuid() != 0:
        return "The lab makes network namespaces and mounts, which only root may do: run it as root."
    if missing := missing_tools():
        packages = " ".join(sorted(set(missing.values())))
        return f"The lab needs {', '.join(missing)}, which this host lacks: apt-get install {packages}."
    return None


def require_host() -> None:
    """Raise `LabError` unless this host can run a lab: root, and all the commands."""
    if reason := unavailable():
        raise LabError(reason)


def environment() -> dict[str, str]:
    """The environment in which host commands run: ours, with the system directories in PATH."""
    path = os.pathsep.join(filter(None, (os.environ.get("PATH", ""), _SYSTEM_PATH)))
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"}


def run(
    argv: Sequence[str], *, timeout: float = 30.0, stdin: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command, and return what it wrote; `LabError` when it fails or outlasts `timeout` seconds."""
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
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
        raise LabError(f"{shown(argv)} did not end within {timeout:g} s{_said(error.stderr)}") from error
    except OSError as error:
        raise LabError(f"{shown(argv)} could not be started: {error}") from error
    if check and done.returncode != 0:
        raise LabError(f"{shown(argv)} failed with {done.returncode}{_said(done.stderr or done.stdout)}")
    return done


@contextmanager
def locked(path: Path, busy: str, progress: Callable[[str], None], *, timeout: float) -> Iterator[None]:
    """Hold a file lock that ends with us, however we end.

    Args:
        path: the lock file.
        busy: what another process does that holds it, for messages: `is making ...`.
        progress: is told when we have to wait.
        timeout: seconds after which to give up.

    Raises:
        LabError: another process held it all the time, or it cannot be made.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"waiting: another process {busy}")
        try:
            lock.acquire(timeout=timeout)
        except Timeout as error:
            raise LabError(f"Another process {busy}, for {timeout:g} s now; giving up on it.") from error
    except OSError as error:
        raise LabError(f"The lock {path} cannot be taken: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()


def shown(argv: Sequence[str]) -> str:
    """A command as it can be typed, cut to a readable length."""
    text = " ".join(argv)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _said(output: str | bytes | None) -> str:
    """What a command said last, as the end of a sentence."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else (output or "")
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return f": {' / '.join(lines[-3:])}" if lines else "."
