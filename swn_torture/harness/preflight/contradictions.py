"""Contradictions between the profile and what the target shows, or within that: warnings that name both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from swn_torture.casekit.facts import SERVICE_NAMES, SERVICES
from swn_torture.harness.preflight.share_warnings import WitnessOffer, share_warnings
from swn_torture.harness.preflight.shares import CLUSTER_BITS, STYPE_CLUSTER_SOFS
from swn_torture.harness.preflight.tickets import names_another
from swn_torture.witness.constants import ProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swn_torture.casekit.facts import NodeFacts, TargetFacts
    from swn_torture.harness.preflight.shares import ShareFacts
    from swn_torture.harness.preflight.tree_connect import TreeConnects
    from swn_torture.target import ExpectedShare, Profile

_VERSIONS = {ProtocolVersion.V1: 1, ProtocolVersion.V2: 2}


def contradictions(
    profile: Profile,
    facts: TargetFacts,
    shares: ShareFacts | None,
    connects: Sequence[TreeConnects] = (),
) -> Iterator[str]:
    """One sentence or two for each contradiction.

    Args:
        profile: the profile.
        facts: what the nodes have shown.
        shares: what the target says about its shares; None when it was not asked.
        connects: what its nodes answer to TREE_CONNECT.
    """
    yield from _versions(profile, facts)
    yield from _endpoints(profile, facts)
    yield from _services(facts)
    yield from _principal(facts)
    if shares is not None:
        for share in profile.expect.shares:
            yield from _share(profile, share, shares)
    offers = [WitnessOffer.of(node) for node in facts.nodes]
    yield from share_warnings(connects, shares.types if shares else None, offers)


def _versions(profile: Profile, facts: TargetFacts) -> Iterator[str]:
    expected = profile.expect.version
    for number, nodes in _announced(facts.nodes).items():
        if _VERSIONS[number] != expected:
            yield (
                f"{_the_profile(profile)} says version = {expected} in [expect], but "
                f"{_subject(nodes, 'announces', 'announce')} version {_VERSIONS[number]} "
                f"(0x{number:08X}) in the interface list."
            )


def _announced(nodes: tuple[NodeFacts, ...]) -> dict[ProtocolVersion, list[str]]:
    """The nodes that announce each version. 0xFFFFFFFF and other values name no version (AMB-9)."""
    found: dict[ProtocolVersion, list[str]] = {}
    for node in nodes:
        own = {each.version for each in node.interfaces or () if each.own}
        versions = own or {each.version for each in node.interfaces or ()}
        if len(versions) == 1 and (version := versions.pop()) in _VERSIONS:
            found.setdefault(ProtocolVersion(version), []).append(node.name)
    return found


def _endpoints(profile: Profile, facts: TargetFacts) -> Iterator[str]:
    ports = {node.name: node.port for node in profile.nodes}
    for node in facts.nodes:
        port = ports.get(node.name)
        if port is None:
            continue
        if node.mapped_port is None and not node.mapper_answers:
            continue  # the profile gives the port because there is no endpoint mapper
        if node.mapped_port is None:
            yield (
                f"{_the_profile(profile)} says port = {port} for {node.name}, but its endpoint "
                f"mapper gives no witness endpoint: {node.mapper}. The run uses port {port}."
            )
        elif node.mapped_port != port:
            yield (
                f"{_the_profile(profile)} says port = {port} for {node.name}, but its endpoint "
                f"mapper says {node.mapped_port}. The run uses port {port}."
            )


def _services(facts: TargetFacts) -> Iterator[str]:
    for service in SERVICES:
        if service.name in facts.unused:
            continue
        offered: dict[bool, list[str]] = {True: [], False: []}
        for node in facts.nodes:
            of_node = node.services.get(service.name)
            if of_node is not None and of_node.offered is not None:
                offered[of_node.offered].append(node.name)
        if offered[True] and offered[False]:
            yield (
                f"{_subject(offered[True], 'offers', 'offer')} {SERVICE_NAMES[service]}, but "
                f"{_subject(offered[False], 'does', 'do')} not. The run does not test this service."
            )


def _principal(facts: TargetFacts) -> Iterator[str]:
    if names_another(facts.principal, facts.named_principal):
        yield (
            f"The suite asks for tickets for {facts.principal}, but the server names the principal "
            f"{facts.named_principal} (inq_princ_name). spn in [account] says which one to use."
        )


def _share(profile: Profile, share: ExpectedShare, shares: ShareFacts) -> Iterator[str]:
    says = f"{_the_profile(profile)} lists the share {share.name}"
    listed = _listed(share.name, shares)
    if share.name in shares.missing or (shares.types is not None and listed is None):
        by = "TREE_CONNECT returns STATUS_BAD_NETWORK_NAME" if share.name in shares.missing else ""
        names = ", ".join(shares.types or ()) or "none"
        yield f"{says}, but the target has no such share: {by or f'NetrShareEnum lists {names}'}."
        return
    scale_out, evidence = _scale_out(share.name, listed, shares)
    if scale_out is not None and scale_out != share.scale_out:
        yield f"{says} with scale_out = {str(share.scale_out).lower()}, but {evidence}."


def _the_profile(profile: Profile) -> str:
    name = Path(profile.source).name
    return f"The profile {name}" if name else "The profile"


def _subject(nodes: Sequence[str], one: str, several: str) -> str:
    return f"{', '.join(nodes)} {one if len(nodes) == 1 else several}"


def _listed(name: str, shares: ShareFacts) -> int | None:
    types = shares.types or {}
    return next((kind for each, kind in types.items() if each.casefold() == name.casefold()), None)


def _scale_out(name: str, listed: int | None, shares: ShareFacts) -> tuple[bool | None, str]:
    """Whether the target announces a share as scale-out, and by what.

    NetrShareEnum clears the bits for clusters (MS-SRVS 3.1.4.8). If it shows them for no share, they say
    nothing.
    """
    if listed is not None and listed & STYPE_CLUSTER_SOFS:
        return True, f"NetrShareEnum shows its type with STYPE_CLUSTER_SOFS (0x{listed:08X})"
    if name in shares.scale_out:
        has = shares.scale_out[name]
        return has, f"TREE_CONNECT announces it {'with' if has else 'without'} SMB2_SHARE_CAP_SCALEOUT"
    if listed is not None and any(kind & CLUSTER_BITS for kind in (shares.types or {}).values()):
        return False, f"NetrShareEnum shows its type without STYPE_CLUSTER_SOFS (0x{listed:08X})"
    return None, ""
