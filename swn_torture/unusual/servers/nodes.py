"""Unusual numbers of nodes and interfaces, addresses, and interface lists."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.server.config import InterfaceConfig, NodeConfig
from swn_torture.server.state.service import WitnessService
from swn_torture.unusual.registry import Unusual

if TYPE_CHECKING:
    from typing import Any

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.methods import Reply
    from swn_torture.witness.messages import GetInterfaceListResponse


class _ListsPartnersOnly(WitnessService):
    """Every node lists the interfaces of its partners, and not its own ones."""

    def __init__(self, node: str, view: Any, *others: Any) -> None:
        super().__init__(node, _PartnersView(view, node), *others)

    @override
    def interface_event(self, group_name: str, state: Any, **event: Any) -> list[Reply]:
        """Ignore the events of its own interfaces, which are not in its list."""
        own = (event.get("node") or group_name) == self.node
        return [] if own else super().interface_event(group_name, state, **event)


class _ListsInAnotherOrder(WitnessService):
    """The order of the interface list is another one in each response."""

    _turn = 0

    @override
    def interface_list(self) -> GetInterfaceListResponse:
        response = super().interface_list()
        assert response.interface_list is not None
        infos = response.interface_list.interfaces or ()
        self._turn += 1
        at = self._turn % max(1, len(infos))
        return replace(
            response, interface_list=replace(response.interface_list, interfaces=infos[at:] + infos[:at])
        )


class _PartnersView:
    """The cluster as a node sees it, without the interfaces of the node itself."""

    def __init__(self, view: Any, node: str) -> None:
        self.net_names = view.net_names
        self.shares = view.shares
        self._view = view
        self._node = node

    def interfaces(self) -> Any:
        """Return the interfaces of the other nodes."""
        return [interface for interface in self._view.interfaces() if interface.node != self._node]


def _on_the_ipv6_loopback(config: ClusterConfig) -> ClusterConfig:
    node = NodeConfig("NODE1", (InterfaceConfig(ipv6=IPv6Address("::1")),))
    return replace(config, nodes=(node,))


_SOURCE_OF_LIST = "MS-SWN 3.1.3: the server fills InterfaceList in an implementation-specific manner"
_EITHER_FAMILY = "MS-SWN 3.1.1.2, 2.2.2.5: an interface has an IPv4 address, an IPv6 address or both"

SERVERS = (
    Unusual(
        name="one-node",
        summary="The cluster has one node.",
        conforms="MS-SWN 3.1.1.2 does not say how many nodes or interfaces there are.",
        settings={"nodes": 1},
    ),
    Unusual(
        name="two-nodes",
        summary="The cluster has two nodes.",
        conforms="MS-SWN 3.1.1.2 does not say how many nodes or interfaces there are.",
        settings={"nodes": 2},
    ),
    Unusual(
        name="eight-nodes",
        summary="The cluster has eight nodes.",
        conforms="MS-SWN 3.1.1.2 does not say how many nodes or interfaces there are.",
        settings={"nodes": 8},
    ),
    Unusual(
        name="several-interfaces",
        summary="Every node has three interfaces.",
        conforms="MS-SWN 3.1.1.2: several interfaces can have the same InterfaceGroupName.",
        settings={"interfaces": 3},
    ),
    Unusual(
        name="partners-only",
        summary="Every node lists the interfaces of its partners, and not its own ones.",
        conforms=f"{_SOURCE_OF_LIST}; a large vendor documents exactly this.",
        parts=(_ListsPartnersOnly,),
    ),
    Unusual(
        name="changing-order",
        summary="Every interface list has another order.",
        conforms="MS-SWN 3.1.4.1 says what the list contains, and not in which order.",
        parts=(_ListsInAnotherOrder,),
    ),
    Unusual(
        name="ipv4-only",
        summary="All interfaces have an IPv4 address only.",
        conforms=f"{_EITHER_FAMILY}.",
        settings={"families": "ipv4"},
    ),
    Unusual(
        name="ipv6-only",
        summary="All interfaces have an IPv6 address only; the nodes are also reached by an IPv4 address.",
        conforms=f"{_EITHER_FAMILY}. {_SOURCE_OF_LIST}.",
        settings={"families": "ipv6"},
    ),
    Unusual(
        name="ipv6-loopback",
        summary="One node whose only address is ::1.",
        conforms="MS-RPCE 2.1.1.1: RPC over TCP uses IPv4 or IPv6.",
        config_change=_on_the_ipv6_loopback,
        address="::1",
    ),
    Unusual(
        name="dual-stack-one-entry",
        summary="All nodes have both address families, in one interface.",
        conforms=f"{_EITHER_FAMILY}.",
        settings={"families": "dual-stack"},
    ),
    Unusual(
        name="dual-stack-two-entries",
        summary="All nodes have both address families, each in an interface of its own.",
        conforms="MS-SWN 3.1.1.2: several interfaces can have the same InterfaceGroupName.",
        settings={"families": "dual-stack", "single_family": True},
    ),
    Unusual(
        name="no-second-account",
        summary="The profile has one account.",
        conforms="MS-SWN asks for no accounts.",
        profile={"second_account": None},
    ),
)
