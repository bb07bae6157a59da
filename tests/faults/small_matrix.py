"""A small fault matrix: one fault, two cases."""

from __future__ import annotations

from swn_torture.faults.library import Fault
from swn_torture.faults.matrix.matrix import FaultResult, Matrix
from swn_torture.faults.matrix.trials import Scope, Trial

FAULT = Fault("wrong", "It is wrong.", ("SWN-1.9-uuid", "SWN-2.1-if-version"), "codes", seen_in="Samba 4.22")
NAMED = {"a": FAULT.violates, "b": ("SWN-3.1.4.1-empty-list",)}
REFERENCE = Trial("", {"a": "passed", "b": "passed"}, NAMED, NAMED)


def matrix_of(
    broken: dict[str, tuple[str, ...]],
    *,
    outcome: str = "failed",
    reference: Trial = REFERENCE,
    fault: Fault = FAULT,
) -> Matrix:
    """A matrix of the fault, from the requirements that each case finds broken."""
    trial = Trial(fault.name, dict.fromkeys(broken, outcome), broken, broken, broken)
    return Matrix((FaultResult(fault, trial),), reference, Scope.NEAR)
