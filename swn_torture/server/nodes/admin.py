"""The administration of a reference cluster: commands as lines of JSON over TCP.

One request per line, one response per line::

    {"do": "disable", "node": "NODE1"}
    {"ok": true, "result": null}

    {"do": "disable", "node": "NODE9"}
    {"ok": false, "error": "unknown node 'NODE9'; known: NODE1, NODE2, NODE3"}

``{"do": "help"}`` lists the commands with their arguments. The server listens on a loopback address without
authentication, because a test cluster has no data to protect.
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
"""Maximum length of a request in octets."""


class Commands:
    """The commands. Each public method is a command; its parameters are the fields of the request."""

    def __init__(self, cluster: ReferenceCluster) -> None:
        self._cluster = cluster

    def help(self) -> dict[str, str]:
        """List the commands with their arguments."""
        return {
            name: f"{inspect.signature(method)}: {(method.__doc__ or '').splitlines()[0]}"
            for name, method in commands_of(self).items()
        }

    # Queries

    def info(self) -> dict[str, Any]:
        """Return the names, users, options and nodes of the cluster."""
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
        """Return the nodes with their conditions, addresses and ports."""
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
        """Return the interfaces with their true states."""
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
        """Return the registrations of all nodes."""
        return self._cluster.registrations()

    def shares(self) -> list[dict[str, Any]]:
        """Return the shares."""
        found = self._cluster.shares.enumerate()
        return [
            {"name": s.name, "type": int(s.type), "scale_out": s.scale_out, "owner": s.owner} for s in found
        ]

    # Nodes

    async def disable(self, node: str) -> None:
        """Take a node out of service; its witness server still runs."""
        await self._cluster.disable(node)

    async def enable(self, node: str) -> None:
        """Return a disabled node to service."""
        await self._cluster.enable(node)

    async def crash(self, node: str) -> None:
        """Kill the processes of a node: its connections are reset."""
        await self._cluster.crash(node)

    async def power_off(self, node: str) -> None:
        """Cut the power of a node: it sends nothing."""
        await self._cluster.power_off(node)

    async def partition(self, node: str) -> None:
        """Cut a node off from the other nodes, not from clients."""
        await self._cluster.partition(node)

    async def recover(self, node: str) -> None:
        """Recover a failed node."""
        await self._cluster.recover(node)

    async def restart(self, node: str) -> None:
        """Restart the witness server of a node."""
        await self._cluster.restart(node)

    async def restore(self) -> None:
        """Restore the configured state of all nodes, interfaces and shares."""
        await self._cluster.restore()

    # Interfaces, addresses, shares

    async def set_interface(self, node: str, state: str, address: str | None = None) -> None:
        """Set the interfaces of a node, or one of them, to AVAILABLE, UNAVAILABLE or UNKNOWN."""
        try:
            new_state = InterfaceState[state.upper()]
        except KeyError:
            raise ClusterError(
                f"state must be one of {', '.join(InterfaceState.__members__)}, not {state!r}"
            ) from None
        await self._cluster.set_interface(node, new_state, address)

    async def add_address(self, node: str, address: str) -> None:
        """Add a witness address to a node."""
        await self._cluster.add_address(node, address)

    async def remove_address(self, address: str) -> None:
        """Remove a witness address from its node."""
        await self._cluster.remove_address(address)

    async def change_address(self, old: str, new: str) -> None:
        """Replace one address of a node by another."""
        await self._cluster.change_address(old, new)

    async def move_address(self, address: str, node: str) -> None:
        """Move an address to another node."""
        await self._cluster.move_address(address, node)

    def set_shares(self, shares: list[dict[str, Any]]) -> None:
        """Replace all shares. Fields of a share: name, and optionally type, scale_out and owner."""
        self._cluster.set_shares(tuple(_share(share) for share in shares))

    def fail_share_enumeration(self, *, failing: bool) -> None:
        """Make every enumeration of shares fail, or work again."""
        self._cluster.shares.failing = failing

    # Clients

    def move_client(self, destination: str, **selection: str | None) -> None:
        """Send CLIENT_MOVE. Selection: client_name, share_name, net_name, ip_address or key."""
        self._cluster.move_client(_selection(selection), destination)

    def move_share(self, destination: str, **selection: str | None) -> None:
        """Send SHARE_MOVE. Selection: share_name, and optionally as move_client."""
        self._cluster.move_share(_selection(selection), destination)

    def change_ip(self, change: str, **selection: str | None) -> None:
        """Send IP_CHANGE to clients with IP notifications. Selection: as move_client."""
        self._cluster.change_ip(_selection(selection), change)

    def force_unregister(self, **selection: str | None) -> None:
        """Remove registrations. Selection: as move_client."""
        self._cluster.force_unregister(_selection(selection))

    def force_response(
        self,
        result: int = 0,
        message_type: int | None = None,
        number: int = 1,
        buffer: str | None = None,
        **selection: str | None,
    ) -> None:
        """Complete AsyncNotify with this response; buffer is base64. Selection: as move_client."""
        octets = None if buffer is None else base64.b64decode(buffer, validate=True)
        response = None if message_type is None else RespAsyncNotify(message_type, number, octets)
        self._cluster.force_response(_selection(selection), AsyncNotifyResponse(response, result))


def commands_of(commands: Commands) -> dict[str, Callable[..., Any]]:
    """Return the commands by name."""
    return {name: getattr(commands, name) for name in dir(commands) if not name.startswith("_")}


def _selection(fields: dict[str, str | None]) -> Selection:
    if not any(fields.values()):
        raise ClusterError("select registrations by client_name, share_name, net_name, ip_address or key")
    return Selection(**fields)


def _share(fields: dict[str, Any]) -> Share:
    scale_out = ShareType.CLUSTER_SOFS if fields.get("scale_out") else ShareType.CLUSTER_FS
    return Share(fields["name"], ShareType(fields.get("type", scale_out)), fields.get("owner"))


#: Iterations of the event loop, more than from accepting a connection to the first line of its handler.
_ITERATIONS_TO_HANDLER = 10


class AdminServer:
    """Receives and executes commands for a cluster. `async with` starts and stops it.

    Args:
        cluster: the cluster to control.
        address: the address to listen on.
        port: the port to listen on; 0 for a free one. The attribute has the actual port.
    """

    def __init__(self, cluster: ReferenceCluster, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address = address
        self.port = port
        self._commands = commands_of(Commands(cluster))
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve_connection, self.address, self.port, limit=_LINE_LIMIT
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        # Accept no more connections, and let the handlers of accepted ones start. A server that closes
        # between accepting a connection and making its transport loses the socket (CPython 3.11).
        for listener in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(_ITERATIONS_TO_HANDLER):
            await asyncio.sleep(0)
        self._server.close()
        # Not cancelled: asyncio would report that as an error of the connection's callback.
        for writer in self._connections.values():
            writer.transport.abort()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            while True:
                line = await reader.readuntil(b"\n")
                writer.write(json.dumps(await self.execute(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the client disconnected or sent a line that is too long
        finally:
            del self._connections[task]
            writer.close()

    async def execute(self, line: bytes) -> dict[str, Any]:
        """Execute one request and return the response."""
        try:
            request = json.loads(line)
        except ValueError as problem:
            return {"ok": False, "error": f"the request is not JSON: {problem}"}
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return {"ok": False, "error": 'a request must be an object with a string "do", the command'}
        name = request.pop("do").replace("-", "_")
        command = self._commands.get(name)
        if command is None:
            return {"ok": False, "error": f"unknown command {name!r}; known: {', '.join(self._commands)}"}
        try:
            result = command(**request)
            if inspect.isawaitable(result):
                result = await result
        except (ClusterError, TypeError, KeyError, ValueError, OSError) as problem:
            return {"ok": False, "error": str(problem) or type(problem).__name__}
        return {"ok": True, "result": result}
