"""The shares of a node for those who want to see files: SMB, and the server service behind it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.companions.smb import SmbServer
from swn_torture.server.companions.srvsvc.endpoint import SrvsvcEndpoint
from swn_torture.stubdata.syntax import NDR32, NDR64

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.shares import ShareTable

_LOOPBACK = "127.0.0.1"


class FileService:
    """The shares of a cluster by way of one node.

    Args:
        node: its name.
        config: the cluster's: users, domain, syntaxes.
        shares: those there are at any moment.
        root: a directory for what is in them, see `SmbServer`; all nodes have the same.
        port: of SMB; 0 for any free one.

    Attributes:
        port: the real one, once it listens.
    """

    def __init__(self, node: str, config: ClusterConfig, shares: ShareTable, root: Path, port: int) -> None:
        self.port = port
        self._node = node
        self._config = config
        self._shares = shares
        self._root = root
        self._servers: dict[str, SmbServer] = {}
        self._pipe: RpcServer | None = None
        self._pipe_port = 0

    async def listen(self, address: str) -> None:
        """Serve one more address.

        Raises:
            OSError: the port is taken there, or not for us.
        """
        if self._pipe is None:
            config = self._config
            acceptor = Acceptor(
                config.users, config.domain, self._node, allow_anonymous=config.allow_anonymous
            )
            endpoint = SrvsvcEndpoint(
                self._shares, (NDR64, NDR32) if config.ndr64 else (NDR32,), config.rpc.reply_byte_order
            )
            self._pipe = RpcServer([endpoint], acceptor=acceptor, options=config.rpc)
            self._pipe_port = await self._pipe.start(_LOOPBACK)
        try:
            self._servers[address] = self._serve(address)
        except OSError as problem:
            where = f"SMB at {address} port {self.port}"
            raise OSError(problem.errno, f"{where}: {problem.strerror}") from problem
        self.port = self._servers[address].port

    def _serve(self, address: str) -> SmbServer:
        return SmbServer(
            address,
            self.port,
            name=self._node,
            domain=self._config.domain,
            users=self._config.users,
            shares=self._shares,
            root=self._root,
            pipes={"srvsvc": (_LOOPBACK, self._pipe_port)},
            allow_anonymous=self._config.allow_anonymous,
        )

    async def withdraw(self, address: str) -> None:
        """Leave an address; connections to it are reset."""
        server = self._servers.pop(address, None)
        if server is not None:
            await asyncio.to_thread(server.end, reset=True)

    def freeze(self) -> None:
        """Fall silent, as without power."""
        for server in self._servers.values():
            server.freeze()

    async def stop(self, *, reset: bool) -> None:
        """End it."""
        servers, self._servers = self._servers, {}
        for server in servers.values():
            await asyncio.to_thread(server.end, reset=reset)
        if self._pipe is not None:
            await self._pipe.stop(reset=True)
            self._pipe = None
