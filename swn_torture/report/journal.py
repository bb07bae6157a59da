"""The journal of a run: every case is on the disk as soon as it ends, so that a crash loses at most one case.

The cases are written as they end, before the run decides which of them were only not tested because of the
finding of another one (`swn_torture.report.roots`).

One JSON value per line: a header (run, target, catalogue), then the start and the result of each case, then a
footer when the run ended.
A journal without a footer belongs to a run that stopped early.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from swn_torture import __version__
from swn_torture.report.model import CaseResult, Run, TargetInfo
from swn_torture.report.results import Results, ResultsError, malformed, require_schema

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self, TextIO

    from swn_torture.spec import Catalogue

SCHEMA = "swn-torture-journal/1"


class Journal:
    """Writes the journal of one run, line by line.

    The file appears with its header and the cases that are kept of an earlier run, so that resuming a run
    with its own journal loses nothing.

    Raises:
        OSError: the file cannot be opened or written (from every method).
    """

    def __init__(
        self,
        path: Path,
        run: Run,
        target: TargetInfo,
        catalogue: Catalogue,
        kept: Iterable[CaseResult] = (),
    ) -> None:
        self.path = path
        self._run = run
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._file: TextIO = temporary.open("w", encoding="utf-8")
        try:
            self._begin(target, catalogue, kept)
            temporary.replace(path)
        except OSError:
            self._file.close()
            temporary.unlink(missing_ok=True)
            raise

    def _begin(self, target: TargetInfo, catalogue: Catalogue, kept: Iterable[CaseResult]) -> None:
        run = self._run
        self._write(
            {
                "schema": SCHEMA,
                "tool": {"name": "swn-torture", "version": __version__},
                "run": replace(run, complete=False).to_json(),
                "target": target.to_json(),
                "catalogue": {"revision": catalogue.revision},
            }
        )
        for case in kept:
            self.add(case)

    def add(self, case: CaseResult) -> None:
        """Write one case."""
        self._write({"case": case.to_json()})

    def start(self, case_id: str) -> None:
        """Write that a case was started."""
        self._write({"start": case_id})

    def finish(self, run: Run) -> None:
        """Write the footer and close the file."""
        self._write({"end": run.to_json()})
        self.close()

    def close(self) -> None:
        """Close the file. Without :meth:`finish` before, the run counts as incomplete."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Content:
    """What a journal holds.

    Attributes:
        run: the run; not complete if it has no footer or stopped early.
        target: the target.
        cases: the cases as they ended, before `swn_torture.report.roots` compared them.
        version: version of swn-torture.
    """

    run: Run
    target: TargetInfo
    cases: tuple[CaseResult, ...]
    version: str


def read_journal(path: Path, catalogue: Catalogue) -> Results:
    """The results of a run from its journal, whether the run ended or not; see `read_content`.

    Raises:
        OSError: the file cannot be read.
        ResultsError: it is not a journal, or a line before the last is malformed.
    """
    content = read_content(path)
    return Results.of_run(content.run, content.target, content.cases, catalogue, content.version)


def read_content(path: Path) -> Content:
    """What a journal holds.

    A last line that was cut by a crash is ignored. Without a footer the run is incomplete and its duration
    is unknown (0). When a case was written twice, the second time counts.

    Raises:
        OSError: the file cannot be read.
        ResultsError: it is not a journal, or a line before the last is malformed.
    """
    values = _lines(path)
    try:
        require_schema(values[0] if values else None, SCHEMA)
        header = values[0]
        end = next((value["end"] for value in values if "end" in value), None)
        run = Run.from_json(end) if end else replace(Run.from_json(header["run"]), complete=False)
        if not run.complete and not run.stopped:
            run = replace(run, stopped="The run stopped early; these results are from its journal.")
        cases = {
            case["id"]: CaseResult.from_json(case) for case in (v["case"] for v in values if "case" in v)
        }
        if end is None:
            started = dict.fromkeys(value["start"] for value in values if "start" in value)
            run = replace(run, unfinished=tuple(case for case in started if case not in cases))
        target = TargetInfo.from_json(header["target"])
        return Content(run, target, tuple(cases.values()), header["tool"]["version"])
    except ResultsError as problem:
        raise ResultsError(f"{path}: {problem}") from problem
    except (KeyError, TypeError, ValueError) as problem:
        raise ResultsError(f"{path}: the journal is malformed: {malformed(problem)}") from problem


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as problem:
        raise ResultsError(f"{path} is not JSON: {problem}") from problem
    values: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            values += [json.loads(line)] if line else []
        except json.JSONDecodeError as problem:
            if number < len(lines):
                raise ResultsError(f"{path}, line {number}, is not JSON: {problem}") from problem
    return values
