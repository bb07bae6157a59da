"""What the endpoint mapper of a node says about the witness endpoint, and what is wrong with that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.casekit.blame import blame_of
from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapperError, NotRegistered, ept_map
from swn_torture.dcerpc.epm.ports import listening_port
from swn_torture.dcerpc.errors import ConnectionLost, Fault, RemoteProtocolError, RpcError
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.harness.preflight.findings import PreflightFinding
from swn_torture.harness.preflight.logon import DENIALS
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress

#: Seconds to wait for an endpoint mapper that the profile makes unnecessary.
_OPTIONAL_MAPPER_S = 2.0

#: The endpoint mapper of each node with a witness service returns the endpoint of that node.
EACH_NODE = "RPC-EPM-each-node"
_EXPECTED = "the TCP port of the witness endpoint of this node"


@dataclass(frozen=True, slots=True)
class Mapped:
    """What an endpoint mapper answered.

    Attributes:
        port: the TCP port of the witness endpoint; None when it gave none.
        problem: why it gave none; empty when it did.
        answers: whether it answers at all.
        finding: what it violates.
        transcript: all octets of the exchange.
    """

    port: int | None
    problem: str
    answers: bool
    finding: PreflightFinding | None
    transcript: Transcript

    def wrong_port(self, node: NodeAddress, observed: str) -> PreflightFinding:
        """The finding that the port does not lead to the witness service.

        Args:
            node: the node.
            observed: what is at the port instead.
        """
        said = f"port {self.port}, and there: {observed}"
        return PreflightFinding.of(EACH_NODE, _EXPECTED, said, _note(node), self.transcript)


async def mapped_port(node: NodeAddress, patience: Patience) -> Mapped:
    """Ask the endpoint mapper of a node for its witness endpoint (ept_map)."""
    octets = Transcript()
    timeout = patience.timeout if node.port is None else min(_OPTIONAL_MAPPER_S, patience.timeout)
    try:
        towers = await ept_map(
            node.address, WITNESS, port=node.endpoint_mapper_port, timeout=timeout, transcript=octets
        )
    except RpcError as problem:
        text = str(problem) or type(problem).__name__
        answers = isinstance(problem, EndpointMapperError | Fault | RemoteProtocolError)
        return Mapped(None, text, answers, _finding(node, problem, text, octets), octets)
    port = await listening_port(node.address, towers, timeout=timeout)
    return Mapped(port, "", answers=True, finding=None, transcript=octets)


async def nobody_at(address: str, port: int, patience: Patience) -> bool:
    """Whether nobody listens at a port: the connection is refused."""
    try:
        rpc = await connect(address, port, timeout=patience.timeout)
    except ConnectionLost as problem:
        return problem.reset
    except RpcError:
        return False
    await rpc.close()
    return False


def _finding(node: NodeAddress, problem: RpcError, text: str, octets: Transcript) -> PreflightFinding | None:
    """What an answer without a port violates.

    An endpoint mapper may reject a caller without authentication (MS-RPCE 3.1.1.5.4). A server with a
    well-known endpoint need not register it, so that only octets that cannot be read count where the profile
    gives the port.
    """
    requirement, expected = EACH_NODE, _EXPECTED
    if isinstance(problem, RemoteProtocolError):
        blame = blame_of(problem)
        if blame is not None and not blame.requirement.startswith("RPC-EPM-"):
            requirement, expected = blame.requirement, blame.expected
        elif node.port is not None:
            return None
    elif not isinstance(problem, EndpointMapperError | Fault) or node.port or problem.status in DENIALS:
        return None
    elif isinstance(problem, NotRegistered):
        text += ". The witness service does not run, or is not registered"
    return PreflightFinding.of(requirement, expected, text, _note(node), octets)


def _note(node: NodeAddress) -> str:
    return f"ept_map to node {node.name}, {node.address} port {node.endpoint_mapper_port}"
