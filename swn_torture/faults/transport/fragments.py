"""Fragments and segments: octets that are cut or put together wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.dcerpc.pdu.header import PduType, PfcFlags
from swn_torture.dcerpc.pdu.pdus import Response, unpack
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.request_assembly import Incoming, Rejection, RequestAssembler
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
    """A response is one fragment, however long."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        agreed, self.max_xmit = self.max_xmit, 0xFFFF
        octets = super().response(call, stub, entry)
        self.max_xmit = agreed
        return octets


@violates("RPC-FRAG-response")
class FragmentsALittleLong(ServerConnection):
    """Fragments of a response exceed the agreed size by the verifier."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        self.max_xmit += 32
        octets = super().response(call, stub, entry)
        self.max_xmit -= 32
        return octets


class Flags(ServerConnection):
    """A server that sends the fragments of a response with other flags."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        """Build the fragments of a response."""
        parts = [unpack(octets) for octets in super().response(call, stub, None)]
        flagged = [replace(part, flags=self.flags(n, len(parts))) for n, part in enumerate(parts)]
        responses = [part for part in flagged if isinstance(part, Response)]
        return [part.pack() if entry is None else entry.protect(part) for part in responses]

    def flags(self, index: int, count: int) -> int:
        """The flags of a fragment."""
        raise NotImplementedError


@violates("RPC-FRAG-response")
class EveryFragmentFirst(Flags):
    """PFC_FIRST_FRAG is set on every fragment."""

    @override
    def flags(self, index: int, count: int) -> int:
        return PfcFlags.FIRST | (PfcFlags.LAST if index == count - 1 else 0)


@violates("RPC-FRAG-response")
class LastFragmentNotMarked(Flags):
    """PFC_LAST_FRAG is missing where a response has several fragments."""

    @override
    def flags(self, index: int, count: int) -> int:
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
    """A request ends with its first fragment."""

    @override
    def add(self, pdu: Request) -> Incoming | None:
        return super().add(replace(pdu, flags=pdu.flags | PfcFlags.LAST))


@violates("RPC-FRAG-request")
class FragmentsJoinedBackwards(RequestAssembler):
    """The fragments of a request are put together in the reverse order."""

    @override
    def add(self, pdu: Request) -> Incoming | None:
        parts = [*self._parts, pdu]
        whole = super().add(pdu)
        return whole and replace(whole, stub=b"".join(part.stub for part in reversed(parts)))


@violates("RPC-FRAG-request-too-large")
def requests_without_limit(config: ClusterConfig) -> ClusterConfig:
    """A request may have any number of octets."""
    return with_rpc(config, max_request=1 << 30)


@violates("RPC-FRAG-request-too-large")
def requests_of_64_kilobytes(config: ClusterConfig) -> ClusterConfig:
    """A request of more than 64 kB is refused."""
    return with_rpc(config, max_request=0x10000)


@violates("RPC-FRAG-oversize")
class FragmentsOfAnySize(ServerConnection):
    """A fragment may be as long as its header can tell."""

    @override
    def fragment_limit(self, header: Header) -> int:
        return 0xFFFF


@violates("RPC-FRAG-bad-order", "RPC-FAULT-protocol-error")
class StrayFragmentsIgnored(RequestAssembler):
    """A fragment that continues nothing is ignored."""

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
    """A fragment that continues nothing is taken for a request."""

    @override
    def admit(self, pdu: Request, pending: Any, *, may_start: bool) -> bool:
        return super().admit(replace(pdu, flags=pdu.flags | PfcFlags.FIRST), pending, may_start=may_start)


@violates("RPC-CALLID-old-fragment")
class OldFragmentsRefused(RequestAssembler):
    """A late fragment of a call that is over is a protocol error."""

    @override
    def admit(self, pdu: Request, pending: Any, *, may_start: bool) -> bool:
        due = super().admit(pdu, pending, may_start=may_start)
        if not due:
            raise Rejection(FaultStatus.NCA_S_PROTO_ERROR, "a fragment of a call that is over", close=True)
        return due


# Octets


@violates("RPC-FRAG-tcp-segmentation")
class SegmentsArePdus(ServerConnection):
    """A PDU that does not arrive whole at once is dropped, as is what arrives at once behind a request."""

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
    """A PDU whose length is less than that of a header is waited for without end."""

    _stuck = False

    @override
    def receive_data(self, octets: bytes | bytearray | memoryview) -> None:
        data = bytes(octets)
        self._stuck |= len(data) >= 16 and int.from_bytes(data[8:10], "little") < 16
        if not self._stuck:
            super().receive_data(data)
