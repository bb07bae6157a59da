"""Runs the suite against many embedded servers, each in its own process, several at the same time.

The fault matrix (`faults.matrix`) and the innocence matrix (`unusual.matrix`) use it. Every process is forked
from one that has already loaded the suite and everything that it needs, so that the cases start at once. A
trial does the same as ``swn-torture run -n 0``, except that it writes no reports.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from typing_extensions import override

from swn_torture.casekit.case import MARK, mark_of, slug_of
from swn_torture.report.model import CaseResult
from swn_torture.report.roots import without_repeated_invariants
from swn_torture.spec import load_catalogue
from swn_torture.suite import SUITES, suite_arguments, without_other_plugins
from swn_torture.workers import load_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.context import ForkProcess

    from swn_torture.report.model import Check

#: Seconds after the budget until the process is killed: enough for the current case and its tear-down.
_GRACE_S = 150.0

#: Needs of cases that have tickets.
_TICKETS = frozenset({"kerberos", "second-tickets"})


@dataclass(frozen=True, slots=True)
class Job:
    """One trial to run.

    Attributes:
        name: name of the trial: the fault, or the unusual server. ``""`` is the reference itself.
        arguments: options of the pytest plugin: which server.
        budget: seconds after which the trial is cut short: if a server answers nothing, every case waits for
            its deadline.
        requirements: only cases that name one of these run; all if there are none.
        first: requirements whose cases run first, and with all parameters.
        one_per_function: of all other cases, run one for each test function.
        until_broken: whether a case is left out if those before it found each requirement of `first` broken
            that it names, or all of them if it names none.
        slow: whether it takes long: then it is started early, so that it is not the last to end.
        part: run only each case number ``part``, ``part + parts``, ... of them.
        parts: how many jobs share the cases of this trial.
    """

    name: str
    arguments: tuple[str, ...]
    budget: float
    requirements: frozenset[str] = frozenset()
    first: frozenset[str] = frozenset()
    one_per_function: bool = False
    until_broken: bool = False
    slow: bool = False
    part: int = 0
    parts: int = 1

    def in_parts(self, parts: int) -> list[Job]:
        """This trial as several jobs, which share its cases."""
        return [replace(self, part=part, parts=parts) for part in range(parts)]

    @property
    def key(self) -> str:
        """What tells it from all other jobs: the name, and the part if there are several."""
        return self.name if self.parts == 1 else f"{self.name}.part-{self.part + 1}-of-{self.parts}"


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of running the suite on one server.

    Attributes:
        name: name of the trial, as in `Job`.
        outcomes: the outcome of each case that ran, by case id.
        named: the requirements that each case names.
        judged: the requirements that each case judged; none for a case that only records.
        broken: the requirements that each case found broken.
        crashes: exceptions in the server that nothing caught, each in one line.
        cut_short: why not all cases ran; empty if all did.
        duration_s: the time it took, in seconds.
        reasons: the reason of each case that did not pass, with what its first failed check observed.
    """

    name: str
    outcomes: dict[str, str] = field(default_factory=dict)
    named: dict[str, tuple[str, ...]] = field(default_factory=dict)
    judged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    broken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    crashes: tuple[str, ...] = ()
    cut_short: str = ""
    duration_s: float = 0.0
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[Trial]) -> Self:
        """Join the parts of one trial."""

        def table(field_name: str) -> dict[str, Any]:
            return {case: value for part in parts for case, value in getattr(part, field_name).items()}

        return cls(
            parts[0].name,
            **{name: table(name) for name in ("outcomes", "named", "judged", "broken", "reasons")},
            crashes=tuple(dict.fromkeys(crash for part in parts for crash in part.crashes)),
            cut_short="; ".join(dict.fromkeys(part.cut_short for part in parts if part.cut_short)),
            duration_s=max(part.duration_s for part in parts),
        )


@without_other_plugins()
def run_jobs(
    jobs: Sequence[Job],
    *,
    processes: int,
    directory: Path,
    preload: Callable[[], object],
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Run the suite once for each trial.

    Args:
        jobs: the trials, or the parts of them, in the order in which they are started, the slow ones first.
        processes: how many trials run at the same time. Cases mostly wait, so several fit on one processor.
        directory: where the result of each trial is kept. A job that has a result there is not run again.
        preload: loads what the servers of these jobs need, before the first process is forked.
        on_trial: called with each trial when it has ended.

    Returns:
        The trials, in the order of the jobs, each in one. A trial whose process ends by itself without a
        result runs once more, and stderr says what it had printed.
    """
    context = multiprocessing.get_context("fork")
    files = {job.key: directory / f"{_file_name(job.key)}.json" for job in jobs}
    trials = {key: read_trial(path) for key, path in files.items() if path.is_file()}
    waiting = sorted((job for job in jobs if job.key not in trials), key=lambda job: not job.slow)
    if waiting:
        _preload(preload)
    running: dict[int, tuple[ForkProcess, Job, float]] = {}
    again: set[str] = set()
    parts: dict[str, list[Job]] = {}
    for job in jobs:
        parts.setdefault(job.name, []).append(job)

    def joined(name: str) -> Trial:
        return Trial.joined([trials[job.key] for job in parts[name]])

    while waiting or running:
        while waiting and len(running) < processes:
            job = waiting.pop(0)
            process = context.Process(target=_run_trial, args=(job, files[job.key]))
            process.start()
            running[process.sentinel] = process, job, time.monotonic() + job.budget + _GRACE_S
        for sentinel in wait(list(running), timeout=1.0):
            assert isinstance(sentinel, int)
            process, job, _ = running.pop(sentinel)
            process.join()
            path = files[job.key]
            if path.is_file():
                trials[job.key] = read_trial(path)
            else:
                lost = _without_result(job, process.exitcode, path)
                if job.key not in again and process.exitcode != -signal.SIGKILL:
                    again.add(job.key)
                    sys.stderr.write(f"{job.key or 'the reference'} runs again: {lost.cut_short}\n")
                    waiting.append(job)
                    continue
                trials[job.key] = lost
            if all(part.key in trials for part in parts[job.name]):
                on_trial(joined(job.name))
        for sentinel, (process, _, deadline) in list(running.items()):
            if time.monotonic() > deadline and sentinel in running:
                process.kill()
    return [joined(name) for name in parts]


def _without_result(job: Job, exit_code: int | None, path: Path) -> Trial:
    """A trial whose process ended before it wrote a result, with the last lines that it printed."""
    log = path.with_suffix(".log")
    printed = log.read_text(encoding="utf-8", errors="replace")[-500:] if log.is_file() else ""
    return Trial(job.name, cut_short=f"the process ended with exit code {exit_code} {printed}".rstrip())


def _file_name(trial: str) -> str:
    """Return a file name for the name of a trial, which can be an option with its value."""
    name = "".join(c if c.isalnum() or c in "-_.=" else "_" for c in trial)
    return f"reference{name}" if name[:1] in {"", "."} else name


def _preload(preload: Callable[[], object]) -> None:
    """Import what every trial needs, once."""
    preload()
    load_catalogue()
    for module in _modules():
        importlib.import_module(module)
    load_suite()
    # pytest collects garbage at the end of each trial: it need not look at what is here for all.
    gc.freeze()


def _modules() -> Iterator[str]:
    """The names of the modules with cases."""
    for package in SUITES:
        directory = Path(importlib.import_module(package).__path__[0])
        for path in sorted(directory.rglob("test_*.py")):
            yield ".".join((package, *path.relative_to(directory).with_suffix("").parts))


def _modules_about(requirements: frozenset[str]) -> tuple[str, ...]:
    """The names of the modules with cases that name one of these: to collect all is half of a short trial."""
    return tuple(
        name
        for name in _modules()
        if any(
            not requirements.isdisjoint(mark.args[0].requirements)
            for function in vars(importlib.import_module(name)).values()
            for mark in getattr(function, "pytestmark", ())
            if mark.name == MARK
        )
    )


def read_trial(path: Path) -> Trial:
    """Read the result of a trial from the file that its process has written."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for table in ("named", "judged", "broken"):
        data[table] = {case: tuple(names) for case, names in data[table].items()}
    return Trial(**{**data, "crashes": tuple(data["crashes"])})


# In the process of one trial


def _run_trial(job: Job, path: Path) -> None:
    """Run pytest and write the result to a file; nothing is printed."""
    selection = [f"--swn-requirement={name}" for name in sorted(job.requirements)]
    suite = suite_arguments(_modules_about(job.requirements) or SUITES)
    arguments = [*suite, "-n", "0", *selection, *job.arguments]
    recorder = _Recorder(job)
    began = time.monotonic()
    log = path.with_suffix(".log")
    with log.open("w", encoding="utf-8") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        with recorder.record_crashes():
            code = pytest.main(arguments, plugins=[recorder])
    expected = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
    if job.parts > 1:
        expected.add(pytest.ExitCode.NO_TESTS_COLLECTED)  # fewer cases than parts
    if code not in expected and not recorder.cut_short:
        recorder.cut_short = f"pytest ended with code {int(code)} {log.read_text(encoding='utf-8')[-500:]}"
    recorder.finish()
    result = {
        "name": job.name,
        "outcomes": recorder.outcomes,
        "named": recorder.named,
        "judged": recorder.judged,
        "broken": recorder.broken,
        "crashes": list(dict.fromkeys(recorder.crashes)),
        "cut_short": recorder.cut_short,
        "duration_s": round(time.monotonic() - began, 1),
        "reasons": recorder.reasons,
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(path)
    log.unlink()


def _judged(case: CaseResult) -> list[str]:
    """The requirements that a case judged; none if all its own checks are records.

    The rules of the wire, which hold in every case, do not make a case that records one that judges.
    """
    own = [check for check in case.checks if not check.invariant]
    if own and all(check.passed is None for check in own):
        return []
    return sorted({check.requirement for check in case.checks if check.passed is not None})


def _each_in_turn(items: Sequence[pytest.Item], requirements: frozenset[str]) -> list[pytest.Item]:
    """Sort cases: one about each of the requirements, a second one about each, ...; the short ones first."""
    about: dict[str, list[pytest.Item]] = {name: [] for name in sorted(requirements)}
    for item in sorted(items, key=lambda item: mark.lasts if (mark := mark_of(item)) else 0.0):
        mark = mark_of(item)
        for name in requirements.intersection(mark.requirements) if mark else ():
            about[name].append(item)
    turns = chain.from_iterable(zip_longest(*about.values()))
    return [item for item in dict.fromkeys(turns) if item]


def _counts(case: CaseResult, check: Check) -> bool:
    """Whether what a check found broken counts at the end, too.

    It does not in a case that ended with an error. A rule of the wire, which fails in other cases as well,
    counts in the cases about it.
    """
    about = not check.invariant or check.requirement in case.requirements
    return check.passed is False and about and case.outcome in {"failed", "deviation"}


class _Recorder:
    """A pytest plugin that records outcomes, runs the likeliest cases first, and says which are left out."""

    def __init__(self, job: Job) -> None:
        self.outcomes: dict[str, str] = {}
        self.named: dict[str, list[str]] = {}
        self.judged: dict[str, list[str]] = {}
        self.broken: dict[str, list[str]] = {}
        self.reasons: dict[str, str] = {}
        self.crashes: list[str] = []
        self.cut_short = ""
        self._cases: dict[str, CaseResult] = {}
        self._not_broken = set(job.first)
        self._job = job
        self._deadline = time.monotonic() + job.budget

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the cases first that name a requirement of the job; keep all others, or one per function."""
        marks = {item: mark_of(item) for item in items}
        # The servers of a trial have no keytab, so these cases say nothing; tests/kerberos runs them.
        items[:] = [i for i in items if (mark := marks[i]) is None or not _TICKETS & {*mark.needs}]
        first = [i for i in items if (mark := marks[i]) and self._job.first & set(mark.requirements)]
        rest = [item for item in items if item not in set(first)]
        if self._job.one_per_function:
            rest = list({slug_of(item).partition("[")[0]: item for item in reversed(rest)}.values())[::-1]
        if self._job.until_broken:
            first = _each_in_turn(first, self._job.first)
        items[:] = (first + rest)[self._job.part :: self._job.parts]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a module that cannot be imported: without its cases the trial says nothing."""
        if report.failed:
            self.cut_short = f"{report.nodeid}: {str(report.longrepr).splitlines()[-1]}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of a case."""
        result = getattr(report, "swn", None)
        if result is None:
            return
        # A second result of the same case (its tear-down failed) replaces the first.
        case = self._cases[result["id"]] = CaseResult.from_json(result)
        self._not_broken.difference_update(c.requirement for c in case.checks if _counts(case, c))

    def finish(self) -> None:
        """Fill the tables when all cases have ended.

        A rule of the wire that fails in every case counts in the cases about it, or in one.
        """
        for case in without_repeated_invariants([*self._cases.values()], load_catalogue()):
            self.outcomes[case.id] = case.outcome
            self.named[case.id] = list(case.requirements)
            self.judged[case.id] = _judged(case)
            self.broken[case.id] = sorted({c.requirement for c in case.checks if c.passed is False})
            if case.reason:
                observed = f" Observed: {case.observed}" if case.observed else ""
                self.reasons[case.id] = f"{case.reason}{observed}"

    def leaves_out(self, item: pytest.Item) -> bool:
        """Whether a case need not run: time is up, or it can find nothing new and the job says so."""
        if time.monotonic() > self._deadline and not self.cut_short:
            self.cut_short = f"the time for one trial is up ({self._job.budget:g} s)"
            item.session.shouldstop = self.cut_short
        if self.cut_short or not self._job.until_broken:
            return bool(self.cut_short)
        mark = mark_of(item)
        own = self._job.first.intersection(mark.requirements) if mark else frozenset[str]()
        # A case about a related requirement comes last, and may find what the others did not.
        return self._not_broken.isdisjoint(own) if own else not self._not_broken

    def pytest_configure(self, config: pytest.Config) -> None:
        """Come before the plugin of the suite, whose hook runs a case: the last one registered is first."""
        config.pluginmanager.register(_Gate(self))

    @contextlib.contextmanager
    def record_crashes(self) -> Iterator[None]:
        """Record what asyncio logs: exceptions in callbacks of the server, which no client sees."""
        handler = _CrashHandler(self.crashes)
        logger = logging.getLogger("asyncio")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class _Gate:
    """A pytest plugin that leaves out cases."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        return True if self._recorder.leaves_out(item) else None


class _CrashHandler(logging.Handler):
    def __init__(self, crashes: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._crashes = crashes

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception without its traceback."""
        error = record.exc_info[1] if record.exc_info else None
        what = f"{type(error).__name__}: {error}" if error else record.getMessage().partition("\n")[0]
        self._crashes.append(what[:300])
