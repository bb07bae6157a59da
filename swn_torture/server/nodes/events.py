"""What a reference cluster is made of, and how its events reach the witness servers of its nodes."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from swn_torture.server.condition import Condition
from swn_torture.server.config import ConfigError
from swn_torture.server.state.registrations import Selection
from swn_torture.witness.constants import InterfaceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.server.activity.log import ActivityLog
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.node import Node
    from swn_torture.server.state.interfaces import Interface
    from swn_torture.server.state.methods import Reply
    from swn_torture.server.state.options import AddressCause
    from swn_torture.server.state.service import WitnessService


class ClusterError(Exception):
    """The cluster cannot carry out a command; the message says why."""


class ClusterEvents:
    """Nodes and interfaces, and the delivery of events to the nodes that see them.

    Args:
        config: the configuration of the cluster.
        activity: observes it; None for no observer.

    Attributes:
        config: as the argument.
        nodes: the nodes by name, in the order of the configuration.
        interfaces: the interfaces with their true states.
    """

    def __init__(self, config: ClusterConfig, activity: ActivityLog | None) -> None:
        self.config, self._activity = config, activity
        self.nodes: dict[str, Node] = {}
        self.interfaces: list[Interface] = []
        self._lock = asyncio.Lock()
        """Held while a command changes the cluster."""

    def node(self, name: str) -> Node:
        """Return the node with this name, without regard to case.

        Raises:
            ClusterError: there is no such node.
        """
        try:
            return self.nodes[self.config.node(name).name]
        except ConfigError as problem:
            raise ClusterError(str(problem)) from None

    def sees(self, viewer: str, other: str) -> bool:
        """Whether node `viewer` sees that node `other` runs."""
        if viewer == other:
            return True
        mine, its = self.nodes[viewer].condition, self.nodes[other].condition
        return its.runs and Condition.PARTITIONED not in {mine, its}

    # Delivery

    def _process_event(
        self, event: Callable[[WitnessService], list[Reply]], to: list[Node] | None = None
    ) -> None:
        """Pass an event to nodes, by default to all of them."""
        for node in list(self.nodes.values()) if to is None else to:
            node.process_event(event)

    def _announce(self, interface: Interface, state: InterfaceState, to: list[Node] | None = None) -> None:
        """Pass an interface event to nodes, by default to those that see its node (MS-SWN 3.1.6.1)."""
        nodes = [n for n in self.nodes.values() if self.sees(n.name, interface.node)] if to is None else to
        if self._activity is not None:
            seen_by = ", ".join(node.name for node in nodes) or "no node"
            addresses = " ".join(map(str, interface.addresses))
            text = f"interface {interface.group_name} ({addresses}) is {state.name}, reported to {seen_by}"
            self._activity.happened("interface", f"event: {text}", node=interface.node, state=state.name)
        self._process_event(
            lambda service: service.interface_event(
                interface.group_name,
                state,
                ipv4=interface.ipv4,
                ipv6=interface.ipv6,
                node=interface.node,
                net_name=interface.net_name or None,
            ),
            nodes,
        )

    def _report(self, interface: Interface, state: InterfaceState, to: list[Node] | None = None) -> None:
        """Pass an interface event to nodes, then an IP_CHANGE event (MS-SWN 3.1.6.1, 3.1.6.4)."""
        self._announce(interface, state, to)
        cause: AddressCause = "enabled" if state is InterfaceState.AVAILABLE else "disabled"
        self._announce_address_change(interface.group_name, cause, to=to)

    def _change(self, interface: Interface, state: InterfaceState) -> None:
        """Set the state of an interface, and report it."""
        self.interfaces[self.interfaces.index(interface)] = dataclasses.replace(interface, state=state)
        self._report(interface, state)

    def _set_states_silently(self, node: Node, state: InterfaceState) -> None:
        """Set the state of the interfaces of a node without an event."""
        self.interfaces = [
            dataclasses.replace(i, state=state) if i.node == node.name else i for i in self.interfaces
        ]

    def _set_states(self, node: Node, state: InterfaceState) -> None:
        for interface in list(self.interfaces):
            if interface.node == node.name:
                self._change(interface, state)

    def _announce_address_change(
        self, group: str, *causes: AddressCause, to: list[Node] | None = None
    ) -> None:
        """Pass an IP_CHANGE event for each client with IP notifications to nodes (MS-SWN 3.1.6.4)."""
        if not set(causes) & set(self.config.options.ip_change_causes):
            return

        def event(service: WitnessService) -> list[Reply]:
            clients = service.clients_with_ip_notifications()
            # All at once: an event for each would look at all registrations as often as there are clients.
            return service.ip_change(Selection(client_names=clients), group) if clients else []

        self._process_event(event, to)

    def _others(self, node: Node) -> list[Node]:
        """Return the other nodes that see `node`."""
        return [n for n in self.nodes.values() if n is not node and self.sees(n.name, node.name)]
