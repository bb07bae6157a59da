"""The result of a case, from what pytest reports about its set-up, call or tear-down."""

from __future__ import annotations

import dataclasses
import shlex
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from swn_torture.casekit.case import mark_of, slug_of, suite_of, title_of
from swn_torture.dcerpc.transcript import beginning
from swn_torture.harness.attempts import ATTEMPTS
from swn_torture.harness.packets import PACKETS, kept_packets
from swn_torture.report.finding import case_lines
from swn_torture.report.model import CaseResult
from swn_torture.report.verdict import decide_outcome, failed_as, strictest
from swn_torture.spec import load_catalogue
from swn_torture.spec.rungs import rung_of_case

if TYPE_CHECKING:
    from swn_torture.harness.case_run import CaseRun
    from swn_torture.report.model import CaseOutcome

EVIDENCE_OF_CASE: Final = 64 * 1024
"""Octets of each direction of a connection that the results keep of a case. An ordinary case has less."""

EVIDENCE_OF_RUN: Final = 32 * 1024 * 1024
"""Octets of all cases of a process together, after which a case keeps `EVIDENCE_AFTERWARDS`."""

EVIDENCE_AFTERWARDS: Final = 16 * 1024

_EVIDENCE_LEFT = pytest.StashKey[int]()


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
    not_run = getattr(call.excinfo.value, "because", "") if call.excinfo else ""
    if not_run and not result.because:
        result = dataclasses.replace(result, because=not_run)
    packets = {}
    if run is not None and keeps_octets(item, outcome):
        used = [run.target, *(target for _, target in run.controllers)]
        profiles = [target.profile for target in used]
        packets[PACKETS] = kept_packets(item, run.packets, run.events, profiles)
    report.swn = {**result.to_json(), **packets}  # type: ignore[attr-defined]
    strict = outcome == "deviation" and item.config.getoption("--swn-strict")
    if strict:
        report.outcome = "failed"
    if strict or (outcome == "failed" and call.excinfo is not None):
        # The findings are complete; a traceback through the harness would add nothing for the reader.
        report.longrepr = "\n".join(case_lines(result, load_catalogue()))


def keeps_octets(item: pytest.Item, outcome: CaseOutcome) -> bool:
    """Whether the results keep the octets of a case: it has a finding or an error, or the user wants all."""
    return outcome not in {"passed", "not-tested"} or item.config.getoption("--swn-captures") == "all"


def _outcome(call: pytest.CallInfo[Any], run: CaseRun | None) -> tuple[CaseOutcome, str]:
    from swn_torture.harness.case_ends import CaseError, Violation

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


def _evidence(item: pytest.Item, run: CaseRun) -> tuple[dict[str, Any], ...]:
    """The octet records of a case, without the end of a flood; less of each case if the run has much."""
    stash = item.config.stash
    left = stash.get(_EVIDENCE_LEFT, EVIDENCE_OF_RUN)
    records = beginning(run.transcript, EVIDENCE_OF_CASE if left > 0 else EVIDENCE_AFTERWARDS)
    stash[_EVIDENCE_LEFT] = left - sum(len(record.data) for record in records)
    return tuple(record.to_dict() for record in records)


def _result(item: pytest.Item, outcome: CaseOutcome, reason: str, run: CaseRun | None) -> CaseResult:
    from swn_torture.harness.session import target_name

    mark = mark_of(item)
    requirements = mark.requirements if mark else ()
    case_id = slug_of(item)
    catalogue = load_catalogue()
    checks = tuple(run.spec.checks) if run else ()
    first = next((check for check in checks if failed_as(check, catalogue) is not None), None)
    target = shlex.quote(target_name(item.config))
    for option in ("fault", "unusual"):
        name = item.config.getoption(f"--swn-{option}")
        target += f" --{option} {shlex.quote(name)}" if name else ""
    keep_octets = keeps_octets(item, outcome)
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
        duration_s=(run.ended or time.monotonic()) - run.started if run else 0.0,
        repro=f"swn-torture run --target {target} --case '{case_id}'",
        transcript=_evidence(item, run) if run and keep_octets else (),
        events=tuple(run.events) if run and keep_octets else (),
        node_id=item.nodeid,
        because=run.because if run else "",
        attempts=item.stash.get(ATTEMPTS, ()),
        rung=rung_of_case(case_id, requirements, mark.needs if mark else ()).id,
    )
