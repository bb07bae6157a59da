"""WitnessRegistrationList: who asked to be told, and what is pending for them (MS-SWN 3.1.1.3).

Plain state and look-ups; the rules that change it are in `methods` and `service`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swn_torture.server.state.names import same_address_text, same_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from swn_torture.server.state.options import Options, PendingKind
    from swn_torture.witness.constants import InterfaceState
    from swn_torture.witness.messages import AsyncNotifyResponse, ContextHandle


@dataclass(frozen=True, slots=True)
class Owner:
    """Who makes a call.

    Attributes:
        association: the association group of the caller's connection; its handles live and die with it.
        connection: the connection that carries the call.
        principal: the user, or None for nobody in particular.
    """

    association: Hashable
    connection: Hashable = None
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """One call that has not been answered; `since` is the time of its receipt."""

    token: Hashable
    owner: Owner
    since: float


@dataclass(frozen=True, slots=True)
class PendingChange:
    """One entry of PendingChangeNotifications (MS-SWN 3.1.1.4); it keeps the state of its moment."""

    resource_name: str
    new_state: InterfaceState


@dataclass(slots=True, kw_only=True, eq=False)
class Registration:
    """One WitnessRegistration.

    The three pending moves hold the destination (in 3.1.1.7 called ChangeIndication) as the administrator
    wrote it: which addresses that means is looked up when the client is told.
    """

    key: ContextHandle
    """RegistrationKey."""
    owner: Owner
    version: int
    """WitnessClientVersion: 0x00010001 or 0x00020000."""
    client_name: str
    """WitnessClientName, as the client wrote it, like the two names and the address below."""
    net_name: str
    ip_address: str
    share_name: str | None = None
    share_notifications: bool = False
    """ShareNameNotificationRequired."""
    ip_notifications: bool = False
    """IPNotificationRequired."""
    flags: int = 0
    timeout: int | None = None
    """KeepAliveTimeout as the client asked for it; None in a registration of version 1."""
    keepalive: float | None = None
    """KeepAliveTime in seconds; None where a call never times out."""
    last_use: float = 0.0
    """LastUseTime."""
    changes: deque[PendingChange] = field(default_factory=deque)
    client_move: str | None = None
    share_move: str | None = None
    ip_change: str | None = None
    forced: deque[AsyncNotifyResponse] = field(default_factory=deque)
    """Whole responses that an administrator put in front of everything else."""
    waiting: deque[WaitingCall] = field(default_factory=deque)
    """Outstanding AsyncNotify calls, oldest first."""
    drop_at: float | None = None
    """When the server will drop it by its own decision (AMB-30)."""

    @property
    def is_async_notify_registered(self) -> bool:
        """IsAsyncNotifyRegistered: whether a call is outstanding."""
        return bool(self.waiting)

    def pending_kinds(self) -> frozenset[PendingKind]:
        """The kinds of notification that are pending."""
        kinds: dict[PendingKind, object] = {
            "change": self.changes or None,
            "client-move": self.client_move,
            "share-move": self.share_move,
            "ip-change": self.ip_change,
        }
        return frozenset(kind for kind, pending in kinds.items() if pending is not None)

    def forget(self, kind: PendingKind) -> None:
        """Take a kind off the pending ones, because it has been told."""
        match kind:
            case "change":
                self.changes.clear()
            case "client-move":
                self.client_move = None
            case "share-move":
                self.share_move = None
            case "ip-change":
                self.ip_change = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which registrations an administrator means; what is None does not matter.

    The events of MS-SWN 3.1.6.2 to 3.1.6.4 select by client name (and share); the rest is there because tools
    that move clients, such as `net witness`, can be that precise.

    Attributes:
        key: the UUID of the context handle as text.
    """

    client_name: str | None = None
    share_name: str | None = None
    net_name: str | None = None
    ip_address: str | None = None
    key: str | None = None

    def matches(self, registration: Registration, options: Options) -> bool:
        """Whether it selects `registration`, names compared as the options say."""
        return (
            _agrees(self.client_name, registration.client_name, ignore_case=options.client_name_ignores_case)
            and _agrees(self.share_name, registration.share_name, ignore_case=options.share_name_ignores_case)
            and _agrees(self.net_name, registration.net_name, ignore_case=True)
            and _agrees(self.key, str(registration.key.uuid), ignore_case=True)
            and (self.ip_address is None or same_address_text(self.ip_address, registration.ip_address))
        )


def _agrees(wanted: str | None, found: str | None, *, ignore_case: bool) -> bool:
    return wanted is None or (found is not None and same_name(wanted, found, ignore_case=ignore_case))


class RegistrationList:
    """The registrations of one server, in the order in which they were made."""

    def __init__(self) -> None:
        self._by_key: dict[ContextHandle, Registration] = {}
        self._by_association: dict[Hashable, dict[ContextHandle, Registration]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Registration]:
        """All of them; the list may change meanwhile."""
        return iter(tuple(self._by_key.values()))

    def add(self, registration: Registration) -> None:
        """Insert a new registration."""
        self._by_key[registration.key] = registration
        self._by_association.setdefault(registration.owner.association, {})[registration.key] = registration

    def find(self, key: ContextHandle) -> Registration | None:
        """The registration with this RegistrationKey, all 20 octets compared."""
        return self._by_key.get(key)

    def remove(self, registration: Registration) -> None:
        """Remove a registration of the list."""
        del self._by_key[registration.key]
        mates = self._by_association[registration.owner.association]
        del mates[registration.key]
        if not mates:
            del self._by_association[registration.owner.association]

    def of(self, association: Hashable) -> list[Registration]:
        """Those of one association; they alone can have calls of that association waiting."""
        return list(self._by_association.get(association, {}).values())

    def where(self, matches: Callable[[Registration], bool]) -> list[Registration]:
        """Those for which `matches` holds."""
        return [registration for registration in self if matches(registration)]
