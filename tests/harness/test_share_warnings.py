"""Contradictions about shares between SMB, the server service and the witness service of the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.facts import InterfaceFacts, NodeFacts
from swn_torture.harness.preflight.share_warnings import WitnessOffer, share_warnings
from swn_torture.harness.preflight.tree_connect import (
    ASYMMETRIC,
    CLUSTER,
    CONTINUOUS_AVAILABILITY,
    SCALEOUT,
    TreeConnects,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOFS, FS = 0x04000000, 0x02000000
OWN = InterfaceFacts("NODE1", ("192.0.2.1",), "AVAILABLE", own=True, version=0x20000)
OTHER = InterfaceFacts("NODE2", ("192.0.2.2",), "AVAILABLE", own=False, version=0x20000)
GOOD = (WitnessOffer("NODE1", interfaces=(OWN, OTHER)), WitnessOffer("NODE2", interfaces=(OTHER, OWN)))


def on(node: str, bits: int, dialect: int = 0x0311, share: str = "DATA") -> TreeConnects:
    return TreeConnects(node, dialect, {share: bits})


def warned(
    *connects: TreeConnects,
    types: Mapping[str, int] | None = None,
    offers: Sequence[WitnessOffer] = GOOD,
) -> list[str]:
    return list(share_warnings(connects, types, offers))


@pytest.mark.parametrize(
    "connects",
    [
        (),
        (on("NODE1", 0), on("NODE2", 0)),
        (on("NODE1", CLUSTER | SCALEOUT | ASYMMETRIC), on("NODE2", CLUSTER | SCALEOUT | ASYMMETRIC)),
        # ASYMMETRIC exists since 3.0.2, the others since 3.0.
        (on("NODE1", 0, 0x0210), on("NODE1", CLUSTER, 0x0300), on("NODE1", CLUSTER | ASYMMETRIC, 0x0302)),
        # SMB2_SHARE_CAP_DFS concerns no cluster, and all dialects have it.
        (on("NODE1", 0x08, 0x0202), on("NODE2", 0, 0x0202)),
        (on("NODE1", CLUSTER), TreeConnects("NODE2", 0, problem="Connection refused")),
        (on("NODE1", CLUSTER), on("NODE2", 0, 0x0202)),
    ],
)
def test_nodes_that_agree(connects: tuple[TreeConnects, ...]) -> None:
    assert not warned(*connects)


def test_cluster_without_a_witness_endpoint() -> None:
    facts = NodeFacts("NODE1", "192.0.2.1", mapper="no such entry")

    (found,) = warned(on("NODE1", CLUSTER), offers=[WitnessOffer.of(facts)])

    assert found == (
        "TREE_CONNECT of NODE1 announces the share DATA with SMB2_SHARE_CAP_CLUSTER, by which a client asks "
        "for witness, but the endpoint mapper of NODE1 gives no witness endpoint: no such entry."
    )
    assert not warned(on("NODE1", SCALEOUT), offers=[WitnessOffer.of(facts)])
    assert not warned(on("NODE2", CLUSTER), offers=[WitnessOffer.of(facts)])


def test_cluster_without_another_node() -> None:
    (found,) = warned(on("NODE1", CLUSTER), offers=[WitnessOffer("NODE1", interfaces=(OWN,))])

    assert "no element in the interface list of NODE1 has INTERFACE_WITNESS" in found
    assert not warned(on("NODE1", CLUSTER), offers=[WitnessOffer("NODE1")])


@pytest.mark.parametrize(
    ("bits", "kind", "text"),
    [
        (
            SCALEOUT,
            FS,
            "SMB2_SHARE_CAP_SCALEOUT, but NetrShareEnum shows its type without STYPE_CLUSTER_SOFS",
        ),
        (
            CLUSTER,
            0,
            "SMB2_SHARE_CAP_CLUSTER, but NetrShareEnum shows its type without any STYPE_CLUSTER_ bit",
        ),
    ],
)
def test_capability_without_its_type(bits: int, kind: int, text: str) -> None:
    (found,) = warned(on("NODE1", bits), types={"data": kind, "other": SOFS})

    assert f"the share DATA with {text} (0x{kind:08X})." in found


@pytest.mark.parametrize("types", [{"data": 0, "other": 0}, {"data": SOFS}, {"other": SOFS}, None])
def test_type_that_contradicts_nothing(types: Mapping[str, int] | None) -> None:
    """NetrShareEnum clears the bits for clusters (MS-SRVS 3.1.4.8)."""
    assert not warned(on("NODE1", CLUSTER | SCALEOUT), types=types)


def test_nodes_that_differ() -> None:
    connects = [
        on(node, CLUSTER | CONTINUOUS_AVAILABILITY if node == "NODE1" else 0, dialect)
        for node in ("NODE1", "NODE2")
        for dialect in (0x0300, 0x0311)
    ]

    (found,) = warned(*connects)

    assert found == (
        "The nodes announce the share DATA with different capabilities: NODE1: CLUSTER "
        "CONTINUOUS_AVAILABILITY; NODE2: none (SMB 3.0 and 3.1.1)."
    )


@pytest.mark.parametrize(
    ("dialect", "bits", "text"),
    [
        (
            0x0210,
            CLUSTER,
            "In SMB 2.1, TREE_CONNECT of NODE1 announces the share DATA with SMB2_SHARE_CAP_CLUSTER",
        ),
        (
            0x0300,
            ASYMMETRIC,
            "In SMB 3.0, TREE_CONNECT of NODE1 announces the share DATA with SMB2_SHARE_CAP_ASYM",
        ),
    ],
)
def test_capability_that_the_dialect_does_not_have(dialect: int, bits: int, text: str) -> None:
    (found,) = warned(on("NODE1", bits, dialect))

    assert found.startswith(text)
    assert found.endswith("which this dialect does not have (MS-SMB2 2.2.10).")


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ((0x0300, 0), (0x0311, CLUSTER), "none in SMB 3.0; CLUSTER in SMB 3.1.1"),
        ((0x0302, 0), (0x0311, ASYMMETRIC), "none in SMB 3.0.2; ASYMMETRIC in SMB 3.1.1"),
    ],
)
def test_dialects_that_differ(first: tuple[int, int], second: tuple[int, int], text: str) -> None:
    connects = [on("NODE1", bits, dialect) for dialect, bits in (first, second)]

    (found,) = warned(*connects)

    assert found == f"TREE_CONNECT of NODE1 announces the share DATA differently by dialect: {text}."
