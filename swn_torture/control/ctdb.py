"""The controller of a Samba cluster: `ctdb` for nodes and addresses, `net witness` for clients and shares.

All commands run as root on the nodes, through a prefix from the profile. The behaviour of CTDB decides how a
call works here:

- `ctdb disable` takes effect within a second. The other nodes detect a killed ctdbd as fast, because its
  connections break. They detect a node that stopped sending after KeepaliveInterval times KeepaliveLimit:
  25 s unless configured otherwise.
- A killed ctdbd leaves its public addresses on the interface. They hide those of the node that takes them
  over. A machine without power has no addresses, so `fail` removes them.
- CTDB may ban a node that returns from a partition, for five minutes. `recover` removes the ban.
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
from swn_torture.control.ctdb_cluster import CtdbCluster, CtdbView
from swn_torture.control.ctdb_output import exact_pattern
from swn_torture.control.ctdb_settings import CtdbSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.witness.messages import RespAsyncNotify

_WITHOUT_SETTINGS: Final = frozenset(
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
    """Changes a CTDB cluster with the witness service of Samba (4.20 or later).

    Args:
        settings: the settings of the profile.
    """

    kind = "ctdb"

    def __init__(self, settings: CtdbSettings) -> None:
        self._settings = settings
        self._cluster = CtdbCluster(settings)
        self._initial_hosts: Mapping[str, int | None] = {}
        """Public address -> PNN of its host at `open`."""
        self._failback = False
        """Whether CTDB moves addresses back to a node that returns to service (NoIPFailback is 0)."""
        self._removed_configured = False
        """Whether `remove_address` removed an address that the cluster had at `open`."""

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller from the `[controller]` table of a profile; `CtdbSettings` has the keys.

        Raises:
            ValueError: a setting is missing, unknown or wrong; the text names it.
        """
        return cls(CtdbSettings.from_mapping(settings))

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """What every CTDB cluster supports, and what the settings add."""
        by_settings = {
            Capability.FAIL_POWER_OFF: bool(self._settings.power_off),
            Capability.FAIL_PARTITION: bool(self._settings.partition),
        }
        return _WITHOUT_SETTINGS | {capability for capability, is_set in by_settings.items() if is_set}

    @override
    async def open(self) -> None:
        """Read the state of the cluster, and remember which node hosts which address.

        Raises:
            ControllerError: CTDB answers on no node, or its nodes are not those of the profile.
        """
        view = await self._cluster.view()
        found, expected = {node.address for node in view.nodes}, set(self._settings.nodes.values())
        if found != expected:
            raise ControllerError(
                f"CTDB has the nodes {', '.join(sorted(found))}, but the profile has "
                f"{', '.join(sorted(expected))}"
            )
        self._initial_hosts = view.hosts
        variable = await self._cluster.run_on(view.seen_from, "ctdb", "getvar", "NoIPFailback")
        self._failback = variable.text.rpartition("=")[2].strip() == "0"

    # Queries

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """Return all nodes, as seen by one that is connected to most of the others."""
        return self._cluster.statuses(await self._cluster.view())

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        """Return all registrations. CTDB shares the list, so that every node has it."""
        return await self._cluster.net_witness(await self._cluster.view(), "list")

    # Nodes

    @override
    async def disable(self, node: str) -> None:
        """Run `ctdb disable`: the node stays connected, and other nodes take over its addresses."""
        await self._cluster.run_on(self._cluster.node_name(node), "ctdb", "disable")

    @override
    async def enable(self, node: str) -> None:
        """Run `ctdb enable`, and return when the node serves clients again.

        Raises:
            NotHealthy: it does not within `healthy_timeout`.
        """
        node = self._cluster.node_name(node)
        await self._cluster.run_on(node, "ctdb", "enable")
        await self._wait_for_node(node, time.monotonic() + self._settings.healthy_timeout)

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail: kill its processes, or run `power_off` or `partition` of the settings.

        Returns when the node has failed, not when the other nodes have detected it.
        """
        node = self._cluster.node_name(node)
        self.require(how.capability)
        if how is Failure.POWER_OFF:
            await self._cluster.run_here(self._settings.power_off, node)
        elif how is Failure.PARTITION:
            await self._cluster.run_here(self._settings.partition, node)
        else:
            await self._cluster.crash(node)

    @override
    async def recover(self, node: str) -> None:
        """Return a node to service from any failure or state, and return when it serves clients again.

        The state may come from another process, such as an interrupted run.

        Raises:
            NotHealthy: the node does not serve within `healthy_timeout`.
        """
        node = self._cluster.node_name(node)
        deadline = time.monotonic() + self._settings.healthy_timeout
        await self._cluster.return_to_service(node, deadline)
        await self._wait_for_node(node, deadline)

    @override
    async def restart(self, node: str) -> None:
        """Restart the daemon of the RPC services on a node, and return when the witness service answers.

        The connections of its clients break.

        Raises:
            NotHealthy: it does not answer within `healthy_timeout`.
        """
        node = self._cluster.node_name(node)
        await self._cluster.stop(node, self._settings.witness_service)
        for command in self._settings.start_services:
            await self._cluster.start(node, command)
        deadline = time.monotonic() + self._settings.healthy_timeout
        await self._cluster.wait_until(lambda: self._cluster.ready(node), deadline)

    # Clients and shares

    @override
    async def move_client(
        self, client: str, destination: str, *, net_name: str | None = None, ip_address: str | None = None
    ) -> None:
        """Run `net witness client-move`.

        Raises:
            ControllerError: no registration matches.
        """
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
        """Run `net witness share-move`.

        Raises:
            ControllerError: no registration matches.
        """
        filters = {"share-name": share, "client-computer-name": client}
        filters |= {"net-name": net_name, "ip-address": ip_address}
        await self._move("share-move", destination, filters)

    async def _move(self, subcommand: str, destination: str, filters: Mapping[str, str | None]) -> None:
        view = await self._cluster.view()
        try:
            target = f"--witness-new-ip={parse_ip(destination)}"
        except ValueError:
            target = f"--witness-new-node={self._cluster.pnn(view, destination)}"
        options = [
            f"--witness-{name}={exact_pattern(value)}" for name, value in filters.items() if value is not None
        ]
        await self._net_witness(view, subcommand, *options, target)

    @override
    async def force_unregister(self, key: str) -> None:
        """Run `net witness force-unregister` for one registration.

        Raises:
            ControllerError: there is no such registration.
        """
        await self._net_witness(
            await self._cluster.view(), "force-unregister", f"--witness-registration={key}"
        )

    @override
    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Run `net witness force-response` for one registration.

        Raises:
            ControllerError: there is no such registration.
        """
        forced: dict[str, Any] = {"result": result}
        if response is not None:
            forced["response"] = response_json(response)
        await self._net_witness(
            await self._cluster.view(),
            "force-response",
            f"--witness-registration={key}",
            f"--witness-forced-response={json.dumps(forced)}",
        )

    async def _net_witness(self, view: CtdbView, subcommand: str, *options: str) -> None:
        # The exit code is 0 even if no registration matches.
        if not await self._cluster.net_witness(view, subcommand, *options):
            raise ControllerError(f"no registration matches `net witness {subcommand} {shlex.join(options)}`")

    # Addresses

    @override
    async def add_address(self, node: str, address: str) -> None:
        """Run `ctdb addip` on one node, and return when it hosts the address. No other node can host it.

        Raises:
            ControllerError: the node has no address of the cluster, so that the interface is not known.
            NotHealthy: the node does not host the address within `healthy_timeout`.
        """
        node = self._cluster.node_name(node)
        public = {*(await self._cluster.view()).hosts, self._settings.nodes[node]}
        for found in await self._cluster.interface_addresses(node):
            if found.address in public:
                network = f"{address}/{found.prefix_length}"
                await self._cluster.run_on(node, "ctdb", "addip", network, found.interface)
                return await self._wait_for_host(address, node)
        raise ControllerError(f"no interface of {node} has an address of the cluster")

    async def _wait_for_host(self, address: str, node: str) -> None:
        """Return when a node hosts an address: `addip` only requests a reallocation."""

        async def hosted() -> bool:
            view = await self._cluster.view()
            return view.hosts.get(address) == self._cluster.pnn(view, node)

        await self._cluster.wait_until(hosted, time.monotonic() + self._settings.healthy_timeout)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        """Run `ctdb delip` on one node. Another node with the address in its configuration takes it over."""
        node = self._cluster.node_name(node)
        await self._cluster.run_on(node, "ctdb", "delip", address)
        self._removed_configured |= address in self._initial_hosts
        # Until the next reallocation the node still hosts the deleted address.
        await self._cluster.run_on(node, "ctdb", "ipreallocate")

    @override
    async def move_address(self, address: str, node: str) -> None:
        """Run `ctdb moveip`. The next reallocation may move the address back."""
        view = await self._cluster.view()
        await self._cluster.run_on(
            view.seen_from, "ctdb", "moveip", address, str(self._cluster.pnn(view, node))
        )

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        """Disable a node while CTDB does not move addresses (NoIPTakeover), or enable it again.

        So no node hosts its addresses. For CTDB this is the same as an interface that is down.
        """
        node = self._cluster.node_name(node)
        for other in self._cluster.names:
            await self._cluster.run_on(other, "ctdb", "setvar", "NoIPTakeover", "0" if up else "1")
        # The variable comes first: while it is set, no node takes over an address, not even the enabled one.
        await (self.enable(node) if up else self.disable(node))

    # The whole cluster

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return when every node is OK and serves, every public address is hosted, and no recovery runs.

        Raises:
            NotHealthy: the cluster is in another state after `timeout` seconds.
        """
        await self._wait(time.monotonic() + timeout)

    async def _wait(self, deadline: float) -> None:
        async def healthy() -> bool:
            return (await self._cluster.view()).healthy

        await self._cluster.wait_until(healthy, deadline)
        await asyncio.gather(*(self._wait_for_node(node, deadline) for node in self._cluster.names))

    async def _wait_for_node(self, node: str, deadline: float) -> None:
        """Return when a node is OK as seen by itself and by the others, and its witness service answers."""

        async def healthy() -> bool:
            views = (await self._cluster.view(), await self._cluster.view_from(node))
            pnn = self._cluster.pnn(views[0], node)
            if any(self._cluster.flags(view, node) or None in view.hosts.values() for view in views):
                return False
            hosts_again = pnn in views[0].hosts.values() or pnn not in self._initial_hosts.values()
            return (hosts_again or not self._failback) and not await self._cluster.in_recovery(views[0])

        await self._cluster.wait_until(healthy, deadline)
        await self._cluster.wait_until(lambda: self._cluster.ready(node), deadline)

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Return every node to service, and move every address to the node that hosted it at `open`.

        Raises:
            NotHealthy: the cluster is not healthy after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        await asyncio.gather(
            *(self._cluster.return_to_service(node, deadline) for node in self._cluster.names)
        )
        for node in self._cluster.names:
            await self._cluster.run_on(node, "ctdb", "setvar", "NoIPTakeover", "0")
            for address in await self._cluster.own_addresses(node):
                if self._initial_hosts and address not in self._initial_hosts:
                    await self._cluster.run_on(node, "ctdb", "delip", address)
        view = await self._cluster.view()
        if self._removed_configured:
            await self._cluster.run_on(view.seen_from, "ctdb", "reloadips", "all")
            self._removed_configured = False
        await self._cluster.run_on(view.seen_from, "ctdb", "ipreallocate")
        await self._wait(deadline)
        view = await self._cluster.view()
        for address, pnn in self._initial_hosts.items():
            if pnn is not None and view.hosts.get(address) != pnn:
                await self._cluster.run_on(view.seen_from, "ctdb", "moveip", address, str(pnn))


def response_json(response: RespAsyncNotify) -> dict[str, Any]:
    """Return a RESP_ASYNC_NOTIFY as the JSON that `net witness force-response` reads."""
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
