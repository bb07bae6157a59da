"""The replaceable classes of a node. A fault replaces one of them by a subclass."""

from __future__ import annotations

from dataclasses import dataclass

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.service import WitnessService


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes that a node instantiates.

    Attributes:
        service: the state machine of the witness server.
        endpoint: the witness interface on the RPC server.
        rpc_server: the RPC server of the witness interface. The endpoint mapper has its own, not replaceable.
        mapper: the endpoint mapper.
        acceptor: the server side of authentication.
    """

    service: type[WitnessService] = WitnessService
    endpoint: type[WitnessEndpoint] = WitnessEndpoint
    rpc_server: type[RpcServer] = RpcServer
    mapper: type[EndpointMapper] = EndpointMapper
    acceptor: type[Acceptor] = Acceptor
