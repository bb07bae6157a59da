"""Interfaces that come, go and change: what is queued, for whom, and what is told of it."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.faults.registry import violates, with_options
from swn_torture.faults.witness.answers import Changes
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
    """An interface event is told on, but the interface keeps its state."""

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
    """An interface event is taken for the first interface of its group, whatever the address."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        first = next(iter(self.interfaces.group(group_name)), None)
        if first is not None:
            where |= {"ipv4": first.ipv4, "ipv6": first.ipv6}
        return super().interface_event(group_name, state, **where)


@violates("SWN-3.1.6.1-new-interface")
class NewInterfaceIgnored(WitnessService):
    """An event for an interface that is not known is ignored."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        if self.interfaces.find(group_name, where.get("ipv4"), where.get("ipv6")) is None:
            return []
        return super().interface_event(group_name, state, **where)


class NewInterfaces(WitnessService):
    """A server whose new interfaces pass through `other` before they are added."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        """An interface event."""
        known = self.interfaces.find(group_name, where.get("ipv4"), where.get("ipv6"))
        replies = super().interface_event(group_name, state, **where)
        new = self.interfaces.find(group_name, where.get("ipv4"), where.get("ipv6"))
        if known is None and new is not None:
            for address in new.addresses:
                if (rest := self.interfaces.find(group_name, new.ipv4, new.ipv6)) is not None:
                    self.interfaces.remove_address(rest, address)
            self.interfaces.add(self.other(new))
        return replies

    def other(self, new: Interface) -> Interface:
        """The interface to add instead."""
        return new


@violates("SWN-3.1.6.1-new-name", near=("SWN-3.1.4.1-groupname",))
class NewInterfaceNamedForItsAddress(NewInterfaces):
    """A new interface is called by its address instead of its group."""

    @override
    def other(self, new: Interface) -> Interface:
        return replace(new, group_name=f"IF-{int(new.addresses[0]) & 0xFFFF:04X}")


@violates("SWN-3.1.6.1-new-state")
class NewInterfaceUnknown(NewInterfaces):
    """A new interface is UNKNOWN, whatever its event says."""

    @override
    def other(self, new: Interface) -> Interface:
        return replace(new, state=InterfaceState.UNKNOWN)


# The list is wrong from then on.
@violates("SWN-3.1.6.1-new-ipv4", near=("SWN-3.1.4.1-groupname",))
class NewInterfaceGainsIpv4(NewInterfaces):
    """A new interface with an IPv6 address alone is added with an IPv4 address as well."""

    @override
    def other(self, new: Interface) -> Interface:
        return new if new.ipv4 else replace(new, ipv4=IPv4Address("192.0.2.77"))


@violates("SWN-3.1.6.1-new-ipv6", near=("SWN-3.1.4.1-groupname",))
class NewInterfaceGainsIpv6(NewInterfaces):
    """A new interface with an IPv4 address alone is added with an IPv6 address as well."""

    @override
    def other(self, new: Interface) -> Interface:
        return new if new.ipv6 else replace(new, ipv6=IPv6Address("2001:db8::77"))


# Who hears


@violates("SWN-3.1.6.1-queues-change", "SWN-V14-3.1.6.1-network-name")
class ChangesReachNobody(WitnessService):
    """A change of an interface is noted, and nobody is told."""

    @override
    def concerned(self, *event: Any) -> list[Registration]:
        return []


@violates("SWN-3.1.6.1-other-ip-untouched")
class ChangesReachEverybody(WitnessService):
    """A change of an interface is told to all registrations, whatever their address."""

    @override
    def concerned(self, *event: Any) -> list[Registration]:
        return list(self.registrations)


@violates("SWN-V14-3.1.6.1-network-name")
class ChangesMatchGroupName(WitnessService):
    """A change is told to those whose NetName is the name of the interface group, as revision 11.0 read."""

    @override
    def name_matches(self, registration: Registration, interface: Interface, net_name: str) -> bool:
        return same_name(registration.net_name, interface.group_name, ignore_case=True)


@violates("SWN-3.1.6.1-queues-change")
class OnlyFirstRegistrationHears(WitnessService):
    """Of several registrations for an address only the oldest hears of its changes."""

    @override
    def concerned(self, *event: Any) -> list[Registration]:
        return super().concerned(*event)[:1]


@violates("SWN-3.1.6.1-queues-change")
class OnlyUnavailableTold(WitnessService):
    """That an interface is AVAILABLE again is not told."""

    @override
    def queue_change(
        self, interface: Interface, addresses: Any, state: InterfaceState, net_name: str
    ) -> None:
        if state is not InterfaceState.AVAILABLE:
            super().queue_change(interface, addresses, state, net_name)


@violates("SWN-3.1.6.1-wake-async")
class ChangesWakeNobody(WitnessService):
    """A change is queued, but a call that is waiting goes on waiting."""

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
    """Every event ends all calls that wait, with nothing to tell."""

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
    """What was pending before the call is told only when something else happens."""

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


# What is told


@violates("SWN-3.1.4.4-change-all-drained")
class LaterChangesLost(Responder):
    """Of several changes the first is told, and the others are dropped."""

    @override
    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        return super().resource_changes(tuple(changes)[:1])


@violates("SWN-3.1.4.4-change-all-drained")
class OneChangeAtATime(Responder):
    """Each response tells one change, as with Samba."""

    @override
    def tell(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        rest = deque(registration.changes)
        if kind == "change":
            registration.changes = deque([rest.popleft()])
        queued = super().tell(registration, kind)
        registration.changes = rest
        return queued


@violates("SWN-3.1.1.3-pending-changes-list")
class OnlyLastChangeKept(WitnessService):
    """There is room for one change, and the next one takes its place."""

    @override
    def concerned(self, *event: Any) -> list[Registration]:
        found = super().concerned(*event)
        for registration in found:
            registration.changes.clear()
        return found


@violates("SWN-3.1.4.4-change-order")
class ChangesNewestFirst(Responder):
    """Changes are told in the reverse order."""

    @override
    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        return super().resource_changes(tuple(changes)[::-1])


@violates("SWN-3.1.1.4-newstate-kept")
class StateLookedUpWhenTold(Responder):
    """A queued change tells the state that the interface has when the client asks."""

    @override
    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        return super().resource_changes(replace(c, new_state=self.state_of(c)) for c in changes)

    def state_of(self, change: PendingChange) -> InterfaceState:
        group = self.interfaces.group(change.resource_name)
        return group[0].state if group else change.new_state


@violates("SWN-3.1.4.4-change-unavailable", "SWN-2.2.2.3-changetype-values")
class UnavailableChangeIsTwo(Responder):
    """ChangeType UNAVAILABLE is 2."""

    @override
    def change_type(self, state: InterfaceState) -> ChangeType:
        return 2 if state is InterfaceState.UNAVAILABLE else super().change_type(state)  # type: ignore[return-value]


@violates("SWN-3.1.4.4-change-unavailable", "SWN-3.1.4.4-change-otherwise-available")
class ChangeTypesSwapped(Responder):
    """What has become AVAILABLE is told to be UNAVAILABLE, and the other way round."""

    @override
    def change_type(self, state: InterfaceState) -> ChangeType:
        down = state is InterfaceState.UNAVAILABLE
        return ChangeType.AVAILABLE if down else ChangeType.UNAVAILABLE


@violates("SWN-3.1.4.4-change-otherwise-available")
class AvailableToldUnknown(Responder):
    """What has become AVAILABLE is told to be UNKNOWN (0)."""

    @override
    def change_type(self, state: InterfaceState) -> ChangeType:
        return ChangeType.UNAVAILABLE if state is InterfaceState.UNAVAILABLE else ChangeType.UNKNOWN


@violates("SWN-3.1.6.1-change-state")
class ChangeTellsOldState(WitnessService):
    """A change tells the state before it."""

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
    """ResourceName is the registered NetName, as in the example of the specification."""
    return with_options(config, resource_name="net-name")


@violates("SWN-3.1.6.1-change-name")
def change_named_for_address(config: ClusterConfig) -> ClusterConfig:
    """ResourceName is the registered address, as with Samba."""
    return with_options(config, resource_name="address")


@violates("SWN-3.1.4.4-processed-removed-changes")
class ChangesToldAgain(Responder):
    """A change that was told stays pending."""

    @override
    def tell(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        kept = deque(registration.changes)
        queued = super().tell(registration, kind)
        registration.changes = kept
        return queued


@violates("SWN-3.1.4.4-waits")
class NotifyNeverWaits(WitnessService):
    """AsyncNotify tells the present state of the address when there is no news."""

    @override
    def async_notify(self, token: Any, owner: Any, request: Any) -> list[Reply]:
        registration = self.find(owner, request.context)
        if registration is not None and not registration.pending_kinds():
            registration.changes.append(PendingChange(registration.net_name, InterfaceState.AVAILABLE))
        return super().async_notify(token, owner, request)


@violates("SWN-3.1.4.4-change-name")
class ChangeNameCutShort(Changes):
    """The last character of ResourceName is lost."""

    @override
    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        items = notified.decode().items
        return RespAsyncNotify.of(
            *(replace(i, resource_name=i.resource_name[:-1]) for i in items if isinstance(i, ResourceChange))
        )
