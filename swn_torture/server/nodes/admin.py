"""The administration of a reference cluster: commands as lines of JSON over TCP.

One request per line, one response per line::

    {"token": "…", "do": "disable", "node": "NODE1"}
    {"ok": true, "result": null}

    {"token": "…", "do": "disable", "node": "NODE9"}
    {"ok": false, "error": "unknown node 'NODE9'; known: NODE1, NODE2, NODE3"}

The command ``help`` lists the commands with their arguments. The server listens on a loopback address, which
every local user can reach. So a request without the token of `admin_token` is rejected, and ends the
connection.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hmac
import inspect
import json
from typing import TYPE_CHECKING, Any, Self, cast

from swn_torture.server.condition import Condition
from swn_torture.server.nodes.admin_token import new_token, remove_token, write_token
from swn_torture.server.nodes.events import ClusterError
from swn_torture.server.state.registrations import Selection
from swn_torture.server.state.shares import Share, ShareType
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import AsyncNotifyResponse, RespAsyncNotify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from swn_torture.server.activity.log import ActivityLog
    from swn_torture.server.nodes.cluster import ReferenceCluster

_LINE_LIMIT = 1 << 20
"""Maximum length of a request in octets."""


QUERIES = frozenset({"help", "info", "nodes", "interfaces", "registrations", "shares"})
"""Commands that change nothing. A controller repeats them, so the log leaves them out."""


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
            "other_names": {each.name: list(each.aliases) for each in config.other_names},
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
                "hangs": node.hangs,
                "failure_detected": self._cluster.failure_detected(node.name),
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

    async def link_down(self, node: str) -> None:
        """Take the network link of a node down; its processes run."""
        await self._cluster.link_down(node)

    async def hang(self, node: str) -> None:
        """Let all processes of a node hang, without ending them."""
        await self._cluster.hang(node)

    async def hang_service(self, node: str) -> None:
        """Let only the witness server of a node hang, without ending it."""
        await self._cluster.hang_service(node)

    async def kill_worker(self, node: str) -> None:
        """Kill the witness server of a node; it starts again at once."""
        await self._cluster.kill_worker(node)

    async def ban(self, node: str) -> None:
        """Exclude a node from the cluster; its witness server still runs."""
        await self._cluster.exclude(node)

    async def stop(self, node: str) -> None:
        """Let a node leave the cluster; its witness server still runs."""
        await self._cluster.exclude(node)

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


def _problem_of(command: Callable[..., Any], request: dict[str, Any]) -> str:
    """What is wrong with the parameters of a request; empty if nothing is."""
    signature = inspect.signature(command)
    try:
        signature.bind(**request)
    except TypeError as problem:
        return str(problem)
    for name, value in request.items():
        parameter = signature.parameters.get(name)
        if parameter is not None and parameter.annotation == "str" and not isinstance(value, str):
            return f"{name} must be a string, not {value!r}"
    return ""


def _selection(fields: dict[str, str | None]) -> Selection:
    known = [each.name for each in dataclasses.fields(Selection)]
    for name in fields:
        if name not in known:
            raise ClusterError(f"unknown selection {name!r}; known: {', '.join(known)}")
    if not any(fields.values()):
        raise ClusterError("select registrations by client_name, share_name, net_name, ip_address or key")
    return Selection(**cast("dict[str, Any]", fields))


def _share(fields: dict[str, Any]) -> Share:
    scale_out = ShareType.CLUSTER_SOFS if fields.get("scale_out") else ShareType.CLUSTER_FS
    return Share(fields["name"], ShareType(fields.get("type", scale_out)), fields.get("owner"))


_NO_TOKEN = {
    "ok": False,
    "error": "the token is missing or wrong. The user who runs the cluster finds it in the file that `serve` "
    "names; another user needs `token` in [controller] of the profile",
}

#: Iterations of the event loop, more than from accepting a connection to the first line of its handler.
_ITERATIONS_TO_HANDLER = 10


class AdminServer:
    """Receives and executes commands for a cluster. `async with` starts and stops it.

    Args:
        cluster: the cluster to control.
        address: the address to listen on.
        port: the port to listen on; 0 for a free one. The attribute has the actual port.
        token: the token that each request must have; by default a new one. The attribute has it.
        activity: gets a line for each command; None for no log.
    """

    def __init__(
        self,
        cluster: ReferenceCluster,
        address: str = "127.0.0.1",
        port: int = 0,
        activity: ActivityLog | None = None,
        token: str | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self.token = token or new_token()
        self.token_file: Path | None = None
        self._activity = activity
        self._commands = commands_of(Commands(cluster))
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve_connection, self.address, self.port, limit=_LINE_LIMIT
        )
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            self.token_file = write_token(self.address, self.port, self.token)
        except OSError:
            self._server.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        if self.token_file is not None:
            remove_token(self.token_file)
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
                if not self._has_token(line):
                    writer.write(json.dumps(_NO_TOKEN).encode() + b"\n")
                    await writer.drain()
                    return
                writer.write(json.dumps(await self.execute(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the client disconnected or sent a line that is too long
        finally:
            del self._connections[task]
            writer.close()

    def _has_token(self, line: bytes) -> bool:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return False
        given = request.get("token") if isinstance(request, dict) else None
        return isinstance(given, str) and hmac.compare_digest(
            given.encode("utf-8", "surrogatepass"), self.token.encode()
        )

    async def execute(self, line: bytes) -> dict[str, Any]:
        """Execute one request, whose token has been checked, and return the response."""
        try:
            request = json.loads(line)
        except ValueError as problem:
            return {"ok": False, "error": f"the request is not JSON: {problem}"}
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return {"ok": False, "error": 'a request must be an object with a string "do", the command'}
        name = request.pop("do").replace("-", "_")
        request.pop("token", None)
        response = await self._run(name, request)
        if self._activity is not None and name not in QUERIES:
            given = ", ".join(f"{key} {value}" for key, value in request.items())
            outcome = "" if response["ok"] else f": {response['error']}"
            self._activity.happened("admin", f"administration: {name} {given}{outcome}", ok=response["ok"])
        return response

    async def _run(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        command = self._commands.get(name)
        if command is None:
            return {"ok": False, "error": f"unknown command {name!r}; known: {', '.join(self._commands)}"}
        problem = _problem_of(command, request)
        if problem:
            return {
                "ok": False,
                "error": f"{name}: {problem}; the command help lists all with their parameters",
            }
        try:
            result = command(**request)
            if inspect.isawaitable(result):
                result = await result
        except (ClusterError, AttributeError, TypeError, KeyError, ValueError, OSError) as failure:
            return {"ok": False, "error": str(failure) or type(failure).__name__}
        return {"ok": True, "result": result}
