"""The witness server of one node: methods, timers and events of MS-SWN 3.1, without I/O.

Entry points::

    calls  (3.1.4)   handle(token, owner, request)            methods.py
    timers (3.1.5)   tick(), due at next_deadline()           service.py
    events (3.1.6)   interface_event(), client_move(),
                     share_move(), ip_change(),
                     disconnected(), rundown()                service.py

Each returns the replies to send now, in order. The user of this class sends them and calls `tick` when it is
due.
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
    from collections.abc import Callable, Hashable, Iterable

__all__ = ["ClusterView", "Owner", "Reply", "RpcFault", "Selection", "WitnessService"]


class WitnessService(WitnessMethods):
    """The witness server of one node."""

    _next_scan: float | None = None

    # Timers (3.1.5)

    def next_deadline(self) -> float | None:
        """Return the time of the next scan by the service's clock; None if nothing can expire.

        Both timers of 3.1.2 have the same period, so one scan serves both.
        """
        if not self.is_v2 or not len(self.registrations):
            self._next_scan = None
        elif self._next_scan is None:
            self._next_scan = self.clock() + self.options.scan_interval
        return self._next_scan

    def tick(self) -> list[Reply]:
        """Scan the registrations if the scan is due (3.1.5.1, 3.1.5.2)."""
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
        """AsyncNotify Pending Timer: complete calls older than KeepAliveTime with ERROR_TIMEOUT (0x5B4)."""
        keepalive = registration.keepalive
        if keepalive is None:
            return []
        expired = [call for call in registration.waiting if call.since + keepalive < now]
        for call in expired:
            registration.waiting.remove(call)
        registration.cancelled += len(expired)
        if expired and self.options.timeout_counts_as_use:
            registration.last_use = now
        return [Reply(call.token, AsyncNotifyResponse(None, Win32.ERROR_TIMEOUT)) for call in expired]

    def is_unused(self, registration: Registration, now: float) -> bool:
        """Unused Registration Timer: whether no call is outstanding and LastUseTime is too old."""
        waits = registration.is_async_notify_registered
        if registration.version == ProtocolVersion.V1:
            if self.options.v1_timers == "none":
                return False
            waits = waits and self.options.v1_timers == "unused"
        return not waits and registration.last_use + self.options.unused_timeout < now

    def is_due_to_drop(self, registration: Registration, now: float) -> bool:
        """Whether the time to remove the registration has come (AMB-30)."""
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
        """Process an event: an interface is enabled or disabled, or a new interface exists.

        Args:
            group_name: InterfaceGroupName.
            state: the new state.
            ipv4: the IPv4 address of the event, if any.
            ipv6: the IPv6 address of the event, if any.
            net_name: the network name of the event; None is ServerGlobalName.
            node: the node that hosts a new interface; None is the node named as the group.
        """
        interface = self.interfaces.find(group_name, ipv4, ipv6)
        if interface is None:
            host = group_name if node is None else node
            self.interfaces.add(Interface(group_name, ipv4, ipv6, state, host, net_name or ""))
            return self.wake()
        repeated = interface.state is state
        self.interfaces.set_state(interface, state)
        if repeated and self.options.repeated_state == "suppress":
            return []
        net_name = net_name or interface.net_name or self.view.net_names.name
        self.queue_change(interface, (ipv4, ipv6), state, net_name)
        return self.wake()

    def queue_change(
        self,
        interface: Interface,
        addresses: tuple[IPv4Address | None, IPv6Address | None],
        state: InterfaceState,
        net_name: str,
    ) -> None:
        """Add a change entry to every affected registration."""
        made: dict[str, PendingChange] = {}
        for registration in self.first_woken(self.affected(interface, addresses, net_name)):
            name = self.resource_name(registration, interface)
            if name not in made:
                made[name] = PendingChange(name, state)
            registration.changes.append(made[name])

    def affected(
        self, interface: Interface, addresses: tuple[IPv4Address | None, IPv6Address | None], net_name: str
    ) -> Iterable[Registration]:
        """Yield the registrations to notify of a change of an interface (AMB-12, AMB-32)."""
        # Thousands of clients register for a few names and addresses.
        known: dict[tuple[str, str], bool] = {}
        clients: set[tuple[str, Hashable]] = set()
        for registration in self.registrations:
            key = registration.net_name, registration.ip_address
            if key not in known:
                named = self.name_matches(registration, interface, net_name)
                known[key] = named and same_address(registration.ip_address, *addresses)
            if not known[key]:
                continue
            if self.options.aliases_notified_once:
                client = registration.client_name.casefold(), registration.owner.association
                if client in clients:
                    continue
                clients.add(client)
            yield registration

    def name_matches(self, registration: Registration, interface: Interface, net_name: str) -> bool:
        """Whether the NetName of a registration matches an interface event (AMB-12)."""
        match self.options.change_concerns:
            case "name-and-address":
                is_our_name = self.checks.is_our_name
                ours = is_our_name(net_name) and is_our_name(registration.net_name)
                return ours and self.view.net_names.are_the_same(net_name, registration.net_name)
            case "group-and-address":
                return same_name(registration.net_name, interface.group_name, ignore_case=True)
            case "address":
                return True

    def resource_name(self, registration: Registration, interface: Interface) -> str:
        """Return the ResourceName of a change (AMB-11)."""
        match self.options.resource_name:
            case "group":
                return interface.group_name
            case "net-name":
                return registration.net_name.upper()
            case "address":
                return registration.ip_address

    def address_removed(self, group_name: str, address: IPv4Address | IPv6Address) -> list[Reply]:
        """Process the removal of an address; its last address removes the interface.

        MS-SWN has no event for it. The registrations for the address are notified of UNAVAILABLE.
        """
        ipv4 = address if isinstance(address, IPv4Address) else None
        ipv6 = address if isinstance(address, IPv6Address) else None
        interface = self.interfaces.find(group_name, ipv4, ipv6)
        if interface is not None:
            net_name = interface.net_name or self.view.net_names.name
            self.queue_change(interface, (ipv4, ipv6), InterfaceState.UNAVAILABLE, net_name)
            self.interfaces.remove_address(interface, address)
        return self.wake()

    # Moves and address changes (3.1.6.2 to 3.1.6.4)

    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        """Process an event: a client is to move to an interface group, an address or a host (3.1.6.2)."""
        for registration in self.first_woken(self.selected(selection)):
            registration.client_move = destination
        return self.wake()

    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        """Process an event: a share moved to another resource (3.1.6.3). Ignored in version 1.

        The selection must contain the share name.
        """
        if self.is_v2:
            wanted = self.selected(selection, lambda r: r.share_notifications)
            for registration in self.first_woken(wanted):
                registration.share_move = destination
        return self.wake()

    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        """Process an event: a resource's address was added, removed, enabled or disabled (3.1.6.4).

        Ignored in version 1.
        """
        if self.is_v2:
            wanted = self.selected(selection, lambda r: r.ip_notifications)
            for registration in self.first_woken(wanted):
                registration.ip_change = change
        return self.wake()

    def clients_with_ip_notifications(self) -> frozenset[str]:
        """Return the names of the clients with IP notifications. 3.1.6.4 selects by client name."""
        return frozenset(r.client_name for r in self.registrations.where(lambda r: r.ip_notifications))

    def selected(
        self, selection: Selection, wants: Callable[[Registration], bool] = lambda _: True
    ) -> Iterable[Registration]:
        """Yield the registrations that match a selection and for which `wants` returns True."""
        return (r for r in self.registrations if wants(r) and selection.matches(r, self.options))

    # Administration, not in MS-SWN

    def force_unregister(self, selection: Selection) -> list[Reply]:
        """Remove registrations as if their clients had called UnRegister."""
        return [reply for registration in self.selected(selection) for reply in self.remove(registration)]

    def force_response(self, selection: Selection, response: AsyncNotifyResponse) -> list[Reply]:
        """Complete the waiting or the next AsyncNotify of registrations with this response."""
        for registration in self.selected(selection):
            registration.forced.append(response)
        return self.wake()

    # Cancelled calls and closed connections (3.1.6.5)

    def cancel(self, token: Hashable, association: Hashable) -> bool:
        """Remove a waiting call without a reply. Its registration stays, and LastUseTime is updated.

        Returns:
            False if no call with this token waits.
        """
        for call in self.waiting_lists:
            if call.token == token:
                self.waiting_lists.remove(call)
                return True
        for registration in self.registrations.of(association):
            for call in registration.waiting:
                if call.token == token:
                    registration.waiting.remove(call)
                    registration.cancelled += 1
                    self.update_last_use(registration)
                    return True
        return False

    def disconnected(self, connection: Hashable, association: Hashable) -> list[Reply]:
        """Process the end of a connection: remove its waiting calls (AMB-28)."""
        self.drop_calls(association, lambda owner: owner.connection == connection)
        if self.options.rundown == "association":
            return []
        mine = [r for r in self.registrations.of(association) if r.owner.connection == connection]
        return [reply for registration in mine for reply in self.remove(registration)]

    def rundown(self, association: Hashable) -> None:
        """Process the end of the last connection of an association: remove its handles and registrations."""
        self._issued = {handle: owner for handle, owner in self._issued.items() if owner != association}
        self.drop_calls(association, lambda _: True)
        for registration in self.registrations.of(association):
            self.remove(registration)

    def drop_calls(self, association: Hashable, made_by: Callable[[Owner], bool]) -> None:
        """Remove the waiting calls of an association for whose callers `made_by` returns True."""
        for call in tuple(self.waiting_lists):
            if call.owner.association == association and made_by(call.owner):
                self.waiting_lists.remove(call)
        for registration in self.registrations.of(association):
            for call in tuple(registration.waiting):
                if made_by(call.owner):
                    registration.waiting.remove(call)
                    registration.cancelled += 1
