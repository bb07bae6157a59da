"""The interface lists of all nodes, read by the witness protocol.

A controller without tools of the cluster sees the effect of a call there.

A list shows an interface as its node sees it. A node that is cut off still reports its own interface as
AVAILABLE. So `InterfaceView` keeps apart what the node itself and what the others report.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.witness.constants import InterfaceFlags, InterfaceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.dcerpc.security.context import Credentials
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import InterfaceInfo

_CALL_SECONDS: Final = 5.0
"""Seconds that a node may take to connect, and then to answer."""


@dataclass(frozen=True, slots=True)
class WitnessNode:
    """Where the witness service of a node is."""

    name: str
    address: str
    endpoint_mapper_port: int = 135
    port: int | None = None
    """TCP port of the witness endpoint; None to ask the endpoint mapper."""


@dataclass(frozen=True, slots=True)
class InterfaceView:
    """One address with its states."""

    address: str
    node: str
    """The node that hosts it; empty where that is not known."""
    states: frozenset[str]
    """As the other nodes report it; as the node itself reports it where no other one answers."""
    own: str | None = None
    """As the node itself reports it; None where it does not answer."""

    @property
    def all_states(self) -> frozenset[str]:
        """What any node reports."""
        return self.states if self.own is None else self.states | {self.own}


class WitnessLists:
    """Reads the interface lists of the nodes of a target.

    Args:
        nodes: the nodes.
        credentials: the account of the caller.
        host: the host in the service principal name.
        services: the authentication services to try, the preferred one first.
    """

    def __init__(
        self,
        nodes: Sequence[WitnessNode],
        credentials: Credentials,
        host: str,
        services: Sequence[AuthType] = (AuthType.NTLM,),
    ) -> None:
        self.nodes = tuple(nodes)
        self._credentials = credentials
        self._host = host
        self._services = tuple(services)
        self._clients: dict[str, WitnessClient] = {}

    async def close(self) -> None:
        """Close all connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close(abort=True)

    async def read(self) -> dict[str, tuple[InterfaceInfo, ...] | None]:
        """Return the list of each node; None for a node that does not answer a bind."""
        lists = await asyncio.gather(*map(self._list_of, self.nodes))
        return {node.name: found for node, found in zip(self.nodes, lists, strict=True)}

    async def _list_of(self, node: WitnessNode) -> tuple[InterfaceInfo, ...] | None:
        """The list of a node; empty if it waits for an interface that is AVAILABLE (MS-SWN 3.1.4.1)."""
        from swn_torture.dcerpc.errors import DeadlineExceeded, RpcError
        from swn_torture.witness.codec import DecodeError

        for fresh in (node.name not in self._clients, True):
            try:
                client = await self._connect(node) if fresh else self._clients[node.name]
            except (RpcError, OSError):
                return None
            try:
                response = await client.get_interface_list(timeout=_CALL_SECONDS)
            except (RpcError, DecodeError, OSError) as problem:
                await self._clients.pop(node.name).close(abort=True)
                # A node that answers a bind on a new connection runs: it keeps the call waiting.
                if fresh:
                    return () if isinstance(problem, DeadlineExceeded) else None
            else:
                return response.interfaces
        return None

    async def _connect(self, node: WitnessNode) -> WitnessClient:
        from swn_torture.witness.logon import connect_by

        client = await connect_by(
            self._services,
            node.address,
            node.port,
            epm_port=node.endpoint_mapper_port,
            credentials=self._credentials,
            net_name=self._host,
            timeout=_CALL_SECONDS,
        )
        self._clients[node.name] = client
        return client


def views(
    lists: Mapping[str, tuple[InterfaceInfo, ...] | None], nodes: Sequence[WitnessNode]
) -> tuple[InterfaceView, ...]:
    """Return every listed address with its node and states.

    The node is the one that lists the interface as its own: without INTERFACE_WITNESS (MS-SWN 2.2.2.5). Else
    the one that has the name of the interface group, or whose profile has the address.

    Args:
        lists: the list of each node, as `WitnessLists.read` returns them.
        nodes: the nodes of the profile.
    """
    reported: dict[str, dict[str, str]] = {}
    hosts: dict[str, str] = {}
    known = {node.name.casefold(): node.name for node in nodes}
    by_address = {node.address: node.name for node in nodes}
    for lister, interfaces in lists.items():
        for interface in interfaces or ():
            for address in _addresses(interface):
                reported.setdefault(address, {})[lister] = _state(interface.state)
                if not interface.flags & InterfaceFlags.WITNESS:
                    hosts[address] = lister
                else:
                    group = known.get(interface.group_name.casefold())
                    hosts.setdefault(address, group or by_address.get(address, ""))
    found = []
    for address, states in reported.items():
        host = hosts[address]
        others = frozenset(state for lister, state in states.items() if lister != host)
        found.append(InterfaceView(address, host, others or frozenset(states.values()), states.get(host)))
    return tuple(found)


def _addresses(interface: InterfaceInfo) -> list[str]:
    flags = interface.flags
    valid = [str(interface.ipv4)] if flags & InterfaceFlags.IPV4 else []
    return [*valid, str(interface.ipv6)] if flags & InterfaceFlags.IPV6 else valid


def _state(value: int) -> str:
    try:
        return InterfaceState(value).name
    except ValueError:
        return f"{value:#x}"
