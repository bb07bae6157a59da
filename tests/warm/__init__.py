"""The command ``swn-torture`` in a process of its own that need not load the program first.

To start Python, to import the program and to read the catalogue takes several times as long as what most
tests of the command ask of it. A *nursery* (`tests.warm.nursery`) does this once for each test process; each
command is then a process that is forked from it.

A test that calls the command starts ``[*program(), "run", ...]`` in place of ``[sys.executable, "-m",
"swn_torture", "run", ...]``, with `subprocess`, as before: what it starts is a small program
(`tests.warm.call`) that passes its arguments, environment, directory, standard streams and signals on, and
ends as the command ends. Tests of how the program is loaded, and tests that kill a process or look at it from
outside, start Python itself.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def program() -> list[str]:
    """The first words of a command line, which run the command ``swn-torture`` with those that follow."""
    return [sys.executable, "-I", "-S", str(HERE / "call.py"), _nursery(), "-m", "swn_torture"]


@functools.cache
def _nursery() -> str:
    """Start the nursery of this test process; it ends with this process. The path of its socket."""
    directory = Path(tempfile.mkdtemp(prefix="swn-warm-"))
    path = str(directory / "socket")
    # What stands for the interpreter when a command starts processes of its own.
    python = directory / "python"
    python.write_text(
        f"#!{sys.executable} -IS\n"
        f"import sys; sys.path.append({str(HERE)!r}); import call\n"
        f"call.main({path!r}, {sys.executable!r}, sys.argv[1:])\n",
        encoding="utf-8",
    )
    python.chmod(0o700)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm.nursery", path, str(python)],
        cwd=HERE.parents[1],
        stdin=subprocess.PIPE,  # its other end closes with this process
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    atexit.register(_end, process, directory)
    return path


def _end(process: subprocess.Popen[bytes], directory: Path) -> None:
    process.communicate()
    shutil.rmtree(directory)
