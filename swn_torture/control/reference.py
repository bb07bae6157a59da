"""The controller of a reference cluster: a client of its administration (server/admin.py)."""

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
    describe,
    no_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.witness.messages import RespAsyncNotify

_STATES = {"ok": NodeState.OK, "disabled": NodeState.DISABLED}
_FAILURES = {Failure.CRASH: "crash", Failure.POWER_OFF: "power_off", Failure.PARTITION: "partition"}


class ReferenceController(Controller):
    """Moves a reference cluster, embedded or run by `swn-torture serve`.

    Args:
        address: of its administration.
        port: of its administration.
        timeout: seconds within which each order has to be carried out.
    """

    kind = "reference"

    def __init__(self, address: str = "127.0.0.1", port: int = 0, timeout: float = 20.0) -> None:
        if not port:
            raise ValueError("kind reference needs the port of the cluster's administration")
        self.address = address
        self.port = port
        self.timeout = timeout
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make one from ``port`` and, optionally, ``address`` and ``timeout`` (seconds)."""
        no_unknown(settings, ("address", "port", "timeout"))
        for key, types in (("address", str), ("port", int), ("timeout", (int, float))):
            if key in settings and not isinstance(settings[key], types):
                raise ValueError(f"{key} has the wrong type: {settings[key]!r}")
        return cls(**settings)

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """All there are: the reference was made to be moved."""
        return frozenset(Capability)

    @override
    async def open(self) -> None:
        """Connect to the administration."""
        try:
            async with asyncio.timeout(self.timeout):
                self._streams = await asyncio.open_connection(self.address, self.port, limit=1 << 24)
        except (OSError, TimeoutError) as problem:
            raise ControllerError(
                f"the reference cluster's administration at {self.address} port {self.port} "
                f"cannot be reached: {_reason(problem)}"
            ) from problem

    @override
    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                return  # it hung up first

    async def order(self, do: str, **arguments: Any) -> Any:
        """Give any order of the administration (`help` lists them); its result.

        Raises:
            ControllerError: the cluster could not carry it out, or is gone.
        """
        request = {"do": do} | {name: value for name, value in arguments.items() if value is not None}
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
                raise ControllerError(f"{do}: {_reason(problem)}") from problem
            if not line:
                await self.close()
                raise ControllerError(f"{do}: the reference cluster is gone")
        answer = json.loads(line)
        if not answer["ok"]:
            raise ControllerError(f"{do}: {answer['error']}")
        return answer["result"]

    # Questions

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """All nodes; those that are dead host no addresses."""
        return tuple(
            NodeStatus(
                node["name"],
                _STATES.get(node["condition"], NodeState.DOWN),
                tuple(node["addresses"]) if node["serves"] else (),
                node["address"],
            )
            for node in await self.order("nodes")
        )

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        """All registrations of the nodes that are alive."""
        return tuple(
            RegistrationView(**{name: value for name, value in entry.items() if name != "waiting"})
            for entry in await self.order("registrations")
        )

    @override
    async def shares(self) -> tuple[ShareView, ...]:
        """The shares; one with an owner is asymmetric."""
        return tuple(
            ShareView(share["name"], share["scale_out"], share["owner"] is not None)
            for share in await self.order("shares")
        )

    # Orders

    @override
    async def disable(self, node: str) -> None:
        """Take a node out of service; its witness server still answers."""
        await self.order("disable", node=node)

    @override
    async def enable(self, node: str) -> None:
        """Bring a disabled node back."""
        await self.order("enable", node=node)

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail; the others notice at once unless the cluster was told otherwise."""
        await self.order(_FAILURES[how], node=node)

    @override
    async def recover(self, node: str) -> None:
        """Bring a failed node back."""
        await self.order("recover", node=node)

    @override
    async def restart(self, node: str) -> None:
        """Restart the witness server of a node."""
        await self.order("restart", node=node)

    @override
    async def move_client(
        self, client: str, destination: str, *, net_name: str | None = None, ip_address: str | None = None
    ) -> None:
        """Ask the registrations of a client to move."""
        await self.order(
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
        """Ask the registrations on a share to move."""
        await self.order(
            "move_share",
            share_name=share,
            destination=destination,
            client_name=client,
            net_name=net_name,
            ip_address=ip_address,
        )

    @override
    async def force_unregister(self, key: str) -> None:
        """Drop one registration."""
        await self.order("force_unregister", key=key)

    @override
    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Answer the pending (or next) AsyncNotify of one registration."""
        notified: dict[str, Any] = {}
        if response is not None:
            buffer = response.message_buffer
            notified = {
                "message_type": response.message_type,
                "number": response.number_of_messages,
                "buffer": None if buffer is None else base64.b64encode(buffer).decode(),
            }
        await self.order("force_response", key=key, result=result, **notified)

    @override
    async def add_address(self, node: str, address: str) -> None:
        """Give a node one more witness address."""
        await self.order("add_address", node=node, address=address)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        """Take a witness address from its node."""
        await self.order("remove_address", address=address)

    @override
    async def move_address(self, address: str, node: str) -> None:
        """Move an address to another node."""
        await self.order("move_address", address=address, node=node)

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        """Report a node's interfaces up or down."""
        await self.order("set_interface", node=node, state="AVAILABLE" if up else "UNAVAILABLE")

    @override
    async def set_interface_unknown(self, node: str) -> None:
        """Report a node's interfaces to be in state UNKNOWN."""
        await self.order("set_interface", node=node, state="UNKNOWN")

    # The whole

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return at once if all nodes serve: this cluster heals while it is told to, or not at all."""
        async with asyncio.timeout(timeout):
            nodes = await self.nodes()
            interfaces = await self.order("interfaces")
        if any(node.state is not NodeState.OK for node in nodes):
            raise NotHealthy(f"not all nodes serve: {describe(nodes)}")
        away = [f"{i['node']} {i['ipv4'] or i['ipv6']}" for i in interfaces if i["state"] != "AVAILABLE"]
        if away:
            raise NotHealthy(f"not all interfaces are AVAILABLE: {', '.join(away)}")

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Make everything as it was configured."""
        async with asyncio.timeout(timeout):
            await self.order("restore")
        await self.wait_healthy(timeout)


def _reason(problem: OSError) -> str:
    """What went wrong, also where the exception has no words for it, as a time-out has none."""
    return str(problem) or "no answer in time"
