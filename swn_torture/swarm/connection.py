"""A witness connection with blocking calls, for greenlets: the same protocol core as the asyncio client.

:class:`~swn_torture.dcerpc.client.connection.ClientConnection` has no I/O. This adds a socket, which gevent
makes cooperative in a process of Locust.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from swn_torture.dcerpc.client.binding import LAST_LEG_IS_AUTH3, propose, without_features
from swn_torture.dcerpc.client.connection import ClientConnection
from swn_torture.dcerpc.client.events import Acknowledged, Answered, Faulted, Refused
from swn_torture.dcerpc.errors import (
    AuthenticationError,
    BindRefused,
    ConnectionLost,
    ContextRefused,
    DeadlineExceeded,
    Fault,
)
from swn_torture.dcerpc.pdu.bind import describe_reason
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.codec import decode_response, encode
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from types import TracebackType

    from swn_torture.dcerpc.client.events import ClientEvent
    from swn_torture.dcerpc.pdu.bind import BindAck
    from swn_torture.dcerpc.security.context import Credentials
    from swn_torture.dcerpc.security.levels import AuthType
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.messages import AnyRequest, AnyResponse

_READ: Final = 65536
"""Octets to read at a time."""

_MAX_LEGS: Final = 8
"""Answers after which a logon that is not complete fails."""


@dataclass(frozen=True, slots=True)
class Logon:
    """How the clients log on.

    Attributes:
        service: the security provider.
        credentials: of all clients.
        host: the server's name in its service principal name.
    """

    service: AuthType
    credentials: Credentials
    host: str


class BlockingConnection:
    """A connection to an interface of a node, bound and logged on.

    Args:
        address: of the node.
        port: of the endpoint.
        timeout: seconds for the connection and for each answer of the bind.
        logon: how to log on; ``None`` for a connection without security.
        interface: to bind to.

    Raises:
        OSError: no connection.
        DeadlineExceeded: no answer in time.
        RpcError: the bind or the logon failed; the subclass says how.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        timeout: float,
        logon: Logon | None,
        interface: SyntaxId = WITNESS,
    ) -> None:
        self._answers: dict[int, Answered | Faulted] = {}
        self._core = ClientConnection()
        self._socket = socket.create_connection((address, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._bind(interface, logon, timeout)
        except BaseException:
            self.close()
            raise

    def start(self, request: AnyRequest) -> int:
        """Send a request and return its call_id.

        Raises:
            ConnectionLost: the connection has ended.
        """
        return self._start(request.opnum, encode(request, NDR32))

    def call_with(self, opnum: int, stub: bytes, timeout: float) -> tuple[bytes, ByteOrder]:
        """Call a method of any interface. Return the stub data of the response and its byte order.

        Raises what :meth:`wait` raises.
        """
        answered = self._answer(self._start(opnum, stub), timeout)
        return answered.stub, answered.byte_order

    def wait(self, call_id: int, request: AnyRequest, timeout: float | None) -> AnyResponse:
        """Wait for the answer to a call.

        Args:
            call_id: of the call.
            request: the request.
            timeout: in seconds, ``None`` for no limit.

        Raises:
            DeadlineExceeded: no answer in time. The call stays outstanding.
            Fault: the server returned a fault.
            ConnectionLost: the connection has ended.
            RemoteProtocolError: the server broke the protocol.
            DecodeError: the answer is not a response of this method.
        """
        answer = self._answer(call_id, timeout)
        return decode_response(request.opnum, answer.stub, NDR32, byte_order=answer.byte_order)

    def _start(self, opnum: int, stub: bytes) -> int:
        call_id, fragments = self._core.request(opnum, stub)
        self._send(b"".join(fragments))
        return call_id

    def _answer(self, call_id: int, timeout: float | None) -> Answered:
        end = None if timeout is None else time.monotonic() + timeout
        while call_id not in self._answers:
            event = self._next_event(end)
            if isinstance(event, Answered):
                self._answers[event.call_id] = event
            elif isinstance(event, Faulted):
                self._answers[event.pdu.call_id] = event
        answer = self._answers.pop(call_id)
        if isinstance(answer, Faulted):
            raise Fault(answer.pdu.status, answer.pdu.flags, answer.pdu.call_id, answer.pdu.context_id)
        return answer

    def call(self, request: AnyRequest, timeout: float) -> AnyResponse:
        """Send a request and return its response; raises what :meth:`start` and :meth:`wait` raise."""
        return self.wait(self.start(request), request, timeout)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _bind(self, interface: SyntaxId, logon: Logon | None, timeout: float) -> None:
        elements = propose(interface)
        security: SecurityEntry | None = None
        token = b""
        if logon is not None:
            context = initiator(
                logon.service, logon.credentials, host=logon.host, service="cifs", level=AuthLevel.INTEGRITY
            )
            security = self._core.add_security(logon.service, AuthLevel.INTEGRITY, context)
            token = context.step(b"")
        first = self._core.bind(elements, security=security, token=token)
        self._send(self._core.send(first))
        answer = self._acknowledged(timeout)
        if not any(result.accepted for result in answer.results):
            raise ContextRefused(
                f"{interface} was not accepted: {'; '.join(map(str, answer.results))}",
                [(each.result, each.reason) for each in answer.results],
            )
        for _ in range(_MAX_LEGS):
            if security is None or (security.context.complete and not answer.auth_value):
                return
            token = security.context.step(answer.auth_value)
            if not token:
                return
            assert logon is not None
            if security.context.complete and logon.service in LAST_LEG_IS_AUTH3:
                self._send(self._core.send(self._core.auth3(security, token, call_id=first.call_id)))
                return
            again = self._core.bind(without_features(elements), security=security, token=token, alter=True)
            self._send(self._core.send(again))
            answer = self._acknowledged(timeout)
        raise AuthenticationError(f"the security context is not complete after {_MAX_LEGS} legs")

    def _acknowledged(self, timeout: float) -> BindAck:
        end = time.monotonic() + timeout
        while True:
            match self._next_event(end):
                case Acknowledged(pdu):
                    return pdu
                case Refused(pdu):
                    raise BindRefused(pdu.reason, describe_reason(pdu.reason), pdu.versions)
                case Faulted(pdu):
                    raise Fault(pdu.status, pdu.flags, pdu.call_id, pdu.context_id)
                case _:
                    pass

    def _next_event(self, end: float | None) -> ClientEvent:
        while (event := self._core.next_event()) is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise DeadlineExceeded("no answer in time")
            self._socket.settimeout(left)
            try:
                octets = self._socket.recv(_READ)
            except TimeoutError as error:
                raise DeadlineExceeded("no answer in time") from error
            except OSError as error:
                raise ConnectionLost(f"the connection was lost: {error.strerror or error}") from error
            if not octets:
                raise ConnectionLost("the server closed the connection")
            self._core.receive_data(octets)
        return event

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise ConnectionLost(f"the connection was lost: {error.strerror or error}") from error
