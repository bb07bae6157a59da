"""One short conversation with an auxiliary interface: connect, bind, ask, close, all before one deadline."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from swn_torture.dcerpc.client.client import RpcClient
    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId

__all__ = ["ask", "bound_client"]


@asynccontextmanager
async def bound_client(
    address: str, port: int, interface: SyntaxId, timeout: float
) -> AsyncIterator[RpcClient]:
    """Give a client that is bound, without authentication, to one interface in NDR32 at context id 0.

    Args:
        address: of the server.
        port: of the server.
        interface: to bind to.
        timeout: for everything up to the end of the ``async with`` block, in seconds.

    Raises:
        DeadlineExceeded: that took longer.
        RpcError: what :func:`~swn_torture.dcerpc.client.client.connect` and the bind raise.
    """
    try:
        async with asyncio.timeout(timeout):
            rpc = await connect(address, port, timeout=timeout)
            try:
                await rpc.bind(interface, timeout=timeout)
                yield rpc
            finally:
                await rpc.close()
    except TimeoutError as error:
        if isinstance(error, DeadlineExceeded):
            raise
        raise DeadlineExceeded(f"{interface} at {address} port {port}: no answer in {timeout:g} s") from error


async def ask(rpc: RpcClient, opnum: int, stub: bytes, timeout: float) -> tuple[bytes, ByteOrder]:
    """Make a call; return its out parameters and the byte order in which they are to be read.

    Raises:
        RpcError: what :meth:`Call.reply <swn_torture.dcerpc.client.call.Call.reply>` raises.
    """
    call = rpc.call(opnum, stub)
    answer = await call.reply(timeout)
    meta = call.response_meta
    return answer, "little" if meta is None else meta.byte_order
