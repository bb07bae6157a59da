"""The lower rungs as the first calls show them."""

from __future__ import annotations

import dataclasses

from swn_torture.casekit.facts import BrokenMethod, NodeFacts, ServiceFacts, TargetFacts
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.harness.first_look import first_look, lowest_rungs
from swn_torture.harness.preflight.findings import PreflightFinding
from swn_torture.harness.preflight.learning import Preflight
from swn_torture.target import load_profile

PROFILE = load_profile("samba-lab")
SERVED = {"NTLM": ServiceFacts(offered=True, levels=("INTEGRITY",))}
NODE = NodeFacts("node1", "192.0.2.1", mapped_port=49152, services=SERVED, ndr64=True)


def rows(learned: Preflight) -> dict[str, str]:
    lines = first_look(PROFILE, learned)
    wide = max(line.index("  ", 2) for line in lines)
    return {line[2 : line.index("  ", 2)].strip(): line[wide:].strip() for line in lines}


def test_everything_answers() -> None:
    found = rows(Preflight(TargetFacts(nodes=(NODE,), left_out={"node2": "no answer"})))
    assert found["Reachable"] == "node1; no answer: node2"
    assert found["Endpoint mapper"] == "node1 port 49152"
    assert found["Bind and transfer syntaxes"] == "NDR32, NDR64"
    assert found["Security"] == "NTLM at PKT_INTEGRITY"
    assert found["AsyncNotify with time-out"] == "answers"


def test_broken_method_is_named_with_its_requirement() -> None:
    broken = (BrokenMethod(0, "SWN-3.1.4.1-returns-success", "no answer"),)
    found = rows(Preflight(TargetFacts(nodes=(NODE,), broken=broken)))
    assert found["GetInterfaceList"] == "violated: SWN-3.1.4.1-returns-success (no answer)"
    assert found["UnRegister"] == "not reached: GetInterfaceList"


def test_nobody_answers() -> None:
    facts = TargetFacts(left_out={"node1": "no answer", "node2": "no answer"})
    assert first_look(PROFILE, Preflight(facts, "No node answers.", stopped_at="reachable")) == [
        "  Reachable  no: node1, node2 do not answer"
    ]


def test_trouble_ends_the_rows_at_its_rung() -> None:
    facts = TargetFacts(nodes=(NODE,))
    assert [*rows(Preflight(facts, "wrong account", stopped_at="security"))][-1] == "Security"
    found = rows(Preflight(facts, "wrong name", stopped_at="register"))
    assert [*found][-1] == "Register"
    assert found["Register"] == "no usable answer"


def test_server_without_security() -> None:
    finding = PreflightFinding("RPC-AUTH-bind-levels", "a bind", "bind_nak", "bind to node node1")
    facts = TargetFacts(nodes=(NODE,), level=AuthLevel.NONE, no_security="RPC-AUTH-bind-levels")
    assert (
        rows(Preflight(facts, findings=(finding,)))["Security"] == "violated: RPC-AUTH-bind-levels (bind_nak)"
    )
    assert rows(Preflight(facts))["Security"] == "called without authentication"


def test_nothing_is_said_about_rungs_that_are_not_reached() -> None:
    stopped = dataclasses.replace(NODE, services={}, mapped_port=None, mapper="ept_s_not_registered")
    finding = PreflightFinding("RPC-EPM-each-node", "a port", "none", "ept_map")
    found = rows(Preflight(TargetFacts(nodes=(stopped,)), findings=(finding,)))
    assert found["Endpoint mapper"] == "node1: ept_s_not_registered"
    assert [*found] == ["Reachable", "Endpoint mapper", "Bind and transfer syntaxes"]


def test_lowest_rungs_are_the_first_lines() -> None:
    learned = Preflight(TargetFacts(nodes=(NODE,)))
    lowest = lowest_rungs(PROFILE, learned)
    assert [line.split("  ")[1] for line in lowest][-1] == "Security"
    assert first_look(PROFILE, learned)[: len(lowest)] == lowest
