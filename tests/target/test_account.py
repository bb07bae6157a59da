"""The account of a profile: which services it can use, and what is wrong with its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.account import Account
from swn_torture.dcerpc.security.context import Credentials, Tickets
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.target import ProfileError, parse_profile

if TYPE_CHECKING:
    from pathlib import Path

NTLM, SPNEGO, KERBEROS = AuthType.NTLM, AuthType.SPNEGO, AuthType.KERBEROS
DATA: dict[str, Any] = {
    "schema": "swn-torture-target/1",
    "name": "x",
    "net_name": "CLUSTER",
    "node": [{"name": "n", "address": "192.0.2.1"}],
}


@pytest.fixture
def with_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swn_torture.account.kerberos_missing", lambda: "")


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swn_torture.account.kerberos_missing", lambda: "install the extra")


def account(directory: Path, **keys: Any) -> Account:
    return parse_profile({**DATA, "account": keys}, source=str(directory / "p.toml")).account


@pytest.mark.usefixtures("with_extra")
@pytest.mark.parametrize(
    ("keys", "services"),
    [
        ({}, (NTLM, SPNEGO)),
        ({"realm": "R"}, (KERBEROS, SPNEGO, NTLM)),
        ({"auth": "ntlm"}, (NTLM,)),
        ({"auth": "spnego"}, (SPNEGO,)),
        ({"auth": "kerberos"}, (KERBEROS,)),
        ({"keytab": "k", "password": ""}, (KERBEROS, SPNEGO)),
        ({"ccache": "c", "password": ""}, (KERBEROS, SPNEGO)),
        ({"auth": "none"}, ()),
    ],
)
def test_services_of_an_account(keys: dict[str, str], services: tuple[AuthType, ...]) -> None:
    found = Account(**{"username": "u", "password": "p", **keys})

    assert found.services == services
    for service in AuthType:
        assert bool(found.why_not(service)) == (service not in services)


@pytest.mark.usefixtures("without_extra")
@pytest.mark.parametrize(
    ("keys", "services"),
    [
        ({"realm": "R"}, (NTLM, SPNEGO)),
        ({"auth": "kerberos"}, ()),
        ({"auth": "spnego", "realm": "R"}, (SPNEGO,)),
        ({"keytab": "k", "password": ""}, ()),
    ],
)
def test_services_without_the_extra(keys: dict[str, str], services: tuple[AuthType, ...]) -> None:
    found = Account(**{"username": "u", "password": "p", **keys})

    assert found.services == services
    if KERBEROS not in services and found.auth != "spnego":
        assert found.why_not(KERBEROS) == "install the extra"
    assert found.to_try == (services or (KERBEROS,))  # the failed logon names the extra
    if services:
        assert found.credentials().tickets is None  # SPNEGO then offers NTLM only


@pytest.mark.usefixtures("with_extra")
def test_credentials_have_tickets_only_where_the_profile_has_a_source() -> None:
    assert Account("u", "p", "D").credentials() == Credentials("u", "p", "D")
    assert Account("u", "p", "D", "ntlm").credentials() == Credentials("u", "p", "D")
    found = Account("u", "p", "D", realm="R", kdc="k:88", spn="cifs/x").credentials()
    assert found == Credentials("u", "p", "D", tickets=Tickets("R", kdc="k:88", spn="cifs/x"))


def test_service_principal_name() -> None:
    profile = parse_profile({**DATA, "account": {"username": "u", "password": "p"}})
    assert profile.principal == "cifs/CLUSTER"
    profile = parse_profile({**DATA, "spn_host": "c.example", "account": {"username": "u", "password": "p"}})
    assert profile.principal == "cifs/c.example"
    keys = {"username": "u", "password": "p", "realm": "R", "spn": "host/other@R2"}
    assert parse_profile({**DATA, "account": keys}).principal == "host/other@R2"
    assert parse_profile({**DATA, "account": {**keys, "spn": "C$@R"}}).principal == "C$@R"


def test_second_account_asks_for_the_same_service() -> None:
    keys = {"username": "u", "password": "p", "realm": "R"}
    accounts = {"account": {**keys, "spn": "cifs/other"}, "second_account": keys}
    second = parse_profile({**DATA, **accounts}).second_account
    assert second is not None
    assert second.spn == "cifs/other"


@pytest.mark.parametrize(
    ("keys", "realm", "kdc"),
    [
        ({"domain": "d"}, "R", "k"),
        ({"domain": "D", "realm": "R2"}, "R2", ""),
        ({"domain": "E"}, "", ""),
        ({"domain": "D", "auth": "ntlm"}, "", ""),
    ],
)
def test_second_account_of_the_domain_has_its_realm(keys: dict[str, str], realm: str, kdc: str) -> None:
    first = {"username": "u", "password": "p", "domain": "D", "realm": "R", "kdc": "k"}
    accounts = {"account": first, "second_account": {"username": "v", "password": "p", **keys}}
    second = parse_profile({**DATA, **accounts}).second_account
    assert second is not None
    assert (second.realm, second.kdc) == (realm, kdc)


def test_files_are_beside_the_profile(tmp_path: Path) -> None:
    (tmp_path / "k").touch()
    (tmp_path / "c").touch()

    assert account(tmp_path, keytab="k").keytab == str(tmp_path / "k")
    assert account(tmp_path, ccache=f"FILE:{tmp_path}/c").ccache == str(tmp_path / "c")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"auth": "basic"}, r'auth in \[account\] must be .*"kerberos" or "none", not '),
        ({"auth": ["ntlm"]}, r"auth in \[account\] must be"),
        ({"keytab": "absent"}, r"keytab in \[account\]: there is no file .*/absent; make it on the KDC"),
        (
            {"ccache": "absent"},
            r"ccache in \[account\]: there is no file .*/absent; fetch a ticket",
        ),
        ({"keytab": "k", "ccache": "k"}, "has a keytab and a ccache; keep one"),
        ({"password": "p", "keytab": "k"}, "has a password and a keytab; keep one"),
        ({"password": "p", "ccache": "k"}, "has a password and a ccache; keep one"),
        ({"auth": "ntlm", "keytab": "k"}, r'keytab in \[account\] is for Kerberos, but auth = "ntlm"'),
        ({"auth": "none", "realm": "R"}, r'realm in \[account\] is for Kerberos, but auth = "none"'),
        ({"password": "p", "kdc": "h"}, "has a kdc and no realm"),
        ({"password": "p", "realm": "R", "kdc": "a b"}, r'kdc in .* must be "HOST" or "HOST:PORT", not '),
        ({"password": "p", "realm": "R", "kdc": "h:88:9x"}, "kdc in"),
        (
            {"password": "p", "realm": "R", "spn": "cifs"},
            r'spn in .* must be "SERVICE/HOST" or "MACHINE\$", not',
        ),
        ({"password": "p", "realm": 5}, r"realm in \[account\] must be a string, not 5"),
        ({"auth": "kerberos"}, r"\[account\] has no password"),
        ({"password": "p", "ticket": "k"}, "unknown key ticket"),
    ],
)
def test_mistakes_in_the_table(tmp_path: Path, keys: dict[str, Any], text: str) -> None:
    (tmp_path / "k").touch()

    with pytest.raises(ProfileError, match=text):
        account(tmp_path, **{"username": "u", **keys})


@pytest.mark.parametrize("kdc", ["h", "h.example:88", "192.0.2.1", "192.0.2.1:88", "2001:db8::1", "[::1]:88"])
def test_address_of_a_kdc(tmp_path: Path, kdc: str) -> None:
    assert account(tmp_path, username="u", password="p", realm="R", kdc=kdc).kdc == kdc
