"""Running the suite against faulty servers, each in a process of its own, several side by side.

Every process is forked from one that has the suite and all it needs loaded already, so that it begins to test
at once. What it does is what ``swn-torture run --fault NAME`` does, but for the reports.
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
from swn_torture.faults.matrix.subjects import neighbours
from swn_torture.spec import load_catalogue
from swn_torture.suite import SUITES, suite_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.context import ForkProcess

    from swn_torture.faults.library import Fault

#: Seconds after which a hunt is cut short: a server that answers nothing makes every case wait.
BUDGET_S = 240.0
#: Seconds that a hunt may take beyond that until its process is ended: one case and its tear-down.
_GRACE_S = 150.0


class Scope(StrEnum):
    """Which cases are run against a fault: all that name what it violates, and these."""

    #: Of the cases that name a neighbour of what it violates, one for each test function.
    NEAR = "near"
    #: Of all others, one for each test function.
    FUNCTIONS = "functions"
    #: All others.
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of the suite on one server.

    Attributes:
        fault: name of its fault; ``""`` for the reference as it is.
        outcomes: of the cases that ran, by id.
        named: the requirements that each of those names.
        judged: the requirements that each held something against; none for a case that only records.
        broken: the requirements that each found broken.
        crashes: exceptions that nobody in the server caught, with the first line of each.
        cut: why not all cases could be run, if so.
        duration_s: seconds.
    """

    fault: str
    outcomes: dict[str, str] = field(default_factory=dict)
    named: dict[str, tuple[str, ...]] = field(default_factory=dict)
    judged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    broken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    crashes: tuple[str, ...] = ()
    cut: str = ""
    duration_s: float = 0.0


def run_trials(
    faults: Sequence[Fault],
    *,
    scope: Scope,
    processes: int,
    directory: Path,
    budget: float = BUDGET_S,
    done: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Run the suite against the reference and against each fault.

    Args:
        faults: in the order in which they are started.
        scope: which cases are run against each. The reference has to pass all of them, with all parameters;
            where every fault is tried, the whole suite.
        processes: how many run side by side. Cases mostly wait, so several fit on one processor.
        directory: where what came of each is kept. What is there already is not hunted again.
        budget: seconds after which one is cut short.
        done: hears of each when it is over.

    Returns:
        The reference's, then those of the faults in their order.
    """
    _preload()
    context = multiprocessing.get_context("fork")
    concerned = neighbours(name for fault in faults for name in (*fault.violates, *fault.near))
    few = scope is Scope.NEAR and len(faults) < len(load_faults())
    tasks: list[tuple[str, tuple[str, ...], frozenset[str] | None]] = [("", (), concerned if few else None)]
    for fault in faults:
        where = neighbours((*fault.violates, *fault.near)) if scope is Scope.NEAR else None
        tasks.append((fault.name, fault.violates, where))
    order = [name for name, _, _ in tasks]
    found = {name: read_trial(path) for name in order if (path := _kept(directory, name)).is_file()}
    tasks = [task for task in tasks if task[0] not in found]
    running: dict[int, tuple[ForkProcess, str, Path, float]] = {}
    while tasks or running:
        while tasks and len(running) < processes:
            name, violates, requirements = tasks.pop(0)
            path = _kept(directory, name)
            # The reference runs every case there is for anybody, which no fault has to.
            limit = budget if name else 20 * budget
            thin = bool(name) and scope is not Scope.ALL
            arguments = (name, violates, requirements, thin, limit, path)
            process = context.Process(target=_run_trial, args=arguments)
            process.start()
            running[process.sentinel] = process, name, path, time.monotonic() + limit + _GRACE_S
        for sentinel in wait(list(running), timeout=1.0):
            assert isinstance(sentinel, int)
            process, name, path, _ = running.pop(sentinel)
            process.join()
            dead = Trial(name, cut=f"the process ended with {process.exitcode}")
            found[name] = read_trial(path) if path.is_file() else dead
            done(found[name])
        for sentinel, (process, _, _, deadline) in list(running.items()):
            if time.monotonic() > deadline and sentinel in running:
                process.kill()
    return [found[name] for name in order]


def _kept(directory: Path, fault: str) -> Path:
    return directory / f"{fault or 'reference'}.json"


def _preload() -> None:
    """Import what every hunt needs, once, and see to it that pytest loads no plugin by itself."""
    import spnego._ntlm  # noqa: F401 - every logon
    from impacket.dcerpc.v5 import epm, mgmt, transport  # noqa: F401 - the second opinion

    load_faults()
    load_catalogue()
    for package in SUITES:
        directory = Path(importlib.import_module(package).__path__[0])
        for path in sorted(directory.rglob("test_*.py")):
            module = ".".join(path.relative_to(directory).with_suffix("").parts)
            importlib.import_module(f"{package}.{module}")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    pytest.main([*suite_arguments(), "-n", "0", "--collect-only"])  # and with it all of pytest


def read_trial(path: Path) -> Trial:
    """What came of one hunt, as its process has left it."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for table in ("named", "judged", "broken"):
        data[table] = {case: tuple(names) for case, names in data[table].items()}
    return Trial(**{**data, "crashes": tuple(data["crashes"])})


# In the process of one hunt


def _run_trial(
    fault: str,
    violates: tuple[str, ...],
    requirements: frozenset[str] | None,
    thin: bool,
    budget: float,
    path: Path,
) -> None:
    """Run pytest and leave what it found in a file; nothing is printed."""
    arguments = [*suite_arguments(), "-n", "0"]
    arguments += [f"--swn-fault={fault}"] if fault else []
    arguments += [f"--swn-requirement={name}" for name in sorted(requirements or ())]
    watch = _Watch(violates, budget, thin=thin)
    began = time.monotonic()
    log = path.with_suffix(".log")
    with log.open("w", encoding="utf-8") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        with watch.for_crashes():
            code = pytest.main(arguments, plugins=[watch])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} and not watch.cut:
        watch.cut = f"pytest ended with code {int(code)} {log.read_text(encoding='utf-8')[-500:]}"
    result = {
        "fault": fault,
        "outcomes": watch.outcomes,
        "named": watch.named,
        "judged": watch.judged,
        "broken": watch.broken,
        "crashes": list(dict.fromkeys(watch.crashes)),
        "cut": watch.cut,
        "duration_s": round(time.monotonic() - began, 1),
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(path)
    log.unlink()


class _Watch:
    """A pytest plugin that notes results, runs the likeliest cases first, and ends what takes too long."""

    def __init__(self, violates: tuple[str, ...], budget: float, *, thin: bool) -> None:
        self.outcomes: dict[str, str] = {}
        self.named: dict[str, list[str]] = {}
        self.judged: dict[str, list[str]] = {}
        self.broken: dict[str, list[str]] = {}
        self.crashes: list[str] = []
        self.cut = ""
        self._violates = set(violates)
        self._thin = thin
        self._deadline = time.monotonic() + budget

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the cases first that name what is violated; of the others one of each function may do."""
        marks = {item: mark_of(item) for item in items}
        near = [i for i in items if (mark := marks[i]) and self._violates & set(mark.requirements)]
        rest = [item for item in items if item not in set(near)]
        if self._thin:
            rest = list({slug_of(item).partition("[")[0]: item for item in reversed(rest)}.values())[::-1]
        items[:] = near + rest

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be imported is no verdict on anything."""
        if report.failed:
            self.cut = f"{report.nodeid}: {str(report.longrepr).splitlines()[-1]}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the result of a case."""
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
        if time.monotonic() > self._deadline and not self.cut:
            self.cut = "it took too long"
            item.session.shouldstop = self.cut

    @contextlib.contextmanager
    def for_crashes(self) -> Iterator[None]:
        """Note what asyncio logs: exceptions in callbacks of the server, which nobody else would see."""
        handler = _Handler(self.crashes)
        logger = logging.getLogger("asyncio")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, crashes: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._crashes = crashes

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep what was raised, without the traceback."""
        error = record.exc_info[1] if record.exc_info else None
        what = f"{type(error).__name__}: {error}" if error else record.getMessage().partition("\n")[0]
        self._crashes.append(what[:300])
