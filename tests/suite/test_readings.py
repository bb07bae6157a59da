"""Named cases against the reference with one reading of an ambiguity, or one option of RPC, at a time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples import one_in
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Mapping

PROFILE = Path("fixtures/profiles/reference.toml")

ADDRESS = "rpc.shares.unknown-address-on-a-scale-out-share[ndr32-register-ipv4]"
ADDRESS_EX = "rpc.shares.unknown-address-on-a-scale-out-share[ndr32-register-ex-ipv4]"
NO_ADDRESS = "rpc.addresses.not-an-address[register-words]"
SHARE = "rpc.shares.unknown-share[ndr32-invalid]"
SHARE_WITH_NUL = "rpc.shares.hostile-share[nul-inside]"
PLAIN_CLUSTER = "rpc.shares.share-is-ignored-without-scale-out"

#: The outcomes of cases, by the options that choose a reading.
READINGS: dict[str, tuple[str, Mapping[str, str]]] = {
    "AMB-17: share moves and IP changes follow another event": (
        "share_and_ip_end_wait = false",
        dict.fromkeys(
            (
                "cluster.share-move.answer[ndr32]",
                "cluster.move-matching.share-move-matches-client-and-share",
                "cluster.ip-change.address-added",
                "cluster.new-addresses.address-added-and-removed",
            ),
            "passed",
        ),
    ),
    "AMB-17 and AMB-18: they overwrite the other event": (
        'share_and_ip_end_wait = false\nseveral_kinds = "last-overwrites"',
        dict.fromkeys(
            ("cluster.share-move.answer[ndr64]", "cluster.share-move.notified-registrations"), "passed"
        ),
    ),
    "AMB-37: no share counts as scale-out": (
        "shares_keep_cluster_type = false",
        dict.fromkeys((ADDRESS, ADDRESS_EX, NO_ADDRESS, SHARE, SHARE_WITH_NUL), "not-tested")
        | {PLAIN_CLUSTER: "passed"},
    ),
    "AMB-37 with AMB-5: only addresses are checked, always": (
        'shares_keep_cluster_type = false\naddress_check = "always"',
        dict.fromkeys((ADDRESS, ADDRESS_EX, NO_ADDRESS, PLAIN_CLUSTER), "passed") | {SHARE: "not-tested"},
    ),
    "not AMB-37: addresses are checked for scale-out shares only": (
        'unknown_share = "accept"',
        dict.fromkeys((ADDRESS, ADDRESS_EX), "passed") | {SHARE: "failed"},
    ),
    "not AMB-37: shares are checked, addresses are not": (
        'address_check = "never"',
        dict.fromkeys((ADDRESS, ADDRESS_EX, NO_ADDRESS), "failed") | {SHARE: "passed"},
    ),
    "not AMB-4: an unknown share is rejected everywhere": (
        'unknown_share = "refuse"',
        {SHARE: "passed", PLAIN_CLUSTER: "failed"},
    ),
    "AMB-12: the group name is compared": (
        'change_concerns = "group-and-address"',
        {
            "cluster.interface-events.down-and-up": "deviation",
            "cluster.pending.changes-without-a-call": "deviation",
            "cluster.resource-change.down-and-up": "not-tested",
            "cluster.resource-change.unknown-state": "not-tested",
            "ndr.notification-buffers.resource-change": "not-tested",
        },
    ),
    "AMB-20: UnRegister ends a pending call with ERROR_SUCCESS": (
        'unregister_ends_calls = "ERROR_SUCCESS"',
        {"cluster.delivery.nothing-after-unregister[outstanding-2]": "passed"},
    ),
    "AMB-33: a new registration is told where its share is": (
        "initial_share_move = true",
        {"cluster.ip-change.ipv6-address-added": "passed"},
    ),
    "RPC: header signing is not confirmed": (
        "rpc: header_signing = false",
        {"rpc.signatures.header-signing[ntlm-integrity]": "not-tested"},
    ),
    "RPC: no bind-time features": (
        "rpc: features = 0",
        {"rpc.cancel.connection-stays-open-after-orphaned[plain]": "not-tested"},
    ),
}


@pytest.mark.parametrize(("options", "expected"), one_in(2, READINGS.values()), ids=READINGS)
def test_case_outcomes_by_reading(options: str, expected: Mapping[str, str], tmp_path: Path) -> None:
    text = PROFILE.read_text(encoding="utf-8")
    if options.startswith("rpc: "):
        text = text.replace("rpc = {", f"rpc = {{ {options.removeprefix('rpc: ')},")
    else:
        text = text.replace("[embedded]\n", f"[embedded]\n{options}\n")
    profile, results = tmp_path / "profile.toml", tmp_path / "results.json"
    # A missing notification is waited for until the event deadline.
    profile.write_text(text.replace("event_deadline = 5.0", "event_deadline = 1.5"), encoding="utf-8")
    command = [*program(), "run", "--target", str(profile), "-n", "2"]
    command += ["--json", str(results), *(word for case in expected for word in ("--case", case))]

    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)

    assert results.is_file(), run.stdout + run.stderr
    cases: list[dict[str, Any]] = json.loads(results.read_text(encoding="utf-8"))["cases"]
    assert {case["id"]: case["outcome"] for case in cases} == expected
