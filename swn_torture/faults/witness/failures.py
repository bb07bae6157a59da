"""Failures of nodes at awkward moments: several at once, in fast succession, after a move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState

if TYPE_CHECKING:
    from swn_torture.server.state.interfaces import Interface
    from swn_torture.server.state.methods import Reply
    from swn_torture.witness.messages import RegisterExRequest, RegisterRequest

_ROOM: Final = 4


@violates("SWN-3.1.4.2-returns-success", "SWN-3.1.4.5-returns-success")
class RegisterRefusedWhileANodeIsDown(RegistrationChecks):
    """While any interface of the cluster is UNAVAILABLE, no client can register."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return self._refusal or super().register(request)

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return self._refusal or super().register_ex(request)

    @property
    def _refusal(self) -> Win32:
        states = {interface.state for interface in self.interfaces}
        down = InterfaceState.UNAVAILABLE in states
        return Win32.ERROR_INVALID_STATE if down else Win32.ERROR_SUCCESS


@violates("SWN-3.1.6.2-set-move")
class MoveForgottenWhenDestinationFails(WitnessService):
    """A client move that is still pending is dropped when the node of its destination fails."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        if state is InterfaceState.UNAVAILABLE:
            for registration in self.registrations:
                if registration.client_move in {group_name, where.get("node")}:
                    registration.client_move = None
        return super().interface_event(group_name, state, **where)


@violates("SWN-3.1.6.1-queues-change")
class SecondFailureNotNotified(WitnessService):
    """While an interface is UNAVAILABLE, clients are not notified that another one becomes UNAVAILABLE."""

    @override
    def queue_change(
        self, interface: Interface, addresses: Any, state: InterfaceState, net_name: str
    ) -> None:
        down = sum(each.state is InterfaceState.UNAVAILABLE for each in self.interfaces)
        if state is not InterfaceState.UNAVAILABLE or down < 2:
            super().queue_change(interface, addresses, state, net_name)


@violates("SWN-3.1.6.1-sets-state", "SWN-3.1.4.1-state")
class ReturnMissedWhileOthersAreDown(WitnessService):
    """While two interfaces are UNAVAILABLE, the server misses that one of them becomes AVAILABLE."""

    @override
    def interface_event(self, group_name: str, state: InterfaceState, **where: Any) -> list[Reply]:
        down = sum(each.state is InterfaceState.UNAVAILABLE for each in self.interfaces)
        if state is InterfaceState.AVAILABLE and down > 1:
            return []
        return super().interface_event(group_name, state, **where)


@violates("SWN-3.1.1.3-pending-changes-list")
class ChangesBeyondFourLost(WitnessService):
    """A registration has room for four pending changes; later ones are lost."""

    @override
    def queue_change(
        self, interface: Interface, addresses: Any, state: InterfaceState, net_name: str
    ) -> None:
        super().queue_change(interface, addresses, state, net_name)
        for registration in self.registrations:
            while len(registration.changes) > _ROOM:
                registration.changes.pop()
