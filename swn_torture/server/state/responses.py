"""The responses of AsyncNotify, made from the pending items of a registration (MS-SWN 3.1.4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import (
    AddressFlags,
    ChangeType,
    InterfaceState,
    MessageType,
    ProtocolVersion,
)
from swn_torture.witness.messages import AsyncNotifyResponse, RespAsyncNotify
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.server.state.interfaces import Interface, InterfaceTable
    from swn_torture.server.state.options import Options, PendingKind
    from swn_torture.server.state.registrations import PendingChange, Registration

_MOVES: dict[PendingKind, MessageType] = {
    "client-move": MessageType.CLIENT_MOVE,
    "share-move": MessageType.SHARE_MOVE,
    "ip-change": MessageType.IP_CHANGE,
}


@dataclass(frozen=True, slots=True)
class QueuedNotification:
    """A response to send.

    Attributes:
        response: the response.
        makes_client_leave: whether it reports UNAVAILABLE or a client move. A server can remove the
            registration after it (AMB-30).
    """

    response: AsyncNotifyResponse
    makes_client_leave: bool = False


class Responder:
    """Makes responses from the pending items of a registration.

    Args:
        interfaces: InterfaceList. Destinations are looked up in it when the response is made.
        options: the choices of this server.
    """

    def __init__(self, interfaces: InterfaceTable, options: Options) -> None:
        self.interfaces = interfaces
        self.options = options

    def take_next(self, registration: Registration) -> QueuedNotification | None:
        """Return the next response of a registration and clear its items; None if the call has to wait."""
        if registration.forced:
            return QueuedNotification(registration.forced.popleft())
        kinds = self.deliverable(registration)
        if not kinds:
            return None
        if self.options.several_kinds == "last-overwrites":
            notifications = [self.take_kind(registration, kind) for kind in kinds]
            return notifications[-1]
        return self.take_kind(registration, kinds[0])

    def deliverable(self, registration: Registration) -> list[PendingKind]:
        """Return the pending kinds that can be sent now, in the order of sending."""
        pending = registration.pending_kinds()
        both_v2 = self.options.version == registration.version == ProtocolVersion.V2
        if not both_v2:
            pending -= {"share-move", "ip-change"}
        if not self.options.share_and_ip_end_wait:
            # What is pending when the wait ends is sent, one kind per response, without another wait.
            if pending & {"change", "client-move"}:
                registration.released |= pending
            pending &= registration.released
        return [kind for kind in self.options.pending_order if kind in pending]

    def take_kind(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        """Return the response of one pending kind and clear this kind."""
        if kind == "change":
            changes = tuple(registration.changes)
            queued = QueuedNotification(
                AsyncNotifyResponse(self.resource_changes(changes), Win32.ERROR_SUCCESS),
                makes_client_leave=any(change.new_state is InterfaceState.UNAVAILABLE for change in changes),
            )
        else:
            destination = {
                "client-move": registration.client_move,
                "share-move": registration.share_move,
                "ip-change": registration.ip_change,
            }[kind]
            queued = QueuedNotification(
                AsyncNotifyResponse(self.addresses(kind, destination or ""), Win32.ERROR_SUCCESS),
                makes_client_leave=kind == "client-move",
            )
        registration.clear_pending(kind)
        return queued

    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        """Return RESOURCE_CHANGE_NOTIFICATION: one structure for each change, oldest first."""
        return RespAsyncNotify.of(
            *(ResourceChange(self.change_type(c.new_state), c.resource_name) for c in changes)
        )

    def change_type(self, state: InterfaceState) -> ChangeType:
        """Return the ChangeType of a new state. By the text UNKNOWN gives AVAILABLE (AMB-13)."""
        if state is InterfaceState.UNAVAILABLE:
            return ChangeType.UNAVAILABLE
        if state is InterfaceState.UNKNOWN and self.options.unknown_state == "unknown":
            return ChangeType.UNKNOWN
        return ChangeType.AVAILABLE

    def addresses(self, kind: PendingKind, destination: str) -> RespAsyncNotify | None:
        """Return one IPADDR_INFO_LIST of a destination, or None for a NULL response (AMB-19)."""
        interfaces = self.destination(destination)
        if not interfaces and self.options.lost_destination == "null-response":
            return None
        entries = [entry for interface in interfaces for entry in self.entries(kind, interface)]
        return RespAsyncNotify.of(IpAddrInfoList(tuple(entries)), message_type=_MOVES[kind])

    def destination(self, name: str) -> tuple[Interface, ...]:
        """Return the interfaces to list for a destination (AMB-19)."""
        table, options = self.interfaces, self.options
        found = table.group(name) if options.destination_forms == "group" else table.destination(name)
        if options.destination_states == "available":
            found = tuple(i for i in found if i.state is InterfaceState.AVAILABLE)
        return found

    def entries(self, kind: PendingKind, interface: Interface) -> list[IpAddrInfo]:
        """Return the IPADDR_INFO entries of an interface: one for each address family (AMB-16)."""
        state = self.address_state(kind, interface.state)
        if interface.ipv4 and interface.ipv6 and self.options.dual_stack == "one-entry":
            flags = AddressFlags.V4 | AddressFlags.V6 | state
            return [IpAddrInfo(flags, interface.ipv4, interface.ipv6)]
        entries = []
        if interface.ipv4:
            entries.append(IpAddrInfo(AddressFlags.V4 | state, ipv4=interface.ipv4))
        if interface.ipv6:
            entries.append(IpAddrInfo(AddressFlags.V6 | state, ipv6=interface.ipv6))
        return entries

    def address_state(self, kind: PendingKind, state: InterfaceState) -> AddressFlags:
        """Return IPADDR_ONLINE, IPADDR_OFFLINE or 0 (AMB-15). Version 1 has neither flag (2.2.2.1)."""
        included = self.options.address_states in {"all", kind}
        if not included or self.options.version != ProtocolVersion.V2:
            return AddressFlags(0)
        return {
            InterfaceState.AVAILABLE: AddressFlags.ONLINE,
            InterfaceState.UNAVAILABLE: AddressFlags.OFFLINE,
            InterfaceState.UNKNOWN: AddressFlags(0),
        }[state]
