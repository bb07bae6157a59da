"""Which of the endpoints of an endpoint map a client uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.errors import RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.dcerpc.epm.endpoint_mapper import TowerEndpoint


async def listening_port(address: str, endpoints: Iterable[TowerEndpoint], *, timeout: float = 5.0) -> int:
    """Return the first port of some endpoints at which a server accepts connections.

    A map may still have the endpoint of a process that has ended: a server removes its elements itself, and
    a client tries the next one (C706 Appendix O). One port alone is not tried.

    Args:
        address: of the server.
        endpoints: at least one, in the order of the map.
        timeout: for each connection, in seconds.

    Returns:
        The first port of all if none accepts a connection.
    """
    ports = list(dict.fromkeys(endpoint.port for endpoint in endpoints))
    for port in ports if len(ports) > 1 else ():
        try:
            rpc = await connect(address, port, timeout=timeout)
        except RpcError:
            continue
        await rpc.close()
        return port
    return ports[0]
