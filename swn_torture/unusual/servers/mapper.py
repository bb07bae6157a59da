"""Unusual endpoint mappers."""

from __future__ import annotations

import asyncio
import uuid
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointEntry, EndpointMapper
from swn_torture.dcerpc.epm.messages import EpmOpnum
from swn_torture.dcerpc.epm.towers import Floor, FloorProtocol, Tower
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, SyntaxId
from swn_torture.unusual.registry import Unusual

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import ServerCall

_OTHER_INTERFACES = (
    SyntaxId(uuid.UUID("367abb81-9844-35f1-ad32-98f038001003"), 2),  # the service control manager
    SyntaxId(uuid.UUID("338cd001-2244-31f1-aaaa-900038001003"), 1),  # the remote registry
    SyntaxId(uuid.UUID("b97db8b2-4c63-11cf-bff6-08002be23f2f"), 3),  # the cluster service
)
"""Interfaces that another process of the node registers."""


_CLOSED_PORT = 1
"""A TCP port at which no service of a test machine listens."""


class _WithoutLookup(EndpointMapper):
    """ept_lookup is not served."""

    @override
    def call(self, call: ServerCall) -> None:
        if call.opnum in {EpmOpnum.LOOKUP, EpmOpnum.LOOKUP_HANDLE_FREE}:
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)
        else:
            super().call(call)


class _RefusesAuthenticatedCallers(EndpointMapper):
    """Every call of an authenticated caller ends in a fault."""

    @override
    def call(self, call: ServerCall) -> None:
        if call.caller.auth_type != AuthType.NONE:
            call.fault(FaultStatus.ERROR_ACCESS_DENIED)
        else:
            super().call(call)


class _WithOtherTransports(EndpointMapper):
    """The map has named pipes and other interfaces before the witness endpoint."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        own = super().elements(call)
        pipes = [(entry, _pipe(entry.interface)) for entry, _ in own]
        others = [EndpointEntry(interface, 49_000 + n) for n, interface in enumerate(_OTHER_INTERFACES)]
        foreign = [(entry, Tower.of_tcp(entry.interface, entry.port)) for entry in others]
        return [*pipes, *foreign, *own]


class _WithSeveralEntries(EndpointMapper):
    """The witness endpoint is registered several times."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        return [*super().elements(call), *super().elements(call)]


class _WithStaleEntries(EndpointMapper):
    """The map still has the witness endpoint of a process that has ended, before the one in use."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        own = super().elements(call)
        stale = [
            (entry, Tower.of_tcp(entry.interface, _CLOSED_PORT, transfer_syntax=tower.transfer_syntax))
            for entry, tower in own
        ]
        return [*stale, *own]


class _WithNdr32Only(EndpointMapper):
    """The map has towers with NDR32 only, although the endpoint also serves NDR64, as in Samba."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        return [(e, tower) for e, tower in super().elements(call) if tower.transfer_syntax == NDR32]


class _WithOtherAddresses(EndpointMapper):
    """The towers have an address that is not the one that the caller uses."""

    address = IPv4Address(0)

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        return [
            (entry, Tower.of_tcp(entry.interface, entry.port, self.address, tower.transfer_syntax))
            for entry, tower in super().elements(call)
        ]


class _WithInnerAddresses(_WithOtherAddresses):
    """The towers have the address of the node behind a network address translation."""

    address = IPv4Address("198.18.7.1")


class SlowMapper(EndpointMapper):
    """Every answer of the endpoint mapper comes 0.4 s late."""

    @override
    def call(self, call: ServerCall) -> None:
        asyncio.get_running_loop().call_later(0.4, super().call, call)


def _pipe(interface: SyntaxId) -> Tower:
    """Return the tower of an interface at a named pipe (ncacn_np)."""
    floors = Tower.of_tcp(interface).floors[:3]
    pipe = Floor(bytes([FloorProtocol.NAMED_PIPE]), b"\\PIPE\\witness\0")
    host = Floor(bytes([FloorProtocol.NETBIOS]), b"\\\\NODE\0")
    return Tower((*floors, pipe, host))


SERVERS = (
    Unusual(
        name="mapper-without-lookup",
        summary="The endpoint mapper does not serve ept_lookup.",
        conforms="MS-SWN 2.1: a client finds the endpoint by the endpoint mapper; for that it calls ept_map.",
        parts=(_WithoutLookup,),
    ),
    Unusual(
        name="mapper-refuses-authenticated",
        summary="The endpoint mapper accepts authenticated binds, and completes their calls with a fault.",
        conforms="MS-SWN 2.1, MS-RPCE 2.1.1.1: no text lets a client authenticate to the endpoint mapper.",
        parts=(_RefusesAuthenticatedCallers,),
    ),
    Unusual(
        name="mapper-without-authentication",
        summary="The endpoint mapper rejects authenticated binds, and confirms no header signing.",
        conforms="MS-RPCE 3.3.1.5.2: a server chooses for which interfaces it accepts authentication.",
        settings={"mapper_authentication": False},
    ),
    Unusual(
        name="mapper-with-other-transports",
        summary="The endpoint map also has named pipes, and other interfaces before the witness endpoint.",
        conforms="C706 Appendix O: the map has an element for each binding of each interface.",
        parts=(_WithOtherTransports,),
    ),
    Unusual(
        name="mapper-with-several-entries",
        summary="The endpoint map has every element of the witness endpoint twice.",
        conforms="C706 Appendix O: ept_map returns as many towers as match.",
        parts=(_WithSeveralEntries,),
    ),
    Unusual(
        name="mapper-with-stale-entries",
        summary="The endpoint map first has a witness endpoint at which no process listens any more.",
        conforms="C706 Appendix O: a server removes its elements itself; a client tries the next one.",
        parts=(_WithStaleEntries,),
    ),
    Unusual(
        name="mapper-with-ndr32-only",
        summary="The endpoint map has towers with NDR32 only, although NDR64 is served.",
        conforms="C706 Appendix L: a tower names one transfer syntax; the bind negotiates it.",
        parts=(_WithNdr32Only,),
    ),
    Unusual(
        name="mapper-without-addresses",
        summary="The towers of the endpoint map have the address 0.0.0.0.",
        conforms="MS-RPCE 3.1.3.5.3: the network address of a tower is ignored.",
        parts=(_WithOtherAddresses,),
    ),
    Unusual(
        name="mapper-with-inner-addresses",
        summary="The towers of the endpoint map have an address that clients do not know.",
        conforms="MS-RPCE 3.1.3.5.3: the network address of a tower is ignored.",
        parts=(_WithInnerAddresses,),
    ),
)
