"""Runs a command in a process that is forked from the fork server, and ends as it ends.

It is a program of its own, which loads next to nothing: ``call.py SOCKET -m swn_torture ARGUMENT...``. What
follows the socket is the command line of a Python interpreter: also ``-u -c CODE``, with which execnet starts
the processes of pytest-xdist. What the fork server cannot do is done by an interpreter.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import os
import struct
import sys

_FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2)


def main(path: str, interpreter: str, words: list[str]) -> None:
    """Send what makes up a process to the fork server; pass signals on; wait for the exit code.

    Args:
        path: the socket of the fork server.
        interpreter: the one to run if the fork server refuses.
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
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    server.connect(path)
    passed = struct.pack(f"{len(files)}i", *files)
    server.sendmsg([struct.pack("<I", len(request))], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)])
    server.sendall(request)
    pid = _number(server)
    if pid < 0:
        os.execv(interpreter, [interpreter, *words])

    def forward(number: int, _: object) -> None:
        os.kill(pid, number)

    for number in _FORWARDED:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, forward)
    for number in early:
        os.kill(pid, number)
    code = os.waitstatus_to_exitcode(_number(server))
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


def _number(server: _socket.socket) -> int:
    data = server.recv(4, _socket.MSG_WAITALL)
    if len(data) < 4:
        raise SystemExit("the fork server has ended")
    number: int = struct.unpack("<i", data)[0]
    return number


if __name__ == "__main__":
    main(sys.argv[1], sys.executable, sys.argv[2:])
