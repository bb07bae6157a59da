"""What was sent and received on one connection of a case, PDU by PDU, in the order of the transcript."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import Bind, BindAck
from swn_torture.dcerpc.pdu.header import (
    BIG_ENDIAN,
    HEADER_SIZE,
    LITTLE_ENDIAN,
    TRAILER_SIZE,
    Header,
    PduType,
    PfcFlags,
    SecTrailer,
)
from swn_torture.dcerpc.pdu.pdus import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from swn_torture.dcerpc.transcript import Octets
    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId

#: The PDU types that a client sends (C706 12.6.4, MS-RPCE 2.2.2.10).
OF_CLIENTS: Final = frozenset(
    {
        PduType.REQUEST,
        PduType.BIND,
        PduType.ALTER_CONTEXT,
        PduType.AUTH3,
        PduType.CO_CANCEL,
        PduType.ORPHANED,
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One PDU that the client sent, as its header says.

    Attributes:
        header: its header.
        raw: its octets; fewer than frag_length says if the client did not send the rest.
    """

    header: Header
    raw: bytes

    @property
    def trailer(self) -> SecTrailer | None:
        """Its sec_trailer; None without one."""
        return trailer_of(self.header, self.raw)

    @property
    def context_id(self) -> int:
        """p_cont_id of a request."""
        return int.from_bytes(self.raw[20:22], self.header.byte_order)


@dataclass(frozen=True, slots=True)
class Received:
    """One PDU of the server, and what had happened on the connection before.

    Attributes:
        header: its header.
        raw: its octets.
        connection: the connection.
        ack: a bind_ack or alter_context_resp that can be read; else None.
        proposal: the bind or alter_context that it answers; else None.
        earlier: the fragments of the same response before this one.
    """

    header: Header
    raw: bytes
    connection: Conversation
    ack: BindAck | None = None
    proposal: Bind | None = None
    earlier: tuple[Received, ...] = ()

    @property
    def name(self) -> str:
        """The name of the PDU type."""
        return type_name_of(self.header.ptype)

    @property
    def trailer(self) -> SecTrailer | None:
        """Its sec_trailer; None without one."""
        return trailer_of(self.header, self.raw)

    @property
    def asked(self) -> list[Sent]:
        """The PDUs with the same call_id that the client had sent."""
        return self.connection.sent.get(self.header.call_id, [])

    def asked_by(self, *ptypes: int) -> list[Sent]:
        """Those of them of these PDU types."""
        return [each for each in self.asked if each.header.ptype in ptypes]

    def integer(self, offset: int, size: int) -> int | None:
        """An integer in the byte order of the PDU; None if the PDU ends before."""
        if len(self.raw) < offset + size:
            return None
        return int.from_bytes(self.raw[offset : offset + size], self.header.byte_order)


@dataclass(slots=True)
class Conversation:
    """The state of one connection as its octets show it.

    Attributes:
        number: of the connection in its transcript.
        peer: address and port of the server.
        odd: the client sent octets that are not a PDU of RPC version 5.0. What the server answers to them may
            have any relation to what was sent.
        sent: the PDUs that the client sent, by call_id.
        answers: complete answers (responses count with their last fragment), by call_id.
        bind: the bind; None before it.
        bind_ack: the bind_ack; None before it.
        contexts: the transfer syntax of each accepted presentation context.
        responses: the fragments of incomplete responses, by call_id.
        unreadable: what comes from the server is not a stream of PDUs any more.
    """

    number: int
    peer: str
    odd: bool = False
    sent: dict[int, list[Sent]] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    bind: Bind | None = None
    bind_ack: BindAck | None = None
    contexts: dict[int, SyntaxId] = field(default_factory=dict)
    responses: dict[int, list[Received]] = field(default_factory=dict)
    unreadable: bool = False
    _proposals: dict[int, Bind] = field(default_factory=dict)
    _out: bytearray = field(default_factory=bytearray)
    _in: bytearray = field(default_factory=bytearray)

    def send(self, octets: bytes) -> None:
        """Take octets that the client sent."""
        # An incomplete PDU is followed by another one: the client did it on purpose.
        self.odd = self.odd or bool(self._out and _is_pdu(octets))
        self._out += octets
        while not self.odd and len(self._out) >= HEADER_SIZE:
            raw = bytes(self._out[: int.from_bytes(self._out[8:10], _order(self._out))])
            if not _is_pdu(raw):
                self.odd = True
                return
            header = Header.unpack(raw)
            if len(raw) < header.frag_length:
                # The server may answer as soon as it has the header.
                self._note(Sent(header, raw))
                return
            del self._out[: header.frag_length]
            self._note(Sent(header, raw))

    def _note(self, sent: Sent) -> None:
        self.sent.setdefault(sent.header.call_id, []).append(sent)
        if sent.header.ptype not in OF_CLIENTS:
            return
        complete = len(sent.raw) >= sent.header.frag_length
        if complete and sent.header.ptype in {PduType.BIND, PduType.ALTER_CONTEXT}:
            try:
                pdu = unpack(sent.raw)
            except RemoteProtocolError:
                self.odd = True
                return
            assert isinstance(pdu, Bind)
            self._proposals[pdu.call_id] = pdu
            if sent.header.ptype == PduType.BIND:
                self.bind = self.bind or pdu

    def receive(self, octets: bytes) -> Iterator[Received]:
        """Take octets of the server; yields each PDU that is complete, before it changes the state."""
        self._in += octets
        while not self.unreadable and len(self._in) >= HEADER_SIZE:
            length = int.from_bytes(self._in[8:10], _order(self._in))
            if length < HEADER_SIZE or self._in[4] >> 4 > 1:
                self.unreadable = True
                return
            if len(self._in) < length:
                return
            raw = bytes(self._in[:length])
            del self._in[:length]
            pdu = self._received(Header.unpack(raw), raw)
            yield pdu
            self._apply(pdu)

    def _received(self, header: Header, raw: bytes) -> Received:
        ack = None
        if header.ptype in {PduType.BIND_ACK, PduType.ALTER_CONTEXT_RESP}:
            # The client finds what cannot be read, and casekit.blame says what it violates.
            with contextlib.suppress(RemoteProtocolError):
                pdu = unpack(raw)
                ack = pdu if isinstance(pdu, BindAck) else None
        proposal = self._proposals.get(header.call_id)
        earlier = tuple(self.responses.get(header.call_id, ()))
        return Received(header, raw, self, ack, proposal, earlier)

    def _apply(self, pdu: Received) -> None:
        header, ack = pdu.header, pdu.ack
        if header.ptype == PduType.RESPONSE and not header.flags & PfcFlags.LAST:
            self.responses.setdefault(header.call_id, []).append(pdu)
            return
        if header.ptype in {PduType.RESPONSE, PduType.FAULT}:
            self.responses.pop(header.call_id, None)
        if header.ptype != PduType.SHUTDOWN:
            self.answers[header.call_id] += 1
        if ack is not None and pdu.proposal is not None:
            if header.ptype == PduType.BIND_ACK:
                self.bind_ack = ack
            for element, result in zip(pdu.proposal.contexts, ack.results, strict=False):
                if result.accepted:
                    self.contexts[element.context_id] = result.transfer


def conversations(entries: Iterable[Octets]) -> Iterator[Received]:
    """Yield every PDU that the servers sent, in order, with the state of its connection before it.

    Args:
        entries: a transcript.
    """
    found: dict[int, Conversation] = {}
    for entry in entries:
        if entry.kind not in {"sent", "received"}:
            continue
        if entry.connection not in found:
            host, port = entry.remote
            peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            found[entry.connection] = Conversation(entry.connection, peer)
        if entry.kind == "sent":
            found[entry.connection].send(entry.data)
        else:
            yield from found[entry.connection].receive(entry.data)


def trailer_of(header: Header, raw: bytes) -> SecTrailer | None:
    """The sec_trailer of a PDU, at the place that MS-RPCE 2.2.2.11 gives; None if there is none."""
    start = header.frag_length - header.auth_length - TRAILER_SIZE
    if not header.auth_length or start < HEADER_SIZE or len(raw) < start + TRAILER_SIZE:
        return None
    return SecTrailer.unpack(raw[start : start + TRAILER_SIZE], header.byte_order)


def type_name_of(ptype: int) -> str:
    """The name of a PDU type as C706 and MS-RPCE write it, or its number."""
    known = {PduType.AUTH3: "rpc_auth_3"}
    if ptype in known:
        return known[PduType(ptype)]
    return PduType(ptype).name.lower() if 0 <= ptype <= max(PduType) else f"PDU type {ptype}"


def _order(octets: bytes | bytearray) -> ByteOrder:
    return "little" if octets[4] >> 4 else "big"


def _is_pdu(octets: bytes | bytearray) -> bool:
    """Whether octets begin with the header of a PDU of version 5.0 that a client sends."""
    if len(octets) < HEADER_SIZE or octets[:2] != b"\x05\x00":
        return False
    return octets[2] in OF_CLIENTS and bytes(octets[4:8]) in {LITTLE_ENDIAN, BIG_ENDIAN}
