"""The shares as a client of SMB and witness finds them: capabilities by dialect, and whether all agree."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.harness.preflight.mapping import mapped_port
from swn_torture.harness.preflight.nodes import interfaces_of
from swn_torture.harness.preflight.share_warnings import WitnessOffer, share_warnings
from swn_torture.harness.preflight.shares import ask_shares
from swn_torture.harness.preflight.tree_connect import connect_trees_in_each_dialect, names_of
from swn_torture.stubdata.fields import DecodeError
from swn_torture.witness.logon import connect_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.doctor.links import Links
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.harness.preflight.tree_connect import TreeConnects
    from swn_torture.target import NodeAddress, Profile

#: Bits of shi1_type that are 0 for a disk share (MS-SRVS 2.2.2.4).
_TYPE = 0x3


@dataclass(frozen=True, slots=True)
class SharesFound:
    """What the nodes say about the shares.

    Attributes:
        shares: the names that were asked for.
        types: shi1_type of each share by name (NetrShareEnum); None when it is not known.
        connects: the answers to TREE_CONNECT, for each node and dialect.
        offers: the witness services of the nodes.
        problem: why the types are not known.
    """

    shares: tuple[str, ...]
    types: Mapping[str, int] | None
    connects: tuple[TreeConnects, ...]
    offers: tuple[WitnessOffer, ...]
    problem: str = ""

    @property
    def warnings(self) -> list[str]:
        """What does not agree, one sentence each."""
        return list(share_warnings(self.connects, self.types, self.offers))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        types = {name.casefold(): kind for name, kind in (self.types or {}).items()}
        return {
            "shares": [{"name": name, "type": types.get(name.casefold())} for name in self.shares],
            "nodes": [
                {
                    "name": offer.node,
                    "witness_endpoint": not offer.unmapped,
                    "interfaces": None
                    if offer.interfaces is None
                    else [
                        {"group": each.group, "addresses": list(each.addresses), "witness": not each.own}
                        for each in offer.interfaces
                    ],
                }
                for offer in self.offers
            ],
            "tree_connects": [
                {
                    "node": each.node,
                    "dialect": each.dialect_name if each.dialect else None,
                    "problem": each.problem,
                    "capabilities": {share: names_of(bits) for share, bits in each.capabilities.items()},
                    "values": {share: f"0x{bits:08X}" for share, bits in each.capabilities.items()},
                    "problems": dict(each.problems),
                }
                for each in self.connects
            ],
            "warnings": self.warnings,
        }


async def find_shares(profile: Profile, patience: Patience, shares: Sequence[str] = ()) -> SharesFound:
    """Ask every node in each dialect of SMB2, and its witness service.

    Args:
        profile: the profile of a target that runs.
        patience: how long to wait for the endpoint mappers.
        shares: the names of the shares; none: those of the profile, else the disk shares that the first node
            lists.
    """
    listed = await asyncio.to_thread(ask_shares, profile, profile.nodes[0])
    disks = [name for name, kind in (listed.types or {}).items() if not kind & _TYPE and name[-1:] != "$"]
    names = list(shares) or [share.name for share in profile.expect.shares] or disks
    asked = [asyncio.to_thread(connect_trees_in_each_dialect, profile, node, names) for node in profile.nodes]
    offers, answers = await asyncio.gather(
        asyncio.gather(*(_offer(profile, node, patience) for node in profile.nodes)), asyncio.gather(*asked)
    )
    connects = [each for of_node in answers for each in of_node]
    return SharesFound(tuple(names), listed.types, tuple(connects), tuple(offers), listed.problem)


async def check_capabilities(profile: Profile, patience: Patience, links: Links) -> None:
    """The capabilities of the shares on each node; whatever does not agree is a note."""
    if not profile.expect.shares:
        links.not_checked("share capabilities", "the profile lists no shares in [expect]")
        return
    found = await find_shares(profile, patience)
    if not any(each.capabilities for each in found.connects):
        links.not_checked("share capabilities", f"no node shows them by SMB: {_why_none(found.connects)}")
        return
    for node in profile.nodes:
        answers = [each for each in found.connects if each.node == node.name]
        served = [each for each in answers if each.capabilities]
        if not served:
            links.not_checked("share capabilities", f"by SMB: {_why_none(answers)}", node.name)
            continue
        best = max(served, key=lambda each: each.dialect)
        text = ", ".join(
            f"{share} {' '.join(names_of(bits)) or 'none'}" for share, bits in best.capabilities.items()
        )
        links.ok("share capabilities", f"{text} (SMB {best.dialect_name})", node.name)
    for warning in found.warnings:
        links.note("share capabilities", warning.removesuffix("."))


def _why_none(answers: Sequence[TreeConnects]) -> str:
    texts = [each.problem for each in answers if each.problem]
    texts += [f"{share}: {text}" for each in answers for share, text in each.problems.items()]
    return texts[0] if texts else "no share is connected"


async def _offer(profile: Profile, node: NodeAddress, patience: Patience) -> WitnessOffer:
    """What a client finds that asks the endpoint mapper of a node, and then for the interface list."""
    mapped = await mapped_port(node, patience)
    port = node.port or mapped.port
    unmapped = "" if mapped.port is not None else mapped.problem or "it names no TCP port"
    if port is None:
        return WitnessOffer(node.name, unmapped)
    account = profile.account
    level = AuthLevel.NONE if account.anonymous else AuthLevel.INTEGRITY
    try:
        async with (
            asyncio.timeout(patience.timeout),
            await connect_by(
                account.to_try,
                node.address,
                port,
                credentials=None if account.anonymous else account.credentials(),
                level=level,
                net_name=profile.host,
            ) as client,
        ):
            return WitnessOffer(node.name, unmapped, interfaces_of(await client.get_interface_list()))
    except (RpcError, DecodeError, OSError, TimeoutError):
        return WitnessOffer(node.name, unmapped)  # why it gives no list is a link of its own
