"""What the transport and an RPC interface exchange: interfaces, calls, callers, associations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from swn_torture.dcerpc.errors import LocalProtocolError
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.status import FORBIDDEN_STATUSES, describe_status
from swn_torture.values import value_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId


@value_class(frozen=True, slots=True)
class Caller:
    """The caller, as the security context of the request identifies it.

    Attributes:
        principal: the account name from the acceptor; ``""`` for an anonymous logon, ``None`` without a
            logon.
        auth_type: the security provider; ``AuthType.NONE`` without a security context.
        level: the authentication level in the sec_trailer; ``AuthLevel.NONE`` without a security context.
    """

    principal: str | None = None
    auth_type: int = AuthType.NONE
    level: int = AuthLevel.NONE


@dataclass(eq=False, slots=True)
class Association:
    """An association: connections from one client to one server (MS-RPCE 3.3.1.1.1).

    C706 calls it an association group. Associations are compared and hashed by identity. A context handle
    belongs to an association. The server runs it down when the last connection of the association ends.

    Attributes:
        id: not zero; a server does not use it twice.
        host: the client's address. Only connections from this address may join.
        connections: those that are open now.
    """

    id: int
    host: str
    connections: set[ConnectionInfo] = field(default_factory=set)

    def __str__(self) -> str:
        return f"association 0x{self.id:08X} of {self.host}"


@value_class(frozen=True, slots=True)
class ConnectionInfo:
    """One transport connection as a server sees it.

    Attributes:
        id: its number, from 1, different for all connections of a server.
        peer: (host, port) of the client.
        local: (host, port) of the server.
    """

    id: int
    peer: tuple[str, int]
    local: tuple[str, int]


class AnswerWatcher(Protocol):
    """Observes the answers of interfaces."""

    def answered(self, call: ServerCall, stub: bytes | None, status: int) -> None:
        """An interface answers a call: with stub data, or (``None``) with a fault of this status."""


class ServerCall:
    """A call that a server received. The interface answers it at once, later, or never.

    Attributes:
        opnum: operation number.
        stub: the in parameters, assembled and decrypted, without a verification trailer. Padding octets may
            follow the parameters (MS-RPCE 2.2.2.13); an interface ignores them.
        abstract_syntax: the interface as the client proposed it. Its minor version may be lower than the
            server's.
        syntax: the transfer syntax of the presentation context.
        byte_order: of the stub data.
        caller: who calls.
        association: the association of the connection; its context handles are valid in this call.
        connection: the connection on which the request arrived.
        call_id: of the request.
        context_id: presentation context id.
        object_uuid: the object in the request, or ``None``.
        cancelled: a co_cancel arrived for the call.
        answered: the interface has answered the call.
        problem: what is wrong with the request, if the interface said so with its fault.
        watcher: gets the answer of the interface, too; ``None`` for no watcher.
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
        self.problem = ""
        self.watcher: AnswerWatcher | None = None
        self._answer = answer

    def reply(self, stub: bytes) -> None:
        """Answer with a response.

        Nothing is sent when the client has orphaned the call or the connection has ended.

        Args:
            stub: the out parameters, in the byte order of ``ServerOptions.reply_byte_order``.

        Raises:
            LocalProtocolError: the call is answered already.
        """
        self._finish(stub, 0, did_not_execute=False)

    def fault(self, status: int, *, did_not_execute: bool = False, problem: str = "") -> None:
        """Answer with a fault PDU (C706 12.6.4.7).

        Args:
            status: 32 bits, see :class:`~swn_torture.dcerpc.status.FaultStatus`.
            did_not_execute: set PFC_DID_NOT_EXECUTE: the call had no effect, and the client may repeat it.
            problem: what is wrong with the request. A fault has no place for it; the owner of the connection
                gets it as a :class:`~swn_torture.dcerpc.server.events.ProtocolViolation`.

        Raises:
            LocalProtocolError: the call is answered already, or a server must not send this status
                (MS-RPCE 3.3.3.5.1).
        """
        if status in FORBIDDEN_STATUSES:
            raise LocalProtocolError(f"a server must not send fault status {describe_status(status)}")
        self.problem = problem
        self._finish(None, status, did_not_execute=did_not_execute)

    def _finish(self, stub: bytes | None, status: int, *, did_not_execute: bool) -> None:
        if self.answered:
            raise LocalProtocolError(f"call {self.call_id} of opnum {self.opnum} is answered already")
        self.answered = True
        if self.watcher is not None:
            self.watcher.answered(self, stub, status)
        self._answer(self, stub, status, did_not_execute)

    def __repr__(self) -> str:
        state = "answered" if self.answered else "pending"
        return f"<ServerCall opnum={self.opnum} call_id={self.call_id} {state}>"


class ServerInterface(Protocol):
    """An RPC interface that an :class:`~swn_torture.dcerpc.server.server.RpcServer` serves.

    All methods run in the event loop of the server and must not block. A class that inherits gets methods
    that do nothing, except :meth:`call`.

    Attributes:
        syntax: the interface with its highest minor version.
        transfer_syntaxes: the supported transfer syntaxes, in the order of preference.
    """

    syntax: SyntaxId
    transfer_syntaxes: Sequence[SyntaxId]

    def call(self, call: ServerCall) -> None:
        """Process a call: answer it now, or keep it and answer it later.

        The interface answers an unknown opnum with the fault ``nca_s_op_rng_error`` and ``did_not_execute``.
        """
        ...

    def end_of_parameters(self, opnum: int, stub: bytes, syntax: SyntaxId, byte_order: ByteOrder) -> int:
        """Return how many octets of the stub data the in parameters take, 0 if that is not known.

        The server calls this only when a verification trailer may follow the parameters.
        """
        del opnum, stub, syntax, byte_order
        return 0

    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        """React to a cancelled or orphaned call (C706 12.6.4.6, 12.6.4.8).

        After a co_cancel the interface may answer the call at once with the fault ``nca_s_fault_cancel``,
        answer it later, or ignore the cancel. After an orphaned PDU an answer is not sent. The server calls
        this method with ``orphaned`` for each call that is pending when its connection ends, too.
        """
        del call, orphaned

    def disconnected(self, connection: ConnectionInfo, association: Association) -> None:
        """React to the end of a connection. :meth:`rundown` follows if it was the last of its association."""
        del connection, association

    def rundown(self, association: Association) -> None:
        """Release the context handles of an association that has no connection left (MS-RPCE 3.3.3.7.1)."""
        del association


class AssociationTable:
    """All associations of one server (MS-RPCE 3.3.1.1.5).

    Args:
        first_id: the id of the first association; each further id is one larger.
    """

    def __init__(self, first_id: int = 0x00010001) -> None:
        self._ids = itertools.count(first_id)
        self._associations: dict[int, Association] = {}

    def create(self, host: str) -> Association:
        """Create an association without connections for the client at ``host``."""
        association = Association(next(self._ids), host)
        self._associations[association.id] = association
        return association

    def find(self, association_id: int, host: str) -> Association | None:
        """Return the association if a client at ``host`` may join it, else ``None`` (MS-RPCE 3.3.1.5.7)."""
        association = self._associations.get(association_id)
        return association if association is not None and association.host == host else None

    def leave(self, association: Association, connection: ConnectionInfo) -> bool:
        """Remove a connection. Return ``True`` if it was the last one: then the association is removed."""
        association.connections.discard(connection)
        if association.connections:
            return False
        self._associations.pop(association.id, None)
        return True

    def __len__(self) -> int:
        return len(self._associations)

    def __iter__(self) -> Iterator[Association]:
        return iter(tuple(self._associations.values()))
