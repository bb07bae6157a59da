"""Samba's tools from the lab's base tree: a Debian with Samba, whatever packages this machine has.

A command runs with the tree as its root directory, in its own mount namespace. What it writes is in memory
and is removed when it ends, so that the tree does not change. The command uses the network of this machine.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_MOUNT_POINT: Final = "/mnt"
"""The path, inside the tree, of a directory of this machine."""

# setpriv: the command is killed when the test run ends.
_CONTAINED: Final = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--propagation", "private", "--"),
)

_ENTER: Final = f"""
set -eu
tree=$1 directory=$2
shift 2
memory=$tree/mnt
mount -t tmpfs -o mode=0755 swn "$memory"
mkdir "$memory/upper" "$memory/work" "$memory/root"
mount -t overlay -o "lowerdir=$tree,upperdir=$memory/upper,workdir=$memory/work" swn "$memory/root"
mount --bind "$directory" "$memory/root{_MOUNT_POINT}"
mount -t proc proc "$memory/root/proc"
exec chroot "$memory/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \\
  PYTHONDONTWRITEBYTECODE=1 sh -c 'cd {_MOUNT_POINT} && exec "$@"' sh "$@"
"""


@dataclass(frozen=True)
class SambaTree:
    """The tree, and functions to run its commands.

    Attributes:
        root: its path on this machine.
    """

    root: Path

    def command(self, *argv: str, directory: Path) -> list[str]:
        """Return the command line that runs a command of the tree.

        Args:
            *argv: the command.
            directory: its working directory, on this machine; in the tree it is /mnt.
        """
        return [*_CONTAINED, "sh", "-c", _ENTER, "sh", str(self.root), str(directory), *argv]

    def run(
        self, *argv: str, directory: Path, timeout: float = 120.0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the tree, and return its result with any exit code; see ``command``."""
        return subprocess.run(
            self.command(*argv, directory=directory),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )

    def start(self, *argv: str, directory: Path, **options: Any) -> subprocess.Popen[str]:
        """Start a command of the tree with pipes for standard input and output; see ``command``."""
        return subprocess.Popen(
            self.command(*argv, directory=directory),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            **options,
        )
