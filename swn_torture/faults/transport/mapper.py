"""The endpoint mapper: endpoints that are missing or wrong."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.epm.messages import EptStatus, LookupEntry, MapRequest, MapResponse
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import violates

if TYPE_CHECKING:
    from swn_torture.dcerpc.epm.endpoint_mapper import EndpointEntry
    from swn_torture.dcerpc.server.interface import ServerCall


@violates("RPC-EPM-lookup")
class WitnessNotRegistered(EndpointMapper):
    """The endpoint mapper does not know the witness interface."""

    @override
    def find_towers(self, call: ServerCall, request: MapRequest) -> list[LookupEntry]:
        return []


@violates("RPC-EPM-each-node")
class OnlyFirstNodeRegistered(EndpointMapper):
    """Only the endpoint mapper of the first node knows the witness interface."""

    @override
    def find_towers(self, call: ServerCall, request: MapRequest) -> list[LookupEntry]:
        first = call.connection.local[0].endswith(".1")
        return super().find_towers(call, request) if first else []


@violates("RPC-EPM-not-registered")
class AnythingRegistered(EndpointMapper):
    """The endpoint mapper returns the witness endpoint for every interface."""

    @override
    def find_towers(self, call: ServerCall, request: MapRequest) -> list[LookupEntry]:
        found = super().find_towers(call, request)
        return found or [
            LookupEntry(tower.pack(), entry.object, entry.annotation) for entry, tower in self.elements(call)
        ]


@violates("RPC-EPM-not-registered")
class NotRegisteredSucceeds(EndpointMapper):
    """For an unregistered interface the endpoint mapper returns success without towers."""

    @override
    def page_of(self, call: ServerCall, found: Any, handle: bytes, most: int) -> Any:
        status, page, handle = super().page_of(call, found, handle, most)
        return (EptStatus.OK if status == EptStatus.NOT_REGISTERED else status), page, handle


@violates("RPC-EPM-not-registered")
class NotRegisteredFaults(EndpointMapper):
    """For an unregistered interface the endpoint mapper sends a fault."""

    @override
    def map_towers(self, call: ServerCall) -> bytes | int:
        answer = super().map_towers(call)
        if isinstance(answer, bytes) and MapResponse.unpack(answer).status == EptStatus.NOT_REGISTERED:
            return FaultStatus.EPT_S_NOT_REGISTERED
        return answer


class WrongTowers(EndpointMapper):
    """An endpoint mapper with `address_of` in its towers."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        found = super().elements(call)
        local = ip_address(call.connection.local[0])
        if not isinstance(local, IPv4Address):
            return found
        named = self.address_of(local)
        return [
            (entry, Tower.of_tcp(entry.interface, entry.port, named, tower.transfer_syntax))
            for entry, tower in found
        ]

    def address_of(self, local: IPv4Address) -> IPv4Address:
        """The address to write, for the one at which the caller called."""
        return local


@violates("RPC-EPM-own-address")
class TowersNameNextNode(WrongTowers):
    """The towers of the endpoint mapper have the address of another node."""

    @override
    def address_of(self, local: IPv4Address) -> IPv4Address:
        return local + 1 if int(local) % 256 == 1 else local - 1


@violates("RPC-EPM-own-address")
class TowersNameFirstNode(WrongTowers):
    """The towers of every endpoint mapper have the address of the first node."""

    @override
    def address_of(self, local: IPv4Address) -> IPv4Address:
        return IPv4Address(int(local) & ~0xFF | 1)
