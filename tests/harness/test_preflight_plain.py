"""A server that is called without authentication: it knows no service, or the profile says so."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.account import Account
from swn_torture.casekit.case import CaseMark
from swn_torture.casekit.checks import Spec
from swn_torture.casekit.connections import Connections
from swn_torture.casekit.facts import PROFILE_SAYS_NONE, TargetFacts
from swn_torture.casekit.known import Blocked, NotTestable
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.server.authentication import Authenticator
from swn_torture.harness.rung_gate import blocked_by
from swn_torture.target import ProfileError, load_profile, parse_profile
from tests.harness.targets import learn_about, reference, serving

if TYPE_CHECKING:
    from swn_torture.harness.preflight.learning import Preflight

ANONYMOUS = Account("", "", "", "none")
LEVELS = "RPC-AUTH-bind-levels"


class NoAuthentication(Authenticator):
    """The server knows no authentication service."""

    def __init__(self, connection: Any, _: Any, options: Any) -> None:
        super().__init__(connection, None, options)


def learned_plainly(*parts: type, account: Account | None = ANONYMOUS, **embedded: Any) -> Preflight:
    """What a preflight finds out with another account."""
    with serving(reference(**embedded), *parts) as profile:
        account = account or profile.account
        return learn_about(dataclasses.replace(profile, account=account, nodes=profile.nodes[:1]))


@pytest.mark.parametrize("account", [ANONYMOUS, None], ids=["auth-none", "account"])
def test_server_without_security_is_judged_at_level_none(account: Account | None) -> None:
    found = learned_plainly(NoAuthentication, account=account, enforce_security=False)

    assert not found.trouble
    assert (found.facts.level, found.facts.no_security) == (AuthLevel.NONE, LEVELS)
    assert [finding.requirement for finding in found.findings] == [LEVELS]
    assert found.facts.warnings[0] == (
        f"The target is called without authentication, which violates {LEVELS}. "
        "All verdicts but those on the rung Security were obtained so."
    )
    assert found.facts.broken == ()


def test_profile_may_say_none_to_a_server_with_security() -> None:
    found = learned_plainly(enforce_security=False)

    assert not found.findings
    assert found.facts.no_security == PROFILE_SAYS_NONE


def test_server_that_demands_authentication_needs_an_account() -> None:
    trouble = learned_plainly().trouble

    assert trouble.startswith("The target rejects a GetInterfaceList without authentication. NODE1: ERROR_")
    assert "give username, password and domain in" in trouble


def test_cases_about_security_are_not_run() -> None:
    facts = TargetFacts(level=AuthLevel.NONE, no_security=LEVELS)
    changed = blocked_by("rpc.signatures.changed-pdu[x]", CaseMark(("RPC-AUTH-bad-signature",)), facts)
    assert changed is not None
    assert changed.requirement == LEVELS
    enforces = CaseMark(("SWN-3.1.4-enforce-security",))
    assert blocked_by("rpc.access.caller-without-authentication[ndr32]", enforces, facts) is None
    assert blocked_by("rpc.bind.no-contexts", CaseMark(("RPC-BIND-no-contexts",)), facts) is None


@pytest.mark.parametrize(("why", "error"), [(LEVELS, Blocked), (PROFILE_SAYS_NONE, NotTestable)])
def test_case_that_authenticates_ends(why: str, error: type[Exception]) -> None:
    facts = TargetFacts(level=AuthLevel.NONE, no_security=why)
    connections = Connections(load_profile("reference"), Spec("rpc.calls.x", ()), facts=facts)
    assert connections.logon() == {}
    with pytest.raises(error):
        connections.logon(level=AuthLevel.INTEGRITY)


def test_profile_without_an_account() -> None:
    data = {
        "schema": "swn-torture-target/1",
        "name": "x",
        "net_name": "X",
        "node": [{"name": "n", "address": "192.0.2.1"}],
    }
    assert parse_profile({**data, "account": {"auth": "none"}}).account.anonymous
    with pytest.raises(
        ProfileError, match=r'auth in .account. must be "any", "ntlm", "spnego", "kerberos" or "none"'
    ):
        parse_profile({**data, "account": {"auth": "basic"}})
