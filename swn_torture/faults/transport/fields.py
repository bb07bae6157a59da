"""Fields of the PDUs that a server sends: values that most clients do not look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from swn_torture.dcerpc.connection import fragments
from swn_torture.dcerpc.pdu.bind import AlterContextResp, BindAck, BindNak
from swn_torture.dcerpc.pdu.header import BIG_ENDIAN, LITTLE_ENDIAN, PduType, PfcFlags, SecTrailer
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Response, unpack
from swn_torture.dcerpc.server.authentication import Authenticator, Leg
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.faults.registry import violates
from swn_torture.faults.transport.binding import AlteredBindAck
from swn_torture.stubdata.syntax import NDR32

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.pdus import Auth3, Pdu
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import ServerCall

Ack = TypeVar("Ack", bound=BindAck)


class AlteredPdus(ServerConnection):
    """A server that sends what `alter` makes of each PDU without protection: acknowledgements and faults."""

    @override
    def send_raw(self, octets: bytes) -> None:
        pdu = unpack(octets)
        super().send_raw(octets if isinstance(pdu, Response) else self.alter(pdu).pack())

    def alter(self, pdu: Pdu) -> Pdu:
        """Return the PDU to send instead."""
        raise NotImplementedError


class AlteredResponses(ServerConnection):
    """A server that sends what `alter_fragments` makes of the fragments of each response."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        whole = Response(call_id=call.call_id, drep=LITTLE_ENDIAN, stub=stub, context_id=call.context_id)
        altered = self.alter_fragments(fragments(whole, entry, size=self.max_xmit))
        return [part.pack() if entry is None else entry.protect(part) for part in altered]

    def alter_fragments(self, parts: list[Response]) -> list[Response]:
        """Return the fragments to send instead, not protected yet."""
        return [self.alter_fragment(part) for part in parts]

    def alter_fragment(self, part: Response) -> Response:
        """Return the fragment to send instead."""
        return part


# The common header


@violates("RPC-PDU-version")
class BindNakOfMinorVersion1(AlteredPdus):
    """bind_nak has RPC version 5.1."""

    @override
    def alter(self, pdu: Pdu) -> Pdu:
        return replace(pdu, version=(5, 1)) if isinstance(pdu, BindNak) else pdu


@violates("RPC-PDU-ptype", "RPC-CALLID-bind")
class AlterContextAlsoGetsBindAck(ServerConnection):
    """After alter_context_resp the server sends the same PDU again as bind_ack."""

    @override
    def send_raw(self, octets: bytes) -> None:
        super().send_raw(octets)
        if octets[2] == PduType.ALTER_CONTEXT_RESP:
            super().send_raw(octets[:2] + bytes([PduType.BIND_ACK]) + octets[3:])


@violates("RPC-PDU-one-fragment")
class FaultsWithoutFirstFlag(AlteredPdus):
    """Faults have no PFC_FIRST_FRAG."""

    @override
    def alter(self, pdu: Pdu) -> Pdu:
        return replace(pdu, flags=pdu.flags & ~PfcFlags.FIRST) if isinstance(pdu, FaultPdu) else pdu


@violates("RPC-PDU-one-fragment")
class AlterContextRespWithoutLastFlag(AlteredPdus):
    """alter_context_resp has no PFC_LAST_FRAG."""

    @override
    def alter(self, pdu: Pdu) -> Pdu:
        return replace(pdu, flags=pdu.flags & ~PfcFlags.LAST) if isinstance(pdu, AlterContextResp) else pdu


@violates("RPC-PDU-drep")
class ReservedOctetInDrep(AlteredResponses):
    """The last octet of packed_drep in responses is 1."""

    @override
    def alter_fragment(self, part: Response) -> Response:
        return replace(part, drep=part.drep[:3] + b"\x01")


@violates("RPC-PDU-drep")
class BigEndianHeaderInLaterFragments(AlteredResponses):
    """The second and later fragments of a response have a big-endian packed_drep and header."""

    @override
    def alter_fragments(self, parts: list[Response]) -> list[Response]:
        return [*parts[:1], *(replace(part, drep=BIG_ENDIAN) for part in parts[1:])]


@violates("RPC-CALLID-bind")
class BindNakWithCallIdZero(AlteredPdus):
    """bind_nak has call_id 0."""

    @override
    def alter(self, pdu: Pdu) -> Pdu:
        return replace(pdu, call_id=0) if isinstance(pdu, BindNak) else pdu


@violates("RPC-CALLID-echo")
class FaultsSentTwice(ServerConnection):
    """The server sends every fault twice."""

    @override
    def send_raw(self, octets: bytes) -> None:
        super().send_raw(octets * 2 if octets[2] == PduType.FAULT else octets)


# The fields of one PDU type


@violates("RPC-PDU-reserved")
class ReservedOctetOfResponses(AlteredResponses):
    """The reserved octet of responses is 0xFF."""

    @override
    def alter_fragment(self, part: Response) -> Response:
        return replace(part, reserved=0xFF)


@violates("RPC-PDU-reserved")
class ReservedFieldOfFaults(AlteredPdus):
    """The reserved field after the status of a fault repeats the status."""

    @override
    def alter(self, pdu: Pdu) -> Pdu:
        return replace(pdu, reserved2=pdu.status) if isinstance(pdu, FaultPdu) else pdu


@violates("RPC-PDU-reserved")
class ReservedOctetsAfterResults(ServerConnection):
    """The octets after n_results in bind_ack are 0xFF."""

    @override
    def send_raw(self, octets: bytes) -> None:
        pdu = unpack(octets)
        if isinstance(pdu, BindAck):
            start = (26 + len(pdu.secondary_address) + 3) // 4 * 4 + 1
            octets = octets[:start] + b"\xff" * 3 + octets[start + 3 :]
        super().send_raw(octets)


@violates("RPC-PDU-cancel-count")
class CancelCountOfOne(AlteredResponses):
    """cancel_count of responses is 1, also without a cancel."""

    @override
    def alter_fragment(self, part: Response) -> Response:
        return replace(part, cancel_count=1)


@violates("RPC-PDU-alloc-hint")
class AllocHintOfWholeResponse(AlteredResponses):
    """alloc_hint of every fragment is the length of the whole response."""

    @override
    def alter_fragments(self, parts: list[Response]) -> list[Response]:
        length = sum(len(part.stub) for part in parts)
        return [replace(part, alloc_hint=length) for part in parts]


@violates("RPC-PDU-alloc-hint")
class AllocHintTooLarge(AlteredResponses):
    """alloc_hint of responses counts the header of the PDU, too."""

    @override
    def alter_fragment(self, part: Response) -> Response:
        return replace(part, alloc_hint=(part.alloc_hint or 0) + 24)


@violates("RPC-FAULT-no-stub")
class StubDataInFaults(AlteredPdus):
    """Faults have the return value as stub data, too."""

    @override
    def alter(self, pdu: Pdu) -> Pdu:
        return replace(pdu, padding=bytes(8)) if isinstance(pdu, FaultPdu) else pdu


@violates("RPC-BIND-result-values")
class RejectedResultsNameNdr(AlteredBindAck):
    """The result of a rejected presentation context has the transfer syntax NDR instead of zeros."""

    @override
    def alter_bind_ack(self, ack: BindAck) -> BindAck:
        results = tuple(
            result if result.accepted else replace(result, transfer=NDR32) for result in ack.results
        )
        return replace(ack, results=results)


# The sec_trailer


class AlteredTrailers(Authenticator):
    """A server that sends what `alter_trailer` makes of the sec_trailer of each acknowledgement."""

    @override
    def with_token(self, ack: Ack, leg: Leg | None) -> Ack:
        """Return an answer with a token, and with another sec_trailer."""
        answer = super().with_token(ack, leg)
        if answer.trailer is None:
            return answer
        return replace(answer, trailer=self.alter_trailer(answer.trailer))

    def alter_trailer(self, trailer: SecTrailer) -> SecTrailer:
        """Return the sec_trailer to send instead."""
        raise NotImplementedError


@violates("RPC-AUTH-ack-trailer")
class AcksNameContextZero(AlteredTrailers):
    """The sec_trailer of bind_ack and alter_context_resp has auth_context_id 0."""

    @override
    def alter_trailer(self, trailer: SecTrailer) -> SecTrailer:
        return replace(trailer, context_id=0)


@violates("RPC-AUTH-ack-trailer")
class AcksCountMorePadding(AlteredTrailers):
    """auth_pad_length of bind_ack and alter_context_resp is 16 more than the padding."""

    @override
    def alter_trailer(self, trailer: SecTrailer) -> SecTrailer:
        return replace(trailer, pad_length=trailer.pad_length + 16)


@violates("RPC-AUTH-reserved")
class AuthReservedSet(AlteredTrailers):
    """auth_reserved of bind_ack and alter_context_resp is 1."""

    @override
    def alter_trailer(self, trailer: SecTrailer) -> SecTrailer:
        return replace(trailer, reserved=1)


@violates("RPC-AUTH-leg-context")
class LaterLegsOfAnyContext(Authenticator):
    """A later leg completes the security context of the bind, whatever its auth_context_id is."""

    @override
    def leg(self, pdu: Bind, *, multiplexing: bool) -> Leg | None:
        return super().leg(self._of_the_bind(pdu), multiplexing=multiplexing)

    @override
    def auth3(self, pdu: Auth3) -> None:
        super().auth3(self._of_the_bind(pdu))

    def _of_the_bind(self, pdu: LegPdu) -> LegPdu:
        incomplete = [
            entry
            for entry in self._connection.security.values()
            if not (entry.context.complete or entry.error)
        ]
        if pdu.trailer is None or not incomplete or pdu.trailer.context_id in self._connection.security:
            return pdu
        return replace(pdu, trailer=replace(pdu.trailer, context_id=incomplete[0].id))


LegPdu = TypeVar("LegPdu", "Bind", "Auth3")
