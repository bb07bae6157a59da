"""Registrations that are wrong from the start under one condition, such as an earlier registration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.witness.registrations import AlteredRegistrations
from swn_torture.server.state.service import WitnessService
from swn_torture.witness.constants import ProtocolVersion

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
_UNKNOWN_ADDRESS = "192.0.2.99"
#: How many registrations `ClientEntriesLimited` keeps for each client name.
_LIMIT = 64

# Inserted or not


@violates("SWN-3.1.4.2-creates-entry", "SWN-3.1.4.5-creates-entry")
class ClientEntriesLimited(WitnessService):
    """The server keeps 64 registrations per client name; later ones get a handle and no entry."""

    @override
    def insert(self, registration: Registration) -> Registration:
        alike = self.registrations.where(lambda r: r.client_name == registration.client_name)
        return registration if len(alike) >= _LIMIT else super().insert(registration)


# Keys


@violates("SWN-3.1.4.2-key-in-ppcontext")
class RegisterExRenewsKeys(WitnessService):
    """RegisterEx changes the keys of the registrations that its caller has made by Register."""

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
    """RegisterEx returns an unknown handle to a caller that has registered by Register."""

    @override
    def register_ex(self, owner: Owner, request: RegisterExRequest) -> RegisterExResponse:
        mine = self.registrations.of(owner.association)
        response = super().register_ex(owner, request)
        if response.result or not any(r.version == ProtocolVersion.V1 for r in mine):
            return response
        return replace(response, context=self.new_key())


# What a registration holds


@violates("SWN-3.1.4.2-entry-clientname", "SWN-3.1.4.5-entry-clientname")
class AddressKeepsClientName(AlteredRegistrations):
    """Once a client used both methods for an address, later registrations for it get that client's name."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        methods: dict[str, set[int]] = {}
        for earlier in self.registrations:
            if earlier.ip_address == registration.ip_address:
                methods.setdefault(earlier.client_name, set()).add(earlier.version)
        for name, versions in methods.items():
            if len(versions) > 1:
                registration.client_name = name


@violates("SWN-3.1.4.5-entry-lastuse")
class LastUseStartsInThePast(AlteredRegistrations):
    """LastUseTime of a registration by RegisterEx is half an unused time-out in the past."""

    @override
    def alter_registration(self, registration: Registration) -> None:
        if registration.timeout is not None:
            registration.last_use -= self.options.unused_timeout / 2


# What is pending from the start


class RemembersNotifications(AlteredRegistrations):
    """A server that remembers the last move or change for each client name."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._last_by_client: dict[str, str] = {}

    def remember(
        self, selection: Selection, event: str, asks_for: Callable[[Registration], bool] = lambda _: True
    ) -> None:
        """Remember the destination of a move, or an IP change, for the clients that it concerns."""
        self._last_by_client.update((r.client_name, event) for r in self.selected(selection, asks_for))

    @override
    def alter_registration(self, registration: Registration) -> None:
        """Repeat what the same client was notified of."""
        if registration.client_name in self._last_by_client:
            self.repeat_notification(registration, self._last_by_client[registration.client_name])

    def repeat_notification(self, registration: Registration, event: str) -> None:
        """Make the last move or change pending in a new registration."""
        raise NotImplementedError


@violates("SWN-3.1.4.2-no-initial-move", "SWN-3.1.4.5-no-initial-move")
class ClientsStayMoved(RemembersNotifications):
    """A client that was moved gets the move again on every registration that it makes."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        self.remember(selection, destination)
        return super().client_move(selection, destination)

    @override
    def repeat_notification(self, registration: Registration, event: str) -> None:
        registration.client_move = event


@violates("SWN-3.1.4.2-v2-pending-share-empty")
class RegisterInheritsShareMove(RemembersNotifications):
    """A client that got a share move gets it again on every registration that it makes by Register."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        self.remember(selection, destination, lambda r: r.share_notifications)
        return super().share_move(selection, destination)

    @override
    def repeat_notification(self, registration: Registration, event: str) -> None:
        if registration.timeout is None:
            registration.version, registration.share_move = ProtocolVersion.V2, event


@violates("SWN-3.1.4.2-v2-pending-ip-empty")
class RegisterInheritsIpChange(RemembersNotifications):
    """A client that got an IP change gets it again on every registration that it makes by Register."""

    @override
    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        self.remember(selection, change, lambda r: r.ip_notifications)
        return super().ip_change(selection, change)

    @override
    def repeat_notification(self, registration: Registration, event: str) -> None:
        if registration.timeout is None:
            registration.version, registration.ip_change = ProtocolVersion.V2, event


# Addresses


@violates("SWN-3.1.4.2-sofs-ip-search", "SWN-3.1.4.5-sofs-ip-search")
class OneAddressOfEachInterface(WitnessService):
    """A caller registered for one address of an interface cannot register for its other address."""

    @override
    def register(self, owner: Owner, request: RegisterRequest) -> RegisterResponse:
        return super().register(
            owner, replace(request, ip_address=self.address_to_register(owner, request.ip_address))
        )

    @override
    def register_ex(self, owner: Owner, request: RegisterExRequest) -> RegisterExResponse:
        address = self.address_to_register(owner, request.ip_address)
        return super().register_ex(owner, replace(request, ip_address=address))

    def address_to_register(self, owner: Owner, address: str | None) -> str | None:
        """Return the address to register for instead."""
        interface = self.interfaces.by_address(address or "")
        if interface is None:
            return address
        mine = [r.ip_address for r in self.registrations.of(owner.association)]
        taken = any(self.interfaces.by_address(text) == interface for text in mine if text != address)
        return _UNKNOWN_ADDRESS if taken else address
