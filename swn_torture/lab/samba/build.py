"""A build of Samba that a lab runs instead of Debian's packages, and the steps that prepare it."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab.errors import LabError
from swn_torture.lab.samba.identity import PROGRAMS, Identity, build_id, version_in
from swn_torture.lab.samba.layer import deb_files, hidden_packages, make_layer
from swn_torture.lab.samba.libraries import missing_libraries, own_libraries, problem
from swn_torture.lab.samba.merged import Merged
from swn_torture.lab.samba.parts import REQUIRED, Parts, find_parts, lack, python_directories
from swn_torture.lab.samba.places import DEBIAN, Places, has_cluster_support, places_of, smbd_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.lab.base import Progress
    from swn_torture.lab.config import LabConfig

# The event scripts that Debian's package enables. CTDB itself enables none, and then moves no address.
_EVENT_SCRIPTS: Final = ("00.ctdb", "01.reclock", "05.system", "10.interface", "95.database")


# In the base tree, in the order of `PROGRAMS`.
_DEBIAN_PROGRAMS: Final = {
    "rpcd_witness": "usr/libexec/samba/rpcd_witness",
    "smbd": "usr/sbin/smbd",
    "ctdbd": "usr/sbin/ctdbd",
}


@dataclass(frozen=True, slots=True)
class Build:
    """A Samba that a lab can run.

    Attributes:
        layers: the directories that a node mounts over each other, top first.
        places: where it has its programs and files.
        identity: its version and build ids. The version of Debian's packages is empty before a node runs.
        fingerprint: changes when a file of the build changes; empty for Debian's packages.
        notes: what the lab cannot show with this build, in sentences.
    """

    layers: tuple[Path, ...]
    places: Places
    identity: Identity
    fingerprint: str = ""
    notes: tuple[str, ...] = ()


def find_build(directory: str) -> Path:
    """Return the directory of a build as an absolute path, after checking that it looks like one.

    Raises:
        LabError: it does not exist, or is neither an installed tree nor a directory of .deb files.
    """
    source = Path(directory).absolute()
    if not source.is_dir():
        raise LabError(f"There is no directory {source}.")
    if deb_files(source):
        return source
    if (source / "wscript").is_file():
        raise LabError(
            f"{source} is a source tree of Samba. Install the build first: make install DESTDIR=/some/where, "
            f"and name that directory."
        )
    if "smbd" not in find_parts(source).found:
        raise LabError(
            f"{source} has neither .deb files nor an installed Samba (no program smbd). It must be a "
            f"directory that `make install DESTDIR=...` filled, or one with the .deb packages of a build."
        )
    return source


def prepare(config: LabConfig, base: Path, directory: Path, progress: Progress) -> Build:
    """Return the Samba of a lab: that of its configuration, or of Debian's packages in the base tree.

    Args:
        config: the configuration of the lab.
        base: the base tree.
        directory: an existing directory for the files of the build; the caller removes it.
        progress: called with one line for each step.

    Raises:
        LabError: the build cannot run here; the text says what it lacks and how to get it.
    """
    if not config.samba:
        ids = {name: build_id(base / path) for name, path in _DEBIAN_PROGRAMS.items()}
        return Build((base,), DEBIAN, Identity("", ids))
    source = find_build(config.samba)
    try:
        return _prepare(config, source, base, directory, progress)
    except LabError as error:
        raise LabError(f"The lab cannot use the Samba in {source}. {error}") from error


def _prepare(config: LabConfig, source: Path, base: Path, directory: Path, progress: Progress) -> Build:
    layer, mount_point = directory / "layer", directory / "mnt"
    mount_point.mkdir()
    alone = Merged((base,), mount_point)
    packages = bool(deb_files(source))
    merged = Merged((layer, base), mount_point)
    parts = _lay(source, base, merged, progress)
    progress("checking the build")
    present = [path for name, path in parts.found.items() if name in REQUIRED]
    said, version = "", ""
    missing = missing_libraries(present, merged)
    if "smbd" in parts.found and not missing.absent and not missing.too_old:
        said = merged.run([parts.found["smbd"], "-b"]).stdout
        version = version_in(merged.run([parts.found["smbd"], "--version"]).stdout)
    clustered = has_cluster_support(said) if said else None
    own = own_libraries(base, hidden_packages(base))
    reasons = (
        lack(parts, base=base, packages=packages, clustered=clustered, version=version),
        problem(
            missing,
            displaced=_displaced(missing.absent, layer),
            own=own,
            base=alone,
            packages=packages,
            release=config.release,
        ),
    )
    if any(reasons):
        raise LabError(" ".join(filter(None, reasons)))
    python, python_note = _python(layer, merged)
    places = places_of(said, parts, merged, python)
    _enable_event_scripts(layer, places)
    return Build(
        layers=(layer, base),
        places=places,
        identity=Identity(version, _build_ids(layer, parts)),
        fingerprint=fingerprint(source),
        notes=(
            *(f"The build lacks {name}: {why}." for name, why in parts.missing_optional.items()),
            *filter(None, [python_note]),
        ),
    )


def _python(layer: Path, merged: Merged) -> tuple[str, str]:
    """Return where Python has to search for the module `samba.messaging` of a build, and what to note.

    The directory is empty if Python finds the module by itself, or if it cannot be used.
    """
    problem = "it has no such module"
    for directory in ("", *python_directories(layer)):
        argv = ["env", f"PYTHONPATH={directory}", "python3", "-c", "import samba.messaging"]
        tried = merged.run(argv, check=False)
        if tried.returncode == 0:
            return directory, ""
        if directory:
            problem = tried.stderr.strip().rpartition("\n")[2]
    return "", (
        f"The build lacks the Python module samba.messaging ({problem}): without it, checks that a "
        f"registration is not notified are only recorded where `net witness` leaves the registration out."
    )


def _lay(source: Path, base: Path, merged: Merged, progress: Progress) -> Parts:
    """Make the layer of a build and return its programs.

    A tree that DESTDIR made stands at `/`. One that was installed without DESTDIR stands at its own path. Its
    smbd knows which of the two it is.
    """
    layer = merged.layers[0]
    make_layer(source, "/", base, layer, progress)
    parts = find_parts(layer)
    if deb_files(source) or _is_at_its_place(parts, merged):
        return parts
    shutil.rmtree(layer)
    make_layer(source, str(source), base, layer, progress)
    moved = find_parts(layer)
    if _is_at_its_place(moved, merged):
        return moved
    shutil.rmtree(layer)
    make_layer(source, "/", base, layer, progress)
    if place := _said_place(parts, merged):
        raise LabError(
            f"Its smbd looks for the build below {place}, but the directory has it at "
            f"{parts.found['smbd'].rpartition('/')[0]}. Name the directory that was given to `make install "
            f"DESTDIR=...`, or the prefix of a build that is installed at its final place."
        )
    return parts


def _displaced(sonames: Sequence[str], layer: Path) -> dict[str, str]:
    """Return the libraries that a build has, although its programs do not find them -> their paths."""
    found = {}
    for directory, _, files in os.walk(layer):
        for name in set(sonames).intersection(files):
            file = Path(directory, name)
            if file.is_file():  # not a character device, which hides a file of the base
                found[name] = f"/{file.relative_to(layer)}"
    return found


def _is_at_its_place(parts: Parts, merged: Merged) -> bool:
    place = parts.found["smbd"].rpartition("/")[0]
    return _said_place(parts, merged).removeprefix("/usr") == place.removeprefix("/usr")


def _said_place(parts: Parts, merged: Merged) -> str:
    """The directory of smbd by its own account; empty if it does not start, as without its libraries."""
    return smbd_places(merged.run([parts.found["smbd"], "-b"], check=False).stdout).get("SBINDIR", "")


def _build_ids(root: Path, parts: Parts) -> dict[str, str]:
    return {name: build_id(root / parts.found[name].lstrip("/")) for name in PROGRAMS if name in parts.found}


def _enable_event_scripts(layer: Path, places: Places) -> None:
    """Enable CTDB's event scripts, and make the usual paths lead to the configuration of the build."""
    enabled = layer / places.ctdb_etc.lstrip("/") / "events/legacy"
    enabled.mkdir(parents=True, exist_ok=True)
    for name in _EVENT_SCRIPTS:
        script = f"{places.ctdb_data}/events/legacy/{name}.script"
        link = enabled / f"{name}.script"
        if link.is_char_device():
            link.unlink()  # it hides the link of Debian's package
        if not link.is_symlink() and not link.exists() and (layer / script.lstrip("/")).is_file():
            link.symlink_to(script)
    for usual, own in (
        (DEBIAN.ctdb_etc, places.ctdb_etc),
        (DEBIAN.smb_conf.rpartition("/")[0], places.smb_conf.rpartition("/")[0]),
    ):
        if usual != own:
            at = layer / usual.lstrip("/")
            if at.is_dir() and not at.is_symlink():
                shutil.rmtree(at)
            at.parent.mkdir(parents=True, exist_ok=True)
            at.symlink_to(own)


def fingerprint(source: Path) -> str:
    """Return a short text that changes when a file below a directory is replaced or changed."""
    digest = hashlib.sha256()
    for directory, names, files in os.walk(source):
        names.sort()
        for name in sorted(files):
            status = os.lstat(os.path.join(directory, name))  # noqa: PTH118 - thousands of files
            digest.update(f"{directory}/{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
