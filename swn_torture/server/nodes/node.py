"""One node: a witness server with its endpoint mapper, on the node's own addresses."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointEntry, EndpointMapper
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.condition import Condition
from swn_torture.server.state.clock import scaled
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.server.companions.file_service import FileService
    from swn_torture.server.companions.services import CompanionServices
    from swn_torture.server.config import ClusterConfig, NodeConfig
    from swn_torture.server.nodes.endpoint import WitnessEndpoint
    from swn_torture.server.nodes.parts import Parts
    from swn_torture.server.state.methods import ClusterView, Reply
    from swn_torture.server.state.service import WitnessService

_LOG = logging.getLogger(__name__)


class Node:
    """A node that can be started, stopped, killed and silenced.

    Args:
        config: its name and interfaces.
        cluster: of which it is one.
        view: what it knows of the others.
        epm_port: of its endpoint mapper.
        parts: what it is made of.
        beside: what it serves beside witness.

    Attributes:
        condition: what has become of it.
        port: of its witness server; the same after a restart.
    """

    def __init__(
        self,
        config: NodeConfig,
        cluster: ClusterConfig,
        view: ClusterView,
        epm_port: int,
        parts: Parts,
        beside: CompanionServices,
    ) -> None:
        self.name = config.name
        self.address = config.address
        self.condition = Condition.OK
        self.epm_port = epm_port
        self.port = 0
        self._cluster = cluster
        self._view = view
        self._parts = parts
        self._beside = beside
        self._files: FileService | None = None
        self._endpoint: WitnessEndpoint | None = None
        self._witness: RpcServer | None = None
        self._mapper: RpcServer | None = None

    @property
    def service(self) -> WitnessService | None:
        """The state machine of its witness server, if that is alive."""
        return self._endpoint.service if self._endpoint is not None and self.condition.runs else None

    @property
    def servers(self) -> tuple[RpcServer, ...]:
        """Its RPC servers: witness and endpoint mapper."""
        return tuple(server for server in (self._witness, self._mapper) if server is not None)

    @property
    def smb_port(self) -> int | None:
        """Of its shares, if it serves any."""
        return None if self._files is None else self._files.port

    async def start(self, addresses: Iterable[IPv4Address | IPv6Address]) -> None:
        """Start with an empty registration list (MS-SWN 3.1.3), listening wherever the host allows it.

        Raises:
            OSError: not one of the addresses could be bound.
        """
        options, parts = self._cluster.options, self._parts
        syntaxes = (NDR64, NDR32) if self._cluster.ndr64 else (NDR32,)
        service = parts.service(self.name, self._view, options, scaled(options.time_scale))
        endpoint = self._endpoint = parts.endpoint(service, syntaxes, self._cluster.rpc.reply_byte_order)
        acceptor = parts.acceptor(
            self._cluster.users,
            self._cluster.domain,
            self.name,
            allow_anonymous=self._cluster.allow_anonymous,
            keytab=self._cluster.keytab,
        )
        others = self._beside.interfaces(self.name)
        self._files = self._beside.files(self.name)
        self._witness = parts.rpc_server([endpoint, *others], acceptor=acceptor, options=self._cluster.rpc)
        entries: list[EndpointEntry] = []
        self._mapper = RpcServer([parts.mapper(entries)])
        mapper = self._mapper.interfaces[0]
        assert isinstance(mapper, EndpointMapper)
        bound = [address for address in addresses if await self.listen(str(address))]
        if not bound:
            await self.stop()
            raise OSError(errno.EADDRNOTAVAIL, f"{self.name} could not listen on any of its addresses")
        mapper.entries.append(
            EndpointEntry(
                WITNESS, self.port, annotation="Service Witness Protocol", transfer_syntaxes=syntaxes[::-1]
            )
        )
        mapper.entries += [
            EndpointEntry(o.syntax, self.port, transfer_syntaxes=syntaxes[::-1]) for o in others
        ]

    async def listen(self, address: str) -> bool:
        """Listen on one more address, if the host has it; False where it has not. The node has to run."""
        assert self._witness is not None
        assert self._mapper is not None
        try:
            self.port = await self._witness.start(address, self.port)
        except OSError as problem:
            if problem.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
            _LOG.info("%s: the host does not have %s, so it is only told", self.name, address)
            return False
        try:
            await self._mapper.start(address, self.epm_port)
            if self._files is not None:
                await self._files.listen(address)
        except OSError:
            for server in self.servers:
                await server.withdraw(address)
            raise
        return True

    async def withdraw(self, address: str) -> None:
        """Leave an address; connections to it are reset."""
        for server in self.servers:
            await server.withdraw(address)
        if self._files is not None:
            await self._files.withdraw(address)

    def tell(self, event: Callable[[WitnessService], list[Reply]]) -> None:
        """Let an event happen to its witness server, if that is alive."""
        if self._endpoint is not None and self.condition.runs:
            self._endpoint.send(event(self._endpoint.service))

    def freeze(self) -> None:
        """Fall silent, as without power."""
        if self._endpoint is not None:
            self._endpoint.stop_the_clock()
        for server in self.servers:
            server.freeze()
        if self._files is not None:
            self._files.freeze()

    async def stop(self, *, reset: bool = True) -> None:
        """End the witness server and the endpoint mapper; their memory is lost."""
        if self._endpoint is not None:
            self._endpoint.stop_the_clock()
        for server in self.servers:
            await server.stop(reset=reset)
        if self._files is not None:
            await self._files.stop(reset=reset)
        if self._endpoint is not None:
            self._endpoint.stop_the_clock()
        self._endpoint = self._witness = self._mapper = self._files = None

    def registrations(self) -> list[dict[str, Any]]:
        """Its registrations as plain values, for administrators."""
        if self.service is None:
            return []
        return [
            {
                "key": str(r.key.uuid),
                "client_computer_name": r.client_name,
                "net_name": r.net_name,
                "ip_address": r.ip_address,
                "share_name": r.share_name,
                "version": int(r.version),
                "flags": r.flags,
                "timeout": r.timeout,
                "node": self.name,
                "account": r.owner.principal,
                "waiting": len(r.waiting),
            }
            for r in self.service.registrations
        ]
