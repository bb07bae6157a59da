"""The server's end of a connection while it binds: bind, alter_context and auth3, without I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.connection import Connection
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import (
    AlterContext,
    AlterContextResp,
    BindAck,
    BindNak,
    BindNakReason,
    describe_reason,
)
from swn_torture.dcerpc.pdu.header import (
    CONC_MPX,
    HEADER_SIZE,
    LITTLE_ENDIAN,
    SUPPORT_HEADER_SIGN,
    WHOLE,
    Header,
    PduType,
    PfcFlags,
)
from swn_torture.dcerpc.pdu.pdus import FaultPdu
from swn_torture.dcerpc.server.authentication import Authenticator
from swn_torture.dcerpc.server.events import ContextsNegotiated, Joined, LoggedOn, ProtocolViolation
from swn_torture.dcerpc.server.negotiation import NegotiationRefused, negotiate, refused_without_reason
from swn_torture.dcerpc.server.refusal import ASSOC_GROUP, CONTEXT_LIST, Refusal, Where, refusal
from swn_torture.dcerpc.status import FaultStatus, describe_status
from swn_torture.stubdata.syntax import SECURITY_CONTEXT_MULTIPLEXING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swn_torture.dcerpc.pdu.bind import Bind, ContextResult
    from swn_torture.dcerpc.pdu.pdus import Auth3
    from swn_torture.dcerpc.server.authentication import Leg, SecurityProvider
    from swn_torture.dcerpc.server.events import ServerEvent
    from swn_torture.dcerpc.server.interface import (
        Association,
        AssociationTable,
        ConnectionInfo,
        ServerInterface,
    )
    from swn_torture.dcerpc.server.negotiation import NegotiationResult
    from swn_torture.dcerpc.server.options import ServerOptions


ENDS: Final = ", and the server ends the connection"

_BIND_EXCHANGE: Final = frozenset({PduType.BIND, PduType.ALTER_CONTEXT, PduType.AUTH3})


class BindingConnection(Connection):
    """The part of a server's connection that answers bind, alter_context and auth3.

    :class:`~swn_torture.dcerpc.server.connection.ServerConnection` adds requests; it describes the arguments.

    Attributes:
        association: of this connection, ``None`` before the bind.
        closing: an error has ended the connection.
        watched: report what only a log needs, too.
    """

    authenticator: type[Authenticator] = Authenticator
    """The class that processes tokens and verifiers."""

    def __init__(
        self,
        interfaces: Sequence[ServerInterface],
        associations: AssociationTable,
        info: ConnectionInfo,
        options: ServerOptions,
        provider: SecurityProvider | None = None,
        on_output: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(self.fragment_limit)
        self.association: Association | None = None
        self.closing = False
        self.watched = False
        self._interfaces = interfaces
        self._associations = associations
        self._info = info
        self._options = options
        self._authenticator = self.authenticator(self, provider, options)
        self._on_output = on_output
        self._events: deque[ServerEvent] = deque()
        self._out: list[bytes] = []
        self._client_signs_headers = False
        self._features: int | None = None
        self._max_recv = options.max_fragment
        self._fault_drep = LITTLE_ENDIAN

    def fragment_limit(self, header: Header) -> int:
        """Return how many octets a PDU with this header may have."""
        # A bind exchange carries Kerberos tokens and long lists of contexts before a size is negotiated.
        return 0xFFFF if header.ptype in _BIND_EXCHANGE else self._options.max_fragment

    def on_bind(self, pdu: Bind) -> None:
        """Answer a bind with a bind_ack or a bind_nak (MS-RPCE 3.3.1.5.6).

        After a bind_ack the connection belongs to an association.

        Raises:
            RemoteProtocolError: the bind breaks the protocol.
        """
        if not pdu.contexts:
            raise RemoteProtocolError("no presentation context", field="n_context_elem")
        try:
            if self.association is not None:
                raise refused_without_reason(
                    "a second bind on one connection", Where("ptype", 2, "C706 12.6.4.3")
                )
            outcome = self.negotiate_contexts(pdu)
            association = self.find_association(pdu.assoc_group)
            leg = self._authenticator.leg(pdu, multiplexing=self._multiplexing(outcome.features))
        except NegotiationRefused as refused:
            self._refused(pdu, refused, nak=True)
            self.send_bind_nak(pdu.call_id, refused.nak_reason)
            self.closing = True
            return
        self._authenticator.use_by_default(leg)
        if association is None:
            association = self._associations.create(self._info.peer[0])
        association.connections.add(self._info)
        self.association = association
        self.assoc_group = association.id
        self._features = outcome.features
        self.contexts.update(outcome.accepted)
        self._negotiate_sizes(pdu)
        self.multiplexed = bool(pdu.flags & CONC_MPX) and self._options.multiplex
        port = f"{self._info.local[1]}\0".encode()
        ack = BindAck(
            call_id=pdu.call_id,
            flags=self._ack_flags(pdu),
            results=outcome.results,
            max_xmit=self.max_xmit,
            max_recv=self._max_recv,
            assoc_group=association.id,
            secondary_address=port if self._options.secondary_address == "port" else b"",
        )
        self._events.append(Joined(association))
        if self.watched:
            self._report(pdu, outcome.results, association, leg)
        self.send_raw(self._authenticator.with_token(ack, leg).pack())

    def on_alter_context(self, pdu: AlterContext) -> None:
        """Answer an alter_context with an alter_context_resp, a fault or a bind_nak (MS-RPCE 3.3.1.5.6).

        Raises:
            RemoteProtocolError: the alter_context breaks the protocol.
        """
        if self.association is None:
            raise RemoteProtocolError("alter_context before bind", field="ptype")
        if not pdu.contexts:
            raise RemoteProtocolError("no presentation context", field="n_context_elem")
        try:
            outcome = self.negotiate_contexts(pdu)
            leg = self._authenticator.leg(pdu, multiplexing=self._multiplexing(self._features))
        except NegotiationRefused as refused:
            self._refused(pdu, refused, nak=refused.always_nak)
            if refused.always_nak:
                self.send_bind_nak(pdu.call_id, refused.nak_reason)
            else:
                self.send_fault(pdu.call_id, refused.fault_status, did_not_execute=True)
                self.closing |= refused.close
            return
        self.contexts.update(outcome.accepted)
        ack = AlterContextResp(
            call_id=pdu.call_id,
            flags=self._ack_flags(pdu),
            results=outcome.results,
            max_xmit=self.max_xmit,
            max_recv=self._max_recv,
            assoc_group=self.assoc_group,
        )
        if self.watched:
            self._report(pdu, outcome.results, self.association, leg)
        self.send_raw(self._authenticator.with_token(ack, leg).pack())

    def on_auth3(self, pdu: Auth3) -> None:
        """Process the third leg of a security context. A server never answers an auth3 (MS-RPCE 2.2.2.10).

        Raises:
            RemoteProtocolError: the auth3 breaks the protocol.
        """
        try:
            self._authenticator.auth3(pdu)
        except NegotiationRefused as refused:
            raise RemoteProtocolError(refused.problem, field="sec_trailer") from refused
        entry = None if pdu.trailer is None else self.security.get(pdu.trailer.context_id)
        if self.watched and entry is not None:
            self._events.append(LoggedOn(pdu.call_id, entry))

    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
        """Decide which presentation contexts and bind-time features of a bind or alter_context to accept.

        Raises:
            NegotiationRefused: the PDU is rejected as a whole.
            RemoteProtocolError: the PDU breaks the protocol.
        """
        features: int | None = self._options.features
        if isinstance(pdu, AlterContext):
            features = None if self._features is None else self._options.features & self._features
        outcome = negotiate(
            pdu.contexts,
            self._interfaces,
            self.contexts,
            supported_features=features,
            exact_minor=self._options.exact_minor_version,
        )
        limit = self._options.contexts_per_interface * len(self._interfaces)
        if len(self.contexts.keys() | outcome.accepted.keys()) > limit:
            raise NegotiationRefused(
                f"more than {limit} presentation contexts",
                BindNakReason.LOCAL_LIMIT_EXCEEDED,
                FaultStatus.NCA_S_PROTO_ERROR,
                always_nak=True,
                where=Where("n_context_elem", CONTEXT_LIST, "MS-RPCE 3.3.3.5.5"),
            )
        return outcome

    def _multiplexing(self, features: int | None) -> bool:
        return bool((features or 0) & self._options.features & SECURITY_CONTEXT_MULTIPLEXING)

    def find_association(self, assoc_group_id: int) -> Association | None:
        """Return the association that a bind joins, ``None`` for a new one (MS-RPCE 3.3.1.5.7).

        Args:
            assoc_group_id: of the bind; 0 asks for a new association.

        Raises:
            NegotiationRefused: the server has no such association, or another client's host opened it.
        """
        if not assoc_group_id:
            return None
        host = self._info.peer[0]
        association = self._associations.find(assoc_group_id, host)
        if association is None:
            raise refused_without_reason(
                f"no association 0x{assoc_group_id:08X} that {host} may join",
                Where("assoc_group_id", ASSOC_GROUP, "C706 12.6.4.3, MS-RPCE 3.3.1.5.7"),
            )
        return association

    def _negotiate_sizes(self, pdu: Bind) -> None:
        """Negotiate one fragment size for both directions, a multiple of 8, as Windows and Samba do."""
        size = max(self._options.min_fragment, min(pdu.max_xmit, pdu.max_recv))
        self.max_xmit = self._max_recv = min(size, self._options.max_fragment) & ~7

    def _ack_flags(self, pdu: Bind) -> int:
        flags: int = WHOLE
        if self.multiplexed and pdu.flags & CONC_MPX:
            flags |= CONC_MPX
        if pdu.flags & SUPPORT_HEADER_SIGN:
            self._client_signs_headers = True
            if self._options.header_signing and self._authenticator.available:
                self.agree_header_signing()
                flags |= SUPPORT_HEADER_SIGN
        return flags

    def data_to_send(self) -> bytes:
        """Return the octets to send now, in order, and forget them."""
        out, self._out = self._out, []
        return b"".join(out)

    def send_raw(self, octets: bytes) -> None:
        """Append octets to those to be sent; they need not be a PDU."""
        self._out.append(octets)
        self._on_output()

    def send_fault(
        self, call_id: int, status: int, *, context_id: int = 0, did_not_execute: bool = False
    ) -> None:
        """Send a fault without a verifier: only requests and responses have one (MS-RPCE 2.2.2.12)."""
        flags: int = WHOLE | (PfcFlags.DID_NOT_EXECUTE if did_not_execute else 0)
        fault = FaultPdu(
            call_id=call_id, flags=flags, drep=self._fault_drep, status=status, context_id=context_id
        )
        self.send_raw(fault.pack())

    def send_bind_nak(self, call_id: int, reason: int) -> None:
        """Send a bind_nak.

        Args:
            call_id: of the bind or alter_context.
            reason: see :class:`~swn_torture.dcerpc.pdu.bind.BindNakReason`.
        """
        # Windows and Samba fill it up to a multiple of four octets.
        self.send_raw(BindNak(call_id=call_id, reason=reason, padding=bytes(3)).pack())

    def _report(
        self, pdu: Bind, results: tuple[ContextResult, ...], association: Association, leg: Leg | None
    ) -> None:
        """Report what only a log needs: the result of a bind or alter_context, and a logon."""
        self._events.append(ContextsNegotiated(pdu, results, self.max_xmit, association))
        if leg is not None and leg.entry.context.complete:
            self._events.append(LoggedOn(pdu.call_id, leg.entry))

    def _refused(self, pdu: Bind, refused: NegotiationRefused, *, nak: bool) -> None:
        """Record the rejection of a bind or alter_context."""
        octets = pdu.pack()
        if nak:
            answer = f"bind_nak, reason {describe_reason(refused.nak_reason)}"
        else:
            answer = f"fault {describe_status(refused.fault_status)}"
        if refused.close or not isinstance(pdu, AlterContext):
            answer += ENDS
        shown = refusal(Header.unpack(octets[:HEADER_SIZE]), refused.problem, refused.where, octets, answer)
        self._violated(RemoteProtocolError(refused.problem), shown)

    def _violated(self, error: RemoteProtocolError, refused: Refusal | None = None) -> None:
        self._events.append(ProtocolViolation(error, refused))
