"""The cases about Kerberos fail where the reference, which accepts Kerberos only, has a fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.kerberos.profiles import profile_text
from tests.kerberos.test_runs import swn_torture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kerberos.realm import Realm

#: Fault -> cases that must find it, all by Kerberos.
CAUGHT = {
    "rejected-token-taken": [
        "rpc.kerberos.rejected-ticket[other-service-bind]",
        "rpc.kerberos.rejected-ticket[old-clock-bind]",
        "rpc.kerberos.rejected-ticket[expired-ticket-bind]",
        "rpc.kerberos.rejected-ticket[changed-ticket-alter-context]",
    ],
    "second-token-refused": ["rpc.authentication.last-leg[kerberos]"],
    "signatures-not-verified": [
        "rpc.signatures.changed-pdu[kerberos-integrity]",
        "rpc.signatures.changed-header[kerberos-integrity]",
    ],
    "wrong-sequence-not-verified": ["rpc.signatures.replayed-pdu[kerberos-integrity]"],
    "sealed-as-signed": ["rpc.authentication.levels[ndr32-privacy-kerberos]"],
}


@pytest.mark.parametrize("fault", CAUGHT)
def test_fault_is_found_by_kerberos(realm: Realm, tmp_path: Path, fault: str) -> None:
    profile, results = tmp_path / "kerberos.toml", tmp_path / "results.json"
    account = realm.account("password", auth="kerberos", service_keytab=str(realm.keytab))
    text = profile_text(realm, account, ntlm=False, spnego=False)
    profile.write_text(text, encoding="utf-8")
    cases = [word for case in CAUGHT[fault] for word in ("--case", case)]

    words = ["run", "--target", str(profile), "--fault", fault, "-n", "0", "--json", str(results), *cases]
    done = swn_torture(*words)

    assert done.returncode == 1, done.stdout + done.stderr
    outcomes = {
        each["id"]: each["outcome"] for each in json.loads(results.read_text(encoding="utf-8"))["cases"]
    }
    assert outcomes == dict.fromkeys(CAUGHT[fault], "failed")
