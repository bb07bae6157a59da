"""Tickets from a password, a keytab or a ticket cache, and what is said where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swn_torture.account import Account
from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials, Tickets
from swn_torture.dcerpc.security.tickets import NoTicket, fetch_ticket, name_of, principals_of, ticket_cache
from tests.kerberos.realm import HOSTS, NAME, NET_NAME, USERS

if TYPE_CHECKING:
    from tests.kerberos.realm import Realm

SERVICE = f"cifs/{NET_NAME}"


@pytest.mark.parametrize("source", ["password", "keytab", "ccache"])
def test_service_ticket_from_each_source(realm: Realm, source: str) -> None:
    account = Account(**realm.account(source))

    path = fetch_ticket(account.credentials(), SERVICE)

    assert path is not None
    listed = realm.tickets_in(path)
    assert f"Default principal: witness@{NAME}" in listed
    assert f"{SERVICE}@{NAME}" in listed
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_ticket_cache_of_the_user_stays_as_it_is(realm: Realm) -> None:
    before = realm.ccache_of("witness2").read_bytes()

    path = fetch_ticket(Account(**realm.account("ccache", "witness2")).credentials(), SERVICE)

    assert path != realm.ccache_of("witness2")
    assert realm.ccache_of("witness2").read_bytes() == before


def test_keytab_without_a_user_name_names_its_first_principal(realm: Realm) -> None:
    path = ticket_cache(
        Account("", keytab=str(realm.keytab_of("witness2")), realm=NAME, kdc=realm.kdc).credentials()
    )

    assert path is not None
    assert f"Default principal: witness2@{NAME}" in realm.tickets_in(path)


def test_one_ticket_serves_every_logon_of_a_process(realm: Realm) -> None:
    account = Account(**realm.account("password"))
    first = fetch_ticket(account.credentials(), SERVICE)
    assert first is not None
    octets = first.read_bytes()

    assert fetch_ticket(account.credentials(), SERVICE) == first
    assert first.read_bytes() == octets
    other_service = Account(**realm.account("password", spn="cifs/swncluster.swn.test"))
    assert fetch_ticket(other_service.credentials(), SERVICE) == first
    assert "cifs/swncluster.swn.test" in realm.tickets_in(first)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"password": "wrong"}, r"no ticket for witness@SWN.TEST: .*; check the password"),
        ({"username": "nobody"}, r"Client 'nobody@SWN.TEST' not found .*; check username and realm"),
        (
            {"spn": "cifs/elsewhere"},
            r"for cifs/elsewhere@SWN.TEST: .*; check the service principal",
        ),
        (
            {"kdc": "127.0.0.1:1", "realm": "OTHER.TEST"},
            r"Cannot contact any KDC .*; check that",
        ),
        (
            {"password": "", "keytab": "KEYTAB"},
            r"no suitable keys for witness@.*; check that",
        ),
        ({"password": "", "keytab": __file__}, r"; it is no keytab"),
        ({"password": "", "ccache": __file__}, r"it is no ticket cache; fetch a ticket: kinit"),
        (
            {"password": "", "ccache": "/nowhere"},
            r"/nowhere cannot be read: .*; fetch a ticket",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_mistakes_are_named(realm: Realm, change: dict[str, str], text: str) -> None:
    keys = {**realm.account("password"), **change}
    if keys.get("keytab") == "KEYTAB":
        keys["keytab"] = str(realm.keytab_of("witness2"))

    with pytest.raises(NoTicket, match=text) as caught:
        fetch_ticket(Account(**keys).credentials(), SERVICE)

    assert USERS["witness"] not in str(caught.value)
    assert "-17653" not in str(caught.value)  # a code of the library


def test_kdc_is_not_asked_again_for_every_bind_after_a_failure(realm: Realm) -> None:
    credentials = Account(**realm.account("password") | {"password": "wrong again"}).credentials()
    with pytest.raises(NoTicket) as first:
        ticket_cache(credentials)

    with pytest.raises(NoTicket) as second:
        ticket_cache(credentials)

    assert second.value is first.value


def test_principals_of_a_keytab(realm: Realm) -> None:
    found = principals_of(str(realm.keytab))
    assert found[: len(HOSTS)] == [f"cifs/{host}@{NAME}" for host in HOSTS]
    with pytest.raises(NoTicket, match="no principal in /nowhere"):
        principals_of("/nowhere")


def test_principal_of_a_server_is_the_first_of_its_keytab_for_cifs(realm: Realm, tmp_path: Path) -> None:
    assert Acceptor({}).principal == ""
    assert Acceptor({}, keytab=str(realm.keytab)).principal == f"cifs/{NET_NAME}"
    keytab = tmp_path / "machine.keytab"
    realm.realm.run_kadminl("addprinc -randkey CLUSTER$")
    realm.realm.run_kadminl(f"ktadd -k {keytab} CLUSTER$")
    assert Acceptor({}, keytab=str(keytab)).principal == "CLUSTER$"
    realm.realm.run_kadminl(f"ktadd -k {keytab} cifs/{HOSTS[1]}")
    assert Acceptor({}, keytab=str(keytab)).principal == f"cifs/{HOSTS[1]}"


def test_tickets_are_removed_when_the_process_ends(realm: Realm) -> None:
    script = f"""
from swn_torture.account import Account
from swn_torture.dcerpc.security.tickets import fetch_ticket
import os
print(fetch_ticket(Account(**{realm.account("password")!r}).credentials(), {SERVICE!r}))
print(os.environ["KRB5_CONFIG"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    cache, configuration = map(Path, done.stdout.split())
    assert cache.parent == configuration.parent
    assert cache.parent.name.startswith("swn-torture-krb5-")
    assert not cache.parent.exists()


def test_tickets_of_the_user_of_this_machine_are_not_those_of_an_account(realm: Realm) -> None:
    with pytest.raises(NoTicket, match="no password, keytab or ticket cache for witness@"):
        ticket_cache(Credentials("witness", "", tickets=Tickets(NAME, kdc=realm.kdc)))


def test_names_without_a_realm_or_a_user() -> None:
    assert name_of(Credentials("u", "p", "D")) == "u@D"
    assert name_of(Credentials("u", "p", "D", tickets=Tickets("R"))) == "u@R"
    assert name_of(Credentials("", "", tickets=Tickets(keytab="k"))) == "the principal of k"
    assert name_of(Credentials("", "")) == "the user of this machine"


def test_without_the_extra_the_text_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(AuthenticationError, match=r"swn-torture\[kerberos\].*libkrb5-dev"):
        ticket_cache(Account("witness", "x", realm=NAME, auth="kerberos").credentials())
