"""Samba's own tools, out of the lab's base tree: a Debian with Samba in it, whatever this host has.

A command runs with the tree as its root, in a mount namespace of its own: what it writes goes to memory and
ends with it, so that the tree stays as it was made. The network is ours.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_HERE: Final = "/mnt"
"""Where a directory of ours is seen in the tree."""

# setpriv: a command must not outlive the test run that it works for.
_CONTAINED: Final = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--propagation", "private", "--"),
)

_ENTER: Final = f"""
set -eu
tree=$1 ours=$2
shift 2
memory=$tree/mnt
mount -t tmpfs -o mode=0755 swn "$memory"
mkdir "$memory/upper" "$memory/work" "$memory/root"
mount -t overlay -o "lowerdir=$tree,upperdir=$memory/upper,workdir=$memory/work" swn "$memory/root"
mount --bind "$ours" "$memory/root{_HERE}"
mount -t proc proc "$memory/root/proc"
exec chroot "$memory/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \\
  PYTHONDONTWRITEBYTECODE=1 sh -c 'cd {_HERE} && exec "$@"' sh "$@"
"""


@dataclass(frozen=True)
class SambaTree:
    """The tree, and how to run its commands.

    Attributes:
        root: its path on this host.
    """

    root: Path

    def command(self, *argv: str, ours: Path) -> list[str]:
        """How to run a command of the tree from this host; it begins in ``ours``, which it sees as /mnt."""
        return [*_CONTAINED, "sh", "-c", _ENTER, "sh", str(self.root), str(ours), *argv]

    def run(
        self, *argv: str, ours: Path, timeout: float = 120.0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the tree to its end, however that is; see ``command``."""
        return subprocess.run(
            self.command(*argv, ours=ours),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )

    def start(self, *argv: str, ours: Path, **how: Any) -> subprocess.Popen[str]:
        """Start a command of the tree and speak with it over pipes, in lines; see ``command``."""
        return subprocess.Popen(
            self.command(*argv, ours=ours),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            **how,
        )
