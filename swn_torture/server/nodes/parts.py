"""The replaceable classes of a node. A fault or an unusual server replaces some of them by subclasses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.authentication import Authenticator
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.request_assembly import RequestAssembler
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.server.state.responses import Responder
from swn_torture.server.state.service import WitnessService

if TYPE_CHECKING:
    from collections.abc import Iterable


class MapperConnection(ServerConnection):
    """A connection to the endpoint mapper, so that it can be replaced without those to the witness server."""


class PartError(TypeError):
    """A class does not replace a part of the server; the text lists the replaceable parts."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes that a node instantiates.

    Attributes:
        service: the state machine of the witness server.
        endpoint: the witness interface on the RPC server.
        rpc_server: the RPC server of the witness interface. The endpoint mapper has one of its own.
        mapper: the endpoint mapper.
        mapper_connection: a connection to the endpoint mapper.
        acceptor: the server side of authentication.
    """

    service: type[WitnessService] = WitnessService
    endpoint: type[WitnessEndpoint] = WitnessEndpoint
    rpc_server: type[RpcServer] = RpcServer
    mapper: type[EndpointMapper] = EndpointMapper
    mapper_connection: type[MapperConnection] = MapperConnection
    acceptor: type[Acceptor] = Acceptor


class Slot(NamedTuple):
    """Where a server keeps the class of one replaceable part.

    Attributes:
        holder: the class with the attribute.
        attribute: its name; its value is the class of the part.
    """

    holder: type
    attribute: str


#: The replaceable parts of a server. A part stands before its holder, so that `with_parts` can replace both.
REPLACEABLE_PARTS: dict[type, Slot] = {
    Responder: Slot(WitnessService, "responder"),
    RegistrationChecks: Slot(WitnessService, "registration_checks"),
    WitnessService: Slot(Parts, "service"),
    WitnessEndpoint: Slot(Parts, "endpoint"),
    RequestAssembler: Slot(ServerConnection, "assembler"),
    Authenticator: Slot(ServerConnection, "authenticator"),
    MapperConnection: Slot(Parts, "mapper_connection"),
    ServerConnection: Slot(RpcServer, "connection"),
    RpcServer: Slot(Parts, "rpc_server"),
    EndpointMapper: Slot(Parts, "mapper"),
    Acceptor: Slot(Parts, "acceptor"),
}


def with_parts(parts: Parts, classes: Iterable[type]) -> Parts:
    """Return the classes of a node with some of them replaced.

    Args:
        parts: the classes of the node.
        classes: subclasses of replaceable parts.

    Raises:
        PartError: a class is not a subclass of a replaceable part.
    """
    replaced = {replaced_part(part): part for part in classes}
    for original, (holder, attribute) in REPLACEABLE_PARTS.items():
        part = replaced.get(original)
        if part is not None and holder is not Parts:
            base = replaced.get(holder, holder)
            replaced[holder] = type(f"Altered{holder.__name__}", (base,), {attribute: part})
    changes = {
        attribute: replaced[original]
        for original, (holder, attribute) in REPLACEABLE_PARTS.items()
        if holder is Parts and original in replaced
    }
    return dataclasses.replace(parts, **changes)


def replaced_part(part: type) -> type:
    """Return the part of the conforming server that `part` replaces.

    Raises:
        PartError: `part` is not a subclass of a replaceable part.
    """
    for original in REPLACEABLE_PARTS:
        if issubclass(part, original):
            return original
    known = ", ".join(original.__name__ for original in REPLACEABLE_PARTS)
    raise PartError(f"{part.__name__} does not replace a part of the server; replaceable: {known}")
