"""``swn-torture run``: run the suite against a target and write the reports."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError
from swn_torture.commands.options import report_options

if TYPE_CHECKING:
    from swn_torture.report.write import ReportPaths
    from swn_torture.target import Profile


@click.command()
@click.option(
    "--target",
    default="reference",
    metavar="PROFILE",
    help="Profile of the target: the name of a shipped one or a .toml file.",
    show_default=True,
)
@report_options
@click.option(
    "-k", "expression", metavar="EXPR", help="Run only cases whose id matches this expression, as in pytest."
)
@click.option(
    "--case",
    "cases",
    metavar="ID",
    multiple=True,
    help="Run only the case with this id; without [parameters], with all of them (repeatable).",
)
@click.option(
    "--requirement",
    "requirements",
    metavar="ID",
    multiple=True,
    help="Run only cases that check this requirement (repeatable).",
)
@click.option(
    "-n",
    "workers",
    metavar="N",
    default="auto",
    show_default=True,
    help="Number of processes that run cases; 0 runs them in this process, one after another.",
)
@click.option("--strict", is_flag=True, help="Count a SHOULD that is not followed as a violation.")
@click.option(
    "--fault",
    metavar="NAME",
    help="Start the embedded cluster with this fault; swn-torture faults lists them.",
)
@click.option(
    "--captures",
    type=click.Choice(["findings", "all"]),
    default="findings",
    show_default=True,
    help="Keep the octets of cases with findings only, or of all cases.",
)
def command(
    target: str,
    reports: ReportPaths,
    expression: str | None,
    cases: tuple[str, ...],
    requirements: tuple[str, ...],
    workers: str,
    strict: bool,
    fault: str | None,
    captures: str,
) -> None:
    """Run the suite against a target and print the verdict.

    \b
    swn-torture run                                   test the embedded reference cluster
    swn-torture run --target samba-lab --report out/  test a running lab, write all reports to out/
    swn-torture run -k register -n 0                  run some cases, one after another
    swn-torture run --requirement SWN-3.1.4.2-null-netname
    swn-torture run --fault any-net-name-taken        test a reference with a fault: it must fail

    Exit codes: 0 conforming, 1 violations, 2 usage or profile error, 3 target unusable or run not complete.
    """
    from swn_torture.harness.session import with_fault
    from swn_torture.target import ProfileError, load_profile

    if workers != "auto" and not workers.isdigit():
        raise click.BadParameter("must be a number or auto", param_hint="-n")
    try:
        profile = load_profile(target)
        if fault is not None:
            profile = with_fault(profile, fault)
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem
    check_requirements(requirements)
    cases = current_cases(cases)
    trouble = preflight(profile)
    if trouble:
        raise CommandError(trouble, TARGET_UNUSABLE)
    options = [
        f"--swn-target={target}",
        f"--swn-captures={captures}",
        "-n",
        str(_processes(workers, profile)),
    ]
    options += [f"--swn-{name}={path}" for name, path in reports.files.items()]
    if reports.directory is not None:
        options.append(f"--swn-report={reports.directory}")
    options += [f"--swn-case={case}" for case in cases]
    options += [f"--swn-requirement={requirement}" for requirement in requirements]
    if expression:
        options += ["-k", expression]
    if fault is not None:
        options.append(f"--swn-fault={fault}")
    if strict:
        options.append("--swn-strict")
    sys.exit(run_suite(options, strict=strict))


def run_suite(options: list[str], *, strict: bool = False) -> int:
    """Run the suite in this process and return the exit code of the verdict.

    Args:
        options: arguments for pytest, in addition to those that select the suite.
        strict: count a SHOULD that is not followed as a violation.
    """
    import pytest

    from swn_torture.commands.progress import Progress
    from swn_torture.suite import suite_arguments

    progress = Progress()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    code = pytest.main([*suite_arguments(), *options], plugins=[progress])
    return progress.verdict(int(code), strict=strict)


def preflight(profile: Profile) -> str | None:
    """Why a target cannot be used, in one paragraph; None when a first authenticated call succeeds."""
    if profile.embedded is not None:
        return None
    from swn_torture.harness.preflight import first_trouble

    return first_trouble(profile)


def check_requirements(requirements: tuple[str, ...]) -> None:
    """Check the ids of --requirement, before pytest starts processes.

    Raises:
        CommandError: a requirement is unknown; the text has the close matches.
    """
    from swn_torture.harness.case_map import unknown
    from swn_torture.spec import load_catalogue

    known = load_catalogue().requirements if requirements else {}
    for name in requirements:
        if name not in known:
            raise CommandError(
                unknown("requirement", name, known, "`swn-torture requirements` lists all."), USAGE
            )


def current_cases(cases: tuple[str, ...]) -> tuple[str, ...]:
    """Check the ids of --case, before pytest starts processes, and replace those of renamed cases.

    Raises:
        CommandError: a case is unknown; the text has the close matches.
    """
    from swn_torture.harness.case_map import collect_cases, current_id, select_ids, unknown_case

    known = collect_cases() if cases else {}
    for case_id in cases:
        if not select_ids(case_id, known):
            raise CommandError(unknown_case(case_id, known), USAGE)
        if current_id(case_id) != case_id:
            click.echo(f"The case {case_id} was renamed to {current_id(case_id)}.", err=True)
    return tuple(current_id(case_id) for case_id in cases)


def _processes(asked: str, profile: Profile) -> int:
    """The number of processes. Cases mostly wait, so there are more processes than processors.

    A live target has long timers: there are enough processes for all long cases to wait at the same time.
    """
    if asked != "auto":
        return int(asked)
    processors = len(os.sched_getaffinity(0))
    return max(10, 2 * processors) if profile.embedded is None else min(8, processors + 1)
