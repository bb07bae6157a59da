"""Client moves, share moves and IP changes: which registrations, when, and what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.faults.registry import violates, with_options
from swn_torture.faults.witness.altered_responses import AlteredAddressLists, addresses_of, with_addresses
from swn_torture.server.state.names import same_name
from swn_torture.server.state.registrations import Selection
from swn_torture.server.state.responses import Responder
from swn_torture.server.state.service import WitnessService
from swn_torture.witness.constants import ProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.interfaces import Interface
    from swn_torture.server.state.methods import Reply
    from swn_torture.server.state.options import PendingKind
    from swn_torture.server.state.registrations import Registration
    from swn_torture.server.state.responses import QueuedNotification
    from swn_torture.witness.messages import RespAsyncNotify

# Which registrations


@violates("SWN-3.1.6.2-match-client")
class MoveReachesOthers(WitnessService):
    """The server sends the move of one client to all clients."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        return super().client_move(Selection(), destination)


@violates("SWN-3.1.6.2-match-client")
class MoveMatchesNamePrefix(WitnessService):
    """The server sends a move to all clients whose names begin with the name of the moved client."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        prefix = (selection.client_name or "").casefold()
        for registration in self.registrations:
            if registration.client_name.casefold().startswith(prefix):
                registration.client_move = destination
        return super().client_move(selection, destination)


@violates("SWN-3.1.6.2-match-client")
class MoveReachesOneRegistration(WitnessService):
    """Only one of several registrations of a moved client is notified."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in [*self.selected(selection)][:1]:
            registration.client_move = destination
        return self.wake()


@violates("SWN-3.1.4.4-move-both-versions")
class MoveSkipsVersion1(WitnessService):
    """The server does not notify registrations of version 1 of a client move."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(selection, lambda r: r.version == ProtocolVersion.V2):
            registration.client_move = destination
        return self.wake()


@violates("SWN-3.1.6.3-match", "SWN-3.1.4.5-share-flag-false")
class ShareMoveReachesWholeClient(WitnessService):
    """The server sends a share move to all registrations of the client, whatever their share."""

    @override
    def selected(
        self, selection: Selection, wants: Callable[[Registration], bool] = lambda _: True
    ) -> list[Registration]:
        if selection.share_name is None:
            return [*super().selected(selection, wants)]
        client = selection.client_name
        return self.registrations.where(
            lambda r: client is None or same_name(client, r.client_name, ignore_case=True)
        )


@violates("SWN-3.1.6.3-match", "SWN-3.1.4.5-share-flag-false")
class ShareMoveReachesNoShare(WitnessService):
    """The server sends a share move to the registrations of the client that have no ShareName, too."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        of_client = Selection(client_name=selection.client_name)
        for registration in self.selected(of_client, lambda r: r.version == ProtocolVersion.V2):
            if not registration.share_notifications:
                registration.share_move = destination
        return super().share_move(selection, destination)


@violates("SWN-3.1.6.3-match", "SWN-3.1.4.5-entry-sharename")
class ShareMoveReachesOtherShares(WitnessService):
    """The server sends a share move to the registrations of the client for any share."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(Selection(client_name=selection.client_name)):
            if registration.share_notifications:
                registration.share_move = destination
        return self.wake()


@violates("SWN-3.1.6.3-match")
class ShareMoveReachesOtherClients(WitnessService):
    """The server sends a share move for one client to every client registered for the share."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        return super().share_move(Selection(share_name=selection.share_name), destination)


@violates("SWN-3.1.6.3-match")
class ShareMoveReachesOneClient(WitnessService):
    """When a share moves, the server notifies only the first of the registrations for it."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in [*self.selected(selection, lambda r: r.share_notifications)][:1]:
            registration.share_move = destination
        return self.wake()


@violates("SWN-3.1.6.3-match")
class ShareMoveReachesItsOwnersClients(WitnessService):
    """When a share moves with its owner, every registration with a ShareName is notified."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        if selection.client_name is None:
            selection = Selection()
        for registration in self.selected(selection, lambda r: r.share_notifications):
            registration.share_move = destination
        return self.wake()


@violates("SWN-3.1.6.4-match", "SWN-3.1.4.5-ip-flag-false")
class IpChangeWithoutFlag(WitnessService):
    """The server sends IP changes to registrations without WITNESS_REGISTER_IP_NOTIFICATION."""

    @override
    def register_ex(self, owner: Any, request: Any) -> Any:
        response = super().register_ex(owner, request)
        registration = self.registrations.find(response.context)
        if registration is not None:
            registration.ip_notifications = True
        return response


@violates("SWN-3.1.4.5-ip-flag-true", "SWN-3.1.6.4-match")
class IpFlagIsAnotherBit(WitnessService):
    """The server reads WITNESS_REGISTER_IP_NOTIFICATION from bit 1 instead of bit 0."""

    @override
    def register_ex(self, owner: Any, request: Any) -> Any:
        response = super().register_ex(owner, request)
        registration = self.registrations.find(response.context)
        if registration is not None:
            registration.ip_notifications = bool(request.flags & 2)
        return response


@violates("SWN-3.1.6.4-all-causes", seen_in="Samba 4.22")
def ip_changes_never_sent(config: ClusterConfig) -> ClusterConfig:
    """The server never sends IP_CHANGE."""
    return with_options(config, ip_change_causes=())


class NotifiesVersion1(Responder):
    """Sends share moves and IP changes whatever the versions of server and client."""

    @override
    def deliverable(self, registration: Registration) -> list[PendingKind]:
        """Return the pending kinds that can be sent now."""
        pending = registration.pending_kinds()
        return [kind for kind in self.options.pending_order if kind in pending]


@violates(
    "SWN-3.1.4.4-share-needs-v2-client",
    "SWN-3.1.4.2-v2-no-share-notification",
    "SWN-3.1.4.2-v2-client-version",
)
class ShareMoveReachesVersion1(WitnessService):
    """The server notifies registrations of version 1 of the moves of any share."""

    responder = NotifiesVersion1

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.registrations:
            if registration.version == ProtocolVersion.V1:
                registration.share_move = destination
        return super().share_move(selection, destination)


@violates("SWN-3.1.4.4-ip-needs-v2-client", "SWN-3.1.4.2-v2-no-ip-notification")
class IpChangeReachesVersion1(WitnessService):
    """The server notifies registrations of version 1 of IP changes."""

    responder = NotifiesVersion1

    @override
    def register(self, owner: Any, request: Any) -> Any:
        response = super().register(owner, request)
        registration = self.registrations.find(response.context)
        if registration is not None:
            registration.ip_notifications = True
        return response


@violates("SWN-3.1.4.4-share-needs-v2-server", "SWN-3.1.6.3-v2-only", "SWN-2.2.2.4-share-move-v2-only")
class ShareMoveFromVersion1(WitnessService):
    """A server of version 1 sends share moves."""

    responder = NotifiesVersion1

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(Selection(client_name=selection.client_name)):
            registration.share_move = destination
        return self.wake()


@violates("SWN-3.1.4.4-ip-needs-v2-server", "SWN-3.1.6.4-v2-only", "SWN-2.2.2.4-ip-change-v2-only")
class IpChangeFromVersion1(WitnessService):
    """A server of version 1 sends IP changes."""

    responder = NotifiesVersion1

    @override
    def clients_with_ip_notifications(self) -> frozenset[str]:
        return frozenset(r.client_name for r in self.registrations)

    @override
    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        for registration in self.selected(selection):
            registration.ip_change = change
        return self.wake()


# When


@violates("SWN-3.1.6.2-wake")
class ClientMoveWakesNobody(WitnessService):
    """The server queues a client move, but a pending AsyncNotify stays pending."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(selection):
            registration.client_move = destination
        return []


@violates("SWN-3.1.6.3-wake", "SWN-3.1.4.4-wakes-on-share-move")
class ShareMovesNeverSent(WitnessService):
    """The server never sends a share move."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        return []


@violates("SWN-3.1.6.4-wake", "SWN-3.1.4.4-wakes-on-ip-change")
class IpChangesForgotten(WitnessService):
    """The server drops IP changes instead of queuing them."""

    @override
    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        return []


# What is sent


@violates("SWN-3.1.6.2-set-move", "SWN-3.1.1.3-pending-move-latest")
class FirstMoveKept(WitnessService):
    """A later client move does not replace one that is still pending."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(selection):
            registration.client_move = registration.client_move or destination
        return self.wake()


@violates("SWN-3.1.6.3-set")
class FirstShareMoveKept(WitnessService):
    """A later share move does not replace one that is still pending."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        if self.is_v2:
            for registration in self.selected(selection, lambda r: r.share_notifications):
                registration.share_move = registration.share_move or destination
        return self.wake()


@violates("SWN-3.1.6.4-set")
class FirstIpChangeKept(WitnessService):
    """A later IP change does not replace one that is still pending."""

    @override
    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        if self.is_v2:
            for registration in self.selected(selection, lambda r: r.ip_notifications):
                registration.ip_change = registration.ip_change or change
        return self.wake()


class KeepsSentNotification(Responder):
    """A server that keeps what it has sent of one kind pending.

    Attributes:
        kept_kind: the kind.
    """

    kept_kind: PendingKind

    @override
    def take_kind(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        """Build the response for one pending kind, and restore what was pending."""
        before = registration.client_move, registration.share_move, registration.ip_change
        queued = super().take_kind(registration, kind)
        if kind == self.kept_kind:
            registration.client_move, registration.share_move, registration.ip_change = before
        return queued


@violates("SWN-3.1.4.4-processed-removed-move")
class ClientMoveSentAgain(KeepsSentNotification):
    """A client move that was sent stays pending."""

    kept_kind = "client-move"


@violates("SWN-3.1.4.4-processed-removed-share")
class ShareMoveSentAgain(KeepsSentNotification):
    """A share move that was sent stays pending."""

    kept_kind = "share-move"


@violates("SWN-3.1.4.4-processed-removed-ip")
class IpChangeSentAgain(KeepsSentNotification):
    """An IP change that was sent stays pending."""

    kept_kind = "ip-change"


@violates("SWN-3.1.4.4-unreported-kept")
class OtherKindsForgotten(Responder):
    """Each response drops what is pending of the other kinds."""

    @override
    def take_kind(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        queued = super().take_kind(registration, kind)
        for other_kind in registration.pending_kinds():
            registration.clear_pending(other_kind)
        return queued


@violates("SWN-2.2.2.2-destination-addresses")
class MoveNamesAllInterfaces(Responder):
    """A move names the addresses of the whole cluster."""

    @override
    def destination(self, name: str) -> tuple[Interface, ...]:
        return tuple(self.interfaces)


@violates("SWN-2.2.2.2-destination-addresses")
class MoveNamesOthers(Responder):
    """A move names the addresses of every node except the destination."""

    @override
    def destination(self, name: str) -> tuple[Interface, ...]:
        right = super().destination(name)
        return tuple(i for i in self.interfaces if i not in right)


@violates("SWN-3.1.4.4-move-ipv6-value", "SWN-3.1.4.4-share-ipv6-value")
class MoveNamesIpv4Only(AlteredAddressLists):
    """A move omits the IPv6 addresses of its destination."""

    @override
    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        return with_addresses(
            notification, [entry for entry in addresses_of(notification) if entry.flags & 1]
        )
