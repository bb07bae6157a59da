"""The administration of a reference cluster: orders and questions as lines of JSON over TCP.

One request per line, one answer per line::

    {"do": "disable", "node": "NODE1"}
    {"ok": true, "result": null}

    {"do": "disable", "node": "NODE9"}
    {"ok": false, "error": "no node is called 'NODE9'; known are: NODE1, NODE2, NODE3"}

``{"do": "help"}`` lists the orders with their arguments. It listens on a loopback address and asks nobody for
a password: whoever can reach it may do all of this, and a test cluster has nothing else to lose.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from typing import TYPE_CHECKING, Any, Self

from swn_torture.server.condition import Condition
from swn_torture.server.nodes.cluster import ClusterError, ReferenceCluster
from swn_torture.server.state.registrations import Selection
from swn_torture.server.state.shares import Share, ShareType
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import AsyncNotifyResponse, RespAsyncNotify

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_LINE_LIMIT = 1 << 20
"""Octets of a request at most."""


class Orders:
    """What can be ordered and asked. Every public method is one, its parameters are the request's."""

    def __init__(self, cluster: ReferenceCluster) -> None:
        self._cluster = cluster

    def help(self) -> dict[str, str]:
        """The orders, with their arguments and what they do."""
        return {
            name: f"{inspect.signature(method)}: {(method.__doc__ or '').splitlines()[0]}"
            for name, method in orders_of(self).items()
        }

    # Questions

    def info(self) -> dict[str, Any]:
        """How to reach the cluster."""
        config = self._cluster.config
        return {
            "net_name": config.net_name,
            "aliases": list(config.aliases),
            "domain": config.domain,
            "users": list(config.users),
            "options": config.options.to_mapping(),
            "nodes": self.nodes(),
        }

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes, their conditions, addresses and ports."""
        return [
            {
                "name": node.name,
                "condition": node.condition.value,
                "serves": node.condition is Condition.OK,
                "address": node.address,
                "addresses": [str(a) for a in self._cluster.addresses_of(node.name)],
                "port": node.port,
                "epm_port": node.epm_port,
                "smb_port": node.smb_port,
            }
            for node in self._cluster.nodes.values()
        ]

    def interfaces(self) -> list[dict[str, Any]]:
        """The interfaces as they really are."""
        return [
            {
                "group_name": i.group_name,
                "ipv4": None if i.ipv4 is None else str(i.ipv4),
                "ipv6": None if i.ipv6 is None else str(i.ipv6),
                "state": i.state.name,
                "node": i.node,
            }
            for i in self._cluster.interfaces
        ]

    def registrations(self) -> list[dict[str, Any]]:
        """The registrations of all nodes."""
        return self._cluster.registrations()

    def shares(self) -> list[dict[str, Any]]:
        """The shares."""
        found = self._cluster.shares.enumerate()
        return [
            {"name": s.name, "type": int(s.type), "scale_out": s.scale_out, "owner": s.owner} for s in found
        ]

    # Nodes

    async def disable(self, node: str) -> None:
        """Take a node out of service; its witness server goes on."""
        await self._cluster.disable(node)

    async def enable(self, node: str) -> None:
        """Bring a disabled node back."""
        await self._cluster.enable(node)

    async def crash(self, node: str) -> None:
        """Kill a node's processes: clients see resets."""
        await self._cluster.crash(node)

    async def power_off(self, node: str) -> None:
        """Cut a node's power: clients see nothing any more."""
        await self._cluster.power_off(node)

    async def partition(self, node: str) -> None:
        """Cut a node off from the other nodes, not from clients."""
        await self._cluster.partition(node)

    async def recover(self, node: str) -> None:
        """Bring a failed node back."""
        await self._cluster.recover(node)

    async def restart(self, node: str) -> None:
        """Restart a node's witness server."""
        await self._cluster.restart(node)

    async def restore(self) -> None:
        """Make everything as it was configured, and all nodes healthy."""
        await self._cluster.restore()

    # Interfaces, addresses, shares

    async def set_interface(self, node: str, state: str, address: str | None = None) -> None:
        """Report a node's interfaces (or one) AVAILABLE, UNAVAILABLE or UNKNOWN."""
        try:
            wanted = InterfaceState[state.upper()]
        except KeyError:
            raise ClusterError(
                f"state can be {', '.join(InterfaceState.__members__)}, not {state!r}"
            ) from None
        await self._cluster.set_interface(node, wanted, address)

    async def add_address(self, node: str, address: str) -> None:
        """Give a node one more witness address."""
        await self._cluster.add_address(node, address)

    async def remove_address(self, address: str) -> None:
        """Take an address away from the node that has it."""
        await self._cluster.remove_address(address)

    async def change_address(self, old: str, new: str) -> None:
        """Replace one address of a node by another."""
        await self._cluster.change_address(old, new)

    async def move_address(self, address: str, node: str) -> None:
        """Move an address to another node."""
        await self._cluster.move_address(address, node)

    def set_shares(self, shares: list[dict[str, Any]]) -> None:
        """Replace the shares: name, and type or scale_out."""
        self._cluster.set_shares(tuple(_share(share) for share in shares))

    def fail_share_enumeration(self, *, failing: bool) -> None:
        """Have every enumeration of shares fail, or work again."""
        self._cluster.shares.failing = failing

    # Clients

    def move_client(self, destination: str, **selection: str | None) -> None:
        """Ask clients to move (CLIENT_MOVE). Selection: client_name, net_name, ip_address, key."""
        self._cluster.move_client(_selection(selection), destination)

    def move_share(self, destination: str, **selection: str | None) -> None:
        """Tell the clients of a share to move (SHARE_MOVE). Selection: share_name, and as move_client."""
        self._cluster.move_share(_selection(selection), destination)

    def change_ip(self, change: str, **selection: str | None) -> None:
        """Tell clients that watch addresses of a change (IP_CHANGE). Selection: as move_client."""
        self._cluster.change_ip(_selection(selection), change)

    def force_unregister(self, **selection: str | None) -> None:
        """Drop registrations. Selection: as move_client."""
        self._cluster.force_unregister(_selection(selection))

    def force_response(
        self,
        result: int = 0,
        message_type: int | None = None,
        number: int = 1,
        buffer: str | None = None,
        **selection: str | None,
    ) -> None:
        """Answer AsyncNotify with just this; buffer is base64. Selection: as move_client."""
        octets = None if buffer is None else base64.b64decode(buffer, validate=True)
        notified = None if message_type is None else RespAsyncNotify(message_type, number, octets)
        self._cluster.force_response(_selection(selection), AsyncNotifyResponse(notified, result))


def orders_of(orders: Orders) -> dict[str, Callable[..., Any]]:
    """The orders by name."""
    return {name: getattr(orders, name) for name in dir(orders) if not name.startswith("_")}


def _selection(fields: dict[str, str | None]) -> Selection:
    if not any(fields.values()):
        raise ClusterError("say whom: client_name, share_name, net_name, ip_address or key")
    return Selection(**fields)


def _share(fields: dict[str, Any]) -> Share:
    scale_out = ShareType.CLUSTER_SOFS if fields.get("scale_out") else ShareType.CLUSTER_FS
    return Share(fields["name"], ShareType(fields.get("type", scale_out)), fields.get("owner"))


#: Turns of the event loop, more than enough from accepting a connection to the first line of its handler.
_STEPS_TO_BEGIN = 10


class AdminServer:
    """Takes orders for a cluster. `async with` starts and stops it.

    Args:
        cluster: the cluster that obeys.
        address: where to listen.
        port: 0 for any free one; afterwards the real one.
    """

    def __init__(self, cluster: ReferenceCluster, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address = address
        self.port = port
        self._orders = orders_of(Orders(cluster))
        self._server: asyncio.Server | None = None
        self._visitors: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._visit, self.address, self.port, limit=_LINE_LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        # Let nobody in any more, and whoever is on the way in begin: a server closed between accepting a
        # connection and making its transport loses the socket (CPython 3.11).
        for listener in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(_STEPS_TO_BEGIN):
            await asyncio.sleep(0)
        self._server.close()
        # Not cancelled: asyncio would report that as an error of the connection's callback.
        for writer in self._visitors.values():
            writer.transport.abort()
        await asyncio.gather(*self._visitors, return_exceptions=True)
        await self._server.wait_closed()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._visitors[task] = writer
        try:
            while True:
                line = await reader.readuntil(b"\n")
                writer.write(json.dumps(await self.obey(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # a visitor who has gone, or who talks without end
        finally:
            del self._visitors[task]
            writer.close()

    async def obey(self, line: bytes) -> dict[str, Any]:
        """Carry out one request; the answer."""
        try:
            request = json.loads(line)
        except ValueError as problem:
            return {"ok": False, "error": f"not JSON: {problem}"}
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return {"ok": False, "error": 'a request is an object with "do"'}
        name = request.pop("do").replace("-", "_")
        order = self._orders.get(name)
        if order is None:
            return {"ok": False, "error": f"no order {name!r}; there are: {', '.join(self._orders)}"}
        try:
            result = order(**request)
            if inspect.isawaitable(result):
                result = await result
        except (ClusterError, TypeError, KeyError, ValueError, OSError) as problem:
            return {"ok": False, "error": str(problem) or type(problem).__name__}
        return {"ok": True, "result": result}
