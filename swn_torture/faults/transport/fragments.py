"""Fragments and TCP segments: octets that are split or joined wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.dcerpc.pdu.header import HEADER_SIZE, PduType, PfcFlags
from swn_torture.dcerpc.pdu.pdus import Response, unpack
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.request_assembly import AssembledRequest, Rejection, RequestAssembler
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import violates, with_rpc

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.header import Header
    from swn_torture.dcerpc.pdu.pdus import Request
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.config import ClusterConfig

# Responses


@violates("RPC-FRAG-response")
class ResponsesNotCut(ServerConnection):
    """The server sends every response as one fragment, whatever its length."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        agreed, self.max_xmit = self.max_xmit, 0xFFFF
        octets = super().response(call, stub, entry)
        self.max_xmit = agreed
        return octets


@violates("RPC-FRAG-response")
class FragmentsALittleLong(ServerConnection):
    """Response fragments exceed the negotiated size by 32 octets."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        self.max_xmit += 32
        octets = super().response(call, stub, entry)
        self.max_xmit -= 32
        return octets


class AlteredFragmentFlags(ServerConnection):
    """A server that sends the fragments of a response with the flags from `fragment_flags`."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        """Build the fragments of a response, with other flags."""
        parts = [unpack(octets) for octets in super().response(call, stub, None)]
        flagged = [replace(part, flags=self.fragment_flags(n, len(parts))) for n, part in enumerate(parts)]
        responses = [part for part in flagged if isinstance(part, Response)]
        return [part.pack() if entry is None else entry.protect(part) for part in responses]

    def fragment_flags(self, index: int, count: int) -> int:
        """Return the flags of one of `count` fragments."""
        raise NotImplementedError


@violates("RPC-FRAG-response")
class EveryFragmentFirst(AlteredFragmentFlags):
    """PFC_FIRST_FRAG is set on every response fragment."""

    @override
    def fragment_flags(self, index: int, count: int) -> int:
        return PfcFlags.FIRST | (PfcFlags.LAST if index == count - 1 else 0)


@violates("RPC-FRAG-response")
class LastFragmentNotMarked(AlteredFragmentFlags):
    """PFC_LAST_FRAG is missing on a response of several fragments."""

    @override
    def fragment_flags(self, index: int, count: int) -> int:
        return (PfcFlags.FIRST if index == 0 else 0) | (PfcFlags.LAST if count == 1 else 0)


@violates("RPC-FRAG-response-each-protected")
class OnlyFirstFragmentSigned(ServerConnection):
    """Only the first fragment of a response has a verifier."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        plain = super().response(call, stub, None)
        first = unpack(plain[0])
        if entry is None or not isinstance(first, Response):
            return plain
        return [entry.protect(first), *plain[1:]]


# Requests


@violates("RPC-FRAG-request")
class OnlyFirstFragmentRead(RequestAssembler):
    """The server processes a request after its first fragment."""

    @override
    def add(self, pdu: Request) -> AssembledRequest | None:
        return super().add(replace(pdu, flags=pdu.flags | PfcFlags.LAST))


@violates("RPC-FRAG-request")
class FragmentsJoinedBackwards(RequestAssembler):
    """The server joins the fragments of a request in reverse order."""

    @override
    def add(self, pdu: Request) -> AssembledRequest | None:
        parts = [*self._parts, pdu]
        whole = super().add(pdu)
        return whole and replace(whole, stub=b"".join(part.stub for part in reversed(parts)))


@violates("RPC-FRAG-request-too-large")
def requests_without_limit(config: ClusterConfig) -> ClusterConfig:
    """The server accepts a request of any size."""
    return with_rpc(config, max_request=1 << 30)


@violates("RPC-FRAG-request-too-large")
def requests_of_64_kilobytes(config: ClusterConfig) -> ClusterConfig:
    """The server rejects a request of more than 64 kB."""
    return with_rpc(config, max_request=0x10000)


@violates("RPC-FRAG-oversize")
class FragmentsOfAnySize(ServerConnection):
    """The server accepts a request fragment of any size, whatever was negotiated."""

    @override
    def fragment_limit(self, header: Header) -> int:
        return 0xFFFF


@violates("RPC-FRAG-bad-order", "RPC-FAULT-protocol-error")
class StrayFragmentsIgnored(RequestAssembler):
    """The server ignores a fragment that continues no request."""

    @override
    def admit(self, pdu: Request, pending: Any, *, may_start: bool) -> bool:
        try:
            return super().admit(pdu, pending, may_start=may_start)
        except Rejection:
            if pdu.flags & PfcFlags.FIRST:
                raise
            return False


@violates("RPC-FRAG-bad-order", "RPC-FAULT-protocol-error")
class StrayFragmentsServed(RequestAssembler):
    """The server processes a fragment that continues no request as a request."""

    @override
    def admit(self, pdu: Request, pending: Any, *, may_start: bool) -> bool:
        return super().admit(replace(pdu, flags=pdu.flags | PfcFlags.FIRST), pending, may_start=may_start)


@violates("RPC-CALLID-old-fragment", seen_in="Samba 4.22")
class OldFragmentsRefused(RequestAssembler):
    """The server answers a late fragment of a completed call with a protocol error."""

    @override
    def admit(self, pdu: Request, pending: Any, *, may_start: bool) -> bool:
        due = super().admit(pdu, pending, may_start=may_start)
        if not due:
            raise Rejection(FaultStatus.NCA_S_PROTO_ERROR, "a fragment of a call that is over", close=True)
        return due


# Octets


@violates("RPC-FRAG-tcp-segmentation")
class SegmentsArePdus(ServerConnection):
    """The server drops a PDU that arrives in parts, and octets that arrive together with a request."""

    @override
    def receive_data(self, octets: bytes | bytearray | memoryview) -> None:
        data = bytes(octets)
        while len(data) >= 16 and len(data) >= (length := int.from_bytes(data[8:10], "little")):
            first, data = data[: max(16, length)], data[max(16, length) :]
            super().receive_data(first)
            if first[2] == PduType.REQUEST:
                return


@violates("RPC-FRAG-short-header")
class ShortHeadersHang(ServerConnection):
    """After a PDU with a frag_length below 16 the server processes nothing more on the connection."""

    _ignores_input = False
    _from_pdu = b""
    """The octets received since the beginning of the last incomplete PDU."""

    @override
    def receive_data(self, octets: bytes | bytearray | memoryview) -> None:
        if self._ignores_input:
            return
        data = bytes(octets)
        self._from_pdu += data
        while len(self._from_pdu) >= HEADER_SIZE and not self._ignores_input:
            length = int.from_bytes(self._from_pdu[8:10], "little")
            self._ignores_input = length < HEADER_SIZE
            if self._ignores_input or length > len(self._from_pdu):
                break
            self._from_pdu = self._from_pdu[length:]
        super().receive_data(data[: -len(self._from_pdu)] if self._ignores_input else data)
