"""The replaceable classes of a node: the place where a fault takes effect."""

from __future__ import annotations

from dataclasses import dataclass

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.service import WitnessService


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes a node is put together from: replace one, and the node does one thing otherwise.

    Attributes:
        rpc_server: carries the witness interface; the endpoint mapper has one of its own.
    """

    service: type[WitnessService] = WitnessService
    endpoint: type[WitnessEndpoint] = WitnessEndpoint
    rpc_server: type[RpcServer] = RpcServer
    mapper: type[EndpointMapper] = EndpointMapper
    acceptor: type[Acceptor] = Acceptor
