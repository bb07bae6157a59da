"""The target as the head of a report describes it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING

from swn_torture.casekit.facts import InterfaceFacts, NodeFacts, ServiceFacts, TargetFacts
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.harness.description import describe_target
from swn_torture.target import load_profile
from tests.harness.targets import reference

if TYPE_CHECKING:
    import pytest

NODE = NodeFacts(
    "node1",
    "198.51.100.10",
    services={
        "NTLM": ServiceFacts(offered=False),
        "SPNEGO": ServiceFacts(offered=True),
        "KERBEROS": ServiceFacts(offered=True),
    },
    ndr64=True,
    interfaces=(
        InterfaceFacts("node1", ("198.51.100.101",), "AVAILABLE", own=True, version=0x00020000),
        InterfaceFacts("node2", ("198.51.100.102", "fd53::2"), "UNAVAILABLE", own=False, version=0x00020000),
    ),
)
SHOWN = TargetFacts(
    nodes=(NODE,),
    left_out={"node2": "no answer"},
    auth_type=AuthType.SPNEGO,
    level=AuthLevel.PRIVACY,
    registrations=60,
    registrations_tried=60,
    server="Samba 4.22.3 (Windows NT 6.1)",
    shares="data (type 0x00000000)",
    warnings=("A warning.",),
)


def test_live_target() -> None:
    target = describe_target(load_profile("samba-lab"), SHOWN)

    assert target.title == "Samba 4.22.3 (Windows NT 6.1)"
    assert target.nodes == (
        "node1 (198.51.100.10)",
        "node2 (198.51.100.11, left out)",
        "node3 (198.51.100.12)",
    )
    assert target.warnings == ("A warning.",)
    assert target.facts == {
        "profile": "samba-lab.toml",
        "product": "Samba 4.22.3 (Windows NT 6.1)",
        "authentication": "SPNEGO at PKT_PRIVACY; offered: SPNEGO, KERBEROS; not offered: NTLM",
        "transfer syntaxes": "NDR32, NDR64",
        "interface list": "by node1: node1 198.51.100.101 AVAILABLE (own), "
        "node2 198.51.100.102/fd53::2 UNAVAILABLE",
        "registrations": "at most 60",
        "shares": "data (type 0x00000000)",
    }


def test_lab_says_what_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(samba="4.25.0", builds={"smbd": "0a1b"})
    monkeypatch.setattr("swn_torture.lab.find_by_namespace", {"swn-lab-client": found}.get)
    monkeypatch.setattr("swn_torture.lab.title", lambda found: f"Samba {found.samba} on Debian forky (lab)")
    lab = dataclasses.replace(load_profile("samba-lab"), title="a title that is too old")

    described = describe_target(lab, SHOWN)
    assert described.title == "Samba 4.25.0 on Debian forky (lab)"
    assert described.facts["version"] == "Samba 4.25.0"
    assert described.facts["build ids"] == "smbd 0a1b"
    elsewhere = dataclasses.replace(lab, network_namespace=None)
    assert describe_target(elsewhere, SHOWN).title == "a title that is too old"


def test_embedded_cluster_has_no_addresses() -> None:
    """Each process has a cluster of its own, with other addresses."""
    target = describe_target(reference(fault="x", unusual="y"), SHOWN)

    assert target.nodes == ("node1",)
    assert target.title == "swn-torture reference cluster, MS-SWN 14.0"
    assert "interface list" not in target.facts
    assert (target.facts["fault"], target.facts["unusual server"]) == ("x", "y")


def test_nothing_is_known_before_the_first_case() -> None:
    target = describe_target(reference())

    assert target.facts == {"profile": "reference.toml"}
    assert target.nodes == target.warnings == ()
