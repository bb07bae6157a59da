"""The client with asyncio: one TCP connection and any number of calls on it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

from swn_torture.dcerpc.client.binding import LAST_LEG_IS_AUTH3, BindResult, propose, without_features
from swn_torture.dcerpc.client.bounds import MAX_LEGS, MAX_UNEXPECTED, Recording
from swn_torture.dcerpc.client.call import Call, PendingResult
from swn_torture.dcerpc.client.connection import ClientConnection, Security
from swn_torture.dcerpc.client.events import Acknowledged, Answered, ClientEvent, Faulted, Refused, Unexpected
from swn_torture.dcerpc.client.link import Link
from swn_torture.dcerpc.client.strays import SentIds
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
from swn_torture.dcerpc.sockets import drop_incoming, endpoint_of, reason_of, reset_on_close
from swn_torture.stubdata.syntax import NDR32, SyntaxId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.pdu.bind import Bind, BindAck, PresentationContext
    from swn_torture.dcerpc.pdu.pdus import Pdu
    from swn_torture.dcerpc.security.context import SecurityContext
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.transcript import Kind, Transcript
    from swn_torture.stubdata.fields import ByteOrder

_CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a close waits until the remaining octets are sent. After that it resets the connection."""


async def connect(
    address: str,
    port: int,
    *,
    timeout: float = 5.0,
    source: str | None = None,
    transcript: Transcript | None = None,
) -> RpcClient:
    """Open a TCP connection. Nothing is sent on it yet.

    Args:
        address: of the server.
        port: of the server.
        timeout: in seconds.
        source: the local address to connect from.
        transcript: records all octets sent and received.

    Raises:
        ConnectionLost: the connection is refused or not possible.
        DeadlineExceeded: no answer arrived in time.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            _, link = await loop.create_connection(
                lambda: Link(lambda transport: RpcClient(cast("asyncio.Transport", transport), transcript)),
                address,
                port,
                local_addr=(source, 0) if source else None,
            )
    except TimeoutError as error:
        raise DeadlineExceeded(f"{address} port {port}: no connection in {timeout:g} s") from error
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError | ConnectionResetError)
        raise ConnectionLost(f"{address} port {port}: {reason_of(error)}", reset=refused) from error
    return link.client


class RpcClient:
    """A connection to a server. :func:`connect` makes one.

    Attributes:
        core: the connection without I/O. It builds octets without sending them.
        local: (host, port) of this end.
        remote: (host, port) of the server.
        closed: set when the connection has ended, by either end.
        peer_closed: how the server ended the connection, ``None`` if it did not.
        closed_at: when the connection ended, in seconds of :func:`time.monotonic`; ``None`` while it is open.
        number: of this connection in the transcript.
        link: what passes octets from the transport to this client.
        segment: how many octets to pass to TCP at a time, ``None`` for all at once.
    """

    def __init__(self, transport: asyncio.Transport, transcript: Transcript | None) -> None:
        self.local = endpoint_of(transport.get_extra_info("sockname"))
        self.remote = endpoint_of(transport.get_extra_info("peername"))
        self.core = ClientConnection(self.remote)
        self.closed = asyncio.Event()
        self.peer_closed: Literal["fin", "reset"] | None = None
        self.closed_at: float | None = None
        self.segment: int | None = None
        self.link = cast("Link[RpcClient]", transport.get_protocol())
        self._transport = transport
        self._transcript = transcript
        self.number = 1 if transcript is None else transcript.connection()
        self._calls: dict[int, Call] = {}
        self._exchanges: dict[int, PendingResult[BindAck]] = {}
        self._unexpected: deque[Pdu] = deque()
        self._changed = asyncio.Event()
        self._sent_ids = SentIds()
        self._end: RpcError | None = None
        self._silent = False
        self._recording = Recording()
        self._contexts: tuple[PresentationContext, ...] = ()
        self._record("open")

    @property
    def outstanding(self) -> tuple[Call, ...]:
        """The calls without an answer yet."""
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
        """Bind, with all legs of the authentication.

        Args:
            contexts: the presentation contexts to propose, or an interface. For an interface :func:`propose`
                makes them, and a server that accepts none of them is an error.
            transfer: the transfer syntaxes to propose for an interface.
            features: the bind-time features to propose with an interface, ``None`` for none.
            credentials: of the client; anonymous by default.
            auth_type: security provider.
            level: authentication level; NONE for no security context.
            host: the server's name in its service principal name, by default its address.
            service: the service class in that name.
            context: an initiator to use instead of the one for ``auth_type``.
            auth_context_id: the id of the security context, by default a new one.
            multiplex: set PFC_CONC_MPX.
            header_signing: set PFC_SUPPORT_HEADER_SIGN if the level signs PDUs.
            max_xmit: octets of the largest fragment to send.
            max_recv: octets of the largest fragment to receive.
            assoc_group: the association to join, 0 for a new one.
            byte_order: of the PDUs.
            alter: send an alter_context for the first leg, too.
            timeout: for each answer, in seconds.

        Raises:
            BindRefused: the server sent a bind_nak.
            ContextRefused: the server accepted the interface in no transfer syntax.
            Fault: the server answered an alter_context with a fault.
            AuthenticationError: the security provider rejects what the server sent.
            ConnectionLost, DeadlineExceeded, RemoteProtocolError: as in :meth:`Call.reply`.
        """
        elements = (
            propose(contexts, transfer, features) if isinstance(contexts, SyntaxId) else tuple(contexts)
        )
        self._contexts = without_features(elements) or self._contexts
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

        def leg(proposed: Sequence[PresentationContext], *, alter: bool) -> Bind:
            return self.core.bind(
                proposed,
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

        first = leg(elements, alter=alter)
        answers = [await self.exchange(first, timeout)]
        while security is not None:
            incoming = answers[-1].auth_value
            if security.context.complete and not incoming:
                break
            if not incoming:
                raise AuthenticationError("server sent no token, but the security context is not complete")
            if len(answers) >= MAX_LEGS:
                raise AuthenticationError(f"the security context is not complete after {MAX_LEGS} legs")
            token = security.context.step(incoming)
            if not token:
                break
            if security.context.complete and auth_type in LAST_LEG_IS_AUTH3:
                self.write(self.core.send(self.core.auth3(security, token, call_id=first.call_id)))
                break
            answers.append(await self.exchange(leg(without_features(elements), alter=True), timeout))
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
        """Add presentation contexts or a security context to a bound connection.

        Takes the arguments of :meth:`bind` and raises the same errors. Without ``contexts`` it repeats those
        of the last exchange, which is what a client sends to add only a security context.
        """
        chosen = self._contexts if contexts is None else contexts
        if isinstance(chosen, SyntaxId):
            arguments.setdefault("features", None)
        return await self.bind(chosen, alter=True, **arguments)

    async def exchange(self, pdu: Bind, timeout: float = 10.0) -> BindAck:
        """Send one PDU of a bind exchange and return its answer. Raises the errors of :meth:`bind`."""
        pending: PendingResult[BindAck] = PendingResult()
        self._exchanges[pdu.call_id] = pending
        if self._end is not None:
            pending.set_result(self._end)
        else:
            self.write(self.core.send(pdu))
        return await pending.wait(timeout, f"{pdu.ptype.name.lower()} {pdu.call_id}")

    def call(self, opnum: int, stub: bytes, **arguments: Any) -> Call:
        """Send a request and return at once. Any number of calls may be outstanding.

        Args:
            opnum: operation number.
            stub: stub data of the in parameters.
            arguments: those of :meth:`ClientConnection.request
                <swn_torture.dcerpc.client.connection.ClientConnection.request>`.

        Raises:
            LocalProtocolError: the arguments do not make a request.
        """
        call_id, octets = self.core.request(opnum, stub, **arguments)
        call = self.expect(call_id, opnum)
        if not call.done():
            try:
                for fragment in octets:
                    self.write(fragment)
            except ConnectionLost as lost:
                # The server closed the connection before the whole request was sent. That ends the call.
                call.set_result(lost)
        return call

    def expect(self, call_id: int, opnum: int = -1) -> Call:
        """Return a call to wait for. The caller sends its request with :meth:`write`, in any form."""
        call = Call(call_id, opnum)
        self._sent_ids.add(call_id)
        if self._end is None:
            self._calls[call_id] = call
        else:
            call.set_result(self._end)
        return call

    def cancel(self, call: Call | int, *, security: Security = "none") -> None:
        """Send a co_cancel. The call stays outstanding until its answer arrives."""
        call_id = call.call_id if isinstance(call, Call) else call
        self.write(self.core.cancel(call_id, security=security))

    def orphan(self, call: Call | int, *, security: Security = "none") -> None:
        """Send an orphaned PDU. A fault still ends the call; a response is an unexpected PDU."""
        call_id = call.call_id if isinstance(call, Call) else call
        self.write(self.core.orphan(call_id, security=security))

    def write(self, octets: bytes) -> None:
        """Send any octets.

        Raises:
            ConnectionLost: the connection has ended.
        """
        if self._transport.is_closing():
            raise self._end or ConnectionLost("the connection is closed")
        self._record("sent", octets)
        self._sent_ids.add_octets(octets)
        if self.segment is None:
            self._transport.write(octets)
            return
        for start in range(0, len(octets), self.segment):
            self._transport.write(octets[start : start + self.segment])

    def half_close(self) -> None:
        """Send FIN and continue to receive."""
        self._record("fin")
        self._transport.write_eof()

    def pause(self) -> None:
        """Stop reading. The server cannot send more than the kernel buffers."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def fall_silent(self) -> None:
        """Make the kernel drop everything that arrives from now on, so that TCP acknowledges nothing (Linux).

        To the server this looks like a client without power, except that TCP sends again what the server has
        not acknowledged before. :meth:`close` resets the connection.

        Raises:
            OSError: the kernel does not support this.
        """
        drop_incoming(self._transport)
        self._silent = True

    async def next_pdu(self, timeout: float | None = 10.0) -> Pdu:
        """Return the next PDU that answers no call and no bind of this client, verified and decrypted.

        Raises:
            ConnectionLost: the connection has ended, and no such PDU is left.
            RemoteProtocolError: the server broke the protocol.
            DeadlineExceeded: no such PDU arrived within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._unexpected:
                    if self._end is not None:
                        raise self._end
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise DeadlineExceeded(f"no PDU in {timeout:g} s") from error
        return self._unexpected.popleft()

    async def wait_closed(self, timeout: float = 10.0) -> Literal["fin", "reset"] | None:
        """Wait until the connection has ended. Return how the server ended it, ``None`` if this end did.

        Raises:
            DeadlineExceeded: the connection is still open after ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.closed.wait()
        except TimeoutError as error:
            raise DeadlineExceeded(f"the connection is still open after {timeout:g} s") from error
        return self.peer_closed

    async def close(self, *, abort: bool = False) -> None:
        """End the connection by FIN, or (``abort``) by RST. Outstanding calls fail with ConnectionLost."""
        if not self.closed.is_set():
            self._transport.resume_reading()
            if abort or self._silent:
                self._abort()
            elif not self._transport.is_closing():
                self._record("fin")
                self._transport.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self.closed.wait()
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
        """Process octets from the transport. Called by the asyncio protocol."""
        if self._recording.take(len(octets)):
            self._record("received", octets)
        if self.core.error is not None:
            return
        self.core.receive_data(octets)
        try:
            while (event := self.core.next_event()) is not None:
                self._handle(event)
        except RemoteProtocolError as error:
            self.core.error = error
            self._recording.ended_by_error()
            self._finish(error)

    def ended(self, how: Literal["fin", "reset"] | None) -> None:
        """Record who ended the connection: the server, or (``None``) this end. Called by the protocol."""
        if how is not None and self.peer_closed is None and not self.closed.is_set():
            self.peer_closed = how
            self._record("closed-by-peer" if how == "fin" else "reset-by-peer")
        if how is None and self.peer_closed is None:
            self._finish(ConnectionLost("this end closed the connection"))
        else:
            self._finish(ConnectionLost(reset=self.peer_closed == "reset"))

    def transport_closed(self) -> None:
        """Record that the transport is closed. Called by the asyncio protocol."""
        self.closed_at = time.monotonic()
        self.closed.set()

    def _handle(self, event: ClientEvent) -> None:
        match event:
            case Acknowledged(pdu):
                self._finish_exchange(pdu.call_id, pdu)
            case Refused(pdu):
                error = BindRefused(pdu.reason, describe_reason(pdu.reason), pdu.versions)
                self._finish_exchange(pdu.call_id, error)
            case Answered():
                call = self._calls.pop(event.call_id, None)
                if call is None:
                    self._keep_unexpected(*event.pdus)
                else:
                    call.set_result(event)
            case Faulted(pdu):
                fault = Fault(pdu.status, pdu.flags, pdu.call_id, pdu.context_id)
                if pdu.call_id in self._exchanges:
                    self._finish_exchange(pdu.call_id, fault)
                elif pdu.call_id in self._calls:
                    self._calls.pop(pdu.call_id).set_result(fault)
                else:
                    self._keep_unexpected(pdu)
            case Unexpected(pdu):
                self._keep_unexpected(pdu)

    def _keep_unexpected(self, *pdus: Pdu) -> None:
        if len(self._unexpected) + len(pdus) > MAX_UNEXPECTED:
            raise RemoteProtocolError(f"more than {MAX_UNEXPECTED} PDUs that answer nothing")
        self._unexpected.extend(pdus)
        self._changed.set()
        for pdu in pdus:
            self._sent_ids.end_calls(pdu, (*self._exchanges.values(), *self._calls.values()))

    def _finish_exchange(self, call_id: int, result: BindAck | RpcError) -> None:
        pending = self._exchanges.pop(call_id, None)
        if pending is not None:
            pending.set_result(result)

    def _finish(self, error: RpcError) -> None:
        if self._end is None:
            self._end = error
        for exchange in self._exchanges.values():
            exchange.set_result(self._end)
        for call in self._calls.values():
            call.set_result(self._end)
        self._exchanges.clear()
        self._calls.clear()
        self._changed.set()
