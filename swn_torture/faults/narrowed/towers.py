"""Towers of the endpoint mapper that are wrong in one call, or at one address."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.epm.messages import EpmOpnum
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.faults.registry import violates
from swn_torture.faults.transport.mapper import TowersNameNextNode

if TYPE_CHECKING:
    from swn_torture.dcerpc.epm.endpoint_mapper import EndpointEntry
    from swn_torture.dcerpc.server.interface import ServerCall


@violates("RPC-EPM-own-address")
class MapNamesNextNode(TowersNameNextNode):
    """The towers that ept_map returns have the address of another node."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        return super().elements(call) if call.opnum == EpmOpnum.MAP else EndpointMapper.elements(self, call)


@violates("RPC-EPM-own-address")
class LookupNamesNextNode(TowersNameNextNode):
    """The towers that ept_lookup returns have the address of another node."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        return (
            super().elements(call) if call.opnum == EpmOpnum.LOOKUP else EndpointMapper.elements(self, call)
        )


@violates("RPC-EPM-each-node")
class OtherPortOnLookup(EndpointMapper):
    """ept_lookup returns another TCP port than ept_map."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        return (
            _with_next_port(super().elements(call))
            if call.opnum == EpmOpnum.LOOKUP
            else super().elements(call)
        )


@violates("RPC-EPM-each-node")
class OtherPortAtIpv6Address(EndpointMapper):
    """A caller that uses an IPv6 address gets another TCP port."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        found = super().elements(call)
        if isinstance(ip_address(call.connection.local[0].partition("%")[0]), IPv6Address):
            return _with_next_port(found)
        return found


def _with_next_port(found: list[tuple[EndpointEntry, Tower]]) -> list[tuple[EndpointEntry, Tower]]:
    return [
        (
            replace(entry, port=entry.port + 1),
            Tower.of_tcp(entry.interface, entry.port + 1, tower.address, tower.transfer_syntax),
        )
        for entry, tower in found
    ]
