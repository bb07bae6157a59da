"""``swn-torture run``: run the suite against a target and write the reports."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands import complete
from swn_torture.commands.controllers import say_what_is_left
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError
from swn_torture.commands.options import keyword_option, report_options
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    from swn_torture.casekit.facts import TargetFacts
    from swn_torture.commands.progress import Progress
    from swn_torture.harness.preflight.learning import Preflight
    from swn_torture.harness.resume import Kept
    from swn_torture.report.write import ReportPaths
    from swn_torture.target import Profile
    from swn_torture.workers import Workers

#: Registrations that a case may hold at the same time without a need of its own (``registrations:N``).
_REGISTRATIONS_EACH = 8


@click.command()
@click.option(
    "--target",
    default="reference",
    metavar="PROFILE",
    shell_complete=complete.profiles,
    help="Profile of the target: the name of a shipped one or a .toml file.",
    show_default=True,
)
@report_options
@keyword_option("Run only cases whose id matches this expression, as in pytest.")
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
@click.option(
    "--up-to",
    "highest",
    metavar="RUNG",
    shell_complete=complete.rungs,
    help="Run only cases on this rung of the ladder and on lower ones: bind, interface-list, register, ...",
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
    shell_complete=complete.faults,
    help="Start the embedded cluster with this fault; swn-torture faults lists them.",
)
@click.option(
    "--unusual",
    metavar="NAME",
    shell_complete=complete.unusual,
    help="Start the embedded cluster as this unusual server; swn-torture unusual lists them.",
)
@click.option(
    "--baseline",
    metavar="NAME|FILE",
    shell_complete=complete.baselines,
    help="Compare with this baseline: the name of a shipped one or a .toml file (docs/baselines.md).",
)
@click.option(
    "--allow-fixed",
    is_flag=True,
    help="With --baseline: findings that are listed and no longer seen do not fail.",
)
@click.option(
    "--max-age",
    type=click.IntRange(0),
    metavar="DAYS",
    help="With --baseline: report flaky entries that are older.",
)
@click.option(
    "--captures",
    type=click.Choice(["findings", "all"]),
    default="findings",
    show_default=True,
    help="Keep the octets of cases with findings only, or of all cases.",
)
@click.option(
    "--github",
    is_flag=True,
    help="Also print workflow commands, and append the summary to the file GITHUB_STEP_SUMMARY.",
)
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="JOURNAL",
    help="Go on from the journal.jsonl of a run that stopped: its results are kept, the other cases run.",
)
@click.option("--events-to", type=int, hidden=True, help="For swn-torture selftest: a file descriptor.")
def command(
    target: str,
    reports: ReportPaths,
    expression: str | None,
    cases: tuple[str, ...],
    requirements: tuple[str, ...],
    highest: str | None,
    workers: str,
    strict: bool,
    fault: str | None,
    unusual: str | None,
    baseline: str | None,
    allow_fixed: bool,
    max_age: int | None,
    captures: str,
    github: bool,
    resume: Path | None,
    events_to: int | None,
) -> None:
    """Run the suite against a target and print the verdict.

    \b
    swn-torture run                                   # test the embedded reference cluster
    swn-torture run --target samba-lab --report out/  # test a running lab, write all reports to out/
    swn-torture run -k register -n 0                  # run some cases, one after another
    swn-torture run --requirement SWN-3.1.4.2-null-netname
    swn-torture run --up-to register                  # run the lower rungs of the ladder, for a new server
    swn-torture run --fault any-net-name-taken        # test a reference with a fault: it must fail
    swn-torture run --unusual two-nodes               # test an unusual reference: it must not fail
    swn-torture run --report out/ --resume out/journal.jsonl  # go on with a run that stopped
    swn-torture run --target samba-lab --baseline samba-4.22  # fail for what is not known of Samba 4.22

    Exit codes: 0 conforming, 1 violations, 2 usage or profile error, 3 target unusable or run not complete.
    With --baseline: 0 as expected, 1 new violation, 2 usage, profile or baseline error, 3 target unusable,
    run not complete or with errors, 4 the baseline is no longer true (something is fixed, lost or changed).
    """
    from swn_torture.target import ProfileError

    if workers != "auto" and not workers.isdigit():
        raise click.BadParameter("must be a number or auto", param_hint="-n")
    _say_who_is_called(target)

    from swn_torture.commands.progress import Progress
    from swn_torture.commands.run_resumed import resumed, stopped
    from swn_torture.harness.description import describe_target
    from swn_torture.harness.session import chosen_profile
    from swn_torture.report.write import unwritable
    from swn_torture.workers import Workers, load_cases

    try:
        profile = chosen_profile(target, fault=fault, unusual=unusual)
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem
    say_what_is_left(target)
    check_requirements(requirements)
    check_rung(highest)
    cases = current_cases(cases)
    if baseline is None and (allow_fixed or max_age is not None):
        raise CommandError("--allow-fixed and --max-age are about a baseline: give --baseline, too.", USAGE)
    baseline = baseline or None  # a CI file passes an empty text for none
    if baseline is not None:
        from swn_torture.commands.baseline import read_baseline

        read_baseline(baseline)
    before = None if resume is None else stopped(resume)
    if cannot := unwritable(reports):
        raise CommandError(cannot, USAGE)
    if workers not in {"0", "1"} and not _by_person(profile) and _at_most(workers, cases) > 1:
        # Loads the suite while the target is asked.
        which = [f"--swn-case={each}" for each in cases]
        own = [] if events_to is None else [events_to]
        forked = click.get_current_context().with_resource(Workers(functools.partial(load_cases, which), own))
    else:
        forked = None
    learned = preflight(profile, target, reports)
    selected = bool(cases or requirements or expression)
    processes = _processes(workers, profile, learned.facts, highest, selected=selected)
    processes = min(processes, _at_most(workers, cases))
    options = [f"--swn-target={target}", f"--swn-captures={captures}", "-n", str(processes)]
    values = {
        **reports.files,
        "report": reports.directory,
        "case": cases,
        "requirement": requirements,
        "up-to": highest,
        "fault": fault,
        "unusual": unusual,
        "strict": strict,
        "baseline": baseline,
        "allow-fixed": allow_fixed,
        "max-age": max_age,
    }
    options += [option for name, value in values.items() for option in _plugin_options(name, value)]
    if expression:
        options += ["-k", expression]
    kept = None
    if before is not None:
        parts = [f"-k {expression}"] if expression else []
        parts += [f"--case {each}" for each in cases] + [f"--requirement {each}" for each in requirements]
        kept = resumed(before, describe_target(profile, learned.facts), ", ".join(parts))
    progress = Progress(
        quiet=events_to is not None, plain=_by_person(profile), embedded=profile.embedded is not None
    )
    sys.exit(
        run_suite(
            options,
            learned,
            progress,
            strict=strict,
            github=github,
            events_to=events_to,
            kept=kept,
            workers=forked,
        )
    )


def _say_who_is_called(target: str) -> None:
    """The first line, before most of the program is loaded: who is called.

    An embedded cluster answers at once. A profile that is wrong is reported later.
    """
    from swn_torture.target import ProfileError, load_profile

    try:
        profile = load_profile(target)
    except ProfileError:
        return
    if profile.embedded is None:
        nodes = ", ".join(f"{node.name} ({node.address})" for node in profile.nodes)
        echo(f"Calling {nodes}, before the first case.", err=True)


def _plugin_options(name: str, value: object) -> list[str]:
    """The option of the pytest plugin with a value, as often as it has values; none for None and False."""
    if value is None or value is False:
        return []
    if value is True:
        return [f"--swn-{name}"]
    return [f"--swn-{name}={each}" for each in (value if isinstance(value, tuple) else (value,))]


def run_suite(
    options: list[str],
    learned: Preflight,
    progress: Progress,
    *,
    strict: bool = False,
    github: bool = False,
    events_to: int | None = None,
    kept: Kept | None = None,
    workers: Workers | None = None,
) -> int:
    """Run the suite in this process and return the exit code of the verdict.

    Args:
        options: arguments for pytest, in addition to those that select the suite.
        learned: what the target has shown.
        progress: shows the run and its verdict.
        strict: count a SHOULD that is not followed as a violation.
        github: also print annotations for a job of GitHub.
        events_to: a file descriptor that gets every event of the run (`swn_torture.selftest.events`).
        kept: what the run goes on from; None for a new run.
        workers: where the processes of pytest-xdist are forked; None to start new interpreters.
    """
    import pytest

    from swn_torture.harness.interrupts import Interrupts
    from swn_torture.harness.sharing import KnownTarget
    from swn_torture.suite import suite_arguments, without_other_plugins

    plugins: list[object] = [progress, KnownTarget(learned), Interrupts()]
    if kept is not None:
        from swn_torture.harness.resume import Resume

        plugins.append(Resume(kept))
    if events_to is not None:
        from swn_torture.selftest.events import EventStream

        plugins.append(EventStream(events_to))
    with without_other_plugins(), workers.in_use() if workers else contextlib.nullcontext():
        code = pytest.main([*suite_arguments(), *options], plugins=plugins)
    return progress.verdict(int(code), strict=strict, github=github)


def preflight(profile: Profile, target: str, reports: ReportPaths) -> Preflight:
    """Ask the target before the first case, and show what it is and what it contradicts.

    Args:
        profile: the profile of the target.
        target: its name or path.
        reports: the reports to write if the target cannot be used.

    Raises:
        CommandError: it cannot be used, or the profile is wrong.
    """
    from swn_torture.harness.first_look import lowest_rungs
    from swn_torture.harness.live_target import learn_target
    from swn_torture.harness.unusable import report_unusable
    from swn_torture.lab.errors import LabError
    from swn_torture.server.config import ConfigError

    began = time.time()
    shown: list[str] = []

    def show(known: Preflight) -> None:
        shown.extend(lowest_rungs(profile, known))
        for line in ("First look:", *shown):
            echo(line, err=True)

    try:
        learned = learn_target(profile, lambda line: echo(line, err=True), show)
    except ConfigError as problem:
        text = f"The [embedded] table of {profile.source} cannot be used: {problem}."
        raise CommandError(text, USAGE) from problem
    except LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    _say_what_was_learned(profile, learned, shown)
    if learned.trouble:
        command = shlex.join(["swn-torture", *sys.argv[1:]])
        for text in report_unusable(profile, learned, target, reports, began=began, command=command):
            echo(f"swn-torture: {text}", err=True)
        raise CommandError(learned.trouble, TARGET_UNUSABLE)
    return learned


def _say_what_was_learned(profile: Profile, learned: Preflight, shown: list[str]) -> None:
    """Show what the target is, which rungs the first calls reach, and what it violates already.

    Args:
        profile: the profile of the target.
        learned: what the target has shown.
        shown: the lines of the lowest rungs that are on the terminal already.
    """
    from swn_torture.harness.description import describe_target
    from swn_torture.harness.first_look import first_look
    from swn_torture.harness.rung_gate import broken_rungs
    from swn_torture.report.text import head_lines

    if profile.embedded is None:
        rest = first_look(profile, learned)[len(shown) :]
        for line in rest if shown else ("First look:", *rest):
            echo(line, err=True)
    for line in head_lines(describe_target(profile, learned.facts)):
        echo(line, err=True)
    for line in broken_rungs(learned.facts):
        echo(line, err=True)
    named: set[str] = {node.violates for node in learned.facts.nodes}
    named |= {broken.requirement for broken in learned.facts.broken}
    for finding in learned.findings:
        if finding.requirement not in named:
            echo(f"Violation found before the first case: {finding}.", err=True)
            named.add(finding.requirement)


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


def check_rung(rung: str | None) -> None:
    """Check the rung of --up-to.

    Raises:
        CommandError: it is unknown; the text lists all rungs.
    """
    from swn_torture.harness.case_map import unknown_rung
    from swn_torture.spec.rungs import BY_ID

    if rung is not None and rung not in BY_ID:
        raise CommandError(unknown_rung(rung), USAGE)


def current_cases(cases: tuple[str, ...]) -> tuple[str, ...]:
    """Check the ids of --case, before pytest starts processes, and replace those of renamed cases.

    Raises:
        CommandError: a case is unknown; the text has the close matches.
    """
    from swn_torture.harness.case_map import cases_named, collect_cases, select_ids, unknown_case
    from swn_torture.shipped import current_id

    known = cases_named(cases)
    for case_id in cases:
        if not select_ids(case_id, known) and not select_ids(case_id, collect_cases()):
            raise CommandError(unknown_case(case_id, collect_cases()), USAGE)
        if current_id(case_id) != case_id:
            echo(f"The case {case_id} was renamed to {current_id(case_id)}.", err=True)
    return tuple(current_id(case_id) for case_id in cases)


def _by_person(profile: Profile) -> bool:
    """Whether a person changes the cluster, at this terminal."""
    return profile.embedded is None and profile.controller.get("kind") == "manual"


def _at_most(asked: str, cases: tuple[str, ...]) -> int:
    """The number of cases that these ids select, if the number of processes is ours to choose."""
    from swn_torture.harness.case_map import cases_named, select_ids

    known = cases_named(cases)
    chosen = {found for case_id in cases for found in select_ids(case_id, known)}
    return len(chosen) if chosen and asked == "auto" else sys.maxsize


def _processes(
    asked: str, profile: Profile, facts: TargetFacts, highest: str | None, *, selected: bool = False
) -> int:
    """The number of processes. Cases mostly wait, so there are more processes than processors.

    A live target has long timers: there are enough processes for all long cases to wait at the same time, if
    it has room for their registrations. Without the cases that wait, and with a part of the suite on an
    embedded cluster, a few processes start sooner.
    """
    from swn_torture.spec.rungs import is_up_to

    if _by_person(profile):
        return 0  # one question at a time
    if asked != "auto":
        return int(asked)
    processors = len(os.sched_getaffinity(0))
    no_waits = highest is not None and not is_up_to("async-notify", highest)
    if no_waits or facts.broken or (profile.embedded is not None and selected):
        return min(6, processors + 1)
    if profile.embedded is not None:
        return min(16, max(8, processors + 1))
    wanted = max(10, 2 * processors)
    if facts.registrations is None:
        return wanted
    return max(1, min(wanted, facts.registrations // _REGISTRATIONS_EACH))
