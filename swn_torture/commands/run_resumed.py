"""What ``run --resume`` goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.harness.resume import Kept, Stopped
    from swn_torture.report.model import TargetInfo


def stopped(journal: Path) -> Stopped:
    """Read what a run goes on from.

    Raises:
        CommandError: the file is no journal of a run that stopped.
    """
    from swn_torture.harness.resume import ResumeError, stopped_run
    from swn_torture.report.results import ResultsError

    try:
        return stopped_run(journal)
    except OSError as problem:
        raise CommandError(f"Cannot read {journal}: {problem.strerror}.", USAGE) from problem
    except (ResultsError, ResumeError) as problem:
        raise CommandError(f"Cannot resume: {problem}.", USAGE) from problem


def resumed(before: Stopped, target: TargetInfo, selection: str) -> Kept:
    """Take what is kept of the run before, and say it.

    Raises:
        CommandError: that was another run.
    """
    from swn_torture.harness.resume import ResumeError, kept_of
    from swn_torture.report.text import count

    try:
        kept = kept_of(before, target, selection)
    except ResumeError as problem:
        raise CommandError(f"Cannot resume: {problem}.", USAGE) from problem
    again = f", {count(len(kept.again), 'case')} of them again" if kept.again else ""
    echo(
        f"Going on from the run of {kept.started}: {count(len(kept.cases), 'result')} kept; the other cases "
        f"run{again}.",
        err=True,
    )
    return kept
