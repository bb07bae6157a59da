"""The interface of all controllers: calls, capabilities, the values that they return, and errors.

A controller changes the cluster under test from outside the protocol: it makes a node fail and recover, or
moves a client. Each kind of cluster has its own module. It implements the calls that its cluster supports and
lists them in `Controller.capabilities`. A case asks for capabilities by name. Where one is missing, the case
is *not tested*, and the report gives the reason.

The errors::

    ControllerError           the cluster is not reachable, or a call failed
    ├── CommandFailed         a command ran and failed (control/runner.py)
    ├── NotHealthy            the cluster did not reach the expected state before the deadline
    └── NotSupported          this controller does not have the capability; nothing was done

All calls are coroutines, so that a case can watch its connections during a call.
"""

# Here the calls only raise NotSupported; their arguments are named for those who implement them.
# ruff: noqa: ARG002

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from swn_torture.witness.messages import RespAsyncNotify


class Capability(StrEnum):
    """One thing that a controller can do. Cases and reports use the values as names."""

    LIST_NODES = "list-nodes"
    """List the nodes with their states and addresses: `nodes`."""
    LIST_REGISTRATIONS = "list-registrations"
    """List the registrations of the whole cluster: `registrations`."""
    DISABLE_NODE = "disable-node"
    """Take a node out of service in an orderly way, and return it to service: `disable`, `enable`."""
    FAIL_CRASH = "fail-crash"
    """Kill the services of a node; its kernel still runs and sends resets: `fail`."""
    FAIL_POWER_OFF = "fail-power-off"
    """Stop a node so that it sends nothing, not even resets: `fail`."""
    FAIL_PARTITION = "fail-partition"
    """Cut a node off from the other nodes, but not from its clients: `fail`."""
    MOVE_CLIENT = "move-client"
    """Send CLIENT_MOVE to the registrations of a client: `move_client`."""
    MOVE_SHARE = "move-share"
    """Send SHARE_MOVE to the registrations on a share: `move_share`."""
    CHANGE_ADDRESS = "change-address"
    """Add and remove witness addresses of a node: `add_address`, `remove_address`."""
    MOVE_ADDRESS = "move-address"
    """Move a floating address to another node: `move_address`."""
    INTERFACE_STATE = "interface-state"
    """Report an interface UNAVAILABLE and AVAILABLE while its node runs: `set_interface`."""
    UNKNOWN_STATE = "unknown-state"
    """Report the interfaces of a node in state UNKNOWN: `set_interface_unknown`."""
    RESTART_SERVICE = "restart-service"
    """Restart only the witness service of a node: `restart`."""
    FORCE_UNREGISTER = "force-unregister"
    """Make the server remove a registration: `force_unregister`."""
    FORCE_RESPONSE = "force-response"
    """Make the server complete a pending AsyncNotify with given content: `force_response`."""
    SHARES = "shares"
    """List the shares with their types: `shares`."""


class Failure(StrEnum):
    """The kinds of failure that `Controller.fail` can cause."""

    CRASH = "crash"
    """The processes end at once; the kernel of the node resets their connections."""
    POWER_OFF = "power-off"
    """The node sends nothing any more; its connections are not reset."""
    PARTITION = "partition"
    """The node is cut off from the other nodes but not from clients."""

    @property
    def capability(self) -> Capability:
        """The capability that a controller needs for this kind of failure."""
        return Capability(f"fail-{self.value}")


class NodeState(StrEnum):
    """The state of a node as its cluster sees it."""

    OK = "ok"
    """In service."""
    DISABLED = "disabled"
    """Taken out of service by an administrator."""
    DOWN = "down"
    """Unreachable or not running."""
    UNHEALTHY = "unhealthy"
    """Running but not in service: starting, recovering, banned, stopped, or its health checks fail."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node as its cluster sees it."""

    name: str
    state: NodeState
    addresses: tuple[str, ...]
    """The witness (public) addresses that it hosts now; empty for a node out of service."""
    management_address: str = ""
    """The fixed address of the node; empty where it has none."""


@dataclass(frozen=True, slots=True)
class RegistrationView:
    """One registration as the cluster reports it. None: the cluster does not report this field."""

    key: str
    """What `force_unregister` and `force_response` take: the UUID of the context handle where known."""
    client_computer_name: str
    net_name: str
    ip_address: str
    share_name: str | None = None
    version: int | None = None
    """0x00010001 or 0x00020000."""
    flags: int | None = None
    timeout: int | None = None
    """The KeepAliveTimeout, in seconds."""
    node: str | None = None
    """The node whose witness server has the registration."""
    account: str | None = None
    """The user who registered, as DOMAIN\\user."""


@dataclass(frozen=True, slots=True)
class ShareView:
    """One share as the cluster reports it."""

    name: str
    scale_out: bool
    asymmetric: bool = False
    """Whether clients are expected to move with the share's owner (SHI1005 asymmetry, SHARE_MOVE applies)."""


class ControllerError(Exception):
    """The cluster is not reachable, or a call failed. The text says what was tried and what happened."""


class NotHealthy(ControllerError):  # noqa: N818 - it reports a state of the cluster
    """The cluster did not reach the expected state before the deadline. The text gives the last state."""


class NotSupported(ControllerError):  # noqa: N818 - it reports a property of the controller
    """The controller does not have a capability.

    Attributes:
        capability: the missing capability.
        kind: the kind of the controller.
    """

    def __init__(self, capability: Capability, kind: str) -> None:
        super().__init__(f"the {kind} controller does not support {capability.value}")
        self.capability = capability
        self.kind = kind


class Controller(ABC):
    """Changes one cluster. `async with controller:` opens and closes its connections.

    A call returns when the cluster has accepted it. The case observes when the effect reaches the clients.
    `recover`, `enable`, `restart` and `restore` are different: they return when the node or the cluster
    serves clients again, so that a case leaves the cluster in the state in which it found it.

    Every call raises `NotSupported` where the controller does not have the capability (nothing was done), and
    `ControllerError` where the cluster is not reachable or the call fails.
    """

    kind: str
    """The value of `kind` in the `[controller]` table of a profile."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make a controller from the ``[controller]`` table of a profile, without its ``kind``.

        Raises:
            ValueError: a setting is missing, unknown or of the wrong type; the text names it.
        """

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What this controller can do with this cluster and these settings. Needs no connection."""

    async def open(self) -> None:
        """Connect to the cluster, where the kind needs that.

        Raises:
            ControllerError: the cluster is not reachable or is not the one of the profile.
        """
        return

    async def close(self) -> None:
        """Release everything that `open` acquired."""
        return

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def can(self, *capabilities: Capability) -> bool:
        """Whether the controller has all of these capabilities."""
        return self.capabilities.issuperset(capabilities)

    def missing(self, capabilities: Iterable[Capability]) -> tuple[Capability, ...]:
        """Those of the capabilities that the controller does not have, in the order given."""
        return tuple(c for c in capabilities if c not in self.capabilities)

    def require(self, capability: Capability) -> None:
        """Return if the controller has the capability.

        Raises:
            NotSupported: it does not.
        """
        if capability not in self.capabilities:
            raise self._not_supported(capability)

    def _not_supported(self, capability: Capability) -> NotSupported:
        return NotSupported(capability, self.kind)

    # Queries

    async def nodes(self) -> tuple[NodeStatus, ...]:
        """Return all configured nodes, in the order of the configuration (`LIST_NODES`)."""
        raise self._not_supported(Capability.LIST_NODES)

    async def node(self, name: str) -> NodeStatus:
        """Return one node by its name, without regard to case (`LIST_NODES`).

        Raises:
            ControllerError: the name is unknown; the text lists the known names.
        """
        nodes = await self.nodes()
        for status in nodes:
            if status.name.casefold() == name.casefold():
                return status
        raise unknown_node(name, (status.name for status in nodes))

    async def registrations(self) -> tuple[RegistrationView, ...]:
        """Return the registrations of all nodes (`LIST_REGISTRATIONS`)."""
        raise self._not_supported(Capability.LIST_REGISTRATIONS)

    async def shares(self) -> tuple[ShareView, ...]:
        """Return the shares of the cluster (`SHARES`)."""
        raise self._not_supported(Capability.SHARES)

    # Nodes

    async def disable(self, node: str) -> None:
        """Take a node out of service in an orderly way (`DISABLE_NODE`).

        Returns when the cluster has accepted it.
        """
        raise self._not_supported(Capability.DISABLE_NODE)

    async def enable(self, node: str) -> None:
        """Return a disabled node to service (`DISABLE_NODE`).

        Returns when the node serves clients again.

        Raises:
            NotHealthy: it does not serve before the controller's own deadline.
        """
        raise self._not_supported(Capability.DISABLE_NODE)

    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail without warning (`FAIL_CRASH`, `FAIL_POWER_OFF`, `FAIL_PARTITION`).

        Returns when the node has failed, not when the other nodes have noticed it.

        Args:
            node: the name of the node.
            how: the kind of failure.
        """
        raise self._not_supported(how.capability)

    async def recover(self, node: str) -> None:
        """Recover a failed node from any kind of failure.

        Returns when the node serves clients again.

        Raises:
            NotHealthy: it does not serve before the controller's own deadline.
        """
        raise self._not_supported(Capability.FAIL_CRASH)

    async def restart(self, node: str) -> None:
        """Restart the witness service of one node (`RESTART_SERVICE`).

        Returns when the service answers again.

        Raises:
            NotHealthy: it does not answer before the controller's own deadline.
        """
        raise self._not_supported(Capability.RESTART_SERVICE)

    # Clients and shares

    async def move_client(
        self, client: str, destination: str, *, net_name: str | None = None, ip_address: str | None = None
    ) -> None:
        """Send CLIENT_MOVE to the registrations of a client (`MOVE_CLIENT`, MS-SWN 3.1.6.2).

        Returns when the cluster has accepted it.

        Args:
            client: the ClientComputerName of the registrations.
            destination: the name of a node (all of its witness addresses), or one IP address.
            net_name: only registrations with this NetName.
            ip_address: only registrations with this IpAddress.
        """
        raise self._not_supported(Capability.MOVE_CLIENT)

    async def move_share(
        self,
        share: str,
        destination: str,
        *,
        client: str | None = None,
        net_name: str | None = None,
        ip_address: str | None = None,
    ) -> None:
        """Send SHARE_MOVE to the registrations on a share (`MOVE_SHARE`, MS-SWN 3.1.6.3).

        Returns when the cluster has accepted it.

        Args:
            share: the ShareName of the registrations.
            destination: the name of a node (all of its witness addresses), or one IP address.
            client: only registrations with this ClientComputerName.
            net_name: only registrations with this NetName.
            ip_address: only registrations with this IpAddress.
        """
        raise self._not_supported(Capability.MOVE_SHARE)

    async def force_unregister(self, key: str) -> None:
        """Make the server remove one registration (`FORCE_UNREGISTER`).

        Returns when the cluster has accepted it.

        Args:
            key: the `RegistrationView.key` of the registration.
        """
        raise self._not_supported(Capability.FORCE_UNREGISTER)

    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Make the server complete the pending AsyncNotify of one registration (`FORCE_RESPONSE`).

        Returns when the cluster has accepted it.

        Args:
            key: the `RegistrationView.key` of the registration.
            result: the return value of the AsyncNotify.
            response: the RESP_ASYNC_NOTIFY; None for a NULL pointer.
        """
        raise self._not_supported(Capability.FORCE_RESPONSE)

    # Addresses

    async def add_address(self, node: str, address: str) -> None:
        """Add a witness address to a node (`CHANGE_ADDRESS`). IP_CHANGE is expected to follow.

        Returns when the node hosts the address.
        """
        raise self._not_supported(Capability.CHANGE_ADDRESS)

    async def remove_address(self, node: str, address: str) -> None:
        """Remove a witness address from a node (`CHANGE_ADDRESS`). IP_CHANGE is expected to follow.

        Returns when the cluster has accepted it.
        """
        raise self._not_supported(Capability.CHANGE_ADDRESS)

    async def move_address(self, address: str, node: str) -> None:
        """Move a floating witness address to another node (`MOVE_ADDRESS`).

        Returns when the cluster has accepted it.
        """
        raise self._not_supported(Capability.MOVE_ADDRESS)

    async def set_interface(self, node: str, *, up: bool) -> None:
        """Report the witness interface of a node UNAVAILABLE or AVAILABLE (`INTERFACE_STATE`).

        The witness server of the node runs meanwhile. Returns when the cluster has accepted it.

        Args:
            node: the name of the node.
            up: True for AVAILABLE, False for UNAVAILABLE.
        """
        raise self._not_supported(Capability.INTERFACE_STATE)

    async def set_interface_unknown(self, node: str) -> None:
        """Report the witness interface of a node in state UNKNOWN (`UNKNOWN_STATE`).

        Returns when the cluster has accepted it.
        """
        raise self._not_supported(Capability.UNKNOWN_STATE)

    # The whole cluster

    @abstractmethod
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return when every node is in service.

        Args:
            timeout: seconds to wait.

        Raises:
            NotHealthy: a node is still out of service after ``timeout``.
        """

    @abstractmethod
    async def restore(self, timeout: float = 120.0) -> None:
        """Restore every node and address, and return when the cluster is healthy.

        Args:
            timeout: seconds to wait.

        Raises:
            NotHealthy: the cluster is not healthy after ``timeout``.
        """


def unknown_node(name: str, known: Iterable[str]) -> ControllerError:
    """The error for a node name that the cluster does not have."""
    return ControllerError(f"unknown node {name!r}; known: {', '.join(known) or 'none'}")


def describe(nodes: Sequence[NodeStatus]) -> str:
    """The nodes with their states in one line, for messages."""
    return ", ".join(f"{n.name} {n.state.value} [{' '.join(n.addresses)}]" for n in nodes) or "no nodes"


def check_known_keys(settings: Mapping[str, Any], known: Iterable[str]) -> None:
    """Check that a ``[controller]`` table has no unknown key.

    Args:
        settings: the table, without ``kind``.
        known: the keys of this kind.

    Raises:
        ValueError: a key is unknown; the text names the first one and lists the known keys.
    """
    names = tuple(known)
    unknown = [key for key in settings if key not in names]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known keys: {', '.join(names) or 'none'}")
