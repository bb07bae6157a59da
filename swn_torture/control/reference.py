"""The controller of a reference cluster: a client of its administration (server/nodes/admin.py)."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    Failure,
    NodeState,
    NodeStatus,
    NotHealthy,
    RegistrationView,
    ShareView,
    check_known_keys,
    describe,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.witness.messages import RespAsyncNotify

_STATES = {"ok": NodeState.OK, "disabled": NodeState.DISABLED}
_FAILURES = {Failure.CRASH: "crash", Failure.POWER_OFF: "power_off", Failure.PARTITION: "partition"}


class ReferenceController(Controller):
    """Changes a reference cluster, embedded or started by `swn-torture serve`.

    The administration answers a command when the cluster has carried it out. So every call returns after the
    change, and `enable`, `recover` and `restart` need no further wait.

    Args:
        address: the IP address of the administration.
        port: the TCP port of the administration.
        timeout: seconds that each command may take.

    Raises:
        ValueError: there is no port.
    """

    kind = "reference"

    def __init__(self, address: str = "127.0.0.1", port: int = 0, timeout: float = 20.0) -> None:
        if not port:
            raise ValueError("the kind reference needs the port of the cluster's administration")
        self.address = address
        self.port = port
        self.timeout = timeout
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller from ``port`` and, optionally, ``address`` and ``timeout`` (seconds).

        Raises:
            ValueError: a setting is missing, unknown or of the wrong type; the text names it.
        """
        check_known_keys(settings, ("address", "port", "timeout"))
        for key, types in (("address", str), ("port", int), ("timeout", (int, float))):
            if key in settings and not isinstance(settings[key], types):
                raise ValueError(f"{key} has the wrong type: {settings[key]!r}")
        return cls(**settings)

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """All capabilities."""
        return frozenset(Capability)

    @override
    async def open(self) -> None:
        """Connect to the administration.

        Raises:
            ControllerError: it is not reachable.
        """
        try:
            async with asyncio.timeout(self.timeout):
                self._streams = await asyncio.open_connection(self.address, self.port, limit=1 << 24)
        except (OSError, TimeoutError) as problem:
            raise ControllerError(
                f"the reference cluster's administration at {self.address} port {self.port} "
                f"is not reachable: {_reason(problem)}"
            ) from problem

    @override
    async def close(self) -> None:
        """Close the connection to the administration."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                return  # the cluster closed it first

    async def send(self, command: str, **arguments: Any) -> Any:
        """Send a command of the administration, and return its result.

        Args:
            command: its name; the command `help` lists all of them.
            **arguments: its arguments; those that are None are left out.

        Raises:
            ControllerError: the cluster rejected the command or did not answer in time, or the connection
                broke.
        """
        request = {"do": command} | {name: value for name, value in arguments.items() if value is not None}
        async with self._lock:
            if self._streams is None:
                await self.open()
            assert self._streams is not None
            reader, writer = self._streams
            try:
                async with asyncio.timeout(self.timeout):
                    writer.write(json.dumps(request).encode() + b"\n")
                    await writer.drain()
                    line = await reader.readline()
            except (OSError, TimeoutError) as problem:
                await self.close()
                raise ControllerError(f"{command}: {_reason(problem)}") from problem
            if not line:
                await self.close()
                raise ControllerError(f"{command}: the reference cluster closed the connection")
        response = json.loads(line)
        if not response["ok"]:
            raise ControllerError(f"{command}: {response['error']}")
        return response["result"]

    # Queries

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """Return all nodes. A node that does not run hosts no addresses."""
        return tuple(
            NodeStatus(
                node["name"],
                _STATES.get(node["condition"], NodeState.DOWN),
                tuple(node["addresses"]) if node["serves"] else (),
                node["address"],
            )
            for node in await self.send("nodes")
        )

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        """Return the registrations of all running nodes."""
        return tuple(
            RegistrationView(**{name: value for name, value in entry.items() if name != "waiting"})
            for entry in await self.send("registrations")
        )

    @override
    async def shares(self) -> tuple[ShareView, ...]:
        """Return the shares. A share with an owner is asymmetric."""
        return tuple(
            ShareView(share["name"], share["scale_out"], share["owner"] is not None)
            for share in await self.send("shares")
        )

    # Nodes

    @override
    async def disable(self, node: str) -> None:
        """Take a node out of service; its witness server still runs."""
        await self.send("disable", node=node)

    @override
    async def enable(self, node: str) -> None:
        """Return a disabled node to service."""
        await self.send("enable", node=node)

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail. The other nodes detect it at once unless the cluster is configured otherwise."""
        await self.send(_FAILURES[how], node=node)

    @override
    async def recover(self, node: str) -> None:
        """Recover a failed node."""
        await self.send("recover", node=node)

    @override
    async def restart(self, node: str) -> None:
        """Restart the witness server of a node."""
        await self.send("restart", node=node)

    # Clients and shares

    @override
    async def move_client(
        self, client: str, destination: str, *, net_name: str | None = None, ip_address: str | None = None
    ) -> None:
        """Send CLIENT_MOVE to the registrations of a client."""
        await self.send(
            "move_client",
            client_name=client,
            destination=destination,
            net_name=net_name,
            ip_address=ip_address,
        )

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
        """Send SHARE_MOVE to the registrations on a share."""
        await self.send(
            "move_share",
            share_name=share,
            destination=destination,
            client_name=client,
            net_name=net_name,
            ip_address=ip_address,
        )

    @override
    async def force_unregister(self, key: str) -> None:
        """Remove one registration."""
        await self.send("force_unregister", key=key)

    @override
    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Complete the pending (or else the next) AsyncNotify of one registration."""
        content: dict[str, Any] = {}
        if response is not None:
            buffer = response.message_buffer
            content = {
                "message_type": response.message_type,
                "number": response.number_of_messages,
                "buffer": None if buffer is None else base64.b64encode(buffer).decode(),
            }
        await self.send("force_response", key=key, result=result, **content)

    # Addresses

    @override
    async def add_address(self, node: str, address: str) -> None:
        """Add a witness address to a node."""
        await self.send("add_address", node=node, address=address)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        """Remove a witness address from its node."""
        await self.send("remove_address", address=address)

    @override
    async def move_address(self, address: str, node: str) -> None:
        """Move an address to another node."""
        await self.send("move_address", address=address, node=node)

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        """Report the interfaces of a node AVAILABLE or UNAVAILABLE."""
        await self.send("set_interface", node=node, state="AVAILABLE" if up else "UNAVAILABLE")

    @override
    async def set_interface_unknown(self, node: str) -> None:
        """Report the interfaces of a node in state UNKNOWN."""
        await self.send("set_interface", node=node, state="UNKNOWN")

    # The whole cluster

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return at once if all nodes are in service and all interfaces are AVAILABLE.

        There is nothing to wait for: every command has taken effect when its call returns.

        Raises:
            NotHealthy: a node is out of service, or an interface is not AVAILABLE.
        """
        async with asyncio.timeout(timeout):
            nodes = await self.nodes()
            interfaces = await self.send("interfaces")
        if any(node.state is not NodeState.OK for node in nodes):
            raise NotHealthy(f"not all nodes are in service: {describe(nodes)}")
        unavailable = [
            f"{i['node']} {i['ipv4'] or i['ipv6']}" for i in interfaces if i["state"] != "AVAILABLE"
        ]
        if unavailable:
            raise NotHealthy(f"not all interfaces are AVAILABLE: {', '.join(unavailable)}")

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Restore the configured state of all nodes, interfaces and shares."""
        async with asyncio.timeout(timeout):
            await self.send("restore")
        await self.wait_healthy(timeout)


def _reason(problem: OSError) -> str:
    """The text of the exception, or "no response in time" where it has none, as a time-out."""
    return str(problem) or "no response in time"
