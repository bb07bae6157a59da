"""A stream from parts, and Samba's own filter and formatter, where a source directory of Samba is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swn_torture.selftest.subunit import SubunitStream

if TYPE_CHECKING:
    from collections.abc import Callable

#: The environment variable that names a source directory of Samba.
SAMBA_SOURCE = "SWN_SAMBA_SOURCE"

_PROGRAMS = ("filter-subunit", "format-subunit", "subunithelper.py")


@dataclass(frozen=True)
class SambaTools:
    """Samba's filter and formatter of subunit, in a directory of their own.

    Attributes:
        directory: the directory.
    """

    directory: Path

    def run(self, program: str, stream: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of ``selftest`` with a stream as its input."""
        done = subprocess.run(
            [sys.executable, f"selftest/{program}", *arguments],
            cwd=self.directory,
            input=stream,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def filtered(
        self, stream: bytes, *, knownfail: str = "", prefix: str = "swn-torture.", suffix: str = "(env)"
    ) -> subprocess.CompletedProcess[str]:
        """Filter a stream as selftest.pl does for one suite, with a list of known failures."""
        known = self.directory / "knownfail"
        known.write_text(knownfail, encoding="utf-8")
        options = (f"--expected-failures={known}", f"--prefix={prefix}", f"--suffix={suffix}")
        return self.run("filter-subunit", stream, "--fail-on-empty", *options)


@pytest.fixture(scope="session")
def samba_tools(tmp_path_factory: pytest.TempPathFactory) -> SambaTools:
    """Samba's tools, linked from the source directory that SWN_SAMBA_SOURCE names."""
    named = os.environ.get(SAMBA_SOURCE)
    if not named:
        pytest.skip(f"{SAMBA_SOURCE} names no source directory of Samba")
    source = Path(named).absolute()
    directory = tmp_path_factory.mktemp("samba")
    (directory / "selftest").mkdir()
    for program in _PROGRAMS:
        # A copy, because Python puts the directory of the file behind a link into its path.
        shutil.copy(source / "selftest" / program, directory / "selftest")
    package = directory / "bin" / "python" / "samba"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()  # that of Samba needs a build
    (package / "subunit").symlink_to(source / "python" / "samba" / "subunit")
    return SambaTools(directory)


@pytest.fixture
def stream_of() -> Callable[[Callable[[SubunitStream], None]], bytes]:
    """The octets of a stream that a function writes."""

    def octets(write: Callable[[SubunitStream], None]) -> bytes:
        written: list[bytes] = []
        write(SubunitStream(written.append))
        return b"".join(written)

    return octets
