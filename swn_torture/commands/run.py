"""``swn-torture run``: judge a target and write the reports."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, explain

if TYPE_CHECKING:
    from swn_torture.target import Profile


@click.command(short_help="Judge a target and write the reports.")
@click.option(
    "--target",
    default="reference",
    metavar="PROFILE",
    help="Profile: a shipped name or a .toml file.",
    show_default=True,
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Results as JSON.")
@click.option(
    "--junit", "junit_file", type=click.Path(dir_okay=False, path_type=Path), help="Results as JUnit XML."
)
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Results as one HTML page."
)
@click.option(
    "--report",
    "report_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="All of these in one directory, with a packet capture for each finding.",
)
@click.option(
    "-k", "expression", metavar="EXPR", help="Only cases whose id matches this expression, as in pytest."
)
@click.option("--case", "cases", metavar="ID", multiple=True, help="Only the case of this id (repeatable).")
@click.option(
    "--requirement",
    "requirements",
    metavar="ID",
    multiple=True,
    help="Only cases for this requirement (repeatable).",
)
@click.option(
    "-n",
    "workers",
    metavar="N",
    default="auto",
    show_default=True,
    help="Processes to spread the cases over; 0 for none.",
)
@click.option("--strict", is_flag=True, help="Count a SHOULD that is not followed as a violation.")
@click.option(
    "--fault",
    metavar="NAME",
    help="Have the embedded cluster misbehave on purpose; swn-torture faults lists how.",
)
@click.option(
    "--captures",
    type=click.Choice(["findings", "all"]),
    default="findings",
    show_default=True,
    help="Keep the octets of findings only, or of every case.",
)
def command(
    target: str,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
    report_dir: Path | None,
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
    swn-torture run                                   the embedded reference cluster
    swn-torture run --target samba-lab --report out/  a running lab, all reports into out/
    swn-torture run -k register -n 0                  some cases, one after the other
    swn-torture run --requirement SWN-3.1.4.2-null-netname
    swn-torture run --fault any-net-name-taken        a reference that is wrong: the suite has to say so

    Exit codes: 0 conforming, 1 violations, 2 usage or profile error, 3 target unusable or run not finished.
    """
    from swn_torture.harness.session import with_fault
    from swn_torture.target import ProfileError, load_profile

    if workers != "auto" and not workers.isdigit():
        raise click.BadParameter("has to be a number, or auto", param_hint="-n")
    try:
        profile = load_profile(target)
        if fault is not None:
            profile = with_fault(profile, fault)
    except ProfileError as problem:
        raise explain(problem, USAGE) from problem
    trouble = preflight(profile)
    if trouble:
        raise explain(trouble, TARGET_UNUSABLE)
    options = [
        f"--swn-target={target}",
        f"--swn-captures={captures}",
        "-n",
        str(_processes(workers, profile)),
    ]
    for option, value in (
        ("json", json_file),
        ("junit", junit_file),
        ("html", html_file),
        ("report", report_dir),
    ):
        if value is not None:
            options.append(f"--swn-{option}={value}")
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
    """Run the suite in this process and return the exit code of the verdict."""
    import pytest

    from swn_torture.commands.progress import Progress
    from swn_torture.suite import suite_arguments

    progress = Progress()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    code = pytest.main([*suite_arguments(), *options], plugins=[progress])
    return progress.verdict(int(code), strict=strict)


def preflight(profile: Profile) -> str | None:
    """Why a target cannot be used, in a paragraph; None when a first authenticated call succeeds."""
    if profile.embedded is not None:
        return None
    from swn_torture.harness.preflight import first_trouble

    return first_trouble(profile)


def _processes(asked: str, profile: Profile) -> int:
    """Cases mostly wait, so there is room for more processes than processors.

    The more so on a live target, whose timers are long: enough processes for all long cases to wait at once.
    """
    if asked != "auto":
        return int(asked)
    processors = len(os.sched_getaffinity(0))
    return max(10, 2 * processors) if profile.embedded is None else min(8, processors + 1)
