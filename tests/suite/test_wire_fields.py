"""A change of one PDU field on the wire leads to a finding under its rule, or to another recorded choice."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.preloaded import program

if TYPE_CHECKING:
    from pathlib import Path


def run(directory: Path, *options: str, cases: tuple[str, ...]) -> list[dict[str, Any]]:
    """The results of cases on the reference with these options."""
    path = directory / "results.json"
    chosen = [part for case in cases for part in ("--case", case)]
    command = [*program(), "run", "-n", "0", "--json", str(path), *options, *chosen]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
    results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return results


def choices(results: list[dict[str, Any]], ambiguity: str, cases: tuple[str, ...]) -> set[str]:
    return {
        each["observed"]
        for case in results
        for each in case["choices"]
        if each["ambiguity"] == ambiguity and case["id"] in cases
    }


#: An unusual server, the ambiguity, the cases, and what is recorded of the reference and of that server.
RECORDED = {
    "alter-context-resp-of-zeros": (
        "AMB-38",
        ("rpc.pdu-fields.ignored-fields-of-alter-context",),
        "assoc_group_id: that of the bind_ack",
        "assoc_group_id: 0",
    ),
    "fragments-of-both-byte-orders": (
        "AMB-41",
        ("rpc.mixed-fragments.byte-orders-of-fragments[ndr32-integrity]",),
        "a request with fragments in both byte orders is not served: fault nca_s_proto_error (0x1C01000B)",
        "a request with fragments in both byte orders is served",
    ),
    "legs-of-any-level": (
        "AMB-42",
        ("rpc.later-legs.other-level-or-type-in-last-leg[spnego-other-level]",),
        "another auth_level in alter_context: the leg or the next request is rejected",
        "another auth_level in alter_context: ignored, and the next request is served",
    ),
    "honour_cancel=false": (
        "AMB-43",
        ("rpc.cancel.cancel[plain]",),
        "co_cancel without a verifier ends a pending call: fault nca_s_fault_cancel (0x1C00000D)",
        "co_cancel without a verifier ends no pending call",
    ),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of all these cases on the reference, in one run."""
    cases = tuple(case for _, chosen, _, _ in RECORDED.values() for case in chosen)
    return run(tmp_path_factory.mktemp("reference"), cases=cases)


@pytest.mark.parametrize("server", RECORDED)
def test_what_the_text_leaves_open_is_a_recorded_choice(
    server: str, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    ambiguity, cases, usual, unusual = RECORDED[server]

    changed = run(tmp_path, "--unusual", server, cases=cases)

    assert {case["outcome"] for case in (*reference, *changed)} == {"passed"}
    assert usual in choices(reference, ambiguity, cases)
    assert unusual not in choices(reference, ambiguity, cases)
    assert unusual in choices(changed, ambiguity, cases)
    assert usual not in choices(changed, ambiguity, cases)


def test_a_wrong_field_is_one_finding_in_the_case_about_it(tmp_path: Path) -> None:
    about = "rpc.pdu-fields.responses-and-faults[ndr32-integrity]"
    others = ("rpc.faults.unknown-opnum[6]", "rpc.faults.connection-survives-fault[ndr32-bad-stub]")

    results = run(tmp_path, "--fault", "faults-without-first-flag", cases=(about, *others))

    assert {case["id"]: case["outcome"] for case in results} == {
        about: "failed",
        **dict.fromkeys(others, "passed"),
    }
    (finding,) = [case for case in results if case["id"] == about]
    assert [check["requirement"] for check in finding["checks"] if check["passed"] is False] == [
        "RPC-PDU-one-fragment"
    ]


def test_a_wrong_field_is_found_by_a_case_that_is_not_about_it(tmp_path: Path) -> None:
    cases = ("rpc.faults.unknown-opnum[6]", "rpc.faults.connection-survives-fault[ndr32-bad-stub]")

    results = run(tmp_path, "--fault", "faults-without-first-flag", cases=cases)

    assert sorted(case["outcome"] for case in results) == ["failed", "passed"]


def test_an_answer_that_completes_no_security_context_is_allowed(tmp_path: Path) -> None:
    case = "rpc.later-legs.other-context-id-in-last-leg[spnego]"

    (result,) = run(tmp_path, "--unusual", "legs-rejected-in-the-token", cases=(case,))

    assert result["outcome"] == "passed"
    assert "completes no security context" in result["checks"][0]["observed"]


def test_a_leg_of_another_security_context_is_a_finding(tmp_path: Path) -> None:
    cases = tuple(f"rpc.later-legs.other-context-id-in-last-leg[{name}]" for name in ("ntlm", "spnego"))

    results = run(tmp_path, "--fault", "later-legs-of-any-context", cases=cases)

    assert {case["id"]: case["outcome"] for case in results} == dict.fromkeys(cases, "failed")
    for result in results:
        assert "RPC-AUTH-leg-context" in {
            check["requirement"] for check in result["checks"] if check["passed"] is False
        }
