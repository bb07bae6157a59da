"""Keeps the results of a run as they arrive, and writes the reports when the run ends for any reason."""

from __future__ import annotations

import dataclasses
import datetime as dt
import platform
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import impacket_view
from swn_torture.report.formats import FORMATS
from swn_torture.report.journal import Journal
from swn_torture.report.model import CaseResult, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.report.write import ReportPaths, write_reports
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    import pytest

    from swn_torture.target import Profile


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
        from swn_torture.harness.session import target_profile

        self.problems: list[str] = []
        self._config = config
        self._cases: dict[str, CaseResult] = {}
        self._began = began
        self._run = Run(
            started=dt.datetime.fromtimestamp(began, dt.UTC).isoformat(timespec="seconds"),
            command=shlex.join(["pytest", *config.invocation_params.args]),
            host=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            workers=int(getattr(config.option, "numprocesses", None) or 1),
        )
        self._target = describe_target(target_profile(config))
        self._paths = _paths(config)
        self._journal = self._open_journal()

    def add(self, result: dict[str, Any]) -> None:
        """Keep the result of a case; a second one of the same case (its tear-down failed) replaces it."""
        case = CaseResult.from_json(result)
        self._cases[case.id] = case
        if self._journal is not None:
            try:
                self._journal.add(case)
            except OSError as problem:
                self.problems.append(f"Cannot write to the journal {self._journal.path}: {problem}.")
                self._journal = None

    def finish(self, session: pytest.Session, exitstatus: int) -> Results:
        """Write the reports that the options name.

        Args:
            session: the session that ends.
            exitstatus: pytest's exit status of the session.
        """
        interrupted = bool(exitstatus == 2 or session.shouldstop or session.shouldfail)
        run = dataclasses.replace(
            self._run,
            duration_s=time.time() - self._began,
            complete=not interrupted,
            stopped=str(session.shouldstop or session.shouldfail or "interrupted") if interrupted else "",
        )
        results = Results(run, self._target, tuple(self._cases.values()), load_catalogue())
        if self._journal is not None:
            try:
                self._journal.finish(run)
            except OSError as problem:
                self.problems.append(f"Cannot finish the journal {self._journal.path}: {problem}.")
        self.problems += write_reports(results, self._paths)
        return results

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
        for problem in self.problems:
            terminal.write_line(problem, red=True)

    def _open_journal(self) -> Journal | None:
        if self._paths.directory is None:
            return None
        try:
            self._paths.directory.mkdir(parents=True, exist_ok=True)
            return Journal(self._paths.directory / "journal.jsonl", self._run, self._target, load_catalogue())
        except OSError as problem:
            self.problems.append(f"Cannot write a journal to {self._paths.directory}: {problem.strerror}.")
            return None


def describe_target(profile: Profile) -> TargetInfo:
    """The target as reports describe it, without passwords."""
    from swn_torture.target import make_controller

    if profile.embedded is not None:
        # Its administration port is known once it runs; the capabilities of its controller are known now.
        profile = dataclasses.replace(profile, controller={"kind": "reference", "port": 1})
    controller = make_controller(profile)
    addresses = ", ".join(node.address for node in profile.nodes)
    # The embedded reference has no SMB server. A live target has one, and its shares belong in the report.
    shares = impacket_view.shares(profile) if profile.nodes else ""
    facts = {
        "profile": profile.source and Path(profile.source).name,
        "title": profile.title,
        "nodes": addresses,
        "shares": shares,
        "fault": str((profile.embedded or {}).get("fault", "")),
    }
    return TargetInfo(
        name=profile.name,
        controller=controller.kind,
        capabilities=tuple(sorted(capability.value for capability in controller.capabilities)),
        address=profile.nodes[0].address if profile.nodes else "embedded",
        net_name=profile.net_name,
        facts={label: fact for label, fact in facts.items() if fact},
    )


def _paths(config: pytest.Config) -> ReportPaths:
    directory = config.getoption("--swn-report")
    given = {each.name: config.getoption(f"--swn-{each.name}") for each in FORMATS}
    return ReportPaths(
        directory=Path(directory) if directory else None,
        files={name: Path(path) for name, path in given.items() if path},
    )
