"""The asyncio edge of the serving end."""

from __future__ import annotations

from swn_torture.dcerpc.interface import Association, Caller, ConnectionInfo, ServerCall, ServerInterface

__all__ = ["Association", "Caller", "ConnectionInfo", "ServerCall", "ServerInterface"]
