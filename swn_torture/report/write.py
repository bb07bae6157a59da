"""Put the reports on the disk: what can be written is, and what cannot is named with the way to mend it."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from swn_torture.report.json_report import render_json
from swn_torture.report.junit import render_junit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results

_MENDING = {
    errno.ENOSPC: "free some space on that file system, or choose another place",
    errno.EDQUOT: "the quota is used up; free some space, or choose another place",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "that file system is read-only; choose another place",
    errno.EISDIR: "it is a directory; give the name of a file",
    errno.ENOTDIR: "a part of that path is a file; choose another place",
    errno.EEXIST: "a part of that path is a file; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where reports go; None is not written.

    Attributes:
        directory: gets all of them: ``index.html``, ``results.json``, ``junit.xml`` and ``captures/``.
        json: one more copy of the results.
        junit: one more JUnit file.
        html: one more page.
    """

    directory: Path | None = None
    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None

    @property
    def captures(self) -> Path | None:
        """The directory for packet captures: in the report's, else beside the page, else beside the JSON."""
        if self.directory is not None:
            return self.directory / "captures"
        beside = next(
            (path for path in (self.html, self.json) if path is not None and not _special(path)), None
        )
        return None if beside is None else beside.with_name(f"{beside.stem}-captures")


def write_reports(results: Results, paths: ReportPaths) -> list[str]:
    """Write every report that has a place, and a packet capture of every case whose octets were kept.

    Each file appears whole or not at all: it is written beside its place and moved there. The captures of an
    earlier run in the same place are removed.

    Returns:
        What could not be written, one sentence each, with the way to mend it; the rest is written anyway.
    """
    captures, problems = _write_captures(results, paths.captures)
    for path, what, render in _wanted(paths):
        # Lone surrogates can be part of what a torture test sent; no encoding carries them.
        octets = render(_with_captures(results, captures, path.parent)).encode("utf-8", "backslashreplace")
        try:
            _put(path, octets)
        except OSError as error:
            problems.append(cannot_write(what, path, error))
    return problems


def _wanted(paths: ReportPaths) -> Iterator[tuple[Path, str, Callable[[Results], str]]]:
    from swn_torture.report.html import render_html

    faces: tuple[tuple[str, str, Callable[[Results], str], Path | None], ...] = (
        ("results.json", "the JSON results", render_json, paths.json),
        ("junit.xml", "the JUnit results", render_junit, paths.junit),
        ("index.html", "the HTML page", render_html, paths.html),
    )
    for name, what, render, path in faces:
        for place in (path, paths.directory and paths.directory / name):
            if place is not None:
                yield place, what, render


def cannot_write(what: str, path: Path, error: OSError) -> str:
    """One sentence about a file that could not be written: which, why, and the way to mend it."""
    why = error.strerror or str(error)
    mending = _MENDING.get(error.errno or 0, "choose another place")
    return f"Cannot write {what} to {path}: {why[:1].lower()}{why[1:]} ({mending})."


def capture_name(case_id: str) -> str:
    """The file name of a case's capture: its id, with what shells and URLs dislike made plain."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", case_id).strip("-.")[:150] + ".pcapng"


def _write_captures(results: Results, folder: Path | None) -> tuple[Mapping[int, Path], list[str]]:
    """The capture of each case by its place among the cases, and what went wrong."""
    written: dict[int, Path] = {}
    problems: list[str] = []
    if folder is None:
        return written, problems
    with suppress(OSError):
        for stale in folder.glob("*.pcapng"):
            stale.unlink()
    for index, case in enumerate(results.cases):
        path = folder / capture_name(case.id)
        if path in written.values():
            path = path.with_stem(f"{path.stem}-{index}")
        try:
            if case.transcript:
                _write_capture(path, case)
                written[index] = path
        except OSError as error:
            # What stopped this one stops the others: one explanation is enough.
            return written, [*problems, cannot_write("packet captures", folder, error)]
        except (KeyError, ValueError) as error:
            problems.append(
                f"No packet capture of {case.id}: the record of its octets is damaged ({error!r})."
            )
    return written, problems


def _with_captures(results: Results, captures: Mapping[int, Path], parent: Path) -> Results:
    """The results with the names of the captures as they are seen from this directory."""
    cases = (
        replace(case, capture=os.path.relpath(captures[index], parent) if index in captures else None)
        for index, case in enumerate(results.cases)
    )
    return results.with_cases(cases)


def _write_capture(path: Path, case: CaseResult) -> None:
    from swn_torture.report.exchange.captures import write_capture

    _place(path, lambda beside: write_capture(beside, case.transcript))


def _put(path: Path, octets: bytes) -> None:
    if _special(path):
        with path.open("wb") as file:
            file.write(octets)
    else:
        _place(path, lambda beside: _write_to_disk(beside, octets))


def _write_to_disk(path: Path, octets: bytes) -> None:
    with path.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())  # a full disk may show only here


def _place(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file written beside its place, then move it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        write(beside)
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink()


def _special(path: Path) -> bool:
    """Whether this is a device, a pipe or the like, which is written to as it is."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
