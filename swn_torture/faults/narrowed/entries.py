"""What an entry holds from the start, wrong in one circumstance: the hundredth, the client met again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.witness.registrations import Entering
from swn_torture.server.state.registrations import PendingChange
from swn_torture.server.state.service import WitnessService
from swn_torture.witness.constants import InterfaceState, ProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.server.state.methods import Reply
    from swn_torture.server.state.registrations import Owner, Registration, Selection
    from swn_torture.witness.messages import (
        RegisterExRequest,
        RegisterExResponse,
        RegisterRequest,
        RegisterResponse,
    )

#: An address that no interface has (RFC 5737).
_NOWHERE = "192.0.2.99"
#: How many registrations `ClientEntriesLimited` keeps for each client.
_LIMIT = 64

# Entered or not


@violates("SWN-3.1.4.2-creates-entry", "SWN-3.1.4.5-creates-entry")
class ClientEntriesLimited(WitnessService):
    """Of all registrations under one client name 64 are kept; those beyond get a handle and no entry."""

    @override
    def enter(self, registration: Registration) -> Registration:
        alike = self.registrations.where(lambda r: r.client_name == registration.client_name)
        return registration if len(alike) >= _LIMIT else super().enter(registration)


# Where it is kept


@violates("SWN-3.1.4.2-key-in-ppcontext")
class RegisterExRenewsKeys(WitnessService):
    """When a caller has registered by RegisterEx, its registrations by Register get other keys."""

    @override
    def register_ex(self, owner: Owner, request: RegisterExRequest) -> RegisterExResponse:
        response = super().register_ex(owner, request)
        for registration in self.registrations.of(owner.association):
            if registration.version == ProtocolVersion.V1 and not response.result:
                self.registrations.remove(registration)
                registration.key = self.new_key()
                self.registrations.add(registration)
        return response


@violates("SWN-3.1.4.5-key-in-ppcontext")
class RegisterExGivesAnotherHandle(WitnessService):
    """A caller that has registered by Register gets a handle from RegisterEx that stands for nothing."""

    @override
    def register_ex(self, owner: Owner, request: RegisterExRequest) -> RegisterExResponse:
        mine = self.registrations.of(owner.association)
        response = super().register_ex(owner, request)
        if response.result or not any(r.version == ProtocolVersion.V1 for r in mine):
            return response
        return replace(response, context=self.new_key())


# What it holds


@violates("SWN-3.1.4.2-entry-clientname", "SWN-3.1.4.5-entry-clientname")
class AddressOfOneClient(Entering):
    """An address for which a client has registered by both methods is taken for his in all that follow."""

    @override
    def other(self, registration: Registration) -> None:
        methods: dict[str, set[int]] = {}
        for earlier in self.registrations:
            if earlier.ip_address == registration.ip_address:
                methods.setdefault(earlier.client_name, set()).add(earlier.version)
        for name, versions in methods.items():
            if len(versions) > 1:
                registration.client_name = name


@violates("SWN-3.1.4.5-entry-lastuse")
class HalfUsedAlready(Entering):
    """LastUseTime of a registration by RegisterEx is half a time-out in the past."""

    @override
    def other(self, registration: Registration) -> None:
        if registration.timeout is not None:
            registration.last_use -= self.options.unused_timeout / 2


# What is pending from the start


@violates("SWN-3.1.4.2-no-initial-changes", "SWN-3.1.4.5-no-initial-changes")
class DownIsToldAtOnce(Entering):
    """Who registers for an address that is down is told so, as if it had just happened."""

    @override
    def other(self, registration: Registration) -> None:
        interface = self.interfaces.by_address(registration.ip_address)
        if interface is not None and interface.state is InterfaceState.UNAVAILABLE:
            registration.changes.append(PendingChange(interface.group_name, interface.state))


class Remembering(Entering):
    """A server that knows of every client name what its registrations were told last."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._used_names: dict[str, str] = {}

    def note(
        self, selection: Selection, news: str, wants: Callable[[Registration], bool] = lambda _: True
    ) -> None:
        """Remember news for those whom it concerns."""
        self._used_names.update((r.client_name, news) for r in self.selected(selection, wants))

    @override
    def other(self, registration: Registration) -> None:
        """What to do with a registration of a client that was told something."""
        if registration.client_name in self._used_names:
            self.inherit(registration, self._used_names[registration.client_name])

    def inherit(self, registration: Registration, news: str) -> None:
        """Put the last news into a new registration."""
        raise NotImplementedError


@violates("SWN-3.1.4.2-no-initial-move", "SWN-3.1.4.5-no-initial-move")
class ClientsStayMoved(Remembering):
    """A client that was moved is told to move again by every registration that it makes."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        self.note(selection, destination)
        return super().client_move(selection, destination)

    @override
    def inherit(self, registration: Registration, news: str) -> None:
        registration.client_move = news


@violates("SWN-3.1.4.2-v2-pending-share-empty")
class RegisterInheritsShareMove(Remembering):
    """A client that was told of a share move is told of it by each registration by Register, too."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        self.note(selection, destination, lambda r: r.share_notifications)
        return super().share_move(selection, destination)

    @override
    def inherit(self, registration: Registration, news: str) -> None:
        if registration.timeout is None:
            registration.version, registration.share_move = ProtocolVersion.V2, news


@violates("SWN-3.1.4.2-v2-pending-ip-empty")
class RegisterInheritsIpChange(Remembering):
    """A client that was told of an IP change is told of it by each registration by Register, too."""

    @override
    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        self.note(selection, change, lambda r: r.ip_notifications)
        return super().ip_change(selection, change)

    @override
    def inherit(self, registration: Registration, news: str) -> None:
        if registration.timeout is None:
            registration.version, registration.ip_change = ProtocolVersion.V2, news


# Which address it is for


@violates("SWN-3.1.4.2-sofs-ip-search", "SWN-3.1.4.5-sofs-ip-search")
class OneAddressOfEachInterface(WitnessService):
    """Who has registered for one address of an interface does not find the other one on the list."""

    @override
    def register(self, owner: Owner, request: RegisterRequest) -> RegisterResponse:
        return super().register(owner, replace(request, ip_address=self.searched(owner, request.ip_address)))

    @override
    def register_ex(self, owner: Owner, request: RegisterExRequest) -> RegisterExResponse:
        address = self.searched(owner, request.ip_address)
        return super().register_ex(owner, replace(request, ip_address=address))

    def searched(self, owner: Owner, address: str | None) -> str | None:
        """The address to look for instead."""
        interface = self.interfaces.by_address(address or "")
        if interface is None:
            return address
        mine = [r.ip_address for r in self.registrations.of(owner.association)]
        taken = any(self.interfaces.by_address(text) == interface for text in mine if text != address)
        return _NOWHERE if taken else address
