"""The management interface as a client calls it (C706 Appendix Q, MS-RPCE 2.2.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.bound_client import ask, bound_client
from swn_torture.dcerpc.mgmt import MGMT, MgmtOpnum, read_if_ids

if TYPE_CHECKING:
    from swn_torture.stubdata.syntax import SyntaxId


async def inq_if_ids(address: str, port: int, *, timeout: float = 5.0) -> list[SyntaxId]:
    """Return the interfaces that the server at this TCP port says it serves.

    Args:
        address: of the server.
        port: of the server.
        timeout: for all of it, in seconds.

    Raises:
        ManagementError: the server answers with a status other than 0.
        RpcError: it cannot be reached, has no management interface, or does not answer in its form.
    """
    async with bound_client(address, port, MGMT, timeout) as rpc:
        answer = await ask(rpc, MgmtOpnum.INQ_IF_IDS, b"", timeout)
    return read_if_ids(*answer)
