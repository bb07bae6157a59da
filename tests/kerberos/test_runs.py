"""The suite and the commands, by Kerberos alone: the reference refuses NTLM and SPNEGO."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from swn_torture.target import load_profile
from tests.harness.targets import serving
from tests.kerberos.profiles import profile_text
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kerberos.realm import Realm

#: Some cases of every kind: encodings, methods, transport, endpoint mapper, mgmt, security, two accounts.
SELECTION = (
    "test_interface_list_layout or test_version_parameter or test_mgmt or test_endpoint_mapper or test_bind "
    "or test_authentication or test_later_legs or test_kerberos or test_signatures "
    "or test_auth_padding or test_fragments or test_cancel"
)


@pytest.fixture
def profile(realm: Realm, tmp_path: Path) -> Path:
    """A profile of the reference without NTLM and SPNEGO, which the suite starts itself."""
    path = tmp_path / "kerberos.toml"
    account = realm.account("password", auth="kerberos", service_keytab=str(realm.keytab))
    second = realm.account("keytab", "witness2", auth="kerberos")
    path.write_text(profile_text(realm, account, second, ntlm=False, spnego=False), encoding="utf-8")
    return path


def swn_torture(*arguments: str, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program(), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def test_suite_has_a_verdict_by_kerberos_alone(profile: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"

    done = swn_torture("run", "--target", str(profile), "-k", SELECTION, "-n", "2", "--json", str(results))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Authentication: KERBEROS at PKT_INTEGRITY to cifs/SWNCLUSTER" in done.stdout
    cases = json.loads(results.read_text(encoding="utf-8"))["cases"]
    outcomes = {
        outcome: [each for each in cases if each["outcome"] == outcome]
        for outcome in ("passed", "not-tested", "deviation", "failed", "error")
    }
    assert len(outcomes["passed"]) >= 50
    assert len(outcomes["passed"]) + len(outcomes["not-tested"]) == len(cases)
    for case in outcomes["not-tested"]:
        reason = "hundreds of groups" if "large-ticket" in case["id"] else "the target does not offer"
        assert reason in case["reason"] or "the target does not offer" in case["reason"], case
    checked = {check["requirement"] for each in cases for check in each["checks"]}
    assert "RPC-AUTH-spn-cifs" in checked
    last_leg = "rpc.authentication.last-leg"
    assert {f"{last_leg}[ntlm]", f"{last_leg}[spnego]"} <= {case["id"] for case in outcomes["not-tested"]}


def test_large_ticket(realm: Realm, tmp_path: Path) -> None:
    """A long name in ticket and authenticator has the effect of many groups; an MIT KDC has no groups."""
    name = "w" * 2000
    realm.realm.run_kadminl(f"addprinc -pw Passw0rd! {name}")
    account = realm.account("password")
    second = {**account, "username": name}
    profile, results = tmp_path / "large.toml", tmp_path / "results.json"
    profile.write_text(profile_text(realm, account, second), encoding="utf-8")
    words = ["--target", str(profile), "-k", "test_large_ticket", "-n", "0", "--json", str(results)]

    done = swn_torture("run", *words)

    assert done.returncode == 0, done.stdout + done.stderr
    cases = json.loads(results.read_text(encoding="utf-8"))["cases"]
    assert [case["outcome"] for case in cases] == ["passed"] * 3, cases


@pytest.fixture
def served(realm: Realm, profile: Path, tmp_path: Path) -> Iterator[Path]:
    """The profile of such a cluster that runs."""
    embedded = load_profile(str(profile))
    with serving(embedded) as running:
        rows = [
            f'[[node]]\nname = "{node.name}"\naddress = "{node.address}"\n'
            f"endpoint_mapper_port = {node.endpoint_mapper_port}"
            for node in running.nodes
        ]
        text = profile.read_text(encoding="utf-8").replace("[embedded]", "[ignored]")
        head = text.partition("[ignored]")[0]
        path = tmp_path / "served.toml"
        table = "\n".join(
            ("[controller]", *(f"{key} = {json.dumps(value)}" for key, value in running.controller.items()))
        )
        path.write_text("\n".join([head, *rows, table]), encoding="utf-8")
        yield path


@pytest.mark.parametrize("arguments", [(), ("--auth", "kerberos", "--level", "privacy", "--ndr64")])
def test_client_command(served: Path, arguments: tuple[str, ...]) -> None:
    done = swn_torture("client", "interfaces", "--target", str(served), *arguments)

    assert done.returncode == 0, done.stderr
    assert "NODE3" in done.stdout


def test_client_command_says_what_the_server_does_not_offer(served: Path) -> None:
    done = swn_torture("client", "interfaces", "--target", str(served), "--auth", "ntlm")

    assert done.returncode == 3
    assert "authentication_type_not_recognized (8)" in done.stderr


def test_doctor(served: Path) -> None:
    done = swn_torture("doctor", "--target", str(served))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok           Kerberos ticket: cifs/SWNCLUSTER, for witness@SWN.TEST" in done.stdout
    assert "NODE1: KERBEROS: served at PKT_INTEGRITY" in done.stdout
    assert "ok           NODE1: principal: it names cifs/SWNCLUSTER (inq_princ_name); " in done.stdout
    assert "BROKEN" not in done.stdout


def test_doctor_names_the_ticket_as_the_first_broken_link(served: Path) -> None:
    served.write_text(served.read_text(encoding="utf-8").replace("Passw0rd!", "wrong", 1), encoding="utf-8")

    done = swn_torture("doctor", "--target", str(served))

    assert done.returncode == 3
    assert "BROKEN       Kerberos ticket: Kerberos: no ticket for witness@SWN.TEST" in done.stdout
    assert "check the password" in done.stdout


def test_doctor_says_which_principal_is_used_instead(served: Path) -> None:
    text = served.read_text(encoding="utf-8")
    served.write_text(text.replace("net_name", 'spn_host = "elsewhere"\nnet_name', 1), encoding="utf-8")

    done = swn_torture("doctor", "--target", str(served))

    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "note         Kerberos ticket: cifs/SWNCLUSTER, for witness@SWN.TEST. The KDC does not" in done.stdout
    )
    assert 'write spn = "cifs/SWNCLUSTER" in [account]' in done.stdout


def test_run_without_a_ticket_ends_with_exit_code_3(profile: Path) -> None:
    text = profile.read_text(encoding="utf-8")
    profile.write_text(text.replace("Passw0rd!", "wrong", 1), encoding="utf-8")

    done = swn_torture("run", "--target", str(profile), "-k", "test_mgmt", "-n", "0")

    assert done.returncode == 3, done.stdout + done.stderr
    assert "There is no Kerberos ticket for cifs/SWNCLUSTER." in " ".join((done.stdout + done.stderr).split())


def test_cluster_command_reads_the_nodes(served: Path) -> None:
    done = swn_torture("cluster", "status", "--target", str(served))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "NODE3" in done.stdout
