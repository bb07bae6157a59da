"""Keeps the smbd processes of one node: starts one for each connection, and ends all when the reference ends.

It is run as a script, with the standard library only: ``python -I smbd_keeper.py DIRECTORY``. Standard input
is a Unix socket to the reference. Each message is an order as JSON, and has an answer:

- ``{"do": "serve", "tag": T, "argv": [...]}`` with the socket of a client: start smbd for it.
- ``{"do": "freeze" | "thaw", "tag": T}``: stop the processes of the tag, or let them go on.
- ``{"do": "end", "tag": T, "reset": true | false}``: kill them; reset their connections or close them.

When the reference ends, in whatever way, the socket is closed. Then every process is killed, also those that
smbd has started (samba-dcerpcd), and DIRECTORY is removed. smbd changes its user, which clears
PR_SET_PDEATHSIG (prctl(2)): so this process is the one that outlives the reference for a moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: prctl(2): processes whose parent has ended become children of this one.
_PR_SET_CHILD_SUBREAPER = 36

_RESET = struct.pack("ii", 1, 0)


@dataclass
class _Served:
    """The process of one connection, with a second descriptor of its socket."""

    tag: str
    process: subprocess.Popen[bytes]
    client: socket.socket


class Keeper:
    """Executes the orders.

    Args:
        control: the socket to the reference.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._served: dict[int, _Served] = {}

    def run(self) -> None:
        """Execute orders until the reference closes the socket; collect processes that end meanwhile."""
        ended, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._control.fileno(), ended], [], [])
            if ended in ready:
                os.read(ended, 0x1000)
                self.reap()
            if self._control.fileno() not in ready:
                continue
            message, descriptors, _, _ = socket.recv_fds(self._control, 0x10000, 1)
            if not message:
                return
            order = json.loads(message)
            try:
                answer = self._execute(order, descriptors)
            except OSError as problem:
                answer = f"{problem.filename or ''} {problem.strerror}".strip()
            self._control.sendall(json.dumps({"problem": answer}).encode())

    def reap(self) -> None:
        """Collect the processes that have ended, and close their connections."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            served = self._served.pop(pid, None)
            if served is not None:
                served.client.close()

    def _execute(self, order: dict[str, Any], descriptors: list[int]) -> str:
        if order["do"] == "serve":
            client = socket.socket(fileno=descriptors[0])
            try:
                process = subprocess.Popen(  # noqa: S603 - the reference says which smbd
                    order["argv"],
                    stdin=client.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError:
                client.close()
                raise
            self._served[process.pid] = _Served(order["tag"], process, client)
            return ""
        of_tag = {pid: each for pid, each in self._served.items() if each.tag == order["tag"]}
        for pid, each in of_tag.items():
            if order["do"] != "end":
                _signal(pid, signal.SIGSTOP if order["do"] == "freeze" else signal.SIGCONT)
                continue
            if order["reset"]:
                with contextlib.suppress(OSError):  # the client has closed the connection
                    each.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            _signal(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # it had ended, and is collected
                os.waitpid(pid, 0)
            self._served.pop(pid, None)
            each.client.close()
        return ""


def _signal(pid: int, number: int) -> None:
    """Signal the process of a connection, which leads a process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _children() -> list[int]:
    """The processes whose parent is this one."""
    own = os.getpid()
    text = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii")
    return [int(pid) for pid in text.split()]


def end_all() -> None:
    """Kill every descendant. Each one becomes a child of this process when its parent ends."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main() -> None:
    """Keep smbd processes until the reference ends; then remove the directory."""
    directory = Path(sys.argv[1])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    control = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with contextlib.suppress(ConnectionError):
            Keeper(control).run()
    finally:
        end_all()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
