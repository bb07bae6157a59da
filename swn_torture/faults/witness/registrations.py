"""Registrations: what they hold from the start, and when they end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.server.state.methods import Reply
from swn_torture.server.state.registrations import PendingChange, RegistrationList
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState, ProtocolVersion
from swn_torture.witness.messages import (
    NULL_HANDLE,
    UnRegisterExResponse,
    UnRegisterResponse,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from swn_torture.server.state.registrations import Owner, Registration, Selection
    from swn_torture.server.state.shares import ShareTable
    from swn_torture.witness.messages import ContextHandle


class AlteredRegistrations(WitnessService):
    """A server that lets `alter_registration` change each registration before it inserts it."""

    @override
    def insert(self, registration: Registration) -> Registration:
        """Alter and insert a registration."""
        self.alter_registration(registration)
        return super().insert(registration)

    def alter_registration(self, registration: Registration) -> None:
        """Change the new registration."""


# Inserted or not


@violates(
    "SWN-3.1.4.2-creates-entry",
    "SWN-2.2.1.3-for-asyncnotify",
    "SWN-2.2.1.1-for-unregister",
    "SWN-3.1.4.5-creates-entry",
    "SWN-2.2.1.1-registerex-handle",
    "SWN-4.1-example-sequence",
)
class RegisteredButForgotten(WitnessService):
    """Registering returns a handle, but the server inserts no registration."""

    @override
    def insert(self, registration: Registration) -> Registration:
        return registration


@violates("SWN-3.1.4.5-creates-entry", "SWN-2.2.1.1-registerex-handle")
class RegisterExForgotten(WitnessService):
    """RegisterEx returns a handle, but the server inserts no registration."""

    @override
    def insert(self, registration: Registration) -> Registration:
        return registration if registration.timeout is not None else super().insert(registration)


# What a registration holds


@violates("SWN-3.1.4.2-entry-clientname", "SWN-3.1.4.5-entry-clientname")
class ClientNameOfFirstRegistration(AlteredRegistrations):
    """All registrations for an address get the client name of the first one."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        for earlier in self.registrations:
            if earlier.ip_address == registration.ip_address:
                registration.client_name = earlier.client_name
                return


@violates("SWN-3.1.4.2-entry-netname", "SWN-3.1.4.5-entry-netname")
class NetNameIsClientName(AlteredRegistrations):
    """The server stores the client name as the NetName of a registration."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        registration.net_name = registration.client_name


class StoresFirstAddress(AlteredRegistrations):
    """A server that stores the first address of the interface list in some registrations."""

    def applies_to(self, registration: Registration) -> bool:
        """Whether to change this registration."""
        raise NotImplementedError

    @override
    def alter_registration(self, registration: Registration) -> None:
        """Replace the address of a registration that `applies_to` selects."""
        first = next(iter(self.interfaces), None)
        if first is not None and self.applies_to(registration):
            registration.ip_address = str(first.addresses[0])


@violates("SWN-3.1.4.2-entry-ipaddress")
class RegisterTakesFirstAddress(StoresFirstAddress):
    """Register stores the first address of the interface list instead of IpAddress."""

    @override
    def applies_to(self, registration: Registration) -> bool:
        return registration.timeout is None


@violates("SWN-3.1.4.5-entry-ipaddress")
class RegisterExTakesFirstAddress(StoresFirstAddress):
    """RegisterEx stores the first address of the interface list instead of IpAddress."""

    @override
    def applies_to(self, registration: Registration) -> bool:
        return registration.timeout is not None


@violates("SWN-3.1.4.5-entry-client-version")
class Version2EnteredAs1(AlteredRegistrations):
    """RegisterEx makes a registration of version 1."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        registration.version = ProtocolVersion.V1


@violates("SWN-3.1.4.5-entry-sharename", "SWN-3.1.4.5-share-flag-true")
class ShareNameForgotten(AlteredRegistrations):
    """RegisterEx checks ShareName but does not store it."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        registration.share_name, registration.share_notifications = None, False


@violates("SWN-3.1.4.5-share-flag-true")
class ShareNotificationsNeedIpFlag(AlteredRegistrations):
    """The server sends share moves only to registrations that also ask for IP notifications."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        registration.share_notifications &= registration.ip_notifications


@violates("SWN-3.1.4.2-v2-sharename-empty")
class Version1WatchesFirstShare(AlteredRegistrations):
    """Register stores the first share of the server as ShareName."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        if registration.timeout is None and (shares := self.checks.visible_shares()):
            registration.share_name = shares[0].name


# What is pending from the start


@violates("SWN-3.1.4.2-no-initial-changes", "SWN-3.1.4.5-no-initial-changes")
class PresentStateSentFirst(AlteredRegistrations):
    """A new registration has the present state of its interface pending."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        interface = self.interfaces.by_address(registration.ip_address)
        if interface is not None:
            registration.changes.append(PendingChange(interface.group_name, interface.state))


@violates("SWN-3.1.4.2-no-initial-changes", "SWN-3.1.4.5-no-initial-changes")
class UnavailableSentFirst(AlteredRegistrations):
    """A new registration for an address that is UNAVAILABLE has that state pending as a change."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        interface = self.interfaces.by_address(registration.ip_address)
        if interface is not None and interface.state is InterfaceState.UNAVAILABLE:
            registration.changes.append(PendingChange(interface.group_name, interface.state))


@violates("SWN-3.1.4.2-no-initial-move", "SWN-3.1.4.5-no-initial-move")
class MovedAtOnce(AlteredRegistrations):
    """A new registration has a client move pending."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        registration.client_move = self.node


@violates("SWN-3.1.4.5-no-initial-share")
class OldShareMoveInherited(AlteredRegistrations):
    """A new registration for a share has the last share move pending."""

    _last: str | None = None

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        self._last = destination
        return super().share_move(selection, destination)

    @override
    def alter_registration(self, registration: Registration) -> None:
        if registration.share_notifications:
            registration.share_move = self._last


@violates("SWN-3.1.4.5-no-initial-ip")
class AddressesChangedAtOnce(AlteredRegistrations):
    """A new registration that asks for IP notifications has an IP change pending."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        if registration.ip_notifications:
            registration.ip_change = self.node


@violates("SWN-3.1.4.2-no-initial-changes", "SWN-3.1.4.5-no-initial-changes")
class LastChangeInherited(AlteredRegistrations):
    """A new registration has the last interface change pending."""

    _last: PendingChange | None = None

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        self._last = PendingChange(group_name, state)
        return super().interface_event(group_name, state, **where)

    @override
    def alter_registration(self, registration: Registration) -> None:
        if self._last is not None:
            registration.changes.append(self._last)


@violates("SWN-3.1.4.2-v2-pending-share-empty", "SWN-3.1.4.2-v2-pending-ip-empty")
class Version1PendingFromTheStart(AlteredRegistrations):
    """A registration made by Register has a share move and an IP change pending."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        if registration.timeout is None:
            registration.version = ProtocolVersion.V2
            registration.share_move = registration.ip_change = self.node


# When it ends


@violates("SWN-3.1.4.3-removes-entry", "SWN-3.1.4.3-no-more-notifications")
class UnregisterRemovesNothing(WitnessService):
    """UnRegister returns success and removes nothing."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        if self.find(owner, request.context) is None:
            return super().unregister(token, owner, request)
        return [Reply(token, UnRegisterResponse(Win32.ERROR_SUCCESS))]


@violates("SWN-3.1.4.3-removes-entry")
class UnregisterRemovesHandleOnly(WitnessService):
    """UnRegister invalidates the handle, but keeps the registration."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._invalid_handles: set[ContextHandle] = set()

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return None if handle in self._invalid_handles else super().find(owner, handle)

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        registration = self.find(owner, request.context)
        replies = super().unregister(token, owner, request)
        if registration is not None:
            self._invalid_handles.add(registration.key)
            self.registrations.add(registration)
        return replies


@violates("SWN-3.1.4.3-search-by-key")
class UnregisterRemovesTheOldest(WitnessService):
    """UnRegister removes the caller's oldest registration, whatever the handle."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        mine = self.registrations.of(owner.association)
        return super().unregister(token, owner, replace(request, context=mine[0].key) if mine else request)


@violates("SWN-3.1.4.3-search-by-key")
class UnregisterRemovesAll(WitnessService):
    """UnRegister removes all registrations of the caller's association."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        replies = super().unregister(token, owner, request)
        for registration in self.registrations.of(owner.association):
            replies += self.remove(registration)
        return replies


@violates("SWN-V14-3.1.4.6-removes")
class UnregisterExRemovesNothing(WitnessService):
    """UnRegisterEx returns success and a null handle, but keeps the registration."""

    @override
    def unregister_ex(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        if self.find(owner, request.context) is None:
            return super().unregister_ex(token, owner, request)
        return [Reply(token, UnRegisterExResponse(NULL_HANDLE, Win32.ERROR_SUCCESS))]


@violates("SWN-V14-3.1.4.6-search")
class UnregisterExRemovesTheNewest(WitnessService):
    """UnRegisterEx removes the caller's newest registration, whatever the handle."""

    @override
    def unregister_ex(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        mine = self.registrations.of(owner.association)
        known = self.find(owner, request.context) is not None
        return super().unregister_ex(
            token, owner, replace(request, context=mine[-1].key) if known else request
        )


@violates("SWN-V14-3.1.4.6-null-handle")
class UnregisterExKeepsHandle(WitnessService):
    """UnRegisterEx returns the handle instead of a null handle."""

    @override
    def unregister_ex(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        first, *others = super().unregister_ex(token, owner, request)
        response = first.response
        assert isinstance(response, UnRegisterExResponse)
        return [Reply(token, replace(response, context=request.context)), *others]


@violates("SWN-3.1.6.5-delete-on-timeout", "RPC-CTXH-rundown")
class RegistrationsOutliveClients(WitnessService):
    """Registrations stay after the client's association has ended."""

    @override
    def rundown(self, association: Hashable) -> None:
        self.drop_calls(association, lambda _: True)


@violates("RPC-CTXH-rundown-pending")
class PendingOutlivesClients(WitnessService):
    """A registration with a pending AsyncNotify stays after the client's association has ended."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._busy: set[ContextHandle] = set()

    @override
    def cancel(self, token: Any, association: Hashable) -> bool:
        mine = self.registrations.of(association)
        self._busy |= {r.key for r in mine if any(call.token == token for call in r.waiting)}
        return super().cancel(token, association)

    @override
    def rundown(self, association: Hashable) -> None:
        for registration in self.registrations.of(association):
            if registration.key not in self._busy:
                self.remove(registration)


_KEPT_LISTS: WeakKeyDictionary[ShareTable, dict[str, RegistrationList]] = WeakKeyDictionary()
"""Registrations by node, for each cluster. The key is its share table, which lives as long as the cluster."""


@violates("SWN-3.1.3-registrations-empty")
class RegistrationsSurviveRestart(WitnessService):
    """The registrations of a node are still there after the node restarts."""

    def __init__(self, node: str, *rest: Any) -> None:
        super().__init__(node, *rest)
        nodes = _KEPT_LISTS.setdefault(self.view.shares, {})
        self.registrations = nodes.setdefault(node, self.registrations)

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return self.registrations.find(handle)

    @override
    def rundown(self, association: Hashable) -> None:
        self.drop_calls(association, lambda _: True)


@violates("SWN-3.1.3-global-name-admin")
class NetNameBuiltIn(WitnessService):
    """The server accepts only the NetName SWNCLUSTER, whatever the administrator has configured."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.checks.net_names = replace(self.view.net_names, name="SWNCLUSTER", aliases=())


@violates("SWN-3.1.1.1-global-name", "SWN-2.2.2.5-witness-flag-meaning")
class NetNameUnknownElsewhere(WitnessService):
    """Only the first node accepts the cluster's NetName; every other node accepts its own name."""

    def __init__(self, node: str, *rest: Any) -> None:
        super().__init__(node, *rest)
        if not node.endswith("1"):
            self.checks.net_names = replace(self.view.net_names, name=node, aliases=())


@violates("SWN-3.1.4.3-no-more-notifications")
class UnregisteredStillNotified(WitnessService):
    """A call that is pending when its registration is removed stays pending and gets the next event."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._removed: list[Registration] = []

    @override
    def remove(self, registration: Registration) -> list[Reply]:
        self.registrations.remove(registration)
        self._removed.append(registration)
        return []

    @override
    def selected(self, selection: Selection, *wants: Any) -> list[Registration]:
        removed = [r for r in self._removed if selection.matches(r, self.options)]
        return [*super().selected(selection, *wants), *removed]

    @override
    def wake(self) -> list[Reply]:
        return [*super().wake(), *(reply for removed in self._removed for reply in self.deliver(removed))]
