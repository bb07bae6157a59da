"""Where the witness service of a node listens: the endpoint mapper, asked with blocking calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.epm.endpoint_mapper import NotRegistered
from swn_torture.dcerpc.epm.messages import (
    EPM,
    NIL,
    NULL_HANDLE,
    EpmOpnum,
    EptStatus,
    MapRequest,
    MapResponse,
)
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.swarm.connection import BlockingConnection
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from swn_torture.swarm.connection import Logon

_REQUESTED: Final = Tower.of_tcp(WITNESS).pack()


def witness_ports(address: str, epm_port: int, timeout: float) -> list[int]:
    """Return the TCP ports of the witness service at an address, at least one, in the order of the map.

    Args:
        address: of the node.
        epm_port: of its endpoint mapper.
        timeout: seconds for each answer.

    Raises:
        NotRegistered: the map does not contain the witness service.
        OSError: the endpoint mapper cannot be reached.
        RpcError: it sends a malformed answer, or none.
    """
    with BlockingConnection(address, epm_port, timeout=timeout, logon=None, interface=EPM) as connection:
        request = MapRequest(_REQUESTED, NIL, NULL_HANDLE)
        response = MapResponse.unpack(*connection.call_with(EpmOpnum.MAP, request.pack(), timeout))
    ports = [tower.port for tower in map(Tower.unpack, response.towers) if tower.port]
    if response.status != EptStatus.OK or not ports:
        raise NotRegistered(response.status, f"{WITNESS} at {address}")
    return list(dict.fromkeys(ports))


def connect(
    address: str, port: int | None, epm_port: int, *, timeout: float, logon: Logon | None
) -> BlockingConnection:
    """Return a connection to the witness service of a node.

    Args:
        address: of the node.
        port: of the endpoint where it is fixed; ``None`` asks the endpoint mapper, as a client does.
        epm_port: of the endpoint mapper.
        timeout: seconds for each step.
        logon: how to log on.

    Raises:
        OSError: no connection.
        RpcError: the endpoint mapper, the bind or the logon failed; the subclass says how.
    """
    *others, last = [port] if port else witness_ports(address, epm_port, timeout)
    for each in others:
        try:
            return BlockingConnection(address, each, timeout=timeout, logon=logon)
        except OSError:
            continue  # the endpoint of a process that has ended; the next one is tried (C706 Appendix O)
    return BlockingConnection(address, last, timeout=timeout, logon=logon)
