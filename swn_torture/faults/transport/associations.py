"""alter_context, and association groups that connections share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.negotiation import NegotiationRefused, refused_without_reason
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import violates
from swn_torture.faults.transport.binding import AlteredBindAck

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import AlterContext, BindAck
    from swn_torture.dcerpc.server.interface import Association

# alter_context


@violates("RPC-ALTER-new-context")
class AlterContextRefused(ServerConnection):
    """The server answers an alter_context that proposes contexts with a protocol error."""

    @override
    def on_alter_context(self, pdu: AlterContext) -> None:
        if pdu.trailer is None:
            self.send_fault(pdu.call_id, FaultStatus.NCA_S_PROTO_ERROR)
            self.closing = True
        else:
            super().on_alter_context(pdu)


@violates("RPC-ALTER-new-context")
class AlterContextMakesNothing(ServerConnection):
    """A context that alter_context has accepted cannot be used."""

    @override
    def on_alter_context(self, pdu: AlterContext) -> None:
        before = dict(self.contexts)
        super().on_alter_context(pdu)
        self.contexts = before


@violates("RPC-ALTER-new-context")
class AlterContextReplaces(ServerConnection):
    """The contexts of an alter_context replace the earlier ones."""

    @override
    def on_alter_context(self, pdu: AlterContext) -> None:
        before = set(self.contexts)
        super().on_alter_context(pdu)
        if new := {id_: context for id_, context in self.contexts.items() if id_ not in before}:
            self.contexts = new


# Association groups


@violates("RPC-ASSOC-new")
class AssociationZero(AlteredBindAck):
    """The association group id in bind_ack is 0."""

    @override
    def alter_bind_ack(self, ack: BindAck) -> BindAck:
        return replace(ack, assoc_group=0)


@violates("RPC-ASSOC-new")
class OneAssociationForAll(ServerConnection):
    """All connections from one address get the same association, even if they ask for a new one."""

    @override
    def find_association(self, assoc_group_id: int) -> Association | None:
        mine = [a for a in self._associations if a.host == self._info.peer[0]]
        return mine[0] if mine and not assoc_group_id else super().find_association(assoc_group_id)


@violates("RPC-ASSOC-join")
class AssociationsNotJoined(ServerConnection):
    """The server rejects a bind that asks for an existing association group."""

    @override
    def find_association(self, assoc_group_id: int) -> Association | None:
        if assoc_group_id:
            raise refused_without_reason("associations cannot be joined")
        return None


@violates("RPC-ASSOC-join", "RPC-CTXH-shared-in-association")
class JoiningMakesAnother(ServerConnection):
    """A bind that asks for an existing association group gets a new one."""

    @override
    def find_association(self, assoc_group_id: int) -> Association | None:
        super().find_association(assoc_group_id)
        return None


@violates("RPC-ASSOC-unknown")
class UnknownAssociationConfirmed(ServerConnection):
    """The server creates an unknown association group under the id that the client asks for."""

    @override
    def find_association(self, assoc_group_id: int) -> Association | None:
        try:
            return super().find_association(assoc_group_id)
        except NegotiationRefused:
            made = self._associations.create(self._info.peer[0])
            made.id = assoc_group_id
            return made


@violates("RPC-ASSOC-other-address", seen_in="Samba 4.22")
class AssociationsOpenToAll(ServerConnection):
    """A connection from any address can join an association group."""

    @override
    def find_association(self, assoc_group_id: int) -> Association | None:
        known = [a for a in self._associations if a.id == assoc_group_id]
        return known[0] if known else super().find_association(assoc_group_id)
