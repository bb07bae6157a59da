"""The client's end of a connection, without I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from swn_torture.dcerpc.client.bounds import MAX_FRAGMENTS, MAX_RESPONSE
from swn_torture.dcerpc.client.call_ids import CallIds, ids_of_association, ids_of_new_association
from swn_torture.dcerpc.client.events import Acknowledged, Answered, ClientEvent, Faulted, Refused, Unexpected
from swn_torture.dcerpc.connection import MAX_FRAGMENT, Connection, Negotiated, check_version, fragments
from swn_torture.dcerpc.errors import LocalProtocolError, RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import AlterContext, AlterContextResp, Bind, BindAck, BindNak, ResultCode
from swn_torture.dcerpc.pdu.header import (
    BIG_ENDIAN,
    CONC_MPX,
    FIRST,
    LAST,
    LITTLE_ENDIAN,
    OBJECT_UUID,
    SUPPORT_HEADER_SIGN,
    WHOLE,
)
from swn_torture.dcerpc.pdu.pdus import Auth3, CoCancel, FaultPdu, Orphaned, Pdu, Request, Response, unpack
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.security.protection import AnyPdu, SecurityEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from uuid import UUID

    from swn_torture.dcerpc.pdu.bind import PresentationContext
    from swn_torture.dcerpc.pdu.verification_trailer import VerificationTrailer
    from swn_torture.dcerpc.security.context import SecurityContext
    from swn_torture.stubdata.fields import ByteOrder

Security = int | Literal["default", "none"]
"""A security context by its id, the first one of the connection (if there is one), or no verifier."""


@dataclass(slots=True)
class _Assembly:
    pdus: list[Response] = field(default_factory=list)
    size: int = 0


class ClientConnection(Connection):
    """Builds what a client sends and reads what a server answers.

    :meth:`bind` and :meth:`auth3` return the PDUs of a bind exchange as values. The caller may change them,
    and :meth:`send` turns them into octets. :meth:`request` returns octets at once, because protection takes
    sequence numbers. A test can send these octets in any order, or not at all.

    Args:
        server: names the server. Connections of an association with the same server take their call_ids from
            one counter; ``None`` for a counter of this connection only.

    Attributes:
        default_security: the security context for calls that name none; ``None`` for no verifier.
        before_request: called with the opnum and the number of fragments before each request is built; it
            may raise.
        features: the bind-time features that the server confirmed (MS-RPCE 3.3.1.5.3).
        error: why nothing more can be read from the server.
    """

    def __init__(self, server: Hashable = None) -> None:
        # Only the size of the field limits the length here. The caller checks whether a PDU is too long.
        super().__init__(lambda _: 0xFFFF)
        self.default_security: int | None = None
        self.before_request: Callable[[int, int], None] | None = None
        self.error: RemoteProtocolError | None = None
        self.features = 0
        self._server = server
        self._call_ids = CallIds()
        self._proposals: dict[int, Bind] = {}
        self._calls: dict[int, SecurityEntry | None] = {}
        self._assemblies: dict[int, _Assembly] = {}

    def next_call_id(self, chosen: int | None = None) -> int:
        """Return ``chosen``, or the next call_id above all that the association has used.

        See :mod:`~swn_torture.dcerpc.client.call_ids`.
        """
        return self._call_ids.take(chosen)

    def add_security(
        self, auth_type: int, level: int, context: SecurityContext, *, context_id: int | None = None
    ) -> SecurityEntry:
        """Add a security context to the connection. The PDUs of a bind exchange carry its tokens.

        Args:
            auth_type: in the sec_trailer.
            level: in the sec_trailer.
            context: an initiator that has not made a step yet.
            context_id: ``auth_context_id``; by default a new one above 0, because nothing specifies what a
                server does with 0.
        """
        chosen = max(self.security, default=0) + 1 if context_id is None else context_id
        entry = SecurityEntry(chosen, auth_type, level, context)
        context.header_signing = self.header_signing
        self.security[chosen] = entry
        if self.default_security is None:
            self.default_security = chosen
        return entry

    def bind(
        self,
        contexts: Sequence[PresentationContext],
        *,
        security: SecurityEntry | None = None,
        token: bytes = b"",
        multiplex: bool = True,
        header_signing: bool = True,
        max_xmit: int = MAX_FRAGMENT,
        max_recv: int = MAX_FRAGMENT,
        assoc_group: int = 0,
        call_id: int | None = None,
        byte_order: ByteOrder = "little",
        alter: bool = False,
    ) -> Bind:
        """Build a bind or (``alter``) an alter_context, with a token of a security context if given."""
        if assoc_group and not alter and self._server is not None:
            self._call_ids = ids_of_association(self._server, assoc_group) or self._call_ids
        flags: int = WHOLE
        if multiplex:
            flags |= CONC_MPX
        if header_signing and security is not None and security.protects:
            flags |= SUPPORT_HEADER_SIGN
        pdu = (AlterContext if alter else Bind)(
            call_id=self.next_call_id(call_id),
            flags=flags,
            drep=_drep(byte_order),
            contexts=tuple(contexts),
            max_xmit=max_xmit,
            max_recv=max_recv,
            assoc_group=assoc_group,
        )
        return pdu if security is None else security.with_token(pdu, token)

    def auth3(self, security: SecurityEntry, token: bytes, *, call_id: int | None = None) -> Auth3:
        """Build an auth3, the third leg (MS-RPCE 2.2.2.10).

        The sec_trailer follows the four pad octets directly, as Windows and Samba send it. MS-RPCE 2.2.2.10
        places it there, although 2.2.2.11 requires another alignment.
        """
        flags: int = WHOLE | (SUPPORT_HEADER_SIGN if self.header_signing else 0)
        return Auth3(
            call_id=self.next_call_id(call_id), flags=flags, trailer=security.trailer(0), auth_value=token
        )

    def send(self, pdu: Pdu) -> bytes:
        """Return the octets of a PDU without protection; record the proposals of a bind or alter_context."""
        if isinstance(pdu, Bind):
            self._proposals[pdu.call_id] = pdu
        return pdu.pack()

    def request(
        self,
        opnum: int,
        stub: bytes,
        *,
        context_id: int = 0,
        byte_order: ByteOrder = "little",
        object_uuid: UUID | None = None,
        flags: int = WHOLE,
        call_id: int | None = None,
        alloc_hint: int | None = None,
        fragment_size: int | None = None,
        chunk: int | None = None,
        verification: VerificationTrailer | bytes | None = None,
        security: Security = "default",
        prepare: Callable[[int, Request], Request] | None = None,
        tamper: Callable[[int, bytes], bytes] | None = None,
    ) -> tuple[int, tuple[bytes, ...]]:
        """Build a request. Return its call_id and the octets of each fragment, protected in this order.

        Args:
            opnum: operation number.
            stub: stub data, in ``byte_order``.
            context_id: presentation context; it need not be accepted.
            byte_order: of the PDU. The stub data is sent as it is.
            object_uuid: sent with PFC_OBJECT_UUID.
            flags: FIRST and LAST for the first and the last fragment; any other flag is set in every
                fragment.
            call_id: 32 bits; by default one more than the largest so far.
            alloc_hint: by default the stub octets of this and the following fragments.
            fragment_size: octets of the largest fragment; by default the negotiated size.
            chunk: stub octets of each fragment, to make smaller fragments than necessary.
            verification: a verification trailer for the last fragment, aligned to 4 octets.
            security: the security context that protects the request.
            prepare: changes a fragment before it is protected. It gets the index, from 0, and the fragment.
            tamper: changes the octets of a fragment after it is protected. It gets the index and the octets.

        Raises:
            LocalProtocolError: the connection does not have this security context.
        """
        entry = self._security_for(security)
        number = self.next_call_id(call_id)
        whole = Request(
            call_id=number,
            flags=flags | (OBJECT_UUID if object_uuid is not None else 0),
            drep=_drep(byte_order),
            opnum=opnum,
            stub=stub,
            context_id=context_id,
            object_uuid=object_uuid,
            alloc_hint=alloc_hint,
        )
        tail = (
            verification if isinstance(verification, bytes) else verification.pack() if verification else b""
        )
        parts = fragments(whole, entry, size=fragment_size or self.max_xmit, chunk=chunk, tail=tail)
        if self.before_request is not None:
            self.before_request(opnum, len(parts))
        out = []
        for index, part in enumerate(parts):
            ready = part if prepare is None else prepare(index, part)
            octets = ready.pack() if entry is None else entry.protect(ready)
            out.append(octets if tamper is None else tamper(index, octets))
        self._calls[number] = entry
        return number, tuple(out)

    def cancel(self, call_id: int, *, security: Security = "none") -> bytes:
        """Build a co_cancel; by default without a verifier, as MS-RPCE 2.2.2.12 specifies."""
        return self._bare(CoCancel(call_id=call_id), security)

    def orphan(self, call_id: int, *, security: Security = "none") -> bytes:
        """Build an orphaned PDU; by default without a verifier. A later response to it is unexpected."""
        return self._bare(Orphaned(call_id=call_id), security)

    def next_event(self) -> ClientEvent | None:
        """Return the next event, ``None`` when more octets are needed.

        Raises:
            RemoteProtocolError: the server broke the protocol. Nothing more can be read from it.
        """
        if self.error is not None:
            raise self.error
        try:
            received = self.framer.next_pdu()
            while received is not None:
                header, raw = received
                check_version(header, raw)
                event = self._process(unpack(raw, header), raw)
                if event is not None:
                    return event
                received = self.framer.next_pdu()
        except RemoteProtocolError as error:
            self.error = error
            raise
        return None

    def _process(self, pdu: Pdu, raw: bytes) -> ClientEvent | None:
        match pdu:
            case BindAck():
                return self._acknowledged(pdu)
            case BindNak():
                return Refused(pdu) if self._proposals.pop(pdu.call_id, None) else Unexpected(pdu)
            case Response():
                return self._response(pdu, raw)
            case FaultPdu():
                # The faults of Windows and Samba have no verifier, even on a protected connection.
                self._calls.pop(pdu.call_id, None)
                self._assemblies.pop(pdu.call_id, None)
                self._proposals.pop(pdu.call_id, None)
                return Faulted(self._opened(pdu, raw))
            case _:
                return Unexpected(pdu)

    def _acknowledged(self, pdu: BindAck) -> ClientEvent:
        proposal = self._proposals.get(pdu.call_id)
        if proposal is None or isinstance(pdu, AlterContextResp) != isinstance(proposal, AlterContext):
            return Unexpected(pdu)
        del self._proposals[pdu.call_id]
        if len(pdu.results) != len(proposal.contexts):
            raise RemoteProtocolError(
                f"{len(pdu.results)} results for {len(proposal.contexts)} proposed contexts",
                field="p_result_list",
            )
        pairs = tuple(zip(proposal.contexts, pdu.results, strict=True))
        for element, result in pairs:
            if result.accepted:
                self.contexts[element.context_id] = Negotiated(element.abstract, result.transfer)
        if proposal.flags & pdu.flags & SUPPORT_HEADER_SIGN:
            self.agree_header_signing()
        if not isinstance(pdu, AlterContextResp):
            self.multiplexed = bool(proposal.flags & pdu.flags & CONC_MPX)
            self.max_xmit = min(proposal.max_xmit, pdu.max_recv)
            self._join(proposal.assoc_group, pdu.assoc_group)
            self.features = next(
                (each.reason for each in pdu.results if each.result == ResultCode.NEGOTIATE_ACK), 0
            )
        return Acknowledged(pdu, pairs)

    def _join(self, requested: int, assoc_group: int) -> None:
        """Record the association, and count the call_ids of this connection with it."""
        self.assoc_group = assoc_group
        if self._server is None or assoc_group == 0:
            return
        if requested and requested != assoc_group:
            # The server did not let the client join. The new association has a counter of its own.
            self._call_ids = CallIds(self._call_ids.next)
        if requested != assoc_group or ids_of_association(self._server, assoc_group) is None:
            ids_of_new_association(self._server, assoc_group, self._call_ids)

    def _response(self, pdu: Response, raw: bytes) -> ClientEvent | None:
        known = pdu.call_id in self._calls
        entry = self._calls.get(pdu.call_id)
        if entry is not None and entry.protects and pdu.trailer is None:
            raise RemoteProtocolError(
                f"the response to call {pdu.call_id} has no verifier, its request had one",
                field="auth_length",
                octets=raw,
            )
        pdu = self._opened(pdu, raw)
        if not known:
            return Unexpected(pdu)
        if entry is not None and pdu.trailer is not None:
            received = (pdu.trailer.auth_type, pdu.trailer.auth_level, pdu.trailer.context_id)
            expected = (int(entry.auth_type), int(entry.level), entry.id)
            if received != expected:
                raise RemoteProtocolError(
                    f"type, level and context id are {received}; the request had {expected}",
                    field="sec_trailer",
                    octets=raw,
                )
        return self._assembled(pdu, raw)

    def _assembled(self, pdu: Response, raw: bytes) -> ClientEvent | None:
        assembly = self._assemblies.setdefault(pdu.call_id, _Assembly())
        if bool(pdu.flags & FIRST) == bool(assembly.pdus):
            problem = "a second first fragment" if assembly.pdus else "no first fragment"
            raise RemoteProtocolError(
                f"{problem} (call {pdu.call_id})", field="pfc_flags", offset=3, octets=raw
            )
        assembly.pdus.append(pdu)
        assembly.size += len(pdu.stub)
        if assembly.size > MAX_RESPONSE:
            raise RemoteProtocolError(f"a response of more than {MAX_RESPONSE} octets", field="stub")
        if len(assembly.pdus) > MAX_FRAGMENTS:
            raise RemoteProtocolError(f"a response in more than {MAX_FRAGMENTS} fragments", field="stub")
        if not pdu.flags & LAST:
            return None
        del self._assemblies[pdu.call_id]
        del self._calls[pdu.call_id]
        return Answered(pdu.call_id, b"".join(p.stub for p in assembly.pdus), tuple(assembly.pdus))

    def _opened(self, pdu: AnyPdu, raw: bytes) -> AnyPdu:
        if pdu.trailer is None:
            return pdu
        entry = self.security.get(pdu.trailer.context_id)
        if entry is None:
            raise RemoteProtocolError(
                f"no security context {pdu.trailer.context_id}", field="sec_trailer.auth_context_id"
            )
        return entry.unprotect(pdu, raw) if entry.protects else pdu

    def _security_for(self, security: Security) -> SecurityEntry | None:
        if security == "none":
            return None
        chosen = self.default_security if security == "default" else security
        if chosen is None:
            return None
        entry = self.security.get(chosen)
        if entry is None:
            raise LocalProtocolError(f"no security context {chosen} on this connection")
        # At level connect, requests may omit the only security context of a connection (MS-RPCE 3.3.1.5.4).
        if security == "default" and entry.level <= AuthLevel.CONNECT and len(self.security) == 1:
            return None
        return entry

    def _bare(self, pdu: Pdu, security: Security) -> bytes:
        entry = self._security_for(security)
        if isinstance(pdu, Orphaned):
            self._calls.pop(pdu.call_id, None)
            self._assemblies.pop(pdu.call_id, None)
        return pdu.pack() if entry is None else entry.sign(pdu)


def _drep(byte_order: ByteOrder) -> bytes:
    return LITTLE_ENDIAN if byte_order == "little" else BIG_ENDIAN
