"""A case whose result says nothing is run again; the report says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.harness.attempts import warnings_of
from swn_torture.report.model import CaseResult
from tests.plugin.conftest import Directory

if TYPE_CHECKING:
    from tests.plugin.conftest import Run

CASES = '''
import pytest

from swn_torture.casekit import case, returns
from swn_torture.control.base import ControllerError, EffectNotSeen
from swn_torture.control.reference import ReferenceController
from swn_torture.dcerpc.client.client import RpcClient
from swn_torture.dcerpc.errors import DeadlineExceeded

RULE = "SWN-3.1.4.2-null-netname"
bind = RpcClient.bind
tries = {}
ended = []

def attempt(spec):
    tries[spec.case] = tries.get(spec.case, 0) + 1
    return tries[spec.case]

def unanswered_once():
    left = 1
    async def unanswered(self, *arguments, **options):
        nonlocal left
        if options.get("max_xmit") == 4000 and left:
            left = 0
            raise DeadlineExceeded("bind 1: no answer in 10 s")
        return await bind(self, *arguments, **options)
    return unanswered

@case(RULE)
async def test_once(witness, spec, monkeypatch):
    """Bind; the first attempt gets no answer."""
    if attempt(spec) == 1:
        monkeypatch.setattr(RpcClient, "bind", unanswered_once())
    await witness.connect(max_xmit=4000)
    spec(RULE).allows(returns(0x57), returns(0x57))

@case(RULE)
async def test_always(witness, spec, monkeypatch):
    """Bind; no attempt gets an answer at first."""
    attempt(spec)
    monkeypatch.setattr(RpcClient, "bind", unanswered_once())
    await witness.connect(max_xmit=4000)

ReferenceController.finds_hung = True

async def hung(self):
    return () if ended else ("rpcd_witness of node1 hangs (process 7): it answers no message of Samba",)

async def end_hung(self):
    ended.append(1)
    return ()

@case(RULE)
async def test_hang(witness, spec, monkeypatch):
    """Find a violation while a process of the server hangs; the second attempt finds none."""
    monkeypatch.setattr(ReferenceController, "hung", hung)
    monkeypatch.setattr(ReferenceController, "end_hung", end_hung)
    returned = 0 if attempt(spec) == 1 else 0x57
    spec(RULE).allows(returns(returned), returns(0x57))

@case(RULE)
@pytest.mark.parametrize("problem", [EffectNotSeen, ControllerError])
async def test_no_event(witness, spec, monkeypatch, problem):
    """Cause no event, because a process of the server hangs; the second attempt does."""
    ended.clear()
    monkeypatch.setattr(ReferenceController, "hung", hung)
    monkeypatch.setattr(ReferenceController, "end_hung", end_hung)
    if attempt(spec) == 1:
        raise problem("node1 is not in service")
    spec(RULE).allows(returns(0x57), returns(0x57))

@case(RULE)
async def test_violation(witness, spec):
    """Find a violation; no process hangs."""
    assert attempt(spec) == 1
    spec(RULE).allows(returns(0), returns(0x57))

@case(RULE, disturbs=True)
async def test_restore(witness, spec, monkeypatch, cluster):
    """Bind without an answer; then the target cannot be restored."""
    async def cannot(timeout=0):
        raise ControllerError("not restored")
    assert attempt(spec) == 1
    cluster.restore = cannot
    monkeypatch.setattr(RpcClient, "bind", unanswered_once())
    await witness.connect(max_xmit=4000)
'''

CASES = CASES.replace("def test_zz_tries", "def test_zz_tries")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = Directory(tmp_path_factory.mktemp("attempts"))
    directory.write("test_again", CASES)
    return directory.run("-n", "0")


HANG = "rpcd_witness of node1 hangs (process 7): it answers no message of Samba"
LOST = "NODE1 did not complete a bind (bind 1: no answer in 10 s), but completed the next one"


@pytest.mark.parametrize(
    ("name", "outcome", "attempts"),
    [
        ("once", "passed", [LOST]),
        ("always", "not-tested", [LOST, LOST]),
        ("hang", "passed", [HANG]),
        ("no-event[EffectNotSeen]", "passed", [HANG]),
        ("no-event[ControllerError]", "passed", [HANG]),
        ("violation", "failed", []),
    ],
)
def test_result_is_that_of_the_last_attempt(ended: Run, name: str, outcome: str, attempts: list[str]) -> None:
    result = ended.results[f"own.again.{name}"]
    assert (result["outcome"], result["attempts"]) == (outcome, attempts), result["reason"]


def test_target_that_cannot_be_restored_ends_the_attempts(ended: Run) -> None:
    result = ended.results["own.again.restore"]
    assert (result["outcome"], result["attempts"]) == ("error", [])
    assert "not restored" in result["reason"]


def test_report_warns(ended: Run) -> None:
    cases = [CaseResult.from_json(result) for result in ended.results.values()]
    (warning,) = warnings_of(cases)
    assert warning.startswith("5 cases were run again (own.again.")
    assert "left a client without an answer. First: " in warning
    assert warnings_of([case for case in cases if not case.attempts]) == ()
