"""``swn-torture selftest``: the suite as a test of Samba's own selftest."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.options import report_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.harness.case_map import CaseInfo
    from swn_torture.report.write import ReportPaths

#: The time limit of a run in seconds, where neither the option nor the environment sets one.
_LIMIT_S = 1200.0


@click.command()
@click.option(
    "--target",
    default="samba-selftest",
    metavar="PROFILE",
    shell_complete=complete.profiles,
    show_default=True,
    help="Profile of the target: the name of a shipped one or a .toml file.",
)
@click.option("--list", "list_tests", is_flag=True, help="Print the ids of the tests, one on each line.")
@click.option(
    "--load-list",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Run only the tests that this file lists, one on each line.",
)
@click.option("--plan", "print_plan", is_flag=True, help="Print the lines that plan the suite.")
@click.option(
    "--case",
    "cases",
    metavar="ID",
    shell_complete=complete.cases,
    multiple=True,
    help="Run only the case with this id; without [parameters], with all of them (repeatable).",
)
@click.option(
    "--requirement",
    "requirements",
    metavar="ID",
    shell_complete=complete.requirements,
    multiple=True,
    help="Run only cases that check this requirement (repeatable).",
)
@click.option("--strict", is_flag=True, help="Make a SHOULD that is not followed a failure.")
@click.option(
    "--baseline",
    metavar="NAME|FILE",
    shell_complete=complete.baselines,
    help="Make what this baseline explains a known failure (xfail): a shipped one or a .toml file.",
)
@click.option(
    "--allow-fixed", is_flag=True, help="With --baseline: what is listed and no longer seen does not fail."
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help=f"End the run after this time (default: SELFTEST_MAXTIME of the environment, else {_LIMIT_S:g}).",
)
@click.option(
    "-n",
    "workers",
    metavar="N",
    default="auto",
    show_default=True,
    help="Number of processes for cases.",
)
@report_options
def command(
    target: str,
    list_tests: bool,
    load_list: Path | None,
    print_plan: bool,
    cases: tuple[str, ...],
    requirements: tuple[str, ...],
    strict: bool,
    baseline: str | None,
    allow_fixed: bool,
    time_limit: float | None,
    workers: str,
    reports: ReportPaths,
) -> None:
    """Run the suite and print a subunit v1 stream, as Samba's selftest reads it.

    In a source directory of Samba that was configured with --enable-selftest and --with-cluster-support, this
    line runs the suite in the environment clusteredmember:

    \b
    make test TEST_LIST='swn-torture selftest --plan|'

    The target of the profile samba-selftest is taken from the variables of that environment. With another
    target, the stream can be read anywhere:

    \b
    swn-torture selftest --target reference --list     # the ids of the tests
    swn-torture selftest --target reference --requirement SWN-3.1.4.2-null-netname
    swn-torture selftest --target reference --load-list tests.txt --time-limit 600

    \b
    A violation is a failure, with its finding: Samba's lists (selftest/knownfail.d) can excuse it.
    With --baseline, a violation that it explains is an xfail, with its cause.
    A case that was started and not finished, and a defect of this suite, is an error.
    A case that is not tested is skipped, with its reason; what the set-up cannot show is "impossible here".

    Exit codes: 0 conforming, 1 violations, 2 usage or profile error, 3 target unusable or run not complete.
    With --baseline: 0 as expected, 1 new violation, 2 and 3 as before, 4 the baseline is no longer true.
    """
    options = _options(target, reports, baseline, strict=strict, workers=workers)
    options += ["--allow-fixed"] if allow_fixed else []
    if print_plan:
        from swn_torture.selftest.plan import plan

        own = [*options, *(f"--case={each}" for each in cases)]
        own += [f"--requirement={each}" for each in requirements]
        own += [f"--time-limit={time_limit:g}"] if time_limit else []
        click.echo("\n".join(plan(own)))
        return
    from swn_torture.harness.case_map import collect_cases

    known = collect_cases()
    chosen = _chosen(known, load_list, cases, requirements)
    if list_tests:
        from swn_torture.selftest.ids import subunit_id

        for case_id in chosen:
            click.echo(subunit_id(case_id))
        return
    if len(chosen) < len(known):
        options += [f"--case={case_id}" for case_id in chosen]
    sys.exit(_run(options, known, _limit(time_limit), strict=strict, compared=baseline is not None))


def _options(
    target: str, reports: ReportPaths, baseline: str | None, *, strict: bool, workers: str
) -> list[str]:
    """The options that ``swn-torture run`` has, too, with absolute paths."""
    from swn_torture.commands.baseline import read_baseline
    from swn_torture.target import is_file_name

    if workers != "auto" and not workers.isdigit():
        raise click.BadParameter("must be a number or auto", param_hint="-n")
    options = [f"--target={Path(target).absolute() if is_file_name(target) else target}", "-n", workers]
    options += [f"--{name}={path.absolute()}" for name, path in reports.files.items()]
    options += [f"--report={reports.directory.absolute()}"] if reports.directory else []
    if baseline is not None:
        read_baseline(baseline)
        is_file = baseline.endswith(".toml") or os.sep in baseline
        options.append(f"--baseline={Path(baseline).absolute() if is_file else baseline}")
    return [*options, "--strict"] if strict else options


def _chosen(
    known: Mapping[str, CaseInfo],
    load_list: Path | None,
    cases: tuple[str, ...],
    requirements: tuple[str, ...],
) -> list[str]:
    """The ids of the cases that the options select, in the order of the suite.

    Raises:
        CommandError: an id is unknown, the list cannot be read, or nothing is selected.
    """
    from swn_torture.commands.run import check_requirements, current_cases
    from swn_torture.harness.case_map import select_ids
    from swn_torture.selftest.ids import UnknownTestsError, read_list

    check_requirements(requirements)
    chosen = set(known)
    if cases:
        chosen = {found for case_id in current_cases(cases) for found in select_ids(case_id, known)}
    if requirements:
        chosen &= {name for name, info in known.items() if set(requirements) & set(info.requirements)}
    if load_list is not None:
        try:
            chosen &= set(read_list(load_list.read_text(encoding="utf-8"), known))
        except UnknownTestsError as problem:
            raise CommandError(f"{problem}", USAGE) from problem
        except (OSError, UnicodeDecodeError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else problem
            raise CommandError(f"Cannot read the list {load_list}: {why}.", USAGE) from problem
    if not chosen:
        raise CommandError("No test matches --load-list, --case and --requirement.", USAGE)
    return [case_id for case_id in known if case_id in chosen]


def _limit(asked: float | None) -> float:
    """The time limit in seconds.

    Raises:
        CommandError: the environment sets one that is not a number of seconds.
    """
    if asked is not None:
        return asked
    text = os.environ.get("SELFTEST_MAXTIME", "")
    if not text:
        return _LIMIT_S
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if limit <= 0:
        raise CommandError(
            f"SELFTEST_MAXTIME is {text!r}, which is not a number of seconds; use --time-limit.", USAGE
        )
    return limit


def _run(
    options: list[str], known: Mapping[str, CaseInfo], limit: float, *, strict: bool, compared: bool
) -> int:
    """Run the suite, with the stream on standard output, and return the exit code."""
    from swn_torture.selftest.subunit import SubunitStream
    from swn_torture.selftest.supervisor import Supervisor
    from swn_torture.spec import load_catalogue

    out = sys.stdout.buffer

    def write(octets: bytes) -> None:
        out.write(octets)
        out.flush()

    node_ids = {info.node_id: case_id for case_id, info in known.items()}
    supervisor = Supervisor(SubunitStream(write), load_catalogue(), node_ids, limit, strict, compared)
    return supervisor.run(options)
