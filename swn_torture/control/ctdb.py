"""Moves a Samba cluster: `ctdb` for nodes and addresses, `net witness` for clients and shares.

All commands run on the nodes, as root, through a prefix that the profile gives. What CTDB does by itself, and
when, decides how an order here is carried out:

- `ctdb disable` acts within a second; a killed ctdbd is missed as soon, for its connections break. A silent
  node is missed after KeepaliveInterval times KeepaliveLimit: 25 s unless configured otherwise.
- A killed ctdbd leaves its public addresses on the interface, where they shadow the node that takes them
  over. Of a machine that died nothing would be left, so `fail` removes them.
- A node that comes back from isolation may find itself banned, for five minutes; `recover` lifts that.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from ipaddress import ip_address as parse_ip
from typing import TYPE_CHECKING, Any, Final, Self

from typing_extensions import override

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    Failure,
    NodeStatus,
    RegistrationView,
)
from swn_torture.control.ctdb_cluster import CtdbCluster, View
from swn_torture.control.ctdb_output import exactly
from swn_torture.control.ctdb_settings import CtdbSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.witness.messages import RespAsyncNotify

_ALWAYS: Final = frozenset(
    {
        Capability.LIST_NODES,
        Capability.LIST_REGISTRATIONS,
        Capability.DISABLE_NODE,
        Capability.FAIL_CRASH,
        Capability.MOVE_CLIENT,
        Capability.MOVE_SHARE,
        Capability.CHANGE_ADDRESS,
        Capability.MOVE_ADDRESS,
        Capability.INTERFACE_STATE,
        Capability.RESTART_SERVICE,
        Capability.FORCE_UNREGISTER,
        Capability.FORCE_RESPONSE,
    }
)


class CtdbController(Controller):
    """A cluster of CTDB nodes whose Samba has a witness service (4.20 or later)."""

    kind = "ctdb"

    def __init__(self, settings: CtdbSettings) -> None:
        self._settings = settings
        self._cluster = CtdbCluster(settings)
        self._homes: Mapping[str, int | None] = {}
        """Where the public addresses were when we came."""
        self._fails_back = False
        """Whether CTDB gives a node that comes back its share of the addresses."""
        self._removed = False
        """Whether we took an address from a node that it is configured with."""

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make one from the `[controller]` table of a profile; `ValueError` says what is wrong with it."""
        return cls(CtdbSettings.from_mapping(settings))

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """What CTDB can do anyway, and what the settings add."""
        more = {
            Capability.FAIL_POWER_OFF: bool(self._settings.power_off),
            Capability.FAIL_PARTITION: bool(self._settings.partition),
        }
        return _ALWAYS | {capability for capability, there in more.items() if there}

    @override
    async def open(self) -> None:
        """Look at the cluster, and remember where its addresses are."""
        view = await self._cluster.view()
        there, expected = {node.address for node in view.nodes}, set(self._settings.nodes.values())
        if there != expected:
            raise ControllerError(
                f"CTDB has the nodes {', '.join(sorted(there))}, but the profile has "
                f"{', '.join(sorted(expected))}"
            )
        self._homes = view.hosts
        failback = await self._cluster.on(view.seen_from, "ctdb", "getvar", "NoIPFailback")
        self._fails_back = failback.text.rpartition("=")[2].strip() == "0"

    # Questions

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """All nodes, as seen by one that is connected to most of the others."""
        return self._cluster.statuses(await self._cluster.view())

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        """All registrations; CTDB shares the list, so that every node knows it."""
        return await self._cluster.net_witness(await self._cluster.view(), "list")

    # Nodes

    @override
    async def disable(self, node: str) -> None:
        """`ctdb disable`: the node stays connected and gives its addresses away."""
        await self._cluster.on(self._cluster.known(node), "ctdb", "disable")

    @override
    async def enable(self, node: str) -> None:
        """`ctdb enable`, and wait until the node serves again."""
        node = self._cluster.known(node)
        await self._cluster.on(node, "ctdb", "enable")
        await self._wait_for_node(node, time.monotonic() + self._settings.healthy_timeout)

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail; returns when it has, not when the others have noticed."""
        node = self._cluster.known(node)
        self.require(how.capability)
        if how is Failure.POWER_OFF:
            await self._cluster.here(self._settings.power_off, node)
        elif how is Failure.PARTITION:
            await self._cluster.here(self._settings.partition, node)
        else:
            await self._cluster.crash(node)

    @override
    async def recover(self, node: str) -> None:
        """Bring a node back, whatever was done to it and by whom, and wait until it serves again."""
        node = self._cluster.known(node)
        deadline = time.monotonic() + self._settings.healthy_timeout
        await self._cluster.revive(node, deadline)
        await self._wait_for_node(node, deadline)

    @override
    async def restart(self, node: str) -> None:
        """Restart the daemon that serves RPC on a node; its clients' connections break."""
        node = self._cluster.known(node)
        await self._cluster.stop(node, self._settings.witness_service)
        for command in self._settings.start_services:
            await self._cluster.start(node, command)
        deadline = time.monotonic() + self._settings.healthy_timeout
        await self._cluster.until(lambda: self._cluster.ready(node), deadline)

    # Clients and shares

    @override
    async def move_client(
        self, client: str, destination: str, *, net_name: str | None = None, ip_address: str | None = None
    ) -> None:
        """`net witness client-move`; `ControllerError` when no registration matches."""
        filters = {"client-computer-name": client, "net-name": net_name, "ip-address": ip_address}
        await self._move("client-move", destination, filters)

    @override
    async def move_share(
        self,
        share: str,
        destination: str,
        *,
        client: str | None = None,
        net_name: str | None = None,
        ip_address: str | None = None,
    ) -> None:
        """`net witness share-move`; `ControllerError` when no registration matches."""
        filters = {"share-name": share, "client-computer-name": client}
        filters |= {"net-name": net_name, "ip-address": ip_address}
        await self._move("share-move", destination, filters)

    async def _move(self, order: str, destination: str, filters: Mapping[str, str | None]) -> None:
        view = await self._cluster.view()
        try:
            where = f"--witness-new-ip={parse_ip(destination)}"
        except ValueError:
            where = f"--witness-new-node={self._cluster.pnn(view, destination)}"
        options = [
            f"--witness-{name}={exactly(value)}" for name, value in filters.items() if value is not None
        ]
        await self._order(view, order, *options, where)

    @override
    async def force_unregister(self, key: str) -> None:
        """`net witness force-unregister` for one registration."""
        await self._order(await self._cluster.view(), "force-unregister", f"--witness-registration={key}")

    @override
    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """`net witness force-response` for one registration."""
        forced: dict[str, Any] = {"result": result}
        if response is not None:
            forced["response"] = response_json(response)
        await self._order(
            await self._cluster.view(),
            "force-response",
            f"--witness-registration={key}",
            f"--witness-forced-response={json.dumps(forced)}",
        )

    async def _order(self, view: View, order: str, *options: str) -> None:
        # The command is content to have told nobody.
        if not await self._cluster.net_witness(view, order, *options):
            raise ControllerError(f"no registration matches `net witness {order} {shlex.join(options)}`")

    # Addresses

    @override
    async def add_address(self, node: str, address: str) -> None:
        """`ctdb addip` on one node, which alone can host the address then."""
        node = self._cluster.known(node)
        public = {*(await self._cluster.view()).hosts, self._settings.nodes[node]}
        for found in await self._cluster.interface_addresses(node):
            if found.address in public:
                network = f"{address}/{found.prefix_length}"
                await self._cluster.on(node, "ctdb", "addip", network, found.interface)
                return await self._wait_for_host(address, node)
        raise ControllerError(f"{node} has none of the cluster's addresses on any interface")

    async def _wait_for_host(self, address: str, node: str) -> None:
        """Return once a node hosts an address: `addip` only asks for a reallocation."""

        async def hosted() -> bool:
            view = await self._cluster.view()
            return view.hosts.get(address) == self._cluster.pnn(view, node)

        await self._cluster.until(hosted, time.monotonic() + self._settings.healthy_timeout)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        """`ctdb delip` on one node; another that knows the address takes it over."""
        node = self._cluster.known(node)
        await self._cluster.on(node, "ctdb", "delip", address)
        self._removed |= address in self._homes
        # Until the next reallocation the node goes on hosting what it does not know any more.
        await self._cluster.on(node, "ctdb", "ipreallocate")

    @override
    async def move_address(self, address: str, node: str) -> None:
        """`ctdb moveip`; the next reallocation may move it back."""
        view = await self._cluster.view()
        await self._cluster.on(view.seen_from, "ctdb", "moveip", address, str(self._cluster.pnn(view, node)))

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        """Disable a node while no other may take its addresses over, and back.

        So its addresses are hosted nowhere, which is what an interface that is down looks like to CTDB.
        """
        node = self._cluster.known(node)
        for other in self._cluster.names:
            await self._cluster.on(other, "ctdb", "setvar", "NoIPTakeover", "0" if up else "1")
        # Only now: nobody, not even the node itself, takes an address as long as the variable says so.
        await (self.enable(node) if up else self.disable(node))

    # The whole

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return once every node is OK and serves, every public address is hosted, and CTDB is at rest."""
        await self._wait(time.monotonic() + timeout)

    async def _wait(self, deadline: float) -> None:
        async def well() -> bool:
            return (await self._cluster.view()).healthy

        await self._cluster.until(well, deadline)
        await asyncio.gather(*(self._wait_for_node(node, deadline) for node in self._cluster.names))

    async def _wait_for_node(self, node: str, deadline: float) -> None:
        """Return once a node is OK to itself and to the others, and its witness service answers."""

        async def well() -> bool:
            views = (await self._cluster.view(), await self._cluster.view_from(node))
            pnn = self._cluster.pnn(views[0], node)
            if any(self._cluster.flags(view, node) or None in view.hosts.values() for view in views):
                return False
            at_home = pnn in views[0].hosts.values() or pnn not in self._homes.values()
            return (at_home or not self._fails_back) and await self._cluster.recovered(views[0])

        await self._cluster.until(well, deadline)
        await self._cluster.until(lambda: self._cluster.ready(node), deadline)

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Bring every node back into service, and every address to where it was at `open`."""
        deadline = time.monotonic() + timeout
        await asyncio.gather(*(self._cluster.revive(node, deadline) for node in self._cluster.names))
        for node in self._cluster.names:
            await self._cluster.on(node, "ctdb", "setvar", "NoIPTakeover", "0")
            for address in await self._cluster.own_addresses(node):
                if self._homes and address not in self._homes:
                    await self._cluster.on(node, "ctdb", "delip", address)
        view = await self._cluster.view()
        if self._removed:
            await self._cluster.on(view.seen_from, "ctdb", "reloadips", "all")
            self._removed = False
        await self._cluster.on(view.seen_from, "ctdb", "ipreallocate")
        await self._wait(deadline)
        view = await self._cluster.view()
        for address, pnn in self._homes.items():
            if pnn is not None and view.hosts.get(address) != pnn:
                await self._cluster.on(view.seen_from, "ctdb", "moveip", address, str(pnn))


def response_json(response: RespAsyncNotify) -> dict[str, Any]:
    """A notification in the JSON that `net witness force-response` reads."""
    from swn_torture.witness.notifications import IpAddrInfoList, ResourceChange, decode_buffer

    content = response.message_buffer or b""
    decoded = decode_buffer(response.message_type, response.number_of_messages, content)
    messages: list[Any] = []
    for item in decoded.items:
        if isinstance(item, ResourceChange):
            messages.append({"type": int(item.change_type), "name": item.resource_name})
        elif isinstance(item, IpAddrInfoList):
            messages.append(
                [{"flags": int(a.flags), "ipv4": str(a.ipv4), "ipv6": str(a.ipv6)} for a in item.addresses]
            )
    return {"type": int(response.message_type), "messages": messages}
