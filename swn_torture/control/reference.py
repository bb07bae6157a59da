"""The controller of a reference cluster: a client of its administration (server/nodes/admin.py)."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from ipaddress import ip_address as parse_ip
from typing import TYPE_CHECKING, Any, Final, Self

from typing_extensions import override

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    EffectNotSeen,
    Failure,
    NodeState,
    NodeStatus,
    NotHealthy,
    RegistrationView,
    ShareView,
)
from swn_torture.control.shared import check_known_keys, describe
from swn_torture.control.step import Step, failure_of
from swn_torture.control.stimulus import Stimulus
from swn_torture.dcerpc.sockets import reason_of
from swn_torture.server.nodes.admin_token import read_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from swn_torture.witness.messages import RespAsyncNotify

_STATES = {"ok": NodeState.OK, "disabled": NodeState.DISABLED, "excluded": NodeState.UNHEALTHY}
_POLL_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 1.0
_STIMULUS: Final = Stimulus(
    "as an event of the reference cluster; the server compares it with all of its registrations"
)


class ReferenceController(Controller):
    """Changes a reference cluster, embedded or started by `swn-torture serve`.

    The administration usually answers a command when the cluster has carried it out. A cluster with slow
    events answers earlier. So every call waits until the lists of nodes and interfaces show its effect.

    Args:
        address: the IP address of the administration.
        port: the TCP port of the administration.
        timeout: seconds that each command may take, and then its effect.
        token: the token of the administration; by default from the file of this user's cluster.

    Raises:
        ValueError: there is no port.
    """

    kind = "reference"

    def __init__(
        self, address: str = "127.0.0.1", port: int = 0, timeout: float = 20.0, token: str | None = None
    ) -> None:
        if not port:
            raise ValueError("the kind reference needs the port of the cluster's administration")
        self.address = address
        self.port = port
        self.timeout = timeout
        self._token = token
        self._changed_at: float | None = None
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller from ``port`` and, optionally, ``address``, ``timeout`` (seconds), ``token``.

        Raises:
            ValueError: a setting is missing, unknown or of the wrong type; the text names it.
        """
        check_known_keys(settings, ("address", "port", "timeout", "token"))
        kinds = (("address", str), ("port", int), ("timeout", (int, float)), ("token", str))
        for key, types in kinds:
            if key in settings and not isinstance(settings[key], types):
                raise ValueError(f"{key} has the wrong type: {settings[key]!r}")
        return cls(**settings)

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """All capabilities."""
        return frozenset(Capability)

    @override
    def changed_at(self) -> float | None:
        return self._changed_at

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
        given = {"token": self._token or read_token(self.address, self.port), **arguments}
        request = {"do": command} | {name: value for name, value in given.items() if value is not None}
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
        return tuple(RegistrationView(**entry) for entry in await self.send("registrations"))

    @override
    async def shares(self) -> tuple[ShareView, ...]:
        """Return the shares. A share with an owner is asymmetric."""
        return tuple(
            ShareView(share["name"], share["scale_out"], share["owner"] is not None)
            for share in await self.send("shares")
        )

    async def _interface_states(self, node: str) -> set[str]:
        """The states of the interfaces of a node: some of AVAILABLE, UNAVAILABLE and UNKNOWN."""
        listed = await self.send("interfaces")
        return {each["state"] for each in listed if each["node"].casefold() == node.casefold()}

    async def _hosts(self, node: str, address: str) -> bool:
        """Whether an interface of a node has the address, whatever its state."""
        listed = await self.send("interfaces")
        own = [each for each in listed if each["node"].casefold() == node.casefold()]
        return str(parse_ip(address)) in {each[family] for each in own for family in ("ipv4", "ipv6")}

    async def _until_seen(self, what: str, seen: Callable[[], Awaitable[bool]]) -> None:
        """Return when the cluster shows the effect of a command.

        Args:
            what: the effect, for the error: `NODE1 is disabled`.
            seen: whether the effect is there.

        Raises:
            EffectNotSeen: it is not there after `timeout` seconds.
        """
        deadline = asyncio.get_running_loop().time() + self.timeout
        while not await seen():
            if asyncio.get_running_loop().time() > deadline:
                state = describe(await self.nodes())
                raise EffectNotSeen(
                    f"the reference cluster did not show within {self.timeout:g} s that {what}: {state}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    # Nodes

    @override
    async def disable(self, node: str) -> None:
        """Take a node out of service; its witness server still runs."""
        self._changed_at = time.monotonic()
        await self.send("disable", node=node)

        async def disabled() -> bool:
            state = (await self.node(node)).state
            return state is not NodeState.OK and "AVAILABLE" not in await self._interface_states(node)

        await self._until_seen(f"{node} is disabled", disabled)

    @override
    async def enable(self, node: str) -> None:
        """Return a disabled node to service."""
        await self.send("enable", node=node)
        await self._until_in_service(node)

    async def _until_in_service(self, node: str) -> None:
        async def in_service() -> bool:
            return (await self.node(node)).state is NodeState.OK

        try:
            await self._until_seen(f"{node} is in service", in_service)
        except EffectNotSeen as problem:
            raise NotHealthy(str(problem)) from problem

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail; return when the other nodes have detected it, if they do."""
        self._changed_at = time.monotonic()
        await self.send(how.value.replace("-", "_"), node=node)
        step = failure_of(node, how)
        if step.call != "fail":
            await self._until_seen(f"{node}: {how.value}", lambda: self._shows(step))
            return

        async def detected() -> bool:
            for each in await self.send("nodes"):
                if each["name"].casefold() == node.casefold():
                    return each["condition"] not in _STATES and bool(each.get("failure_detected", True))
            return False

        await self._until_seen(f"{node} is down", detected)

    async def _shows(self, step: Step) -> bool:
        """Whether the lists show the effect of a failure after which the node is not down."""
        (name,) = step.arguments
        found = next(each for each in await self.send("nodes") if each["name"].casefold() == name.casefold())
        shown = {"exclude": bool(found["condition"] == "excluded"), "hang_service": bool(found["hangs"])}
        return shown.get(step.call, True)

    @override
    async def recover(self, node: str) -> None:
        """Recover a failed node. A disabled node stays disabled."""
        disabled = (await self.node(node)).state is NodeState.DISABLED
        await self.send("recover", node=node)
        if not disabled:
            await self._until_in_service(node)

    @override
    async def restart(self, node: str) -> None:
        """Restart the witness server of a node."""
        await self.send("restart", node=node)

    # Clients and shares

    @override
    def stimulus(self, capability: Capability) -> Stimulus:
        """The cluster passes every event to the witness server of each node, which selects by itself."""
        return _STIMULUS

    @override
    async def move_client(
        self,
        client: str,
        destination: str,
        *,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        """Send CLIENT_MOVE to the registrations of a client."""
        await self.send(
            "move_client",
            client_name=client,
            destination=destination,
            net_name=net_name,
            ip_address=ip_address,
        )
        return _STIMULUS

    @override
    async def move_share(
        self,
        share: str,
        destination: str,
        *,
        client: str | None = None,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        """Send SHARE_MOVE to the registrations on a share."""
        await self.send(
            "move_share",
            share_name=share,
            destination=destination,
            client_name=client,
            net_name=net_name,
            ip_address=ip_address,
        )
        return _STIMULUS

    @override
    async def force_unregister(self, key: str) -> None:
        """Remove one registration."""
        await self.send("force_unregister", key=key)

        async def gone() -> bool:
            return all(each.key != key for each in await self.registrations())

        await self._until_seen(f"the registration {key} is removed", gone)

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
        await self._until_hosted(node, address)

    async def _until_hosted(self, node: str, address: str) -> None:
        async def hosted() -> bool:
            return await self._hosts(node, address)

        await self._until_seen(f"{node} hosts {address}", hosted)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        """Remove a witness address from its node."""
        await self.send("remove_address", address=address)

        async def removed() -> bool:
            return not await self._hosts(node, address)

        await self._until_seen(f"{node} does not host {address} any more", removed)

    @override
    async def move_address(self, address: str, node: str) -> None:
        """Move an address to another node."""
        await self.send("move_address", address=address, node=node)
        await self._until_hosted(node, address)

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        """Report the interfaces of a node AVAILABLE or UNAVAILABLE."""
        await self._set_interface(node, "AVAILABLE" if up else "UNAVAILABLE")

    @override
    async def set_interface_unknown(self, node: str) -> None:
        """Report the interfaces of a node in state UNKNOWN."""
        await self._set_interface(node, "UNKNOWN")

    async def _set_interface(self, node: str, state: str) -> None:
        await self.send("set_interface", node=node, state=state)

        async def reported() -> bool:
            return await self._interface_states(node) <= {state}

        await self._until_seen(f"the interfaces of {node} are {state}", reported)

    # The whole cluster

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return when all nodes are in service and all interfaces are AVAILABLE.

        Raises:
            NotHealthy: a node is out of service, or an interface is not AVAILABLE, after `timeout` seconds.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while problem := await self._unhealthy():
            if asyncio.get_running_loop().time() >= deadline:
                raise NotHealthy(f"after {timeout:g} s {problem}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _unhealthy(self) -> str:
        """Why the cluster is not healthy; an empty string if it is."""
        nodes = await self.nodes()
        if any(node.state is not NodeState.OK for node in nodes):
            return f"not all nodes are in service: {describe(nodes)}"
        hanging = [each["name"] for each in await self.send("nodes") if each["hangs"]]
        if hanging:
            return f"the witness service hangs on {', '.join(hanging)}"
        unavailable = [
            f"{i['node']} {i['ipv4'] or i['ipv6']}"
            for i in await self.send("interfaces")
            if i["state"] != "AVAILABLE"
        ]
        return f"not all interfaces are AVAILABLE: {', '.join(unavailable)}" if unavailable else ""

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Restore the configured state of all nodes, interfaces and shares; repeat the command if it fails.

        Raises:
            NotHealthy: something is left undone after `timeout` seconds, or the administration does not
                answer any more.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            try:
                await self.send("restore")
                await self.wait_healthy(min(_RETRY_SECONDS, timeout))
            except ControllerError as error:
                problem = str(error)
            else:
                return
            if loop.time() >= deadline or not await self._reachable():
                raise NotHealthy(
                    f"the reference cluster is not restored: {problem}. "
                    "To try it again: swn-torture cluster restore --target PROFILE. "
                    "Or stop `swn-torture serve` and start it again"
                )
            await asyncio.sleep(_RETRY_SECONDS)

    async def _reachable(self) -> bool:
        """Whether the administration accepts a connection; if not, the cluster has ended."""
        try:
            async with self._lock:
                if self._streams is None:
                    await self.open()
        except ControllerError:
            return False
        return True


def _reason(problem: OSError) -> str:
    """Why there is no answer, or "no response in time" where the exception has no text, as a time-out."""
    return reason_of(problem) or "no response in time"
