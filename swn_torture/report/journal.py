"""The journal of a run: every case is on the disk as soon as it ends, so that a crash loses at most one case.

One JSON value per line: a header (run, target, catalogue), then the cases, then a footer when the run ended.
A journal without a footer belongs to a run that stopped early.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swn_torture import __version__
from swn_torture.report.model import CaseResult, Run, TargetInfo
from swn_torture.report.results import Results, ResultsError, malformed, require_schema

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self, TextIO

    from swn_torture.spec import Catalogue

SCHEMA = "swn-torture-journal/1"


class Journal:
    """Writes the journal of one run, line by line.

    Raises:
        OSError: the file cannot be opened or written (from every method).
    """

    def __init__(self, path: Path, run: Run, target: TargetInfo, catalogue: Catalogue) -> None:
        self.path = path
        self._run = run
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._write(
            {
                "schema": SCHEMA,
                "tool": {"name": "swn-torture", "version": __version__},
                "run": replace(run, complete=False).to_json(),
                "target": target.to_json(),
                "catalogue": {"revision": catalogue.revision},
            }
        )

    def add(self, case: CaseResult) -> None:
        """Write one case."""
        self._write({"case": case.to_json()})

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


def read_journal(path: Path, catalogue: Catalogue) -> Results:
    """The results of a run from its journal, whether the run ended or not.

    A last line that was cut by a crash is ignored. Without a footer the results are incomplete and their
    duration is unknown (0). When a case was written twice, the second time counts.

    Raises:
        OSError: the file cannot be read.
        ResultsError: it is not a journal, or a line before the last is malformed.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    values: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            values += [json.loads(line)] if line else []
        except json.JSONDecodeError as problem:
            if number < len(lines):
                raise ResultsError(f"{path}, line {number}, is not JSON: {problem}") from problem
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
        return Results(
            run=run,
            target=TargetInfo.from_json(header["target"]),
            cases=tuple(cases.values()),
            catalogue=catalogue,
            version=header["tool"]["version"],
        )
    except ResultsError as problem:
        raise ResultsError(f"{path}: {problem}") from problem
    except (KeyError, TypeError, ValueError) as problem:
        raise ResultsError(f"{path}: the journal is malformed: {malformed(problem)}") from problem
