"""From the end of a test function to the result of a case."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.case import mark_of, slug_of, suite_of, title_of
from swn_torture.report.model import CaseResult
from swn_torture.report.verdict import failed_as, judge, strictest
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from swn_torture.harness.case_run import CaseRun
    from swn_torture.report.model import CaseOutcome


def attach_result(
    item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport, run: CaseRun | None
) -> None:
    """Attach the case's result to the report that decides it, as ``report.swn`` (plain JSON values).

    A case is decided by its set-up if that did not pass, else by its call; a tear-down that fails overrides
    both, since the next case may find the target in any state.
    """
    if call.when != "call" and call.excinfo is None:
        return
    outcome, reason = _outcome(call, run)
    result = _result(item, outcome, reason, run)
    report.swn = result.to_json()  # type: ignore[attr-defined]
    if outcome == "deviation" and item.config.getoption("--swn-strict"):
        report.outcome = "failed"
        report.longrepr = reason
    elif outcome in {"failed", "error"} and call.excinfo is not None:
        # The finding says it all; a traceback through the harness says nothing to a reader of a verdict.
        report.longrepr = f"{reason}\n\nagain: {result.repro}" if outcome == "failed" else report.longrepr


def _outcome(call: pytest.CallInfo[Any], run: CaseRun | None) -> tuple[CaseOutcome, str]:
    from swn_torture.harness.case_run import CaseError, Violation

    catalogue = load_catalogue()
    checks = run.spec.checks if run else []
    error = call.excinfo.value if call.excinfo else None
    if error is None or isinstance(error, Violation):
        verdict = judge(checks, catalogue)
        worst = {"failed": "violation", "deviation": "deviation"}.get(verdict)
        found = [check for check in checks if worst and failed_as(check, catalogue) == worst]
        return verdict, "; ".join(dict.fromkeys(_breach(check.requirement) for check in found))
    if isinstance(error, pytest.skip.Exception):
        return "not-tested", str(error.msg)
    if isinstance(error, CaseError):
        return "error", str(error)
    where = "while putting the target right after the case: " if call.when == "teardown" else ""
    return "error", f"{where}{type(error).__name__}: {error}"


def _breach(requirement: str) -> str:
    row = load_catalogue().requirements[requirement]
    return f"{row.text} ({row.cite})"


def _result(item: pytest.Item, outcome: CaseOutcome, reason: str, run: CaseRun | None) -> CaseResult:
    from swn_torture.harness.session import target_name

    mark = mark_of(item)
    requirements = mark.requirements if mark else ()
    slug = slug_of(item)
    catalogue = load_catalogue()
    checks = tuple(run.spec.checks) if run else ()
    first = next((check for check in checks if failed_as(check, catalogue) is not None), None)
    fault = item.config.getoption("--swn-fault")
    target = target_name(item.config) + (f" --fault {fault}" if fault else "")
    wanted = outcome not in {"passed", "not-tested"} or item.config.getoption("--swn-captures") == "all"
    return CaseResult(
        id=slug,
        title=title_of(item),
        suite=suite_of(item),
        requirements=requirements,
        level=strictest(requirements, catalogue),
        outcome=outcome,
        reason=reason,
        expected=first.expected if first else (),
        observed=first.observed if first else "",
        checks=checks,
        choices=tuple(run.spec.choices) if run else (),
        duration_s=time.monotonic() - run.started if run else 0.0,
        repro=f"swn-torture run --target {target} --case '{slug}'",
        transcript=tuple(record.to_dict() for record in run.transcript) if run and wanted else (),
        node_id=item.nodeid,
    )
