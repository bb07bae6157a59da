"""The pytest plugin: options, fixtures, the run of each case, and the hooks that collect the results.

pytest loads it in every run of the environment where it is installed. It therefore imports only the table of
report formats until a case (a test with the ``swn`` mark) is collected.
"""

from __future__ import annotations

import inspect
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.report.formats import DIRECTORY, FORMATS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller
    from swn_torture.harness.case_run import CaseRun
    from swn_torture.harness.live_target import LiveTarget
    from swn_torture.harness.recorder import Recorder

_RUN: pytest.StashKey[CaseRun] = pytest.StashKey()
_MARK = "swn"

#: Key under which a worker of pytest-xdist sends a usage error to the main process.
_USAGE_ERROR = "swn_usage_error"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of the suite, and the ini key ``swn_target``."""
    group = parser.getgroup("swn-torture", "conformance of a witness server (MS-SWN)")
    group.addoption(
        "--swn-target",
        metavar="PROFILE",
        default=None,
        help="target profile: the name of a shipped one or a .toml file (default: reference)",
    )
    for each in FORMATS:
        group.addoption(f"--swn-{each.name}", metavar="FILE", default=None, help=f"write the {each.what}")
    group.addoption(
        "--swn-report",
        metavar="DIR",
        default=None,
        help=f"write {DIRECTORY} to this directory",
    )
    group.addoption(
        "--swn-fault",
        metavar="NAME",
        default=None,
        help="start the embedded cluster with this fault (swn-torture faults lists them)",
    )
    group.addoption(
        "--swn-requirement",
        metavar="ID",
        action="append",
        default=[],
        help="run only cases that check this requirement",
    )
    group.addoption(
        "--swn-case", metavar="ID", action="append", default=[], help="run only the case with this id"
    )
    group.addoption(
        "--swn-captures",
        choices=["findings", "all"],
        default="findings",
        help="keep the octets of cases with findings only, or of all cases",
    )
    group.addoption(
        "--swn-strict", action="store_true", help="also fail a case whose target does not follow a SHOULD"
    )
    parser.addini("swn_target", "target profile for the cases of swn-torture", default="reference")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks, for configurations with strict markers, and collect results in the main process."""
    config.addinivalue_line("markers", f"{_MARK}(CaseMark): a conformance case for a witness server")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Sink(config), "swn_torture_results")
    config.addinivalue_line(
        "markers", "lab: needs the Samba lab (root, network namespaces, a Debian base tree)"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a case in each transfer syntax its mark asks for."""
    mark = metafunc.definition.get_closest_marker(_MARK)
    if mark is not None and mark.args[0].syntaxes == "both":
        metafunc.fixturenames.append("syntax")
        metafunc.parametrize("syntax", ["ndr32", "ndr64"], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Make the ids of cases keywords for ``-k``, keep the selected cases, start the longest first."""
    cases = [item for item in items if item.get_closest_marker(_MARK)]
    if not cases:
        return
    from swn_torture.harness.selection import select

    try:
        select(config, items, cases)
    except pytest.UsageError as problem:
        output = getattr(config, "workeroutput", None)
        if output is None:
            raise
        # pytest-xdist turns an exception in a worker into an internal error, so the main process reports it.
        output[_USAGE_ERROR] = str(problem)
        items.clear()


@pytest.fixture(scope="session")
def swn_live_target(pytestconfig: pytest.Config) -> Iterator[LiveTarget]:
    """The running target of this test process."""
    from swn_torture.harness.live_target import LiveTarget
    from swn_torture.harness.session import target_profile

    with LiveTarget(target_profile(pytestconfig)) as target:
        yield target


@pytest.fixture
def syntax(request: pytest.FixtureRequest) -> str:
    """The transfer syntax of the case: ``ndr32`` or ``ndr64``."""
    return str(getattr(request, "param", "ndr32"))


@pytest.fixture
def swn_run(request: pytest.FixtureRequest, swn_live_target: LiveTarget) -> Iterator[CaseRun]:
    """The running case: its event loop, its connections, its lock on the target, its checks."""
    from swn_torture.harness.case_run import CaseRun

    callspec = getattr(request.node, "callspec", None)
    syntax = callspec.params.get("syntax", "ndr32") if callspec else "ndr32"
    if request.config.getoption("allure_report_dir", None):
        from swn_torture.harness.allure_labels import label

        label(request.node)
    with CaseRun(request.node, swn_live_target, syntax) as run:
        request.node.stash[_RUN] = run
        yield run


@pytest.fixture
def spec(swn_run: CaseRun) -> Spec:
    """Checks observations against requirements: ``spec("ID").allows(...)``."""
    return swn_run.spec


@pytest.fixture
def witness(swn_run: CaseRun) -> Witness:
    """The witness service of the target."""
    return swn_run.witness


@pytest.fixture
def cluster(swn_run: CaseRun) -> Controller:
    """The controller that changes the cluster; after a case that disturbs the cluster, it restores it."""
    return swn_run.cluster


@pytest.fixture
def variant(swn_run: CaseRun) -> Callable[[str], Awaitable[Witness]]:
    """An async function that returns the target of ``[variants.NAME]``; it takes the name."""
    return swn_run.variant


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run a case (an async function) on the event loop of its fixtures."""
    run = pyfuncitem.stash.get(_RUN, None)
    if run is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    try:
        run.perform(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    finally:
        if pyfuncitem.config.getoption("allure_report_dir", None):
            from swn_torture.harness.allure_labels import attach_findings

            attach_findings(run.spec)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Attach the result of a case to the report that decides it; pytest-xdist passes it on."""
    outcome = yield
    if not item.get_closest_marker(_MARK):
        return
    from swn_torture.harness.case_result import attach_result

    attach_result(item, call, outcome.get_result(), item.stash.get(_RUN, None))


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Show the outcome of a case instead of pytest's status."""
    result = getattr(report, "swn", None)
    if result is None:
        return None
    outcome = result["outcome"]
    letter = {"passed": ".", "failed": "F", "deviation": "d", "not-tested": "-", "error": "E"}[outcome]
    return outcome, letter, outcome.upper()


class _Sink:
    """Passes the results of cases to a recorder, which is made when the first result arrives."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._recorder: Recorder | None = None
        self._began = time.time()
        self._usage_error: str | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Check the options before pytest-xdist starts workers."""
        if any(self._config.getoption(f"--swn-{name}") for name in ("target", "fault", "requirement")):
            from swn_torture.harness.selection import check_options

            check_options(self._config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._usage_error = getattr(node, "workeroutput", {}).get(_USAGE_ERROR, self._usage_error)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result = getattr(report, "swn", None)
        if result is None:
            return
        if self._recorder is None:
            from swn_torture.harness.recorder import Recorder

            self._recorder = Recorder(self._config, self._began)
        self._recorder.add(result)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self._recorder is not None:
            from swn_torture.harness.session import PROBLEMS, RESULTS

            self._config.stash[RESULTS] = self._recorder.finish(session, exitstatus)
            self._config.stash[PROBLEMS] = self._recorder.problems
        if self._usage_error is not None:
            sys.stderr.write(f"ERROR: {self._usage_error}\n")
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._recorder is not None:
            self._recorder.summarise(terminalreporter)
