"""Each fact that a preflight learns, from a reference cluster on which it is otherwise."""

from __future__ import annotations

import dataclasses
import json

import pytest
from typing_extensions import override

from swn_torture.casekit.facts import TargetFacts
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.authentication import Authenticator
from swn_torture.harness.live_target import learn_target
from swn_torture.harness.preflight.learning import Preflight
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.win32 import Win32
from tests.acceptors import NtlmOnly, SpnegoOnly
from tests.harness.targets import learn_about, learned, reference, serving


class NoService(Acceptor):
    @property
    @override
    def auth_types(self) -> frozenset[AuthType]:
        return frozenset()


class KerberosOnly(Acceptor):
    @property
    @override
    def auth_types(self) -> frozenset[AuthType]:
        return frozenset({AuthType.KERBEROS})


class Everybody(WitnessEndpoint):
    """Serves every caller."""

    @override
    def denied(self, caller: object) -> Win32:
        return Win32.ERROR_SUCCESS


class NtlmNeverCompletes(Authenticator):
    """Offers NTLM, and ignores its last leg."""

    @override
    def auth3(self, pdu: object) -> None:
        return


def test_what_is_learned_of_the_reference() -> None:
    facts = learn_target(reference()).facts

    assert (facts.auth_type, facts.level) == (AuthType.NTLM, AuthLevel.INTEGRITY)
    assert facts.offers(AuthType.NTLM) is facts.offers(AuthType.SPNEGO) is True
    assert facts.offers(AuthType.KERBEROS) is False
    assert facts.multiplexing is facts.header_signing is facts.ndr64 is True
    assert (facts.registrations, facts.warnings, facts.left_out) == (None, (), {})
    assert facts.registrations_tried > 100
    assert [node.name for node in facts.nodes] == ["NODE1", "NODE2", "NODE3"]
    assert all(node.mapped_port and node.tries == 1 for node in facts.nodes)


def test_facts_survive_as_json() -> None:
    found = dataclasses.replace(learned(), trouble="some trouble")

    assert Preflight.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_interface_list_says_which_interfaces_are_own() -> None:
    facts = learned().facts

    for node in facts.nodes:
        assert node.interfaces is not None
        assert [each.group for each in node.interfaces if each.own] == [node.name]
        assert {each.version for each in node.interfaces} == {0x00020000}
        assert {each.state for each in node.interfaces} == {"AVAILABLE"}
    assert facts.nodes[0].interfaces is not None
    assert len(facts.nodes[0].interfaces[1].addresses) == 2


# Services and levels
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acceptor", "used", "other"),
    [(NtlmOnly, AuthType.NTLM, AuthType.SPNEGO), (SpnegoOnly, AuthType.SPNEGO, AuthType.NTLM)],
)
def test_only_service_is_used(acceptor: type, used: AuthType, other: AuthType) -> None:
    found = learned(acceptor)

    assert not found.trouble
    assert (found.facts.auth_type, found.facts.level) == (used, AuthLevel.INTEGRITY)
    assert found.facts.offers(used) is True
    assert found.facts.offers(other) is False
    assert f"does not offer {other.name} (" in (found.facts.not_offered(other) or "")
    assert "NODE1, NODE2, NODE3" in (found.facts.not_offered(other) or "")


def test_server_that_knows_only_kerberos_is_trouble() -> None:
    trouble = learned(KerberosOnly).trouble

    assert "does not offer the authentication services of this suite" in trouble
    assert trouble.count("authentication_type_not_recognized (8)") == 2


@pytest.mark.parametrize("serves", [False, True])
def test_server_without_security_is_a_finding(*, serves: bool) -> None:
    parts = (NoService, Everybody) if serves else (NoService,)
    found = learned(*parts, minimum_level="NONE")

    assert not found.trouble
    assert {finding.requirement for finding in found.findings} == {"RPC-AUTH-bind-levels"}
    assert found.facts.level == (AuthLevel.NONE if serves else AuthLevel.INTEGRITY)
    assert (found.facts.nodes[0].interfaces is not None) == serves


def test_broken_service_is_offered_and_not_used() -> None:
    facts = learned(NtlmNeverCompletes).facts

    assert facts.offers(AuthType.NTLM) is True
    assert facts.not_offered(AuthType.NTLM) is None
    assert facts.auth_type == AuthType.SPNEGO


@pytest.mark.parametrize("by", ["result", "fault"])
def test_required_privacy_is_used(by: str) -> None:
    facts = learned(minimum_level="PRIVACY", denied_by=by).facts

    assert (facts.auth_type, facts.level) == (AuthType.NTLM, AuthLevel.PRIVACY)
    assert facts.requires_privacy
    assert facts.not_served(AuthLevel.INTEGRITY)
    assert facts.not_served(AuthLevel.PRIVACY) is None
    assert facts.not_served(AuthLevel.CONNECT) is None
    assert facts.registrations_tried > 100


def test_services_of_nodes_can_differ() -> None:
    with serving(reference(), NtlmOnly) as first, serving(reference()) as second:
        both = dataclasses.replace(first, nodes=(first.nodes[0], second.nodes[1]))
        facts = learn_about(both).facts

    assert facts.offers(AuthType.SPNEGO) is False
    assert facts.auth_type == AuthType.NTLM
    (warning,) = facts.warnings
    assert warning.startswith("NODE2 offers SPNEGO (RPC_C_AUTHN_GSS_NEGOTIATE), but NODE1 does not.")


# Features and limits
# ----------------------------------------------------------------------------------------------------------


def test_features_that_are_not_confirmed() -> None:
    facts = learned(ndr64=False, rpc={"multiplex": False, "header_signing": False}).facts

    assert facts.multiplexing is facts.header_signing is facts.ndr64 is False


@pytest.mark.parametrize("code", ["ERROR_NO_SYSTEM_RESOURCES", "ERROR_NOT_ENOUGH_MEMORY"])
def test_limit_of_registrations(code: str) -> None:
    facts = learned(max_registrations=60, exhausted=code).facts

    assert facts.registrations == 60
    assert facts.no_room(60) is None
    assert facts.no_room(61)
    assert facts.warnings == (
        "The target holds 60 registrations at the same time. The cases make no more, or are not tested.",
    )


def test_registrations_are_gone_after_the_preflight() -> None:
    with serving(reference(max_registrations=60)) as profile:
        assert learn_about(profile).facts.registrations == 60
        assert learn_about(profile).facts.registrations == 60


def test_other_error_is_no_limit() -> None:
    facts = learned(max_registrations=60, exhausted="ERROR_INVALID_STATE").facts

    assert facts.registrations is None


def test_nothing_is_known_without_a_node() -> None:
    facts = TargetFacts()

    assert facts.offers(AuthType.NTLM) is None
    assert facts.not_offered(AuthType.NTLM) is facts.not_served(AuthLevel.INTEGRITY) is None
    assert facts.multiplexing is facts.header_signing is facts.ndr64 is None
    assert facts.no_room(1000) is None
