"""Write the reports to files. A file that cannot be written is reported and does not stop the others."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from swn_torture.report.formats import FORMATS
from swn_torture.report.results import malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from swn_torture.report.formats import Format
    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results

_REMEDIES = {
    errno.ENOSPC: "free some space on that file system, or choose another path",
    errno.EDQUOT: "the quota is used up; free some space, or choose another path",
    errno.EACCES: "choose a path that you may write to",
    errno.EPERM: "choose a path that you may write to",
    errno.EROFS: "that file system is read-only; choose another path",
    errno.EISDIR: "it is a directory; give the name of a file",
    errno.ENOTDIR: "a part of that path is a file; choose another path",
    errno.EEXIST: "a part of that path is a file; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where to write the reports.

    Attributes:
        directory: gets a file of every format, and the packet captures in ``captures/``; None for no
            directory.
        files: single files by the name of their format, in addition to the directory.
    """

    directory: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def captures(self) -> Path | None:
        """The directory for packet captures; None when no report links to them.

        It is in the report directory, else next to the HTML page, else next to the JSON results.
        """
        if self.directory is not None:
            return self.directory / "captures"
        linking = (self.files.get(each.name) for each in reversed(FORMATS) if each.links_captures)
        page = next((path for path in linking if path is not None and not _is_device(path)), None)
        return None if page is None else page.with_name(f"{page.stem}-captures")


def write_reports(
    results: Results, paths: ReportPaths, packets: Mapping[str, Path] | None = None
) -> list[str]:
    """Write every report that the user asked for, and a packet capture of every case that has octets.

    Each file is complete or absent: it is written under a temporary name and then renamed. The captures of an
    earlier run in the same directory are removed.

    Args:
        results: of the run.
        paths: what to write.
        packets: id of a case -> a finished capture of its packets, which is moved. Without it, the capture is
            made of the octets.

    Returns:
        One sentence for each file that could not be written, with the way to mend it.
    """
    captures, problems = _write_captures(results, paths.captures, packets or {})
    for report_format, path in _files(paths):
        text = report_format.render(_with_captures(results, captures, path.parent))
        try:
            # Lone surrogates can be part of what a torture test sent; UTF-8 cannot encode them.
            write_file(path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            problems.append(cannot_write(report_format.what, path, error))
    return problems


def unwritable(paths: ReportPaths) -> str:
    """One sentence about the first directory that no report can be written to; empty if there is none.

    It asks before a run, and makes nothing.
    """
    wanted = [("reports", paths.directory)] if paths.directory is not None else []
    wanted += [
        (each.what, paths.files[each.name].parent)
        for each in FORMATS
        if each.name in paths.files and not _is_device(paths.files[each.name])
    ]
    for what, directory in wanted:
        start = next(each for each in (directory.absolute(), *directory.absolute().parents) if each.exists())
        code = 0 if os.access(start, os.W_OK | os.X_OK) else errno.EACCES
        if not start.is_dir():
            code = errno.ENOTDIR
        if code:
            return cannot_write(what, directory, OSError(code, os.strerror(code)))
    return ""


def _files(paths: ReportPaths) -> Iterator[tuple[Format, Path]]:
    for report_format in FORMATS:
        single = paths.files.get(report_format.name)
        if single is not None:
            yield report_format, single
        if paths.directory is not None:
            yield report_format, paths.directory / report_format.file_name


def cannot_write(what: str, path: Path, error: OSError) -> str:
    """One sentence about a file that could not be written: which, why, and the way to mend it.

    Args:
        what: what the file holds: ``HTML page``.
        path: the file.
        error: why it could not be written.
    """
    why = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, "choose another path")
    return f"Cannot write the {what} to {path}: {why[:1].lower()}{why[1:]} ({remedy})."


def capture_name(case_id: str) -> str:
    """The file name of a case's capture: its id, without characters that need quoting in shells and URLs."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", case_id).strip("-.")[:150] + ".pcapng"


def _write_captures(
    results: Results, folder: Path | None, packets: Mapping[str, Path]
) -> tuple[Mapping[int, Path], list[str]]:
    """The path of the capture of each case, by the index of the case, and the problems."""
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
                finished = packets.get(case.id)
                if finished is not None and finished.is_file():
                    _replace(path, partial(_move, finished))
                else:
                    _write_capture(path, case)
                written[index] = path
        except OSError as error:
            # The same problem stops the other captures: one sentence is enough.
            return written, [*problems, cannot_write("packet captures", folder, error)]
        except (KeyError, ValueError) as error:
            problems.append(
                f"No packet capture of {case.id}: the record of its octets is damaged ({malformed(error)})."
            )
    return written, problems


def _with_captures(results: Results, captures: Mapping[int, Path], parent: Path) -> Results:
    """The results with the paths of the captures relative to this directory."""
    cases = (
        replace(case, capture=os.path.relpath(captures[index], parent) if index in captures else None)
        for index, case in enumerate(results.cases)
    )
    return results.with_cases(cases)


def _write_capture(path: Path, case: CaseResult) -> None:
    from swn_torture.report.exchange.captures import write_capture

    _replace(path, lambda temporary: write_capture(temporary, case.transcript, case.events))


def _move(finished: Path, path: Path) -> None:
    shutil.move(finished, path)


def write_file(path: Path, octets: bytes) -> None:
    """Write a file that is complete or absent; a device is written directly.

    Raises:
        OSError: it cannot be written. A file that was there before stays.
    """
    if _is_device(path):
        with path.open("wb") as file:
            file.write(octets)
    else:
        _replace(path, lambda temporary: _write_and_sync(temporary, octets))


def _write_and_sync(path: Path, octets: bytes) -> None:
    with path.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())  # some file systems report a full disk only here


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name in the same directory, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _is_device(path: Path) -> bool:
    """Whether this is a device, a pipe or a socket, which cannot be replaced by renaming."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
