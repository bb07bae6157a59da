"""The asyncio edge of the calling end: one TCP connection, any number of calls on it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

from swn_torture.dcerpc.client.binding import BindResult, propose
from swn_torture.dcerpc.client.call import Call, Waiting
from swn_torture.dcerpc.client.connection import ClientConnection, Security
from swn_torture.dcerpc.client.events import Acknowledged, Answered, ClientEvent, Faulted, Refused, Stray
from swn_torture.dcerpc.connection import MAX_FRAGMENT
from swn_torture.dcerpc.errors import (
    AuthenticationError,
    BindRefused,
    ConnectionLost,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
    RpcError,
)
from swn_torture.dcerpc.pdu.bind import describe_reason
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.sockets import drop_incoming, reset_on_close
from swn_torture.stubdata.syntax import NDR32, SyntaxId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.pdu.bind import Bind, BindAck, PresentationContext
    from swn_torture.dcerpc.pdu.pdus import Pdu
    from swn_torture.dcerpc.security.context import SecurityContext
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.transcript import Kind, Transcript
    from swn_torture.stubdata.fields import ByteOrder

_ODD_LEGS: Final = frozenset({AuthType.NTLM, AuthType.NETLOGON})
"""Providers whose last leg is an auth3 (MS-RPCE 2.2.1.1.7)."""

_CLOSE_PATIENCE: Final = 2.0
"""Seconds in which a close has to get rid of what is still to be sent; after that it is an abort."""


async def connect(
    address: str,
    port: int,
    *,
    timeout: float = 5.0,
    source: str | None = None,
    transcript: Transcript | None = None,
) -> RpcClient:
    """Open a TCP connection; nothing is sent yet.

    Args:
        address: of the server.
        port: of the server.
        timeout: in seconds.
        source: our own address, to come from a particular one.
        transcript: where everything that goes over the wire is written down.

    Raises:
        ConnectionLost: the connection was refused or cannot be made.
        DeadlineExceeded: nobody answered in time.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            _, edge = await loop.create_connection(
                lambda: _Edge(transcript), address, port, local_addr=(source, 0) if source else None
            )
    except TimeoutError as error:
        raise DeadlineExceeded(f"{address} port {port}: no connection in {timeout:g} s") from error
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError | ConnectionResetError)
        raise ConnectionLost(f"{address} port {port}: {error.strerror or error}", reset=refused) from error
    return edge.client


class RpcClient:
    """A connection to a server. Made by :func:`connect`.

    Attributes:
        core: the connection without I/O, to build octets without sending them.
        local: our (host, port).
        remote: the server's (host, port).
        closed: set when the connection is gone, whoever ended it.
        peer_closed: how the server ended it, ``None`` if it did not.
        closed_at: when it went, in seconds of :func:`time.monotonic`; ``None`` while it is open.
        number: of this connection in the transcript.
        segment: octets handed to TCP at a time, ``None`` for as many as there are.
    """

    def __init__(self, transport: asyncio.Transport, transcript: Transcript | None) -> None:
        self.core = ClientConnection()
        self.closed = asyncio.Event()
        self.peer_closed: Literal["fin", "reset"] | None = None
        self.closed_at: float | None = None
        self.segment: int | None = None
        self.local = _endpoint(transport.get_extra_info("sockname"))
        self.remote = _endpoint(transport.get_extra_info("peername"))
        self._transport = transport
        self._transcript = transcript
        self.number = 1 if transcript is None else transcript.connection()
        self._calls: dict[int, Call] = {}
        self._exchanges: dict[int, Waiting[BindAck]] = {}
        self._strays: deque[Pdu] = deque()
        self._stray = asyncio.Event()
        self._over: RpcError | None = None
        self._silent = False
        self._contexts: tuple[PresentationContext, ...] = ()
        self._record("open")

    @property
    def outstanding(self) -> tuple[Call, ...]:
        """The calls that are waiting for an answer."""
        return tuple(self._calls.values())

    async def bind(
        self,
        contexts: Sequence[PresentationContext] | SyntaxId,
        *,
        transfer: Sequence[SyntaxId] = (NDR32,),
        features: int | None = 3,
        credentials: Credentials | None = None,
        auth_type: int = AuthType.NTLM,
        level: int = AuthLevel.NONE,
        host: str = "",
        service: str = "cifs",
        context: SecurityContext | None = None,
        auth_context_id: int | None = None,
        multiplex: bool = True,
        header_signing: bool = True,
        max_xmit: int = MAX_FRAGMENT,
        max_recv: int = MAX_FRAGMENT,
        assoc_group: int = 0,
        byte_order: ByteOrder = "little",
        alter: bool = False,
        timeout: float = 10.0,
    ) -> BindResult:
        """Bind, with all the legs that authentication takes.

        Args:
            contexts: what to propose; an interface alone stands for what :func:`propose` makes of it, and
                then it is an error if nothing is accepted.
            transfer: transfer syntaxes offered for an interface alone.
            features: bind-time features proposed with an interface alone, ``None`` for none.
            credentials: who we are; anonymous by default.
            auth_type: security provider.
            level: authentication level; NONE for no security context.
            host: the server's name in its service principal, by default the address.
            service: the class of that principal.
            context: an initiator of your own instead of the one for ``auth_type``.
            auth_context_id: the security context's id, by default a new one.
            multiplex: ask for PFC_CONC_MPX.
            header_signing: ask for PFC_SUPPORT_HEADER_SIGN where the level signs at all.
            max_xmit: octets of the largest fragment we want to send.
            max_recv: octets of the largest fragment we can receive.
            assoc_group: the association to join, 0 for a new one.
            byte_order: of the PDUs.
            alter: send alter_context from the first leg on.
            timeout: for each answer, in seconds.

        Raises:
            BindRefused: bind_nak.
            ContextRefused: the interface was not accepted in any transfer syntax.
            Fault: an alter_context was answered by a fault.
            AuthenticationError: our provider cannot go on with what the server sent.
            ConnectionLost, DeadlineExceeded, RemoteProtocolError: as in :meth:`Call.reply`.
        """
        elements = (
            propose(contexts, transfer, features) if isinstance(contexts, SyntaxId) else tuple(contexts)
        )
        self._contexts = elements or self._contexts
        security: SecurityEntry | None = None
        token = b""
        if level != AuthLevel.NONE or context is not None:
            context = context or initiator(
                auth_type,
                credentials or Credentials("", ""),
                host=host or self.remote[0],
                service=service,
                level=level,
            )
            security = self.core.add_security(auth_type, level, context, context_id=auth_context_id)
            token = context.step(b"")

        def leg(*, alter: bool) -> Bind:
            return self.core.bind(
                elements,
                security=security,
                token=token,
                multiplex=multiplex,
                header_signing=header_signing,
                max_xmit=max_xmit,
                max_recv=max_recv,
                assoc_group=assoc_group,
                byte_order=byte_order,
                alter=alter,
            )

        first = leg(alter=alter)
        answers = [await self.exchange(first, timeout)]
        while security is not None:
            incoming = answers[-1].auth_value
            if security.context.complete and not incoming:
                break
            if not incoming:
                raise AuthenticationError("the server sent no token, though the exchange is not complete")
            token = security.context.step(incoming)
            if not token:
                break
            if security.context.complete and auth_type in _ODD_LEGS:
                self.write(self.core.send(self.core.auth3(security, token, call_id=first.call_id)))
                break
            answers.append(await self.exchange(leg(alter=True), timeout))
        result = BindResult(answers[0], tuple(answers), elements, security)
        if isinstance(contexts, SyntaxId) and not result.accepted:
            raise ContextRefused(
                f"{contexts} was not accepted: {'; '.join(map(str, result.results))}",
                [(each.result, each.reason) for each in result.results],
            )
        return result

    async def alter_context(
        self, contexts: Sequence[PresentationContext] | SyntaxId | None = None, **arguments: Any
    ) -> BindResult:
        """Add presentation contexts, or a security context, to a bound connection.

        Takes the arguments of :meth:`bind` and raises what it raises. Without ``contexts`` those of the last
        exchange are repeated, as a new security context alone needs it.
        """
        chosen = self._contexts if contexts is None else contexts
        if isinstance(chosen, SyntaxId):
            arguments.setdefault("features", None)
        return await self.bind(chosen, alter=True, **arguments)

    async def exchange(self, pdu: Bind, timeout: float = 10.0) -> BindAck:
        """Send one PDU of the bind exchange and return its answer. Raises as :meth:`bind` does."""
        waiting: Waiting[BindAck] = Waiting()
        self._exchanges[pdu.call_id] = waiting
        if self._over is not None:
            waiting.attach_result(self._over)
        else:
            self.write(self.core.send(pdu))
        return await waiting.wait(timeout, f"{pdu.ptype.name.lower()} {pdu.call_id}")

    def call(self, opnum: int, stub: bytes, **arguments: Any) -> Call:
        """Send a request and return at once; any number may be outstanding.

        Args:
            opnum: operation number.
            stub: in parameters.
            arguments: those of :meth:`ClientConnection.request
                <swn_torture.dcerpc.client.connection.ClientConnection.request>`.

        Raises:
            LocalProtocolError: the request cannot be built.
        """
        call_id, octets = self.core.request(opnum, stub, **arguments)
        call = self.expect(call_id, opnum)
        if not call.done():
            try:
                for fragment in octets:
                    self.write(fragment)
            except ConnectionLost as lost:
                # The server closed before it had all of it: that is how the call ended.
                call.attach_result(lost)
        return call

    def expect(self, call_id: int, opnum: int = -1) -> Call:
        """Return a call to wait for whose request you write yourself, in whatever way and order."""
        call = Call(call_id, opnum)
        if self._over is None:
            self._calls[call_id] = call
        else:
            call.attach_result(self._over)
        return call

    def cancel(self, call: Call | int, *, security: Security = "none") -> None:
        """Send a co_cancel; the call stays outstanding until its answer comes."""
        call_id = call.call_id if isinstance(call, Call) else call
        self.write(self.core.cancel(call_id, security=security))

    def orphan(self, call: Call | int, *, security: Security = "none") -> None:
        """Send an orphaned PDU. A fault still finishes the call; a response would be a stray."""
        call_id = call.call_id if isinstance(call, Call) else call
        self.write(self.core.orphan(call_id, security=security))

    def write(self, octets: bytes) -> None:
        """Send octets, whatever they are.

        Raises:
            ConnectionLost: the connection is gone.
        """
        if self._transport.is_closing():
            raise self._over or ConnectionLost("the connection is closed")
        self._record("sent", octets)
        step = self.segment or max(len(octets), 1)
        for start in range(0, len(octets), step):
            self._transport.write(octets[start : start + step])

    def half_close(self) -> None:
        """Send FIN but go on receiving."""
        self._record("fin")
        self._transport.write_eof()

    def pause(self) -> None:
        """Stop reading, so that the server sees a client that has gone silent."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def fall_silent(self) -> None:
        """Have the system drop whatever arrives from now on, so that nothing is even acknowledged.

        To the server we have lost our power, until :meth:`close`, which is an abort then; but what was not
        acknowledged before is sent again. Linux only.

        Raises:
            OSError: the system cannot do that.
        """
        drop_incoming(self._transport)
        self._silent = True

    async def next_pdu(self, timeout: float | None = 10.0) -> Pdu:
        """Return the next PDU that answers no call and no bind of ours, verified and in the clear.

        Raises:
            ConnectionLost: the connection is gone and there is none left.
            RemoteProtocolError: what came could not be read.
            DeadlineExceeded: none came within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._strays:
                    if self._over is not None:
                        raise self._over
                    self._stray.clear()
                    await self._stray.wait()
        except TimeoutError as error:
            raise DeadlineExceeded(f"no PDU in {timeout:g} s") from error
        return self._strays.popleft()

    async def wait_closed(self, timeout: float = 10.0) -> Literal["fin", "reset"] | None:
        """Wait until the connection is gone; return how the server ended it, ``None`` if we did.

        Raises:
            DeadlineExceeded: it is still there after ``timeout`` seconds.
        """
        try:
            await asyncio.wait_for(self.closed.wait(), timeout)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the connection is still open after {timeout:g} s") from error
        return self.peer_closed

    async def close(self, *, abort: bool = False) -> None:
        """End the connection by FIN, or by RST with ``abort``. Outstanding calls fail."""
        if not self.closed.is_set():
            self._transport.resume_reading()
            if abort or self._silent:
                self._abort()
            elif not self._transport.is_closing():
                self._record("fin")
                self._transport.close()
        try:
            await asyncio.wait_for(self.closed.wait(), _CLOSE_PATIENCE)
        except TimeoutError:
            self._abort()
            await self.closed.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _abort(self) -> None:
        self._record("reset")
        reset_on_close(self._transport)
        self._transport.abort()

    def _record(self, kind: Kind, octets: bytes = b"") -> None:
        if self._transcript is not None:
            self._transcript.add(self.number, kind, self.local, self.remote, octets)

    def received(self, octets: bytes) -> None:
        """Take what the transport has received (the edge does that)."""
        self._record("received", octets)
        if self.core.error is not None:
            return
        self.core.receive_data(octets)
        try:
            while (event := self.core.next_event()) is not None:
                self._handle(event)
        except RemoteProtocolError as error:
            self._finish(error)

    def ended(self, how: Literal["fin", "reset"] | None) -> None:
        """Hear that the server has ended the connection, or (``None``) that we have (the edge does)."""
        if how is not None and self.peer_closed is None and not self.closed.is_set():
            self.peer_closed = how
            self._record("closed-by-peer" if how == "fin" else "reset-by-peer")
        if how is None and self.peer_closed is None:
            self._finish(ConnectionLost("we closed the connection"))
        else:
            self._finish(ConnectionLost(reset=self.peer_closed == "reset"))

    def gone(self) -> None:
        """Hear that the transport is no more (the edge does that)."""
        self.closed_at = time.monotonic()
        self.closed.set()

    def _handle(self, event: ClientEvent) -> None:
        match event:
            case Acknowledged(pdu):
                self._settle_exchange(pdu.call_id, pdu)
            case Refused(pdu):
                error = BindRefused(pdu.reason, describe_reason(pdu.reason), pdu.versions)
                self._settle_exchange(pdu.call_id, error)
            case Answered():
                call = self._calls.pop(event.call_id, None)
                if call is None:
                    self._strays.extend(event.pdus)
                    self._stray.set()
                else:
                    call.attach_result(event)
            case Faulted(pdu):
                fault = Fault(pdu.status, pdu.flags, pdu.call_id, pdu.context_id)
                if pdu.call_id in self._exchanges:
                    self._settle_exchange(pdu.call_id, fault)
                elif pdu.call_id in self._calls:
                    self._calls.pop(pdu.call_id).attach_result(fault)
                else:
                    self._put_stray(pdu)
            case Stray(pdu):
                self._put_stray(pdu)

    def _put_stray(self, pdu: Pdu) -> None:
        self._strays.append(pdu)
        self._stray.set()

    def _settle_exchange(self, call_id: int, outcome: BindAck | RpcError) -> None:
        waiting = self._exchanges.pop(call_id, None)
        if waiting is not None:
            waiting.attach_result(outcome)

    def _finish(self, error: RpcError) -> None:
        if self._over is None:
            self._over = error
        for waiting in self._exchanges.values():
            waiting.attach_result(self._over)
        for call in self._calls.values():
            call.attach_result(self._over)
        self._exchanges.clear()
        self._calls.clear()
        self._stray.set()


class _Edge(asyncio.Protocol):
    """Carries octets between a transport and its client."""

    client: RpcClient

    def __init__(self, transcript: Transcript | None) -> None:
        self._transcript = transcript

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.client = RpcClient(cast("asyncio.Transport", transport), self._transcript)

    def data_received(self, data: bytes) -> None:
        self.client.received(data)

    def eof_received(self) -> None:
        self.client.ended("fin")

    def connection_lost(self, exc: Exception | None) -> None:
        self.client.ended("reset" if isinstance(exc, OSError) else None)
        self.client.gone()


def _endpoint(name: Any) -> tuple[str, int]:
    return (str(name[0]), int(name[1])) if name else ("", 0)
