"""A journal of a run: every case is on the disk as soon as it ends, so a crash loses the last one at most.

One JSON value per line: a header (run, target, catalogue), then cases, then, if the run came to its end, a
footer. A journal without a footer is a run that was cut short.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swn_torture import __version__
from swn_torture.report.model import CaseResult, Run, TargetInfo
from swn_torture.report.results import Results, ResultsError

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
        """Put a case on record."""
        self._write({"case": case.to_json()})

    def finish(self, run: Run) -> None:
        """Put the end of the run on record and close the file."""
        self._write({"end": run.to_json()})
        self.close()

    def close(self) -> None:
        """Close the file; without :meth:`finish` before it, the run counts as cut short."""
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
    """The results of a run from its journal, however far it got.

    A last line that was torn by the crash is left aside. Without a footer the results are not complete and
    their duration is unknown (0). A case that was put on record twice counts as it was the second time.

    Raises:
        OSError: the file cannot be read.
        ResultsError: it is no journal, or a line before the last is not what it should be.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    values: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            values += [json.loads(line)] if line else []
        except json.JSONDecodeError as problem:
            if number < len(lines):
                raise ResultsError(f"{path}, line {number}: {problem}") from problem
    header = values[0] if values and isinstance(values[0], dict) else {}
    if header.get("schema") != SCHEMA:
        raise ResultsError(f"{path}: schema is {header.get('schema')!r}, this version reads {SCHEMA!r}")
    try:
        end = next((value["end"] for value in values if "end" in value), None)
        run = Run.from_json(end) if end else replace(Run.from_json(header["run"]), complete=False)
        if not run.complete and not run.stopped:
            run = replace(run, stopped="The run was cut short; these results are from its journal.")
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
    except (KeyError, TypeError, ValueError) as problem:
        raise ResultsError(f"{path}: not a well-formed journal: {problem!r}") from problem
