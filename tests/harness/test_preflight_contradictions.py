"""Warnings where the profile says one thing and the target shows another: each names both."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.facts import InterfaceFacts, NodeFacts, TargetFacts
from swn_torture.harness.preflight import learning
from swn_torture.harness.preflight.contradictions import contradictions
from swn_torture.harness.preflight.learning import learn
from swn_torture.harness.preflight.patience import Patience
from swn_torture.harness.preflight.shares import ShareFacts, ask_shares
from swn_torture.harness.preflight.tree_connect import CLUSTER, TreeConnects
from swn_torture.target import Expectations, ExpectedShare, NodeAddress
from tests.harness.targets import learn_about, reference, serving

if TYPE_CHECKING:
    from swn_torture.target import Profile

SOFS, FS = 0x04000000, 0x02000000


def warnings(profile: Profile, shares: ShareFacts | None = None, *nodes: NodeFacts) -> list[str]:
    return list(contradictions(profile, TargetFacts(nodes=nodes), shares))


def listing(name: str, *versions: int) -> NodeFacts:
    """A node that lists an own interface with each of these versions."""
    interfaces = tuple(
        InterfaceFacts("G", ("192.0.2.1",), "AVAILABLE", own=True, version=each) for each in versions
    )
    return NodeFacts(name, "192.0.2.1", interfaces=interfaces)


# Version and ports
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "announced"), [({"version": "V1"}, "1 (0x00010001)"), ({}, "2 (0x00020000)")]
)
def test_announced_version(settings: dict[str, str], announced: str) -> None:
    expected = 2 if settings else 1
    profile = reference(**settings)
    profile = dataclasses.replace(profile, expect=dataclasses.replace(profile.expect, version=expected))
    with serving(profile) as served:
        found = learn_about(served).facts.warnings

    (warning,) = found
    assert warning.startswith(
        f"The profile reference.toml says version = {expected} in [expect], but NODE1, "
    )
    assert warning.endswith(f"NODE2, NODE3 announce version {announced} in the interface list.")


@pytest.mark.parametrize("versions", [(0xFFFFFFFF,), (0x00020000,), (0x00010001, 0x00020000), ()])
def test_version_that_contradicts_nothing(versions: tuple[int, ...]) -> None:
    assert not warnings(reference(), None, listing("node1", *versions))


def test_port_of_the_endpoint_map() -> None:
    nodes = (
        NodeAddress("right", "192.0.2.1", port=49152),
        NodeAddress("other", "192.0.2.2", port=49152),
        NodeAddress("none", "192.0.2.3", port=49152),
        NodeAddress("silent", "192.0.2.4", port=49152),
    )
    profile = dataclasses.replace(reference(), nodes=nodes)

    found = warnings(
        profile,
        None,
        NodeFacts("right", "192.0.2.1", mapped_port=49152),
        NodeFacts("other", "192.0.2.2", mapped_port=49153),
        NodeFacts("none", "192.0.2.3", mapper="none", mapper_answers=True),
        NodeFacts("silent", "192.0.2.4", mapper="Connection refused"),
    )

    says = "The profile reference.toml says port = 49152 for"
    assert found == [
        f"{says} other, but its endpoint mapper says 49153. The run uses port 49152.",
        f"{says} none, but its endpoint mapper gives no witness endpoint: none. The run uses port 49152.",
    ]


# Shares
# ----------------------------------------------------------------------------------------------------------


def expecting(*shares: ExpectedShare) -> Profile:
    return dataclasses.replace(reference(), expect=Expectations(shares=shares))


SCALE_OUT, PLAIN = ExpectedShare("DATA", scale_out=True), ExpectedShare("DATA")


@pytest.mark.parametrize(
    ("share", "shown", "evidence"),
    [
        (
            SCALE_OUT,
            ShareFacts({"data": 0}, {"DATA": False}),
            "TREE_CONNECT announces it without SMB2_SHARE_CAP_",
        ),
        (
            PLAIN,
            ShareFacts({"data": 0}, {"DATA": True}),
            "TREE_CONNECT announces it with SMB2_SHARE_CAP_SCALEOUT",
        ),
        (PLAIN, ShareFacts({"data": SOFS}), "shows its type with STYPE_CLUSTER_SOFS (0x04000000)"),
        (SCALE_OUT, ShareFacts({"data": FS}), "shows its type without STYPE_CLUSTER_SOFS (0x02000000)"),
        (SCALE_OUT, ShareFacts({"data": 0, "other": SOFS}), "without STYPE_CLUSTER_SOFS (0x00000000)"),
    ],
)
def test_scale_out(share: ExpectedShare, shown: ShareFacts, evidence: str) -> None:
    (found,) = warnings(expecting(share), shown)

    says = f"lists the share DATA with scale_out = {str(share.scale_out).lower()}, but "
    assert found.startswith(f"The profile reference.toml {says}")
    assert evidence in found


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        # NetrShareEnum clears the bits for clusters (MS-SRVS 3.1.4.8), so their absence says nothing.
        (SCALE_OUT, ShareFacts({"data": 0, "other": 0})),
        (PLAIN, ShareFacts({"data": 0})),
        # A server that clears them may still announce the share in TREE_CONNECT.
        (SCALE_OUT, ShareFacts({"data": 0}, {"DATA": True})),
        (SCALE_OUT, ShareFacts({"data": SOFS}, {"DATA": False})),
        (SCALE_OUT, ShareFacts(problem="no SMB")),
        (SCALE_OUT, None),
    ],
)
def test_share_that_contradicts_nothing(share: ExpectedShare, shown: ShareFacts | None) -> None:
    assert not warnings(expecting(share), shown)


def test_share_that_does_not_exist() -> None:
    (found,) = warnings(expecting(PLAIN), ShareFacts({"IPC$": 3}))

    assert found.startswith("The profile reference.toml lists the share DATA, but the target has no such ")
    assert found.endswith("NetrShareEnum lists IPC$.")
    assert (
        "TREE_CONNECT returns STATUS_BAD_NETWORK_NAME"
        in warnings(expecting(PLAIN), ShareFacts({}, missing=("DATA",)))[0]
    )


def test_shares_are_asked_by_smb() -> None:
    profile = reference(smb_port=0, shares=[{"name": "SHARE", "scale_out": True}])
    with serving(profile) as served:
        facts = asyncio.run(learn(served, Patience())).facts

    assert facts.shares == "SHARE (type 0x00000000), IPC$ (type 0x80000003)"
    (warning,) = facts.warnings
    assert "lists the share PLAIN, but the target has no such share" in warning


def test_capabilities_of_the_shares_are_asked_of_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def connected(_: Profile, node: NodeAddress, shares: list[str]) -> TreeConnects:
        return TreeConnects(node.name, 0x0311, dict.fromkeys(shares, CLUSTER if node.name == "NODE2" else 0))

    monkeypatch.setattr(learning, "connect_trees", connected)
    with serving(
        reference(smb_port=0, shares=[{"name": "SHARE", "scale_out": True}, {"name": "PLAIN"}])
    ) as served:
        facts = asyncio.run(learn(served, Patience())).facts

    assert [warning.partition(":")[0] for warning in facts.warnings] == [
        f"The nodes announce the share {share} with different capabilities" for share in ("SHARE", "PLAIN")
    ]


def test_shares_that_cannot_be_asked() -> None:
    with serving(reference()) as served:
        node = dataclasses.replace(served.nodes[0], smb_port=1)
        shown = ask_shares(served, node)

    assert shown.types is None
    assert str(shown).startswith("not available: by SMB: ")
    assert "; by srvsvc at a TCP endpoint: " in shown.problem
