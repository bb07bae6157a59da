"""The capabilities of shares by SMB dialect: servers of this process, which answer wrongly or not at all."""

from __future__ import annotations

import dataclasses
import socket
import time

import pytest

from swn_torture.account import Account
from swn_torture.harness.preflight.tree_connect import (
    TreeConnects,
    connect_trees,
    connect_trees_in_each_dialect,
    names_of,
)
from swn_torture.target import NodeAddress, Profile
from tests.harness.targets import reference, serving

ACCOUNT = Account("witness", "Passw0rd!", "SWNTEST")


def profile_at(port: int, account: Account = ACCOUNT) -> Profile:
    return Profile("test", "TEST", account, nodes=(NodeAddress("NODE1", "127.0.0.1", smb_port=port),))


def test_names_of_capabilities() -> None:
    assert names_of(0xF8) == ["CLUSTER", "SCALEOUT", "CONTINUOUS_AVAILABILITY", "ASYMMETRIC"]
    assert names_of(0x08) == []


def test_share_of_a_server_with_dialect_2_0_2() -> None:
    with serving(reference(smb_port=0, shares=[{"name": "SHARE"}])) as served:
        found = connect_trees(served, served.nodes[0], ["share", "OTHER"])

    assert (found.dialect_name, found.capabilities, found.problem) == ("2.0.2", {"share": 0}, "")
    assert found.problems == {"OTHER": "STATUS_OBJECT_PATH_NOT_FOUND (0xC000003A)"}


def test_dialect_that_was_not_offered_is_named() -> None:
    """impacket's server negotiates 2.0.2, whatever the client offers."""
    with serving(reference(smb_port=0, shares=[{"name": "SHARE"}])) as served:
        found = connect_trees_in_each_dialect(served, served.nodes[0], ["SHARE"])

    assert [each.dialect_name for each in found] == ["2.0.2", "2.1", "3.0", "3.0.2", "3.1.1"]
    assert [dict(each.capabilities) for each in found] == [{"SHARE": 0}, {}, {}, {}, {}]
    assert {each.problem for each in found[1:]} == {"the server negotiates 2.0.2, which was not offered"}


def test_wrong_password() -> None:
    with serving(reference(smb_port=0)) as served:
        wrong = dataclasses.replace(served, account=dataclasses.replace(ACCOUNT, password="x"))
        found = connect_trees(wrong, wrong.nodes[0], ["SHARE"])

    assert found == TreeConnects("NODE1", 0, problem="STATUS_LOGON_FAILURE (0xC000006D)")


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        profile = profile_at(closed.getsockname()[1])
        found = connect_trees_in_each_dialect(profile, profile.nodes[0], ["SHARE"])

    assert [(each.dialect, each.problem) for each in found] == [(0, "Connection refused")]


def test_server_that_answers_nothing_takes_no_longer_than_five_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        profile = profile_at(silent.getsockname()[1])
        began = time.monotonic()
        found = connect_trees(profile, profile.nodes[0], ["SHARE"])

    assert time.monotonic() - began < 10  # without the limit it waits for a minute, or without end
    assert found.problem
    assert not found.capabilities


@pytest.mark.parametrize(
    ("account", "why"),
    [
        (Account("", auth="none"), "SMB needs an account, and the profile has none"),
        (
            Account("witness", auth="kerberos", realm="R", spn="host/x"),
            "not supported with the principal host/x",
        ),
        (Account("witness", auth="kerberos", realm="R", spn="CLUSTER$"), "not supported with the principal"),
    ],
)
def test_account_that_cannot_be_used(account: Account, why: str) -> None:
    profile = profile_at(1, account)

    assert why in connect_trees(profile, profile.nodes[0], ["SHARE"]).problem
