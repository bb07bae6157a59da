"""Clusters with several network names: only the first name is served, or another one is mixed in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.server.state.responses import Responder
from swn_torture.server.state.service import WitnessService

if TYPE_CHECKING:
    from swn_torture.server.state.interfaces import Interface
    from swn_torture.server.state.registrations import Registration
    from swn_torture.witness.messages import GetInterfaceListResponse


@violates("SWN-3.1.4.2-returns-success", "SWN-3.1.4.5-returns-success")
class OtherNetworkNamesRefused(RegistrationChecks):
    """Of several network names, the server accepts only the first one as NetName."""

    @override
    def is_our_name(self, name: str) -> bool:
        return super().is_our_name(name) and self.net_names.are_the_same(name, self.net_names.name)


@violates("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch")
class OtherNetworkNamesComparedByPrefix(RegistrationChecks):
    """The server accepts every NetName that begins with another of its network names."""

    @override
    def is_our_name(self, name: str) -> bool:
        others = (other.name.casefold() for other in self.net_names.others)
        return super().is_our_name(name) or any(name.casefold().startswith(other) for other in others)


@violates("SWN-3.1.4.1-all-copied")
class ListOfFirstNetworkNameOnly(WitnessService):
    """GetInterfaceList returns the interfaces of the first network name, whichever name is called."""

    @override
    def interface_list(self) -> GetInterfaceListResponse:
        response = super().interface_list()
        first = self.view.net_names.name
        others = {a for i in self.interfaces if i.net_name not in {"", first} for a in i.addresses}
        if not others or response.interface_list is None:
            return response
        infos = response.interface_list.interfaces or ()
        kept = tuple(info for info in infos if not others & {info.ipv4, info.ipv6})
        return replace(response, interface_list=replace(response.interface_list, interfaces=kept))


@violates("SWN-3.1.6.1-queues-change", "SWN-V14-3.1.6.1-network-name")
class OtherNetworkNamesNotNotified(WitnessService):
    """An interface event adds a change to registrations under the first network name only."""

    @override
    def name_matches(self, registration: Registration, interface: Interface, net_name: str) -> bool:
        ours = self.view.net_names
        return super().name_matches(registration, interface, net_name) and ours.are_the_same(
            registration.net_name, ours.name
        )


@violates("SWN-2.2.2.3-name-source")
class ChangeNamesFirstNetworkName(WitnessService):
    """ResourceName of a change is the first network name, also for registrations under another one."""

    @override
    def resource_name(self, registration: Registration, interface: Interface) -> str:
        ours = self.view.net_names
        same = ours.are_the_same(registration.net_name, ours.name)
        return super().resource_name(registration, interface) if same else ours.name


@violates("SWN-3.1.4.4-move-info-copied")
class MoveListsFirstNetworkNameOnly(Responder):
    """The addresses of a move are those of the first network name, whatever name the client uses."""

    @override
    def destination(self, name: str) -> tuple[Interface, ...]:
        found = super().destination(name)
        first = next((i.net_name for i in self.interfaces), "")
        return tuple(i for i in found if i.net_name == first)
