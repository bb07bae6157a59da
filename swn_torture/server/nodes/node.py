"""One node: a witness server and an endpoint mapper on the addresses of the node."""

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
    """A node that can start, stop, crash and lose power.

    Args:
        config: its name and interfaces.
        cluster: the configuration of the cluster.
        view: the cluster as this node sees it.
        epm_port: the port of its endpoint mapper.
        parts: the classes to instantiate.
        companions: makes its companion services.

    Attributes:
        condition: its condition; the cluster sets it.
        port: the port of its witness server, unchanged by a restart.
    """

    def __init__(
        self,
        config: NodeConfig,
        cluster: ClusterConfig,
        view: ClusterView,
        epm_port: int,
        parts: Parts,
        companions: CompanionServices,
    ) -> None:
        self.name = config.name
        self.address = config.address
        self.condition = Condition.OK
        self.epm_port = epm_port
        self.port = 0
        self._cluster = cluster
        self._view = view
        self._parts = parts
        self._companions = companions
        self._files: FileService | None = None
        self._endpoint: WitnessEndpoint | None = None
        self._witness: RpcServer | None = None
        self._mapper: RpcServer | None = None

    @property
    def service(self) -> WitnessService | None:
        """The state machine of its witness server, or None if it does not run."""
        return self._endpoint.service if self._endpoint is not None and self.condition.runs else None

    @property
    def servers(self) -> tuple[RpcServer, ...]:
        """Its RPC servers: the witness server and the endpoint mapper."""
        return tuple(server for server in (self._witness, self._mapper) if server is not None)

    @property
    def smb_port(self) -> int | None:
        """The port of its SMB server, or None."""
        return None if self._files is None else self._files.port

    async def start(self, addresses: Iterable[IPv4Address | IPv6Address]) -> None:
        """Start with an empty registration list (MS-SWN 3.1.3). Listen on those addresses the host has.

        Raises:
            OSError: no address can be bound, or a port is in use.
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
        companions = self._companions.interfaces(self.name)
        self._files = self._companions.files(self.name)
        self._witness = parts.rpc_server(
            [endpoint, *companions], acceptor=acceptor, options=self._cluster.rpc
        )
        entries: list[EndpointEntry] = []
        self._mapper = RpcServer([parts.mapper(entries)])
        mapper = self._mapper.interfaces[0]
        assert isinstance(mapper, EndpointMapper)
        bound = [address for address in addresses if await self.listen(str(address))]
        if not bound:
            await self.stop()
            raise OSError(errno.EADDRNOTAVAIL, f"{self.name} cannot listen on any of its addresses")
        mapper.entries.append(
            EndpointEntry(
                WITNESS, self.port, annotation="Service Witness Protocol", transfer_syntaxes=syntaxes[::-1]
            )
        )
        mapper.entries += [
            EndpointEntry(c.syntax, self.port, transfer_syntaxes=syntaxes[::-1]) for c in companions
        ]

    async def listen(self, address: str) -> bool:
        """Listen on one more address. The node must run.

        Returns:
            False if the host does not have the address.

        Raises:
            OSError: a port is in use at the address.
        """
        assert self._witness is not None
        assert self._mapper is not None
        try:
            self.port = await self._witness.start(address, self.port)
        except OSError as problem:
            if problem.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
            _LOG.info("%s does not listen on %s: the host does not have this address", self.name, address)
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
        """Stop listening on an address and reset its connections."""
        for server in self.servers:
            await server.withdraw(address)
        if self._files is not None:
            await self._files.withdraw(address)

    def process_event(self, event: Callable[[WitnessService], list[Reply]]) -> None:
        """Pass an event to the state machine and send the replies. Does nothing if the node does not run."""
        if self._endpoint is not None and self.condition.runs:
            self._endpoint.send(event(self._endpoint.service))

    def freeze(self) -> None:
        """Stop sending, as without power."""
        if self._endpoint is not None:
            self._endpoint.cancel_scan()
        for server in self.servers:
            server.freeze()
        if self._files is not None:
            self._files.freeze()

    async def stop(self, *, reset: bool = True) -> None:
        """Stop all servers of the node. Registrations are lost.

        Args:
            reset: whether to reset connections instead of closing them.
        """
        if self._endpoint is not None:
            self._endpoint.cancel_scan()
        for server in self.servers:
            await server.stop(reset=reset)
        if self._files is not None:
            await self._files.stop(reset=reset)
        if self._endpoint is not None:
            self._endpoint.cancel_scan()
        self._endpoint = self._witness = self._mapper = self._files = None

    def registrations(self) -> list[dict[str, Any]]:
        """Return its registrations as plain values, for the administration."""
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
