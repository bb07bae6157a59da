"""``swn-torture baseline``: compare results with a baseline, write one, show one."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    from swn_torture.baseline.model import Baseline, Cause
    from swn_torture.baseline.update import Updated
    from swn_torture.report.results import Results


@click.group()
def command() -> None:
    """Baselines: what a target is known to do, and how a run is compared with it (docs/baselines.md).

    \b
    swn-torture baseline check results.json samba-4.22
    swn-torture baseline show samba-4.22
    """


_results = click.argument(
    "results", nargs=-1, required=True, metavar="RESULTS...", type=click.Path(dir_okay=False, path_type=Path)
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@command.command()
@_results
@click.argument("baseline", shell_complete=complete.baselines)
@click.option("--allow-fixed", is_flag=True, help="Findings that are listed and no longer seen do not fail.")
@click.option("--strict", is_flag=True, help="Count a SHOULD that is not followed as a violation.")
@click.option(
    "--draws",
    type=click.IntRange(1),
    metavar="N",
    help="A flaky entry that none of at least N results shows counts as fixed.",
)
@click.option(
    "--max-age", type=click.IntRange(0), metavar="DAYS", help="Report flaky entries that are older."
)
@_json
def check(
    results: tuple[Path, ...],
    baseline: str,
    *,
    allow_fixed: bool,
    strict: bool,
    draws: int | None,
    max_age: int | None,
    as_json: bool,
) -> None:
    """Compare RESULTS with BASELINE, the name of a shipped one or a .toml file.

    RESULTS are results.json files of runs of one target, or journal.jsonl of a run that stopped early.

    \b
    swn-torture baseline check results.json samba-4.22
    swn-torture baseline check results.json samba-4.22 --json

    Exit codes: 0 as expected, 1 new violation, 2 usage or baseline error, 3 run not complete or with errors,
    4 the baseline is no longer true (fixed, lost, or changed without a violation).
    """
    from swn_torture.baseline.compare import compare
    from swn_torture.baseline.words import plain_lines

    loaded = read_baseline(baseline)
    runs = [read_results(path) for path in results]
    comparison = compare(runs, loaded, allow_fixed=allow_fixed, strict=strict, draws=draws, max_age=max_age)
    if as_json:
        click.echo(json.dumps(comparison.to_json(), indent=2))
    else:
        for line in plain_lines(comparison, results=" ".join(map(str, results))):
            echo(line)
    raise SystemExit(comparison.exit_code)


@command.command()
@_results
@click.argument("baseline", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--from",
    "source",
    metavar="NAME|FILE",
    help="Start from the causes of this baseline; without it, from those of BASELINE if it exists.",
)
@click.option(
    "--draws",
    type=click.IntRange(1),
    metavar="N",
    help="Remove a flaky entry that none of at least N results shows.",
)
@_json
def update(
    results: tuple[Path, ...], baseline: Path, *, source: str | None, draws: int | None, as_json: bool
) -> None:
    """Write BASELINE from RESULTS. Causes, reasons and comments that are there stay.

    What the runs no longer show goes. A finding that no cause explains becomes a new cause without a reason:
    write it into the file, because `check` refuses the file without it. With several RESULTS, findings that
    not all of them show become flaky.

    \b
    swn-torture baseline update results.json my-baseline.toml
    swn-torture baseline update results.json my-samba.toml --from samba-4.22
    """
    from swn_torture.baseline.model import BaselineError
    from swn_torture.baseline.update import update as updated_text

    text = _text_of(source) if source else _text_of(str(baseline)) if baseline.exists() else ""
    runs = [read_results(path) for path in results]
    try:
        updated = updated_text(
            text, runs, draws=draws, source=source or str(baseline), in_place=source is None
        )
    except BaselineError as problem:
        raise CommandError(problem, USAGE) from problem
    _write(baseline, updated.text)
    if as_json:
        members = {"baseline": str(baseline), **dataclasses.asdict(updated)}
        click.echo(json.dumps({name: value for name, value in members.items() if name != "text"}, indent=2))
        return
    for line in _updated_lines(baseline, updated):
        echo(line)


@command.command()
@click.argument("baseline", required=False, shell_complete=complete.baselines)
@click.argument("cause", required=False)
@_json
def show(baseline: str | None, cause: str | None, *, as_json: bool) -> None:
    """Show the causes of BASELINE, or one CAUSE in full. Without arguments, list the shipped baselines.

    \b
    swn-torture baseline show
    swn-torture baseline show samba-4.22
    swn-torture baseline show samba-4.22 no-ip-change
    swn-torture baseline show samba-4.22 --json
    """
    from swn_torture.baseline.read import shipped_baselines

    if baseline is None:
        for name in shipped_baselines():
            echo(f"{name:<14} {read_baseline(name, check_cases=False).title}")
        return
    loaded = read_baseline(baseline, check_cases=False)
    causes = [each for each in loaded.causes if cause in {None, each.id}]
    if cause is not None and not causes:
        from swn_torture.harness.case_map import unknown

        raise CommandError(
            unknown("cause", cause, [each.id for each in loaded.causes], f"Baseline: {baseline}."), USAGE
        )
    if as_json:
        click.echo(json.dumps(_json_of(loaded, causes), indent=2))
        return
    lines = _cause_lines(causes[0]) if cause is not None else _baseline_lines(loaded)
    for line in lines:
        echo(line)


# -- files


def read_baseline(name: str, *, check_cases: bool = True) -> Baseline:
    """Read a baseline.

    Args:
        name: name of a shipped one, or a path.
        check_cases: whether ids of cases are compared with those of the suite (takes about 1 s).

    Raises:
        CommandError: it cannot be used.
    """
    from swn_torture.baseline.model import BaselineError
    from swn_torture.baseline.read import load_baseline
    from swn_torture.harness.case_map import collect_cases

    try:
        return load_baseline(name, known_cases=collect_cases() if check_cases else None)
    except BaselineError as problem:
        raise CommandError(problem, USAGE) from problem


def read_results(path: Path) -> Results:
    """Read results: ``results.json``, or the ``journal.jsonl`` of a run that stopped early.

    Raises:
        CommandError: it cannot be read, or does not hold results.
    """
    from swn_torture.report.journal import read_journal
    from swn_torture.report.json_report import load_results
    from swn_torture.report.results import ResultsError
    from swn_torture.spec import load_catalogue

    catalogue = load_catalogue()
    try:
        return read_journal(path, catalogue) if path.suffix == ".jsonl" else load_results(path, catalogue)
    except OSError as problem:
        raise CommandError(f"Cannot read {path}: {problem.strerror}.", USAGE) from problem
    except ResultsError as problem:
        raise CommandError(f"Cannot read results: {problem}.", USAGE) from problem


def _text_of(name: str) -> str:
    from swn_torture.baseline.model import BaselineError
    from swn_torture.baseline.read import baseline_path

    try:
        path = baseline_path(name)
        return path.read_text(encoding="utf-8")
    except BaselineError as problem:
        raise CommandError(problem, USAGE) from problem
    except OSError as problem:
        raise CommandError(f"The baseline {name} cannot be read: {problem.strerror}.", USAGE) from problem
    except UnicodeDecodeError as problem:
        raise CommandError(f"The baseline {name} is not UTF-8 text: {problem}.", USAGE) from problem


def _write(path: Path, text: str) -> None:
    from swn_torture.report.write import cannot_write, write_file

    try:
        write_file(path.resolve(), text.encode())
    except OSError as problem:
        raise CommandError(cannot_write("baseline", path, problem), USAGE) from problem


# -- words


def _updated_lines(path: Path, updated: Updated) -> list[str]:
    lines = [f"removed: {each}" for each in updated.removed]
    lines += [
        f"kept: the flaky entry {each}; it goes only when --draws N runs agree" for each in updated.kept
    ]
    lines += [f"new, without a reason: {each}" for each in updated.added]
    lines += [f"Note: {note}" for note in updated.notes]
    lines.append(f"Wrote {path}.")
    if updated.added:
        lines.append(
            f"Next: write the reason of each new cause into {path}, and join causes that are one; "
            f"`swn-torture baseline show {path}` then shows them."
        )
    return lines


def _baseline_lines(baseline: Baseline) -> list[str]:
    picture = baseline.picture
    judged, others = sum(picture.judged.values()), sum(map(len, picture.not_tested.values()))
    lines = [f"{baseline.name}: {baseline.title}".rstrip(": ")]
    lines.append(
        f"Written with swn-torture {picture.suite} from {picture.runs} runs, the last on {picture.date}"
    )
    lines += [f"{judged} cases judged, {others} not tested", ""]
    for cause in baseline.causes:
        lines.append(f"{cause.kind:<10} {cause.id}: {cause.title}")
        for found in cause.findings:
            cases = ", ".join(found.cases) or "all cases"
            lines.append(f"{'':<10}   {found.requirement or 'any requirement'}: {cases}")
    return lines


def _cause_lines(cause: Cause) -> list[str]:
    lines = [f"{cause.id}: {cause.title}", f"class: {cause.kind}"]
    lines += [f"since: {cause.since}"] if cause.since else []
    lines += [f"seen with: {', '.join(cause.seen_with)}"] if cause.seen_with else []
    lines += [f"bug: {cause.bug}"] if cause.bug else []
    lines += ["", *textwrap.wrap(cause.reason, 100)]
    for found in cause.findings:
        lines += ["", found.requirement or "any requirement"]
        lines += [f"  case: {case}" for case in found.cases]
        lines += [f"  observed: {text}" for text in found.observed]
        lines += [f"  sometimes: {text}" for text in found.sometimes]
    return lines


def _json_of(baseline: Baseline, causes: list[Cause]) -> dict[str, Any]:
    made = [
        {**dataclasses.asdict(cause), "since": cause.since.isoformat() if cause.since else None}
        for cause in causes
    ]
    picture = dataclasses.asdict(baseline.picture)
    return {
        "name": baseline.name,
        "title": baseline.title,
        "ignore": baseline.ignore,
        "causes": made,
        "picture": picture,
    }
