"""Public addresses of a CTDB cluster that are added, removed and moved.

CTDB may move any other address at the same time, unless it is told not to (`CtdbChanges.hold_addresses`).
"""

from __future__ import annotations

from ipaddress import ip_address as parse_ip
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import ControllerError, EffectNotSeen

if TYPE_CHECKING:
    from swn_torture.control.ctdb.cluster import CtdbCluster, CtdbView
    from swn_torture.control.ctdb.restore import CtdbChanges

_PREFIX_LENGTHS: Final = {4: 32, 6: 64}
"""By IP version: the prefix length of a new address on a node that has none of that version."""


class CtdbAddresses:
    """Changes addresses, and waits until CTDB shows it.

    Args:
        cluster: the nodes.
        changes: what was changed, to undo it.
    """

    def __init__(self, cluster: CtdbCluster, changes: CtdbChanges) -> None:
        self._cluster = cluster
        self._changes = changes

    async def add(self, node: str, address: str) -> None:
        """Run `ctdb addip` on one node, so that no other node can host the address.

        Raises:
            EffectNotSeen: the node is out of service, so that CTDB gives it no address; or the cluster has
                the address already.
            ControllerError: the node has no address of the cluster, so that the interface is not known.
        """
        view = await self._cluster.view()
        if flags := self._cluster.flags(view, node):
            raise EffectNotSeen(f"CTDB gives {node} no address: it is {' and '.join(sorted(flags))}")
        if address in view.hosts:
            raise EffectNotSeen(
                f"the cluster has the address {address} already; to remove what an earlier run left there: "
                "swn-torture cluster restore --target PROFILE"
            )
        network, interface = await self._network(view, node, address)
        await self._changes.hold_addresses()
        self._changes.record_added(node, address)
        await self._changes.until_seen(
            f"{node} hosts {address}",
            lambda: self._cluster.run_on(node, "ctdb", "addip", network, interface),
            lambda: self._hosts(node, address),
        )

    async def remove(self, node: str, address: str) -> None:
        """Run `ctdb delip` on one node. Another node with the address in its configuration takes it over."""
        view = await self._cluster.view()
        pnn, movable = self._cluster.pnn(view, node), await self._changes.movable(view, node)
        await self._changes.hold_addresses()
        self._changes.record_removed(node, address)

        async def remove() -> None:
            await self._cluster.run_on(node, "ctdb", "delip", address)
            # Until the next reallocation the node still hosts the deleted address.
            await self._cluster.run_on(node, "ctdb", "ipreallocate")

        async def removed() -> bool:
            now = await self._cluster.view()
            own = await self._cluster.own_addresses(node)
            refused = {pnn, None} if address in movable else {pnn}
            return address not in own and now.hosts.get(address, -1) not in refused

        await self._changes.until_seen(f"{node} does not host {address} any more", remove, removed)

    async def move(self, address: str, node: str) -> None:
        """Run `ctdb moveip`. The address stays there until `restore`."""
        view = await self._cluster.view()
        pnn = str(self._cluster.pnn(view, node))
        await self._changes.hold_addresses()
        await self._changes.until_seen(
            f"{node} hosts {address}",
            lambda: self._cluster.run_on(view.seen_from, "ctdb", "moveip", address, pnn),
            lambda: self._hosts(node, address),
        )

    async def _network(self, view: CtdbView, node: str, address: str) -> tuple[str, str]:
        """A new address with its prefix length, and the interface of the other addresses of the node."""
        public = {*view.hosts, self._cluster.settings.nodes[node]}
        version = parse_ip(address).version
        found = [a for a in await self._cluster.interface_addresses(node) if a.address in public]
        if not found:
            raise ControllerError(f"no interface of {node} has an address of the cluster")
        same_family = [a for a in found if parse_ip(a.address).version == version]
        prefix_length = same_family[0].prefix_length if same_family else _PREFIX_LENGTHS[version]
        return f"{address}/{prefix_length}", (same_family or found)[0].interface

    async def _hosts(self, node: str, address: str) -> bool:
        view = await self._cluster.view()
        return view.hosts.get(address) == self._cluster.pnn(view, node)
