"""A lab in a domain without NTLM: Kerberos is the only way in, the suite runs there, and nothing remains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.dcerpc.security.extra import kerberos_missing
from swn_torture.lab import directory
from swn_torture.lab.config import namespace
from swn_torture.lab.domain.names import CONTROLLER
from swn_torture.lab.profile import profile_of, to_toml
from swn_torture.lab.settings import node_files, smb_conf, start_services
from swn_torture.target import parse_profile
from tests.lab.test_lab_lifecycle import NOTHING, host_network, remains

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_DOMAIN = lab.LabConfig(in_domain=True, ntlm=False)

#: A call, an encoding, the transport, the second cluster of the lab.
SELECTION = (
    "test_interface_list_layout or test_wrong_version or test_signatures or test_large_ticket or renamed"
)


def test_domain_and_other_settings_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(lab.LabError, match="--domain excludes --samba"):
        lab.LabConfig(in_domain=True, samba=str(tmp_path))
    with pytest.raises(lab.LabError, match="--no-ntlm needs --domain"):
        lab.LabConfig(ntlm=False)


def test_members_know_the_domain(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/shadow").write_text("root:*:::::::\n", encoding="utf-8")
    files = node_files(IN_DOMAIN, IN_DOMAIN.node_configs[1], tmp_path)
    assert "etc/passwd" not in files
    assert files["etc/shadow"] == ("root:*:::::::\n", 0o640)
    assert files["etc/resolv.conf"][0].splitlines()[-1] == "nameserver 198.51.100.5"
    assert "198.51.100.10 node1.swn.test\n" in files["etc/hosts"][0]
    assert "  kdc = 198.51.100.5\n" in files["etc/krb5.conf"][0]
    assert json.loads(files["etc/swn-probe.json"][0])["names"]["198.51.100.12"] == "node3.swn.test"
    assert "  security = ads\n" in smb_conf(IN_DOMAIN)
    assert start_services(IN_DOMAIN)[0] == ("winbindd", "-D")


@pytest.mark.parametrize("auth", ["kerberos", "spnego"])
def test_profile_logs_on_with_tickets(auth: str) -> None:
    text = to_toml(profile_of(IN_DOMAIN, auth=auth))
    account = parse_profile(tomllib.loads(text)).account
    assert (account.auth, account.realm, account.kdc) == (auth, "SWN.TEST", "198.51.100.5")
    assert (account.username, account.domain) == ("witness", "SWNTEST")


# In a lab


@pytest.fixture
def in_domain(lab_host: None, lab_name: str) -> Iterator[lab.Lab]:
    """A lab in a domain that refuses NTLM; nothing of it is left after the test."""
    if reason := kerberos_missing():
        if os.environ.get("SWN_TORTURE_REQUIRE_KERBEROS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    name = f"{lab_name}dom"
    before = host_network(), *(_text(f"/etc/{each}") for each in ("krb5.conf", "resolv.conf", "hosts"))
    try:
        started = lab.up(lab.LabConfig(name=name, nodes=2, in_domain=True, ntlm=False))
        lab.write_profile(started)
        yield started
    finally:
        lab.down(name)
    assert remains(name) == NOTHING
    assert before == (
        host_network(),
        *(_text(f"/etc/{each}") for each in ("krb5.conf", "resolv.conf", "hosts")),
    )


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def on(started: lab.Lab, node: str, *argv: str) -> str:
    done = subprocess.run([*started.node_prefix(node), *argv], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def swn_torture(*words: str) -> str:
    argv = [sys.executable, "-m", "swn_torture", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    return done.stdout + done.stderr


@pytest.mark.lab
def test_suite_runs_by_kerberos_where_ntlm_is_refused(in_domain: lab.Lab, tmp_path: Path) -> None:
    assert lab.status(in_domain.name).state == "up"
    assert remains(in_domain.name)["namespaces"][1] == namespace(in_domain.name, CONTROLLER)
    # All nodes are one member: the machine account works on the node that did not join.
    assert "Join is OK" in on(in_domain, "node2", "net", "ads", "testjoin")
    assert "SWNTEST\\witness:" in on(in_domain, "node2", "getent", "passwd", "SWNTEST\\witness")
    share = ["smbclient", "//node1.swn.test/data", "--user=witness@SWN.TEST%Passw0rd!", "-c", "ls"]
    assert "blocks available" in on(in_domain, "node2", *share, "--use-kerberos=required")
    assert "NT_STATUS_NTLM_BLOCKED" in on(in_domain, "node2", *share, "--use-kerberos=off")

    assert directory.service_keytab(in_domain.name).stat().st_mode & 0o777 == 0o600
    assert on(in_domain, "dc", "samba-tool", "group", "list").count("witness2-group") == 600

    profile = in_domain.directory / "profile.toml"
    text = profile.read_text(encoding="utf-8")
    by_keytab = tmp_path / "keytab.toml"
    keytab = f'keytab = "{directory.keytab(in_domain.name, "witness")}"'
    by_keytab.write_text(text.replace('password = "Passw0rd!"', keytab), encoding="utf-8")
    for target in (by_keytab, in_domain.directory / "profile-spnego.toml"):
        assert "198.51.100.200" in swn_torture("client", "interfaces", "--target", str(target))

    results = tmp_path / "results.json"
    words = ["run", "--target", str(profile), "-k", SELECTION, "-n", "2", "--json", str(results)]
    said = swn_torture(*words)
    assert "Authentication: KERBEROS at PKT_INTEGRITY to cifs/SWNCLUSTER" in said
    outcomes = {
        each["id"]: each["outcome"] for each in json.loads(results.read_text(encoding="utf-8"))["cases"]
    }
    assert "error" not in outcomes.values(), said
    assert list(outcomes.values()).count("passed") >= 10, outcomes
