"""Runs the suite against faulty servers, each in its own process, several at the same time.

Every process is forked from one that has already loaded the suite and everything that it needs, so that the
cases start at once. It does the same as ``swn-torture run --fault NAME``, except that it writes no reports.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import multiprocessing
import os
import time
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from swn_torture.casekit.case import mark_of, slug_of
from swn_torture.faults.library import load_faults
from swn_torture.faults.matrix.subjects import same_section
from swn_torture.spec import load_catalogue
from swn_torture.suite import SUITES, suite_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.context import ForkProcess

    from swn_torture.faults.library import Fault

#: Seconds after which a trial is cut short: if a server answers nothing, every case waits for its deadline.
BUDGET_S = 240.0
#: Seconds after the budget until the process is killed: enough for the current case and its tear-down.
_GRACE_S = 150.0


class Scope(StrEnum):
    """Which cases run on a fault: all that name a requirement that it violates, and those said here."""

    #: Of the cases that name another requirement of the same section, one for each test function.
    NEAR = "near"
    #: Of all other cases, one for each test function.
    FUNCTIONS = "functions"
    #: All other cases.
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of running the suite on one server.

    Attributes:
        fault: name of the fault; ``""`` for the reference without a fault.
        outcomes: the outcome of each case that ran, by case id.
        named: the requirements that each case names.
        judged: the requirements that each case judged; none for a case that only records.
        broken: the requirements that each case found broken.
        crashes: exceptions in the server that nothing caught, each in one line.
        cut_short: why not all cases ran; empty if all did.
        duration_s: the time it took, in seconds.
    """

    fault: str
    outcomes: dict[str, str] = field(default_factory=dict)
    named: dict[str, tuple[str, ...]] = field(default_factory=dict)
    judged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    broken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    crashes: tuple[str, ...] = ()
    cut_short: str = ""
    duration_s: float = 0.0


def run_trials(
    faults: Sequence[Fault],
    *,
    scope: Scope,
    processes: int,
    directory: Path,
    budget: float = BUDGET_S,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Run the suite against the reference and against each fault.

    Args:
        faults: in the order in which they are started.
        scope: which cases run on each fault. On the reference they run with all parameters; if all faults are
            tried, the whole suite runs on it.
        processes: how many trials run at the same time. Cases mostly wait, so several fit on one processor.
        directory: where the result of each trial is kept. A fault that has a result there is not tried again.
        budget: seconds after which a trial is cut short.
        on_trial: called with each trial when it has ended.

    Returns:
        The trial of the reference, then those of the faults in their order.
    """
    _preload()
    context = multiprocessing.get_context("fork")
    near_any = same_section(name for fault in faults for name in (*fault.violates, *fault.near))
    part = scope is Scope.NEAR and len(faults) < len(load_faults())
    tasks: list[tuple[str, tuple[str, ...], frozenset[str] | None]] = [("", (), near_any if part else None)]
    for fault in faults:
        near = same_section((*fault.violates, *fault.near)) if scope is Scope.NEAR else None
        tasks.append((fault.name, fault.violates, near))
    order = [name for name, _, _ in tasks]
    trials = {name: read_trial(path) for name in order if (path := _result_file(directory, name)).is_file()}
    tasks = [task for task in tasks if task[0] not in trials]
    running: dict[int, tuple[ForkProcess, str, Path, float]] = {}
    while tasks or running:
        while tasks and len(running) < processes:
            name, violates, requirements = tasks.pop(0)
            path = _result_file(directory, name)
            # The reference runs the cases of all faults, with all parameters.
            limit = budget if name else 20 * budget
            one_per_function = bool(name) and scope is not Scope.ALL
            arguments = (name, violates, requirements, one_per_function, limit, path)
            process = context.Process(target=_run_trial, args=arguments)
            process.start()
            running[process.sentinel] = process, name, path, time.monotonic() + limit + _GRACE_S
        for sentinel in wait(list(running), timeout=1.0):
            assert isinstance(sentinel, int)
            process, name, path, _ = running.pop(sentinel)
            process.join()
            no_result = Trial(name, cut_short=f"the process ended with exit code {process.exitcode}")
            trials[name] = read_trial(path) if path.is_file() else no_result
            on_trial(trials[name])
        for sentinel, (process, _, _, deadline) in list(running.items()):
            if time.monotonic() > deadline and sentinel in running:
                process.kill()
    return [trials[name] for name in order]


def _result_file(directory: Path, fault: str) -> Path:
    return directory / f"{fault or 'reference'}.json"


def _preload() -> None:
    """Import what every trial needs, once, and stop pytest from loading plugins by itself."""
    import spnego._ntlm  # noqa: F401 - for every authentication
    from impacket.dcerpc.v5 import epm, mgmt, transport  # noqa: F401 - the second client

    load_faults()
    load_catalogue()
    for package in SUITES:
        directory = Path(importlib.import_module(package).__path__[0])
        for path in sorted(directory.rglob("test_*.py")):
            module = ".".join(path.relative_to(directory).with_suffix("").parts)
            importlib.import_module(f"{package}.{module}")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    pytest.main([*suite_arguments(), "-n", "0", "--collect-only"])  # loads the rest of pytest


def read_trial(path: Path) -> Trial:
    """Read the result of a trial from the file that its process has written."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for table in ("named", "judged", "broken"):
        data[table] = {case: tuple(names) for case, names in data[table].items()}
    return Trial(**{**data, "crashes": tuple(data["crashes"])})


# In the process of one trial


def _run_trial(
    fault: str,
    violates: tuple[str, ...],
    requirements: frozenset[str] | None,
    one_per_function: bool,
    budget: float,
    path: Path,
) -> None:
    """Run pytest and write the result to a file; nothing is printed."""
    arguments = [*suite_arguments(), "-n", "0"]
    arguments += [f"--swn-fault={fault}"] if fault else []
    arguments += [f"--swn-requirement={name}" for name in sorted(requirements or ())]
    recorder = _Recorder(violates, budget, one_per_function=one_per_function)
    began = time.monotonic()
    log = path.with_suffix(".log")
    with log.open("w", encoding="utf-8") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        with recorder.record_crashes():
            code = pytest.main(arguments, plugins=[recorder])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} and not recorder.cut_short:
        recorder.cut_short = f"pytest ended with code {int(code)} {log.read_text(encoding='utf-8')[-500:]}"
    result = {
        "fault": fault,
        "outcomes": recorder.outcomes,
        "named": recorder.named,
        "judged": recorder.judged,
        "broken": recorder.broken,
        "crashes": list(dict.fromkeys(recorder.crashes)),
        "cut_short": recorder.cut_short,
        "duration_s": round(time.monotonic() - began, 1),
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(path)
    log.unlink()


class _Recorder:
    """A pytest plugin that records outcomes, runs the likeliest cases first, and stops when time is up."""

    def __init__(self, violates: tuple[str, ...], budget: float, *, one_per_function: bool) -> None:
        self.outcomes: dict[str, str] = {}
        self.named: dict[str, list[str]] = {}
        self.judged: dict[str, list[str]] = {}
        self.broken: dict[str, list[str]] = {}
        self.crashes: list[str] = []
        self.cut_short = ""
        self._violates = set(violates)
        self._one_per_function = one_per_function
        self._deadline = time.monotonic() + budget

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the cases first that name a violated requirement; keep all others, or one per function."""
        marks = {item: mark_of(item) for item in items}
        first = [i for i in items if (mark := marks[i]) and self._violates & set(mark.requirements)]
        rest = [item for item in items if item not in set(first)]
        if self._one_per_function:
            rest = list({slug_of(item).partition("[")[0]: item for item in reversed(rest)}.values())[::-1]
        items[:] = first + rest

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a module that cannot be imported: without its cases the trial says nothing."""
        if report.failed:
            self.cut_short = f"{report.nodeid}: {str(report.longrepr).splitlines()[-1]}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of a case."""
        result = getattr(report, "swn", None)
        if result is None:
            return
        slug = result["id"]
        self.outcomes[slug] = result["outcome"]
        self.named[slug] = list(result["requirements"])
        self.judged[slug] = sorted({c["requirement"] for c in result["checks"] if c["passed"] is not None})
        self.broken[slug] = sorted({c["requirement"] for c in result["checks"] if c["passed"] is False})

    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Stop when time is up."""
        if time.monotonic() > self._deadline and not self.cut_short:
            self.cut_short = "the time for one fault is up"
            item.session.shouldstop = self.cut_short

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
