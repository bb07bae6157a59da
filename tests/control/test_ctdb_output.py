"""The parsers for the output of ctdb, net witness and ip; the samples are from Samba 4.22."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from swn_torture.control import ControllerError, NodeState, ShareView
from swn_torture.control.ctdb.output import (
    InterfaceAddress,
    exact_pattern,
    parse_addresses,
    parse_interfaces,
    parse_recovery,
    parse_registrations,
    parse_shares,
    parse_status,
)

_HEADER = (
    "|Node|IP|Disconnected|Unknown|Banned|Disabled|Unhealthy|Stopped|Inactive|PartiallyOnline|ThisNode|\n"
)


@pytest.mark.parametrize(
    ("bits", "state"),
    [
        ("0|0|0|0|0|0|0|0|Y", NodeState.OK),
        ("1|0|0|0|1|0|1|0|N", NodeState.DOWN),
        ("0|0|1|0|0|0|1|0|N", NodeState.UNHEALTHY),
        ("0|0|0|1|0|0|0|0|N", NodeState.DISABLED),
        ("0|0|0|1|1|0|0|0|N", NodeState.UNHEALTHY),
        ("0|0|0|0|0|1|1|0|N", NodeState.UNHEALTHY),
        ("0|0|0|0|0|0|0|1|N", NodeState.UNHEALTHY),
    ],
)
def test_flags_of_a_node_give_its_state(bits: str, state: NodeState) -> None:
    (node,) = parse_status(f"{_HEADER}|2|198.51.100.12|{bits}|\n")
    assert (node.pnn, node.address, node.state) == (2, "198.51.100.12", state)


def test_address_has_its_host_or_none() -> None:
    text = "|Public IP|Node|\n|198.51.100.199|1|\n|2001:db8::1|-1|\n"
    assert parse_addresses(text) == {"198.51.100.199": 1, "2001:db8::1": None}


def test_recovery_mode_is_read_from_text_and_from_json() -> None:
    # From print_json_status() of ctdb/tools/ctdb.c in Samba 4.25.
    status = {"node_status": {}, "vnn_status": {}, "recovery_mode_raw": 1, "leader": 0}
    assert not parse_recovery(json.dumps({**status, "recovery_mode": "NORMAL"}, indent=2))
    assert parse_recovery(json.dumps({**status, "recovery_mode": "RECOVERY"}, indent=2))
    assert parse_recovery("{broken")
    assert parse_recovery("Recovery mode:RECOVERY (1)\n")
    assert parse_recovery("Failed to connect to CTDB daemon\n")


@pytest.mark.parametrize("parse", [parse_status, parse_addresses])
def test_other_output_is_an_error_that_shows_it(parse: Any) -> None:
    with pytest.raises(ControllerError, match="Failed to connect"):
        parse("Failed to connect to CTDB daemon\n")


_REGISTRATION = {
    "version": "0x00020000",
    "net_name": "SWNCLUSTER",
    "share_name": "data",
    "ip_address": "198.51.100.200",
    "client_computer_name": "CL1",
    "flags": {"WITNESS_REGISTER_IP_NOTIFICATION": True, "int": 1, "hex": "0x00000001"},
    "timeout": 90,
    "context_handle": {"handle_type": 1, "uuid": "b3c7b2b7-5e9f-4c92-99f4-5ec467bd7baa"},
    "server_id": {"pid": 261, "task_id": 0, "vnn": 1, "unique_id": -8572694324356542856},
    "auth": {"account_name": "witness", "domain_name": "SWNCLUSTER", "account_sid": "S-1-5-21-1-2-3-1000"},
}


def test_all_fields_of_a_registration_are_read() -> None:
    text = json.dumps({"filters": {}, "registrations": {"b3c7b2b7": _REGISTRATION}})
    (view,) = parse_registrations(text, {1: "node2"})
    assert view.key == "b3c7b2b7"
    assert (view.version, view.flags, view.timeout) == (0x00020000, 1, 90)
    assert (view.net_name, view.share_name, view.ip_address) == ("SWNCLUSTER", "data", "198.51.100.200")
    assert (view.client_computer_name, view.node, view.account) == ("CL1", "node2", "SWNCLUSTER\\witness")


def test_registration_of_unknown_node_without_share() -> None:
    entry = {**_REGISTRATION, "share_name": None}
    (view,) = parse_registrations(json.dumps({"registrations": {"k": entry}}), {})
    assert (view.share_name, view.node) == (None, "pnn 1")


@pytest.mark.parametrize("text", ["", "net_witness failed", "[]", "{}"])
def test_output_without_registrations_is_an_error(text: str) -> None:
    with pytest.raises(ControllerError, match="net witness printed"):
        parse_registrations(text, {})


@pytest.mark.parametrize("name", ["FS.example", "a+b", "x|y", r"log\5cname", "[1]", "{2}", "^$", "(*)"])
def test_exact_pattern_matches_only_its_text(name: str) -> None:
    # For these characters, Python's regular expressions are the same as POSIX's.
    assert re.search(exact_pattern(name), name)
    assert not re.search(exact_pattern(name), f"{name}2")
    assert not re.search(exact_pattern(name), name.replace(name[-1], "?"))


def test_addresses_of_the_interfaces_are_read() -> None:
    text = (
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n"
        "2: eth0    inet 198.51.100.10/24 scope global eth0\\       valid_lft forever\n"
        "2: eth0@if4    inet6 2001:db8::1/64 scope global \\       valid_lft forever\n"
    )
    assert parse_interfaces(text)[1:] == (
        InterfaceAddress("eth0", "198.51.100.10", 24),
        InterfaceAddress("eth0", "2001:db8::1", 64),
    )


def test_shares_of_a_configuration() -> None:
    """As `testparm -s` of Samba 4.22 prints the configuration of the lab."""
    text = """# Global parameters
[global]
\tclustering = Yes
\tidmap config * : backend = tdb

[data]
\tpath = /clusterfs/data

[moving]
\tsmb3 share cap:asymmetric = yes

[plain]
\tsmb3 share cap:cluster = no
\tsmb3 share cap:scale out = no

[homes]
\tbrowseable = no
"""
    assert parse_shares(text) == (
        ShareView("data", scale_out=True),
        ShareView("moving", scale_out=True, asymmetric=True),
        ShareView("plain", scale_out=False),
    )
    assert not parse_shares("[data]\n")[0].scale_out
