"""What a registration is made of, and when it ends."""

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


class Entering(WitnessService):
    """A server whose registrations pass through `other` before they are entered."""

    @override
    def enter(self, registration: Registration) -> Registration:
        """Insert a registration."""
        self.other(registration)
        return super().enter(registration)

    def other(self, registration: Registration) -> None:
        """What to change."""


# Entered or not


@violates(
    "SWN-3.1.4.2-creates-entry",
    "SWN-2.2.1.3-for-asyncnotify",
    "SWN-2.2.1.1-for-unregister",
    "SWN-3.1.4.5-creates-entry",
    "SWN-2.2.1.1-registerex-handle",
    "SWN-4.1-example-sequence",
)
class RegisteredButForgotten(WitnessService):
    """Registering gives a handle, and no registration stands behind it."""

    @override
    def enter(self, registration: Registration) -> Registration:
        return registration


@violates("SWN-3.1.4.5-creates-entry", "SWN-2.2.1.1-registerex-handle")
class RegisterExForgotten(WitnessService):
    """RegisterEx gives a handle, and no registration stands behind it."""

    @override
    def enter(self, registration: Registration) -> Registration:
        return registration if registration.timeout is not None else super().enter(registration)


# What it is made of


@violates("SWN-3.1.4.2-entry-clientname", "SWN-3.1.4.5-entry-clientname")
class ClientNameOfAddress(Entering):
    """All registrations for an address have the client name of the first one."""

    @override
    def other(self, registration: Registration) -> None:
        for earlier in self.registrations:
            if earlier.ip_address == registration.ip_address:
                registration.client_name = earlier.client_name
                return


@violates("SWN-3.1.4.2-entry-netname", "SWN-3.1.4.5-entry-netname")
class NetNameIsClientName(Entering):
    """The network name of a registration is that of the client."""

    @override
    def other(self, registration: Registration) -> None:
        registration.net_name = registration.client_name


class FirstAddress(Entering):
    """A server that enters some registrations for the first address of the list."""

    def concerns(self, registration: Registration) -> bool:
        """Whether to change a registration."""
        raise NotImplementedError

    @override
    def other(self, registration: Registration) -> None:
        """Give it another address."""
        first = next(iter(self.interfaces), None)
        if first is not None and self.concerns(registration):
            registration.ip_address = str(first.addresses[0])


@violates("SWN-3.1.4.2-entry-ipaddress")
class RegisterTakesFirstAddress(FirstAddress):
    """Every registration by Register is for the first address of the list."""

    @override
    def concerns(self, registration: Registration) -> bool:
        return registration.timeout is None


@violates("SWN-3.1.4.5-entry-ipaddress")
class RegisterExTakesFirstAddress(FirstAddress):
    """Every registration by RegisterEx is for the first address of the list."""

    @override
    def concerns(self, registration: Registration) -> bool:
        return registration.timeout is not None


@violates("SWN-3.1.4.5-entry-client-version")
class Version2EnteredAs1(Entering):
    """A registration by RegisterEx counts as one of version 1."""

    @override
    def other(self, registration: Registration) -> None:
        registration.version = ProtocolVersion.V1


@violates("SWN-3.1.4.5-entry-sharename", "SWN-3.1.4.5-share-flag-true")
class ShareNameForgotten(Entering):
    """ShareName is checked, but not kept."""

    @override
    def other(self, registration: Registration) -> None:
        registration.share_name, registration.share_notifications = None, False


@violates("SWN-3.1.4.5-share-flag-true")
class ShareNotificationsNeedIpFlag(Entering):
    """Share moves are told only to those who have asked for IP changes, too."""

    @override
    def other(self, registration: Registration) -> None:
        registration.share_notifications &= registration.ip_notifications


@violates("SWN-3.1.4.2-v2-sharename-empty")
class Version1WatchesFirstShare(Entering):
    """A registration by Register is one for the first share of the server."""

    @override
    def other(self, registration: Registration) -> None:
        if registration.timeout is None and (shares := self._registration_checks.visible_shares()):
            registration.share_name = shares[0].name


# What is pending from the start


@violates("SWN-3.1.4.2-no-initial-changes", "SWN-3.1.4.5-no-initial-changes")
class PresentStateToldFirst(Entering):
    """The first notification of a registration is the present state of its interface."""

    @override
    def other(self, registration: Registration) -> None:
        interface = self.interfaces.by_address(registration.ip_address)
        if interface is not None:
            registration.changes.append(PendingChange(interface.group_name, interface.state))


@violates("SWN-3.1.4.2-no-initial-move", "SWN-3.1.4.5-no-initial-move")
class MovedAtOnce(Entering):
    """Every client is told to move as soon as it has registered."""

    @override
    def other(self, registration: Registration) -> None:
        registration.client_move = self.node


@violates("SWN-3.1.4.5-no-initial-share")
class OldShareMoveInherited(Entering):
    """A new registration for a share inherits the last move of it."""

    _last: str | None = None

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        self._last = destination
        return super().share_move(selection, destination)

    @override
    def other(self, registration: Registration) -> None:
        if registration.share_notifications:
            registration.share_move = self._last


@violates("SWN-3.1.4.5-no-initial-ip")
class AddressesChangedAtOnce(Entering):
    """Who watches addresses is told that they change as soon as it has registered."""

    @override
    def other(self, registration: Registration) -> None:
        if registration.ip_notifications:
            registration.ip_change = self.node


@violates("SWN-3.1.4.2-no-initial-changes", "SWN-3.1.4.5-no-initial-changes")
class OldNewsInherited(Entering):
    """A new registration inherits the last change that its address has seen."""

    _last: PendingChange | None = None

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        self._last = PendingChange(group_name, state)
        return super().interface_event(group_name, state, **where)

    @override
    def other(self, registration: Registration) -> None:
        if self._last is not None:
            registration.changes.append(self._last)


@violates("SWN-3.1.4.2-v2-pending-share-empty", "SWN-3.1.4.2-v2-pending-ip-empty")
class Version1PendingFromTheStart(Entering):
    """A registration by Register has a share move and an IP change pending."""

    @override
    def other(self, registration: Registration) -> None:
        if registration.timeout is None:
            registration.version = ProtocolVersion.V2
            registration.share_move = registration.ip_change = self.node


# The end


@violates("SWN-3.1.4.3-removes-entry", "SWN-3.1.4.3-no-more-notifications")
class UnregisterRemovesNothing(WitnessService):
    """UnRegister says success and does nothing."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        if self.find(owner, request.context) is None:
            return super().unregister(token, owner, request)
        return [Reply(token, UnRegisterResponse(Win32.ERROR_SUCCESS))]


@violates("SWN-3.1.4.3-search-by-key")
class UnregisterRemovesTheOldest(WitnessService):
    """UnRegister removes the caller's oldest registration, whatever the handle."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        mine = self.registrations.of(owner.association)
        return super().unregister(token, owner, replace(request, context=mine[0].key) if mine else request)


@violates("SWN-3.1.4.3-search-by-key")
class UnregisterRemovesAll(WitnessService):
    """UnRegister removes all registrations of the same client."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        replies = super().unregister(token, owner, request)
        for registration in self.registrations.of(owner.association):
            replies += self.remove(registration)
        return replies


@violates("SWN-V14-3.1.4.6-removes")
class UnregisterExRemovesNothing(WitnessService):
    """UnRegisterEx says success, takes the handle away and keeps the registration."""

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
    """UnRegisterEx gives the handle back instead of a null one."""

    @override
    def unregister_ex(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        first, *others = super().unregister_ex(token, owner, request)
        response = first.response
        assert isinstance(response, UnRegisterExResponse)
        return [Reply(token, replace(response, context=request.context)), *others]


@violates("SWN-3.1.6.5-delete-on-timeout", "RPC-CTXH-rundown")
class RegistrationsOutliveClients(WitnessService):
    """A registration stays when its client has gone."""

    @override
    def rundown(self, association: Hashable) -> None:
        self.drop_calls(association, lambda _: True)


@violates("RPC-CTXH-rundown-pending")
class PendingOutlivesClients(WitnessService):
    """A registration for which a call is outstanding stays when its client has gone."""

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


_KEPT: WeakKeyDictionary[ShareTable, dict[str, RegistrationList]] = WeakKeyDictionary()
"""Registrations by node, by the shares of the cluster, which live as long as that."""


@violates("SWN-3.1.3-registrations-empty")
class RegistrationsSurviveRestart(WitnessService):
    """The registrations of a node are still there after it was restarted."""

    def __init__(self, node: str, *rest: Any) -> None:
        super().__init__(node, *rest)
        nodes = _KEPT.setdefault(self.view.shares, {})
        self.registrations = nodes.setdefault(node, self.registrations)

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return self.registrations.find(handle)

    @override
    def rundown(self, association: Hashable) -> None:
        self.drop_calls(association, lambda _: True)


@violates("SWN-3.1.3-global-name-admin")
class NetNameBuiltIn(WitnessService):
    """Only the name SWNCLUSTER is known, whatever the administrator has set."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._registration_checks.net_names = replace(self.view.net_names, name="SWNCLUSTER", aliases=())


@violates("SWN-3.1.1.1-global-name", "SWN-2.2.2.5-witness-flag-meaning")
class NetNameUnknownElsewhere(WitnessService):
    """The cluster's name is known to the first node only; the others know their own."""

    def __init__(self, node: str, *rest: Any) -> None:
        super().__init__(node, *rest)
        if not node.endswith("1"):
            self._registration_checks.net_names = replace(self.view.net_names, name=node, aliases=())


@violates("SWN-3.1.4.3-no-more-notifications")
class UnregisteredStillTold(WitnessService):
    """A call that was outstanding when its registration ended waits on, and is told of the next event."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._gone: list[Registration] = []

    @override
    def remove(self, registration: Registration) -> list[Reply]:
        self.registrations.remove(registration)
        self._gone.append(registration)
        return []

    @override
    def selected(self, selection: Selection, *wants: Any) -> list[Registration]:
        also = [r for r in self._gone if selection.matches(r, self.options)]
        return super().selected(selection, *wants) + also

    @override
    def wake(self) -> list[Reply]:
        return [*super().wake(), *(reply for gone in self._gone for reply in self.deliver(gone))]
