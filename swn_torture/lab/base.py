"""The base tree: a Debian with Samba, made once per release and shared by all nodes of all labs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab.config import PACKAGES, cache_directory, machine
from swn_torture.lab.errors import LabError
from swn_torture.lab.tools import environment, locked, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Progress = Callable[[str], None]

_RECIPE: Final = "1"
"""To be changed when the build of a tree changes, so that older trees are not used any more."""

_SCRIPTS: Final = Path("/usr/share/debootstrap/scripts")
_BUILD_TIMEOUT: Final = 1800.0
_LOCK_TIMEOUT: Final = 1800.0

# All processes of a build end with this process: setpriv kills unshare when this process ends, --kill-child
# kills its child, and the end of the process namespace kills the rest. Mounts end with the mount namespace.
_CONTAINED: Final = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--"),
)

# Completes the configuration of the packages. Debian's maintainer scripts need /proc, and apt a name server;
# DEBIAN_FRONTEND keeps apt from asking questions.
_CONFIGURE: Final = """
set -eu
tree=$1
mount -t proc proc "$tree/proc"
cp -L /etc/resolv.conf "$tree/etc/resolv.conf" || :
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot "$tree" dpkg --configure -a || :
chroot "$tree" apt-get -y -q -f install
chroot "$tree" apt-get clean
rm -rf "$tree"/var/lib/apt/lists/* "$tree/etc/resolv.conf"
"""


def base_path(release: str, cache: Path | None = None, packages: Sequence[str] = ()) -> Path:
    """Return the path of the base tree of a release, whether it exists or not.

    Args:
        release: the Debian release.
        cache: the directory of the cache; None for `cache_directory()`.
        packages: packages of the tree, in addition to those that every lab needs.
    """
    key = hashlib.sha256("\n".join((_RECIPE, *PACKAGES, *sorted(packages))).encode()).hexdigest()[:12]
    return (cache or cache_directory()) / f"{release}-{machine()}-{key}"


def ensure_base(
    release: str, progress: Progress, cache: Path | None = None, packages: Sequence[str] = ()
) -> Path:
    """Return the base tree of a release; make it first if the cache has none.

    The tree is made under another name and renamed when it is complete. So an interrupted build is never
    used, and the next build removes it. One process builds at a time; others wait for it.

    Args:
        release: the Debian release.
        progress: called with one line for each step.
        cache: the directory of the cache; None for `cache_directory()`.
        packages: packages of the tree, in addition to those that every lab needs.

    Raises:
        LabError: the tree cannot be made.
    """
    tree = base_path(release, cache, packages)
    if tree.is_dir():
        return tree
    try:
        tree.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"Cannot make the cache directory {tree.parent}: {error.strerror}.") from error
    lock = tree.parent / f"{tree.name}.lock"
    with locked(lock, f"is making the base tree {tree}", progress, timeout=_LOCK_TIMEOUT):
        if not tree.is_dir():
            _build(release, tree, progress, packages)
    return tree


def _build(release: str, tree: Path, progress: Progress, packages: Sequence[str]) -> None:
    partial = tree.with_name(f"{tree.name}.partial")
    if partial.exists():
        progress("removing an incomplete base tree")
        shutil.rmtree(partial)
    progress(
        f"making a Debian {release} tree with Samba and CTDB in {tree.parent} (once, takes about a minute)"
    )
    try:
        _debootstrap(release, partial, progress, packages)
        progress("configuring the packages")
        _contained(["sh", "-c", _CONFIGURE, "configure", str(partial)], progress, "configuring the base tree")
        _verify(partial, packages)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(tree)


def _debootstrap(release: str, partial: Path, progress: Progress, packages: Sequence[str]) -> None:
    include = ",".join((*PACKAGES, *packages))
    argv = ["debootstrap", "--variant=minbase", f"--include={include}", release, str(partial)]
    if not (_SCRIPTS / release).exists():
        # An older debootstrap does not know the newer release by name. All releases use the script of sid.
        argv += ["", str(_SCRIPTS / "sid")]
    # It may fail and still leave a tree that apt can complete; `_verify` decides later.
    code, output = _contained_code(argv, progress)
    if code != 0 and not (partial / "var/lib/dpkg/status").exists():
        raise LabError(
            f"debootstrap could not fetch Debian {release} (exit code {code}): {output}. It needs access to "
            f"a Debian mirror. If there is a proxy, set http_proxy."
        )


def _contained(argv: Sequence[str], progress: Progress, what: str) -> None:
    code, output = _contained_code(argv, progress)
    if code != 0:
        raise LabError(f"{what} failed with exit code {code}: {output}")


def _contained_code(argv: Sequence[str], progress: Progress) -> tuple[int, str]:
    """Run one step of the build; return its exit code and its last lines of output."""
    last: deque[str] = deque(maxlen=4)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            [*_CONTAINED, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(),
        )
    except OSError as error:
        raise LabError(f"Cannot start {argv[0]}: {error}") from error
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                last.append(line.strip())
                if step := _milestone(line):
                    progress(step)
            code = process.wait(timeout=_BUILD_TIMEOUT)
        except BaseException:
            process.kill()
            raise
    return code, " / ".join(last)


def _milestone(line: str) -> str:
    """Return a line of debootstrap that shows a new step, or an empty string."""
    for start in ("I: Retrieving Packages", "I: Extracting", "I: Installing core", "I: Configuring samba"):
        if line.startswith(start):
            text = line.removeprefix("I: ").strip()
            return "" if start.endswith("Extracting") and "base-files" not in text else text
    return ""


def _verify(tree: Path, packages: Sequence[str]) -> None:
    """Raise `LabError` unless every package that the lab needs is installed and configured."""
    query = ["chroot", str(tree), "/usr/bin/dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\\n"]
    wanted = (*PACKAGES, *packages)
    states = dict(line.split(" ", 1) for line in run([*query, *wanted], check=False).stdout.splitlines())
    wrong = [f"{package} is {states.get(package, 'absent')}" for package in wanted]
    wrong = [text for text in wrong if not text.endswith(" is installed")]
    if wrong:
        raise LabError(f"The new base tree is incomplete: {', '.join(wrong)}.")
    if not (tree / "usr/libexec/samba/rpcd_witness").exists():
        raise LabError("The Samba of this release has no witness service (rpcd_witness).")
