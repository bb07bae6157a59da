"""Loads the program at the first call, and forks a process for each command.

``python -m tests.preloaded.fork_server WHAT DIRECTORY [at-once]``: what is loaded is ``swn_torture``,
``pytest``, or ``scapy`` for scripts that use it; ``at-once`` has it loaded before the first call. The
directory has a socket, what stands for the interpreter, and a link for each caller, from its process id to
that of the process that was forked for it. What a command starts for pytest-xdist is forked, too.

It ends when its standard input ends.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import marshal
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Variables that have an effect only when an interpreter starts.
_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "COVERAGE_", "COV_")

#: Variables with such names that have an effect later, or none.
_LATER = ("PYTHON", "PYTHONUNBUFFERED")

#: What the commands import when they need it.
_LOADED_LATER = (
    "_pytest.assertion",
    "jinja2",
    "rich.live",
    "scapy.layers.inet",
    "scapy.layers.inet6",
    "scapy.layers.l2",
    "scapy.utils",
    "swn_torture.faults.library",
    "swn_torture.harness.first_look",
    "swn_torture.harness.unusable",
    "swn_torture.report.html",
    "swn_torture.report.text",
    "swn_torture.unusual.library",
    "xdist.dsession",
    "xdist.workermanage",
)

#: What the example servers import of scapy.
_LAYERS = ("dcerpc", "gssapi", "msrpce.rpcserver", "ntlm", "spnego")


#: The arguments with which execnet starts an interpreter.
_EXECNET = ["-u", "-c", "import sys;exec(eval(sys.stdin.readline()))"]


#: How many descriptors a process can have when it starts.
_FILES = 32


class _Request(NamedTuple):
    words: list[str]
    directory: str
    environment: dict[str, str]
    ignores_interrupts: bool
    session: int
    leads_session: bool
    files: list[int]

    @property
    def is_unbuffered(self) -> bool:
        return self.words == _EXECNET or bool(self.environment.get("PYTHONUNBUFFERED"))

    @property
    def is_script(self) -> bool:
        return bool(self.words) and self.words[0].endswith(".py")

    @property
    def is_code(self) -> bool:
        return self.words[:1] == ["-c"]


class _EndedError(Exception):
    """The test process has ended."""


class ForkServer:
    """Forks processes, and tells those who asked for them how they ended.

    Args:
        what: what it loads, and runs if it is a program.
        directory: where it listens, and where the program is that stands for the interpreter.
    """

    def __init__(self, what: str, directory: Path) -> None:
        self._what = what
        self._directory = directory
        self._has_loaded = False
        self._python = str(directory / "python")
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(directory / "socket"))
        self._listener.listen(64)
        self._woken, waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(waker, False)
        self._waker = waker
        self._callers: dict[int, socket.socket] = {}
        self._standard = [(each.encoding, each.errors) for each in (sys.stdin, sys.stdout, sys.stderr)]
        self._start = _start_of(os.environ)

    def serve(self) -> _Request:
        """Fork a process for each call.

        Returns:
            In each forked process, what it has to run.

        Raises:
            _EndedError: the standard input has ended.
        """
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for source in (self._listener, self._woken, 0):
            self._selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    request = self._accept()
                    if request is not None:
                        return request
                elif key.fileobj == 0:
                    raise _EndedError
                elif key.fileobj == self._woken:
                    self._reap()
                else:
                    self._hang_up(key.data)

    def _accept(self) -> _Request | None:
        """Fork a process; what it has to run, in that process."""
        caller, _ = self._listener.accept()
        head, streams, _, _ = socket.recv_fds(caller, 4, _FILES, socket.MSG_WAITALL)
        request = _Request(*marshal.loads(caller.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL)))
        if not self._can_run(request):
            caller.sendall(struct.pack("<i", -1))
            caller.close()
            pid = -1
        else:
            self.load()
            pid = os.fork()
            if pid == 0:
                caller.close()
                self._become(request, streams)
                return request
            self._link_of(caller).symlink_to(str(pid))
            caller.sendall(struct.pack("<i", pid))
            self._callers[pid] = caller
            self._selector.register(caller, selectors.EVENT_READ, pid)
        for each in streams:
            os.close(each)
        return None

    def load(self) -> None:
        """Import what is to be loaded, once."""
        if not self._has_loaded:
            gc.disable()
            _LOADERS[self._what]()
            gc.collect()
            gc.freeze()
            gc.enable()
            self._has_loaded = True

    def _can_run(self, request: _Request) -> bool:
        """Whether the request asks for nothing that only a new process can have."""
        is_program = request.words[:2] == ["-m", self._what]
        known = is_program or request.is_script or request.is_code or request.words == _EXECNET
        session = request.leads_session or request.session == os.getsid(0)
        return known and session and _start_of(request.environment) == self._start

    def _reap(self) -> None:
        """Tell the callers of all processes that have ended."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._woken, 512):
                pass
        while self._callers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            caller = self._callers.pop(pid)
            self._link_of(caller).unlink()
            with contextlib.suppress(KeyError):  # it has gone before
                self._selector.unregister(caller)
            with contextlib.suppress(OSError):
                caller.sendall(struct.pack("<i", status))
            caller.close()

    def _link_of(self, caller: socket.socket) -> Path:
        (pid, _, _) = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return self._directory / str(pid)

    def _hang_up(self, pid: int) -> None:
        """The caller has gone: it was killed."""
        if pid in self._callers:
            self._selector.unregister(self._callers[pid])
            # It has not been waited for, so that its number is still its own.
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if os.getsid(pid) == pid else os.kill)(pid, signal.SIGKILL)

    def _become(self, request: _Request, streams: list[int]) -> None:
        """Turn this process, which was just forked, into the one that was asked for."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(
            signal.SIGINT, signal.SIG_IGN if request.ignores_interrupts else signal.default_int_handler
        )
        self._selector.close()
        self._listener.close()
        for caller in self._callers.values():
            caller.close()
        os.close(self._woken)
        os.close(self._waker)
        if request.leads_session:
            os.setsid()
        # First out of the way of each other.
        high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 500) for each in streams]
        for each in streams:
            os.close(each)
        for number, each in zip(request.files, high, strict=True):
            os.dup2(each, number)
            os.close(each)
        os.chdir(request.directory)
        os.environ.clear()
        os.environ.update(request.environment)
        tempfile.tempdir = None  # it depends on the environment
        buffered = not request.is_unbuffered
        starts = request.words[1:2] == ["pytest"] or request.words[2:3] in (["run"], ["selftest"])
        if starts and "--plan" not in request.words:  # which shows the name
            sys.executable = self._python
        (sys.stdin, sys.stdout, sys.stderr) = (
            io.TextIOWrapper(
                open(number, "wb" if number else "rb", -1 if buffered else 0, closefd=False),  # noqa: SIM115
                encoding=encoding,
                errors=errors,
                line_buffering=number == 2 or os.isatty(number),
                write_through=not buffered,
            )
            for number, (encoding, errors) in enumerate(self._standard)
        )
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]


def _start_of(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_AT_START) and name not in _LATER
    }


def run(request: _Request) -> NoReturn:
    """Run what is asked for, as an interpreter does, and end this process."""
    code: object = None
    try:
        if request.words == _EXECNET:
            sys.argv, sys.path[0] = ["-c"], ""
            exec(_EXECNET[-1], vars(sys.modules["__main__"]))
        elif request.is_code:
            sys.argv, sys.path[0] = ["-c", *request.words[2:]], ""
            exec(request.words[1], {"__name__": "__main__"})
        elif request.is_script:
            sys.argv, sys.path[0] = request.words, str(Path(request.words[0]).parent)
            runpy.run_path(request.words[0], run_name="__main__")
        else:
            sys.argv, sys.path[0] = request.words[1:], request.directory
            runpy.run_module(request.words[1], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    # What an interpreter does at its end; but it need not free its memory piece by piece.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120
    os._exit(int(code or 0))


def load_pytest() -> None:
    """Let pytest load its plugins and collect the suite, as a run in an empty directory does."""
    import pytest

    from swn_torture.faults.library import load_faults
    from swn_torture.spec import load_catalogue
    from swn_torture.unusual.library import load_unusual
    from swn_torture.workers import load_suite

    output = os.dup(1)
    with tempfile.TemporaryDirectory() as place, open(os.devnull, "w") as nothing:  # noqa: PTH123
        before = Path.cwd()
        os.chdir(place)
        os.dup2(nothing.fileno(), 1)
        code = pytest.main(["--pyargs", "swn_torture", "--collect-only", "-q", "-p", "no:cacheprovider"])
        os.dup2(output, 1)
        os.chdir(before)
    os.close(output)
    load_suite()
    assert code == pytest.ExitCode.OK
    for name in _LOADED_LATER:
        importlib.import_module(name)
    load_catalogue(), load_faults(), load_unusual()


def load_command() -> None:
    """Import what the commands need, and collect the suite once."""
    import swn_torture.commands
    from swn_torture.faults.library import load_faults
    from swn_torture.harness.case_map import collect_cases
    from swn_torture.report.elsewhere import known_elsewhere
    from swn_torture.report.html import templates
    from swn_torture.spec import load_catalogue, load_untestable
    from swn_torture.unusual.library import load_unusual
    from swn_torture.workers import load_suite

    load_suite()
    for module in pkgutil.iter_modules(swn_torture.commands.__path__, "swn_torture.commands."):
        importlib.import_module(module.name)
    for name in _LOADED_LATER:
        importlib.import_module(name)
    load_untestable(), load_faults(), load_unusual(), collect_cases()
    known_elsewhere("", load_catalogue())
    pages = templates()
    for name in pages.list_templates(extensions=["j2"]):
        pages.get_template(name)


def load_scapy() -> None:
    """Import what the example servers import of scapy. Commands do without it: it adds layers to theirs."""
    for name in _LAYERS:
        importlib.import_module(f"scapy.layers.{name}")


_LOADERS: Mapping[str, Callable[[], None]] = {
    "swn_torture": load_command,
    "pytest": load_pytest,
    "scapy": load_scapy,
}


def main() -> None:
    """Serve until the test process has ended."""
    _, what, directory, *when = sys.argv
    server = ForkServer(what, Path(directory))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if when:
        server.load()
    with contextlib.suppress(_EndedError, KeyboardInterrupt):
        run(server.serve())


if __name__ == "__main__":
    main()
