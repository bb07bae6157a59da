"""What a cluster can be told to do: the one interface all controllers share.

A controller moves the cluster under test from outside the protocol: it fails a node, brings it back, moves
a client. Each kind of cluster has its own module; each implements what its cluster can really do and says so
in `Controller.capabilities`. A case asks for capabilities by name and is *not tested*, with the reason, where
one is missing.

The errors::

    ControllerError           the cluster could not be reached, or an order did not work
    ├── CommandFailed         a command ran and failed (control/runner.py)
    ├── NotHealthy            the cluster did not reach the wanted state before the deadline
    └── NotSupported          this controller lacks the capability; nothing was tried

All methods are coroutines: a case gives its order and watches its connections at the same time.
"""

# The orders below name their arguments for those who implement them; here they only refuse.
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
    """One thing a cluster can be told, or asked; the words that cases and profiles use."""

    LIST_NODES = "list-nodes"
    """`Controller.nodes` tells names, states and hosted addresses."""
    LIST_REGISTRATIONS = "list-registrations"
    """`Controller.registrations` sees the registrations of the whole cluster."""
    DISABLE_NODE = "disable-node"
    """A node can be taken out of service in an orderly way, and back: `disable`, `enable`."""
    FAIL_CRASH = "fail-crash"
    """A node's services can be killed: its kernel answers with resets."""
    FAIL_POWER_OFF = "fail-power-off"
    """A node can fall silent: nothing answers, nothing is reset."""
    FAIL_PARTITION = "fail-partition"
    """A node can lose its peers and still reach its clients."""
    MOVE_CLIENT = "move-client"
    """A client's registrations can be asked to move to another address (CLIENT_MOVE)."""
    MOVE_SHARE = "move-share"
    """A share's clients can be asked to move to another address (SHARE_MOVE)."""
    CHANGE_ADDRESS = "change-address"
    """The addresses of a node's interface can change: `add_address`, `remove_address`."""
    MOVE_ADDRESS = "move-address"
    """A floating address can be moved to another node: `move_address`."""
    INTERFACE_STATE = "interface-state"
    """One interface can be reported down and up while its node lives: `set_interface`."""
    UNKNOWN_STATE = "unknown-state"
    """The interfaces of a node can be reported in state UNKNOWN: `set_interface_unknown`."""
    RESTART_SERVICE = "restart-service"
    """The witness service of a node can be restarted alone: `restart`."""
    FORCE_UNREGISTER = "force-unregister"
    """The server can be made to drop a registration: `force_unregister`."""
    FORCE_RESPONSE = "force-response"
    """The server can be made to answer a pending AsyncNotify with given content: `force_response`."""
    SHARES = "shares"
    """The controller knows the shares and their types: `shares`."""


class Failure(StrEnum):
    """How a node fails in `Controller.fail`."""

    CRASH = "crash"
    """The processes die at once; peers see resets."""
    POWER_OFF = "power-off"
    """The node falls silent; peers see nothing."""
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
    """Running, but not fit to serve: starting, recovering, banned, stopped or failing its checks."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node as its cluster sees it."""

    name: str
    state: NodeState
    addresses: tuple[str, ...]
    """The witness (public) addresses it hosts now; empty for a node out of service."""
    management_address: str = ""
    """The address that stays with the node, where it has one."""


@dataclass(frozen=True, slots=True)
class RegistrationView:
    """One registration as the cluster tells it; None where this cluster keeps the matter to itself."""

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
    """The node whose witness server holds it."""
    account: str | None = None
    """The user who registered, as DOMAIN\\user."""


@dataclass(frozen=True, slots=True)
class ShareView:
    """One share of the cluster as its controller knows it."""

    name: str
    scale_out: bool
    asymmetric: bool = False
    """Whether clients are to move with the share's owner (SHI1005 asymmetry, SHARE_MOVE applies)."""


class ControllerError(Exception):
    """The cluster could not be reached or did not do what it was told; says what was tried and what came."""


class NotHealthy(ControllerError):  # noqa: N818 - a finding, and what callers know it by
    """The cluster did not reach the wanted state before its deadline; says what it looked like at the end."""


class NotSupported(ControllerError):  # noqa: N818 - a finding, and what callers know it by
    """This controller lacks a capability."""

    def __init__(self, capability: Capability, kind: str) -> None:
        super().__init__(f"the {kind} controller cannot do {capability.value}")
        self.capability = capability
        self.kind = kind


class Controller(ABC):
    """Moves one cluster. `async with controller:` opens its connections and closes them.

    An order returns when the cluster has taken it: when it *acts* on it is for the case to observe.
    `recover`, `enable` and `restore` are the exception: they return when the cluster is healthy again, so
    that a case leaves behind what it found.

    Every order may raise `NotSupported` (nothing was tried) or `ControllerError`.
    """

    kind: str
    """The word in the profile that chooses this controller."""

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
        """What this controller can do with this cluster as it is configured."""

    async def open(self) -> None:
        """Prepare for orders, and raise `ControllerError` if the cluster cannot be reached."""
        return

    async def close(self) -> None:
        """Let go of whatever `open` took."""
        return

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def can(self, *capabilities: Capability) -> bool:
        """Whether all of the capabilities are there."""
        return self.capabilities.issuperset(capabilities)

    def missing(self, capabilities: Iterable[Capability]) -> tuple[Capability, ...]:
        """Those of the capabilities that are not there, in their order."""
        return tuple(c for c in capabilities if c not in self.capabilities)

    def require(self, capability: Capability) -> None:
        """Raise `NotSupported` unless the capability is there."""
        if capability not in self.capabilities:
            raise self._lacks(capability)

    def _lacks(self, capability: Capability) -> NotSupported:
        return NotSupported(capability, self.kind)

    # Questions

    async def nodes(self) -> tuple[NodeStatus, ...]:
        """All configured nodes, in the order of the configuration (`LIST_NODES`)."""
        raise self._lacks(Capability.LIST_NODES)

    async def node(self, name: str) -> NodeStatus:
        """One node by its name; `ControllerError` names the known ones when there is none such."""
        nodes = await self.nodes()
        for status in nodes:
            if status.name.casefold() == name.casefold():
                return status
        known = ", ".join(status.name for status in nodes) or "none"
        raise ControllerError(f"no node is called {name!r}; known are: {known}")

    async def registrations(self) -> tuple[RegistrationView, ...]:
        """All registrations of the cluster, whichever node holds them (`LIST_REGISTRATIONS`)."""
        raise self._lacks(Capability.LIST_REGISTRATIONS)

    async def shares(self) -> tuple[ShareView, ...]:
        """The shares of the cluster (`SHARES`)."""
        raise self._lacks(Capability.SHARES)

    # Nodes

    async def disable(self, node: str) -> None:
        """Take a node out of service in an orderly way (`DISABLE_NODE`)."""
        raise self._lacks(Capability.DISABLE_NODE)

    async def enable(self, node: str) -> None:
        """Bring a disabled node back, and return when it serves again (`DISABLE_NODE`)."""
        raise self._lacks(Capability.DISABLE_NODE)

    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail without warning (`FAIL_CRASH`, `FAIL_POWER_OFF`, `FAIL_PARTITION`)."""
        raise self._lacks(how.capability)

    async def recover(self, node: str) -> None:
        """Bring a failed node back, whatever made it fail, and return when it serves again."""
        raise self._lacks(Capability.FAIL_CRASH)

    async def restart(self, node: str) -> None:
        """Restart the witness service of one node, and return when it answers (`RESTART_SERVICE`)."""
        raise self._lacks(Capability.RESTART_SERVICE)

    # Clients and shares

    async def move_client(
        self, client: str, destination: str, *, net_name: str | None = None, ip_address: str | None = None
    ) -> None:
        """Ask the registrations of a client to move (`MOVE_CLIENT`, MS-SWN 3.1.6.2).

        Args:
            client: the ClientComputerName of the registrations.
            destination: the name of a node (all of its witness addresses), or one IP address.
            net_name: only registrations with this NetName.
            ip_address: only registrations with this IpAddress.
        """
        raise self._lacks(Capability.MOVE_CLIENT)

    async def move_share(
        self,
        share: str,
        destination: str,
        *,
        client: str | None = None,
        net_name: str | None = None,
        ip_address: str | None = None,
    ) -> None:
        """Ask the registrations on a share to move (`MOVE_SHARE`, MS-SWN 3.1.6.3).

        Args:
            share: the ShareName of the registrations.
            destination: the name of a node (all of its witness addresses), or one IP address.
            client: only registrations with this ClientComputerName.
            net_name: only registrations with this NetName.
            ip_address: only registrations with this IpAddress.
        """
        raise self._lacks(Capability.MOVE_SHARE)

    async def force_unregister(self, key: str) -> None:
        """Make the server drop one registration; `key` is `RegistrationView.key` (`FORCE_UNREGISTER`)."""
        raise self._lacks(Capability.FORCE_UNREGISTER)

    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Answer the pending AsyncNotify of one registration with just this (`FORCE_RESPONSE`)."""
        raise self._lacks(Capability.FORCE_RESPONSE)

    # Addresses

    async def add_address(self, node: str, address: str) -> None:
        """Give a node one more witness address (`CHANGE_ADDRESS`, IP_CHANGE follows)."""
        raise self._lacks(Capability.CHANGE_ADDRESS)

    async def remove_address(self, node: str, address: str) -> None:
        """Take a witness address from a node (`CHANGE_ADDRESS`, IP_CHANGE follows)."""
        raise self._lacks(Capability.CHANGE_ADDRESS)

    async def move_address(self, address: str, node: str) -> None:
        """Move a floating witness address to another node (`MOVE_ADDRESS`)."""
        raise self._lacks(Capability.MOVE_ADDRESS)

    async def set_interface(self, node: str, *, up: bool) -> None:
        """Report a node's witness interface down or up while its server lives (`INTERFACE_STATE`)."""
        raise self._lacks(Capability.INTERFACE_STATE)

    async def set_interface_unknown(self, node: str) -> None:
        """Report a node's witness interface to be in state UNKNOWN (`UNKNOWN_STATE`)."""
        raise self._lacks(Capability.UNKNOWN_STATE)

    # The whole

    @abstractmethod
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return once every node is in service; raise `NotHealthy` after `timeout` seconds."""

    @abstractmethod
    async def restore(self, timeout: float = 120.0) -> None:
        """Bring back every node and address, and wait for health; `NotHealthy` after `timeout` seconds."""


def describe(nodes: Sequence[NodeStatus]) -> str:
    """The nodes and their states in one line, for messages."""
    return ", ".join(f"{n.name} {n.state.value} [{' '.join(n.addresses)}]" for n in nodes) or "no nodes"


def no_unknown(settings: Mapping[str, Any], known: Iterable[str]) -> None:
    """Check that a ``[controller]`` table has no key that its kind does not know.

    Raises:
        ValueError: it has; the text names the first one and the known keys.
    """
    names = tuple(known)
    unknown = [key for key in settings if key not in names]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known keys: {', '.join(names) or 'none'}")
