"""The command ``swn-torture`` in a process of its own that need not load the program first.

To start Python, to import the program and to read the catalogue takes several times as long as what most
tests of the command ask of it. A *fork server* (`tests.preloaded.fork_server`) does this once for each test
process; each command is then a process that is forked from it.

A test that calls the command starts ``[*program(), "run", ...]`` in place of ``[sys.executable, "-m",
"swn_torture", "run", ...]``, with `subprocess`, as before: what it starts is a small program
(`tests.preloaded.call`) that passes its arguments, environment, directory, standard streams and signals on,
and ends as the command ends. Tests of how the program is loaded, and tests that kill a process or look at it
from outside, start Python itself.

`plain_pytest` is the same for ``python -m pytest`` with the plugin, from a fork server of its own.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent

Module = Literal["swn_torture", "pytest"]


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


def python() -> str:
    """The path of a program that is an interpreter for ``-m swn_torture``."""
    return str(_fork_server("swn_torture") / "python")


def _started(module: Module) -> list[str]:
    socket = _fork_server(module) / "socket"
    return [sys.executable, "-I", "-S", str(HERE / "call.py"), str(socket), "-m", module]


@functools.cache
def _fork_server(module: Module) -> Path:
    """Start a fork server of this test process; it ends with this process. The directory of its socket."""
    directory = Path(tempfile.mkdtemp(prefix="swn-preloaded-"))
    # What stands for the interpreter when a command starts processes of its own.
    _write_program(directory / "python", directory / "socket", [])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.preloaded.fork_server", module, str(directory)],
        cwd=HERE.parents[1],
        stdin=subprocess.PIPE,  # its other end closes with this process
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    atexit.register(_end, process, directory)
    return directory


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
