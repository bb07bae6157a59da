"""A client for a few calls to one interface: connect, bind, call and close before one deadline."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from swn_torture.dcerpc.client.client import RpcClient
    from swn_torture.dcerpc.transcript import Transcript
    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId

__all__ = ["bound_client", "call"]


@asynccontextmanager
async def bound_client(
    address: str, port: int, interface: SyntaxId, timeout: float, transcript: Transcript | None = None
) -> AsyncIterator[RpcClient]:
    """Yield a client that is bound to one interface without authentication, in NDR32, with context id 0.

    Args:
        address: of the server.
        port: of the server.
        interface: to bind to.
        timeout: in seconds, from the connect to the end of the ``async with`` block.
        transcript: records all octets sent and received.

    Raises:
        DeadlineExceeded: the time is over.
        RpcError: see :func:`~swn_torture.dcerpc.client.client.connect` and
            :meth:`~swn_torture.dcerpc.client.client.RpcClient.bind`.
    """
    try:
        async with asyncio.timeout(timeout):
            rpc = await connect(address, port, timeout=timeout, transcript=transcript)
            try:
                await rpc.bind(interface, timeout=timeout)
                yield rpc
            finally:
                await rpc.close()
    except TimeoutError as error:
        if isinstance(error, DeadlineExceeded):
            raise
        raise DeadlineExceeded(f"{interface} at {address} port {port}: no answer in {timeout:g} s") from error


async def call(rpc: RpcClient, opnum: int, stub: bytes, timeout: float) -> tuple[bytes, ByteOrder]:
    """Make a call and return the stub data of its response and their byte order.

    Raises:
        RpcError: see :meth:`Call.reply <swn_torture.dcerpc.client.call.Call.reply>`.
    """
    pending = rpc.call(opnum, stub)
    answer = await pending.reply(timeout)
    meta = pending.response_meta
    return answer, "little" if meta is None else meta.byte_order
