"""The server with asyncio: its listeners and TCP connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import secrets
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.events import CallCancelled, CallReceived, ProtocolViolation, ServerEvent
from swn_torture.dcerpc.server.interface import (
    Association,
    AssociationTable,
    Caller,
    ConnectionInfo,
    ServerCall,
    ServerInterface,
)
from swn_torture.dcerpc.server.management import Management
from swn_torture.dcerpc.server.negotiation import find_interface
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.dcerpc.sockets import probe_when_silent, reset_on_close

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.errors import RemoteProtocolError
    from swn_torture.dcerpc.server.authentication import SecurityProvider
    from swn_torture.dcerpc.server.watcher import Recorder, Watcher
    from swn_torture.dcerpc.transcript import Kind
    from swn_torture.stubdata.syntax import SyntaxId

__all__ = [
    "Association",
    "Caller",
    "ConnectionInfo",
    "RpcServer",
    "ServerCall",
    "ServerInterface",
    "ServerLink",
    "ServerOptions",
]

_BACKLOG: Final = 1024
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_PAUSE: Final = 0.1
"""Seconds until the next accept when the system has no resources for another connection."""

PORTION: Final = 16 * 1024
"""Octets of one connection that are processed before others get a turn: 680 of the smallest PDUs.

asyncio reads up to 256 KiB at once. That many fragments without stub data take a tenth of a second."""

TURN: Final = 0.01
"""Seconds after which a connection with more calls lets others have a turn."""

_CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a server that stops waits until its connections have sent the remaining octets."""


class RpcServer:
    """Serves interfaces on any number of addresses. All addresses share the associations.

    Args:
        interfaces: the interfaces to serve. The management interface is added unless an option disables it.
        acceptor: makes the server's ends of security contexts; ``None`` rejects all authentication.
        options: the server's choices.
        transcript: records all octets sent and received.
        watcher: observes the connections.

    Attributes:
        options: the server's choices.
        interfaces: the interfaces served.
        acceptor: makes the server's ends of security contexts.
        associations: those that have a connection.
        violations: the latest protocol violations by clients, each with its connection.
        frozen: the server neither reads, writes, accepts nor closes; see :meth:`freeze`.
        transcript: records all octets sent and received.
        watcher: observes the connections; ``None`` for no watcher.
    """

    connection: type[ServerConnection] = ServerConnection
    """The class that processes the PDUs of each connection."""

    def __init__(
        self,
        interfaces: Sequence[ServerInterface],
        *,
        acceptor: SecurityProvider | None = None,
        options: ServerOptions | None = None,
        transcript: Recorder | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.options = options or ServerOptions()
        self.interfaces: list[ServerInterface] = list(interfaces)
        self.acceptor = acceptor
        # The first id is random, so that the id of an association of one server is unknown to another server.
        self.associations = AssociationTable(secrets.randbelow(0x7FFF) * 0x10000 + 0x10001)
        self.violations: deque[tuple[ConnectionInfo, RemoteProtocolError]] = deque(maxlen=1000)
        self.frozen = False
        self.transcript = transcript
        self.watcher = watcher
        self._links: set[ServerLink] = set()
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        self._accepting: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._counters = [0, 0, 0, 0]
        self._empty = asyncio.Event()
        self._empty.set()
        if self.options.management:
            self.interfaces.append(
                Management(self.served_interfaces, lambda: tuple(self._counters), self.principal_name)
            )

    def served_interfaces(self) -> list[SyntaxId]:
        """Return the interfaces that the management interface reports."""
        return [interface.syntax for interface in self.interfaces]

    def principal_name(self, auth_type: int) -> str | None:
        """Return the principal that the management interface reports for an authentication type.

        It is the one of the keytab for Kerberos and SPNEGO. Without a keytab, and for NTLM, it is empty, as
        that of a Samba server without a realm. ``None`` for a type that the server does not have.
        """
        if self.acceptor is None or auth_type not in self.acceptor.auth_types:
            return None
        return "" if auth_type == AuthType.NTLM else self.acceptor.principal

    @property
    def links(self) -> tuple[ServerLink, ...]:
        """The connections that are open now."""
        return tuple(self._links)

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The (address, port) pairs on which the server listens."""
        return tuple(self._listeners)

    async def start(self, address: str, port: int = 0) -> int:
        """Listen on another address.

        Args:
            address: numeric, IPv4 or IPv6.
            port: 0 for any free port.

        Returns:
            The port.

        Raises:
            OSError: the host does not have the address, or the port is in use.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.settimeout(0)
            listener.bind((address, port))
            listener.listen(_BACKLOG)
        except OSError as problem:
            listener.close()
            raise OSError(problem.errno, f"{address} port {port}: {problem.strerror}") from problem
        bound: int = listener.getsockname()[1]
        self._listeners[address, bound] = listener
        if not self.frozen:
            self._start_accepting(listener)
        return bound

    async def withdraw(self, address: str, *, reset: bool = True) -> None:
        """Stop listening on an address and end its connections, as when it moves to another node."""
        for key in [key for key in self._listeners if key[0] == address]:
            await self._stop_listening(key)
        for link in self.links:
            if link.info.local[0] == address:
                link.reset() if reset else link.close()

    async def stop(self, *, reset: bool = False) -> None:
        """Stop listening, end all connections by FIN or (``reset``) RST, and wait until they have ended."""
        for key in list(self._listeners):
            await self._stop_listening(key)
        for link in self.links:
            link.reset() if reset else link.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._empty.wait()
        except TimeoutError:
            self.reset_all()
            await self._empty.wait()

    def freeze(self) -> None:
        """Stop reading, writing, accepting and closing, like a machine without power.

        The kernel still completes the handshake of new connections and acknowledges what it can buffer. Only
        a packet filter prevents that.
        """
        self.frozen = True
        for listener in self._listeners.values():
            asyncio.get_running_loop().remove_reader(listener)
        for link in self.links:
            link.freeze()

    def thaw(self) -> None:
        """Continue after :meth:`freeze`, as after a network partition."""
        self.frozen = False
        for listener in self._listeners.values():
            self._start_accepting(listener)
        for link in self.links:
            link.thaw()

    def reset_all(self) -> None:
        """End every connection by RST, as the kernel does for a killed process."""
        for link in self.links:
            link.reset()

    def _start_accepting(self, listener: socket.socket) -> None:
        """Accept connections from now on."""
        if listener.fileno() >= 0 and not self.frozen:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        # Not with loop.sock_accept: a task that is cancelled just when it gets a connection loses the
        # connection. That happens when a node goes down.
        loop = asyncio.get_running_loop()
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                loop.remove_reader(listener)
                loop.call_later(_EXHAUSTED_PAUSE, self._start_accepting, listener)
            return  # any other error concerns only this connection
        connection.setblocking(False)  # noqa: FBT003 - the name says what
        task = loop.create_task(self._establish(connection))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _establish(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self.link, connection)
        except OSError:
            connection.close()  # the client closed it before it was accepted

    async def _stop_listening(self, key: tuple[str, int]) -> None:
        listener = self._listeners.pop(key)
        asyncio.get_running_loop().remove_reader(listener)
        listener.close()
        await asyncio.gather(*self._accepting)

    def link(self) -> ServerLink:
        """Return the asyncio protocol for a new connection."""
        return ServerLink(self)

    def add_link(self, link: ServerLink) -> int:
        """Add a new connection and return its number. Called by the link."""
        self._links.add(link)
        self._empty.clear()
        return next(self._numbers)

    def remove_link(self, link: ServerLink) -> None:
        """Remove a connection that has ended. Called by the link."""
        self._links.discard(link)
        if not self._links:
            self._empty.set()

    def count(self, counter: int) -> None:
        """Count for inq_stats: a call in (0), a call out (1), a portion of octets in (2) or out (3)."""
        self._counters[counter] += 1


class ServerLink(asyncio.Protocol):
    """One TCP connection of a server.

    Args:
        server: the server.

    Attributes:
        info: identifies the connection; set once it is established.
        core: the connection without I/O.
    """

    info: ConnectionInfo
    core: ServerConnection

    def __init__(self, server: RpcServer) -> None:
        self._server = server
        self._association: Association | None = None
        self._flushing = False
        self._left = False
        self._lingering: asyncio.TimerHandle | None = None
        self._unread = bytearray()
        self._stalled = False
        self._behind = False
        self._scheduled = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        local = transport.get_extra_info("sockname")
        self.info = ConnectionInfo(self._server.add_link(self), (peer[0], peer[1]), (local[0], local[1]))
        self.core = self._server.connection(
            self._server.interfaces,
            self._server.associations,
            self.info,
            self._server.options,
            self._server.acceptor,
            self._has_output,
        )
        self.core.watched = self._server.watcher is not None
        self._mark("open")
        if self._server.options.keep_alive:
            probe_when_silent(self._transport, self._server.options.keep_alive)
        if self._server.frozen:
            self.freeze()

    def data_received(self, data: bytes) -> None:
        """Process octets. Called by asyncio."""
        self._server.count(2)
        self._record("received", data)
        if self.core.closing:
            return
        if self._unread or self._behind or self._stalled or len(data) > PORTION:
            self._unread += data
            self._transport.pause_reading()
            self._read_on()
            return
        self._process(data)

    def _process(self, octets: bytes) -> None:
        self.core.receive_data(octets)
        self._flushing = True
        until = time.monotonic() + TURN
        while (event := self.core.next_event()) is not None:
            self._handle(event)
            if time.monotonic() > until:
                self._behind = True
                self._transport.pause_reading()
                self._read_on()
                break
        self._flush()

    def _process_portion(self) -> None:
        """Process a portion of the octets that wait, then let the event loop serve other connections."""
        self._scheduled = False
        if self._server.frozen or self._stalled:
            return  # `thaw` and `resume_writing` continue
        portion = b"" if self._behind else bytes(self._unread[:PORTION])
        del self._unread[: len(portion)]
        self._behind = False
        if self.core.closing or self._transport.is_closing():
            self._unread.clear()
            portion = b""
        if not self._transport.is_closing():
            self._process(portion)
        self._read_on()

    def _read_on(self) -> None:
        """Process what waits, or read more, unless the server or the connection is at rest."""
        if self._server.frozen or self._stalled:
            return
        if self._unread or self._behind:
            if not self._scheduled:
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._process_portion)
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read its answers. Called by asyncio."""
        self._stalled = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue. Called by asyncio."""
        self._stalled = False
        self._read_on()

    def eof_received(self) -> None:
        """Record the client's FIN. Called by asyncio, which closes the connection then."""
        self._mark("closed-by-peer")

    def connection_lost(self, exc: Exception | None) -> None:
        """End. Called by asyncio."""
        if isinstance(exc, OSError):
            self._mark("reset-by-peer")
        if self._lingering is not None:
            self._lingering.cancel()
        self._leave()
        self._server.remove_link(self)

    def close(self) -> None:
        """End the connection by FIN, after the octets to be sent."""
        self._behind = False
        self._flush()
        self._mark("fin")
        self._transport.close()

    def reset(self) -> None:
        """End the connection by RST at once."""
        self._mark("reset")
        reset_on_close(self._transport)
        self._transport.abort()

    def freeze(self) -> None:
        """Stop reading and writing."""
        self._transport.pause_reading()

    def thaw(self) -> None:
        """Read and write again."""
        self._read_on()
        self._flush()

    def _handle(self, event: ServerEvent) -> None:
        watcher = self._server.watcher
        if watcher is not None:
            watcher.event(self.info, event)
        match event:
            case CallReceived(call):
                call.watcher = watcher
                self._server.count(0)
                self._interface(call).call(call)
            case CallCancelled(call, orphaned):
                if not call.answered:
                    self._interface(call).cancelled(call, orphaned=orphaned)
            case ProtocolViolation(error):
                self._server.violations.append((self.info, error))
            case _:
                pass

    def _interface(self, call: ServerCall) -> ServerInterface:
        interface = find_interface(self._server.interfaces, call.abstract_syntax)
        assert interface is not None
        return interface

    def _has_output(self) -> None:
        if not self._flushing:  # else `_process` sends it, with what else it makes
            self._flush()

    def _flush(self) -> None:
        self._flushing = False
        if self._server.frozen or self._transport.is_closing():
            return
        if self._behind and self._server.watcher is not None:
            return  # a watcher hears of an event before it sees the octets that follow from it
        octets = self.core.data_to_send()
        if octets:
            self._server.count(3)
            self._record("sent", octets)
            self._transport.write(octets)
        if self.core.closing and self._lingering is None:
            self._linger()

    def _linger(self) -> None:
        """Send FIN, but keep the socket for a while: unread octets would turn a close into RST."""
        self._leave()
        self._mark("fin")
        with contextlib.suppress(OSError):  # the client has reset the connection
            self._transport.write_eof()
        loop = asyncio.get_running_loop()
        self._lingering = loop.call_later(self._server.options.linger, self._transport.abort)

    def _leave(self) -> None:
        """End the pending calls and leave the association, once."""
        if self._left:
            return
        self._left = True
        association = self.core.association
        for call in self.core.lost():
            self._interface(call).cancelled(call, orphaned=True)
        if association is None:
            return
        last = self._server.associations.leave(association, self.info)
        for interface in self._server.interfaces:
            interface.disconnected(self.info, association)
            if last:
                interface.rundown(association)

    def _mark(self, kind: Kind) -> None:
        """Record that the connection opened or ended."""
        self._record(kind)
        if self._server.watcher is not None:
            self._server.watcher.connection(self.info, kind)

    def _record(self, kind: Kind, octets: bytes = b"") -> None:
        transcript = self._server.transcript
        if transcript is not None:
            transcript.add(self.info.id, kind, self.info.local, self.info.peer, octets)
