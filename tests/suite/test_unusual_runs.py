"""Cases that once failed an unusual server, as a user runs them: each passes, or says why it is not tested.

The innocence matrix runs the whole suite against every unusual server. These are the cases that need care.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import swn_torture
from tests.examples import one_in
from tests.preloaded import program

PROFILES = Path(swn_torture.__file__).parent.parent / "fixtures" / "profiles"

#: The cases to run on each unusual server.
PASSED = {
    "partners-only": (
        "cluster.interface-events.down-and-up",
        "cluster.move-matching.later-move-replaces-earlier",
        "cluster.node-failure.node-disabled",
        "cluster.restart.restart",
        "ndr.interface-list-layout.witness-interfaces",
        "rpc.get-interface-list.each-node-marks-the-interfaces-of-the-others",
        "rpc.get-interface-list.every-address-is-listed-once",
        "rpc.get-interface-list.interface-that-is-down-stays-listed",
    ),
    "no-multiplexing": (
        "cluster.connection-loss.connection-ends[fin]",
        "cluster.keep-alive.each-registration-has-its-own-timeout[ndr32]",
        "cluster.unused-registrations.idle-registrations-are-removed",
        "ndr.handles-layout.one-handle-for-all-methods[ndr32-register]",
        "ndr.malformed-stubs.surplus-octets-after-a-handle[ndr32]",
        "rpc.cancel.connection-stays-open-after-orphaned[plain]",
        "rpc.context-handles.null-handle[ndr32]",
        "rpc.register.handle-stands-for-the-registration[ndr32]",
        "rpc.rundown.pending-call[fin]",
        "rpc.signatures.response-to-a-pending-call[ntlm-integrity]",
    ),
    "slow-events": (
        "cluster.client-move.unknown-destination",
        "cluster.keep-alive.registration-survives-the-time-out",
        "cluster.move-matching.later-move-replaces-earlier",
        "cluster.pending.latest-move-is-returned[ndr32]",
    ),
    "few-registrations": (
        "cluster.delivery.a-hundred-handles",
        "rpc.auth-padding.every-length[ndr32-register-integrity]",
        "rpc.multiplexing.many-calls",
        "rpc.register.any-node-takes-any-address[register-ex]",
        "rpc.register.hundred-registrations[register]",
    ),
    "few-connections": (
        "rpc.faults.erroneous-requests",
        "rpc.multiplexing.many-calls",
        "rpc.signatures.changed-header[ntlm-integrity]",
    ),
    "few-contexts": ("rpc.alter-context.context-is-added[ndr64]", "rpc.bind.context-limit"),
    "ndr32-only": ("cluster.ip-change.address-added", "ndr.notification-buffers.resource-change"),
}


def run(tmp_path: Path, *arguments: str) -> dict[str, tuple[str, str]]:
    """Run cases in a separate process; returns outcome and reason of each, by id."""
    results = tmp_path / "results.json"
    command = [*program(), "run", "-n", "2", "--json", str(results), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert results.is_file(), ended.stdout + ended.stderr
    loaded: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return {case["id"]: (case["outcome"], case["reason"]) for case in loaded["cases"]}


@pytest.mark.parametrize("unusual", one_in(2, PASSED))
def test_cases_pass_on_an_unusual_server(tmp_path: Path, unusual: str) -> None:
    selected = [argument for case in PASSED[unusual] for argument in ("--case", case)]

    outcomes = run(tmp_path, "--unusual", unusual, *selected)

    assert outcomes == dict.fromkeys(PASSED[unusual], ("passed", ""))


@pytest.mark.parametrize("mapper", ["mapper-without-lookup", "mapper-refuses-authenticated"])
def test_no_long_response_is_a_reason(tmp_path: Path, mapper: str) -> None:
    profile = tmp_path / "few-nodes.toml"
    text = (PROFILES / "reference.toml").read_text(encoding="utf-8")
    profile.write_text(text.replace("[variants.many-nodes]\nnodes = 5", ""), encoding="utf-8")
    case = "rpc.response-fragments.long-response"

    outcomes = run(tmp_path, "--target", str(profile), "--unusual", mapper, "--case", case)

    assert sorted(outcomes) == [f"{case}[integrity]", f"{case}[privacy]"]
    for outcome, reason in outcomes.values():
        assert outcome == "not-tested"
        assert reason.startswith("no response of the target is longer than one fragment of 2048 octets")
        assert "ept_lookup: " in reason


def test_a_move_that_comes_too_late_is_a_reason(tmp_path: Path) -> None:
    case = "cluster.move-matching.later-share-move-replaces-earlier"

    outcomes = run(tmp_path, "--unusual", "slow-events", "--case", case)

    reason = "the moves took longer than the server keeps an unused registration"
    assert outcomes == {case: ("not-tested", reason)}
