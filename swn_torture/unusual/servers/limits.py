"""Servers with small limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.server.server import RpcServer, ServerLink
from swn_torture.unusual.registry import Unusual

if TYPE_CHECKING:
    import asyncio

CONNECTIONS = 24
"""How many connections a server with few connections serves at the same time."""


class _ClosedLink(ServerLink):
    """A connection above the limit: the server closes it at once."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and end."""
        super().connection_made(transport)
        self.reset()


class _FewConnections(RpcServer):
    """At most 24 connections are open at the same time."""

    @override
    def link(self) -> ServerLink:
        """Return the asyncio protocol for a new connection."""
        return _ClosedLink(self) if len(self.links) >= CONNECTIONS else ServerLink(self)


SERVERS = (
    Unusual(
        name="few-registrations",
        summary="Every node holds 60 registrations; then registering returns ERROR_NO_SYSTEM_RESOURCES.",
        conforms="MS-SWN 3.1.4.2, 3.1.4.5: the error codes contain ERROR_NO_SYSTEM_RESOURCES (0x5AA).",
        settings={"max_registrations": 60},
    ),
    Unusual(
        name="few-contexts",
        summary="A connection has at most eight presentation contexts for each interface.",
        conforms="C706 12.6.3.1: the provider may have a local limit (local_limit_exceeded).",
        settings={"rpc": {"contexts_per_interface": 8}},
    ),
    Unusual(
        name="few-security-contexts",
        summary="A connection has at most two security contexts.",
        conforms="MS-RPCE 3.3.1.5.4: the server may limit the number of security contexts.",
        settings={"rpc": {"max_security_contexts": 2}},
    ),
    Unusual(
        name="few-connections",
        summary=f"The witness service of a node closes every connection beyond {CONNECTIONS}.",
        conforms="No text says how many connections a server serves.",
        parts=(_FewConnections,),
    ),
)
