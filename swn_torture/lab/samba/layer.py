"""The files of a build as a layer for the file system of a node, with Debian's own Samba hidden.

A node mounts the layer over the base tree. The build's files are hard links where the file system allows it.
So the layer costs no space, and a new `make install` into the same directory, which replaces the files, does
not change a lab that is up.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab.errors import LabError
from swn_torture.lab.tools import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.lab.base import Progress

# General libraries that Samba's source brings, and other programs of the base use.
_SHARED: Final = re.compile(r"(?:lib|python3-)?(?:talloc|tevent|tdb|ldb)[\dt-]*(?:-tools)?")
_UNUSED_PACKAGES: Final = ("-dbgsym", "-dev", "-doc")
_UNPACK_TIMEOUT: Final = 120.0


def deb_files(directory: Path) -> list[Path]:
    """Return the .deb files of a directory that the lab uses: no debug symbols, headers and documents."""
    return sorted(
        file for file in directory.glob("*.deb") if not file.name.partition("_")[0].endswith(_UNUSED_PACKAGES)
    )


def hidden_packages(base: Path) -> list[str]:
    """Return the packages of Debian's Samba in the base tree, without the libraries that others use."""
    found = []
    for paragraph in (base / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n"):
        package = re.search(r"^Package: (\S+)$", paragraph, re.MULTILINE)
        if package is None:
            continue
        source = re.search(r"^Source: (\S+)", paragraph, re.MULTILINE)
        if "samba" in {package[1], source and source[1]} and _SHARED.fullmatch(package[1]) is None:
            found.append(package[1])
    return found


def make_layer(source: Path, place: str, base: Path, layer: Path, progress: Progress) -> None:
    """Make the layer of a build.

    Args:
        source: an installed tree, or a directory with .deb files.
        place: where the tree stands on a node: ``/`` for a tree that DESTDIR made.
        base: the base tree.
        layer: the directory, which does not exist yet.
        progress: called with one line for each step.

    Raises:
        LabError: the files cannot be copied or unpacked.
    """
    layer.mkdir(parents=True)
    layer.chmod(0o755)
    _like_base(base, layer)
    for path in files_of(hidden_packages(base), base):
        # A character device 0/0 in a layer hides a file of the layers below.
        target = layer / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(target, stat.S_IFCHR, os.makedev(0, 0))
    try:
        if packages := deb_files(source):
            progress(f"unpacking {len(packages)} packages of {source}")
            unpacked = layer.with_name("unpacked")
            _unpack(packages, unpacked)
            _link(unpacked, layer)
            shutil.rmtree(unpacked)
        else:
            progress(f"laying the tree {source} over Debian")
            _link(source, layer / place.lstrip("/"))
    except OSError as error:
        raise LabError(f"Cannot copy {error.filename} to {layer}: {error.strerror}.") from error


def _like_base(base: Path, layer: Path) -> None:
    """Make the symbolic links in the layer that lead to directories in the base: `lib` is `usr/lib`.

    Otherwise a directory of the build would hide what the base has behind such a link. They are relative, so
    that they never lead out of the layer.
    """
    for directory in ("", "usr", "var"):
        for entry in sorted((base / directory).iterdir()):
            goal = entry.readlink() if entry.is_symlink() else None
            if goal is None or not (base / (str(goal).lstrip("/") if goal.is_absolute() else goal)).is_dir():
                continue
            inside = Path(directory, goal) if not goal.is_absolute() else goal.relative_to("/")
            (layer / inside).mkdir(parents=True, exist_ok=True)
            link = layer / directory / entry.name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(os.path.relpath(inside, directory or "."))


def files_of(packages: list[str], base: Path) -> Iterator[Path]:
    """Yield the files and symbolic links of packages in the base tree, as absolute paths of a node."""
    for package in packages:
        for listing in (base / "var/lib/dpkg/info").glob(f"{package}*.list"):
            if listing.stem.partition(":")[0] != package:
                continue
            for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
                file = base / line.lstrip("/")
                if file.is_symlink() or file.is_file():
                    # The list has the path of the package: `/lib/x` where the base has `/usr/lib/x`.
                    yield Path("/") / (file.parent.resolve() / file.name).relative_to(base.resolve())


def _unpack(packages: list[Path], target: Path) -> None:
    seen: dict[str, Path] = {}
    for file in packages:
        name = file.name.partition("_")[0]
        if name in seen:
            raise LabError(
                f"The directory has two versions of the package {name}: {seen[name].name} and {file.name}. "
                f"Remove one of them."
            )
        seen[name] = file
        run(["dpkg-deb", "--extract", str(file), str(target)], timeout=_UNPACK_TIMEOUT)


def _link(source: Path, target: Path) -> None:
    """Put everything below a directory into another one: files as hard links, or as copies if that fails."""
    for directory, names, files in os.walk(source):
        place = target / Path(directory).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        if place != target:
            place.chmod(stat.S_IMODE(Path(directory).stat().st_mode))
        for name in (*files, *(name for name in names if Path(directory, name).is_symlink())):
            file, link = Path(directory, name), place / name
            if link.is_symlink() and file.is_symlink() and link.is_dir():
                continue  # the same link of the base
            if link.is_symlink() or link.exists():
                link.unlink()
            try:
                os.link(file, link, follow_symlinks=False)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK}:
                    raise
                shutil.copy2(file, link, follow_symlinks=False)
