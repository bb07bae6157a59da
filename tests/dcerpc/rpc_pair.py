"""A client and a server without I/O, connected in memory, and a simple security provider for tests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import UUID

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.client.connection import ClientConnection
from swn_torture.dcerpc.errors import AuthenticationError, BadSignature, RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import BindAck, PresentationContext
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.pdus import Pdu, unpack
from swn_torture.dcerpc.security.context import SecurityContext
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.events import CallCancelled, CallReceived, Joined, ProtocolViolation
from swn_torture.dcerpc.server.interface import (
    Association,
    AssociationTable,
    ConnectionInfo,
    ServerCall,
    ServerInterface,
)
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.client.events import ClientEvent
    from swn_torture.dcerpc.security.protection import SecurityEntry

ECHO = SyntaxId(UUID("e1f2a3b4-0001-0002-0003-000405060708"), 1, 1)
ECHO_BACK, KEEP = 0, 1


class FakeSecurity(SecurityContext):
    """Three legs, a hash with sequence numbers, and an XOR: tests see what is covered, and in which order."""

    def __init__(
        self, *, accepting: bool, level: int = AuthLevel.PRIVACY, password: bytes = b"right"
    ) -> None:
        self.header_signing = False
        self.level = level
        self._accepting = accepting
        self._password = password
        self._done = False
        self._sent = self._received = 0

    @property
    def complete(self) -> bool:
        return self._done

    @property
    def principal(self) -> str | None:
        return "fake" if self._done and self._accepting else None

    def step(self, token: bytes) -> bytes:
        if self._accepting and token == b"hello":
            return b"challenge"
        if self._accepting and token == b"proof right":
            self._done = True
            return b""
        if not self._accepting and token == b"":
            return b"hello"
        if not self._accepting and token == b"challenge":
            self._done = True
            return b"proof " + self._password
        raise AuthenticationError(f"unexpected token {token!r}")

    def signature_size(self, level: int) -> int:
        return 16 if level else 0

    def _hash(self, number: int, *parts: bytes) -> bytes:
        signed = parts if self.header_signing else parts[1:2]
        return hashlib.blake2b(number.to_bytes(4, "big") + b"|".join(signed), digest_size=16).digest()

    def protect(self, level: int, header: bytes, body: bytes, trailer: bytes) -> tuple[bytes, bytes]:
        self._sent += 1
        value = self._hash(self._sent, header, body, trailer)
        return (bytes(b ^ 0x5A for b in body) if level == AuthLevel.PRIVACY else body), value

    def unprotect(self, level: int, header: bytes, body: bytes, trailer: bytes, auth_value: bytes) -> bytes:
        self._received += 1
        clear = bytes(b ^ 0x5A for b in body) if level == AuthLevel.PRIVACY else body
        if self._hash(self._received, header, clear, trailer) != auth_value:
            raise BadSignature("the hash differs")
        return clear


class FakeProvider:
    auth_types = frozenset({AuthType.NTLM, AuthType.SPNEGO})
    principal = ""

    def new(self, auth_type: int, level: int | None = None) -> SecurityContext:
        assert auth_type in self.auth_types
        return FakeSecurity(accepting=True, level=level or 0)


class Echo(ServerInterface):
    """Answers opnum 0 with its stub data, keeps calls of opnum 1, and has no other opnum."""

    def __init__(self, transfers: Sequence[SyntaxId] = (NDR64, NDR32), syntax: SyntaxId = ECHO) -> None:
        self.syntax = syntax
        self.transfer_syntaxes = transfers
        self.kept: list[ServerCall] = []
        self.seen: list[ServerCall] = []
        self.ended: list[tuple[ServerCall, bool]] = []
        self.run_down: list[Association] = []

    def call(self, call: ServerCall) -> None:
        self.seen.append(call)
        if call.opnum == ECHO_BACK:
            call.reply(call.stub)
        elif call.opnum == KEEP:
            self.kept.append(call)
        else:
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)

    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        self.ended.append((call, orphaned))
        if not orphaned:
            call.fault(FaultStatus.NCA_S_FAULT_CANCEL)

    def rundown(self, association: Association) -> None:
        self.run_down.append(association)


class Pair:
    """Both ends in memory. The PDUs of the server are parsed, and passed to the client, too."""

    def __init__(
        self,
        *,
        options: ServerOptions | None = None,
        secure: bool = True,
        interfaces: Sequence[ServerInterface] | None = None,
        associations: AssociationTable | None = None,
        host: str = "127.0.0.1",
        number: int = 1,
    ) -> None:
        self.echo = Echo()
        self.client = ClientConnection()
        self.info = ConnectionInfo(number, (host, 40000), ("127.0.0.9", 49152))
        self.associations = AssociationTable() if associations is None else associations
        self.interfaces = [self.echo] if interfaces is None else list(interfaces)
        self.server = ServerConnection(
            self.interfaces,
            self.associations,
            self.info,
            options or ServerOptions(),
            FakeProvider() if secure else None,
        )
        self.client_events: list[ClientEvent] = []
        self.violations: list[RemoteProtocolError] = []
        self._framer = Framer(lambda _: 0xFFFF)

    def send(self, *portions: bytes) -> list[Pdu]:
        """Send octets to the server; return the PDUs that it sends."""
        for portion in portions:
            self.server.receive_data(portion)
            self.serve()
        return self.sent_by_server()

    def sent_by_server(self) -> list[Pdu]:
        """Return the PDUs that the server sends now; the client gets them, too."""
        octets = self.server.data_to_send()
        self._framer.receive_data(octets)
        pdus = []
        while (received := self._framer.next_pdu()) is not None:
            pdus.append(unpack(received[1]))
        if self.client.error is None:
            self.client.receive_data(octets)
            while (event := self.client.next_event()) is not None:
                self.client_events.append(event)
        return pdus

    def serve(self) -> None:
        """Process the events of the server."""
        while (event := self.server.next_event()) is not None:
            match event:
                case CallReceived(call):
                    self.echo.call(call)
                case CallCancelled(call, orphaned):
                    self.echo.cancelled(call, orphaned=orphaned)
                case ProtocolViolation(error):
                    self.violations.append(error)
                case Joined():
                    pass

    def bind(
        self,
        contexts: Sequence[PresentationContext] | None = None,
        *,
        level: int = AuthLevel.NONE,
        auth_type: int = AuthType.NTLM,
        password: bytes = b"right",
        alter: bool = False,
        **arguments: object,
    ) -> BindAck:
        """Bind, with all three legs if there is a level; return the server's first answer."""
        elements = propose(ECHO) if contexts is None else contexts
        if level == AuthLevel.NONE:
            return self._acked(self.client.bind(elements, alter=alter, **arguments))  # type: ignore[arg-type]
        entry = self.secure(level, auth_type, password)
        ack = self._acked(
            self.client.bind(
                elements,
                security=entry,
                token=entry.context.step(b""),
                alter=alter,
                **arguments,  # type: ignore[arg-type]
            )
        )
        third = entry.context.step(ack.auth_value)
        assert self.send(self.client.send(self.client.auth3(entry, third, call_id=ack.call_id))) == []
        return ack

    def secure(self, level: int, auth_type: int = AuthType.NTLM, password: bytes = b"right") -> SecurityEntry:
        """Add a security context to the client."""
        context = FakeSecurity(accepting=False, password=password)
        return self.client.add_security(auth_type, level, context)

    def _acked(self, pdu: Pdu) -> BindAck:
        answers = self.send(self.client.send(pdu))
        assert len(answers) == 1
        assert isinstance(answers[0], BindAck), answers
        return answers[0]

    def call(self, opnum: int = ECHO_BACK, stub: bytes = b"", **arguments: object) -> list[Pdu]:
        """Send a request; return the PDUs that the server sends at once."""
        return self.send(*self.client.request(opnum, stub, **arguments)[1])  # type: ignore[arg-type]
