"""What the preflight finds where the account has tickets: the service to use, or why a run cannot begin."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.harness.description import describe_target
from swn_torture.harness.live_target import LiveTarget, learn_target
from swn_torture.harness.preflight.tickets import names_another
from tests.harness.targets import learn_about, serving
from tests.kerberos.profiles import profile_in

if TYPE_CHECKING:
    from swn_torture.harness.preflight.learning import Preflight
    from swn_torture.target import Profile
    from tests.kerberos.realm import Realm


def learn_live(profile: Profile) -> Preflight:
    with serving(profile) as running:
        # A server that asks a KDC and runs in this process may take a while to answer.
        return learn_about(running, step=5.0)


@pytest.mark.parametrize("auth", ["any", "kerberos"])
def test_server_with_kerberos_only_is_called_by_kerberos(realm: Realm, auth: str) -> None:
    profile = profile_in(realm, realm.account("password", auth=auth), ntlm=False, spnego=False)

    found = learn_live(profile)

    facts = found.facts
    assert not found.trouble
    assert not found.findings
    assert (facts.auth_type, facts.level) == (AuthType.KERBEROS, AuthLevel.INTEGRITY)
    assert facts.registrations_tried
    for service in (AuthType.NTLM, AuthType.SPNEGO):
        assert f"does not offer {service.name} (" in (facts.not_offered(service) or "")
    assert facts.not_offered(AuthType.KERBEROS) is None
    assert facts.named_principal == "cifs/SWNCLUSTER"
    assert not facts.warnings
    text = describe_target(profile, facts).facts["authentication"]
    assert text == (
        "KERBEROS at PKT_INTEGRITY to cifs/SWNCLUSTER; offered: KERBEROS; not offered: NTLM, SPNEGO"
    )


def test_kerberos_is_the_first_choice_of_an_account_with_a_realm(realm: Realm) -> None:
    facts = learn_live(profile_in(realm, realm.account("password"))).facts

    assert facts.auth_type == AuthType.KERBEROS
    assert all(facts.offers(each) for each in (AuthType.NTLM, AuthType.SPNEGO, AuthType.KERBEROS))
    assert not facts.unused


@pytest.mark.parametrize(
    ("auth", "others"), [("kerberos", (AuthType.NTLM, AuthType.SPNEGO)), ("spnego", (AuthType.NTLM,))]
)
def test_services_that_the_profile_excludes_are_not_used(
    realm: Realm, auth: str, others: tuple[AuthType, ...]
) -> None:
    facts = learn_live(profile_in(realm, realm.account("password", auth=auth))).facts

    assert facts.auth_type == AuthType[auth.upper()]
    for service in others:
        assert f'the profile says auth = "{auth}" in [account]' in (facts.not_offered(service) or "")


def test_account_without_a_password_does_not_use_ntlm(realm: Realm) -> None:
    facts = learn_live(profile_in(realm, realm.account("keytab"))).facts

    assert facts.auth_type == AuthType.KERBEROS
    assert "the profile has no password" in (facts.not_offered(AuthType.NTLM) or "")


@pytest.mark.parametrize("live", [True, False], ids=["live", "embedded"])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"password": "wrong"}, "check the password"),
        ({"kdc": "127.0.0.1:1", "realm": "OTHER.TEST"}, "check that the KDC runs"),
        ({"spn": "cifs/elsewhere"}, "cifs/elsewhere@SWN.TEST not found"),
    ],
    ids=["password", "kdc", "spn"],
)
def test_without_a_ticket_a_run_cannot_begin(
    realm: Realm, change: dict[str, str], text: str, *, live: bool
) -> None:
    account = {**realm.account("password", auth="kerberos"), **change}
    profile = profile_in(realm, account, ntlm=False, spnego=False)

    found = learn_live(profile) if live else learn_target(profile)

    principal = account.get("spn", "cifs/SWNCLUSTER")
    assert found.trouble.startswith(f"There is no Kerberos ticket for {principal}.")
    assert text in found.trouble
    assert "[account] of reference.toml" in found.trouble


def test_without_a_ticket_a_run_uses_ntlm_where_it_may(realm: Realm) -> None:
    account = {**realm.account("password"), "spn": "cifs/elsewhere"}

    found = learn_live(profile_in(realm, account))

    assert not found.trouble
    assert found.facts.auth_type == AuthType.NTLM
    (warning,) = found.facts.warnings
    assert warning.startswith("The suite does not use Kerberos. Kerberos: no ticket for cifs/elsewhere@")
    assert "cifs/elsewhere" in (found.facts.not_offered(AuthType.KERBEROS) or "")


def test_without_the_extra_a_run_by_kerberos_says_what_to_install(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = profile_in(realm, realm.account("password", auth="kerberos"))
    monkeypatch.setattr("swn_torture.account.kerberos_missing", lambda: "install gssapi and krb5")

    assert "install gssapi and krb5" in learn_target(profile).trouble
    either = dataclasses.replace(profile.account, auth="any")
    found = learn_live(dataclasses.replace(profile, account=either))
    assert not found.trouble
    assert found.facts.warnings == ("The suite does not use Kerberos. install gssapi and krb5.",)


def test_server_with_kerberos_only_and_an_account_without_tickets(realm: Realm) -> None:
    account = {"username": "witness", "password": "Passw0rd!", "domain": "SWNTEST"}

    trouble = learn_live(profile_in(realm, account, ntlm=False, spnego=False)).trouble

    assert "does not offer the authentication services of this suite, NTLM" in trouble
    assert (
        "It offers Kerberos (RPC_C_AUTHN_GSS_KERBEROS), which is not used: the profile has no realm"
        in trouble
    )


def test_cluster_without_the_key_of_the_service(realm: Realm) -> None:
    """The KDC has the principal, the keytab of the cluster does not: the cluster rejects the ticket."""
    realm.realm.run_kadminl("addprinc -randkey cifs/unknown")
    account = realm.account("password", auth="kerberos", spn="cifs/unknown")

    trouble = learn_live(profile_in(realm, account, ntlm=False, spnego=False)).trouble

    assert "rejects the ticket of witness@SWN.TEST for cifs/unknown" in trouble
    assert "Check that the nodes have the keys of this principal, the clocks" in trouble


@pytest.fixture
def elsewhere(realm: Realm) -> Profile:
    """A cluster whose service principal name the KDC does not know by the name in the profile."""
    profile = profile_in(realm, realm.account("password", auth="kerberos"), ntlm=False, spnego=False)
    return dataclasses.replace(profile, spn_host="elsewhere")


def test_principal_that_the_server_names_is_used_if_the_kdc_does_not_know_the_one_by_default(
    elsewhere: Profile,
) -> None:
    with serving(elsewhere) as running:
        found = learn_about(running)
        with LiveTarget(running, found) as target:
            accounts = (target.profile.account, target.profile.second_account)

    assert not found.trouble
    assert found.facts.principal == "cifs/SWNCLUSTER"
    (warning,) = found.facts.warnings
    assert warning == (
        "The KDC does not know cifs/elsewhere. The suite asks for tickets for cifs/SWNCLUSTER, "
        "which the server names (inq_princ_name); spn in [account] overrides it."
    )
    assert {account.spn for account in accounts if account} == {"cifs/SWNCLUSTER"}


def test_principal_in_the_profile_overrides_the_one_that_the_server_names(
    realm: Realm, elsewhere: Profile
) -> None:
    realm.realm.addprinc("cifs/elsewhere2")
    realm.realm.extract_keytab("cifs/elsewhere2", str(realm.keytab))
    account = dataclasses.replace(elsewhere.account, spn="cifs/elsewhere2")

    found = learn_live(dataclasses.replace(elsewhere, account=account))

    assert found.facts.principal == "cifs/elsewhere2"
    (warning,) = found.facts.warnings
    assert warning == (
        "The suite asks for tickets for cifs/elsewhere2, but the server names the principal "
        "cifs/SWNCLUSTER (inq_princ_name). spn in [account] says which one to use."
    )


def test_server_that_names_no_principal(elsewhere: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Acceptor, "principal", "")

    trouble = learn_live(elsewhere).trouble

    assert trouble.startswith("There is no Kerberos ticket for cifs/elsewhere.")


@pytest.mark.parametrize(
    ("principal", "named", "another"),
    [
        ("cifs/CLUSTER", "CLUSTER$@SWN.TEST", False),
        ("cifs/cluster.swn.test", "cifs/CLUSTER@SWN.TEST", False),
        ("cifs/CLUSTER", "NODE1$@SWN.TEST", True),
        ("cifs/CLUSTER", "", False),
        ("", "NODE1$@SWN.TEST", False),
    ],
)
def test_names_of_one_host(principal: str, named: str, *, another: bool) -> None:
    assert names_another(principal, named) is another
