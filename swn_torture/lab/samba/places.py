"""Where a build of Samba has its programs, its configuration and its state. The build says it itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.lab.samba.merged import Merged
    from swn_torture.lab.samba.parts import Parts

_SMBD_LINE: Final = re.compile(r"^\s+([A-Z_]+): (/\S+)$", re.MULTILINE)
_STATE: Final = ("LOGFILEBASE", "LOCKDIR", "STATEDIR", "CACHEDIR", "PIDDIR", "PRIVATE_DIR")
_CTDB: Final = ("etcdir", "datadir", "rundir", "vardir", "socket ctdbd", "pidfile ctdbd")
_CLUSTER_SUPPORT: Final = re.compile(r"^\s+CLUSTER_SUPPORT$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of a build on a node.

    Attributes:
        programs: the directories of its programs, which come first in PATH.
        libexec: the directory of samba-dcerpcd and rpcd_witness.
        smb_conf: the configuration file of Samba.
        ctdb_etc: the directory of CTDB's configuration.
        ctdb_data: the directory with CTDB's event scripts.
        directories: directories for state, which a node makes.
        python: the directory of its Python module `samba`, which Python searches first; empty where Python
            finds it by itself.
    """

    programs: tuple[str, ...] = ()
    libexec: str = "/usr/libexec/samba"
    smb_conf: str = "/etc/samba/smb.conf"
    ctdb_etc: str = "/etc/ctdb"
    ctdb_data: str = "/usr/share/ctdb"
    directories: tuple[str, ...] = ("/run/ctdb", "/run/samba/ctdb", "/run/lock", "/var/log/samba")
    python: str = ""

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Places:
        """Return the paths that `dataclasses.asdict` turned into JSON; those that are absent are Debian's."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        return cls(**fields)

    @property
    def path(self) -> str:
        """The value of PATH on a node."""
        usual = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
        return ":".join(dict.fromkeys((*self.programs, *usual)))


DEBIAN: Final = Places()
"""The paths of Debian's packages."""


def places_of(text: str, parts: Parts, merged: Merged, python: str = "") -> Places:
    """Return the paths of a build.

    Args:
        text: what its ``smbd -b`` prints.
        parts: its programs; none of those that the lab needs is missing.
        merged: the build over its base.
        python: the directory of its Python module, if Python does not find it by itself.

    Raises:
        LabError: a path is not printed.
    """
    said = smbd_places(text)
    if missing := [name for name in ("SBINDIR", "BINDIR", "CONFIGFILE") if name not in said]:
        raise LabError(f"smbd -b of this build does not print {', '.join(missing)}.")
    ctdb = _ctdb_places(parts.required("ctdb-path"), merged)
    state = [said[name] for name in _STATE if name in said]
    files = [ctdb["socket ctdbd"], ctdb["pidfile ctdbd"], said["CONFIGFILE"]]
    state += [ctdb["rundir"], ctdb["vardir"], *(str(PurePosixPath(file).parent) for file in files)]
    programs = [said["SBINDIR"], said["BINDIR"], *(path.rpartition("/")[0] for path in parts.commands)]
    return Places(
        programs=tuple(dict.fromkeys(programs)),
        libexec=parts.required("samba-dcerpcd").rpartition("/")[0],
        smb_conf=said["CONFIGFILE"],
        ctdb_etc=ctdb["etcdir"],
        ctdb_data=ctdb["datadir"],
        directories=tuple(dict.fromkeys((*state, *DEBIAN.directories))),
        python=python,
    )


def smbd_places(text: str) -> dict[str, str]:
    """Return the paths that ``smbd -b`` prints: ``SBINDIR`` and others -> absolute path."""
    return dict(_SMBD_LINE.findall(text))


def has_cluster_support(text: str) -> bool:
    """Whether ``smbd -b`` lists the build option that CTDB and the witness service need."""
    return _CLUSTER_SUPPORT.search(text) is not None


def _ctdb_places(program: str, merged: Merged) -> dict[str, str]:
    """Return the paths that ``ctdb-path`` prints: its arguments -> absolute path."""
    script = "; ".join(f'"$0" {name}' for name in _CTDB)
    lines = merged.run(["sh", "-ec", script, program]).stdout.splitlines()
    if len(lines) != len(_CTDB) or not all(line.startswith("/") for line in lines):
        raise LabError(f"{program} of this build does not print a path for each of {', '.join(_CTDB)}.")
    return dict(zip(_CTDB, lines, strict=True))
