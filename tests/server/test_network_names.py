"""A reference cluster with several network names, each with its own interfaces (AMB-45)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.server.config import ClusterConfig, ConfigError
from swn_torture.server.state.interfaces import Interface
from swn_torture.server.state.names import NetNames
from swn_torture.server.state.registrations import Owner
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import GetInterfaceListRequest, GetInterfaceListResponse
from tests.server.conftest import NODE1, NODE2, NODE3, REGISTER, REGISTER_EX, Bench, View

if TYPE_CHECKING:
    from swn_torture.server.state.methods import Reply

OWNER = Owner("A", "A1", "SWNTEST\\witness")
NAMES = NetNames("SWNCLUSTER", ("swncluster.swn.test",), (NetNames("ARCHIVE", ("OLDFILES",)),))


def bench(**options: Any) -> Bench:
    """NODE1 and NODE2 have interfaces of SWNCLUSTER, NODE3 one of ARCHIVE."""
    known = [
        Interface("NODE1", NODE1, node="NODE1", net_name="SWNCLUSTER"),
        Interface("NODE2", NODE2, node="NODE2", net_name="SWNCLUSTER"),
        Interface("NODE3", NODE3, node="NODE3", net_name="ARCHIVE"),
    ]
    return Bench(View(net_names=NAMES, known=known), **options)


def listed(replies: list[Reply]) -> set[str]:
    """The addresses in the only reply."""
    (reply,) = replies
    assert isinstance(reply.response, GetInterfaceListResponse)
    assert reply.response.interface_list is not None
    return {str(info.ipv4) for info in reply.response.interface_list.interfaces or ()}


def ask(made: Bench, called: str) -> list[Reply]:
    return made.service.handle("list", replace(OWNER, called=called), GetInterfaceListRequest())


def test_each_name_and_alias_leads_to_its_network_name() -> None:
    assert NAMES.network_name_of("oldfiles") == "ARCHIVE"
    assert NAMES.network_name_of("SWNCLUSTER.swn.test") == "SWNCLUSTER"
    assert NAMES.network_name_of("other") == "SWNCLUSTER"
    assert NAMES.are_the_same("archive", "OLDFILES")
    assert not NAMES.are_the_same("archive", "SWNCLUSTER")
    assert NAMES.matches("OLDFILES", ignore_case=True, aliases=True)
    assert not NAMES.matches("OLDFILES", ignore_case=True, aliases=False)


def test_list_has_all_names_or_those_of_the_name_that_is_called() -> None:
    everything = {str(NODE1), str(NODE2), str(NODE3)}
    assert listed(ask(bench(), str(NODE3))) == everything
    made = bench(interface_list_names="called")
    assert listed(ask(made, str(NODE3))) == {str(NODE3)}
    assert listed(ask(made, str(NODE1))) == {str(NODE1), str(NODE2)}
    assert listed(ask(made, "192.0.2.200")) == {str(NODE1), str(NODE2)}


def test_list_of_the_only_name_has_every_interface_whatever_address_is_called() -> None:
    made = Bench(interface_list_names="called")
    everything = {str(NODE1), str(NODE2), str(NODE3)}
    assert listed(ask(made, str(NODE3))) == everything
    assert listed(ask(made, "192.0.2.200")) == everything


def test_list_of_a_name_waits_until_an_interface_of_the_name_is_available() -> None:
    made = bench(interface_list_names="called")
    event = made.service.interface_event
    event("NODE3", InterfaceState.UNAVAILABLE, ipv4=NODE3)
    assert ask(made, str(NODE3)) == []
    assert event("NODE1", InterfaceState.UNAVAILABLE, ipv4=NODE1) == []
    assert listed(event("NODE3", InterfaceState.AVAILABLE, ipv4=NODE3)) == {str(NODE3)}
    never = bench(interface_list_names="called", interface_list_waits="never")
    never.service.interface_event("NODE3", InterfaceState.UNAVAILABLE, ipv4=NODE3)
    assert listed(ask(never, str(NODE3))) == {str(NODE3)}


def test_change_reaches_registrations_under_the_name_of_the_interface() -> None:
    made = bench()
    own = replace(REGISTER, net_name="OLDFILES", ip_address=str(NODE3))
    other = replace(REGISTER, ip_address=str(NODE3))
    for request in (own, other):
        made.service.handle("register", OWNER, request)
    made.service.interface_event("NODE3", InterfaceState.UNAVAILABLE, ipv4=NODE3)
    assert [len(r.changes) for r in made.service.registrations] == [1, 0]
    made.service.address_removed("NODE3", NODE3)
    assert [len(r.changes) for r in made.service.registrations] == [2, 0]


@pytest.mark.parametrize("request_", [REGISTER, REGISTER_EX])
def test_address_of_another_name_is_accepted_or_refused(request_: Any) -> None:
    request_ = replace(request_, net_name="ARCHIVE")
    for option, address, code in (
        ("accept", NODE2, Win32.ERROR_SUCCESS),
        ("refuse", NODE2, Win32.ERROR_INVALID_STATE),
        ("refuse", NODE3, Win32.ERROR_SUCCESS),
    ):
        made = bench(address_of_other_name=option)
        (reply,) = made.service.handle("r", OWNER, replace(request_, ip_address=str(address)))
        assert reply.response.result == code  # type: ignore[union-attr]


def test_each_node_has_an_interface_of_each_name() -> None:
    config = ClusterConfig.from_mapping(
        {"network": "127.7.7.0", "nodes": 2, "other_names": [{"name": "ARCHIVE", "aliases": ["OLDFILES"]}]}
    )
    assert [[i.net_name for i in node.interfaces] for node in config.nodes] == [["SWNCLUSTER", "ARCHIVE"]] * 2
    names = {name: (aliases, addresses) for name, aliases, addresses in config.network_names()}
    assert names["SWNCLUSTER"][1][0] == "127.7.7.1"
    assert names["ARCHIVE"] == (["OLDFILES"], ["127.7.7.3", "127.7.7.4", names["ARCHIVE"][1][2]])


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"aliases": ["A"]}], "other_names must be a list of tables"),
        ("ARCHIVE", "other_names must be a list of tables"),
        ([{"name": "ARCHIVE", "aliases": [1]}], "other_names must be a list of tables"),
        ([{"name": "a.b.c"}], "is not a NetBIOS name"),
        ([{"name": "swncluster"}], "network names and aliases must be unique"),
    ],
)
def test_wrong_other_names(rows: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ClusterConfig.from_mapping({"other_names": rows})
