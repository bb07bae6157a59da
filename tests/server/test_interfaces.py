"""The interface table, and the comparison of names and addresses (MS-SWN 3.1.1.2, 3.1.6.1)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from swn_torture.server.state.interfaces import Interface, InterfaceTable
from swn_torture.server.state.names import same_address, same_address_text
from swn_torture.server.state.shares import EnumerationError, Share, ShareTable
from swn_torture.witness.constants import InterfaceState

V4, OTHER_V4 = IPv4Address("192.0.2.2"), IPv4Address("192.0.2.3")
V6, OTHER_V6 = IPv6Address("2001:db8::2"), IPv6Address("2001:db8::3")
BOTH = Interface("NODE2", V4, V6, node="NODE2")
ONLY_V4 = Interface("NODE3", OTHER_V4, node="NODE3")


@pytest.mark.parametrize(
    ("group", "ipv4", "ipv6", "known"),
    [
        ("NODE2", V4, None, True),
        ("node2", V4, None, True),
        ("NODE2", None, V6, True),
        ("NODE2", V4, V6, True),
        ("NODE2", OTHER_V4, V6, True),
        ("NODE2", V4, OTHER_V6, True),
        ("NODE3", V4, V6, False),
        ("NODE2", OTHER_V4, None, False),
        ("NODE2", None, OTHER_V6, False),
        ("NODE2", None, None, False),
    ],
)
def test_event_matches_interface_by_group_and_address(
    group: str, ipv4: IPv4Address | None, ipv6: IPv6Address | None, *, known: bool
) -> None:
    table = InterfaceTable([BOTH])

    assert table.find(group, ipv4, ipv6) == (BOTH if known else None)


def test_missing_addresses_do_not_match_each_other() -> None:
    assert not ONLY_V4.matches_event("NODE3", None, None)
    assert not ONLY_V4.matches_event("NODE3", None, V6)


def test_without_removes_one_address() -> None:
    assert BOTH.without(V4) == Interface("NODE2", None, V6, node="NODE2")
    assert BOTH.without(V6) == Interface("NODE2", V4, None, node="NODE2")
    assert BOTH.without(OTHER_V4) == BOTH


def test_removing_the_last_address_removes_the_interface() -> None:
    table = InterfaceTable([BOTH, ONLY_V4])

    table.remove_address(BOTH, V4)
    assert list(table) == [BOTH.without(V4), ONLY_V4]
    table.remove_address(BOTH.without(V4), V6)
    assert list(table) == [ONLY_V4]


@pytest.mark.parametrize("name", ["NODE3", "node3", "192.0.2.3", "node3.swn.test"])
def test_destination_can_be_group_address_or_host(name: str) -> None:
    assert InterfaceTable([BOTH, ONLY_V4]).destination(name) == (ONLY_V4,)


def test_group_name_can_differ_from_node_name() -> None:
    virtual = Interface("VIRTUAL", OTHER_V4, node="NODE3")

    assert InterfaceTable([BOTH, virtual]).destination("virtual") == (virtual,)


def test_set_state_changes_one_interface() -> None:
    table = InterfaceTable([BOTH, ONLY_V4])

    table.set_state(BOTH, InterfaceState.UNAVAILABLE)

    assert [interface.state for interface in table] == [InterfaceState.UNAVAILABLE, InterfaceState.AVAILABLE]
    assert table.any_available()
    assert not table.any_available(lambda interface: interface.node == "NODE2")


def test_address_comparison_ignores_textual_form() -> None:
    assert same_address("2001:DB8:0::2", V4, V6)
    assert not same_address("NODE2", V4, V6, None)
    assert same_address_text("2001:DB8:0::2", "2001:db8::2")
    assert same_address_text("somewhere", "somewhere")
    assert not same_address_text("somewhere", "elsewhere")
    assert not same_address_text("192.0.2.2", "somewhere")


def test_enumeration_fails_if_configured() -> None:
    with pytest.raises(EnumerationError, match=r"^the enumeration of shares is set to fail$"):
        ShareTable((Share("PROFILES"),), failing=True).enumerate()


def test_share_lookup_ignores_case_by_default() -> None:
    table = ShareTable((Share("PROFILES"),))

    assert table.find("profiles") == Share("PROFILES")
    assert table.find("profiles", ignore_case=False) is None
