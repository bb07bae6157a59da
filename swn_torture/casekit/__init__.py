"""What a case is written with: the ``case`` mark, the ``law`` of the case, the outcomes of its calls.

A test module of the suite reads as stimulus, law, expectation::

    @case("SWN-3.1.4.2-null-netname", syntaxes="both")
    async def test_null_netname(witness: Witness, law: Law) -> None:
        \"\"\"Register with a NULL NetName is refused.\"\"\"
        client = await witness.connect()
        reply = await outcome_of(client.start(witness.registration(net_name=None)))
        law("SWN-3.1.4.2-null-netname").allows(reply, returns(Win32.ERROR_INVALID_PARAMETER))
"""

from swn_torture.casekit.case import case
from swn_torture.casekit.checks import CaseStopped, Rule, Spec
from swn_torture.casekit.outcome import CLOSED, SILENCE, Outcome, faults, outcome_of, returns

__all__ = [
    "CLOSED",
    "SILENCE",
    "CaseStopped",
    "Outcome",
    "Rule",
    "Spec",
    "case",
    "faults",
    "outcome_of",
    "returns",
]
