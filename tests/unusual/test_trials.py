"""What a trial keeps of the results of its cases."""

from __future__ import annotations

from swn_torture.report.model import CaseResult, Check
from swn_torture.trials import _judged

RULE = Check("RPC-PDU-drep", passed=True, expected=("x",), observed="x", invariant=True)
RECORD = Check("RPC-FRAG-negotiate", passed=None, expected=(), observed="x")
CHECK = Check("RPC-FRAG-request", passed=False, expected=("x",), observed="y")


def case(*checks: Check) -> CaseResult:
    names = tuple(check.requirement for check in checks)
    return CaseResult("rpc.a.b", "title", "rpc", names, "MUST", "passed", "", (), "", checks, repro="run")


def test_rule_of_the_wire_makes_no_judge_of_a_case_that_records() -> None:
    assert _judged(case(RECORD, RULE)) == []
    assert _judged(case(RULE)) == ["RPC-PDU-drep"]
    assert _judged(case(RECORD, CHECK, RULE)) == ["RPC-FRAG-request", "RPC-PDU-drep"]
