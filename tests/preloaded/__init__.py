"""The command ``swn-torture`` in a process of its own that need not load the program first.

To start Python, to import the program and to read the catalogue takes several times as long as what most
tests of the command ask of it. A *fork server* (`tests.preloaded.fork_server`) does this once; each command
is then a process that is forked from it. The processes of pytest-xdist share the fork servers of the process
that started them (`share_fork_servers`).

A test that calls the command starts ``[*program(), "run", ...]`` in place of ``[sys.executable, "-m",
"swn_torture", "run", ...]``, with `subprocess`, as before: what it starts is a small program
(`tests.preloaded.call`) that passes its arguments, environment, directory, standard streams and signals on,
and ends as the command ends. If it is killed, the command is killed, a little later. `process_of` is the
process of the command, for tests that kill or stop it, or look at it from outside. Tests of how the program
is loaded, and of limits that the process gets, start Python itself.

`plain_pytest` is the same for ``python -m pytest`` with the plugin, from a fork server of its own, and
`python` for scripts and ``-c CODE``.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent

Loaded = Literal["swn_torture", "pytest", "scapy"]

#: The variable with the directory of a fork server that the test processes share.
_SHARED = "SWN_TORTURE_TESTS_PRELOADED_{}"


def program() -> list[str]:
    """The first words of a command line, which run the command ``swn-torture`` with those that follow."""
    return _started("swn_torture")


def plain_pytest() -> list[str]:
    """The first words of a command line, which run pytest with those that follow."""
    return _started("pytest")


def stand_in(path: Path) -> None:
    """Write a program that is the command ``swn-torture``, for commands that look for it by its name.

    Args:
        path: the file.
    """
    _write_program(path, _fork_server("swn_torture") / "socket", ["-m", "swn_torture"])


def python(loaded: Loaded = "swn_torture") -> str:
    """The path of a program that is an interpreter for ``-m swn_torture``, for scripts and for ``-c CODE``.

    Args:
        loaded: what it has loaded.
    """
    return str(_fork_server(loaded) / "python")


def process_of(caller: int, loaded: Loaded = "swn_torture") -> int:
    """The id of the process that runs a command, while it runs.

    Args:
        caller: the id of the process that was started.
        loaded: what the command has loaded.

    Raises:
        AssertionError: the command did not start within 30 seconds, or has ended.
    """
    deadline = time.monotonic() + 30
    link = _fork_server(loaded) / str(caller)
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            return int(link.readlink().name)
        time.sleep(0.005)
    raise AssertionError(f"the process {caller} has no command that runs")


def _started(module: Loaded) -> list[str]:
    socket = _fork_server(module) / "socket"
    return [sys.executable, "-I", "-S", str(HERE / "call.py"), str(socket), "-m", module]


@functools.cache
def _fork_server(loaded: Loaded) -> Path:
    """The directory of a fork server: of the shared one, or of one that ends with this process."""
    shared = os.environ.get(_SHARED.format(loaded))
    if shared is not None:
        return Path(shared)
    process, directory = _start(loaded)
    atexit.register(_end, process, directory)
    return directory


def share_fork_servers(at_end: Callable[[Callable[[], None]], None], *, at_once: bool) -> None:
    """Start fork servers for all processes that this process starts.

    Args:
        at_end: gets what has to be called at the end.
        at_once: load the program now, while the tests are collected, and not at the first call.
    """
    for loaded in get_args(Loaded):
        name = _SHARED.format(loaded)
        if name not in os.environ:
            process, directory = _start(loaded, at_once=at_once)
            os.environ[name] = str(directory)
            at_end(functools.partial(os.environ.__delitem__, name))
            at_end(functools.partial(_end, process, directory))


def _start(loaded: Loaded, *, at_once: bool = False) -> tuple[subprocess.Popen[bytes], Path]:
    directory = Path(tempfile.mkdtemp(prefix="swn-preloaded-"))
    # What stands for the interpreter when a command starts processes of its own.
    _write_program(directory / "python", directory / "socket", [])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.preloaded.fork_server", loaded, str(directory), *["at-once"] * at_once],
        cwd=HERE.parents[1],
        stdin=subprocess.PIPE,  # its other end closes with this process
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process, directory


def _write_program(path: Path, socket: Path, words: list[str]) -> None:
    path.write_text(
        f"#!{sys.executable} -IS\n"
        f"import sys; sys.path.append({str(HERE)!r}); import call\n"
        f"call.main({str(socket)!r}, {sys.executable!r}, {words!r} + sys.argv[1:])\n",
        encoding="utf-8",
    )
    path.chmod(0o700)


def _end(process: subprocess.Popen[bytes], directory: Path) -> None:
    process.communicate()
    shutil.rmtree(directory)
