"""The reference cluster: what can happen to it, told the way it happens.

The cluster knows the truth: which interface is where, and in what state. Each node has a witness server that
knows what it was told. Whatever happens changes the truth first; then the nodes that can see it are told by
the events of MS-SWN 3.1.6, and their clients hear of it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Self

from swn_torture.server.companions.services import CompanionServices
from swn_torture.server.condition import Condition
from swn_torture.server.config import ClusterConfig, ConfigError, choose_epm_port
from swn_torture.server.nodes.node import Node
from swn_torture.server.nodes.parts import Parts
from swn_torture.server.state.interfaces import Interface
from swn_torture.server.state.names import NetNames
from swn_torture.server.state.registrations import Selection
from swn_torture.server.state.shares import Share, ShareTable
from swn_torture.witness.constants import InterfaceState

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from swn_torture.server.state.methods import Reply
    from swn_torture.server.state.options import AddressCause
    from swn_torture.server.state.service import WitnessService
    from swn_torture.witness.messages import AsyncNotifyResponse

Address = IPv4Address | IPv6Address


class ClusterError(Exception):
    """The cluster cannot do what it was told; the text says why."""


class NodeView:
    """What one node knows of the cluster without being told by an event (`ClusterView`)."""

    def __init__(self, cluster: ReferenceCluster, node: str) -> None:
        self.net_names = cluster.net_names
        self.shares = cluster.shares
        self._cluster = cluster
        self._node = node

    def interfaces(self) -> tuple[Interface, ...]:
        """All configured interfaces; those of nodes that cannot be seen from here are UNAVAILABLE."""
        return self._cluster.seen_by(self._node) if self._cluster.config.list_interfaces else ()


class ReferenceCluster:
    """A cluster of witness servers that fails on command. `async with` starts and stops it.

    Args:
        config: what it is made of.
        parts: what its nodes are made of.

    Attributes:
        nodes: by name, in the order of the configuration.
        shares: the shares; may be changed while it runs.
        interfaces: the truth about the interfaces.
    """

    def __init__(self, config: ClusterConfig | None = None, parts: Parts | None = None) -> None:
        self.config, self._parts = config or ClusterConfig(), parts or Parts()
        self.net_names = NetNames(self.config.net_name, self.config.aliases)
        self.shares = ShareTable(self.config.shares, failing=self.config.share_enumeration_fails)
        self.interfaces = self._configured_interfaces()
        self.nodes: dict[str, Node] = {}
        self._beside = CompanionServices(self)
        self._discoveries: dict[str, asyncio.TimerHandle] = {}
        self._order = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start all nodes.

        Raises:
            OSError: a node cannot listen on any of its addresses.
        """
        epm_port = self.config.epm_port or choose_epm_port(self.config.nodes[0].address)
        for config in self.config.nodes:
            view = NodeView(self, config.name)
            self.nodes[config.name] = Node(config, self.config, view, epm_port, self._parts, self._beside)
        try:
            for node in self.nodes.values():
                await node.start(self.addresses_of(node.name))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all nodes."""
        for discovery in self._discoveries.values():
            discovery.cancel()
        for node in self.nodes.values():
            await node.stop(reset=not node.condition.runs)
        self._beside.clear()

    # Questions

    def node(self, name: str) -> Node:
        """A node by its name, without regard to case.

        Raises:
            ClusterError: there is none such.
        """
        try:
            return self.nodes[self.config.node(name).name]
        except ConfigError as problem:
            raise ClusterError(str(problem)) from None

    def addresses_of(self, node: str) -> list[Address]:
        """The addresses that a node hosts."""
        return [a for interface in self.interfaces if interface.node == node for a in interface.addresses]

    def is_in_service(self, node: str) -> bool:
        """Whether a node serves clients: neither disabled nor failed."""
        return self.node(node).condition in {Condition.OK, Condition.PARTITIONED}

    def sees(self, viewer: str, other: str) -> bool:
        """Whether a node knows of another one that it is alive."""
        if viewer == other:
            return True
        mine, its = self.nodes[viewer].condition, self.nodes[other].condition
        return its.runs and Condition.PARTITIONED not in {mine, its}

    def seen_by(self, viewer: str) -> tuple[Interface, ...]:
        """The interfaces as a node sees them."""
        return tuple(
            interface
            if self.sees(viewer, interface.node)
            else dataclasses.replace(interface, state=InterfaceState.UNAVAILABLE)
            for interface in self.interfaces
        )

    def registrations(self) -> list[dict[str, Any]]:
        """The registrations of all nodes as plain values."""
        return [entry for node in self.nodes.values() for entry in node.registrations()]

    # Nodes come and go

    async def disable(self, name: str) -> None:
        """Take a node out of service: its interfaces become UNAVAILABLE, its witness server goes on."""
        node = self.node(name)
        async with self._order:
            if node.condition is Condition.DISABLED:
                return
            self._must_be_well(node)
            node.condition = Condition.DISABLED
            self._set_states(node, InterfaceState.UNAVAILABLE)

    async def enable(self, name: str) -> None:
        """Bring a disabled node back into service."""
        node = self.node(name)
        async with self._order:
            if node.condition is Condition.DISABLED:
                node.condition = Condition.OK
                self._set_states(node, InterfaceState.AVAILABLE)

    async def crash(self, name: str) -> None:
        """Kill the processes of a node: clients see resets, the other nodes notice."""
        node = self.node(name)
        async with self._order:
            self._must_be_well(node)
            node.condition = Condition.CRASHED
            await node.stop(reset=True)
            self._let_others_notice(node)

    async def power_off(self, name: str) -> None:
        """Cut the power of a node: clients see nothing at all, the other nodes notice."""
        node = self.node(name)
        async with self._order:
            self._must_be_well(node)
            node.condition = Condition.SILENT
            node.freeze()
            self._let_others_notice(node)

    async def partition(self, name: str) -> None:
        """Cut a node off from the other nodes: each side holds the other for dead, clients reach both."""
        node = self.node(name)
        async with self._order:
            self._must_be_well(node)
            node.condition = Condition.PARTITIONED
            self._let_others_notice(node)
            for interface in self.interfaces:
                if interface.node != node.name:
                    self._report(interface, InterfaceState.UNAVAILABLE, to=[node])

    async def recover(self, name: str) -> None:
        """Bring a failed node back.

        After a crash or a power cut it is as after a reboot: it remembers nothing, and connections from
        before are reset. After a partition it goes on where it was. The others see it again.
        """
        node = self.node(name)
        async with self._order:
            if node.condition in {Condition.OK, Condition.DISABLED}:
                return
            if (discovery := self._discoveries.pop(node.name, None)) is not None:
                discovery.cancel()
            rebooted = not node.condition.runs
            node.condition = Condition.OK
            self._mark(node, InterfaceState.AVAILABLE)
            if rebooted:
                await self._restart(node)
            for interface in self.interfaces:
                if interface.node == node.name:
                    self._report(interface, interface.state, to=self._others(node))
                elif not rebooted and self.sees(node.name, interface.node):
                    self._report(interface, interface.state, to=[node])

    async def restart(self, name: str) -> None:
        """Restart the witness server of a node: its registrations are gone, its interfaces stay."""
        node = self.node(name)
        async with self._order:
            self._must_run(node)
            await self._restart(node)

    async def restore(self) -> None:
        """Make everything as it was configured, and all nodes healthy. Registrations stay where they can."""
        for node in self.nodes.values():
            await self.recover(node.name)
            await self.enable(node.name)
        self.shares.restore()
        configured = self._configured_interfaces()
        for interface in list(self.interfaces):
            for address in interface.addresses:
                if not _hosts(configured, interface.node, address):
                    await self.remove_address(str(address))
        for interface in configured:
            for address in interface.addresses:
                if not _hosts(self.interfaces, interface.node, address):
                    await self.add_address(interface.node, str(address))
        for interface in self.interfaces:
            if interface.state is not InterfaceState.AVAILABLE:
                self._change(interface, InterfaceState.AVAILABLE)

    # Interfaces and addresses

    async def set_interface(self, name: str, state: InterfaceState, address: str | None = None) -> None:
        """Report the interfaces of a node, or the one of an address, to be in a state; the node lives on."""
        node = self.node(name)
        wanted = None if address is None else self._interface_at(address)
        async with self._order:
            for interface in list(self.interfaces):
                if interface.node == node.name and wanted in {None, interface}:
                    self._change(interface, state)

    async def add_address(self, name: str, address: str) -> None:
        """Give a node one more witness address, as an interface of its own."""
        node = self.node(name)
        async with self._order:
            if any(_parse(address) in interface.addresses for interface in self.interfaces):
                raise ClusterError(f"{address} is in use")
            self._must_run(node)
            await self._add_address(node, _parse(address))
            self._tell_address_change(self._group_of(node.name), "added")

    async def remove_address(self, address: str) -> None:
        """Take an address away from the node that has it."""
        interface = self._interface_at(address)
        async with self._order:
            await self._remove_address(interface, _parse(address))
            self._tell_address_change(interface.group_name, "removed")

    async def change_address(self, old: str, new: str) -> None:
        """Replace one address of a node by another; clients hear of it once."""
        interface = self._interface_at(old)
        node = self.node(interface.node)
        async with self._order:
            self._must_run(node)
            await self._remove_address(interface, _parse(old))
            await self._add_address(node, _parse(new))
            self._tell_address_change(interface.group_name, "removed", "added")

    async def move_address(self, address: str, name: str) -> None:
        """Move an address to another node: gone here, come and available there."""
        interface, node = self._interface_at(address), self.node(name)
        async with self._order:
            self._must_run(node)
            await self._remove_address(interface, _parse(address))
            moved = await self._add_address(node, _parse(address))
            self._announce(moved, InterfaceState.AVAILABLE)
            self._tell_address_change(moved.group_name, "removed", "added")

    # Clients and shares

    def move_client(self, selection: Selection, destination: str) -> None:
        """Ask clients to move (MS-SWN 3.1.6.2)."""
        self._tell(lambda service: service.client_move(selection, destination))

    def move_share(self, selection: Selection, destination: str) -> None:
        """Tell the clients of a share that it has moved (MS-SWN 3.1.6.3)."""
        if selection.share_name is None:
            raise ClusterError("a share move has to name the share")
        self._tell(lambda service: service.share_move(selection, destination))

    def change_ip(self, selection: Selection, change: str) -> None:
        """Tell clients that an address has changed, although none has (MS-SWN 3.1.6.4)."""
        self._tell(lambda service: service.ip_change(selection, change))

    def set_shares(self, shares: tuple[Share, ...]) -> None:
        """Let there be these shares and no others."""
        self.shares.replace(shares)

    def force_unregister(self, selection: Selection) -> None:
        """Drop registrations."""
        self._tell(lambda service: service.force_unregister(selection))

    def force_response(self, selection: Selection, response: AsyncNotifyResponse) -> None:
        """Answer the AsyncNotify calls of registrations with exactly this."""
        self._tell(lambda service: service.force_response(selection, response))

    # How news travels

    def _tell(self, event: Callable[[WitnessService], list[Reply]], to: list[Node] | None = None) -> None:
        """Let an event happen on nodes, on all of them by default."""
        for node in list(self.nodes.values()) if to is None else to:
            node.tell(event)

    def _announce(self, interface: Interface, state: InterfaceState, to: list[Node] | None = None) -> None:
        """Tell the state of an interface to nodes, by default to those that see its own (MS-SWN 3.1.6.1)."""
        nodes = [n for n in self.nodes.values() if self.sees(n.name, interface.node)] if to is None else to
        self._tell(
            lambda service: service.interface_event(
                interface.group_name, state, ipv4=interface.ipv4, ipv6=interface.ipv6, node=interface.node
            ),
            nodes,
        )

    def _report(self, interface: Interface, state: InterfaceState, to: list[Node] | None = None) -> None:
        """Announce a state, and tell those who watch addresses (MS-SWN 3.1.6.1, then 3.1.6.4)."""
        self._announce(interface, state, to)
        cause: AddressCause = "enabled" if state is InterfaceState.AVAILABLE else "disabled"
        self._tell_address_change(interface.group_name, cause, to=to)

    def _change(self, interface: Interface, state: InterfaceState) -> None:
        """Give an interface another state, and report it."""
        self.interfaces[self.interfaces.index(interface)] = dataclasses.replace(interface, state=state)
        self._report(interface, state)

    def _mark(self, node: Node, state: InterfaceState) -> None:
        """Give the interfaces of a node another state, and tell nobody."""
        self.interfaces = [
            dataclasses.replace(i, state=state) if i.node == node.name else i for i in self.interfaces
        ]

    def _set_states(self, node: Node, state: InterfaceState) -> None:
        for interface in list(self.interfaces):
            if interface.node == node.name:
                self._change(interface, state)

    def _tell_address_change(self, group: str, *causes: AddressCause, to: list[Node] | None = None) -> None:
        """Tell those who watch addresses, client by client (MS-SWN 3.1.6.4)."""
        if not set(causes) & set(self.config.options.ip_change_causes):
            return

        def event(service: WitnessService) -> list[Reply]:
            return [
                reply
                for client in service.clients_watching_addresses()
                for reply in service.ip_change(Selection(client_name=client), group)
            ]

        self._tell(event, to)

    def _others(self, node: Node) -> list[Node]:
        """The nodes that see another one."""
        return [n for n in self.nodes.values() if n is not node and self.sees(n.name, node.name)]

    def _let_others_notice(self, node: Node) -> None:
        """Have the other nodes hold the interfaces of a dead one for UNAVAILABLE, when they have noticed."""

        def notification() -> None:
            self._discoveries.pop(node.name, None)
            others = [
                n for n in self.nodes.values() if n is not node and n.condition is not Condition.PARTITIONED
            ]
            for interface in self.interfaces:
                if interface.node == node.name:
                    self._report(interface, InterfaceState.UNAVAILABLE, to=others)

        if self.config.detection_delay <= 0:
            notification()
            return
        delay = self.config.detection_delay / self.config.options.time_scale
        self._discoveries[node.name] = asyncio.get_running_loop().call_later(delay, notification)

    # Small things

    def _must_run(self, node: Node) -> None:
        if not node.condition.runs:
            raise ClusterError(f"{node.name} is {node.condition.value}; recover it first")

    def _must_be_well(self, node: Node) -> None:
        if node.condition not in {Condition.OK, Condition.DISABLED}:
            raise ClusterError(f"{node.name} is {node.condition.value}; recover it first")

    async def _restart(self, node: Node) -> None:
        await node.stop(reset=True)
        await node.start(self.addresses_of(node.name))

    async def _add_address(self, node: Node, address: Address) -> Interface:
        interface = Interface(self._group_of(node.name), node=node.name).with_address(address)
        await node.listen(str(address))
        self.interfaces.append(interface)
        self._announce(interface, interface.state)
        return interface

    async def _remove_address(self, interface: Interface, address: Address) -> None:
        rest = interface.without(address)
        at = self.interfaces.index(interface)
        self.interfaces[at : at + 1] = [rest] if rest.addresses else []
        await self.node(interface.node).withdraw(str(address))
        self._tell(lambda service: service.address_removed(interface.group_name, address))

    def _group_of(self, node: str) -> str:
        """InterfaceGroupName of a node's interfaces (AMB-10)."""
        return node if self.config.options.group_names == "node" else self.config.net_name

    def _interface_at(self, address: str) -> Interface:
        for interface in self.interfaces:
            if _parse(address) in interface.addresses:
                return interface
        raise ClusterError(f"no node has the address {address}")

    def _configured_interfaces(self) -> list[Interface]:
        return [
            Interface(self._group_of(node.name), interface.ipv4, interface.ipv6, node=node.name)
            for node in self.config.nodes
            for interface in node.interfaces
        ]


def _hosts(interfaces: list[Interface], node: str, address: Address) -> bool:
    return any(interface.node == node and address in interface.addresses for interface in interfaces)


def _parse(address: str) -> Address:
    try:
        return ip_address(address)
    except ValueError:
        raise ClusterError(f"{address!r} is no IP address") from None
