"""Interface events: which changes are queued, for which registrations, and what is sent."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.faults.registry import violates, with_options
from swn_torture.faults.witness.altered_responses import AlteredChanges
from swn_torture.server.state.names import same_name
from swn_torture.server.state.registrations import PendingChange, Registration
from swn_torture.server.state.responses import QueuedNotification, Responder
from swn_torture.server.state.service import WitnessService
from swn_torture.witness.constants import ChangeType, InterfaceState
from swn_torture.witness.messages import AsyncNotifyResponse, RespAsyncNotify
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.interfaces import Interface
    from swn_torture.server.state.methods import Reply
    from swn_torture.server.state.options import PendingKind

# The interface table


@violates("SWN-3.1.6.1-sets-state", "SWN-3.1.4.1-state")
class EventSetsNoState(WitnessService):
    """The server notifies clients of an interface event, but the interface keeps its old state."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        before = list(self.interfaces)
        replies = super().interface_event(group_name, state, **where)
        for old in before:
            if (new := self.interfaces.find(old.group_name, old.ipv4, old.ipv6)) is not None:
                self.interfaces.set_state(new, old.state)
        return replies


@violates("SWN-3.1.6.1-lookup")
class EventMatchedByGroupOnly(WitnessService):
    """An interface event applies to the first interface of its group, whatever its address."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        first = next(iter(self.interfaces.group(group_name)), None)
        if first is not None:
            where |= {"ipv4": first.ipv4, "ipv6": first.ipv6}
        return super().interface_event(group_name, state, **where)


@violates("SWN-3.1.6.1-new-interface")
class NewInterfaceIgnored(WitnessService):
    """The server ignores an event for an unknown interface."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        if self.interfaces.find(group_name, where.get("ipv4"), where.get("ipv6")) is None:
            return []
        return super().interface_event(group_name, state, **where)


class AlteredNewInterfaces(WitnessService):
    """A server that adds what `alter_new_interface` makes of each new interface."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        """Process an interface event, then replace an interface that it added."""
        known = self.interfaces.find(group_name, where.get("ipv4"), where.get("ipv6"))
        replies = super().interface_event(group_name, state, **where)
        new = self.interfaces.find(group_name, where.get("ipv4"), where.get("ipv6"))
        if known is None and new is not None:
            for address in new.addresses:
                if (rest := self.interfaces.find(group_name, new.ipv4, new.ipv6)) is not None:
                    self.interfaces.remove_address(rest, address)
            self.interfaces.add(self.alter_new_interface(new))
        return replies

    def alter_new_interface(self, new: Interface) -> Interface:
        """Return the interface to add instead."""
        return new


@violates("SWN-3.1.6.1-new-name", near=("SWN-3.1.4.1-groupname",))
class NewInterfaceNamedForItsAddress(AlteredNewInterfaces):
    """The server adds a new interface with a group name made from its address."""

    @override
    def alter_new_interface(self, new: Interface) -> Interface:
        return replace(new, group_name=f"IF-{int(new.addresses[0]) & 0xFFFF:04X}")


@violates("SWN-3.1.6.1-new-state")
class NewInterfaceUnknown(AlteredNewInterfaces):
    """The server adds a new interface with the state UNKNOWN, whatever its event says."""

    @override
    def alter_new_interface(self, new: Interface) -> Interface:
        return replace(new, state=InterfaceState.UNKNOWN)


# Which registrations are notified


@violates("SWN-3.1.6.1-queues-change", "SWN-V14-3.1.6.1-network-name")
class ChangesReachNobody(WitnessService):
    """The server notifies no client of an interface change."""

    @override
    def affected(self, *event: Any) -> list[Registration]:
        return []


@violates("SWN-3.1.6.1-other-ip-untouched")
class ChangesReachEverybody(WitnessService):
    """The server notifies every registration of an interface change, whatever its address."""

    @override
    def affected(self, *event: Any) -> list[Registration]:
        return list(self.registrations)


@violates("SWN-V14-3.1.6.1-network-name")
class ChangesMatchGroupName(WitnessService):
    """A change is queued only if NetName is the interface group name (the rule of revision 11.0)."""

    @override
    def name_matches(self, registration: Registration, interface: Interface, net_name: str) -> bool:
        return same_name(registration.net_name, interface.group_name, ignore_case=True)


@violates("SWN-3.1.6.1-queues-change")
class OnlyFirstRegistrationNotified(WitnessService):
    """Only the oldest of several registrations for an address is notified of its changes."""

    @override
    def affected(self, *event: Any) -> list[Registration]:
        return [*super().affected(*event)][:1]


@violates("SWN-3.1.6.1-queues-change")
class OnlyUnavailableNotified(WitnessService):
    """The server does not notify a change to AVAILABLE."""

    @override
    def queue_change(
        self, interface: Interface, addresses: Any, state: InterfaceState, net_name: str
    ) -> None:
        if state is not InterfaceState.AVAILABLE:
            super().queue_change(interface, addresses, state, net_name)


@violates("SWN-3.1.6.1-wake-async")
class ChangesWakeNobody(WitnessService):
    """The server queues a change, but a pending AsyncNotify stays pending."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        held = [(r, deque(r.waiting)) for r in self.registrations]
        for registration, _ in held:
            registration.waiting.clear()
        replies = super().interface_event(group_name, state, **where)
        for registration, calls in held:
            registration.waiting.extend(calls)
        return replies


@violates("SWN-3.1.6.1-wake-spurious")
class EventsWakeEverybody(WitnessService):
    """Every event completes every pending AsyncNotify with a change to UNKNOWN."""

    @override
    def wake(self) -> list[Reply]:
        replies = super().wake()
        for registration in self.registrations:
            if registration.waiting:
                nothing = RespAsyncNotify.of(ResourceChange(ChangeType.UNKNOWN, registration.net_name))
                replies += self.answer(registration, QueuedNotification(AsyncNotifyResponse(nothing, 0)))
        return replies


@violates("SWN-3.1.4.4-immediate-if-pending")
class PendingWaitsForNextEvent(WitnessService):
    """AsyncNotify returns what is already pending only after the next event."""

    @override
    def async_notify(self, token: Any, owner: Any, request: Any) -> list[Reply]:
        registration = self.find(owner, request.context)
        if registration is None or not registration.pending_kinds():
            return super().async_notify(token, owner, request)
        kept, registration.changes = registration.changes, deque()
        moves = registration.client_move, registration.share_move, registration.ip_change
        registration.client_move = registration.share_move = registration.ip_change = None
        replies = super().async_notify(token, owner, request)
        registration.changes = kept
        registration.client_move, registration.share_move, registration.ip_change = moves
        return replies


# What is sent


@violates("SWN-3.1.4.4-change-all-drained")
class LaterChangesLost(Responder):
    """Of several queued changes the server sends the first and drops the others."""

    @override
    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        return super().resource_changes(tuple(changes)[:1])


@violates("SWN-3.1.4.4-change-all-drained", seen_in="Samba 4.22")
class OneChangeAtATime(Responder):
    """Each response carries one change, even if several are queued."""

    @override
    def take_kind(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        rest = deque(registration.changes)
        if kind == "change":
            registration.changes = deque([rest.popleft()])
        queued = super().take_kind(registration, kind)
        registration.changes = rest
        return queued


@violates("SWN-3.1.1.3-pending-changes-list")
class OnlyLastChangeKept(WitnessService):
    """A new change replaces the changes that are already queued."""

    @override
    def affected(self, *event: Any) -> list[Registration]:
        found = [*super().affected(*event)]
        for registration in found:
            registration.changes.clear()
        return found


@violates("SWN-3.1.4.4-change-order")
class ChangesNewestFirst(Responder):
    """The server sends queued changes in reverse order."""

    @override
    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        return super().resource_changes(tuple(changes)[::-1])


@violates("SWN-3.1.1.4-newstate-kept")
class StateLookedUpWhenSent(Responder):
    """The server sends a queued change with the interface's present state, not the queued state."""

    @override
    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        return super().resource_changes(replace(c, new_state=self.state_of(c)) for c in changes)

    def state_of(self, change: PendingChange) -> InterfaceState:
        group = self.interfaces.group(change.resource_name)
        return group[0].state if group else change.new_state


@violates("SWN-3.1.4.4-change-unavailable", "SWN-2.2.2.3-changetype-values")
class UnavailableChangeIsTwo(Responder):
    """ChangeType for UNAVAILABLE is 2."""

    @override
    def change_type(self, state: InterfaceState) -> ChangeType:
        return 2 if state is InterfaceState.UNAVAILABLE else super().change_type(state)  # type: ignore[return-value]


@violates("SWN-3.1.4.4-change-unavailable", "SWN-3.1.4.4-change-otherwise-available")
class ChangeTypesSwapped(Responder):
    """The server swaps ChangeType AVAILABLE and UNAVAILABLE."""

    @override
    def change_type(self, state: InterfaceState) -> ChangeType:
        down = state is InterfaceState.UNAVAILABLE
        return ChangeType.AVAILABLE if down else ChangeType.UNAVAILABLE


@violates("SWN-3.1.4.4-change-otherwise-available")
class AvailableSentAsUnknown(Responder):
    """The server sends a change to AVAILABLE with ChangeType UNKNOWN (0)."""

    @override
    def change_type(self, state: InterfaceState) -> ChangeType:
        return ChangeType.UNAVAILABLE if state is InterfaceState.UNAVAILABLE else ChangeType.UNKNOWN


@violates("SWN-3.1.6.1-change-state")
class ChangeHasOldState(WitnessService):
    """A change carries the state before the event."""

    @override
    def queue_change(
        self, interface: Interface, addresses: Any, state: InterfaceState, net_name: str
    ) -> None:
        super().queue_change(interface, addresses, interface.state, net_name)


@violates("SWN-2.2.2.3-name-source", "SWN-3.1.4.4-change-name")
class ChangeNamedForClient(WitnessService):
    """ResourceName is the name of the client."""

    @override
    def resource_name(self, registration: Registration, interface: Interface) -> str:
        return registration.client_name


@violates("SWN-2.2.2.3-name-source", "SWN-3.1.4.4-change-name")
class ChangeNameEmpty(WitnessService):
    """ResourceName is empty."""

    @override
    def resource_name(self, registration: Registration, interface: Interface) -> str:
        return ""


@violates("SWN-3.1.6.1-change-name")
def change_named_for_net_name(config: ClusterConfig) -> ClusterConfig:
    """ResourceName is the registered NetName, as in the example of MS-SWN 4.1."""
    return with_options(config, resource_name="net-name")


@violates("SWN-3.1.6.1-change-name", seen_in="Samba 4.22")
def change_named_for_address(config: ClusterConfig) -> ClusterConfig:
    """ResourceName is the registered IpAddress."""
    return with_options(config, resource_name="address")


@violates("SWN-3.1.4.4-processed-removed-changes")
class ChangesSentAgain(Responder):
    """A change that was sent stays pending."""

    @override
    def take_kind(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        kept = deque(registration.changes)
        queued = super().take_kind(registration, kind)
        registration.changes = kept
        return queued


@violates("SWN-3.1.4.4-waits")
class NotifyNeverWaits(WitnessService):
    """AsyncNotify with nothing pending returns a change to AVAILABLE at once."""

    @override
    def async_notify(self, token: Any, owner: Any, request: Any) -> list[Reply]:
        registration = self.find(owner, request.context)
        if registration is not None and not registration.pending_kinds():
            registration.changes.append(PendingChange(registration.net_name, InterfaceState.AVAILABLE))
        return super().async_notify(token, owner, request)


@violates("SWN-3.1.4.4-change-name")
class ChangeNameCutShort(AlteredChanges):
    """ResourceName lacks its last character."""

    @override
    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        items = notification.decode().items
        return RespAsyncNotify.of(
            *(replace(i, resource_name=i.resource_name[:-1]) for i in items if isinstance(i, ResourceChange))
        )
