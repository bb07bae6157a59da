"""Client moves, share moves and IP changes: who is told, of what, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.faults.registry import violates, with_options
from swn_torture.faults.witness.answers import Lists, entries_of, with_entries
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

# Who


@violates("SWN-3.1.6.2-match-client")
class MoveReachesOthers(WitnessService):
    """A client is moved, and all others with it."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        return super().client_move(Selection(), destination)


@violates("SWN-3.1.6.2-match-client")
class MoveReachesNamesakes(WitnessService):
    """A move is told to all clients whose names begin like that of the client."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        prefix = (selection.client_name or "").casefold()
        for registration in self.registrations:
            if registration.client_name.casefold().startswith(prefix):
                registration.client_move = destination
        return super().client_move(selection, destination)


@violates("SWN-3.1.6.2-match-client")
class MoveReachesOneRegistration(WitnessService):
    """Of several registrations of a client only one is told to move."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(selection)[:1]:
            registration.client_move = destination
        return self.wake()


@violates("SWN-3.1.4.4-move-both-versions")
class MoveSkipsVersion1(WitnessService):
    """Registrations of version 1 are not told to move."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(selection, lambda r: r.version == ProtocolVersion.V2):
            registration.client_move = destination
        return self.wake()


@violates("SWN-3.1.6.3-match", "SWN-3.1.4.5-share-flag-false")
class ShareMoveReachesWholeClient(WitnessService):
    """A share move is told to all registrations of the client, whatever their share."""

    @override
    def selected(
        self, selection: Selection, wants: Callable[[Registration], bool] = lambda _: True
    ) -> list[Registration]:
        if selection.share_name is None:
            return super().selected(selection, wants)
        client = selection.client_name
        return self.registrations.where(
            lambda r: client is None or same_name(client, r.client_name, ignore_case=True)
        )


@violates("SWN-3.1.6.3-match")
class ShareMoveReachesOtherClients(WitnessService):
    """A share move that names a client is told to all who watch the share."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        return super().share_move(Selection(share_name=selection.share_name), destination)


@violates("SWN-3.1.6.4-match", "SWN-3.1.4.5-ip-flag-false")
class IpChangeWithoutBeingAsked(WitnessService):
    """IP changes are told to those who have not asked for them, too."""

    @override
    def register_ex(self, owner: Any, request: Any) -> Any:
        response = super().register_ex(owner, request)
        registration = self.registrations.find(response.context)
        if registration is not None:
            registration.ip_notifications = True
        return response


@violates("SWN-3.1.4.5-ip-flag-true", "SWN-3.1.6.4-match")
class IpFlagIsAnotherBit(WitnessService):
    """WITNESS_REGISTER_IP_NOTIFICATION is looked for in bit 1 instead of bit 0."""

    @override
    def register_ex(self, owner: Any, request: Any) -> Any:
        response = super().register_ex(owner, request)
        registration = self.registrations.find(response.context)
        if registration is not None:
            registration.ip_notifications = bool(request.flags & 2)
        return response


@violates("SWN-3.1.6.4-all-causes")
def ip_changes_never_told(config: ClusterConfig) -> ClusterConfig:
    """No change of an address is told as IP_CHANGE, as with Samba."""
    return with_options(config, ip_change_causes=())


class TellsVersion1(Responder):
    """Tells share moves and IP changes whatever the versions of server and client."""

    @override
    def deliverable(self, registration: Registration) -> list[PendingKind]:
        """The pending kinds that may be told now."""
        pending = registration.pending_kinds()
        return [kind for kind in self.options.pending_order if kind in pending]


@violates(
    "SWN-3.1.4.4-share-needs-v2-client",
    "SWN-3.1.4.2-v2-no-share-notification",
    "SWN-3.1.4.2-v2-client-version",
)
class ShareMoveReachesVersion1(WitnessService):
    """A registration of version 1 is told of share moves of any share."""

    responder = TellsVersion1

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.registrations:
            if registration.version == ProtocolVersion.V1:
                registration.share_move = destination
        return super().share_move(selection, destination)


@violates("SWN-3.1.4.4-ip-needs-v2-client", "SWN-3.1.4.2-v2-no-ip-notification")
class IpChangeReachesVersion1(WitnessService):
    """A registration of version 1 is told of changed addresses."""

    responder = TellsVersion1

    @override
    def register(self, owner: Any, request: Any) -> Any:
        response = super().register(owner, request)
        registration = self.registrations.find(response.context)
        if registration is not None:
            registration.ip_notifications = True
        return response


@violates("SWN-3.1.4.4-share-needs-v2-server", "SWN-3.1.6.3-v2-only", "SWN-2.2.2.4-share-move-v2-only")
class ShareMoveFromVersion1(WitnessService):
    """A server of version 1 tells share moves."""

    responder = TellsVersion1

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(Selection(client_name=selection.client_name)):
            registration.share_move = destination
        return self.wake()


@violates("SWN-3.1.4.4-ip-needs-v2-server", "SWN-3.1.6.4-v2-only", "SWN-2.2.2.4-ip-change-v2-only")
class IpChangeFromVersion1(WitnessService):
    """A server of version 1 tells changed addresses."""

    responder = TellsVersion1

    @override
    def clients_watching_addresses(self) -> list[str]:
        return list(dict.fromkeys(r.client_name for r in self.registrations))

    @override
    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        for registration in self.selected(selection):
            registration.ip_change = change
        return self.wake()


# When


@violates("SWN-3.1.6.2-wake")
class ClientMoveWakesNobody(WitnessService):
    """A move is noted, but a call that is waiting goes on waiting."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(selection):
            registration.client_move = destination
        return []


@violates("SWN-3.1.6.3-wake", "SWN-3.1.4.4-wakes-on-share-move", "SWN-3.1.4.4-share-type")
class ShareMovesNeverTold(WitnessService):
    """A share move is noted, and never told."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        return []


@violates("SWN-3.1.6.4-wake", "SWN-3.1.4.4-wakes-on-ip-change")
class IpChangesForgotten(WitnessService):
    """A changed address is noted, and never told."""

    @override
    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        return []


# What


@violates("SWN-3.1.6.2-set-move", "SWN-3.1.1.3-pending-move-latest")
class FirstMoveKept(WitnessService):
    """A move that has not been told is not replaced by a later one."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        for registration in self.selected(selection):
            registration.client_move = registration.client_move or destination
        return self.wake()


@violates("SWN-3.1.6.3-set")
class FirstShareMoveKept(WitnessService):
    """A share move that has not been told is not replaced by a later one."""

    @override
    def share_move(self, selection: Selection, destination: str) -> list[Reply]:
        if self.is_v2:
            for registration in self.selected(selection, lambda r: r.share_notifications):
                registration.share_move = registration.share_move or destination
        return self.wake()


@violates("SWN-3.1.6.4-set")
class FirstIpChangeKept(WitnessService):
    """An IP change that has not been told is not replaced by a later one."""

    @override
    def ip_change(self, selection: Selection, change: str) -> list[Reply]:
        if self.is_v2:
            for registration in self.selected(selection, lambda r: r.ip_notifications):
                registration.ip_change = registration.ip_change or change
        return self.wake()


class KeepsTold(Responder):
    """A server that keeps what it has told of one kind."""

    kept: PendingKind

    @override
    def tell(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        """The response for one pending kind."""
        before = registration.client_move, registration.share_move, registration.ip_change
        queued = super().tell(registration, kind)
        if kind == self.kept:
            registration.client_move, registration.share_move, registration.ip_change = before
        return queued


@violates("SWN-3.1.4.4-processed-removed-move")
class ClientMoveToldAgain(KeepsTold):
    """A move that was told stays pending."""

    kept = "client-move"


@violates("SWN-3.1.4.4-processed-removed-share")
class ShareMoveToldAgain(KeepsTold):
    """A share move that was told stays pending."""

    kept = "share-move"


@violates("SWN-3.1.4.4-processed-removed-ip")
class IpChangeToldAgain(KeepsTold):
    """An IP change that was told stays pending."""

    kept = "ip-change"


@violates("SWN-3.1.4.4-unreported-kept")
class OtherKindsForgotten(Responder):
    """What is pending of other kinds is forgotten with each response."""

    @override
    def tell(self, registration: Registration, kind: PendingKind) -> QueuedNotification:
        queued = super().tell(registration, kind)
        for other in registration.pending_kinds():
            registration.forget(other)
        return queued


@violates("SWN-2.2.2.2-destination-addresses")
class MoveNamesAllInterfaces(Responder):
    """A move names the addresses of the whole cluster."""

    @override
    def destination(self, name: str) -> tuple[Interface, ...]:
        return tuple(self.interfaces)


@violates("SWN-2.2.2.2-destination-addresses")
class MoveNamesOthers(Responder):
    """A move names the addresses of every node but the destination."""

    @override
    def destination(self, name: str) -> tuple[Interface, ...]:
        wanted = super().destination(name)
        return tuple(i for i in self.interfaces if i not in wanted)


@violates("SWN-3.1.4.4-move-ipv6-value", "SWN-3.1.4.4-share-ipv6-value")
class MoveNamesIpv4Only(Lists):
    """The IPv6 addresses of a destination are left out."""

    @override
    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        return with_entries(notified, [entry for entry in entries_of(notified) if entry.flags & 1])
