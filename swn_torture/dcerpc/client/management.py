"""The client's calls of the management interface (C706 Appendix Q, MS-RPCE 2.2.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.bound_client import bound_client, call
from swn_torture.dcerpc.mgmt import MGMT, MgmtOpnum, princ_name_request, read_if_ids, read_princ_name

if TYPE_CHECKING:
    from swn_torture.stubdata.syntax import SyntaxId


async def inq_if_ids(address: str, port: int, *, timeout: float = 5.0) -> list[SyntaxId]:
    """Return the interfaces that the server at this TCP port reports (rpc_mgmt_inq_if_ids).

    Args:
        address: of the server.
        port: of the server.
        timeout: for connect, bind and call together, in seconds.

    Raises:
        ManagementError: the server returns a status other than 0.
        RpcError: the server cannot be reached, does not serve the interface, or sends a malformed answer.
    """
    async with bound_client(address, port, MGMT, timeout) as rpc:
        answer = await call(rpc, MgmtOpnum.INQ_IF_IDS, b"", timeout)
    return read_if_ids(*answer)


async def inq_princ_name(address: str, port: int, auth_type: int, *, timeout: float = 5.0) -> str:
    """Return the principal that the server names for an authentication service (rpc_mgmt_inq_princ_name).

    The server is not authenticated, so the name proves nothing.

    Args:
        address: of the server.
        port: of the server.
        auth_type: the authentication service.
        timeout: for connect, bind and call together, in seconds.

    Returns:
        The name; empty if the server registered the service without one.

    Raises:
        ManagementError: the server returns a status other than 0, as for a service that it does not have.
        RpcError: the server cannot be reached, does not serve the interface, or sends a malformed answer.
    """
    async with bound_client(address, port, MGMT, timeout) as rpc:
        answer = await call(rpc, MgmtOpnum.INQ_PRINC_NAME, princ_name_request(auth_type), timeout)
    return read_princ_name(*answer)
