"""A connection by the first authentication service that a server offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.errors import AuthenticationError, BindRefused
from swn_torture.dcerpc.pdu.bind import BindNakReason
from swn_torture.witness.client import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.security.levels import AuthType
    from swn_torture.witness.client import WitnessClient


async def connect_by(
    services: Sequence[AuthType], address: str, port: int | None, **more: Any
) -> WitnessClient:
    """Connect to the witness service of a node by the first service of some that it offers.

    A server that rejects the account, and not the service, ends it: more logons could lock the account.

    Args:
        services: the authentication services, the preferred one first; at least one.
        address: of the node.
        port: of its witness endpoint; ``None`` asks the endpoint mapper.
        more: further arguments of ``swn_torture.witness.client.connect``.

    Raises:
        RpcError: the connection or the last bind failed.
    """
    for service in services[:-1]:
        try:
            return await connect(address, port, auth_type=service, **more)
        except BindRefused as refused:
            if refused.reason != BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED:
                raise
        except AuthenticationError:
            continue  # the server ignores the service, or there are no credentials for it
    return await connect(address, port, auth_type=services[-1], **more)
