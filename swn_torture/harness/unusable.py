"""The reports about a target that cannot be used: how far it is reached, and why no case was run."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from swn_torture.harness.description import describe_target, this_machine
from swn_torture.harness.preflight.findings import results_of
from swn_torture.report.ladder import UNUSABLE
from swn_torture.report.model import CaseResult, Run
from swn_torture.report.results import Results
from swn_torture.report.write import write_reports
from swn_torture.spec import load_catalogue
from swn_torture.spec.rungs import RUNGS

if TYPE_CHECKING:
    from swn_torture.harness.preflight.learning import Preflight
    from swn_torture.report.write import ReportPaths
    from swn_torture.target import Profile


def report_unusable(
    profile: Profile, learned: Preflight, target: str, paths: ReportPaths, *, began: float, command: str
) -> list[str]:
    """Write the reports of a run that cannot begin.

    Args:
        profile: the profile of the target.
        learned: what the target has shown, with the trouble.
        target: name or path of the profile.
        paths: where to write the reports.
        began: start of the run, in seconds since the epoch.
        command: the command line.

    Returns:
        One sentence for each file that could not be written.
    """
    if paths.directory is None and not paths.files:
        return []
    run = Run(
        started=dt.datetime.fromtimestamp(began, dt.UTC).isoformat(timespec="seconds"),
        duration_s=time.time() - began,
        complete=False,
        stopped="No case was run: the target cannot be used.",
        command=command,
        host=this_machine(),
    )
    cases = (_trouble(learned, target), *results_of(learned.findings, target))
    results = Results.of_run(run, describe_target(profile, learned.facts), cases, load_catalogue())
    return write_reports(results, paths)


def _trouble(learned: Preflight, target: str) -> CaseResult:
    """Why the target cannot be used, as a result on the rung that it does not reach."""
    return CaseResult(
        id=UNUSABLE,
        title="Before the first case: every node is called.",
        suite="rpc",
        requirements=(),
        level="implied",
        outcome="error",
        reason=f"{learned.trouble.partition('. ')[0].rstrip('.')}.",
        observed=learned.trouble,
        repro=f"swn-torture doctor --target {target}",
        rung=learned.stopped_at or RUNGS[0].id,
    )
