"""The controller ``clusapi``: pauses nodes, switches address resources, and moves groups of a cluster."""

from __future__ import annotations

import asyncio
import os
import time
from ipaddress import ip_address as parse_ip
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from typing_extensions import override

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    EffectNotSeen,
    NodeState,
    NodeStatus,
    NotHealthy,
    NotSupported,
)
from swn_torture.control.clusapi.client import ClusapiClient
from swn_torture.control.effects import Sight, seen
from swn_torture.control.shared import check_known_keys
from swn_torture.control.step import Step
from swn_torture.control.stimulus import Stimulus
from swn_torture.control.undoing.changes import Changes, host_of, undo_all
from swn_torture.control.witness_lists import InterfaceView
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.server.companions.clusapi.messages import (
    ClusapiOpnum,
    EnumType,
    NetworkState,
    ResourceState,
)
from swn_torture.server.companions.clusapi.messages import NodeState as ClusterNodeState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_POLL_SECONDS: Final = 0.2
_KEYS: Final = (
    *("address", "port", "endpoint_mapper_port", "username", "password_env", "password", "domain", "host"),
    *("nodes", "interfaces", "groups", "drain", "auth", "log", "timeout"),
)
_STATES: Final = {
    ClusterNodeState.UP: NodeState.OK,
    ClusterNodeState.PAUSED: NodeState.DISABLED,
    ClusterNodeState.DOWN: NodeState.DOWN,
}
_STIMULUS: Final = Stimulus(
    "as a change of the cluster by ClusAPI; the witness server learns it from the cluster, and selects the "
    "registrations itself"
)


class ClusapiController(Controller):
    """Changes a failover cluster by ClusAPI.

    Args:
        client: the connection.
        nodes: name of each node -> the witness addresses that it hosts.
        interfaces: name of each node -> the resource whose state is that of its witness interface.
        groups: address -> the group (role) that it moves with.
        drain: whether a paused node also moves its groups to other nodes.
        timeout: seconds until the effect of a call must be seen.
    """

    kind = "clusapi"

    def __init__(
        self,
        client: ClusapiClient,
        nodes: Mapping[str, tuple[str, ...]],
        interfaces: Mapping[str, str],
        groups: Mapping[str, str],
        *,
        drain: bool = True,
        timeout: float = 60.0,
    ) -> None:
        self._client = client
        self._addresses = nodes
        self._resources = interfaces
        self._groups = groups
        self._drain = drain
        self._timeout = timeout
        self._changes = Changes()
        self._lock = asyncio.Lock()

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller; docs/adding-a-controller.md explains the keys.

        Raises:
            ValueError: a setting is missing, unknown or wrong; the text names it.
        """
        check_known_keys(settings, _KEYS)
        for key in ("address", "username", "nodes"):
            if key not in settings:
                raise ValueError(f"{key} is missing; fixtures/profiles/TEMPLATE.toml has an example")
        auth = str(settings.get("auth", "spnego")).upper()
        if auth not in {"SPNEGO", "NTLM", "KERBEROS"}:
            raise ValueError(f"auth must be spnego, ntlm or kerberos, not {settings['auth']!r}")
        client = ClusapiClient(
            str(parse_ip(settings["address"])),
            Credentials(settings["username"], _password(settings), settings.get("domain", "")),
            _log_file(settings),
            port=settings.get("port"),
            endpoint_mapper_port=settings.get("endpoint_mapper_port", 135),
            host=settings.get("host", ""),
            auth_type=AuthType[auth],
        )
        nodes = {name: tuple(str(parse_ip(a)) for a in listed) for name, listed in settings["nodes"].items()}
        interfaces = settings.get("interfaces", {})
        for name in interfaces:
            if name not in nodes:
                raise ValueError(f"interfaces: unknown node {name!r}; known: {', '.join(nodes)}")
        groups = {str(parse_ip(a)): group for a, group in settings.get("groups", {}).items()}
        for address in groups:
            if not any(address in listed for listed in nodes.values()):
                raise ValueError(f"groups: {address} is an address of no node (nodes)")
        timeout = float(settings.get("timeout", 60.0))
        return cls(
            client, nodes, interfaces, groups, drain=bool(settings.get("drain", True)), timeout=timeout
        )

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """Those of every cluster, and of interfaces and groups if the profile names them."""
        found = {Capability.LIST_NODES, Capability.DISABLE_NODE}
        if self._resources.keys() >= self._addresses.keys():
            found.add(Capability.INTERFACE_STATE)
        if self._groups:
            found.add(Capability.MOVE_ADDRESS)
        return frozenset(found)

    @override
    def recall(self, state: Mapping[str, Any], undo: Sequence[Step]) -> None:
        self._changes.pending = list(undo)

    @override
    async def open(self) -> None:
        """Connect, and compare the nodes of the cluster with those of the profile.

        Raises:
            ControllerError: ClusAPI is not available, or the cluster has other nodes.
        """
        await self._client.open()
        found = {name.casefold() for name in await self._client.names(EnumType.NODE)}
        expected = {name.casefold() for name in self._addresses}
        if found != expected:
            await self._client.close()
            raise ControllerError(
                f"the cluster has the nodes {', '.join(sorted(found))}, but the profile has "
                f"{', '.join(sorted(expected))}"
            )

    @override
    async def close(self) -> None:
        await self._client.close()

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """Return the nodes with their states. Addresses with a group are those of the group's owner."""
        async with self._lock:
            owners = {
                address: (await self._client.group(group))[1].casefold()
                for address, group in self._groups.items()
            }
            found = []
            for name, configured in self._addresses.items():
                state = _STATES.get(await self._client.node_state(name), NodeState.UNHEALTHY)
                addresses = [a for a in configured if a not in owners]
                addresses += [a for a, owner in owners.items() if owner == name.casefold()]
                listed = tuple(addresses) if state is not NodeState.DOWN else ()
                found.append(NodeStatus(name, state, listed))
            return tuple(found)

    @override
    def stimulus(self, capability: Capability) -> Stimulus:
        """ClusAPI changes the cluster, from which the witness servers learn it."""
        return _STIMULUS

    async def _interfaces(self) -> tuple[InterfaceView, ...]:
        found = []
        async with self._lock:
            for node, resource in self._resources.items():
                state, _ = await self._client.resource(resource)
                shown = "AVAILABLE" if state is ResourceState.ONLINE else "UNAVAILABLE"
                found += [InterfaceView(a, node, frozenset({shown})) for a in self._addresses[node]]
        return tuple(found)

    async def _until_seen(self, step: Step) -> None:
        """Return when the cluster shows the effect of a call.

        Raises:
            EffectNotSeen: it does not before the time-out; NotHealthy for a call that undoes another.
        """
        deadline = time.monotonic() + self._timeout
        while True:
            sight = Sight(await self.nodes(), await self._interfaces() if self._resources else None)
            if seen(step, sight):
                return
            if time.monotonic() > deadline:
                error = NotHealthy if step.call == "enable" else EffectNotSeen
                raise error(f"no effect of {step} within {self._timeout:g} s; seen: {sight}")
            await asyncio.sleep(_POLL_SECONDS)

    @override
    async def disable(self, node: str) -> None:
        """Pause the node (ApiPauseNodeEx with a drain, or ApiPauseNode)."""
        step = Step("disable", (node,))
        self._changes.begin(step)
        async with self._lock:
            await self._client.pause_node(node, drain=self._drain)
        await self._until_seen(step)

    @override
    async def enable(self, node: str) -> None:
        """Resume the node (ApiResumeNode)."""
        step = Step("enable", (node,))
        async with self._lock:
            await self._client.resume_node(node)
        await self._until_seen(step)
        self._changes.end(step)

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        """Bring the address resource of a node online, or take it offline."""
        self.require(Capability.INTERFACE_STATE)
        step = Step("interface_up" if up else "interface_down", (node,))
        self._changes.begin(step)
        how = ClusapiOpnum.ONLINE_RESOURCE if up else ClusapiOpnum.OFFLINE_RESOURCE
        async with self._lock:
            await self._client.switch_resource(self._resources[node], how)
        await self._until_seen(step)
        self._changes.end(step)

    @override
    async def move_address(self, address: str, node: str) -> None:
        """Move the group of an address to a node (ApiMoveGroupToNode).

        Raises:
            NotSupported: the profile names no group of this address.
        """
        self.require(Capability.MOVE_ADDRESS)
        group = self._groups.get(str(parse_ip(address)))
        if group is None:
            raise NotSupported(Capability.MOVE_ADDRESS, self.kind, f"[controller.groups] has no {address}")
        step = Step("move_address", (address, node))
        self._changes.begin(step, await host_of(self, address))
        async with self._lock:
            await self._client.move_group(group, node)
        await self._until_hosted(step)
        self._changes.end(step)

    async def _until_hosted(self, step: Step) -> None:
        """Return when the owner of a group is the node that it was moved to.

        Raises:
            EffectNotSeen: it is not before the time-out.
        """
        deadline = time.monotonic() + self._timeout
        while not seen(step, Sight(await self.nodes())):
            if time.monotonic() > deadline:
                raise EffectNotSeen(f"no effect of {step} within {self._timeout:g} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def networks(self) -> dict[str, NetworkState]:
        """Return the state of each cluster network, by its name.

        Raises:
            ControllerError: a call failed.
        """
        async with self._lock:
            names = await self._client.names(EnumType.NETWORK)
            return {name: await self._client.network_state(name) for name in names}

    async def _unhealthy(self) -> str:
        """Why the cluster is not healthy; an empty string if it is."""
        problem = Sight(await self.nodes(), await self._interfaces()).unhealthy()
        down = {n: s for n, s in (await self.networks()).items() if s is not NetworkState.UP}
        listed = ", ".join(f"{name} {state.name}" for name, state in down.items())
        return problem or (f"not all cluster networks are UP: {listed}" if down else "")

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return when all nodes and networks are up, and all address resources of the profile are online.

        Raises:
            NotHealthy: it is otherwise after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            problem = await self._unhealthy()
            if not problem:
                return
            if time.monotonic() >= deadline:
                raise NotHealthy(f"after {timeout:g} s {problem}")
            await asyncio.sleep(_POLL_SECONDS)

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Undo each change, the last one first.

        Raises:
            NotHealthy: something is left undone after `timeout` seconds.
        """
        await undo_all(self, self._changes, timeout)


def _password(settings: Mapping[str, Any]) -> str:
    if "password" in settings:
        return str(settings["password"])
    variable = settings.get("password_env")
    if variable is None:
        raise ValueError("password_env is missing: the environment variable that holds the password")
    if variable not in os.environ:
        raise ValueError(f"the environment variable {variable}, which holds the password, is not set")
    return os.environ[variable]


def _log_file(settings: Mapping[str, Any]) -> Path:
    if "log" in settings:
        return Path(settings["log"])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "swn-torture" / f"clusapi-{settings['address'].replace(':', '-')}.log"
