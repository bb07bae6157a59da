"""Keeps the results of a run as they arrive, and writes the reports when the run ends for any reason."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swn_torture.harness.attempts import warnings_of
from swn_torture.harness.description import describe_target, this_machine
from swn_torture.harness.packets import PACKETS
from swn_torture.harness.preflight.findings import results_of
from swn_torture.harness.resume import RESUMED
from swn_torture.harness.session import chosen_baseline, selection
from swn_torture.harness.sharing import LEARNED
from swn_torture.report.formats import FORMATS
from swn_torture.report.journal import Journal
from swn_torture.report.model import LOST, CaseResult, Run
from swn_torture.report.results import Results
from swn_torture.report.write import ReportPaths, write_reports
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from swn_torture.report.model import TargetInfo


class Recorder:
    """The results of one run, in the process that writes the reports.

    Attributes:
        problems: one paragraph for each report that could not be written.
    """

    def __init__(self, config: pytest.Config, began: float) -> None:
        """Start to record a run.

        Args:
            config: pytest's configuration, with the options of the suite.
            began: start of the run, in seconds since the epoch.
        """
        self.problems: list[str] = []
        self._config = config
        resumed = config.stash.get(RESUMED, None)
        self._cases: dict[str, CaseResult] = {case.id: case for case in resumed.cases} if resumed else {}
        self._packets: dict[str, Path] = {}
        self._began = began
        self._started: dict[str, None] = {}
        self._baseline = chosen_baseline(config)
        self._run = Run(
            started=dt.datetime.fromtimestamp(began, dt.UTC).isoformat(timespec="seconds"),
            command=shlex.join(["pytest", *config.invocation_params.args]),
            host=this_machine(),
            workers=int(getattr(config.option, "numprocesses", None) or 1),
            selection=selection(config),
            resumes=resumed.started if resumed else "",
        )
        self._target = self._describe_target()
        self._paths = _paths(config)
        self._journal = self._open_journal()
        self._add_preflight()

    def add(self, result: dict[str, Any]) -> None:
        """Keep the result of a case; a second one of the same case (its tear-down failed) replaces it."""
        packets = result.pop(PACKETS, "")
        if packets:
            self._packets[result["id"]] = Path(packets)
        self._keep(CaseResult.from_json(result))

    def start(self, case_id: str) -> None:
        """Remember that a case was started."""
        self._started[case_id] = None
        self._write("write to", lambda journal: journal.start(case_id))

    def end(self, case_id: str) -> None:
        """Remember that a case ended, with a result or without one."""
        self._started.pop(case_id, None)

    def _keep(self, case: CaseResult) -> None:
        self._cases[case.id] = case
        self._write("write to", lambda journal: journal.add(case))

    def _write(self, what: str, action: Callable[[Journal], None]) -> None:
        """Write to the journal, if there is one; the first problem ends it."""
        if self._journal is None:
            return
        try:
            action(self._journal)
        except OSError as problem:
            self.problems.append(f"Cannot {what} the journal {self._journal.path}: {problem}.")
            self._journal = None

    def _add_preflight(self) -> None:
        """Keep what the preflight found, once; with plain pytest it has not yet been made at the start."""
        from swn_torture.harness.session import target_name

        learned = self._config.stash.get(LEARNED, None)
        for result in results_of(learned.findings if learned else (), target_name(self._config)):
            if result.id not in self._cases:
                self._keep(result)

    def finish(self, session: pytest.Session, exitstatus: int) -> Results:
        """Write the reports that the options name.

        Args:
            session: the session that ends.
            exitstatus: pytest's exit status of the session.
        """
        interrupted = bool(exitstatus == 2 or session.shouldstop or session.shouldfail)
        unfinished = tuple(case for case in self._started if case not in self._cases)
        lost = next((c.reason for c in self._cases.values() if c.reason.startswith(LOST)), "")
        stopped = f"cases that did not end: {', '.join(unfinished)}" if unfinished else lost
        run = dataclasses.replace(
            self._run,
            duration_s=time.time() - self._began,
            complete=not interrupted and not stopped,
            stopped=_sentence(_why_stopped(session) if interrupted else stopped),
            unfinished=unfinished,
        )
        # With plain pytest the target shows itself to the first case only.
        self._target = self._describe_target()
        self._add_preflight()
        warnings = (*self._target.warnings, *warnings_of(self._cases.values()))
        target = dataclasses.replace(self._target, warnings=warnings)
        results = self._compared(Results.of_run(run, target, self._cases.values(), load_catalogue()))
        self._write("finish", lambda journal: journal.finish(run))
        self.problems += write_reports(results, self._paths, self._packets)
        return results

    def _compared(self, results: Results) -> Results:
        """The results with their comparison with the baseline that the options name."""
        if self._baseline is None:
            return results
        from swn_torture.baseline.compare import compare

        comparison = compare(
            results,
            self._baseline,
            allow_fixed=self._config.getoption("--swn-allow-fixed"),
            strict=self._config.getoption("--swn-strict"),
            max_age=self._config.getoption("--swn-max-age"),
        )
        return results.compared(comparison)

    @property
    def json_path(self) -> str:
        """Path of the JSON results; empty when there are none."""
        directory = self._paths.directory
        path = self._paths.files.get("json") or (directory / "results.json" if directory else None)
        return str(path or "")

    def summarise(self, terminal: pytest.TerminalReporter) -> None:
        """Print the verdict on pytest's terminal."""
        from swn_torture.harness.session import RESULTS
        from swn_torture.report.text import summary_lines

        results = self._config.stash.get(RESULTS, None)
        if results is None:
            return
        terminal.section("MS-SWN conformance")
        for line in summary_lines(results):
            terminal.write_line(line)
        if results.comparison is not None:
            from swn_torture.baseline.words import plain_lines

            terminal.section(f"baseline {results.comparison.baseline}")
            for line in plain_lines(results.comparison, results=self.json_path):
                terminal.write_line(line)
        for problem in self.problems:
            terminal.write_line(problem, red=True)

    def _describe_target(self) -> TargetInfo:
        from swn_torture.harness.session import target_profile

        learned = self._config.stash.get(LEARNED, None)
        return describe_target(target_profile(self._config), learned.facts if learned else None)

    def _open_journal(self) -> Journal | None:
        if self._paths.directory is None:
            return None
        try:
            self._paths.directory.mkdir(parents=True, exist_ok=True)
            path = self._paths.directory / "journal.jsonl"
            return Journal(path, self._run, self._target, load_catalogue(), self._cases.values())
        except OSError as problem:
            self.problems.append(f"Cannot write a journal to {self._paths.directory}: {problem.strerror}.")
            return None


def _why_stopped(session: pytest.Session) -> str:
    # The reason of a worker of pytest-xdist arrives at that plugin only.
    of_worker = getattr(session.config.pluginmanager.getplugin("dsession"), "shouldstop", False)
    return str(session.shouldstop or session.shouldfail or of_worker or "it was interrupted")


def _sentence(text: str) -> str:
    """The reason of pytest or of a case as a sentence; empty stays empty."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def _paths(config: pytest.Config) -> ReportPaths:
    directory = config.getoption("--swn-report")
    given = {each.name: config.getoption(f"--swn-{each.name}") for each in FORMATS}
    return ReportPaths(
        directory=Path(directory) if directory else None,
        files={name: Path(path) for name, path in given.items() if path},
    )
