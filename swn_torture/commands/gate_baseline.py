"""The baseline that ``swn-torture gate --write-baseline`` writes of an unchanged build, for a changed one."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError
from swn_torture.report.text import count

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.report.comparison import Comparison
    from swn_torture.report.results import Results


def check_new_file(file: Path) -> None:
    """Find out before a lab is started whether a baseline can be written to a file.

    Args:
        file: the file, which must not exist.

    Raises:
        CommandError: it exists, cannot be written, or has a name that ``--baseline`` does not take as a file.
    """
    from swn_torture.report.write import cannot_write

    if file.suffix != ".toml":
        raise CommandError(f"--write-baseline {file}: give the file a name that ends in .toml.", USAGE)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise CommandError(cannot_write("baseline", file, problem), USAGE) from problem
    try:
        file.open("x").close()
        file.unlink()
    except FileExistsError as problem:
        raise CommandError(
            f"--write-baseline {file}: the file exists. Give another name, or remove it. To compare with it, "
            f"use --baseline {shlex.quote(str(file))}.",
            USAGE,
        ) from problem
    except OSError as problem:
        raise CommandError(cannot_write("baseline", file, problem), USAGE) from problem


def write_found(results: Path, file: Path) -> str:
    """Write what a run found as a baseline; return one sentence that says so.

    The new causes have a reason, so that the file can be used as it is.

    Args:
        results: ``results.json`` of the run.
        file: the new file.

    Raises:
        CommandError: the run is not complete or has errors, or the file cannot be written. There is no file
            then.
    """
    from swn_torture.baseline.compare import compare
    from swn_torture.baseline.model import BaselineError
    from swn_torture.baseline.read import parse_baseline
    from swn_torture.baseline.update import update
    from swn_torture.commands.baseline import read_results
    from swn_torture.report.write import cannot_write, write_file

    try:
        found = read_results(results)
        made = update("", [found], reason=_reason(found))
        # A run without errors is as expected by its own baseline.
        compared = compare(found, parse_baseline(made.text, source=str(file)))
    except (BaselineError, CommandError) as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    if compared.situation != "as-expected":
        raise CommandError(_why_not(compared), TARGET_UNUSABLE)
    try:
        write_file(file, made.text.encode())
    except OSError as problem:
        raise CommandError(cannot_write("baseline", file, problem), USAGE) from problem
    return (
        f"wrote {file}: {count(len(made.added), 'cause')}. For the changed build: "
        f"--baseline {shlex.quote(str(file))}"
    )


def _reason(found: Results) -> str:
    target = found.target.title or found.target.name
    return (
        f"Nobody has looked for the reason yet: {target} did this on {found.run.started[:10]}, when this "
        f"baseline was written."
    )


def _why_not(compared: Comparison) -> str:
    if compared.incomplete:
        return compared.incomplete
    cases = list(dict.fromkeys(each.case for each in compared.differences if each.kind != "record"))
    more = f" and {len(cases) - 3} more" if len(cases) > 3 else ""
    what = "case did" if len(cases) == 1 else "cases did"
    return (
        f"{len(cases)} {what} not end, or ended in an error: {', '.join(cases[:3])}{more}. A baseline is "
        f"only written from a run without errors: run the gate again."
    )
