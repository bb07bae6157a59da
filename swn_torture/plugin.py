"""The pytest plugin: options, fixtures, the run of each case, and the hooks that collect the results.

pytest loads it in every run of the environment where it is installed. It therefore imports only the table of
report formats until a case (a test with the ``swn`` mark) is collected.
"""

from __future__ import annotations

import gc
import inspect
import os
import sys
import time
from pathlib import Path
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
_HAS_CASES: pytest.StashKey[bool] = pytest.StashKey()
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
        "--swn-unusual",
        metavar="NAME",
        default=None,
        help="start the embedded cluster as this unusual server (swn-torture unusual lists them)",
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
        "--swn-up-to",
        metavar="RUNG",
        default=None,
        help="run only cases on this rung of the ladder and on lower ones: register, async-notify, ...",
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
    group.addoption(
        "--swn-baseline",
        metavar="NAME|FILE",
        default=None,
        help="compare with this baseline (docs/baselines.md); the exit status is that of the comparison",
    )
    group.addoption(
        "--swn-allow-fixed",
        action="store_true",
        help="with --swn-baseline: what is listed and no longer seen does not fail",
    )
    group.addoption(
        "--swn-max-age",
        metavar="DAYS",
        type=int,
        default=None,
        help="with --swn-baseline: report flaky entries that are older",
    )
    parser.addini("swn_target", "target profile for the cases of swn-torture", default="reference")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks, for configurations with strict markers, and collect results in the main process."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(CaseMark): a conformance case for a witness server; the decorator @case of "
        f"swn_torture.casekit sets it, and `-m {_MARK}` runs all cases.",
    )
    config.addinivalue_line(
        "markers",
        "swn_needs(NAME, ...): what one set of parameters of a case needs of the target; where it is "
        "missing, the case is not tested.",
    )
    if not hasattr(config.option, "tbstyle"):
        # Nothing shows a traceback. To make one of a finding, pytest parses each module in it.
        config.option.tbstyle = "no"
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Sink(config), "swn_torture_results")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which target is judged, if the run is one of the suite; a run of anything else has no line."""
    named = config.getoption("--swn-target")
    given = [
        f"{name.replace('-', ' ')} {config.getoption(f'--swn-{name}')}"
        for name in ("fault", "unusual", "baseline", "up-to")
        if config.getoption(f"--swn-{name}")
    ]
    package = os.path.dirname(__file__)  # noqa: PTH120 - as below
    ours = any(each.startswith("swn_torture") or package in os.path.abspath(each) for each in config.args)  # noqa: PTH100
    if not (named or given or ours):
        return []
    from swn_torture import __version__

    target = named or config.getini("swn_target")
    return [f"swn-torture {__version__}: " + ", ".join([f"target {target}", *given])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a case in each transfer syntax its mark asks for."""
    mark = metafunc.definition.get_closest_marker(_MARK)
    if mark is not None and mark.args[0].syntaxes == "both":
        metafunc.fixturenames.append("syntax")
        metafunc.parametrize("syntax", ["ndr32", "ndr64"], indirect=True)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the modules of the suite that have none of the cases of --swn-case."""
    if not config.getoption("--swn-case"):
        return None
    from swn_torture.harness.narrowing import is_left_out

    return is_left_out(config, collection_path) or None


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


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what the process has loaded out of each later search for garbage: it is none."""
    if any(item.get_closest_marker(_MARK) for item in session.items):
        session.config.stash[_HAS_CASES] = True
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the results of cases out of pytest's last searches for garbage: it took a second of a run."""
    if config.stash.get(_HAS_CASES, False):
        gc.freeze()


@pytest.fixture(scope="session")
def swn_live_target(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveTarget]:
    """The running target of this test process."""
    from swn_torture.harness.case_ends import CaseError
    from swn_torture.harness.interrupts import interrupt_at_sigterm
    from swn_torture.harness.live_target import LiveTarget
    from swn_torture.harness.session import target_profile
    from swn_torture.harness.sharing import learned_target
    from swn_torture.harness.variants import variants_to_start

    if hasattr(pytestconfig, "workerinput"):
        interrupt_at_sigterm(request.session)
    profile = target_profile(pytestconfig)
    # The directory of a worker is in that of the session.
    learned = learned_target(pytestconfig, profile, tmp_path_factory.getbasetemp().parent)
    if learned.trouble:
        raise CaseError(learned.trouble)
    with LiveTarget(profile, learned) as target:
        target.start_variants(variants_to_start(pytestconfig, request.session.items))
        if profile.controller.get("kind") == "manual":
            from swn_torture.harness.persons.begin import begin

            begin(target, request.session.items)
        yield target


@pytest.fixture
def syntax(request: pytest.FixtureRequest) -> str:
    """The transfer syntax of the case: ``ndr32`` or ``ndr64``."""
    return str(getattr(request, "param", "ndr32"))


@pytest.fixture
def swn_run(request: pytest.FixtureRequest, swn_live_target: LiveTarget) -> Iterator[CaseRun]:
    """The running case: its event loop, its connections, its lock on the target, its checks."""
    from swn_torture.harness.attempts import ATTEMPTS
    from swn_torture.harness.case_run import CaseRun
    from swn_torture.harness.persons import GROUP

    callspec = getattr(request.node, "callspec", None)
    syntax = callspec.params.get("syntax", "ndr32") if callspec else "ndr32"
    again = bool(request.node.stash.get(ATTEMPTS, ()))
    group = None if again else request.node.stash.get(GROUP, None)
    if group is not None:
        with group.member(request.node) as member:
            request.node.stash[_RUN] = member.run
            yield member.run
        return
    with CaseRun(request.node, swn_live_target, syntax, is_repeated=again) as run:
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
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a case, and run it again if its result says nothing."""
    if not item.get_closest_marker(_MARK):
        return None
    from swn_torture.harness.attempts import run_until_it_tells

    run_until_it_tells(item, nextitem, _RUN)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run a case (an async function) on the event loop of its fixtures."""
    run = pyfuncitem.stash.get(_RUN, None)
    if run is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    if run.ended:  # in a group, before its turn
        if run.ended_by is not None:
            raise run.ended_by
        return True
    run.perform(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Attach the result of a case to the report that decides it; pytest-xdist passes it on."""
    outcome = yield
    if not item.get_closest_marker(_MARK):
        return
    from swn_torture.harness.case_result import attach_result

    if call.when == "setup" and item.config.getoption("allure_report_dir", None):
        from swn_torture.harness.allure_results import label

        label(item)
    run = item.stash.get(_RUN, None)
    attach_result(item, call, outcome.get_result(), run)
    if call.when == "teardown" and run is not None:
        run.packets = None  # pytest keeps the item, and these may be 64 MiB


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Show the outcome of a case instead of pytest's status."""
    result = getattr(report, "swn", None)
    if result is None:
        return None
    outcome = result["outcome"]
    letter = {"passed": ".", "failed": "F", "deviation": "d", "not-tested": "-", "error": "E"}[outcome]
    return outcome, letter, outcome.upper()


class _Sink:
    """Passes the results of cases to a recorder, which is made when the first case starts."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._recorder: Recorder | None = None
        self._began = time.time()
        self._usage_error: str | None = None
        self._others_failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Check the options before pytest-xdist starts workers."""
        checked = ("target", "fault", "unusual", "requirement", "baseline", "up-to")
        if any(self._config.getoption(f"--swn-{name}") for name in checked):
            from swn_torture.harness.selection import check_options

            check_options(self._config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", {})
        self._usage_error = output.get(_USAGE_ERROR, self._usage_error)
        if self._recorder is not None:
            from swn_torture.harness.sharing import LEARNED, received

            learned = received(output)
            if learned is not None and LEARNED not in self._config.stash:
                self._config.stash[LEARNED] = learned

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        case_id = self._case_of(nodeid)
        if case_id:
            self._results().start(case_id)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        case_id = self._case_of(nodeid)
        if case_id:
            self._results().end(case_id)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result = getattr(report, "swn", None)
        if result is None:
            # A case without a result: its process ended in the middle of it, and it is not finished.
            self._others_failed |= report.failed and not self._case_of(report.nodeid)
            return
        self._results().add(result)

    def _case_of(self, node_id: str) -> str:
        """The id of the case of the suite that a node id names; empty for any other test."""
        path, _, name = node_id.partition("::")
        module = os.path.normpath(self._config.rootpath / path)
        if not module.startswith(os.path.join(os.path.dirname(__file__), "")):  # noqa: PTH118, PTH120 - often called
            return ""
        from swn_torture.casekit.case import slug_of_path

        return slug_of_path(module, name)

    def _results(self) -> Recorder:
        if self._recorder is None:
            from swn_torture.harness.recorder import Recorder

            self._recorder = Recorder(self._config, self._began)
        return self._recorder

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self._config.getoption("--swn-target"):
            from swn_torture.harness.resume import RESUMED

            # No case has ended yet: the report says that the run is not complete, or has what it resumed.
            if exitstatus == pytest.ExitCode.INTERRUPTED or RESUMED in self._config.stash:
                self._results()
        if self._recorder is not None:
            from swn_torture.harness.session import JSON_PATH, PROBLEMS, RESULTS

            results = self._recorder.finish(session, exitstatus)
            self._config.stash[RESULTS] = results
            self._config.stash[PROBLEMS] = self._recorder.problems
            self._config.stash[JSON_PATH] = self._recorder.json_path
            directory = self._config.getoption("allure_report_dir", None)
            if directory:
                from swn_torture.harness.allure_results import finish

                finish(Path(directory), results)
            if results.comparison is not None and not self._others_failed:
                # A target that behaves as its baseline says is a success, although cases fail.
                session.exitstatus = results.comparison.exit_code
        if self._usage_error is not None:
            sys.stderr.write(f"ERROR: {self._usage_error}\n")
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if self._recorder is not None:
            from swn_torture.harness.session import target_profile
            from swn_torture.harness.variants import wait_until_removed

            wait_until_removed(target_profile(self._config))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._recorder is not None:
            self._recorder.summarise(terminalreporter)
