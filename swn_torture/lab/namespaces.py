"""Network namespaces by name, the processes inside them, and the way in for this process."""

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
_OURS = re.compile(r"swn-([a-z][a-z0-9]{0,11})-(switch|client|node\d+)")


def namespaces_of(lab: str) -> list[str]:
    """The names of all network namespaces of a lab, running or left over."""
    found = (_OURS.fullmatch(name) for name in _names())
    return sorted(match[0] for match in found if match is not None and match[1] == lab)


def labs() -> list[str]:
    """The names of all labs that have a namespace on this machine."""
    found = (_OURS.fullmatch(name) for name in _names())
    return sorted({match[1] for match in found if match is not None})


def _names() -> list[str]:
    try:
        return os.listdir(_DIRECTORY)  # noqa: PTH208 - names are all we want
    except FileNotFoundError:
        return []


def exists(name: str) -> bool:
    """Whether there is a network namespace of this name."""
    return (_DIRECTORY / name).exists()


def processes_in(name: str) -> list[int]:
    """The processes in a network namespace, by their numbers on the host.

    Asks the kernel rather than a pid file: so the processes of a lab are found whatever became of the one who
    started them.
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
        return None  # it has just ended


def init_process(name: str) -> int | None:
    """The host's number for process 1 of the node that lives in this network namespace."""
    for pid in processes_in(name):
        with suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
            numbers = re.search(r"^NSpid:\s+(.+)$", status, re.MULTILINE)
            if numbers is not None and len(numbers[1].split()) > 1 and numbers[1].split()[-1] == "1":
                return pid
    return None


def kill_all(pids: Collection[int], *, timeout: float = 10.0) -> list[int]:
    """Kill processes and wait for their end; returns those still there after `timeout` seconds."""
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
    """This process and those it descends from: what must survive a `down` called inside the lab."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            break
        # The command name stands in parentheses and may hold any character, so count from its end.
        pid = int(stat.rpartition(")")[2].split()[1])
    return found


def add(name: str) -> None:
    """Make a network namespace with its loopback up."""
    run(["ip", "netns", "add", name])
    run(["ip", "-n", name, "link", "set", "lo", "up"])


def delete(name: str) -> None:
    """Remove the name of a network namespace; the namespace ends with its last process."""
    run(["ip", "netns", "delete", name])


def enter_network(name: str) -> None:
    """Move the calling thread into a network namespace.

    Threads and processes that it starts afterwards begin there; those that exist stay where they are. Raises
    `LabError` when there is no such namespace or we may not enter it.
    """
    try:
        handle = os.open(_DIRECTORY / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        hint = " It is a lab's: swn-torture lab up makes it." if _OURS.fullmatch(name) else ""
        raise LabError(f"The network namespace {name} cannot be entered: {error.strerror}.{hint}") from error
    try:
        # os.setns came with Python 3.12.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise LabError(f"Could not enter the network namespace {name}: {os.strerror(number)}.")
    finally:
        os.close(handle)


def enter_client_namespace(lab: str = "lab") -> None:
    """Move this thread to where the nodes of a lab can be reached (root only).

    Call it before other threads and the event loop start. Raises `LabError` when the lab is not up.
    """
    name = namespace(check_name(lab), "client")
    if not exists(name):
        raise LabError(f"The lab {lab!r} is not up on this machine: swn-torture lab up.")
    enter_network(name)


def in_client_namespace(lab: str = "lab") -> bool:
    """Whether this thread already is where the nodes of a lab can be reached."""
    try:
        there = (_DIRECTORY / namespace(check_name(lab), "client")).stat().st_ino
    except FileNotFoundError:
        return False
    return Path("/proc/thread-self/ns/net").stat().st_ino == there
