"""The shares of a node: SMB on its addresses, with the server service on the srvsvc pipe.

The SMB server is impacket's (`smb`), or Samba's smbd (`samba`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.companions.samba import SambaServer, Smbd, check_smbd
from swn_torture.server.companions.smb import SmbServer
from swn_torture.server.companions.srvsvc.endpoint import SrvsvcEndpoint
from swn_torture.stubdata.syntax import NDR32, NDR64

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.shares import ShareTable

_LOOPBACK = "127.0.0.1"


class FileService:
    """Serves the shares of the cluster on one node.

    Args:
        node: the name of the node.
        config: the configuration of the cluster, for users, domain and transfer syntaxes.
        shares: the shares.
        root: the directory with the contents of the shares (`SmbServer`), the same on all nodes.
        port: the TCP port of SMB; 0 for a free one.

    Attributes:
        port: the TCP port, the actual one after `listen`.
    """

    def __init__(self, node: str, config: ClusterConfig, shares: ShareTable, root: Path, port: int) -> None:
        self.port = port
        self._node = node
        self._config = config
        self._shares = shares
        self._root = root
        self._servers: dict[str, SmbServer | SambaServer] = {}
        self._smbd: Smbd | None = None
        self._pipe: RpcServer | None = None
        self._pipe_port = 0

    async def listen(self, address: str) -> None:
        """Serve one more address.

        Raises:
            OSError: the port is in use, or this process must not bind it.
        """
        if self._config.smbd is not None:
            if self._smbd is None:
                self._smbd = await asyncio.to_thread(self._start_smbd, self._config.smbd)
        elif self._pipe is None:
            config = self._config
            acceptor = Acceptor(
                config.users,
                config.domain,
                self._node,
                allow_anonymous=config.allow_anonymous,
                keytab=config.keytab,
                ntlm=config.ntlm,
                spnego=config.spnego,
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

    def _start_smbd(self, program: str) -> Smbd:
        return Smbd(
            check_smbd(program),
            name=self._node,
            domain=self._config.domain,
            users=self._config.users,
            shares=self._shares,
            root=self._root,
        )

    def _serve(self, address: str) -> SmbServer | SambaServer:
        if self._smbd is not None:
            return SambaServer(address, self.port, self._smbd)
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
            keytab=self._config.keytab or "",
            ntlm=self._config.ntlm,
        )

    async def withdraw(self, address: str) -> None:
        """Stop listening on an address and reset its connections."""
        server = self._servers.pop(address, None)
        if server is not None:
            await asyncio.to_thread(server.stop, reset=True)

    def freeze(self) -> None:
        """Stop sending, as without power."""
        for server in self._servers.values():
            server.freeze()

    def thaw(self) -> None:
        """Go on after `freeze`."""
        for server in self._servers.values():
            server.thaw()

    async def stop(self, *, reset: bool) -> None:
        """Stop on all addresses.

        Args:
            reset: whether to reset connections instead of closing them.
        """
        servers, self._servers = self._servers, {}
        for server in servers.values():
            await asyncio.to_thread(server.stop, reset=reset)
        if self._smbd is not None:
            await asyncio.to_thread(self._smbd.close)
            self._smbd = None
        if self._pipe is not None:
            await self._pipe.stop(reset=True)
            self._pipe = None
