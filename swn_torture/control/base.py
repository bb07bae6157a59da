"""The interface of all controllers: calls, capabilities, the values that they return, and errors.

A controller changes the cluster under test from outside the protocol: it makes a node fail and recover, or
moves a client. Each kind of cluster has its own module. It implements the calls that its cluster supports and
lists them in `Controller.capabilities`. A case asks for capabilities by name. Where one is missing, the case
is *not tested*, and the report gives the reason.

The errors::

    ControllerError           the cluster is not reachable, or a call failed
    ├── CommandFailed         a command ran and failed (control/runner.py)
    ├── EffectNotSeen         the cluster's own tools did not show the effect of a call before the deadline
    ├── NotHealthy            the cluster did not return to service before the deadline
    ├── NotRegistered         the cluster lists no registration that a call is for
    └── NotSupported          this controller does not have the capability; nothing was done

All calls are coroutines, so that a case can watch its connections during a call.
"""

# ruff: noqa: ARG002 - here the calls only raise NotSupported; their arguments are named for implementations

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from swn_torture.control.stimulus import Stimulus
from swn_torture.control.values import (
    Capability,
    Failure,
    NodeState,
    NodeStatus,
    RegistrationView,
    ShareView,
)
from swn_torture.report.model import IMPOSSIBLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from types import TracebackType

    from swn_torture.control.step import Step
    from swn_torture.control.witness_lists import WitnessLists
    from swn_torture.witness.messages import RespAsyncNotify

__all__ = [
    "Capability",
    "Controller",
    "ControllerError",
    "EffectNotSeen",
    "Failure",
    "NodeState",
    "NodeStatus",
    "NotHealthy",
    "NotRegistered",
    "NotSupported",
    "RegistrationView",
    "ShareView",
    "unknown_node",
]


class ControllerError(Exception):
    """The cluster is not reachable, or a call failed. The text says what was tried and what happened."""


class EffectNotSeen(ControllerError):  # noqa: N818 - it reports a state of the cluster
    """The cluster's own tools did not show the effect of a call before the deadline.

    So the event that a case needs did not happen, and the target had nothing to notify its clients of: the
    case is *not tested*. The text gives the last state.
    """


class NotHealthy(ControllerError):  # noqa: N818 - it reports a state of the cluster
    """The cluster did not return to service before the deadline.

    The text says what is still wrong, and how to mend it.
    """


class NotRegistered(ControllerError):  # noqa: N818 - it reports a state of the cluster
    """The cluster lists no registration that a call is for: not one of this client, or not this key.

    The server has removed it (MS-SWN 3.1.5.1), or its list is wrong; the controller has done its part. So a
    case that needs the registration is *not tested*. If the list has the registration, and the cluster's tool
    does not select it, the error is another `ControllerError`.
    """


class NotSupported(ControllerError):  # noqa: N818 - it reports a property of the controller
    """The controller does not have a capability.

    Attributes:
        capability: the missing capability.
        kind: the kind of the controller.

    Args:
        capability: as the attribute.
        kind: as the attribute.
        detail: what else is to be said, in parentheses.
        impossible: why a cluster of this kind can never have it; empty if it can.
    """

    def __init__(self, capability: Capability, kind: str, detail: str = "", *, impossible: str = "") -> None:
        text = f"the {kind} controller does not support {capability.value}"
        if impossible:
            text = f"{IMPOSSIBLE}{impossible}"
        super().__init__(f"{text} ({detail})" if detail else text)
        self.capability = capability
        self.kind = kind


class Controller(ABC):
    """Changes one cluster. `async with controller:` opens and closes its connections.

    A call returns when the cluster's own tools show its effect, not when a command has ended; each call says
    what its effect is. So a case counts its deadlines from the return of the call, and the time that the
    cluster needs to carry it out is not part of them. The case observes when the effect reaches the clients.

    `recover`, `enable`, `restart` and `restore` return when the node or the cluster serves clients again, so
    that a case leaves the cluster in the state in which it found it. They undo what other calls did. So they
    are tried again until they succeed or their deadline is over: a command may fail while a cluster is busy.

    Every call raises:
        NotSupported: the controller does not have the capability; nothing was done.
        EffectNotSeen: the call changes something, and the cluster does not show the effect before the
            controller's own deadline.
        ControllerError: the cluster is not reachable, or the call fails.
    """

    kind: str
    """The value of `kind` in the `[controller]` table of a profile."""
    needs_person: bool = False
    """Whether a person makes the changes, who takes longer and must not be asked without need."""
    finds_hung: bool = False
    """Whether it knows which processes of the witness service hang (`hung`, `end_hung`)."""

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

    def attach(self, lists: WitnessLists) -> None:
        """Give the controller a view of the target by the witness protocol. Called before `open`.

        A kind that cannot ask its cluster for the state of a node sees the effect of a call there.

        Args:
            lists: the interface lists of all nodes of the profile.
        """
        return

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

    def require(self, capability: Capability) -> None:
        """Return if the controller has the capability.

        Raises:
            NotSupported: it does not.
        """
        if capability not in self.capabilities:
            raise self._not_supported(capability)

    def impossible(self, capability: Capability) -> str:
        """Why no cluster of this kind can have the capability; empty where another set-up could have it."""
        return ""

    def _not_supported(self, capability: Capability) -> NotSupported:
        return NotSupported(capability, self.kind, impossible=self.impossible(capability))

    def stimulus(self, capability: Capability) -> Stimulus:
        """Say how the calls of a capability cause an event of nodes or addresses; needs no connection.

        `move_client` and `move_share` return it for each call. Without it, a check that a registration is not
        notified is only recorded.
        """
        return Stimulus(
            f"by the {self.kind} controller ({capability.value})",
            frozenset(),
            f"The {self.kind} controller does not say whether the server selects the registrations.",
        )

    def changed_at(self) -> float | None:
        """When the last call of `disable` or `fail` gave its command, in seconds of `time.monotonic`.

        A call may look at the cluster before that. None: this kind does not know it.
        """
        return None

    def state(self) -> Mapping[str, Any]:
        """What the cluster was like at `open`, as values for JSON; what `recall` needs to restore it."""
        return {}

    def recall(self, state: Mapping[str, Any], undo: Sequence[Step]) -> None:
        """Take over the changes of a process that was killed, so that `restore` undoes them.

        A kind whose `restore` finds all changes in the cluster itself needs nothing of this.

        Args:
            state: the `state` of that process before its first change.
            undo: the calls that undo its changes, oldest change first.
        """
        return

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

        Returns when the cluster reports the node as disabled, and other nodes host its addresses if they can.
        """
        raise self._not_supported(Capability.DISABLE_NODE)

    async def enable(self, node: str) -> None:
        """Return a disabled node to service (`DISABLE_NODE`).

        Returns when the cluster reports the node as in service, and the node serves clients again.

        Raises:
            NotHealthy: it does not serve before the controller's own deadline.
        """
        raise self._not_supported(Capability.DISABLE_NODE)

    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail without warning (`FAIL_CRASH`, `FAIL_POWER_OFF`, `FAIL_PARTITION`).

        Returns when another node reports that the node is down, and other nodes host its addresses if they
        can. How long that takes depends on the cluster: a node that stopped sending is missed after a time.

        Args:
            node: the name of the node.
            how: the kind of failure.
        """
        raise self._not_supported(how.capability)

    async def recover(self, node: str) -> None:
        """Recover a failed node from any kind of failure.

        Returns when the cluster reports the node as in service, and the node serves clients again.

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
        self,
        client: str,
        destination: str,
        *,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        """Send CLIENT_MOVE to the registrations of a client (`MOVE_CLIENT`, MS-SWN 3.1.6.2).

        Returns when the cluster reports that it sent the move to the registrations that match. No cluster
        reports when a registration has received it.

        Args:
            client: the ClientComputerName of the registrations.
            destination: the name of a node (all of its witness addresses), or one IP address.
            net_name: only registrations with this NetName.
            ip_address: only registrations with this IpAddress.
            not_for: the keys of registrations that must not be notified. A tool may select the registrations
                itself; then the controller sends the event to these, too, so that the server decides.

        Returns:
            How the move was sent. It says which of `not_for` the server decided about.

        Raises:
            NotRegistered: the cluster lists no registration of the client. Not every kind knows it.
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
        not_for: Collection[str] = (),
    ) -> Stimulus:
        """Send SHARE_MOVE to the registrations on a share (`MOVE_SHARE`, MS-SWN 3.1.6.3).

        Returns when the cluster reports that it sent the move to the registrations that match.

        Args:
            share: the ShareName of the registrations.
            destination: the name of a node (all of its witness addresses), or one IP address.
            client: only registrations with this ClientComputerName.
            net_name: only registrations with this NetName.
            ip_address: only registrations with this IpAddress.
            not_for: as for `move_client`.

        Returns:
            As `move_client`.
        """
        raise self._not_supported(Capability.MOVE_SHARE)

    async def force_unregister(self, key: str) -> None:
        """Make the server remove one registration (`FORCE_UNREGISTER`).

        Returns when the cluster does not list the registration any more.

        Args:
            key: the `RegistrationView.key` of the registration.
        """
        raise self._not_supported(Capability.FORCE_UNREGISTER)

    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Make the server complete the pending AsyncNotify of one registration (`FORCE_RESPONSE`).

        Returns when the cluster reports that it sent the response to the registration.

        Args:
            key: the `RegistrationView.key` of the registration.
            result: the return value of the AsyncNotify.
            response: the RESP_ASYNC_NOTIFY; None for a NULL pointer.
        """
        raise self._not_supported(Capability.FORCE_RESPONSE)

    # Addresses

    async def add_address(self, node: str, address: str) -> None:
        """Add a witness address to a node (`CHANGE_ADDRESS`). IP_CHANGE is expected to follow.

        Returns when the cluster reports that the node hosts the address. The other addresses stay where they
        are, if the cluster allows that.
        """
        raise self._not_supported(Capability.CHANGE_ADDRESS)

    async def remove_address(self, node: str, address: str) -> None:
        """Remove a witness address from a node (`CHANGE_ADDRESS`). IP_CHANGE is expected to follow.

        Returns when the cluster reports that the node does not host the address any more, and another node
        hosts it if one can.
        """
        raise self._not_supported(Capability.CHANGE_ADDRESS)

    async def move_address(self, address: str, node: str) -> None:
        """Move a floating witness address to another node (`MOVE_ADDRESS`).

        Returns when the cluster reports that the node hosts the address.
        """
        raise self._not_supported(Capability.MOVE_ADDRESS)

    async def set_interface(self, node: str, *, up: bool) -> None:
        """Report the witness interface of a node UNAVAILABLE or AVAILABLE (`INTERFACE_STATE`).

        The witness server of the node runs meanwhile. Returns when the cluster reports the new state.

        Args:
            node: the name of the node.
            up: True for AVAILABLE, False for UNAVAILABLE.
        """
        raise self._not_supported(Capability.INTERFACE_STATE)

    async def set_interface_unknown(self, node: str) -> None:
        """Report the witness interface of a node in state UNKNOWN (`UNKNOWN_STATE`).

        Returns when the cluster reports the new state.
        """
        raise self._not_supported(Capability.UNKNOWN_STATE)

    # The whole cluster

    async def hung(self) -> tuple[str, ...]:
        """Return the processes of the witness service that answer nothing any more, each as text.

        A kind that cannot know returns nothing.
        """
        return ()

    async def end_hung(self) -> tuple[str, ...]:
        """End those processes, so that no further client meets them; returns what was ended, each as text."""
        return ()

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
        """Restore every node and address, and return when the cluster is as it was at `open` and healthy.

        It is tried again until it succeeds. It also restores what another process changed, such as a run that
        was killed, as far as the cluster shows the change.

        Args:
            timeout: seconds to wait.

        Raises:
            NotHealthy: the cluster is not restored after ``timeout``; the text says what is left undone, and
                how to mend it.
        """


def unknown_node(name: str, known: Iterable[str]) -> ControllerError:
    """The error for a node name that the cluster does not have."""
    return ControllerError(f"unknown node {name!r}; known: {', '.join(known) or 'none'}")
