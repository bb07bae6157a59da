"""Checks every link between this machine and a run, in the order in which a run needs them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.doctor.cluster import check_controller, check_shares, check_this_machine
from swn_torture.doctor.links import Links
from swn_torture.doctor.network import check_mapper, check_name, check_port, check_reachable
from swn_torture.doctor.service import Service, check_agreement, check_methods, check_service
from swn_torture.doctor.shares import check_capabilities
from swn_torture.doctor.tickets import check_principal, check_ticket
from swn_torture.harness.live_target import embedded_cluster, profile_of
from swn_torture.harness.preflight.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.doctor.links import Link
    from swn_torture.target import NodeAddress, Profile

#: Links of a node, in order; those after a broken one are not checked.
_OF_NODE = ("reachable", "endpoint mapper", "witness endpoint", "bind", "authentication", "interface list")


def examine_target(
    profile: Profile, *, disturb: bool = False, tell: Callable[[Link], None] | None = None
) -> Links:
    """Check every link. An embedded cluster is started, and stopped again.

    Args:
        profile: the profile of the target.
        disturb: whether a node may be taken out of service.
        tell: called with each link as soon as it was checked.

    Raises:
        ConfigError: the [embedded] table is wrong.
        LabError: the network namespace cannot be entered.
    """
    if profile.embedded is not None:
        with embedded_cluster(profile) as cluster:
            return asyncio.run(_examine(profile_of(cluster, profile), Links(tell=tell), disturb=disturb))
    if profile.network_namespace:
        from swn_torture.lab.namespaces import enter_network

        enter_network(profile.network_namespace)
    return asyncio.run(_examine(profile, Links(tell=tell), disturb=disturb))


async def _examine(profile: Profile, links: Links, *, disturb: bool) -> Links:
    patience = Patience(step=min(5.0, max(1.0, profile.expect.reply_deadline)), budget=120.0)
    if profile.account.has_tickets:
        profile = await check_ticket(profile, patience, links)
    services = [
        found for node in profile.nodes if (found := await _examine_node(profile, node, patience, links))
    ]
    check_agreement(services, links)
    serving = next((each for each in services if each.logon is not None), None)
    if serving is None:
        links.not_checked("methods", "no node serves a call")
    else:
        await check_methods(serving, profile, patience, links)
    await check_shares(profile, links)
    await check_capabilities(profile, patience, links)
    await check_controller(profile, links, disturb=disturb)
    check_this_machine(links)
    return links


async def _examine_node(
    profile: Profile, node: NodeAddress, patience: Patience, links: Links
) -> Service | None:
    def skip(after: str, because: str) -> None:
        for name in _OF_NODE[_OF_NODE.index(after) :]:
            links.not_checked(name, because, node.name)

    if not await check_name(node, links):
        skip("reachable", "the name has no address")
        return None
    if not await check_reachable(node, links):
        skip("endpoint mapper", "the node is not reachable")
        return None
    port = await check_mapper(node, patience, links)
    if port is None:
        skip("witness endpoint", "its TCP port is not known")
        return None
    if not await check_port(node, port, links):
        skip("bind", "nobody listens at the witness endpoint")
        return None
    if profile.account.has_tickets:
        await check_principal(profile, node, port, patience, links)
    return await check_service(profile, node, port, patience, links)
