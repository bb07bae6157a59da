"""What ``swn-torture run`` shows while it runs: a live line on a terminal, one line for each case in a log.

It is a pytest plugin and replaces pytest's terminal reporter, which shows tests and not verdicts.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click
import pytest

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, VIOLATIONS
from swn_torture.commands.terminal import echo
from swn_torture.commands.waiting import Waiting, lasts_of
from swn_torture.visible import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from swn_torture.report.comparison import Comparison
    from swn_torture.report.results import Results

_STYLE = {
    "passed": "green",
    "failed": "red",
    "deviation": "yellow",
    "not-tested": "bright_black",
    "error": "magenta",
}


class Progress:
    """Shows the progress of a run, and its verdict at the end.

    Args:
        quiet: show the verdict only.
        plain: show one line for each case, also on a terminal.
        embedded: the target is an embedded cluster. Its clock can run faster, so that nothing is said about
            how long a case takes yet.
    """

    def __init__(self, *, quiet: bool = False, plain: bool = False, embedded: bool = False) -> None:
        self._quiet = quiet
        self._plain = plain
        self._results: Results | None = None
        self._problems: list[str] = []
        self._json_path = ""
        self._collection: list[str] = []
        self._total = 0
        self._done: dict[str, str] = {}
        self._began = time.monotonic()
        self._live: Live | None = None
        self._last = ""
        self._waiting = Waiting((lambda _: 0.0) if embedded else lasts_of)

    # -- hooks of pytest

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Get the number of cases, without pytest-xdist."""
        self._total = len(session.items)
        self._start()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:  # noqa: ARG002
        """Get the number of cases, with pytest-xdist."""
        self._total = len(ids)
        self._start()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the report of a module of the suite that cannot be imported."""
        if report.failed:
            self._collection.append(f"{report.nodeid}: {report.longrepr}")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A case starts, in this process or in another one."""
        self._waiting.start(nodeid, time.monotonic())

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A case has ended."""
        self._waiting.end(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show the case that just ended."""
        result = getattr(report, "swn", None)
        if result is None:
            return
        self._done[result["id"]] = result["outcome"]
        if not self._quiet:
            self._show(result)

    def pytest_internalerror(self, excrepr: object) -> None:
        """Keep the text of an internal error for the end."""
        self._collection.append(str(excrepr))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Take the results before pytest discards its configuration."""
        from swn_torture.harness.session import JSON_PATH, PROBLEMS, RESULTS

        self._results = session.config.stash.get(RESULTS, None)
        self._json_path = session.config.stash.get(JSON_PATH, "")
        self._problems = session.config.stash.get(PROBLEMS, [])
        if self._live is not None:
            self._live.stop()

    # -- the verdict

    def verdict(self, pytest_code: int, *, strict: bool, github: bool = False) -> int:
        """Print the summary and return the exit code of the command.

        Args:
            pytest_code: exit code of pytest.
            strict: count a SHOULD that is not followed as a violation.
            github: also print annotations for a job of GitHub.
        """
        for text in self._collection:
            echo(text, err=True, paragraph=True)
        if self._results is None:
            if pytest_code == pytest.ExitCode.NO_TESTS_COLLECTED:
                echo("swn-torture: No case matches -k, --case and --requirement.", err=True)
                return USAGE
            return USAGE if pytest_code == pytest.ExitCode.USAGE_ERROR else TARGET_UNUSABLE
        self._summarise(self._results)
        if github:
            from swn_torture.commands.github import annotate

            self._problems = [*self._problems, *annotate(self._results)]
        for problem in self._problems:
            echo(f"swn-torture: {problem}", err=True)
        comparison = self._results.comparison
        if comparison is not None:
            for text, style in self._comparison_lines(comparison):
                click.echo(click.style(visible(text), **style) if sys.stdout.isatty() else visible(text))
        code = self._results.summary.exit_code if comparison is None else comparison.exit_code
        if self._collection or (self._problems and code == 0):
            return TARGET_UNUSABLE
        if comparison is None and strict and code == 0 and self._results.summary.cases["deviation"]:
            return VIOLATIONS
        return code

    def _comparison_lines(self, comparison: Comparison) -> list[tuple[str, dict[str, Any]]]:
        from swn_torture.baseline.words import lines

        made = []
        for text, style in lines(comparison, results=self._json_path):
            *weight, colour = style.split() or [""]
            options = {"bold": "bold" in weight, "dim": colour == "dim"}
            made.append((text, {**options, "fg": None if colour in {"", "dim"} else colour}))
        return made

    @staticmethod
    def _summarise(results: Results) -> None:
        if sys.stdout.isatty():
            from rich.console import Console

            from swn_torture.report.text import print_summary

            print_summary(results, Console())
            return
        from swn_torture.report.text import summary_lines

        for line in summary_lines(results):
            echo(line)

    # -- progress

    def _start(self) -> None:
        if self._live is not None or self._plain or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            get_renderable=self._line, console=Console(stderr=True), refresh_per_second=8, transient=True
        )
        self._live.start()

    def _line(self) -> Text:
        """The live line: the counts, and what is waited for; else the case that ended last."""
        from rich.text import Text

        now = time.monotonic()
        counts = [(name, sum(1 for o in [*self._done.values()] if o == name)) for name in _STYLE]
        parts: list[Any] = [f"{self._position()} {now - self._began:4.0f} s  "]
        parts += [(f"{count} {name}  ", _STYLE[name]) for name, count in counts if count]
        return Text.assemble(*parts, (visible(self._waiting.text(now) or self._last), "dim"))

    def _position(self) -> str:
        return f"[{len(self._done):>{len(str(self._total))}}/{self._total}]"

    def _show(self, result: dict[str, Any]) -> None:
        outcome, case_id = result["outcome"], result["id"]
        self._last = case_id
        if self._live is None:
            reason = f": {result['reason']}" if outcome != "passed" and result["reason"] else ""
            echo(f"{self._position()} {outcome:<10} {case_id}{reason}", err=True)
            return
        from rich.text import Text

        if outcome in {"failed", "error"}:
            self._live.console.print(
                Text.assemble((f"{outcome:<10} ", _STYLE[outcome]), visible(f"{case_id}: {result['reason']}"))
            )
