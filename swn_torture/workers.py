"""Forks the workers of pytest-xdist from a process that has loaded the suite.

A new interpreter takes over a second of processor time to load pytest, the modules with cases, and what the
first case imports. A run on two processors has eight workers, so this was a quarter of its processor time.
The first case ended after 12 s; with forked workers after 7 s (2026-11-30). The parent of the workers starts
before the target is asked, and loads meanwhile.

This takes the place of a class of execnet (`Popen2IOMaster`). Where there is no fork, or the parent cannot
load the suite, execnet starts new interpreters, as it does otherwise.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from types import ModuleType
from typing import IO, TYPE_CHECKING, Final, NoReturn, Self

import pytest
from execnet import gateway_io
from execnet.gateway_base import Popen2IO

from swn_torture.suite import suite_arguments, without_other_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from execnet.gateway_base import ExecModel

_CAN_FORK: Final = sys.platform == "linux" and hasattr(os, "pidfd_open")

#: By name, because some of these import rooms above this one, or take long.
_LOADED_BY_THE_FIRST_CASE: Final = (
    "impacket.dcerpc.v5.epm",  # the second client
    "impacket.dcerpc.v5.mgmt",
    "impacket.dcerpc.v5.transport",
    "spnego._ntlm",  # for every authentication
    "swn_torture.control.reference",
    "swn_torture.control.undoing.journaled",
    "swn_torture.harness.case_run",
    "swn_torture.harness.description",
    "swn_torture.harness.recorder",
    "swn_torture.harness.sharing",
    "swn_torture.lab.variants",
    "swn_torture.server.nodes.embedded",
)

#: The octets of a message to the parent process: an environment is far shorter.
_LONGEST: Final = 1 << 20


@functools.cache
def load_suite() -> None:
    """Import what every process that runs cases needs, and every module with cases."""
    _load(())


def load_cases(options: Sequence[str]) -> None:
    """Import what cases need, and the modules of the cases that these arguments for pytest select."""
    if not load_suite.cache_info().currsize:
        _load(options)


def _load(options: Sequence[str]) -> None:
    for module in _LOADED_BY_THE_FIRST_CASE:
        importlib.import_module(module)
    with without_other_plugins():
        pytest.main([*suite_arguments(), *options, "-n", "0", "--collect-only"])  # loads the rest of pytest


class Workers:
    """The process from which workers are forked. Use it as a context manager.

    Args:
        load: what that process calls first; it imports what the workers need.
        not_theirs: descriptors that stay with this process: who reads from their other end waits for its end.
    """

    def __init__(self, load: Callable[[], object], not_theirs: Sequence[int] = ()) -> None:
        self._load = load
        self._not_theirs = not_theirs
        self._link: socket.socket | None = None
        self._parent = 0

    def __enter__(self) -> Self:
        if _CAN_FORK and threading.active_count() == 1:
            self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            self._parent = os.fork()
            if self._parent == 0:
                self._link.close()
                for each in self._not_theirs:
                    os.close(each)
                _ParentOfWorkers(theirs).serve(self._load)
            theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        if self._link is not None:
            self._link.close()
            os.kill(self._parent, signal.SIGKILL)  # it can still be loading, with this process's output open
            os.waitpid(self._parent, 0)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let execnet fork its local processes, in a session of pytest in this process."""
        original, link = gateway_io.Popen2IOMaster, self._link

        def make(args: list[str], execmodel: ExecModel) -> Popen2IO:
            forked = None if link is None else _Worker.forked(link, execmodel)
            return original(args, execmodel) if forked is None else forked

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gateway_io, "Popen2IOMaster", make)
            yield


class _Worker(Popen2IO):
    """A forked process, with what execnet does to a local process.

    Args:
        process: a descriptor of the process (pidfd_open).
        stdin: writes to its standard input.
        stdout: reads its standard output.
        execmodel: how execnet reads and writes.
    """

    def __init__(self, process: int, stdin: IO[bytes], stdout: IO[bytes], execmodel: ExecModel) -> None:
        super().__init__(stdin, stdout, execmodel)
        self._process = process

    @classmethod
    def forked(cls, link: socket.socket, execmodel: ExecModel) -> Self | None:
        """Ask for a process; None if their parent has ended."""
        (read, stdin), (stdout, write) = os.pipe(), os.pipe()
        try:
            socket.send_fds(link, [json.dumps(dict(os.environ)).encode()], [read, write])
            _, (process, *_), _, _ = socket.recv_fds(link, 1, 1)
        except (OSError, ValueError):
            for each in (stdin, stdout):
                os.close(each)
            return None
        finally:
            for each in (read, write):
                os.close(each)
        return cls(process, open(stdin, "wb"), open(stdout, "rb"), execmodel)  # noqa: PTH123

    def wait(self) -> None:
        """Wait until the process has ended. Its exit code is known to its parent only."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        poll.poll()

    def kill(self) -> None:
        """End the process."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)


class _ParentOfWorkers:
    """What a process does that forks workers: it loads the suite, and ends when its link ends.

    Args:
        link: where a request for a process arrives, with the two ends of its pipes.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._interrupts = signal.getsignal(signal.SIGINT)

    def serve(self, load: Callable[[], object]) -> NoReturn:
        """Load, and fork a process for each request.

        It says nothing if that fails: the interpreters that start instead fail in the same way, and say so.
        """
        code = 1
        try:
            atexit._clear()  # noqa: SLF001 - what is registered there belongs to the process of the run
            for each in (signal.SIGINT, signal.SIGTERM):  # they are for the run, and for the workers
                signal.signal(each, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the exit codes of workers are not needed
            gc.disable()
            load()
            gc.collect()
            gc.freeze()
            gc.enable()
            self._answer()
            code = 0
        finally:
            os._exit(code)

    def _answer(self) -> None:
        while True:
            environment, pipes, _, _ = socket.recv_fds(self._link, _LONGEST, 2)
            if not environment:
                return
            pid = os.fork()
            if pid == 0:
                self._link.close()
                self._become_worker(json.loads(environment), *pipes)
            process = os.pidfd_open(pid)
            for each in pipes:
                os.close(each)
            socket.send_fds(self._link, [b"1"], [process])
            os.close(process)

    def _become_worker(self, environment: dict[str, str], stdin: int, stdout: int) -> NoReturn:
        """Do what execnet has a new interpreter do: ``python -u -c "import sys;exec(eval(...))"``."""
        code = 0
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, self._interrupts)
            os.environ.clear()
            os.environ.update(environment)
            for number, pipe in enumerate((stdin, stdout)):
                os.dup2(pipe, number)
                os.close(pipe)
            sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: SIM115
            sys.stdout = io.TextIOWrapper(
                open(1, "wb", 0, closefd=False),  # noqa: SIM115
                write_through=True,
            )
            sys.argv, sys.path[0] = ["-c"], ""
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(eval(sys.stdin.readline()), vars(main))  # noqa: S102, S307 - it is sent by execnet in the run
        except SystemExit as end:
            code = int(bool(end.code))
        except BaseException:  # noqa: BLE001 - as an interpreter does
            traceback.print_exc()
            code = 1
        finally:
            threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads, as at exit
            atexit._run_exitfuncs()  # noqa: SLF001
            os._exit(code)
