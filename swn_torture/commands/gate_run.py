"""The steps of ``swn-torture gate samba``: lab up, run, lab down, whatever happens in between.

The suite runs in a process of its own, because a run moves its process into the network of the lab, and a lab
is removed from outside.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import click
from filelock import FileLock, Timeout

from swn_torture import lab
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, VIOLATIONS, CommandError
from swn_torture.commands.gate_baseline import check_new_file, write_found
from swn_torture.commands.terminal import echo
from swn_torture.lab.config import run_directory
from swn_torture.lab.crashes import crashes_of, discarded_replies
from swn_torture.lab.profile import profile, to_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType

#: Seconds that an interrupted run has to end its case and to write its reports. The lab is removed anyway.
_END_OF_RUN_S: Final = 60.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_CHOOSE: Final = (
    "Write one from a run of the unchanged build with --write-baseline FILE, and compare the changed build "
    "with it: --baseline FILE. To compare with nothing, use --no-baseline."
)
_NONE_IN_DOMAIN: Final = f"No baseline is shipped for Samba in a domain. {_CHOOSE}"


class _InterruptedError(BaseException):
    """A signal ends the gate. It is no `Exception`, so that nothing but the gate handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)


class Gate:
    """One gate: a lab, a run in it, and its end."""

    def __init__(
        self,
        config: lab.LabConfig,
        report: Path,
        *,
        baseline: str | None,
        new_baseline: Path | None = None,
        all_failures: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        """Prepare a gate.

        Args:
            config: the configuration of its lab.
            report: the directory for the reports.
            baseline: name or file of a baseline; empty for the shipped one that fits; None for none.
            new_baseline: a file to which a baseline is written from the run; None for none.
            all_failures: let nodes fail in every way, which takes some minutes more.
            options: further options of ``swn-torture run``.
        """
        self._config = config
        self._report = report
        self._baseline = baseline
        self._new_baseline = new_baseline
        self._all_failures = all_failures
        self._options = list(options)
        self._began = time.monotonic()

    def run(self) -> int:
        """Start the lab, run the suite, remove the lab, and return the exit code.

        Raises:
            CommandError: the lab cannot be used, no baseline fits, or the new one cannot be written.
        """
        if self._baseline:
            _check_baseline(self._baseline)
        elif self._baseline is not None and self._config.in_domain:
            raise CommandError(_NONE_IN_DOMAIN, USAGE)
        if self._new_baseline is not None:
            check_new_file(self._new_baseline)
        try:
            self._report.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise CommandError(f"Cannot make {self._report}: {problem.strerror}.", USAGE) from problem
        with _alone(self._config.name), _signals_interrupt():
            try:
                # What a gate left that was killed with SIGKILL.
                lab.down(self._config.name, self._say)
                return self._judge(lab.up(self._config, self._say))
            except lab.LabError as problem:
                raise CommandError(problem, TARGET_UNUSABLE) from problem
            except _InterruptedError as signal_name:
                click.echo(f"gate: interrupted by {signal_name}; the verdict is not complete", err=True)
                return TARGET_UNUSABLE
            finally:
                _ignore_signals()
                if self._new_baseline is not None and not self._new_baseline.exists():
                    echo(f"gate: no baseline was written to {self._new_baseline}", err=True)
                self._remove()

    def _judge(self, started: lab.Lab) -> int:
        name = report_name(started)
        baseline = fitting_baseline(started.samba) if self._baseline == "" else self._baseline
        file = self._report / "profile.toml"
        tables = profile(started)
        tables["expect"]["all_failures"] = self._all_failures
        file.write_text(to_toml({**tables, "name": name}), encoding="utf-8")
        words = ["run", "--target", str(file), "--report", str(self._report), *self._options]
        if baseline is not None:
            self._say(f"comparing with the baseline {baseline}")
            words += ["--baseline", baseline]
        results = self._report / "results.json"
        if self._new_baseline is not None:
            results.unlink(missing_ok=True)  # those of an earlier run must not become the baseline
        code = _run_suite([sys.executable, "-m", "swn_torture", *words])
        self._say_crashes(started)
        if code < 0:
            killer = signal.Signals(-code).name
            raise CommandError(f"{killer} ended the run; its report is not complete.", TARGET_UNUSABLE)
        if self._new_baseline is None or code not in {0, VIOLATIONS}:
            return code
        self._say(write_found(results, self._new_baseline))
        return 0

    def _say_crashes(self, started: lab.Lab) -> None:
        """Show the crashes and hangs in the logs of the lab, and write the crashes to the report."""
        file = self._report / "crashes.txt"
        try:
            crashes, discarded = crashes_of(started), discarded_replies(started)
            file.unlink(missing_ok=True)
            if crashes:
                file.write_text("\n".join(f"{crash}\n{crash.excerpt}" for crash in crashes), encoding="utf-8")
        except OSError as problem:
            click.echo(f"gate: the crashes of Samba cannot be shown: {problem}", err=True)
            return
        if discarded:
            nodes = ", ".join(f"{node} ({times})" for node, times in discarded.items())
            echo(
                f"gate: replies of ctdbd were discarded on {nodes}: the log has `Discarding mismatched ctdb "
                "reqid`. The process that waits for such a reply hangs, and its clients get no answer. The "
                "cases that met it were run again.",
                err=True,
            )
        for crash in crashes:
            echo(f"gate: {crash}", err=True)
        if crashes:
            echo(
                f"gate: a crash also ends the connections of the cases that run at the same time, so mend it "
                f"before other findings. The stack of each is in {file}.",
                err=True,
            )

    def _remove(self) -> None:
        try:
            lab.down(self._config.name, self._say)
        except lab.LabError as problem:
            click.echo(
                f"gate: the lab cannot be removed: {problem} Try again with: swn-torture lab down --name "
                f"{self._config.name}",
                err=True,
            )

    def _say(self, text: str) -> None:
        click.echo(f"gate: {time.monotonic() - self._began:6.1f} s  {text}", err=True)


def report_name(started: lab.Lab) -> str:
    """Return the name of the target in the reports of a lab: ``samba-4.22``."""
    nodes = "" if started.config.nodes == lab.LabConfig().nodes else f"-{started.config.nodes}-nodes"
    domain = "-domain" if started.config.in_domain else ""
    return f"samba-{short_version(started.samba) or 'unknown'}{domain}{nodes}"


def short_version(version: str) -> str:
    """Return the first two numbers of a version: ``4.22`` of ``4.22.11-Debian``; empty if it has none."""
    found = re.match(r"\d+\.\d+", version)
    return found.group() if found else ""


def fitting_baseline(version: str) -> str:
    """Return the name of the shipped baseline for a version of Samba that is not in a domain.

    Raises:
        CommandError: there is none.
    """
    from swn_torture.baseline.read import shipped_baselines

    name, shipped = f"samba-{short_version(version)}", shipped_baselines()
    if name in shipped:
        return name
    raise CommandError(
        f"No baseline is shipped for Samba {version}; there are: {', '.join(shipped)}. {_CHOOSE}", USAGE
    )


def _check_baseline(name: str) -> None:
    """Find a mistake in the baseline before a lab is started for it."""
    from swn_torture.baseline.model import BaselineError
    from swn_torture.baseline.read import load_baseline

    try:
        load_baseline(name)
    except BaselineError as problem:
        raise CommandError(problem, USAGE) from problem


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold the lock of the gates with one name.

    Raises:
        CommandError: another gate holds it, or the lock cannot be made.
    """
    file = run_directory(name).with_suffix(".gate")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        lock.acquire(timeout=0)
    except Timeout as problem:
        raise CommandError(
            f"Another gate uses the lab {name!r} on this machine. Wait until it ends, or choose another "
            f"--name.",
            TARGET_UNUSABLE,
        ) from problem
    except OSError as problem:
        reason = lab.unavailable_reason() or f"Cannot make {file}: {problem.strerror}."
        raise CommandError(reason, TARGET_UNUSABLE) from problem
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Raise `_InterruptedError` in this thread at SIGINT, SIGTERM and SIGHUP, until `_ignore_signals`."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise _InterruptedError(number)

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """The removal of the lab is not interrupted."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _run_suite(argv: Sequence[str]) -> int:
    """Run the suite and return its exit code; at a signal end it, so that it writes its reports."""
    # A process group of its own: Ctrl-C on the terminal reaches this process only, which passes it on.
    process = subprocess.Popen(argv, process_group=0)  # noqa: S603 - our own command
    try:
        return process.wait()
    except _InterruptedError:
        process.terminate()
        with suppress(subprocess.TimeoutExpired, _InterruptedError):
            process.wait(timeout=_END_OF_RUN_S)
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
