"""Whether SMB, the server service and the witness service of the nodes say the same about the shares.

None of this is demanded by MS-SWN: each contradiction is a warning, and no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.harness.preflight.shares import CLUSTER_BITS, STYPE_CLUSTER_SOFS
from swn_torture.harness.preflight.tree_connect import (
    ASYMMETRIC,
    CAPABILITIES,
    CLUSTER,
    DIALECTS,
    SCALEOUT,
    names_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from swn_torture.casekit.facts import InterfaceFacts, NodeFacts
    from swn_torture.harness.preflight.tree_connect import TreeConnects

_SMB_3, _SMB_302 = 0x0300, 0x0302
_ALL = sum(CAPABILITIES)


@dataclass(frozen=True, slots=True)
class WitnessOffer:
    """What a client finds that asks a node for its witness service.

    Attributes:
        node: the name of the node.
        unmapped: why the endpoint mapper gives no witness endpoint; empty when it gives one.
        interfaces: the interface list; None when it is not known.
    """

    node: str
    unmapped: str = ""
    interfaces: tuple[InterfaceFacts, ...] | None = None

    @classmethod
    def of(cls, facts: NodeFacts) -> WitnessOffer:
        """The offer of a node by its facts."""
        unmapped = facts.mapper if facts.mapped_port is None else ""
        return cls(facts.name, unmapped, facts.interfaces)


def share_warnings(
    connects: Sequence[TreeConnects], types: Mapping[str, int] | None, offers: Sequence[WitnessOffer]
) -> Iterator[str]:
    """One sentence for each contradiction.

    Args:
        connects: what the nodes answer to TREE_CONNECT, in one dialect or in several.
        types: shi1_type of each share by name (NetrShareEnum); None when it is not known.
        offers: the witness services of the nodes.
    """
    for offer in offers:
        yield from _of_witness(offer, connects)
    yield from _of_types(connects, types or {})
    yield from _of_nodes(connects)
    yield from _of_dialects(connects)


def _of_witness(offer: WitnessOffer, connects: Sequence[TreeConnects]) -> Iterator[str]:
    """A client asks for witness where the share is CLUSTER: the node must then have it, and name others."""
    shares = _with(CLUSTER, [each for each in connects if each.node == offer.node])
    if not shares:
        return
    announced = f"TREE_CONNECT of {offer.node} announces {_shares(shares)} with SMB2_SHARE_CAP_CLUSTER"
    if offer.unmapped:
        yield (
            f"{announced}, by which a client asks for witness, but the endpoint mapper of {offer.node} gives "
            f"no witness endpoint: {offer.unmapped}."
        )
    elif offer.interfaces is not None and all(each.own for each in offer.interfaces):
        yield (
            f"{announced}, but no element in the interface list of {offer.node} has INTERFACE_WITNESS: a "
            "client finds no other node to register with."
        )


def _of_types(connects: Sequence[TreeConnects], types: Mapping[str, int]) -> Iterator[str]:
    """NetrShareEnum clears the bits for clusters (MS-SRVS 3.1.4.8). If no share has one, they say nothing."""
    if not any(kind & CLUSTER_BITS for kind in types.values()):
        return
    known = {name.casefold(): kind for name, kind in types.items()}
    for bit, bits, said in (
        (SCALEOUT, STYPE_CLUSTER_SOFS, "STYPE_CLUSTER_SOFS"),
        (CLUSTER, CLUSTER_BITS, "any STYPE_CLUSTER_ bit"),
    ):
        for share in _with(bit, connects):
            kind = known.get(share.casefold())
            if kind is not None and not kind & bits:
                yield (
                    f"TREE_CONNECT announces the share {share} with SMB2_SHARE_CAP_{CAPABILITIES[bit]}, but "
                    f"NetrShareEnum shows its type without {said} (0x{kind:08X})."
                )


def _of_nodes(connects: Sequence[TreeConnects]) -> Iterator[str]:
    """The nodes of a cluster announce a share alike."""
    found: dict[tuple[str, str], list[str]] = {}
    for dialect in dict.fromkeys(each.dialect for each in connects):
        of_dialect = [each for each in connects if each.dialect == dialect]
        for share in dict.fromkeys(name for each in of_dialect for name in each.capabilities):
            nodes: dict[int, list[str]] = {}
            for each in of_dialect:
                if share in each.capabilities:
                    nodes.setdefault(each.capabilities[share] & _ALL, []).append(each.node)
            if len(nodes) > 1:
                text = "; ".join(f"{', '.join(names)}: {_listed(bits)}" for bits, names in nodes.items())
                found.setdefault((share, text), []).append(_name(dialect))
    for (share, text), dialects in found.items():
        yield (
            f"The nodes announce the share {share} with different capabilities: {text} "
            f"(SMB {_and(dialects)})."
        )


def _of_dialects(connects: Sequence[TreeConnects]) -> Iterator[str]:
    """A dialect has the capabilities that MS-SMB2 2.2.10 gives it, and else the dialects are alike."""
    alien: dict[tuple[str, str, str], list[str]] = {}
    unlike: dict[tuple[str, str], list[str]] = {}
    for node in dict.fromkeys(each.node for each in connects):
        by_dialect = {each.dialect: each.capabilities for each in connects if each.node == node}
        for dialect, capabilities in by_dialect.items():
            for share, bits in capabilities.items():
                for name in names_of(bits & ~_valid_in(dialect)):
                    alien.setdefault((_name(dialect), share, name), []).append(node)
        for share in dict.fromkeys(name for each in by_dialect.values() for name in each):
            text = _unlike({d: c[share] for d, c in by_dialect.items() if share in c and d >= _SMB_3})
            if text:
                unlike.setdefault((share, text), []).append(node)
    grouped: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (dialect_name, share, name), nodes in alien.items():
        grouped.setdefault((dialect_name, name, tuple(nodes)), []).append(share)
    for (dialect_name, name, on), shares in grouped.items():
        yield (
            f"In SMB {dialect_name}, TREE_CONNECT of {_and(on)} announces {_shares(shares)} with "
            f"SMB2_SHARE_CAP_{name}, which this dialect does not have (MS-SMB2 2.2.10)."
        )
    for (share, text), nodes in unlike.items():
        yield f"TREE_CONNECT of {_and(nodes)} announces the share {share} differently by dialect: {text}."


def _unlike(capabilities: Mapping[int, int]) -> str:
    """What the dialects of the SMB 3.x family say if they differ in a capability that both have."""
    seen: dict[int, list[str]] = {}
    for dialect, bits in capabilities.items():
        seen.setdefault(bits & _valid_in(_SMB_3), []).append(_name(dialect))
    if len(seen) > 1:
        return "; ".join(f"{_listed(bits)} in SMB {_and(names)}" for bits, names in seen.items())
    later = {d: bits & ASYMMETRIC for d, bits in capabilities.items() if d >= _SMB_302}
    if len(set(later.values())) > 1:
        return "; ".join(f"{_listed(bits)} in SMB {_name(d)}" for d, bits in later.items())
    return ""


def _valid_in(dialect: int) -> int:
    """The capabilities for clusters that a dialect has (MS-SMB2 2.2.10)."""
    if dialect < _SMB_3:
        return 0
    return _ALL if dialect >= _SMB_302 else _ALL & ~ASYMMETRIC


def _with(bit: int, connects: Sequence[TreeConnects]) -> list[str]:
    """The shares that have a capability in a dialect that knows it."""
    return list(
        dict.fromkeys(
            share
            for each in connects
            for share, bits in each.capabilities.items()
            if bits & bit & _valid_in(each.dialect)
        )
    )


def _name(dialect: int) -> str:
    return DIALECTS.get(dialect, f"0x{dialect:04X}")


def _listed(bits: int) -> str:
    return " ".join(names_of(bits)) or "none"


def _shares(names: Sequence[str]) -> str:
    return f"the share {names[0]}" if len(names) == 1 else f"the shares {_and(names)}"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
