"""The programs that the lab needs of a build of Samba, and how to get one that is missing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WITNESS_SINCE: Final = (4, 20)
"""The first version of Samba with a witness service."""

REQUIRED: Final[Mapping[str, str]] = {
    "smbd": "the SMB server",
    "samba-dcerpcd": "starts the RPC services",
    "rpcd_witness": "the witness service",
    "rpcd_epmapper": "the endpoint mapper",
    "rpcd_classic": "the server service, which lists the shares",
    "smbpasswd": "makes the accounts of the lab",
    "ctdbd": "the cluster",
    "ctdb": "changes the cluster",
    "ctdb-path": "says where CTDB has its files",
    "ctdb-config": "checks CTDB's configuration",
    "ctdb-event": "runs CTDB's event scripts",
    "ctdb-eventd": "runs CTDB's event scripts",
    "ctdb_killtcp": "resets connections to an address that moves",
    "ctdb_lock_helper": "locks CTDB's databases",
    "ctdb_mutex_fcntl_helper": "elects the leader of the cluster",
    "ctdb_recovery_helper": "recovers CTDB's databases",
    "ctdb_takeover_helper": "moves public addresses",
}
"""Programs without which the lab does not start -> what they are for."""

OPTIONAL: Final[Mapping[str, str]] = {
    "net": "`net witness` moves clients and shares; without it the cases about such moves are not tested",
    "testparm": "checks the settings of --smb-conf; without it they are not checked",
}
"""Programs without which the lab starts, but shows less -> what they are for."""

COMMANDS: Final = ("smbd", "smbpasswd", "ctdbd", "ctdb", "net", "testparm")
"""Programs that are called by name, so that their directory must be in PATH."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The programs of a build: name -> absolute path on a node."""

    found: Mapping[str, str]

    @property
    def missing(self) -> dict[str, str]:
        """Required programs that the build lacks -> what they are for."""
        return {name: purpose for name, purpose in REQUIRED.items() if name not in self.found}

    @property
    def missing_optional(self) -> dict[str, str]:
        """Optional programs that the build lacks -> what they are for."""
        return {name: purpose for name, purpose in OPTIONAL.items() if name not in self.found}

    @property
    def commands(self) -> list[str]:
        """The paths of the programs that are called by name."""
        return [self.found[name] for name in COMMANDS if name in self.found]

    def required(self, name: str) -> str:
        """Return the path of a required program, after `missing` was found empty."""
        return self.found[name]


def find_parts(layer: Path) -> Parts:
    """Return the programs in the layer of a build. Of two with one name, the one with the shorter path."""
    names = {*REQUIRED, *OPTIONAL}
    found: dict[str, str] = {}
    for directory, _, files in os.walk(layer):
        inside = PurePosixPath("/") / PurePosixPath(directory).relative_to(layer)
        for name in names.intersection(files):
            file = Path(directory, name)
            path = str(inside / name)
            shorter = len(path) < len(found.get(name, f"{path}/"))
            if shorter and file.is_file() and file.stat().st_mode & 0o111:
                found[name] = path
    return Parts(found)


def python_directories(layer: Path) -> tuple[str, ...]:
    """Return the directories in the layer of a build that have the Python module `samba.messaging`."""
    # Not the character devices, which hide files of the base.
    found = (file for file in layer.rglob("samba/messaging*.so") if file.is_file())
    return tuple(sorted(str(PurePosixPath("/") / file.parent.parent.relative_to(layer)) for file in found))


def packages_of(programs: Iterable[str], base: Path) -> dict[str, str]:
    """Return the Debian package of each program, from the lists of the packages in the base tree."""
    wanted = {f"/{program}": program for program in programs}
    result: dict[str, str] = {}
    for listing in sorted((base / "var/lib/dpkg/info").glob("*.list")):
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            program = wanted.get(line[line.rfind("/") :])
            if program is not None and "/doc/" not in line and "/share/" not in line:
                result.setdefault(program, listing.stem.partition(":")[0])
    return result


def lack(parts: Parts, *, base: Path, packages: bool, clustered: bool | None, version: str) -> str:
    """Return what a build lacks and how to get it, or an empty string if the lab can start.

    Args:
        parts: the programs that it has.
        base: the base tree.
        packages: whether the build is a directory of packages.
        clustered: whether its smbd has cluster support; None if there is no smbd.
        version: its version, or an empty string if there is no smbd.
    """
    if not parts.missing and clustered is not False:
        return ""
    if _older(version):
        return (
            f"It is Samba {version}, which has no witness service. Samba has it since version "
            f"{_WITNESS_SINCE[0]}.{_WITNESS_SINCE[1]}."
        )
    if packages and parts.missing:
        package = packages_of(parts.missing, base)
        named = [f"{name} ({_package(package.get(name))}): {why}" for name, why in parts.missing.items()]
        needed = " ".join(sorted({package[name] for name in parts.missing if name in package}))
        how = f"Add these packages of the same build to the directory: {needed}."
        return f"It lacks {'; '.join(named)}. {how}"
    named = [f"{name}: {why}" for name, why in parts.missing.items()]
    text = f"It lacks {'; '.join(named)}. " if named else ""
    if clustered is False:
        return (
            f"{text}Its smbd has no cluster support, without which Samba has neither CTDB nor the witness "
            f"service. Configure the build with --with-cluster-support, and install it again."
        )
    return f"{text}Install the whole build, not single targets: make install DESTDIR=..."


def _package(name: str | None) -> str:
    return f"package {name}" if name else "no Debian package has this name"


def _older(version: str) -> bool:
    numbers = version.split(".")
    known = len(numbers) > 1 and numbers[0].isdigit() and numbers[1].isdigit()
    return known and (int(numbers[0]), int(numbers[1])) < _WITNESS_SINCE
