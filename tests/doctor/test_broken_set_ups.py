"""The first broken link of set-ups that do not work, and the way to mend it."""

from __future__ import annotations

import dataclasses
import socket
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from swn_torture.account import Account
from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.server.authentication import Authenticator
from swn_torture.doctor.examine import examine_target
from swn_torture.doctor.links import Links
from swn_torture.halfmade.library import find_half_made
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.service import WitnessService
from swn_torture.witness.constants import Opnum
from tests.harness.targets import reference, serving

if TYPE_CHECKING:
    from swn_torture.dcerpc.epm.messages import LookupEntry
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.target import Profile


class NoAuthentication(Authenticator):
    """The server knows no authentication service."""

    def __init__(self, connection: Any, _: Any, options: Any) -> None:
        super().__init__(connection, None, options)


class EmptyMap(EndpointMapper):
    """The endpoint map has no entry."""

    @override
    def find_towers(self, *_: Any) -> list[LookupEntry]:
        return []


class AnswersNothing(WitnessEndpoint):
    """Binds are accepted, and no call is answered."""

    @override
    def call(self, call: ServerCall) -> None:
        return


class AnswersNobodyByName(WitnessEndpoint):
    """Only calls without authentication are answered."""

    @override
    def call(self, call: ServerCall) -> None:
        if call.caller.level == AuthLevel.NONE:
            super().call(call)


class NoAsyncNotify(WitnessService):
    """Opnum 3 is missing."""

    @override
    def supports(self, opnum: int) -> bool:
        return opnum != Opnum.ASYNC_NOTIFY


def closed_port(address: str = "127.0.0.1") -> int:
    """A TCP port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def first_node(profile: Profile, **changes: Any) -> Profile:
    """The profile with its first node only, changed."""
    return dataclasses.replace(profile, nodes=(dataclasses.replace(profile.nodes[0], **changes),))


def quick(profile: Profile) -> Profile:
    """The profile with short waits, and without its controller."""
    expect = dataclasses.replace(profile.expect, reply_deadline=1.0)
    return dataclasses.replace(profile, expect=expect, controller={"kind": "none"})


SET_UPS: dict[str, tuple[tuple[type, ...], dict[str, Any], Any, str, str, str]] = {
    "unknown host": (
        (), {}, lambda p: first_node(p, address="node1.invalid"),
        "name resolution", "node1.invalid has no address", "write an IP address",
    ),
    "host does not answer": (
        (), {}, lambda p: first_node(p, address="255.255.255.255"),
        "reachable", "255.255.255.255 does not answer", "the route to it",
    ),
    "no endpoint mapper": (
        (), {}, lambda p: first_node(p, endpoint_mapper_port=closed_port(p.nodes[0].address)),
        "endpoint mapper", "gives no witness endpoint", "start the endpoint mapper",
    ),
    "not registered": (
        (EmptyMap,), {}, first_node,
        "endpoint mapper", "gives no witness endpoint", "start the witness service",
    ),
    "wrong port": (
        (), {}, lambda p: first_node(p, port=closed_port(p.nodes[0].address)),
        "witness endpoint", "connection refused", "correct or leave out port = ",
    ),
    "another service at the port": (
        (), {}, lambda p: first_node(p, port=p.nodes[0].endpoint_mapper_port),
        "bind with NDR32", "", "does not know the witness interface",
    ),
    "no authentication service": (
        (NoAuthentication,), {"enforce_security": False}, first_node,
        "authentication", "authentication_type_not_recognized", 'write auth = "none" in [account]',
    ),
    "wrong password": (
        (), {}, lambda p: dataclasses.replace(first_node(p), account=Account("witness", "x", "SWNTEST")),
        "authentication", "ERROR_ACCESS_DENIED", "correct username, password and domain of SWNTEST\\witness",
    ),
    "no account": (
        (), {}, lambda p: dataclasses.replace(first_node(p), account=Account("", "", "", "none")),
        "call without authentication", "ERROR_ACCESS_DENIED", "give username, password and domain",
    ),
    "wrong NetName": (
        (), {}, lambda p: dataclasses.replace(first_node(p), net_name="OTHER"),
        "WitnessrRegister (opnum 1)", "ERROR_INVALID_PARAMETER (0x57)", "net_name in the profile",
    ),
    "no interface": (
        (), {"list_interfaces": False, "empty_interface_list": "success"}, first_node,
        "interface list", "empty", "bring the addresses of the cluster up",
    ),
    "calls are not answered": (
        (AnswersNothing,), {}, first_node,
        "interface list", "without: call 2 (opnum 0): no answer in 1 s", "answer WitnessrGetInterfaceList",
    ),
    "calls without authentication are answered, others are not": (
        (AnswersNobodyByName,), {"enforce_security": False}, first_node,
        "authentication", "no answer in 1 s", "look for the reason in the log of the server",
    ),
    "nothing is sent": (
        find_half_made("silent-after-connect").parts, {}, first_node,
        "answer of the witness endpoint", "sends nothing: bind 1: no answer in 1 s", "hangs",
    ),
    "controller does not answer": (
        (), {}, lambda p: dataclasses.replace(
            first_node(p), controller={"kind": "reference", "address": "127.0.0.1", "port": closed_port()}
        ),
        "controller", "is not reachable: Connection refused", "correct [controller] in the profile",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SET_UPS)
def test_first_broken_link_and_how_to_mend_it(name: str) -> None:
    parts, embedded, change, link, text, mend = SET_UPS[name]
    with serving(reference(**embedded), *parts) as profile:
        links = examine_target(change(quick(profile)))

    broken = links.first_broken
    assert broken is not None
    assert (broken.name, text in broken.text, mend in broken.mend) == (link, True, True), broken


def lines(links: Links) -> list[str]:
    return [link.line() for link in links]


def test_nothing_of_the_reference_is_broken() -> None:
    links = examine_target(reference())
    assert links.first_broken is None, lines(links)
    assert {"NDR32", "NDR64"} <= {link.name.removeprefix("bind with ") for link in links}
    assert "nodes agree" in {link.name for link in links if link.state == "ok"}
    not_checked = [link.name for link in links if link.state == "not-checked"]
    assert not_checked == ["share capabilities", "events"]


def test_every_link_is_told_as_soon_as_it_is_there() -> None:
    told: list[tuple[str, int]] = []
    with serving(reference()) as profile:
        collected = Links(tell=lambda link: told.append((link.line(), len(collected.found))))
        collected.ok("first", "holds")
        collected.note("second", "does not")
        examined: list[str] = []
        unknown = first_node(quick(profile), address="node1.invalid")
        links = examine_target(unknown, tell=lambda link: examined.append(link.line()))
    assert told == [("ok           first: holds", 1), ("note         second: does not", 2)]
    assert examined == lines(links)
    assert examined


def test_capabilities_of_the_shares_of_each_node() -> None:
    with serving(reference(smb_port=0, shares=[{"name": "SHARE"}, {"name": "PLAIN"}])) as profile:
        closed = dataclasses.replace(profile.nodes[1], smb_port=closed_port(profile.nodes[1].address))
        links = examine_target(dataclasses.replace(quick(profile), nodes=(profile.nodes[0], closed)))
    found = {link.where: (link.state, link.text) for link in links if link.name == "share capabilities"}
    assert found == {
        "NODE1": ("ok", "SHARE none, PLAIN none (SMB 2.0.2)"),
        "NODE2": ("not-checked", "by SMB: Connection refused"),
    }


def test_disturbing_takes_a_node_out_of_service_and_returns_it() -> None:
    links = examine_target(reference(), disturb=True)
    names = [link.name for link in links if link.state == "ok"]
    assert {"controller disable-node", "controller restore"} <= {*names}
    assert links.first_broken is None


def test_links_behind_a_broken_one_say_why_they_are_not_checked() -> None:
    with serving(reference()) as profile:
        links = examine_target(first_node(quick(profile), address="node1.invalid"))
    skipped = [link for link in links if link.state == "not-checked" and link.where]
    assert [link.name for link in skipped] == [
        "reachable", "endpoint mapper", "witness endpoint", "bind", "authentication", "interface list",
    ]  # fmt: skip
    assert {link.text for link in skipped} == {"the name has no address"}


def test_missing_method_does_not_stop_a_run() -> None:
    with serving(reference(), NoAsyncNotify) as profile:
        links = examine_target(first_node(quick(profile)))
    (note,) = [link for link in links if link.name == "WitnessrAsyncNotify (opnum 3)"]
    assert note.state == "note"
    assert "SWN-3.1.4-opnum-3" in note.text
    assert links.first_broken is None


def test_list_with_wrong_addresses_is_named_and_not_register() -> None:
    with serving(reference(), *find_half_made("list-no-padding").parts) as profile:
        links = examine_target(first_node(quick(profile)))
    (note,) = [link for link in links if link.name == "WitnessrGetInterfaceList (opnum 0)"]
    assert note.state == "note"
    assert "2 octets before it are missing, such as the padding after State" in note.text
    assert "SWN-2.2.2.5-ipv4-if-flag" in note.text
    assert "all its padding" in note.mend
    assert not [link for link in links if link.name.startswith("WitnessrRegister")]
