"""What reads octets of a peer: PDUs, stub data, notifications, towers, tokens.

Each target takes any octets. It returns if they are read or properly rejected; any other exception is a
defect. What was read is written and read again, and must be the same.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from swn_torture.dcerpc.epm.messages import LookupRequest, LookupResponse, MapRequest, MapResponse
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.dcerpc.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from swn_torture.dcerpc.pdu import verification_trailer
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.pdus import unpack
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.report.exchange.trace import comparable_lines, exchange_of, trace_lines
from swn_torture.server.companions.clusapi import codec as clusapi
from swn_torture.server.companions.srvsvc import codec as srvsvc
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.ndr import Reader
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness import codec
from swn_torture.witness.messages import AsyncNotifyResponse
from swn_torture.witness.notifications import decode_buffer, encode_buffer
from tests.dcerpc.rpc_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId

SYNTAXES: Final = (NDR32, NDR64)
ORDERS: Final[tuple[ByteOrder, ByteOrder]] = ("little", "big")


def choose(octets: bytes) -> tuple[int, SyntaxId, ByteOrder, bytes]:
    """A number below 64, a transfer syntax and a byte order from the first octet; and the other octets."""
    first = octets[0] if octets else 0
    return first & 63, SYNTAXES[first >> 6 & 1], ORDERS[first >> 7], octets[1:]


def pdu(octets: bytes) -> None:
    """Octets of a stream, in two portions: PDUs. Each is the same when it is packed and read again."""
    framer = Framer(lambda _: 0xFFFF)
    try:
        for portion in (octets[:7], octets[7:]):
            framer.receive_data(portion)
            while (received := framer.next_pdu()) is not None:
                read = unpack(received[1])
                assert unpack(read.pack()) == read
                verification_trailer.find(getattr(read, "stub", b""))
    except RemoteProtocolError:
        return


def witness_request(octets: bytes) -> None:
    """Stub data of a request of the witness interface."""
    opnum, syntax, order, stub = choose(octets)
    try:
        request = codec.decode_request(opnum & 7, stub, syntax, byte_order=order)
    except (DecodeError, codec.UnknownOpnumError):
        return
    assert codec.decode_request(opnum & 7, codec.encode(request, syntax), syntax) == request


def witness_response(octets: bytes) -> None:
    """Stub data of a response of the witness interface, and the notifications in it."""
    opnum, syntax, order, stub = choose(octets)
    try:
        response = codec.decode_response(opnum & 7, stub, syntax, byte_order=order)
    except (DecodeError, codec.UnknownOpnumError):
        return
    codec.field_spans(response, syntax)
    assert codec.decode_response(opnum & 7, codec.encode(response, syntax), syntax) == response
    if isinstance(response, AsyncNotifyResponse) and response.response is not None:
        notify = response.response
        notifications(bytes([notify.message_type & 7]) + (notify.message_buffer or b""))


def notifications(octets: bytes) -> None:
    """A MessageBuffer, whose MessageType is in the first octet, with 1000 messages at most."""
    try:
        decoded = decode_buffer(octets[0] & 7 if octets else 0, 1000, octets[1:])
    except DecodeError as problem:
        # The number of messages is only known where the buffer ends.
        number = int(problem.field[1:].partition("]")[0]) if problem.field.startswith("[") else 0
        if number == 0:
            return
        try:
            decoded = decode_buffer(octets[0] & 7, number, octets[1:])
        except DecodeError:
            return
    written = encode_buffer(decoded.items)
    assert decode_buffer(octets[0] & 7, len(decoded.items), written).items == decoded.items


_EPM: Final = (MapRequest, MapResponse, LookupRequest, LookupResponse)


def endpoint_mapper(octets: bytes) -> None:
    """Stub data of the endpoint mapper, in both directions, and towers."""
    number, _, order, stub = choose(octets)
    try:
        if number % 5 == 4:
            tower = Tower.unpack(stub)
            assert Tower.unpack(tower.pack()) == tower
            return
        message: Any = _EPM[number % 5]
        read = message.unpack(stub, order)
        assert message.unpack(read.pack()) == read
    except RemoteProtocolError:
        return


def _readers(module: object) -> list[Callable[[Reader], object]]:
    """What reads a message in a module; the readers of its parts take more arguments."""
    functions = [each for name, each in sorted(vars(module).items()) if name.startswith("read_")]
    return [each for each in functions if each.__code__.co_argcount == 1]


_COMPANIONS: Final = [*_readers(clusapi), *_readers(srvsvc)]


def companions(octets: bytes) -> None:
    """Stub data of clusapi and srvsvc."""
    number, syntax, order, stub = choose(octets)
    try:
        _COMPANIONS[number % len(_COMPANIONS)](Reader(stub, syntax, order))
    except DecodeError:
        return


def server_connection(octets: bytes) -> None:
    """What a client sends, before and after a bind. Everything that the server answers is a PDU."""
    pair = Pair(secure=bool(octets[:1] >= b"\x80"))
    if octets[:1] and octets[0] & 1:
        pair.bind()
    pair.send(octets[1:9], octets[9:])


def client_connection(octets: bytes) -> None:
    """What a server sends to a client that has bound, and has called a method."""
    pair = Pair(secure=False)
    pair.bind()
    try:
        pair.client.request(1, bytes(4))
        pair.client.receive_data(octets)
        while pair.client.next_event() is not None:
            pass
    except (RemoteProtocolError, LocalProtocolError):
        return


_ACCEPTOR: Final = Acceptor({"witness": "Passw0rd!"})
_TYPES: Final = (AuthType.NTLM, AuthType.SPNEGO)
_LEVELS: Final = (AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY)


def tokens(octets: bytes) -> None:
    """Two tokens of a client that logs on by NTLM or SPNEGO; the second octet is the size of the first."""
    number = octets[0] if octets else 0
    cut = 2 + (octets[1] if len(octets) > 1 else 0)
    context = _ACCEPTOR.new(_TYPES[number & 1], _LEVELS[(number >> 1) % 3])
    try:
        for token in (octets[2:cut], octets[cut:]):
            context.step(token)
    except AuthenticationError:
        return


def exchange(octets: bytes) -> None:
    """Octets of a peer in a report: the PDUs field by field, as text without effect on a terminal."""
    half = len(octets) // 2
    records = [
        {"time": float(number), "connection": 1, "kind": kind, "data": base64.b64encode(data).decode()}
        for number, (kind, data) in enumerate((("sent", octets[:half]), ("received", octets[half:])))
    ]
    found = exchange_of(records)
    for direction, sent in (("sent", octets[:half]), ("received", octets[half:])):
        assert b"".join(frame.octets for frame in found if frame.direction == direction) == sent
    for line in (*trace_lines(found), *comparable_lines(found)):
        assert line.isprintable(), line
