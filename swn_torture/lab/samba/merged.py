"""Run a command in a root directory that is several layers over each other, as a node will have it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.lab.tools import run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

# The mounts are in a mount namespace that ends with the command. What it writes is in memory and is lost.
_INSIDE: Final = """
set -eu
at=$1 lower=$2
shift 2
mount -t tmpfs -o mode=0755 tree "$at"
mkdir "$at/upper" "$at/work" "$at/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$at/upper,workdir=$at/work" tree "$at/root"
mount -t proc proc "$at/root/proc"
mkdir -p "$at/root/dev"
: >"$at/root/dev/null"
mount --bind /dev/null "$at/root/dev/null"
cp -L /etc/resolv.conf "$at/root/etc/resolv.conf" 2>/dev/null || :
# As on a node: libraries in further directories, and links to libraries that are missing.
chroot "$at/root" /sbin/ldconfig
exec chroot "$at/root" "$@"
"""

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Merged:
    """Layers over each other.

    Attributes:
        layers: the directories, top first.
        mount_point: an existing directory, which stays empty.
    """

    layers: tuple[Path, ...]
    mount_point: Path

    def run(
        self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside; it has the network of this machine.

        Args:
            argv: the command line.
            timeout: seconds that it may take.
            check: whether an exit code other than 0 is an error.

        Raises:
            LabError: the command fails, cannot be started or takes too long.
        """
        proxies = [f"{name}={value}" for name, value in os.environ.items() if name.endswith("_proxy")]
        variables = [f"PATH={_PATH}", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *proxies]
        inside = ["/usr/bin/env", "-i", *variables, *argv]
        words = [str(self.mount_point), lower_directories(self.layers), *inside]
        shell = ["unshare", "--mount", "sh", "-c", _INSIDE, "inside"]
        return run([*shell, *words], timeout=timeout, check=check)


def lower_directories(layers: Sequence[Path]) -> str:
    """Return layers, top first, as the value of ``lowerdir`` of an overlay: ``:`` and ``,`` are escaped."""
    escaped = (str(layer).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for layer in layers)
    return ":".join(escaped)
