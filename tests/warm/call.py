"""Runs a command in a process that is forked from the nursery, and ends as it ends.

It is a program of its own, which loads next to nothing: ``call.py SOCKET -m swn_torture ARGUMENT...``. What
follows the socket is the command line of a Python interpreter: also ``-u -c CODE``, with which execnet starts
the processes of pytest-xdist. What the nursery cannot do is done by an interpreter.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import os
import struct
import sys

_FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2)


def main(path: str, interpreter: str, words: list[str]) -> None:
    """Send what makes up a process to the nursery; pass signals on; wait for the exit code.

    Args:
        path: the socket of the nursery.
        interpreter: the one to run if the nursery refuses.
        words: the arguments of the interpreter.
    """
    ignores = _signal.getsignal(_signal.SIGINT) == _signal.SIG_IGN
    early: list[int] = []
    for number in _FORWARDED:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, lambda number, _: early.append(number))
    place, environment = os.getcwd(), dict(os.environ)  # noqa: PTH109 - pathlib takes longer to load
    session = os.getsid(0)
    files = [int(each) for each in os.listdir("/proc/self/fd") if int(each) > 2]  # noqa: PTH208
    files = [0, 1, 2, *(each for each in files if _is_inheritable(each))]
    leads = session == os.getpid()
    request = marshal.dumps((words, place, environment, ignores, session, leads, files))
    nursery = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    nursery.connect(path)
    passed = struct.pack(f"{len(files)}i", *files)
    nursery.sendmsg([struct.pack("<I", len(request))], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)])
    nursery.sendall(request)
    pid = _number(nursery)
    if pid < 0:
        os.execv(interpreter, [interpreter, *words])

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


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # the one of the listing itself
        return False


def _number(nursery: _socket.socket) -> int:
    data = nursery.recv(4, _socket.MSG_WAITALL)
    if len(data) < 4:
        raise SystemExit("the nursery has ended")
    number: int = struct.unpack("<i", data)[0]
    return number


if __name__ == "__main__":
    main(sys.argv[1], sys.executable, sys.argv[2:])
