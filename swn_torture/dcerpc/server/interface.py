"""What a server offers and what it is handed: where the transport meets the interfaces above it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from swn_torture.dcerpc.errors import LocalProtocolError
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.status import FORBIDDEN_STATUSES, describe_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as the security context of the request tells.

    Attributes:
        principal: the account as the acceptor names it; ``""`` for an anonymous logon, ``None`` without one.
        auth_type: the security provider; ``AuthType.NONE`` for a request outside any security context.
        level: the authentication level on the wire; ``AuthLevel.NONE`` outside any security context.
    """

    principal: str | None = None
    auth_type: int = AuthType.NONE
    level: int = AuthLevel.NONE


@dataclass(eq=False, slots=True)
class Association:
    """A set of connections from one client to one server (MS-RPCE 3.3.1.1.1); C706 says association group.

    Compared and hashed by identity. Context handles belong to it and are run down with its last connection.

    Attributes:
        id: never zero, never used twice by one server.
        host: the client's address; only connections from there may join.
        connections: those that are open now.
    """

    id: int
    host: str
    connections: set[ConnectionInfo] = field(default_factory=set)

    def __str__(self) -> str:
        return f"association 0x{self.id:08X} of {self.host}"


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """One transport connection as a server sees it.

    Attributes:
        id: counted from 1 by each server.
        peer: the client's (host, port).
        local: our (host, port).
    """

    id: int
    peer: tuple[str, int]
    local: tuple[str, int]


class ServerCall:
    """One request on its way to an answer, which may be given at once, minutes later, or never.

    Attributes:
        opnum: operation number.
        stub: the in parameters, reassembled, decrypted, without a verification trailer. Octets that
            padded the stub may follow the parameters (MS-RPCE 2.2.2.13): an interface ignores them.
        abstract_syntax: the interface as the client named it (its minor version may be lower than ours).
        syntax: the transfer syntax of the presentation context.
        byte_order: of the stub.
        caller: who asks.
        association: whose context handles are valid here.
        connection: over which the request came.
        call_id: the client's number for it.
        context_id: presentation context id.
        object_uuid: the object named in the request, or ``None``.
        cancelled: a co_cancel came for it.
    """

    def __init__(
        self,
        *,
        opnum: int,
        stub: bytes,
        abstract_syntax: SyntaxId,
        syntax: SyntaxId,
        byte_order: ByteOrder,
        caller: Caller,
        association: Association,
        connection: ConnectionInfo,
        call_id: int,
        answer: Callable[[ServerCall, bytes | None, int, bool], None],
        context_id: int = 0,
        object_uuid: UUID | None = None,
    ) -> None:
        self.opnum = opnum
        self.stub = stub
        self.abstract_syntax = abstract_syntax
        self.syntax = syntax
        self.byte_order = byte_order
        self.caller = caller
        self.association = association
        self.connection = connection
        self.call_id = call_id
        self.context_id = context_id
        self.object_uuid = object_uuid
        self.cancelled = False
        self.answered = False
        self._answer = answer

    def reply(self, stub: bytes) -> None:
        """Answer with out parameters in our byte order (``ServerOptions.reply_byte_order``).

        Nothing is sent when the client has orphaned the call or its connection is gone.

        Raises:
            LocalProtocolError: the call is answered already.
        """
        self._finish(stub, 0, did_not_execute=False)

    def fault(self, status: int, *, did_not_execute: bool = False) -> None:
        """Answer with a fault PDU (C706 12.6.4.7).

        Args:
            status: 32 bits, see :class:`~swn_torture.dcerpc.status.FaultStatus`.
            did_not_execute: set PFC_DID_NOT_EXECUTE: the call had no effect and may be made again.

        Raises:
            LocalProtocolError: the call is answered already, or no server may send this status
                (MS-RPCE 3.3.3.5.1).
        """
        if status in FORBIDDEN_STATUSES:
            raise LocalProtocolError(f"a server must not send fault status {describe_status(status)}")
        self._finish(None, status, did_not_execute=did_not_execute)

    def _finish(self, stub: bytes | None, status: int, *, did_not_execute: bool) -> None:
        if self.answered:
            raise LocalProtocolError(f"call {self.call_id} of opnum {self.opnum} is answered already")
        self.answered = True
        self._answer(self, stub, status, did_not_execute)

    def __repr__(self) -> str:
        state = "answered" if self.answered else "pending"
        return f"<ServerCall opnum={self.opnum} call_id={self.call_id} {state}>"


class ServerInterface(Protocol):
    """What an :class:`~swn_torture.dcerpc.server.server.RpcServer` serves. Inherit to get the empty reactions.

    All methods run in the server's event loop and must not block.

    Attributes:
        syntax: the interface with its highest minor version.
        transfer_syntaxes: the transfer syntaxes spoken, in the order of preference.
    """

    syntax: SyntaxId
    transfer_syntaxes: Sequence[SyntaxId]

    def call(self, call: ServerCall) -> None:
        """Handle one request: answer it now, or keep it and answer later.

        An operation number out of range is the interface's to refuse, by ``nca_s_op_rng_error`` with
        ``did_not_execute``.
        """
        ...

    def end_of_parameters(self, opnum: int, stub: bytes, syntax: SyntaxId, byte_order: ByteOrder) -> int:
        """Tell how many octets of a stub the in parameters take; 0 if that cannot be told.

        Only asked when the octets behind them matter, because a verification trailer may be among them.
        """
        del opnum, stub, syntax, byte_order
        return 0

    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        """Hear that the client wants a pending call to end (C706 12.6.4.6, 12.6.4.8).

        After a co_cancel the call may be answered at once (``nca_s_fault_cancel``), later, or as if
        nothing had happened. After an orphaned PDU nobody waits any more: an answer goes nowhere. The
        same is heard, as an orphan, for each call that is pending when its connection is lost.
        """
        del call, orphaned

    def disconnected(self, connection: ConnectionInfo, association: Association) -> None:
        """Hear that a connection of an association has gone; :meth:`rundown` follows if it was the last."""
        del connection, association

    def rundown(self, association: Association) -> None:
        """Release the context handles of an association without connections (MS-RPCE 3.3.3.7.1)."""
        del association


class AssociationTable:
    """All associations of one server (MS-RPCE 3.3.1.1.5)."""

    def __init__(self, first_id: int = 0x00010001) -> None:
        self._ids = itertools.count(first_id)
        self._associations: dict[int, Association] = {}

    def create(self, host: str) -> Association:
        """Open a new, empty association of the client at ``host``."""
        association = Association(next(self._ids), host)
        self._associations[association.id] = association
        return association

    def find(self, association_id: int, host: str) -> Association | None:
        """Return the association a client at ``host`` may join, if there is one (MS-RPCE 3.3.1.5.7)."""
        association = self._associations.get(association_id)
        return association if association is not None and association.host == host else None

    def leave(self, association: Association, connection: ConnectionInfo) -> bool:
        """Take a connection out; ``True`` when it was the last and the association is no more."""
        association.connections.discard(connection)
        if association.connections:
            return False
        self._associations.pop(association.id, None)
        return True

    def __len__(self) -> int:
        return len(self._associations)

    def __iter__(self) -> Iterator[Association]:
        return iter(tuple(self._associations.values()))
