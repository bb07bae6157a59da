"""Shared libraries that a build needs and its base lacks, each with the package that has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from swn_torture.lab.samba.merged import Merged

_ABSENT: Final = re.compile(r"^\s*(\S+) => not found$", re.MULTILINE)
_TOO_OLD: Final = re.compile(r": (\S+): version [`']([^']+)' not found", re.MULTILINE)
_LISTED: Final = 8
_SONAME: Final = re.compile(r"(.+?)\.so\.(.+)")
# The base tree has no lists of packages. apt-cache prints `NAME - DESCRIPTION`.
_SEARCH: Final = 'apt-get -qq update --error-on=any >/dev/null && exec apt-cache --names-only search "$1"'


@dataclass(frozen=True, slots=True)
class Missing:
    """What the programs of a build do not find.

    Attributes:
        absent: the names of libraries that are not there: ``libfoo.so.1``.
        too_old: library that is there -> a version of its interface that it lacks: ``GLIBC_2.41``.
    """

    absent: tuple[str, ...] = ()
    too_old: Mapping[str, str] | None = None


def missing_libraries(programs: Iterable[str], merged: Merged) -> Missing:
    """Return what programs do not find, as the loader itself looks for it.

    Args:
        programs: their absolute paths inside.
        merged: the build over its base.

    Raises:
        LabError: the loader cannot be asked.
    """
    done = merged.run(["ldd", *programs], check=False)
    if done.returncode not in {0, 1}:
        raise LabError(f"Cannot ask for the libraries of the build: {done.stderr.strip()}")
    return parse(done.stdout + done.stderr)


def parse(text: str) -> Missing:
    """Return what is missing according to the output of ``ldd``."""
    too_old = {path.rpartition("/")[2]: version for path, version in _TOO_OLD.findall(text)}
    return Missing(tuple(dict.fromkeys(_ABSENT.findall(text))), too_old)


def package_name(soname: str) -> str:
    """Return the name of the package of a library by the rule of Debian Policy 8.1; empty without a version.

    ``libjansson.so.4`` -> ``libjansson4``, ``libicu-75.so.75`` -> ``libicu-75-75``.
    """
    match = _SONAME.fullmatch(soname)
    if match is None:
        return ""
    name, version = match[1].lower().replace("_", "-"), match[2].lower()
    return f"{name}-{version}" if name[-1].isdigit() else f"{name}{version}"


def packages_of(sonames: Sequence[str], merged: Merged) -> dict[str, str] | None:
    """Return the Debian package of each library that the release has; None if its packages cannot be listed.

    Args:
        sonames: names of libraries.
        merged: the base, whose apt knows the release.
    """
    names = {package_name(soname): soname for soname in sonames if package_name(soname)}
    if not names:
        return {}
    # A package of the transition to 64-bit time has t64 behind its name.
    pattern = f"^({'|'.join(re.escape(name) for name in names)})(t64)?$"
    done = merged.run(["sh", "-c", _SEARCH, "search", pattern], timeout=120, check=False)
    if done.returncode != 0:
        return None
    found = [line.partition(" ")[0] for line in done.stdout.splitlines()]
    return {names[known]: name for name in found if (known := name.removesuffix("t64")) in names}


def problem(
    missing: Missing,
    *,
    displaced: Mapping[str, str],
    own: Mapping[str, str],
    base: Merged,
    packages: bool,
    release: str,
) -> str:
    """Return what is missing and how to get it, or an empty string.

    Args:
        missing: what the programs do not find.
        displaced: the libraries among them that the build has at another place -> their paths.
        own: the libraries of Debian's own Samba, which the base does not offer -> their packages.
        base: the base alone.
        packages: whether the build is a directory of packages.
        release: the Debian release of the base.
    """
    if missing.too_old:
        wanted = ", ".join(f"{version} of {library}" for library, version in missing.too_old.items())
        return (
            f"Its programs need {wanted}, which is newer than that of Debian {release}. Build it on Debian "
            f"{release}, or choose a newer --release."
        )
    if not missing.absent:
        return ""
    if displaced:
        soname, path = next(iter(displaced.items()))
        return (
            f"Its programs look for {soname} elsewhere than the directory has it ({path}): the tree was made "
            f"for another place. Name the directory that was given to `make install DESTDIR=...`, or the "
            f"prefix of a build that is installed at its final place."
        )
    of_samba = {soname: own.get(soname, "") for soname in missing.absent if soname in own or _private(soname)}
    others = [soname for soname in missing.absent if soname not in of_samba]
    texts = []
    if of_samba:
        named = _list(f"{name} ({package})" if package else name for name, package in of_samba.items())
        how = "add these packages of the same build" if packages else "install the whole build"
        texts.append(f"It lacks shared libraries of Samba itself: {named}; {how}.")
    if others:
        texts.append(_from_debian(others, packages_of(others, base), release))
    return " ".join(texts)


def _from_debian(sonames: Sequence[str], listed: Mapping[str, str] | None, release: str) -> str:
    # Without access to Debian the package follows from the name of the library.
    package = {soname: package_name(soname) for soname in sonames} if listed is None else listed
    word = "probably package" if listed is None else "package"
    named = _list(
        f"{soname} ({word} {package[soname]})" if package.get(soname) else soname for soname in sonames
    )
    text = f"Its programs need shared libraries that the base lacks: {named}."
    if names := sorted({name for name in package.values() if name}):
        text += f" Add: {' '.join(f'--package {name}' for name in names)}."
    unknown = [soname for soname in sonames if not package.get(soname)]
    if unknown:
        text += (
            f" No package of Debian {release} was found for {_list(unknown)}: build on Debian {release}, "
            f"choose another --release, or add the package that has it with --package."
        )
    return text


def _list(words: Iterable[str]) -> str:
    """Return words as a list, of which a long one is cut."""
    listed = list(words)
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + more


def _private(soname: str) -> bool:
    """Whether a library is one that only Samba's own programs use."""
    return "-private-samba.so" in soname or "-samba4.so" in soname


def own_libraries(base: Path, hidden: Iterable[str]) -> dict[str, str]:
    """Return the libraries among files of Debian's Samba: name -> package.

    Args:
        base: the base tree.
        hidden: the packages whose files the base does not offer.
    """
    found: dict[str, str] = {}
    for package in hidden:
        for listing in (base / "var/lib/dpkg/info").glob(f"{package}*.list"):
            if listing.stem.partition(":")[0] == package:
                lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
                found |= {line.rpartition("/")[2]: package for line in lines if ".so." in line}
    return found
