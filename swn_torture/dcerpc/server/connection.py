"""The server's end of a connection, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.connection import check_version, fragments
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import AlterContext, Bind, BindNakReason, describe_reason
from swn_torture.dcerpc.pdu.header import (
    BIG_ENDIAN,
    FIRST,
    LITTLE_ENDIAN,
    TRAILER_SIZE,
    Header,
    PduType,
    type_name,
)
from swn_torture.dcerpc.pdu.pdus import Auth3, CoCancel, Orphaned, Pdu, Request, Response, Shutdown, unpack
from swn_torture.dcerpc.pdu.verification_trailer import SIGNATURE, ExpectedTrailer
from swn_torture.dcerpc.server.authentication import caller_of
from swn_torture.dcerpc.server.binding import ENDS, BindingConnection
from swn_torture.dcerpc.server.events import CallCancelled, CallReceived
from swn_torture.dcerpc.server.interface import ServerCall
from swn_torture.dcerpc.server.negotiation import find_interface
from swn_torture.dcerpc.server.refusal import CALL_ID, CONTEXT_ID, Refusal, Where, refusal, where_of
from swn_torture.dcerpc.server.request_assembly import (
    AssembledRequest,
    Rejection,
    RequestAssembler,
    protocol_error,
)
from swn_torture.dcerpc.server.request_trailer import strip_trailer
from swn_torture.dcerpc.status import FaultStatus, describe_status
from swn_torture.stubdata.syntax import NDR64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swn_torture.dcerpc.connection import Negotiated
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.authentication import SecurityProvider
    from swn_torture.dcerpc.server.events import ServerEvent
    from swn_torture.dcerpc.server.interface import AssociationTable, ConnectionInfo, ServerInterface
    from swn_torture.dcerpc.server.options import ServerOptions


class ServerConnection(BindingConnection):
    """Reads what a client sends and answers it (MS-RPCE 3.3.3).

    It makes the answers that need no interface, such as bind_ack and faults, itself. The owner fetches the
    octets to send with :meth:`data_to_send`. Once :attr:`closing` is true, the owner sends the remaining
    octets and closes the transport connection.

    Each step from a PDU to its answer is a public method, here or in the base class. A fault, which is a
    server that is wrong on purpose, overrides one of these methods. It can also replace ``authenticator`` or
    ``assembler``.

    Args:
        interfaces: the interfaces served.
        associations: of the whole server.
        info: identifies this connection.
        options: the server's choices.
        provider: makes the server's ends of security contexts; ``None`` rejects all authentication.
        on_output: called when there are octets to send.

    Attributes:
        association: of this connection, ``None`` before the bind.
        calls: requests without an answer yet, by call_id.
        closing: an error has ended the connection.
    """

    assembler: type[RequestAssembler] = RequestAssembler
    """The class that admits fragments and assembles requests."""

    def __init__(
        self,
        interfaces: Sequence[ServerInterface],
        associations: AssociationTable,
        info: ConnectionInfo,
        options: ServerOptions,
        provider: SecurityProvider | None = None,
        on_output: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(interfaces, associations, info, options, provider, on_output)
        self.calls: dict[int, ServerCall] = {}
        self._assembler = self.assembler(options)
        # The security context of each pending call: the answer is protected with the same one.
        self._entries: dict[int, SecurityEntry | None] = {}

    def next_event(self) -> ServerEvent | None:
        """Return the next event, ``None`` when more octets are needed."""
        while not self._events and not self.closing:
            header: Header | None = None
            raw = b""
            try:
                received = self.framer.next_pdu()
                if received is None:
                    break
                header, raw = received
                self.check_version(header, raw)
                self.pdu_size = len(raw)
                self.process_pdu(unpack(raw, header), raw)
            except Rejection as rejection:
                assert header is not None
                self._violated(
                    RemoteProtocolError(rejection.problem, octets=raw), self._rejected(header, rejection, raw)
                )
                self._assembler.drop()
                self.send_fault(
                    header.call_id if rejection.call_id is None else rejection.call_id,
                    rejection.status,
                    context_id=rejection.context_id,
                    did_not_execute=rejection.did_not_execute,
                )
                self.closing |= rejection.close
            except RemoteProtocolError as error:
                header = header or self.framer.header
                self._violated(error, self._broken(header, error, raw or self.framer.buffered))
                self._answer_error(header)
                self.closing = True
        return self._events.popleft() if self._events else None

    def send_shutdown(self) -> None:
        """Ask the client to close the connection (MS-RPCE 3.3.3.4.2)."""
        self.send_raw(Shutdown(call_id=0).pack())

    def lost(self) -> list[ServerCall]:
        """End the connection, because its transport has ended. Return the calls that are still pending."""
        self.closing = True
        pending = list(self.calls.values())
        self.calls.clear()
        self._entries.clear()
        return pending

    def interface_of(self, negotiated: Negotiated) -> ServerInterface | None:
        """Return the interface of a presentation context."""
        return find_interface(self._interfaces, negotiated.abstract)

    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        """Process a PDU according to its type.

        Args:
            pdu: the PDU, with a version that the server supports.
            raw: its octets.

        Raises:
            RemoteProtocolError: the PDU breaks the protocol. The connection ends.
            Rejection: the request is answered with a fault.
        """
        match pdu:
            case AlterContext():
                self.on_alter_context(pdu)
            case Bind():
                self.on_bind(pdu)
            case Auth3():
                self.on_auth3(pdu)
            case Request():
                self.on_request(pdu, raw)
            case CoCancel() | Orphaned():
                self.on_cancel(pdu, raw)
            case _:
                raise RemoteProtocolError(
                    f"a server accepts no {type_name(pdu.ptype)}", field="ptype", octets=raw
                )

    def check_version(self, header: Header, raw: bytes) -> None:
        """Reject any RPC version other than 5.0 (MS-RPCE 3.3.1.5.1).

        Raises:
            RemoteProtocolError: the header has another version.
        """
        check_version(header, raw)

    def _answer_error(self, header: Header | None) -> None:
        """Answer a PDU that breaks the protocol. The connection ends after the answer."""
        if header is None:
            return
        if header.ptype == PduType.BIND:
            self.send_bind_nak(header.call_id, BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED)
            return
        no_request = header.ptype != PduType.REQUEST
        self.send_fault(header.call_id, FaultStatus.NCA_S_PROTO_ERROR, did_not_execute=no_request)

    @staticmethod
    def _rejected(header: Header, rejection: Rejection, raw: bytes) -> Refusal:
        answer = f"fault {describe_status(rejection.status)}{ENDS if rejection.close else ''}"
        return refusal(header, rejection.problem, rejection.where, raw, answer)

    @staticmethod
    def _broken(header: Header | None, error: RemoteProtocolError, octets: bytes) -> Refusal:
        """Describe a PDU that breaks the protocol; the answer is that of :meth:`_answer_error`."""
        if header is None:
            answer = "no answer"
        elif header.ptype == PduType.BIND:
            answer = f"bind_nak, reason {describe_reason(BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED)}"
        else:
            answer = f"fault {describe_status(FaultStatus.NCA_S_PROTO_ERROR)}"
        return refusal(header, error.problem, where_of(error), octets, answer + ENDS)

    def on_request(self, pdu: Request, raw: bytes) -> None:
        """Verify and admit a fragment of a request. A complete request becomes a call (MS-RPCE 3.3.3.5).

        Args:
            pdu: the fragment, not verified yet.
            raw: its octets.

        Raises:
            Rejection: the request is answered with a fault.
        """
        if self.association is None:
            raise protocol_error("request before bind", Where("ptype", 2, "MS-RPCE 3.3.3, 3.3.3.5.7"))
        at = len(raw) - len(pdu.auth_value) - TRAILER_SIZE
        if pdu.trailer is not None and at % 4:
            raise Rejection(
                FaultStatus.NCA_S_PROTO_ERROR,
                f"the sec_trailer begins at octet {at} of the PDU, which is not a multiple of 4",
                close=True,
                context_id=pdu.context_id,
                where=Where("sec_trailer", at, "MS-RPCE 2.2.2.11"),
            )
        # First the verifier: its sender has used a sequence number, even if the request is rejected.
        entry, pdu, denial = self._authenticator.open(pdu, raw)
        self._assembler.multiplexed = self.multiplexed
        may_start = self.multiplexed or not self.calls
        if not self._assembler.admit(pdu, self.calls, may_start=may_start):
            return
        if denial is not None:
            raise denial
        if pdu.flags & FIRST:
            self.check_context(pdu, entry)
        whole = self._assembler.add(pdu)
        if whole is not None:
            self._dispatch(whole, entry)

    def check_context(self, pdu: Request, entry: SecurityEntry | None) -> None:
        """Check the presentation context of a request and the caller's access to its interface.

        Both are known with the first fragment (MS-RPCE 3.3.3.5.8).

        Args:
            pdu: the first fragment, verified and decrypted.
            entry: the security context of the request, ``None`` without one.

        Raises:
            Rejection: the request is answered with a fault.
        """
        negotiated = self.contexts.get(pdu.context_id)
        if negotiated is None:
            raise Rejection(
                FaultStatus.NCA_S_UNK_IF,
                f"no presentation context {pdu.context_id}",
                did_not_execute=True,
                where=Where("p_cont_id", CONTEXT_ID, "C706 12.6.4.9, MS-RPCE 3.3.3.1.1"),
            )
        if negotiated.transfer == NDR64 and pdu.drep[0] != LITTLE_ENDIAN[0]:
            raise protocol_error(
                f"data representation 0x{pdu.drep[0]:02X} on an NDR64 context",
                Where("packed_drep", 4, "MS-RPCE 2.2.5"),
            )
        access = self._options.access
        status = 0 if access is None else access(negotiated.abstract, caller_of(entry))
        if status:
            raise Rejection(status, f"access denied for {caller_of(entry)}", context_id=pdu.context_id)

    def _dispatch(self, whole: AssembledRequest, entry: SecurityEntry | None) -> None:
        first = whole.first
        if len(self.calls) >= self._options.max_calls:
            raise Rejection(
                FaultStatus.RPC_S_SERVER_TOO_BUSY,
                f"{len(self.calls)} calls of this connection have no answer yet",
                context_id=first.context_id,
                did_not_execute=True,
                where=Where("call_id", CALL_ID, "MS-RPCE 3.3.1.5.8"),
            )
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
        self._entries[first.call_id] = self._authenticator.of_response(first, entry)
        self._events.append(CallReceived(call))
        if whole.cancelled:
            call.cancelled = True
            self._events.append(CallCancelled(call, orphaned=False))

    def strip_verification_trailer(self, whole: AssembledRequest, negotiated: Negotiated) -> bytes:
        """Check the verification trailer of a request and return the stub data without it (MS-RPCE 2.2.2.13).

        Args:
            whole: the request.
            negotiated: its presentation context.

        Raises:
            Rejection: the trailer is malformed or does not agree with the request.
        """
        first = whole.first
        if SIGNATURE not in whole.stub:
            return whole.stub
        interface = self.interface_of(negotiated)
        assert interface is not None
        end = interface.end_of_parameters(first.opnum, whole.stub, negotiated.transfer, first.byte_order)
        expected = ExpectedTrailer(
            self._client_signs_headers,
            negotiated.abstract,
            negotiated.transfer,
            first.drep,
            first.call_id,
            first.context_id,
            first.opnum,
        )
        return strip_trailer(whole.stub, end, expected)

    def on_cancel(self, pdu: CoCancel | Orphaned, raw: bytes) -> None:
        """Report a co_cancel or orphaned PDU for a pending call (C706 12.6.4.6, 12.6.4.8).

        A request whose fragments still arrive is marked as cancelled, or dropped when it is orphaned.

        Raises:
            RemoteProtocolError: the client has not bound.
            Rejection: the verifier of the PDU does not match.
        """
        if self.association is None:
            raise RemoteProtocolError(f"{type_name(pdu.ptype)} before bind", field="ptype", octets=raw)
        if pdu.trailer is not None and self._options.verify_cancel:
            self._authenticator.check(pdu, raw)
        orphaned = isinstance(pdu, Orphaned)
        if self._assembler.assembling(pdu.call_id):
            self._assembler.drop() if orphaned else self._assembler.cancel()
            return
        # Without a pending call, the PDU and the answer have crossed: nothing to do.
        call = self.calls.get(pdu.call_id)
        if call is None:
            return
        if orphaned:
            del self.calls[pdu.call_id]
            del self._entries[pdu.call_id]
        call.cancelled = True
        self._events.append(CallCancelled(call, orphaned=orphaned))

    def answer_call(self, call: ServerCall, stub: bytes | None, status: int, did_not_execute: bool) -> None:
        """Send the answer of an interface to a call. The call object calls this.

        Args:
            call: the call. Nothing is sent if it was orphaned or if the connection has ended.
            stub: stub data of the response; ``None`` for a fault.
            status: of the fault.
            did_not_execute: set PFC_DID_NOT_EXECUTE in the fault.
        """
        if self.calls.get(call.call_id) is not call:
            return
        del self.calls[call.call_id]
        entry = self._entries.pop(call.call_id)
        if self.closing:
            return
        if stub is None:
            self.send_fault(call.call_id, status, context_id=call.context_id, did_not_execute=did_not_execute)
            if call.problem:
                problem = f"call {call.call_id}, opnum {call.opnum}: {call.problem}"
                self._violated(RemoteProtocolError(problem))
            return
        for octets in self.response(call, stub, entry):
            self.send_raw(octets)

    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        """Return the octets of each fragment of a response, protected in this order."""
        big = self._options.reply_byte_order == "caller" and call.byte_order == "big"
        whole = Response(
            call_id=call.call_id,
            drep=BIG_ENDIAN if big else LITTLE_ENDIAN,
            stub=stub,
            context_id=call.context_id,
        )
        parts = fragments(whole, entry, size=self.max_xmit)
        return [part.pack() if entry is None else entry.protect(part) for part in parts]
