"""``swn-torture repro``: run a case of a report again, with a full trace and a comparison with the report."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, VIOLATIONS, CommandError
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    import pytest

    from swn_torture.harness.preflight.learning import Preflight
    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results
    from swn_torture.report.write import ReportPaths


@click.command()
@click.argument("results", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("case_id", metavar="CASE", shell_complete=complete.cases)
@click.option(
    "--target",
    metavar="PROFILE",
    shell_complete=complete.profiles,
    help="Profile of the target; without it, the one that the results name.",
)
@click.option("--no-octets", is_flag=True, help="Show the PDUs without their octets.")
@click.option(
    "--report",
    "report_dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write the reports of this run, with a packet capture, to this directory.",
)
def command(
    results: Path, case_id: str, target: str | None, no_octets: bool, report_dir: Path | None
) -> None:
    """Run CASE of RESULTS again, show each PDU, and compare with what RESULTS recorded.

    RESULTS is a results.json, compressed or not, or the journal.jsonl of a run that stopped early. The case
    runs against the same target, with the same fault of the embedded cluster if there was one.

    What differs in every run is not compared: times, tokens, signatures, association groups, context handles.
    A report keeps the PDUs of findings; those of passed cases are there after run --captures all.

    \b
    swn-torture repro out/results.json 'rpc.register.wrong-version[ndr32-register-0x0]'
    swn-torture repro out/results.json 'rpc.register.wrong-version[ndr32-register-0x0]' --no-octets

    Exit codes: 0 the verdict is the same, 1 it differs, 2 usage or profile error, 3 target unusable.
    """
    from swn_torture.commands.baseline import read_results

    recorded = recorded_case(read_results(results), case_id, results)
    same = Command.of(recorded, target)
    echo(f"{recorded.id}: {recorded.title}")
    echo(f"recorded: {recorded.outcome}{': ' + recorded.reason if recorded.reason else ''}")
    again = run_again(recorded.id, same, report_dir)
    raise SystemExit(show(recorded, again, octets=not no_octets))


@dataclass(frozen=True, slots=True)
class Command:
    """What the command of a recorded case names: profile, and fault or unusual server of the reference."""

    target: str
    fault: str | None = None
    unusual: str | None = None

    @classmethod
    def of(cls, case: CaseResult, target: str | None) -> Command:
        """The target of a case.

        Args:
            case: the recorded case; its command names the profile.
            target: a profile to use instead.

        Raises:
            CommandError: the case does not name a profile.
        """
        try:
            words = shlex.split(case.repro)
        except ValueError:
            words = []
        named = dict(itertools.pairwise(words))
        target = target or named.get("--target")
        if not target:
            raise CommandError(f"The results do not name the target of {case.id}: use --target.", USAGE)
        return cls(target, named.get("--fault"), named.get("--unusual"))


def recorded_case(results: Results, case_id: str, source: Path) -> CaseResult:
    """The case of results with this id, or with the former id of a renamed case.

    Raises:
        CommandError: they do not have it; the text has the close matches.
    """
    from swn_torture.harness.case_map import unknown
    from swn_torture.shipped import current_id

    wanted = {case_id, current_id(case_id)}
    found = next((case for case in results.cases if wanted & {case.id, current_id(case.id)}), None)
    if found is None:
        known = {case.id: case for case in results.cases}
        raise CommandError(f"{source}: {unknown('case', case_id, known)}", USAGE)
    return found


def run_again(case_id: str, same: Command, report_dir: Path | None) -> CaseResult:
    """Run exactly this case in this process, and keep its PDUs whatever its outcome is.

    Raises:
        CommandError: the case is no longer there, the profile is wrong, or the target cannot be used.
    """
    from swn_torture.commands.run import current_cases, preflight
    from swn_torture.harness.case_map import cases_named
    from swn_torture.harness.session import chosen_profile
    from swn_torture.report.write import ReportPaths
    from swn_torture.target import ProfileError

    (present,) = current_cases((case_id,))
    if present not in cases_named([present]):
        raise CommandError(f"This version has no case {present} with exactly these parameters.", USAGE)
    try:
        profile = chosen_profile(same.target, fault=same.fault, unusual=same.unusual)
    except ProfileError as problem:
        raise CommandError(f"{problem} Name the profile with --target.", USAGE) from problem
    learned = preflight(profile, same.target, ReportPaths(report_dir))
    options = [f"--swn-target={same.target}", f"--swn-case={present}", "--swn-captures=all"]
    options += [f"--swn-fault={same.fault}"] if same.fault else []
    options += [f"--swn-unusual={same.unusual}"] if same.unusual else []
    results = _run(options, learned, ReportPaths(report_dir))
    found = next((case for case in results.cases if case.id == present), None) if results else None
    if found is None:
        raise CommandError(f"The case {present} did not end.", TARGET_UNUSABLE)
    return found


class _Keep:
    """A pytest plugin that keeps the results of the run."""

    def __init__(self) -> None:
        self.results: Results | None = None
        self.problems: list[str] = []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Get them; the plugin of the suite asks to be called first."""
        from swn_torture.harness.session import PROBLEMS, RESULTS

        self.results = session.config.stash.get(RESULTS, None)
        self.problems = session.config.stash.get(PROBLEMS, [])


def _run(options: list[str], learned: Preflight, reports: ReportPaths) -> Results | None:
    import pytest

    from swn_torture.harness.interrupts import Interrupts
    from swn_torture.harness.sharing import KnownTarget
    from swn_torture.suite import suite_arguments, without_other_plugins

    kept = _Keep()
    if reports.directory is not None:
        options = [*options, f"--swn-report={reports.directory}"]
    with without_other_plugins():
        pytest.main(
            [*suite_arguments(), *options, "-n", "0"], plugins=[kept, KnownTarget(learned), Interrupts()]
        )
    for problem in kept.problems:
        echo(problem, err=True)
    return kept.results


def show(recorded: CaseResult, again: CaseResult, *, octets: bool) -> int:
    """Print the trace, the comparison and the verdict; the exit code."""
    from swn_torture.report.exchange.trace import (
        comparable_lines,
        diff_lines,
        exchange_of,
        outcome_lines,
        trace_lines,
    )

    exchange = exchange_of(again.transcript)
    echo()
    echo("PDUs of this run:" if exchange else "This run exchanged no PDU.")
    for line in trace_lines(exchange, octets=octets):
        echo(line)
    echo()
    echo(f"now: {again.outcome}{': ' + again.reason if again.reason else ''}")
    difference = diff_lines(outcome_lines(recorded), outcome_lines(again))
    echo("The checks are as recorded." if not difference else "The checks differ:")
    for line in difference:
        echo(line)
    try:
        before = comparable_lines(exchange_of(recorded.transcript))
    except (KeyError, ValueError) as problem:
        echo(f"The recorded PDUs cannot be read: {problem}.", err=True)
        before = []
    if not before:
        echo("No PDUs were recorded to compare with (run --captures all keeps those of every case).")
    else:
        changed = diff_lines(before, comparable_lines(exchange))
        echo("The PDUs are as recorded." if not changed else "The PDUs differ:")
        for line in changed:
            echo(line)
    if again.outcome == "error":
        return TARGET_UNUSABLE
    return 0 if again.outcome == recorded.outcome else VIOLATIONS
