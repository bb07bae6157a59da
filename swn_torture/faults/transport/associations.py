"""alter_context and associations: what a connection keeps, and what connections share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.negotiation import NegotiationRefused, refused_without_reason
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import violates
from swn_torture.faults.transport.binding import Acks

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import AlterContext, BindAck
    from swn_torture.dcerpc.server.interface import Association

# alter_context


@violates("RPC-ALTER-new-context")
class AlterContextRefused(ServerConnection):
    """An alter_context that proposes contexts is a protocol error."""

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
    """The contexts of an alter_context take the place of those before it."""

    @override
    def on_alter_context(self, pdu: AlterContext) -> None:
        before = set(self.contexts)
        super().on_alter_context(pdu)
        if new := {id_: context for id_, context in self.contexts.items() if id_ not in before}:
            self.contexts = new


# Associations


@violates("RPC-ASSOC-new")
class AssociationZero(Acks):
    """The id of an association is not told."""

    @override
    def other(self, ack: BindAck) -> BindAck:
        return replace(ack, assoc_group=0)


@violates("RPC-ASSOC-new")
class OneAssociationForAll(ServerConnection):
    """All connections of a client are of one association, whether they ask for it or not."""

    @override
    def find_association(self, wanted: int) -> Association | None:
        mine = [a for a in self._associations if a.host == self._info.peer[0]]
        return mine[0] if mine and not wanted else super().find_association(wanted)


@violates("RPC-ASSOC-join")
class AssociationsNotJoined(ServerConnection):
    """No association can be joined."""

    @override
    def find_association(self, wanted: int) -> Association | None:
        if wanted:
            raise refused_without_reason("associations cannot be joined")
        return None


@violates("RPC-ASSOC-join", "RPC-CTXH-shared-in-association")
class JoiningMakesAnother(ServerConnection):
    """Who asks for an association gets another one."""

    @override
    def find_association(self, wanted: int) -> Association | None:
        super().find_association(wanted)
        return None


@violates("RPC-ASSOC-unknown")
class UnknownAssociationConfirmed(ServerConnection):
    """An association that there is not is made up under the id that was asked for."""

    @override
    def find_association(self, wanted: int) -> Association | None:
        try:
            return super().find_association(wanted)
        except NegotiationRefused:
            made = self._associations.create(self._info.peer[0])
            made.id = wanted
            return made


@violates("RPC-ASSOC-other-address")
class AssociationsOpenToAll(ServerConnection):
    """An association can be joined from any address."""

    @override
    def find_association(self, wanted: int) -> Association | None:
        known = [a for a in self._associations if a.id == wanted]
        return known[0] if known else super().find_association(wanted)
