"""Attacks of a client on the reference, over plain sockets. The stack closes the connections of an attack."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.connection import ClientConnection
from swn_torture.dcerpc.pdu.bind import PresentationContext
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Pdu, Request, Response, unpack
from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.codec import decode_response, encode
from swn_torture.witness.constants import WITNESS, Opnum
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    ContextHandle,
    GetInterfaceListRequest,
    RegisterExRequest,
    RegisterExResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 60.0

Target = tuple[str, int]


class Attacker:
    """A client of plain sockets.

    Args:
        target: address and port of a witness server without security.
        stack: closes the connections.
    """

    def __init__(self, target: Target, stack: contextlib.ExitStack) -> None:
        self.core = ClientConnection()
        self.socket = stack.enter_context(socket.create_connection(target, timeout=TIMEOUT))
        self._framer = Framer(lambda _: 0xFFFF)

    def bind(self) -> None:
        """Bind to the witness interface in NDR32."""
        self.socket.sendall(self.core.send(self.core.bind((PresentationContext(0, WITNESS, (NDR32,)),))))
        self.receive()

    def receive(self) -> Pdu:
        """Return the next PDU."""
        while (received := self._framer.next_pdu()) is None:
            octets = self.socket.recv(65536)
            if not octets:
                raise ConnectionError("the server closed the connection")
            self._framer.receive_data(octets)
        return unpack(received[1])

    def request(self, opnum: int, stub: bytes) -> bytes:
        """Return the octets of a request."""
        return b"".join(self.core.request(opnum, stub)[1])

    def call(self, opnum: int, stub: bytes) -> Pdu:
        """Make a call and return its answer."""
        self.socket.sendall(self.request(opnum, stub))
        return self.receive()

    def register(self, net_name: str = "SWNCLUSTER") -> RegisterExResponse:
        """Register for an address."""
        message = RegisterExRequest(0x00020000, net_name, None, "127.9.9.9", "ATTACKER", 0, 3600)
        answer = self.call(Opnum.REGISTER_EX, encode(message, NDR32))
        assert isinstance(answer, Response), answer
        response = decode_response(Opnum.REGISTER_EX, answer.stub, NDR32)
        assert isinstance(response, RegisterExResponse)
        return response

    def discard(self) -> None:
        """Read and discard what the server sends, in a thread, until the connection ends."""

        def read() -> None:
            with contextlib.suppress(OSError):
                while self.socket.recv(1 << 16):
                    pass

        threading.Thread(target=read, daemon=True).start()


def bound(target: Target, stack: contextlib.ExitStack) -> Attacker:
    """A client that is bound."""
    client = Attacker(target, stack)
    client.bind()
    return client


def slow_senders(target: Target, stack: contextlib.ExitStack) -> None:
    """300 connections, each with a part of a PDU that never gets its end."""
    for _ in range(300):
        client = bound(target, stack)
        client.socket.sendall(client.request(0, bytes(5000))[:5000])


def half_open(target: Target, stack: contextlib.ExitStack) -> None:
    """500 connections that send nothing."""
    for _ in range(500):
        Attacker(target, stack)


def connection_flood(target: Target, stack: contextlib.ExitStack) -> None:
    """2000 connections that end at once, a part of them by a reset in the middle of a PDU."""
    for number in range(2000):
        with socket.create_connection(target, timeout=TIMEOUT) as connection:
            if number % 2:
                connection.sendall(b"\x05\x00\x0b")
    half_open(target, stack)


def endless_fragments(target: Target, stack: contextlib.ExitStack) -> None:
    """A request of 200,000 fragments without stub data, and one of 100,000 fragments of one octet."""
    for stub, count in ((b"", 200_000), (b"x", 100_000)):
        client = bound(target, stack)
        client.discard()
        client.socket.sendall(Request(call_id=2, flags=PfcFlags.FIRST, opnum=0, alloc_hint=0).pack())
        fragment = Request(call_id=2, flags=PfcFlags.NONE, opnum=0, stub=stub, alloc_hint=0).pack()
        for _ in range(0, count, 1000):
            client.socket.sendall(fragment * 1000)


def contexts(target: Target, stack: contextlib.ExitStack) -> None:
    """More presentation contexts than a connection may have, 200 with each alter_context, repeatedly."""
    client = bound(target, stack)
    for first in [*range(1, 12_001, 200), *[1] * 50]:
        elements = tuple(PresentationContext(first + each, WITNESS, (NDR32,)) for each in range(200))
        client.socket.sendall(client.core.send(client.core.bind(elements, alter=True)))
        client.receive()


def bind_storm(target: Target, stack: contextlib.ExitStack) -> None:
    """300 connections that bind, each with 30 alter_contexts of the same context."""
    for _ in range(300):
        client = bound(target, stack)
        alter = client.core.bind((PresentationContext(0, WITNESS, (NDR32,)),), alter=True)
        client.socket.sendall(client.core.send(alter) * 30)
        for _ in range(30):
            client.receive()


def never_reads(target: Target, stack: contextlib.ExitStack) -> None:
    """Calls without end from a client that reads no answer; it stops when the server reads no more."""
    client = bound(target, stack)
    requests = b"".join(client.request(Opnum.GET_INTERFACE_LIST, b"") for _ in range(1000))
    client.socket.settimeout(2.0)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 500:  # 12 MB, with answers of 1 GB
            client.socket.sendall(requests)
            sent += 1
            requests = b"".join(client.request(Opnum.GET_INTERFACE_LIST, b"") for _ in range(1000))
    assert sent < 500, "the server reads without end from a client that does not read"


def pending_calls(target: Target, stack: contextlib.ExitStack) -> None:
    """20,000 AsyncNotify calls on one registration; those beyond the limit end in a fault."""
    client = bound(target, stack)
    handle: ContextHandle = client.register().context
    stub = encode(AsyncNotifyRequest(handle), NDR32)
    for _ in range(20):
        client.socket.sendall(b"".join(client.request(Opnum.ASYNC_NOTIFY, stub) for _ in range(1000)))
    answer = client.receive()
    assert isinstance(answer, FaultPdu), answer
    assert answer.status == 0x6BB
    client.discard()


def registrations(target: Target, stack: contextlib.ExitStack) -> None:
    """Registrations on one connection until the server accepts no more, and 1000 more."""
    client, results = bound(target, stack), list[int]()
    while len(results) < 6000:
        results.append(client.register().result)
    assert results[0] == 0
    assert results[-1] == 0x5AA


def giant_strings(target: Target, stack: contextlib.ExitStack) -> None:
    """Names of almost 4 MB, repeatedly, then one that is too long."""
    client = bound(target, stack)
    for _ in range(5):
        assert client.register("X" * 2_000_000).result == 0x57
    message = RegisterExRequest(0x00020000, "X" * 2_200_000, None, "127.9.9.9", "ATTACKER", 0, 3600)
    with contextlib.suppress(OSError):
        client.socket.sendall(client.request(Opnum.REGISTER_EX, encode(message, NDR32)))
    answer = client.receive()
    assert isinstance(answer, FaultPdu)
    assert answer.status == 5


ATTACKS: tuple[Callable[[Target, contextlib.ExitStack], None], ...] = (
    slow_senders,
    half_open,
    connection_flood,
    endless_fragments,
    contexts,
    bind_storm,
    never_reads,
    pending_calls,
    registrations,
    giant_strings,
)


def serve_list(target: Target) -> None:
    """Make one call as another client does, on a connection of its own.

    Raises:
        TimeoutError: no answer within `TIMEOUT` seconds.
    """
    with contextlib.ExitStack() as stack:
        answer = bound(target, stack).call(Opnum.GET_INTERFACE_LIST, encode(GetInterfaceListRequest(), NDR32))
        assert isinstance(answer, Response), answer
