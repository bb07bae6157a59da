"""The first answers of a server: defects that stop a client before its first call.

A client meets them at the endpoint mapper or at its bind: it does not learn where the witness endpoint is, or
cannot use the connection.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.epm.messages import EptStatus, LookupEntry, MapRequest, MapResponse
from swn_torture.dcerpc.epm.towers import FloorProtocol, Tower
from swn_torture.dcerpc.pdu.bind import BindAck
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Response, unpack
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import part_of, violates
from swn_torture.faults.transport.binding import AlteredBindAck, AlteredNegotiation
from swn_torture.server.nodes.parts import MapperConnection

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.dcerpc.server.negotiation import NegotiationResult

# Call ids
# ----------------------------------------------------------------------------------------------------------


@violates("RPC-CALLID-echo")
class CallIdOneHigher(ServerConnection):
    """Responses carry the call_id of the request plus one."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        own, call.call_id = call.call_id, call.call_id + 1
        octets = super().response(call, stub, entry)
        call.call_id = own
        return octets


@violates("RPC-CALLID-bind")
class BindAckWithCallIdZero(AlteredBindAck):
    """bind_ack and alter_context_resp carry call_id 0."""

    @override
    def alter_bind_ack(self, ack: BindAck) -> BindAck:
        return replace(ack, call_id=0)


def _without_call_id(octets: bytes) -> bytes:
    """A bind_ack or fault, or a response without a verifier, with call_id 0; other octets as they are."""
    pdu = unpack(octets)
    signed = isinstance(pdu, Response) and pdu.trailer is not None
    return (
        replace(pdu, call_id=0).pack()
        if isinstance(pdu, BindAck | FaultPdu | Response) and not signed
        else octets
    )


# A response is wrong, too, but no client that rejects the bind_ack gets one.
@violates("RPC-CALLID-bind", near=("RPC-CALLID-echo",))
class CallIdZeroEverywhere(ServerConnection):
    """bind_ack, responses and faults carry call_id 0, those of the endpoint mapper, too."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        own, call.call_id = call.call_id, 0
        octets = super().response(call, stub, entry)
        call.call_id = own
        return octets

    @override
    def send_raw(self, octets: bytes) -> None:
        super().send_raw(_without_call_id(octets))


@part_of(CallIdZeroEverywhere)
class MapperCallIdZero(MapperConnection):
    """The endpoint mapper of this fault."""

    @override
    def send_raw(self, octets: bytes) -> None:
        super().send_raw(_without_call_id(octets))


# Results of a bind
# ----------------------------------------------------------------------------------------------------------


@violates("RPC-BIND-result-order")
class OneResultOnly(AlteredNegotiation):
    """bind_ack has one result, however many contexts were proposed."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        return replace(negotiation, results=negotiation.results[:1])


@violates("RPC-BIND-result-order")
class OneResultEverywhere(OneResultOnly):
    """bind_ack has no result for the last context, that of the endpoint mapper, too."""

    @override
    def alter_negotiation(self, pdu: Bind, negotiation: NegotiationResult) -> NegotiationResult:
        return replace(negotiation, results=negotiation.results[:-1])


@part_of(OneResultEverywhere)
class MapperResultMissing(MapperConnection):
    """The endpoint mapper of this fault."""

    @override
    def negotiate_contexts(self, pdu: Bind) -> NegotiationResult:
        negotiation = super().negotiate_contexts(pdu)
        return replace(negotiation, results=negotiation.results[:-1])


@violates("RPC-BIND-result-order")
class BindAckCutShort(ServerConnection):
    """bind_ack ends before its last result."""

    @override
    def send_raw(self, octets: bytes) -> None:
        pdu = unpack(octets)
        if isinstance(pdu, BindAck) and pdu.results:
            # n_results counts the missing one, too.
            whole = replace(pdu, trailer=None, auth_value=b"", padding=b"").pack()
            octets = whole[:8] + struct.pack("<HH", len(whole) - 24, 0) + whole[12:-24]
        super().send_raw(octets)


@violates("RPC-BIND-result-order")
class BindsClosed(ServerConnection):
    """The server closes the connection at every bind."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        self.closing = True


# Security
# ----------------------------------------------------------------------------------------------------------


@violates("RPC-AUTH-three-leg")
class TokensIgnored(ServerConnection):
    """The server accepts every bind, ignores its token, and protects nothing."""

    @override
    def on_bind(self, pdu: Bind) -> None:
        super().on_bind(replace(pdu, trailer=None, auth_value=b"", padding=b""))


# Endpoint mapper
# ----------------------------------------------------------------------------------------------------------


class AlteredTowers(EndpointMapper):
    """An endpoint mapper that returns what `alter` makes of the port of each tower."""

    @override
    def find_towers(self, call: ServerCall, request: MapRequest) -> list[LookupEntry]:
        found = super().find_towers(call, request)
        return [replace(each, tower=self.alter(call, each.tower or b"")) for each in found]

    def alter(self, call: ServerCall, tower: bytes) -> bytes:
        """Return the octets of the tower to send instead."""
        return tower


def _with_port(tower: bytes, port: bytes) -> bytes:
    floors = Tower.unpack(tower).floors
    return Tower(
        tuple(replace(floor, rhs=port) if floor.protocol == FloorProtocol.TCP else floor for floor in floors)
    ).pack()


@violates("RPC-EPM-lookup", "RPC-EPM-each-node")
class PortLittleEndian(AlteredTowers):
    """The port in a tower is little-endian."""

    @override
    def alter(self, call: ServerCall, tower: bytes) -> bytes:
        return _with_port(tower, struct.pack("<H", Tower.unpack(tower).port or 0))


@violates("RPC-EPM-lookup", "RPC-EPM-each-node")
class PortOfEndpointMapper(AlteredTowers):
    """Every tower names the port of the endpoint mapper itself."""

    @override
    def alter(self, call: ServerCall, tower: bytes) -> bytes:
        return _with_port(tower, struct.pack(">H", call.connection.local[1]))


@violates("RPC-EPM-each-node")
class WrongPortElsewhere(AlteredTowers):
    """The endpoint mappers of all nodes but the first return a port at which nobody listens."""

    @override
    def alter(self, call: ServerCall, tower: bytes) -> bytes:
        return tower if call.connection.local[0].endswith(".1") else _with_port(tower, struct.pack(">H", 1))


@violates("RPC-EPM-lookup", "RPC-EPM-each-node")
class TowerCutShort(AlteredTowers):
    """The towers of ept_map lack their last octets."""

    @override
    def alter(self, call: ServerCall, tower: bytes) -> bytes:
        return tower[:-6]


@violates("RPC-EPM-lookup", "RPC-EPM-each-node")
class TowerWithoutPort(AlteredTowers):
    """The towers of ept_map have no floor for TCP."""

    @override
    def alter(self, call: ServerCall, tower: bytes) -> bytes:
        return Tower(Tower.unpack(tower).floors[:3]).pack()


@violates("RPC-EPM-lookup", "RPC-EPM-each-node")
class MapWithoutTowers(EndpointMapper):
    """ept_map returns success and no tower."""

    @override
    def map_towers(self, call: ServerCall) -> bytes | int:
        most = MapRequest.unpack(call.stub, call.byte_order).max_towers
        return MapResponse((), EptStatus.OK, max_towers=most).pack()


@violates("RPC-EPM-lookup", "RPC-EPM-each-node")
class MapFaults(EndpointMapper):
    """The endpoint mapper sends a fault for every ept_map."""

    @override
    def map_towers(self, call: ServerCall) -> bytes | int:
        return FaultStatus.NCA_S_OP_RNG_ERROR
