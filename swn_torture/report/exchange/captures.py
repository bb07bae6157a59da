"""Packet captures made from recorded octets: they need no privileges and no sniffer, and lose no packets.

The TCP layer is synthesised: a handshake when a connection opens, segments with correct sequence numbers and
checksums, acknowledgements, and the end as it was recorded (FIN or RST, and from which side). The times are
those of the records. Such a capture does not show what TCP really did: retransmissions, delays, and the
boundaries of segments. Every PDU starts a new segment, because heuristic DCE/RPC dissectors look at the start
of a segment.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from swn_torture.report.exchange.pdu_fields import pdu_length
from swn_torture.report.exchange.records import Record, read_records
from swn_torture.report.exchange.segments import Direction
from swn_torture.report.exchange.takeovers import takeover_of
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

#: Octets in one synthesised segment: the payload of an Ethernet frame.
SEGMENT = 1448

LINKTYPE_RAW = 101
"""IPv4 or IPv6 without a link layer, so that one capture can hold both."""


def write_capture(
    path: Path, transcript: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]] = ()
) -> None:
    """Write the exchange of a case with all nodes as one pcapng file.

    Wireshark and tshark recognise DCE/RPC on any port heuristically. For malformed PDUs name the protocol:
    ``tshark -d tcp.port==PORT,dcerpc``.

    Args:
        path: the file to write.
        transcript: octet records as :mod:`swn_torture.report.exchange.records` reads them.
        events: what the controller did, each with ``time`` (seconds since the epoch) and ``text``. It is the
            comment of the first packet afterwards, or of the last packet.

    Raises:
        OSError: the file cannot be written.
        KeyError, ValueError: a record is malformed.
    """
    from scapy.packet import Raw
    from scapy.utils import PcapNgWriter

    # A connection opened later may have segments that were held back from an earlier time.
    packets = with_events(sorted(synthesise(read_records(transcript)), key=lambda p: p.time), events)
    writer = PcapNgWriter(str(path))
    try:
        writer.linktype = LINKTYPE_RAW
        writer.write_header(None)
        for packet in packets:
            shown = Raw(packet.octets)
            shown.comments = [visible(text).encode() for text in packet.comments] or None
            writer.write_packet(shown, sec=packet.time)
    finally:
        writer.close()


def write_frames(path: Path, frames: Iterable[Packet]) -> None:
    """Write Ethernet frames as one pcapng file, with an interface for each port.

    Those that tell that an address moved, or that a connection was reset, have a comment.

    Raises:
        OSError: the file cannot be written.
    """
    import scapy.layers.inet6  # noqa: F401 - without its layers, scapy does not know what it reads
    from scapy.layers.l2 import Ether
    from scapy.utils import PcapNgWriter

    with PcapNgWriter(str(path)) as writer:
        for frame in frames:
            shown = Ether(frame.octets)
            told = takeover_of(shown)
            own = (f"{told[0]} for {told[1]}",) if told else ()
            shown.comments = [visible(text).encode() for text in (*own, *frame.comments)] or None
            shown.sniffed_on = frame.port
            shown.time = frame.time
            writer.write(shown)


class Packet(NamedTuple):
    """An IP packet.

    Attributes:
        time: seconds since the epoch.
        octets: the packet.
        comments: texts for the reader of the capture.
        port: of the switch that got it; empty for a synthesised packet.
    """

    time: float
    octets: bytes
    comments: tuple[str, ...] = ()
    port: str = ""


def with_events(packets: Sequence[Packet], events: Iterable[Mapping[str, Any]]) -> list[Packet]:
    """Packets in order of time, with each event as a comment of the first packet that is not before it."""
    found = list(packets)
    for event in events if found else ():
        at, text = float(event["time"]), str(event["text"])
        index = next((n for n, packet in enumerate(found) if packet.time >= at), len(found) - 1)
        seconds = at - found[0].time
        comment = f"the controller, {seconds:.3f} s after the first packet: {text}"
        found[index] = found[index]._replace(comments=(*found[index].comments, comment))
    return found


def synthesise(records: Sequence[Record]) -> Iterator[Packet]:
    """The IP packets of these records."""
    connections: dict[int, SynthesisedConnection] = {}
    for record in records:
        connection = connections.get(record.connection)
        if connection is None:
            connection = connections[record.connection] = SynthesisedConnection(record)
            yield from connection.open(record.time)
        yield from connection.show(record)
    for connection in connections.values():
        yield from connection.flush(records[-1].time)


class SynthesisedConnection:
    """Both ends of one TCP connection.

    Args:
        first: its first record.
        opened_by_us: whether this end opened it.
        comments_of: returns the comments for a PDU of this end; ``b""`` for the end of the connection.

    Attributes:
        ended: whether this end (``True``) and the peer (``False``) have ended their direction.
    """

    def __init__(
        self,
        first: Record,
        *,
        opened_by_us: bool = True,
        comments_of: Callable[[bytes], tuple[str, ...]] = lambda _: (),
    ) -> None:
        self._opened_by_us = opened_by_us
        self._comments_of = comments_of
        self.local, self.remote = _usable(first.local, first.remote)
        self._directions = {
            True: Direction(self.local, self.remote),
            False: Direction(self.remote, self.local),
        }
        # The first sequence numbers differ, so that a mix-up of the two directions is visible.
        self.next = {
            True: 1_000_000 + first.connection * 65_536,
            False: 2_000_000 + first.connection * 65_536,
        }
        self.ended = {True: False, False: False}
        self.unfinished = {True: b"", False: b""}

    def open(self, at: float) -> Iterator[Packet]:
        """The handshake."""
        ours = self._opened_by_us
        yield Packet(at, self._segment("S", ours=ours, acknowledge=False))
        self.next[ours] += 1
        yield Packet(at, self._segment("SA", ours=not ours))
        self.next[not ours] += 1
        yield Packet(at, self._segment("A", ours=ours))

    def show(self, record: Record) -> Iterator[Packet]:
        """The packets of one record."""
        if record.kind in {"sent", "received"}:
            yield from self._pass(record.time, record.data, ours=record.kind == "sent")
            return
        yield from self.flush(record.time)
        if record.kind in {"reset", "reset-by-peer"}:
            packet = self._segment("RA", ours=record.kind == "reset")
            yield Packet(record.time, packet, self._comments_of(b""))
            self.ended = {True: True, False: True}
        elif record.kind in {"fin", "closed-by-peer"}:
            ours = record.kind == "fin"
            if not self.ended[ours]:
                yield Packet(record.time, self._segment("FA", ours=ours), self._comments_of(b""))
                self.next[ours] += 1
                self.ended[ours] = True
                yield Packet(record.time, self._segment("A", ours=not ours))

    def flush(self, at: float) -> Iterator[Packet]:
        """Send the octets that were held back because they are not a complete PDU."""
        for ours in (True, False):
            rest, self.unfinished[ours] = self.unfinished[ours], b""
            yield from self._carry(at, rest, ours=ours)

    def _pass(self, at: float, data: bytes, *, ours: bool) -> Iterator[Packet]:
        data = self.unfinished[ours] + data
        while (length := pdu_length(data)) is not None and 0 < length <= len(data):
            yield from self._carry(at, data[:length], ours=ours)
            data = data[length:]
        if length == 0:
            yield from self._carry(at, data, ours=ours)
            data = b""
        self.unfinished[ours] = data

    def _carry(self, at: float, data: bytes, *, ours: bool) -> Iterator[Packet]:
        comments = self._comments_of(data) if ours and data else ()
        for offset in range(0, len(data), SEGMENT):
            piece = data[offset : offset + SEGMENT]
            last = offset + SEGMENT >= len(data)
            packet = self._segment("PA" if last else "A", piece, ours=ours)
            yield Packet(at, packet, comments if last else ())
            self.next[ours] += len(piece)
        if data:
            yield Packet(at, self._segment("A", ours=not ours))

    def _segment(self, flags: str, data: bytes = b"", *, ours: bool, acknowledge: bool = True) -> bytes:
        acknowledged = self.next[not ours] if acknowledge else 0
        return self._directions[ours].packet(self.next[ours], acknowledged, flags, data)


def _usable(local: tuple[str, int], remote: tuple[str, int]) -> tuple[tuple[str, int], tuple[str, int]]:
    """Both ends, with addresses of one family, and with ports, that fit into the headers."""
    ends = [(host.split("%", 1)[0], port) for host, port in (local, remote)]
    for host, port in ends:
        ipaddress.ip_address(host)
        if not 0 <= port <= 0xFFFF:
            raise ValueError(f"{port} is not a TCP port")
    if len({":" in host for host, _ in ends}) > 1:
        raise ValueError(f"the connection from {local[0]} to {remote[0]} mixes two address families")
    return ends[0], ends[1]
