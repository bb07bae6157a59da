"""WitnessRegistrationList: the registrations and their pending items (MS-SWN 3.1.1.3).

This module has state and look-ups only. The rules that change the state are in `methods` and `service`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swn_torture.server.state.names import same_address_text, same_name
from swn_torture.values import value_class

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from swn_torture.server.state.options import Options, PendingKind
    from swn_torture.witness.constants import InterfaceState
    from swn_torture.witness.messages import AsyncNotifyResponse, ContextHandle


@value_class(frozen=True, slots=True)
class Owner:
    """The caller of a method; the caller that registered is the owner of the registration.

    Attributes:
        association: the association group of the connection. Its end closes the handles.
        connection: the connection of the call.
        principal: the authenticated user, or None.
        called: the address of this server that the client called; empty if it is not known.
    """

    association: Hashable
    connection: Hashable = None
    principal: str | None = None
    called: str = ""


@value_class(frozen=True, slots=True)
class WaitingCall:
    """An outstanding call; `since` is the time of its receipt."""

    token: Hashable
    owner: Owner
    since: float


@value_class(frozen=True, slots=True)
class PendingChange:
    """One entry of PendingChangeNotifications (MS-SWN 3.1.1.4). It keeps the state of the event."""

    resource_name: str
    new_state: InterfaceState


@dataclass(slots=True, kw_only=True, eq=False)
class Registration:
    """One WitnessRegistration.

    `client_move`, `share_move` and `ip_change` hold the destination (ChangeIndication in 3.1.1.7) as the
    administrator wrote it. Its addresses are looked up when the response is made.
    """

    key: ContextHandle
    """RegistrationKey."""
    owner: Owner
    version: int
    """WitnessClientVersion: 0x00010001 or 0x00020000."""
    client_name: str
    """WitnessClientName, as the client sent it. The names and the address below are also as sent."""
    net_name: str
    ip_address: str
    share_name: str | None = None
    share_notifications: bool = False
    """ShareNameNotificationRequired."""
    ip_notifications: bool = False
    """IPNotificationRequired."""
    flags: int = 0
    timeout: int | None = None
    """KeepAliveTimeout as the client sent it; None in a registration of version 1."""
    keepalive: float | None = None
    """KeepAliveTime in seconds; None if a call never times out."""
    last_use: float = 0.0
    """LastUseTime."""
    changes: deque[PendingChange] = field(default_factory=deque)
    client_move: str | None = None
    share_move: str | None = None
    ip_change: str | None = None
    released: set[PendingKind] = field(default_factory=set)
    """Pending kinds that a change or a client move has released from their wait (AMB-17)."""
    forced: deque[AsyncNotifyResponse] = field(default_factory=deque)
    """Complete responses set by an administrator. They are sent before all pending items."""
    waiting: deque[WaitingCall] = field(default_factory=deque)
    """Outstanding AsyncNotify calls, oldest first."""
    drop_at: float | None = None
    """The time at which the server removes the registration (AMB-30)."""
    since: float = 0.0
    """The time at which it was made. This and the counts are for administrators; no rule uses them."""
    sent: int = 0
    """Calls that were completed with a notification."""
    cancelled: int = 0
    """Calls that ended without one: by KeepAliveTime, a cancel, or the end of the connection."""

    @property
    def is_async_notify_registered(self) -> bool:
        """IsAsyncNotifyRegistered: whether a call is outstanding."""
        return bool(self.waiting)

    def pending_kinds(self) -> frozenset[PendingKind]:
        """Return the kinds of notification that are pending."""
        kinds: dict[PendingKind, object] = {
            "change": self.changes or None,
            "client-move": self.client_move,
            "share-move": self.share_move,
            "ip-change": self.ip_change,
        }
        return frozenset(kind for kind, pending in kinds.items() if pending is not None)

    def clear_pending(self, kind: PendingKind) -> None:
        """Clear one pending kind, because the server has sent it."""
        self.released.discard(kind)
        match kind:
            case "change":
                self.changes.clear()
            case "client-move":
                self.client_move = None
            case "share-move":
                self.share_move = None
            case "ip-change":
                self.ip_change = None


@value_class(frozen=True, slots=True)
class Selection:
    """Selects registrations. An attribute that is None matches every registration.

    The events of MS-SWN 3.1.6.2 to 3.1.6.4 select by client name and share name. The other attributes exist
    because administration tools such as `net witness` select by them.

    Attributes:
        client_name: ClientComputerName.
        share_name: ShareName.
        net_name: NetName.
        ip_address: IpAddress, in any textual form.
        key: the UUID of the context handle as text.
        client_names: any of these ClientComputerNames, exactly.
    """

    client_name: str | None = None
    share_name: str | None = None
    net_name: str | None = None
    ip_address: str | None = None
    key: str | None = None
    client_names: frozenset[str] | None = None

    def matches(self, registration: Registration, options: Options) -> bool:
        """Whether it selects `registration`. The options choose how names are compared."""
        return (
            _equal(self.client_name, registration.client_name, ignore_case=options.client_name_ignores_case)
            and (self.client_names is None or registration.client_name in self.client_names)
            and _equal(self.share_name, registration.share_name, ignore_case=options.share_name_ignores_case)
            and _equal(self.net_name, registration.net_name, ignore_case=True)
            and _equal(self.key, str(registration.key.uuid), ignore_case=True)
            and (self.ip_address is None or same_address_text(self.ip_address, registration.ip_address))
        )


def _equal(selected: str | None, registered: str | None, *, ignore_case: bool) -> bool:
    if selected is None:
        return True
    return registered is not None and same_name(selected, registered, ignore_case=ignore_case)


class RegistrationList:
    """The registrations of one server, oldest first."""

    def __init__(self) -> None:
        self._by_key: dict[ContextHandle, Registration] = {}
        self._by_association: dict[Hashable, dict[ContextHandle, Registration]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Registration]:
        """Iterate over a copy, so that the list can change during the iteration."""
        return iter(tuple(self._by_key.values()))

    def add(self, registration: Registration) -> None:
        """Insert a new registration."""
        self._by_key[registration.key] = registration
        self._by_association.setdefault(registration.owner.association, {})[registration.key] = registration

    def find(self, key: ContextHandle) -> Registration | None:
        """Return the registration with this RegistrationKey, or None. Compares all 20 octets."""
        return self._by_key.get(key)

    def remove(self, registration: Registration) -> None:
        """Remove a registration that is in the list."""
        del self._by_key[registration.key]
        same_association = self._by_association[registration.owner.association]
        del same_association[registration.key]
        if not same_association:
            del self._by_association[registration.owner.association]

    def of(self, association: Hashable) -> list[Registration]:
        """Return the registrations of one association. Only these have waiting calls of the association."""
        return list(self._by_association.get(association, {}).values())

    def where(self, matches: Callable[[Registration], bool]) -> list[Registration]:
        """Return the registrations for which `matches` returns True."""
        return [registration for registration in self if matches(registration)]
