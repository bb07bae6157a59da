"""Network namespaces by name: list, make, delete and enter them, and find their processes."""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab.config import check_name, namespace
from swn_torture.lab.errors import LabError
from swn_torture.lab.tools import run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_DIRECTORY: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_OURS = re.compile(r"swn-([a-z][a-z0-9]{0,11}(?:\.[a-z]{1,12})?)-(switch|client|dc|node\d+)")


def namespaces_of(lab: str) -> list[str]:
    """Return the names of all network namespaces of a lab, in use or not."""
    found = (_OURS.fullmatch(name) for name in _names())
    return sorted(match[0] for match in found if match is not None and match[1] == lab)


def lab_names() -> list[str]:
    """Return the names of all labs that have a network namespace on this machine."""
    found = (_OURS.fullmatch(name) for name in _names())
    return sorted({match[1] for match in found if match is not None})


def _names() -> list[str]:
    try:
        return os.listdir(_DIRECTORY)  # noqa: PTH208 - only the names are needed
    except FileNotFoundError:
        return []


def exists(name: str) -> bool:
    """Whether there is a network namespace with this name."""
    return (_DIRECTORY / name).exists()


def processes_in(name: str) -> list[int]:
    """Return the process ids, as this machine numbers them, of the processes in a network namespace.

    They come from the kernel and not from a pid file. So the processes of a lab are found even if the process
    that started them was killed.
    """
    try:
        inode = (_DIRECTORY / name).stat().st_ino
    except FileNotFoundError:
        return []
    return [pid for pid in _all_processes() if _network_of(pid) == inode]


def _all_processes() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            yield int(entry.name)


def _network_of(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116 - hot path over all of /proc
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # the process has ended


def init_process(name: str) -> int | None:
    """Return the process id, on this machine, of process 1 of the node with this network namespace."""
    for pid in processes_in(name):
        with suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
            numbers = re.search(r"^NSpid:\s+(.+)$", status, re.MULTILINE)
            if numbers is not None and len(numbers[1].split()) > 1 and numbers[1].split()[-1] == "1":
                return pid
    return None


def kill_all(pids: Collection[int], *, timeout: float = 10.0) -> list[int]:
    """Kill processes and wait for their end.

    Args:
        pids: the process ids.
        timeout: seconds to wait.

    Returns:
        The process ids of those that have not ended.
    """
    waiting: dict[int, int] = {}
    for pid in pids:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            waiting[handle] = pid
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    poll = select.poll()
    for handle in waiting:
        poll.register(handle, select.POLLIN)
    deadline = time.monotonic() + timeout
    while waiting and (left := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(left * 1000):
            poll.unregister(handle)
            os.close(handle)
            del waiting[handle]
    for handle in waiting:
        os.close(handle)
    return list(waiting.values())


def ancestors() -> set[int]:
    """Return the ids of this process and its ancestors: a `down` inside the lab must not kill them."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            break
        # The command name is in parentheses and may contain any character, so count from its end.
        pid = int(stat.rpartition(")")[2].split()[1])
    return found


def add(name: str) -> None:
    """Make a network namespace, and set its loopback interface up."""
    run(["ip", "netns", "add", name])
    run(["ip", "-n", name, "link", "set", "lo", "up"])


def delete(name: str) -> None:
    """Remove the name of a network namespace. The namespace itself ends with its last process."""
    run(["ip", "netns", "delete", name])


def enter_network(name: str) -> None:
    """Move the calling thread into a network namespace.

    Threads and processes that it starts later are in that namespace, too. Existing ones are not moved.

    Raises:
        LabError: there is no such namespace, or this process may not enter it.
    """
    try:
        handle = os.open(_DIRECTORY / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        match = _OURS.fullmatch(name)
        hint = f" It belongs to a lab; start it with: swn-torture lab up --name {match[1]}" if match else ""
        raise LabError(f"Cannot enter the network namespace {name}: {error.strerror}.{hint}") from error
    try:
        # os.setns is new in Python 3.12.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise LabError(f"Cannot enter the network namespace {name}: {os.strerror(number)}.")
    finally:
        os.close(handle)


def enter_client_namespace(lab: str = "lab") -> None:
    """Move the calling thread into the namespace from which the nodes of a lab are reachable (root only).

    Call it before other threads and the event loop start.

    Raises:
        LabError: the lab is not up, or this process may not enter the namespace.
    """
    name = namespace(check_name(lab), "client")
    if not exists(name):
        raise LabError(
            f"The lab {lab!r} is not up on this machine. Start it with: swn-torture lab up --name {lab}"
        )
    enter_network(name)


def lab_of_namespace(name: str) -> str | None:
    """The name of the lab that a network namespace belongs to; None for any other namespace."""
    match = _OURS.fullmatch(name)
    return match[1] if match else None


def in_client_namespace(lab: str = "lab") -> bool:
    """Whether the calling thread is in the namespace from which the nodes of a lab are reachable."""
    try:
        client = (_DIRECTORY / namespace(check_name(lab), "client")).stat().st_ino
    except FileNotFoundError:
        return False
    return Path("/proc/thread-self/ns/net").stat().st_ino == client
