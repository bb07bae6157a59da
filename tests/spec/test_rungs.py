"""The rungs of the ladder, and what belongs to each."""

from __future__ import annotations

import pytest

from swn_torture.harness.case_map import collect_cases
from swn_torture.spec import load_catalogue
from swn_torture.spec.rungs import (
    _NEEDS,
    _REQUIREMENTS,
    BY_ID,
    RUNGS,
    below,
    is_up_to,
    rung_of_case,
    rung_of_requirement,
    rungs_used,
)


def test_rung_builds_on_lower_rungs_only() -> None:
    for rung in RUNGS:
        assert all(is_up_to(lower, rung.id) and lower != rung.id for lower in rung.builds_on)


def test_every_rung_stands_on_the_first() -> None:
    for rung in RUNGS[1:]:
        assert RUNGS[0].id in below(rung.id)


def test_every_requirement_of_servers_has_a_rung() -> None:
    missing = [
        row.id
        for row in load_catalogue().requirements.values()
        if row.role != "client" and rung_of_requirement(row.id) is None
    ]
    assert not missing


def test_every_pattern_decides_for_a_requirement() -> None:
    deciding = set()
    for row in load_catalogue().requirements:
        rung_of = next((pattern for pattern, _ in _REQUIREMENTS if _matches(pattern, row)), None)
        deciding.add(rung_of)
    assert {pattern for pattern, _ in _REQUIREMENTS} <= deciding


def _matches(pattern: str, requirement: str) -> bool:
    import re

    return re.match(pattern, requirement) is not None


def test_every_case_has_one_rung() -> None:
    counts = dict.fromkeys((rung.id for rung in RUNGS), 0)
    for case in collect_cases().values():
        rung = rung_of_case(case.id, case.requirements, case.needs)
        counts[rung.id] += 1
        assert rung.id in rungs_used(case.id, case.requirements, case.needs)
    assert sum(counts.values()) == len(collect_cases())
    assert not counts.pop("reachable")  # its verdict is whether any case got an answer
    assert all(counts.values())


def test_every_need_of_a_rung_is_a_known_need() -> None:
    from swn_torture.casekit.needs import KNOWN

    assert set(_NEEDS) <= KNOWN


@pytest.mark.parametrize(
    ("case_id", "rung"),
    [
        ("rpc.endpoint-mapper.lookup-leads-to-the-service", "endpoint-mapper"),
        ("rpc.transfer-syntax.ndr-alone", "bind"),
        ("rpc.authentication.levels[ndr32-integrity-ntlm]", "security"),
        ("rpc.get-interface-list.list-is-returned[ndr64]", "interface-list"),
        ("rpc.fragments.oversize-fragment", "calls"),
        ("rpc.register.valid-registration[ndr32-register]", "register"),
        ("rpc.register.valid-registration[ndr32-register-ex]", "register-ex"),
        ("rpc.object-uuid.each-method[ndr32-unregister-ex-nil]", "unregister"),
        ("rpc.object-uuid.each-method[ndr32-get-interface-list-nil]", "calls"),
        ("rpc.opnums.opnum[ndr32-0]", "interface-list"),
        ("rpc.opnums.opnum[ndr32-3]", "async-notify"),
        ("rpc.unregister.unregister-twice[ndr64-register-ex]", "unregister"),
        ("cluster.keep-alive.zero", "async-notify"),
        ("cluster.interface-events.down-and-up", "state-changes"),
        ("cluster.client-move.answer[ndr32]", "moves"),
        ("cluster.share-move.ipv6[ndr32]", "moves"),
        ("cluster.ip-change.address-added", "ip-changes"),
        ("cluster.node-failure.node-fails[crash]", "node-failures"),
        ("cluster.restart.restart", "node-failures"),
        ("rpc.get-interface-list.each-node-marks-the-interfaces-of-the-others", "several-nodes"),
        ("cluster.registration-keys.keys-of-two-nodes", "several-nodes"),
    ],
)
def test_case_is_on_its_rung(case_id: str, rung: str) -> None:
    case = collect_cases()[case_id]
    assert rung_of_case(case.id, case.requirements, case.needs) is BY_ID[rung]
