"""The needs of a case: each is met by some target, and otherwise the report gives a reason."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from typing_extensions import override

from swn_torture.account import Account
from swn_torture.casekit.facts import NodeFacts, ServiceFacts, TargetFacts
from swn_torture.casekit.needs import KNOWN, registrations_needed, unmet
from swn_torture.control.base import Capability, Controller
from swn_torture.control.none import NoController
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.target import Expectations, ExpectedShare, NodeAddress, Profile

SCALE_OUT, PLAIN = ExpectedShare("PROFILES", scale_out=True), ExpectedShare("DATA")


def profile(nodes: int = 1, variants: tuple[str, ...] = (), **fields: Any) -> Profile:
    """A profile with some nodes and variants; ``expect`` and the rest as given."""
    return Profile(
        name="x",
        net_name="CLUSTER",
        account=Account("u", "p"),
        nodes=tuple(NodeAddress(f"node{n}", "127.0.0.1") for n in range(nodes)),
        variants={name: {} for name in variants},
        **fields,
    )


class Able(NoController):
    """A controller with some capabilities."""

    kind = "able"

    def __init__(self, *capabilities: Capability) -> None:
        self._capabilities = frozenset(capabilities)

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        return self._capabilities


@pytest.mark.parametrize(
    ("need", "met", "not_met", "reason"),
    [
        (
            "version-2",
            profile(),
            profile(expect=Expectations(version=1)),
            "implements witness protocol version 1",
        ),
        ("version-1", profile(variants=("version-1",)), profile(), r"has no \[variants.version-1\]"),
        ("version-1", profile(expect=Expectations(version=1)), profile(), "implements version 2"),
        ("two-nodes", profile(2), profile(1), "fewer than two nodes"),
        ("two-nodes", profile(0, embedded={}), profile(0, embedded={"nodes": 1}), "fewer than two nodes"),
        ("three-nodes", profile(3), profile(2), "fewer than three nodes"),
        ("second-account", profile(second_account=Account("v", "p")), profile(), r"no \[second_account\]"),
        (
            "second-tickets",
            profile(second_account=Account("v", "p", realm="R")),
            profile(second_account=Account("v", "p")),
            r"no realm, keytab or ccache in \[second_account\]",
        ),
        (
            "scale-out-share",
            profile(expect=Expectations(shares=(PLAIN, SCALE_OUT))),
            profile(expect=Expectations(shares=(PLAIN,))),
            "lists no scale-out share",
        ),
        (
            "no-scale-out-share",
            profile(expect=Expectations(shares=(PLAIN,))),
            profile(expect=Expectations(shares=(PLAIN, SCALE_OUT))),
            r"has no \[variants.no-sofs\]",
        ),
        ("no-scale-out-share", profile(variants=("no-sofs",)), profile(), "without scale-out shares"),
        (
            "plain-share",
            profile(expect=Expectations(shares=(SCALE_OUT, PLAIN))),
            profile(expect=Expectations(shares=(SCALE_OUT,))),
            "lists no share that is not scale-out",
        ),
        (
            "spare-address",
            profile(expect=Expectations(spare_addresses=("192.0.2.9",))),
            profile(),
            "lists no spare address",
        ),
        (
            "all-failures",
            profile(),
            profile(expect=Expectations(all_failures=False)),
            "usual failures of nodes only",
        ),
        ("any-share", profile(expect=Expectations(shares=(PLAIN,))), profile(), "lists no share"),
        (
            "no-interfaces",
            profile(variants=("no-interfaces",)),
            profile(),
            r"has no \[variants.no-interfaces\]",
        ),
        ("variant:strict", profile(variants=("strict",)), profile(), r"has no \[variants.strict\]"),
    ],
)
def test_a_need_of_the_profile(need: str, met: Profile, not_met: Profile, reason: str) -> None:
    assert unmet((need,), met, None) is None
    assert re.search(reason, unmet((need,), not_met, None) or "")


@pytest.mark.parametrize("capability", Capability)
def test_a_capability_of_the_controller(capability: Capability) -> None:
    others = Able(*(other for other in Capability if other != capability))

    assert unmet((capability.value,), profile(), Able(capability)) is None
    assert unmet((capability.value,), profile(), others) == (
        f"needs a controller with the capability {capability.value}; the target's controller is 'able'"
    )


def test_without_a_controller_no_capability_is_met() -> None:
    assert unmet(("move-client",), profile(), None) == (
        "needs a controller with the capability move-client; the target's controller is 'none'"
    )


@pytest.mark.parametrize("capability", [Capability.INTERFACE_STATE, Capability.DISABLE_NODE])
def test_either_capability_makes_an_interface_event(capability: Capability) -> None:
    assert unmet(("interface-event",), profile(), Able(capability)) is None


@pytest.mark.parametrize("controller", [None, Able(Capability.MOVE_CLIENT)])
def test_an_interface_event_needs_a_controller(controller: Controller | None) -> None:
    text = unmet(("interface-event",), profile(), controller) or ""
    assert text.startswith("needs a controller that can make an interface UNAVAILABLE")


def test_a_controller_can_remove_the_interfaces() -> None:
    assert unmet(("no-interfaces",), profile(), Able(Capability.CHANGE_ADDRESS)) is None


def showing(**facts: Any) -> TargetFacts:
    """A target whose only node has these facts."""
    return TargetFacts(nodes=(NodeFacts("node0", "127.0.0.1", **facts),))


def offering(*services: str) -> TargetFacts:
    """A target that offers these authentication services of NTLM and SPNEGO."""
    return showing(services={name: ServiceFacts(offered=name in services) for name in ("NTLM", "SPNEGO")})


@pytest.mark.parametrize(
    ("need", "met", "not_met", "reason"),
    [
        ("ntlm", offering("NTLM"), offering("SPNEGO"), r"does not offer NTLM \(RPC_C_AUTHN_WINNT\)"),
        ("spnego", offering("SPNEGO"), offering("NTLM"), r"does not offer SPNEGO \(RPC_C_AUTHN_GSS_NEG"),
        ("pkt-integrity", TargetFacts(), TargetFacts(level=AuthLevel.PRIVACY), "PKT_PRIVACY only"),
        ("multiplexing", showing(multiplexing=True), showing(multiplexing=False), "PFC_CONC_MPX"),
        ("header-signing", showing(header_signing=True), showing(header_signing=False), "HEADER_SIGN"),
        ("ndr64", showing(ndr64=True), showing(ndr64=False), "does not support NDR64"),
        (
            "registrations:61",
            TargetFacts(registrations=61),
            TargetFacts(registrations=60),
            "needs room for 61 registrations; the target holds 60",
        ),
    ],
)
def test_a_need_of_the_server(need: str, met: TargetFacts, not_met: TargetFacts, reason: str) -> None:
    assert unmet((need,), profile(), None, met) is None
    assert unmet((need,), profile(), None) is None  # nothing is known
    assert re.search(reason, unmet((need,), profile(), None, not_met) or "")


def test_number_of_registrations_is_read_from_the_needs() -> None:
    assert registrations_needed(("ntlm", "registrations:8", "registrations:32")) == 32
    assert registrations_needed(("ntlm",)) == 0


@pytest.mark.parametrize("need", ["tcp-reset", "silent-client"])
def test_a_need_of_the_network(need: str) -> None:
    assert unmet((need,), profile(), None) is None
    wrapped = dataclasses.replace(profile(), network="socket-wrapper")
    assert (unmet((need,), wrapped, None) or "").startswith("impossible here: socket_wrapper ")


def test_what_is_impossible_gives_the_reason_first() -> None:
    wrapped = dataclasses.replace(profile(), network="socket-wrapper")
    assert (unmet(("any-share", "tcp-reset"), wrapped, None) or "").startswith("impossible here: ")


def test_the_first_unmet_need_gives_the_reason() -> None:
    assert unmet(("version-2", "any-share", "second-account"), profile(), None) == (
        "the profile lists no share (expect.shares)"
    )
    assert unmet((), profile(), None) is None


def test_every_need_of_the_suite_is_known() -> None:
    assert {*Capability, "interface-event", "no-interfaces", "any-share"} < KNOWN
    for need in KNOWN:
        unmet((need,), profile(), Able())  # raises ValueError for an unknown one


def test_an_unknown_need_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="Unknown need 'two-node'; known: all-failures, ") as raised:
        unmet(("two-node",), profile(), None)

    assert {*str(raised.value).partition("known: ")[2].split(", ")} == {
        *KNOWN,
        "registrations:N",
        "variant:NAME",
    }
