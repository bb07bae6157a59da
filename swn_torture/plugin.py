"""The pytest plugin: options, fixtures, the running of cases, and the hooks that turn reports into results.

It loads in every pytest run of the environment it is installed in, so it imports next to nothing until a
case of the suite (a test that carries the ``swn`` mark) is collected.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

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

_OPTIONS: tuple[tuple[str, str, str], ...] = (
    ("--swn-target", "PROFILE", "target profile: a shipped name or a .toml file (default: reference)"),
    ("--swn-json", "FILE", "write the results as JSON"),
    ("--swn-junit", "FILE", "write the results as JUnit XML"),
    ("--swn-html", "FILE", "write the results as one HTML page"),
    ("--swn-report", "DIR", "write index.html, results.json, junit.xml and captures into this directory"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of the suite, each with an ini key and an environment variable of the same name."""
    group = parser.getgroup("swn-torture", "conformance of a witness server (MS-SWN)")
    for option, metavar, text in _OPTIONS:
        group.addoption(option, metavar=metavar, default=None, help=text)
    group.addoption(
        "--swn-fault",
        metavar="NAME",
        default=None,
        help="have the embedded cluster of the target misbehave (swn-torture faults lists how)",
    )
    group.addoption(
        "--swn-requirement",
        metavar="ID",
        action="append",
        default=[],
        help="run only cases for this requirement",
    )
    group.addoption(
        "--swn-case", metavar="ID", action="append", default=[], help="run only the case of this id"
    )
    group.addoption(
        "--swn-captures",
        choices=["findings", "all"],
        default="findings",
        help="keep the octets of which cases",
    )
    group.addoption(
        "--swn-strict", action="store_true", help="a SHOULD that is not followed fails its case too"
    )
    parser.addini("swn_target", "target profile for the cases of swn-torture", default="reference")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, whatever strictness the user's own configuration has."""
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
    """Give cases their slugs as keywords, keep those asked for, start the longest first."""
    cases = [item for item in items if item.get_closest_marker(_MARK)]
    if not cases:
        return
    from swn_torture.harness.selection import select

    select(config, items, cases)


@pytest.fixture(scope="session")
def swn_live_target(pytestconfig: pytest.Config) -> Iterator[LiveTarget]:
    """The target of this test process, running."""
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
    """The case being run: its law, its connections, its event loop, its hold on the target."""
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
    """What the case holds its observations against."""
    return swn_run.spec


@pytest.fixture
def witness(swn_run: CaseRun) -> Witness:
    """The witness service of the target."""
    return swn_run.witness


@pytest.fixture
def cluster(swn_run: CaseRun) -> Controller:
    """The controller that moves the cluster; what the case disturbed with it is put right afterwards."""
    return swn_run.cluster


@pytest.fixture
def variant(swn_run: CaseRun) -> Callable[[str], Awaitable[Witness]]:
    """The same implementation set up otherwise, by the name its profile gives the set-up; to be awaited."""
    return swn_run.variant


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run a case: an async function, on the event loop its fixtures use."""
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
    """Attach the result of a case to the report that decides it; it travels with it from a worker."""
    outcome = yield
    if not item.get_closest_marker(_MARK):
        return
    from swn_torture.harness.case_result import attach_result

    attach_result(item, call, outcome.get_result(), item.stash.get(_RUN, None))


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Speak of cases in the suite's own words."""
    result = getattr(report, "swn", None)
    if result is None:
        return None
    outcome = result["outcome"]
    letter = {"passed": ".", "failed": "F", "deviation": "d", "not-tested": "-", "error": "E"}[outcome]
    return outcome, letter, outcome.upper()


class _Sink:
    """Hands the results of cases to a recorder, which is made when the first one arrives."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._recorder: Recorder | None = None
        self._began = time.time()

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

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._recorder is not None:
            self._recorder.summarise(terminalreporter)
