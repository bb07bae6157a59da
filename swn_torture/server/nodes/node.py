"""One node: a witness server and an endpoint mapper on the addresses of the node."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointEntry, EndpointMapper
from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.server.condition import Condition
from swn_torture.server.config import ConfigError
from swn_torture.server.state.clock import scaled
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.server.activity.log import ActivityLog
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
        activity: observes its servers; None for no observer.

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
        activity: ActivityLog | None = None,
    ) -> None:
        self.name = config.name
        self.address = config.address
        self.condition = Condition.OK
        self.epm_port = epm_port
        self.port = 0
        self._management = config.management
        self._cluster = cluster
        self._view = view
        self._parts = parts
        self._companions = companions
        self._activity = activity
        self._files: FileService | None = None
        self._endpoint: WitnessEndpoint | None = None
        self._witness: RpcServer | None = None
        self._mapper: RpcServer | None = None
        self._late_events: deque[Callable[[WitnessService], list[Reply]]] = deque()
        """Events that the witness server does not process yet, oldest first."""
        self._hangs = False
        self._missed: list[Callable[[WitnessService], list[Reply]]] = []
        """Events that reached it while it hung, oldest first."""

    @property
    def service(self) -> WitnessService | None:
        """The state machine of its witness server, or None if it does not run."""
        return self._endpoint.service if self._endpoint is not None and self.condition.runs else None

    @property
    def servers(self) -> tuple[RpcServer, ...]:
        """Its RPC servers: the witness server and the endpoint mapper."""
        return tuple(server for server in (self._witness, self._mapper) if server is not None)

    @property
    def hangs(self) -> bool:
        """Whether its witness server hangs."""
        return self._hangs

    @property
    def smb_port(self) -> int | None:
        """The port of its SMB server, or None."""
        return None if self._files is None else self._files.port

    async def start(self, addresses: Iterable[IPv4Address | IPv6Address]) -> None:
        """Start with an empty registration list (MS-SWN 3.1.3). Listen on those addresses the host has.

        Raises:
            ConfigError: the keytab cannot be used, or Kerberos is not installed.
            OSError: no address can be bound, or a port is in use.
        """
        options, parts = self._cluster.options, self._parts
        syntaxes = (NDR64, NDR32) if self._cluster.ndr64 else (NDR32,)
        service = parts.service(self.name, self._view, options, scaled(options.time_scale))
        endpoint = self._endpoint = parts.endpoint(service, syntaxes, self._cluster.rpc.reply_byte_order)
        try:
            acceptor = parts.acceptor(
                self._cluster.users,
                self._cluster.domain,
                f"{self.name}.{self._cluster.dns_domain}".lower(),
                allow_anonymous=self._cluster.allow_anonymous,
                keytab=self._cluster.keytab,
                ntlm=self._cluster.ntlm,
                spnego=self._cluster.spnego,
            )
        except AuthenticationError as problem:
            raise ConfigError(str(problem)) from problem
        companions = self._companions.interfaces(self.name)
        self._files = self._companions.files(self.name)
        self._witness = parts.rpc_server(
            [endpoint, *companions], acceptor=acceptor, options=self._cluster.rpc
        )
        entries: list[EndpointEntry] = []
        self._mapper = RpcServer(
            [parts.mapper(entries)], acceptor=acceptor if self._cluster.mapper_authentication else None
        )
        self._mapper.connection = parts.mapper_connection
        if self._activity is not None:
            self._observe(self._activity)
        mapper = self._mapper.interfaces[0]
        assert isinstance(mapper, EndpointMapper)
        own = [] if self._management is None else [self._management]
        bound = [address for address in (*own, *addresses) if await self.listen(str(address))]
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

    def _observe(self, activity: ActivityLog) -> None:
        """Let the log observe both servers."""
        for server, name in ((self._witness, "witness"), (self._mapper, "epm")):
            assert server is not None
            watcher = activity.server(self.name, name, lambda: self.service)
            server.watcher, server.transcript = watcher, watcher.capture

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
        """Pass an event to the state machine, now or after the configured delay, and send the replies.

        Does nothing if the node does not run.
        """
        if not self._cluster.event_delay:
            self._process(event)
            return
        self._late_events.append(event)
        delay = self._cluster.event_delay / self._cluster.options.time_scale
        asyncio.get_running_loop().call_later(delay, self._process_late_event, self._late_events)

    def _process_late_event(self, events: deque[Callable[[WitnessService], list[Reply]]]) -> None:
        if events:  # else the node has stopped meanwhile
            self._process(events.popleft())

    def _process(self, event: Callable[[WitnessService], list[Reply]]) -> None:
        if self._hangs:
            self._missed.append(event)
        elif self._endpoint is not None and self.condition.runs:
            self._endpoint.send(event(self._endpoint.service))

    def freeze(self) -> None:
        """Stop sending, as without power."""
        if self._endpoint is not None:
            self._endpoint.cancel_scan()
        for server in self.servers:
            server.freeze()
        if self._files is not None:
            self._files.freeze()

    def hang(self) -> None:
        """Stop reading, writing and processing events, as a process that got SIGSTOP."""
        self._hangs = True
        self.freeze()

    def go_on(self) -> None:
        """Go on after `hang`, as after SIGCONT: first with the events that came meanwhile."""
        if not self._hangs:
            return
        self._hangs = False
        for server in self.servers:
            server.thaw()
        if self._files is not None:
            self._files.thaw()
        missed, self._missed = self._missed, []
        for event in missed:
            self._process(event)
        if self._endpoint is not None:
            self._endpoint.schedule_scan()

    async def stop(self, *, reset: bool = True) -> None:
        """Stop all servers of the node. Registrations are lost.

        Args:
            reset: whether to reset connections instead of closing them.
        """
        if self._endpoint is not None:
            self._endpoint.cancel_scan()
            self._endpoint.send_all()
        self._late_events.clear()
        self._late_events = deque()
        self._hangs = False
        self._missed.clear()
        for server in self.servers:
            await server.stop(reset=reset)
        if self._files is not None:
            await self._files.stop(reset=reset)
        if self._endpoint is not None:
            self._endpoint.cancel_scan()
        self._endpoint = self._witness = self._mapper = self._files = None

    def registrations(self) -> list[dict[str, Any]]:
        """Return its registrations as plain values, for the administration."""
        service = self.service
        if service is None:
            return []
        now, scale = service.clock(), service.options.time_scale
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
                "state": "RequestedNotifications" if r.waiting else "Registered",
                "notifications_sent": r.sent,
                "notifications_cancelled": r.cancelled,
                "queued_notifications": len(r.forced) + len(r.changes) + len(r.pending_kinds() - {"change"}),
                "age": round((now - r.since) / scale, 3),
            }
            for r in service.registrations
        ]
