"""The serving end of a connection, without I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.connection import Connection, check_version, fragments
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu import verification_trailer as verification
from swn_torture.dcerpc.pdu.bind import AlterContext, AlterContextResp, Bind, BindAck, BindNak, BindNakReason
from swn_torture.dcerpc.pdu.header import (
    BIG_ENDIAN,
    LITTLE_ENDIAN,
    TRAILER_SIZE,
    WHOLE,
    Header,
    PduType,
    PfcFlags,
    type_name,
)
from swn_torture.dcerpc.pdu.pdus import (
    Auth3,
    CoCancel,
    FaultPdu,
    Orphaned,
    Pdu,
    Request,
    Response,
    Shutdown,
    unpack,
)
from swn_torture.dcerpc.server.authentication import Authenticator, caller_of
from swn_torture.dcerpc.server.events import (
    CallCancelled,
    CallReceived,
    Joined,
    ProtocolViolation,
    ServerEvent,
)
from swn_torture.dcerpc.server.interface import ServerCall
from swn_torture.dcerpc.server.negotiation import (
    NegotiationRefused,
    NegotiationResult,
    find_interface,
    negotiate,
    refused_without_reason,
)
from swn_torture.dcerpc.server.request_assembly import Incoming, Rejection, RequestAssembler, protocol_error
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR64, SECURITY_CONTEXT_MULTIPLEXING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swn_torture.dcerpc.connection import Negotiated
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.authentication import SecurityProvider
    from swn_torture.dcerpc.server.interface import (
        Association,
        AssociationTable,
        ConnectionInfo,
        ServerInterface,
    )
    from swn_torture.dcerpc.server.options import ServerOptions

_NEGOTIATING: Final = frozenset({PduType.BIND, PduType.ALTER_CONTEXT, PduType.AUTH3})


class ServerConnection(Connection):
    """Reads what a client sends and answers as MS-RPCE 3.3.3 has it.

    Answers that need no interface (bind_ack, faults) are made at once; all octets to send are fetched with
    :meth:`data_to_send`. After :attr:`closing` has become true the transport has to be closed behind them.

    Args:
        interfaces: what is served.
        associations: of the whole server.
        info: which connection this is.
        options: the server's choices.
        provider: makes the answering ends of security contexts; ``None`` refuses all authentication.
        on_output: called whenever there are octets to send.

    Attributes:
        association: the association joined, ``None`` before the bind.
        calls: requests that are not answered yet, by call id.
        closing: an error has ended the conversation.
    """

    authenticator: type[Authenticator] = Authenticator
    assembler: type[RequestAssembler] = RequestAssembler
    """What it is put together from: replace one, and it does one thing otherwise."""

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
        self.calls: dict[int, ServerCall] = {}
        self.closing = False
        self._interfaces = interfaces
        self._associations = associations
        self._info = info
        self._options = options
        self._authenticator = self.authenticator(self, provider, options)
        self._on_output = on_output
        self._assembler = self.assembler(options)
        self._events: deque[ServerEvent] = deque()
        self._out: list[bytes] = []
        self._client_signs_headers = False
        self._features: int | None = None
        self._max_recv = options.max_fragment
        self._fault_drep = LITTLE_ENDIAN
        # Which security context each pending call came in, so that its answer is protected alike.
        self._entries: dict[int, SecurityEntry | None] = {}

    def data_to_send(self) -> bytes:
        """Return the octets that have to be sent now, in order; they are not returned again."""
        out, self._out = self._out, []
        return b"".join(out)

    def next_event(self) -> ServerEvent | None:
        """Return the next event, ``None`` when more octets are needed."""
        while not self._events and not self.closing:
            header: Header | None = None
            try:
                received = self.framer.next_pdu()
                if received is None:
                    break
                header, raw = received
                self.check_version(header, raw)
                self.process_pdu(unpack(raw), raw)
            except Rejection as rejection:
                assert header is not None
                self._violated(RemoteProtocolError(rejection.problem, octets=raw))
                self._assembler.drop()
                self.send_fault(
                    header.call_id if rejection.call_id is None else rejection.call_id,
                    rejection.status,
                    context_id=rejection.context_id,
                    did_not_execute=rejection.did_not_execute,
                )
                self.closing |= rejection.close
            except RemoteProtocolError as error:
                self._violated(error)
                self._answer_error(header or self.framer.header)
                self.closing = True
        return self._events.popleft() if self._events else None

    def send_raw(self, octets: bytes) -> None:
        """Put octets behind those that are to be sent, whatever they mean."""
        self._out.append(octets)
        self._on_output()

    def send_fault(
        self, call_id: int, status: int, *, context_id: int = 0, did_not_execute: bool = False
    ) -> None:
        """Send a fault. It has no verifier: MS-RPCE 2.2.2.12 gives a token to requests and responses only."""
        flags: int = WHOLE | (PfcFlags.DID_NOT_EXECUTE if did_not_execute else 0)
        fault = FaultPdu(
            call_id=call_id, flags=flags, drep=self._fault_drep, status=status, context_id=context_id
        )
        self.send_raw(fault.pack())

    def send_shutdown(self) -> None:
        """Ask the client to close the connection (MS-RPCE 3.3.3.4.2)."""
        self.send_raw(Shutdown(call_id=0).pack())

    def lost(self) -> list[ServerCall]:
        """Hear that the transport connection has gone; return the calls that nobody waits for any more."""
        self.closing = True
        pending = list(self.calls.values())
        self.calls.clear()
        self._entries.clear()
        return pending

    def interface_of(self, negotiated: Negotiated) -> ServerInterface | None:
        """Return the interface behind a presentation context."""
        return find_interface(self._interfaces, negotiated.abstract)

    # -- PDUs
    # ---------------------------------------------------------------------------------------------------

    def fragment_limit(self, header: Header) -> int:
        # Tokens of Kerberos and long lists of contexts come before any size has been agreed.
        return 0xFFFF if header.ptype in _NEGOTIATING else self._options.max_fragment

    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        match pdu:
            case AlterContext():
                self.on_alter_context(pdu)
            case Bind():
                self.on_bind(pdu)
            case Auth3():
                self._auth3(pdu)
            case Request():
                self.on_request(pdu, raw)
            case CoCancel() | Orphaned():
                self.on_cancel(pdu, raw)
            case _:
                raise RemoteProtocolError(
                    f"{type_name(pdu.ptype)} is not for servers", field="ptype", octets=raw
                )

    def check_version(self, header: Header, raw: bytes) -> None:
        """Refuse any RPC version but 5.0 (MS-RPCE 3.3.1.5.1).

        Raises:
            RemoteProtocolError: another version.
        """
        check_version(header, raw)

    def _violated(self, error: RemoteProtocolError) -> None:
        self._events.append(ProtocolViolation(error))

    def _answer_error(self, header: Header | None) -> None:
        """Answer a PDU that is wrong in itself; the connection is closed behind the answer."""
        if header is None or header.ptype == PduType.AUTH3:
            return
        if header.ptype == PduType.BIND:
            self.send_bind_nak(header.call_id, BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED)
            return
        untouched = header.ptype != PduType.REQUEST
        self.send_fault(header.call_id, FaultStatus.NCA_S_PROTO_ERROR, did_not_execute=untouched)

    def send_bind_nak(self, call_id: int, reason: int) -> None:
        # Filled up to a multiple of four as Windows and Samba do.
        self.send_raw(BindNak(call_id=call_id, reason=reason, padding=bytes(3)).pack())

    def on_bind(self, pdu: Bind) -> None:
        if not pdu.contexts:
            raise RemoteProtocolError("no presentation context", field="n_context_elem")
        try:
            if self.association is not None:
                raise refused_without_reason("bind on a connection that is bound")
            outcome = self.negotiate_contexts(pdu)
            association = self.find_association(pdu.assoc_group)
            leg = self._authenticator.leg(pdu, multiplexing=self._multiplexing(outcome.features))
        except NegotiationRefused as refused:
            self._violated(RemoteProtocolError(refused.problem))
            self.send_bind_nak(pdu.call_id, refused.nak_reason)
            self.closing = True
            return
        self._authenticator.use_as_default(leg)
        if association is None:
            association = self._associations.create(self._info.peer[0])
        association.connections.add(self._info)
        self.association = association
        self.assoc_group = association.id
        self._features = outcome.features
        self.contexts.update(outcome.accepted)
        self._agree_sizes(pdu)
        self.multiplexed = bool(pdu.flags & PfcFlags.CONC_MPX) and self._options.multiplex
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
        self.send_raw(self._authenticator.with_token(ack, leg).pack())

    def on_alter_context(self, pdu: AlterContext) -> None:
        if self.association is None:
            raise RemoteProtocolError("alter_context before bind", field="ptype")
        if not pdu.contexts:
            raise RemoteProtocolError("no presentation context", field="n_context_elem")
        try:
            outcome = self.negotiate_contexts(pdu)
            leg = self._authenticator.leg(pdu, multiplexing=self._multiplexing(self._features))
        except NegotiationRefused as refused:
            self._violated(RemoteProtocolError(refused.problem))
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
        self.send_raw(self._authenticator.with_token(ack, leg).pack())

    def _auth3(self, pdu: Auth3) -> None:
        try:
            self._authenticator.auth3(pdu)
        except NegotiationRefused as refused:
            raise RemoteProtocolError(refused.problem, field="sec_trailer") from refused

    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
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
            )
        return outcome

    def _multiplexing(self, features: int | None) -> bool:
        return bool((features or 0) & self._options.features & SECURITY_CONTEXT_MULTIPLEXING)

    def find_association(self, wanted: int) -> Association | None:
        if not wanted:
            return None
        association = self._associations.find(wanted, self._info.peer[0])
        if association is None:
            raise refused_without_reason(f"no association 0x{wanted:08X} that {self._info.peer[0]} may join")
        return association

    def _agree_sizes(self, pdu: Bind) -> None:
        """Settle on one size for both directions, a multiple of 8, as Windows and Samba do."""
        size = max(self._options.min_fragment, min(pdu.max_xmit, pdu.max_recv))
        self.max_xmit = self._max_recv = min(size, self._options.max_fragment) & ~7

    def _ack_flags(self, pdu: Bind) -> int:
        flags: int = WHOLE
        if self.multiplexed and pdu.flags & PfcFlags.CONC_MPX:
            flags |= PfcFlags.CONC_MPX
        if pdu.flags & PfcFlags.SUPPORT_HEADER_SIGN:
            self._client_signs_headers = True
            if self._options.header_signing and self._authenticator.available:
                self.agree_header_signing()
                flags |= PfcFlags.SUPPORT_HEADER_SIGN
        return flags

    def on_request(self, pdu: Request, raw: bytes) -> None:
        if self.association is None:
            raise protocol_error("request before bind")
        if pdu.trailer is not None and (len(raw) - len(pdu.auth_value) - TRAILER_SIZE) % 4:
            raise Rejection(
                FaultStatus.NCA_S_PROTO_ERROR,
                "the security trailer is not aligned to 4 octets",
                close=True,
                context_id=pdu.context_id,
            )
        # The verifier first: whatever becomes of the request, its sender has used up a sequence number.
        entry, pdu, denial = self._authenticator.open(pdu, raw)
        may_start = self.multiplexed or not self.calls
        if not self._assembler.admit(pdu, self.calls, may_start=may_start):
            return
        if denial is not None:
            raise denial
        if pdu.flags & PfcFlags.FIRST:
            self.check_context(pdu, entry)
        whole = self._assembler.add(pdu)
        if whole is not None:
            self._dispatch(whole, entry)

    def check_context(self, pdu: Request, entry: SecurityEntry | None) -> None:
        """Judge what the first fragment tells already (MS-RPCE 3.3.3.5.8)."""
        negotiated = self.contexts.get(pdu.context_id)
        if negotiated is None:
            raise Rejection(
                FaultStatus.NCA_S_UNK_IF, f"no presentation context {pdu.context_id}", did_not_execute=True
            )
        if negotiated.transfer == NDR64 and pdu.drep[0] != LITTLE_ENDIAN[0]:
            raise protocol_error(f"data representation 0x{pdu.drep[0]:02X} on an NDR64 context")
        access = self._options.access
        status = 0 if access is None else access(negotiated.abstract, caller_of(entry))
        if status:
            raise Rejection(status, f"caller {caller_of(entry)} is not let in", context_id=pdu.context_id)

    def _dispatch(self, whole: Incoming, entry: SecurityEntry | None) -> None:
        first = whole.first
        negotiated = self.contexts[first.context_id]
        stub = whole.stub
        if self._options.check_verification_trailer:
            stub = self.strip_verification_trailer(whole, negotiated)
        assert self.association is not None
        call = ServerCall(
            opnum=first.opnum,
            stub=stub,
            abstract_syntax=negotiated.abstract,
            syntax=negotiated.transfer,
            byte_order=first.byte_order,
            caller=caller_of(entry),
            association=self.association,
            connection=self._info,
            call_id=first.call_id,
            answer=self.answer_call,
            context_id=first.context_id,
            object_uuid=first.object_uuid,
        )
        self.calls[first.call_id] = call
        # At level connect a request without verifier gets a response without one (MS-RPCE 3.3.1.5.4).
        self._entries[first.call_id] = None if first.trailer is None else entry
        self._events.append(CallReceived(call))
        if whole.cancelled:
            call.cancelled = True
            self._events.append(CallCancelled(call, orphaned=False))

    def strip_verification_trailer(self, whole: Incoming, negotiated: Negotiated) -> bytes:
        first = whole.first
        if verification.SIGNATURE not in whole.stub:
            return whole.stub
        interface = self.interface_of(negotiated)
        assert interface is not None
        end = interface.end_of_parameters(first.opnum, whole.stub, negotiated.transfer, first.byte_order)
        expected = verification.ExpectedTrailer(
            self._client_signs_headers,
            negotiated.abstract,
            negotiated.transfer,
            first.drep,
            first.call_id,
            first.context_id,
            first.opnum,
        )
        try:
            found = verification.find(whole.stub, end)
            if found is None:
                return whole.stub
            problem = verification.contradiction(found[1], expected)
        except RemoteProtocolError as error:
            raise Rejection(
                FaultStatus.RPC_X_BAD_STUB_DATA, str(error), context_id=first.context_id
            ) from error
        if problem is not None:
            raise Rejection(FaultStatus.ERROR_ACCESS_DENIED, problem, context_id=first.context_id)
        return whole.stub[: found[0]]

    def on_cancel(self, pdu: CoCancel | Orphaned, raw: bytes) -> None:
        if self.association is None:
            raise RemoteProtocolError(f"{type_name(pdu.ptype)} before bind", field="ptype", octets=raw)
        if pdu.trailer is not None and self._options.verify_cancel:
            self._authenticator.check(pdu, raw)
        orphaned = isinstance(pdu, Orphaned)
        if self._assembler.assembling(pdu.call_id):
            self._assembler.drop() if orphaned else self._assembler.cancel()
            return
        # One for no pending call has crossed the answer on its way: nothing to do.
        call = self.calls.get(pdu.call_id)
        if call is None:
            return
        if orphaned:
            del self.calls[pdu.call_id]
            del self._entries[pdu.call_id]
        call.cancelled = True
        self._events.append(CallCancelled(call, orphaned=orphaned))

    def answer_call(self, call: ServerCall, stub: bytes | None, status: int, did_not_execute: bool) -> None:
        if self.calls.get(call.call_id) is not call:
            return  # orphaned, or the connection is gone
        del self.calls[call.call_id]
        entry = self._entries.pop(call.call_id)
        if self.closing:
            return
        if stub is None:
            self.send_fault(call.call_id, status, context_id=call.context_id, did_not_execute=did_not_execute)
            return
        for octets in self.response(call, stub, entry):
            self.send_raw(octets)

    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        """Build the fragments of a response, protected in this order."""
        big = self._options.reply_byte_order == "caller" and call.byte_order == "big"
        whole = Response(
            call_id=call.call_id,
            drep=BIG_ENDIAN if big else LITTLE_ENDIAN,
            stub=stub,
            context_id=call.context_id,
        )
        parts = fragments(whole, entry, size=self.max_xmit)
        return [part.pack() if entry is None else entry.protect(part) for part in parts]
