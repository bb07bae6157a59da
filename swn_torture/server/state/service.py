"""One node's witness server: the methods, the timers and the events of MS-SWN 3.1, without any I/O.

The law in short::

    calls  (3.1.4)   handle(token, owner, request)            methods.py
    timers (3.1.5)   tick(), due at next_deadline()           here
    events (3.1.6)   interface_event(), client_move(),
                     share_move(), ip_change(),
                     disconnected(), rundown()                here

Each returns the replies that are due now, in the order in which they have to be sent. Whoever owns the
service sends them and calls `tick` in time.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from swn_torture.server.state.interfaces import Interface
from swn_torture.server.state.methods import ClusterView, Reply, RpcFault, WitnessMethods
from swn_torture.server.state.names import same_address, same_name
from swn_torture.server.state.registrations import Owner, PendingChange, Registration, Selection
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState, ProtocolVersion
from swn_torture.witness.messages import AsyncNotifyResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["ClusterView", "Owner", "Reply", "RpcFault", "Selection", "WitnessService"]


class WitnessService(WitnessMethods):
    """The witness server of one node."""

    _next_scan: float | None = None

    # Timers (3.1.5)

    def next_deadline(self) -> float | None:
        """When `tick` is due, by the service's clock; None while there is nothing that could expire.

        Both timers of 3.1.2 run at one period, so that this is the time of the next scan.
        """
        if not self.is_v2 or not len(self.registrations):
            self._next_scan = None
        elif self._next_scan is None:
            self._next_scan = self.clock() + self.options.scan_interval
        return self._next_scan

    def tick(self) -> list[Reply]:
        """Scan the registrations if it is time to (3.1.5.1, 3.1.5.2)."""
        due = self.next_deadline()
        now = self.clock()
        if due is None or now < due:
            return []
        self._next_scan = now + self.options.scan_interval
        replies: list[Reply] = []
        for registration in self.registrations:
            replies += self.expire_calls(registration, now)
            if self.is_unused(registration, now) or self.is_due_to_drop(registration, now):
                replies += self.remove(registration)
        return replies

    def expire_calls(self, registration: Registration, now: float) -> list[Reply]:
        """AsyncNotify Pending Timer: fail the calls that have waited longer than KeepAliveTime."""
        keepalive = registration.keepalive
        if keepalive is None:
            return []
        expired = [call for call in registration.waiting if call.since + keepalive < now]
        for call in expired:
            registration.waiting.remove(call)
        if expired and self.options.timeout_counts_as_use:
            registration.last_use = now
        return [Reply(call.token, AsyncNotifyResponse(None, Win32.ERROR_TIMEOUT)) for call in expired]

    def is_unused(self, registration: Registration, now: float) -> bool:
        """Unused Registration Timer: nothing outstanding, and idle for longer than the time-out."""
        waits = registration.is_async_notify_registered
        if registration.version == ProtocolVersion.V1:
            if self.options.v1_timers == "none":
                return False
            waits = waits and self.options.v1_timers == "unused"
        return not waits and registration.last_use + self.options.unused_timeout < now

    def is_due_to_drop(self, registration: Registration, now: float) -> bool:
        """Whether the server has decided to drop it by now (AMB-30)."""
        return registration.drop_at is not None and registration.drop_at <= now

    # Interfaces (3.1.6.1)

    def interface_event(
        self,
        group_name: str,
        state: InterfaceState,
        *,
        ipv4: IPv4Address | None = None,
        ipv6: IPv6Address | None = None,
        net_name: str | None = None,
        node: str | None = None,
    ) -> list[Reply]:
        """An interface is enabled or disabled, or a new one has come.

        Args:
            group_name: InterfaceGroupName.
            state: the state it has now.
            ipv4: its IPv4 address, if the event is about that.
            ipv6: its IPv6 address, if the event is about that.
            net_name: the network name concerned; None is ServerGlobalName.
            node: the node that hosts a new interface; None is the one of the group's name.
        """
        interface = self.interfaces.find(group_name, ipv4, ipv6)
        if interface is None:
            host = group_name if node is None else node
            self.interfaces.add(Interface(group_name, ipv4, ipv6, state, host))
            return self.wake()
        repeated = interface.state is state
        self.interfaces.set_state(interface, state)
        if repeated and self.options.repeated_state == "suppress":
            return []
        net_name = self.view.net_names.name if net_name is None else net_name
        self.queue_change(interface, (ipv4, ipv6), state, net_name)
        return self.wake()

    def queue_change(
        self,
        interface: Interface,
        addresses: tuple[IPv4Address | None, IPv6Address | None],
        state: InterfaceState,
        net_name: str,
    ) -> None:
        """Add a change entry to every registration that is concerned."""
        for registration in self.concerned(interface, addresses, net_name):
            registration.changes.append(PendingChange(self.resource_name(registration, interface), state))

    def concerned(
        self, interface: Interface, addresses: tuple[IPv4Address | None, IPv6Address | None], net_name: str
    ) -> list[Registration]:
        """The registrations that hear of a change of an interface (AMB-12, AMB-32)."""
        found = self.registrations.where(
            lambda r: self.name_matches(r, interface, net_name) and same_address(r.ip_address, *addresses)
        )
        if self.options.aliases_told_once:
            first_of = {(r.client_name.casefold(), r.owner.association): r for r in reversed(found)}
            found = [r for r in found if r in first_of.values()]
        return found

    def name_matches(self, registration: Registration, interface: Interface, net_name: str) -> bool:
        """Whether a registration is about the name of an interface event (AMB-12)."""
        match self.options.change_concerns:
            case "name-and-address":
                ours = self._registration_checks.is_our_name
                return ours(net_name) and ours(registration.net_name)
            case "group-and-address":
                return same_name(registration.net_name, interface.group_name, ignore_case=True)
            case "address":
                return True

    def resource_name(self, registration: Registration, interface: Interface) -> str:
        """ResourceName of a change (AMB-11)."""
        return {
            "group": interface.group_name,
            "net-name": registration.net_name.upper(),
            "address": registration.ip_address,
        }[self.options.resource_name]

    def address_removed(self, group_name: str, address: IPv4Address | IPv6Address) -> list[Reply]:
        """An address is gone from the configuration, and its interface if that had no other.

        The text has no such event. What is gone is not available, so that those who registered for the
        address are told just that.
        """
        ipv4 = address if isinstance(address, IPv4Address) else None
        ipv6 = address if isinstance(address, IPv6Address) else None
        interface = self.interfaces.find(group_name, ipv4, ipv6)
        if interface is not None:
            self.queue_change(interface, (ipv4, ipv6), InterfaceState.UNAVAILABLE, self.view.net_names.name)
            self.interfaces.remove_address(interface, address)
        return self.wake()

    # Moves and address changes (3.1.6.2 to 3.1.6.4)

    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        """A client shall move to another resource: an interface group, an address or a host."""
        for registration in self.selected(selection):
            registration.client_move = destination
        return self.wake()

    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        """A share is owned by another resource. Only for version 2; the selection has to name the share."""
        if self.is_v2:
            for registration in self.selected(selection, lambda r: r.share_notifications):
                registration.share_move = destination
        return self.wake()

    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        """An address was added, removed, enabled or disabled at a resource. Only for version 2."""
        if self.is_v2:
            for registration in self.selected(selection, lambda r: r.ip_notifications):
                registration.ip_change = change
        return self.wake()

    def clients_watching_addresses(self) -> list[str]:
        """The client names to which `ip_change` applies; 3.1.6.4 goes by client."""
        watching = self.registrations.where(lambda r: r.ip_notifications)
        return list(dict.fromkeys(r.client_name for r in watching))

    def selected(
        self, selection: Selection, wants: Callable[[Registration], bool] = lambda _: True
    ) -> list[Registration]:
        """The registrations that a selection means, of those that want such news."""
        return self.registrations.where(lambda r: wants(r) and selection.matches(r, self.options))

    # By order of an administrator, beyond the text

    def force_unregister(self, selection: Selection) -> list[Reply]:
        """Drop registrations as if their clients had unregistered."""
        return [reply for registration in self.selected(selection) for reply in self.remove(registration)]

    def force_response(self, selection: Selection, response: AsyncNotifyResponse) -> list[Reply]:
        """Answer the pending, or else the next, AsyncNotify of registrations with exactly this."""
        for registration in self.selected(selection):
            registration.forced.append(response)
        return self.wake()

    # Calls given up and connections gone (3.1.6.5)

    def cancel(self, token: Hashable, association: Hashable) -> bool:
        """Forget a waiting call, if it waits; its registration stays, and has just been used."""
        for call in self.waiting_lists:
            if call.token == token:
                self.waiting_lists.remove(call)
                return True
        for registration in self.registrations.of(association):
            for call in registration.waiting:
                if call.token == token:
                    registration.waiting.remove(call)
                    self.touch(registration)
                    return True
        return False

    def disconnected(self, connection: Hashable, association: Hashable) -> list[Reply]:
        """A connection of an association is gone: nobody waits for the answers of its calls (AMB-28)."""
        self.drop_calls(association, lambda owner: owner.connection == connection)
        if self.options.rundown == "association":
            return []
        mine = [r for r in self.registrations.of(association) if r.owner.connection == connection]
        return [reply for registration in mine for reply in self.remove(registration)]

    def rundown(self, association: Hashable) -> None:
        """The last connection of an association is gone, and its handles and registrations with it."""
        self._issued = {handle: owner for handle, owner in self._issued.items() if owner != association}
        self.drop_calls(association, lambda _: True)
        for registration in self.registrations.of(association):
            self.remove(registration)

    def drop_calls(self, association: Hashable, made_by: Callable[[Owner], bool]) -> None:
        """Forget the waiting calls of callers in an association."""
        for call in tuple(self.waiting_lists):
            if call.owner.association == association and made_by(call.owner):
                self.waiting_lists.remove(call)
        for registration in self.registrations.of(association):
            for call in tuple(registration.waiting):
                if made_by(call.owner):
                    registration.waiting.remove(call)
