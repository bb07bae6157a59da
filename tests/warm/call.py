"""Runs a command in a process that is forked from the nursery, and ends as it ends.

It is a program of its own, which loads next to nothing: ``call.py SOCKET ARGUMENT...``.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import os
import struct
import sys

_FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2)


def main() -> None:
    """Send what makes up a process to the nursery; pass signals on; wait for the exit code."""
    path, *arguments = sys.argv[1:]
    ignores = _signal.getsignal(_signal.SIGINT) == _signal.SIG_IGN
    early: list[int] = []
    for number in _FORWARDED:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, lambda number, _: early.append(number))
    request = marshal.dumps((arguments, os.getcwd(), dict(os.environ), ignores))  # noqa: PTH109
    nursery = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    nursery.connect(path)
    streams = struct.pack("3i", 0, 1, 2)
    nursery.sendmsg([struct.pack("<I", len(request))], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    nursery.sendall(request)
    pid = _number(nursery)
    if pid < 0:  # an environment that only a new interpreter can have
        os.execv(sys.executable, [sys.executable, "-m", "swn_torture", *arguments])

    def forward(number: int, _: object) -> None:
        os.kill(pid, number)

    for number in _FORWARDED:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, forward)
    for number in early:
        os.kill(pid, number)
    code = os.waitstatus_to_exitcode(_number(nursery))
    if code >= 0:
        os._exit(code)
    if -code != _signal.SIGKILL:
        _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)


def _number(nursery: _socket.socket) -> int:
    data = nursery.recv(4, _socket.MSG_WAITALL)
    if len(data) < 4:
        raise SystemExit("the nursery has ended")
    number: int = struct.unpack("<i", data)[0]
    return number


main()
