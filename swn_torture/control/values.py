"""What a controller can do, and the values that its calls take and return."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    FAIL_LINK_DOWN = "fail-link-down"
    """Take the network link of a node down while its processes run: `fail`."""
    FAIL_HANG = "fail-hang"
    """Stop the processes of a node without ending them (SIGSTOP): `fail`."""
    FAIL_HANG_SERVICE = "fail-hang-service"
    """Stop only the witness service of a node without ending it (SIGSTOP): `fail`."""
    FAIL_KILL_WORKER = "fail-kill-worker"
    """Kill one process of the witness service of a node: `fail`."""
    FAIL_BAN = "fail-ban"
    """Make the cluster exclude a node, whose processes run: `fail`."""
    FAIL_STOP = "fail-stop"
    """Let a node leave the cluster, while its processes run: `fail`."""
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
    LINK_DOWN = "link-down"
    """The network link of the node is down. Its processes run, and its connections are not reset."""
    HANG = "hang"
    """The processes of the node hang and do not end; its kernel keeps their connections."""
    HANG_SERVICE = "hang-service"
    """Only the witness service of the node hangs. The cluster need not notice it."""
    KILL_WORKER = "kill-worker"
    """One process of the witness service ends at once. The service goes on, perhaps with a new one."""
    BAN = "ban"
    """The cluster excludes the node; its processes run."""
    STOP = "stop"
    """The node leaves the cluster by command of an administrator; its processes run."""

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
    state: str | None = None
    """RequestedNotifications while an AsyncNotify is outstanding, else Registered (Get-SmbWitnessClient)."""
    notifications_sent: int | None = None
    """AsyncNotify calls that were completed with a notification."""
    notifications_cancelled: int | None = None
    """AsyncNotify calls that ended without a notification."""
    queued_notifications: int | None = None
    """Notifications that wait for the next AsyncNotify."""
    age: float | None = None
    """Seconds since the registration was made."""


@dataclass(frozen=True, slots=True)
class ShareView:
    """One share as the cluster reports it."""

    name: str
    scale_out: bool
    asymmetric: bool = False
    """Whether clients are expected to move with the share's owner (SHI1005 asymmetry, SHARE_MOVE applies)."""
