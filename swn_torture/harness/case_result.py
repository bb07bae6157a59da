"""The result of a case, from what pytest reports about its set-up, call or tear-down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.case import mark_of, slug_of, suite_of, title_of
from swn_torture.report.finding import case_lines
from swn_torture.report.model import CaseResult
from swn_torture.report.verdict import decide_outcome, failed_as, strictest
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from swn_torture.harness.case_run import CaseRun
    from swn_torture.report.model import CaseOutcome


def attach_result(
    item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport, run: CaseRun | None
) -> None:
    """Attach the result of the case to the report that decides it, as ``report.swn`` (plain JSON values).

    The set-up decides when it did not pass, else the call. A tear-down that fails overrides both, because the
    state of the target is then unknown to the next case.

    Args:
        item: the case.
        call: how its set-up, call or tear-down ended.
        report: pytest's report of it; its text is replaced by the findings where there are findings.
        run: the running case; None when its set-up failed before it existed.
    """
    if call.when != "call" and call.excinfo is None:
        return
    outcome, reason = _outcome(call, run)
    result = _result(item, outcome, reason, run)
    report.swn = result.to_json()  # type: ignore[attr-defined]
    strict = outcome == "deviation" and item.config.getoption("--swn-strict")
    if strict:
        report.outcome = "failed"
    if strict or (outcome == "failed" and call.excinfo is not None):
        # The findings are complete; a traceback through the harness would add nothing for the reader.
        report.longrepr = "\n".join(case_lines(result, load_catalogue()))


def _outcome(call: pytest.CallInfo[Any], run: CaseRun | None) -> tuple[CaseOutcome, str]:
    from swn_torture.harness.case_run import CaseError, Violation

    ended_with = call.excinfo.value if call.excinfo else None
    skip_reason = error = None
    if isinstance(ended_with, pytest.skip.Exception):
        skip_reason = str(ended_with.msg)
    elif isinstance(ended_with, CaseError):
        error = str(ended_with)
    elif ended_with is not None and not isinstance(ended_with, Violation):
        where = "while restoring the target after the case: " if call.when == "teardown" else ""
        error = f"{where}{type(ended_with).__name__}: {ended_with}"
    checks = run.spec.checks if run else []
    return decide_outcome(checks, load_catalogue(), skip_reason=skip_reason, error=error)


def _result(item: pytest.Item, outcome: CaseOutcome, reason: str, run: CaseRun | None) -> CaseResult:
    from swn_torture.harness.session import target_name

    mark = mark_of(item)
    requirements = mark.requirements if mark else ()
    case_id = slug_of(item)
    catalogue = load_catalogue()
    checks = tuple(run.spec.checks) if run else ()
    first = next((check for check in checks if failed_as(check, catalogue) is not None), None)
    fault = item.config.getoption("--swn-fault")
    target = target_name(item.config) + (f" --fault {fault}" if fault else "")
    keep_octets = outcome not in {"passed", "not-tested"} or item.config.getoption("--swn-captures") == "all"
    return CaseResult(
        id=case_id,
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
        repro=f"swn-torture run --target {target} --case '{case_id}'",
        transcript=tuple(record.to_dict() for record in run.transcript) if run and keep_octets else (),
        node_id=item.nodeid,
    )
