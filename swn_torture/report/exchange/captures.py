"""Packet captures made from recorded octets: they need no privileges and no sniffer, and lose no packets.

The TCP layer is synthesised: a handshake when a connection opens, segments with correct sequence numbers and
checksums, acknowledgements, and the end as it was recorded (FIN or RST, and from which side). The times are
those of the records. Such a capture does not show what TCP really did: retransmissions, delays, and the
boundaries of segments. Every PDU starts a new segment, because heuristic DCE/RPC dissectors look at the start
of a segment.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from swn_torture.report.exchange.pdu_fields import pdu_length
from swn_torture.report.exchange.records import Record, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

#: Octets in one synthesised segment: the payload of an Ethernet frame.
SEGMENT = 1448

_LINKTYPE_RAW = 101  # IPv4 or IPv6 without a link layer, so that one capture can hold both
_WINDOW = 65535


def write_capture(path: Path, transcript: Iterable[Mapping[str, Any]]) -> None:
    """Write the exchange of a case as pcapng.

    Wireshark and tshark recognise DCE/RPC on any port heuristically. For malformed PDUs name the protocol:
    ``tshark -d tcp.port==PORT,dcerpc``.

    Args:
        path: the file to write.
        transcript: octet records as :mod:`swn_torture.report.exchange.records` reads them.

    Raises:
        OSError: the file cannot be written.
        KeyError, ValueError: a record is malformed.
    """
    from scapy.utils import PcapNgWriter

    packets = list(synthesise(read_records(transcript)))
    writer = PcapNgWriter(str(path))
    try:
        writer.linktype = _LINKTYPE_RAW
        writer.write_header(None)
        for at, packet in packets:
            writer.write_packet(packet, sec=at)
    finally:
        writer.close()


def synthesise(records: Sequence[Record]) -> Iterator[tuple[float, bytes]]:
    """The IP packets of these records, each with its time in seconds since the epoch."""
    connections: dict[int, _Connection] = {}
    for record in records:
        connection = connections.get(record.connection)
        if connection is None:
            connection = connections[record.connection] = _Connection(record)
            yield from connection.open(record.time)
        yield from connection.show(record)
    for connection in connections.values():
        yield from connection.flush(records[-1].time)


class _Connection:
    """Both ends of one TCP connection."""

    def __init__(self, first: Record) -> None:
        self.local, self.remote = _usable(first.local, first.remote)
        # The first sequence numbers differ, so that a mix-up of the two directions is visible.
        self.next = {
            True: 1_000_000 + first.connection * 65_536,
            False: 2_000_000 + first.connection * 65_536,
        }
        self.ended = {True: False, False: False}
        self.unfinished = {True: b"", False: b""}

    def open(self, at: float) -> Iterator[tuple[float, bytes]]:
        yield at, self._segment("S", ours=True, acknowledge=False)
        self.next[True] += 1
        yield at, self._segment("SA", ours=False)
        self.next[False] += 1
        yield at, self._segment("A", ours=True)

    def show(self, record: Record) -> Iterator[tuple[float, bytes]]:
        if record.kind in {"sent", "received"}:
            yield from self._pass(record.time, record.data, ours=record.kind == "sent")
            return
        yield from self.flush(record.time)
        if record.kind in {"reset", "reset-by-peer"}:
            yield record.time, self._segment("RA", ours=record.kind == "reset")
            self.ended = {True: True, False: True}
        elif record.kind in {"fin", "closed-by-peer"}:
            ours = record.kind == "fin"
            if not self.ended[ours]:
                yield record.time, self._segment("FA", ours=ours)
                self.next[ours] += 1
                self.ended[ours] = True
                yield record.time, self._segment("A", ours=not ours)

    def flush(self, at: float) -> Iterator[tuple[float, bytes]]:
        """Send the octets that were held back because they are not a complete PDU."""
        for ours in (True, False):
            rest, self.unfinished[ours] = self.unfinished[ours], b""
            yield from self._carry(at, rest, ours=ours)

    def _pass(self, at: float, data: bytes, *, ours: bool) -> Iterator[tuple[float, bytes]]:
        data = self.unfinished[ours] + data
        while (length := pdu_length(data)) is not None and 0 < length <= len(data):
            yield from self._carry(at, data[:length], ours=ours)
            data = data[length:]
        if length == 0:
            yield from self._carry(at, data, ours=ours)
            data = b""
        self.unfinished[ours] = data

    def _carry(self, at: float, data: bytes, *, ours: bool) -> Iterator[tuple[float, bytes]]:
        for offset in range(0, len(data), SEGMENT):
            piece = data[offset : offset + SEGMENT]
            yield at, self._segment("PA" if offset + SEGMENT >= len(data) else "A", piece, ours=ours)
            self.next[ours] += len(piece)
        if data:
            yield at, self._segment("A", ours=not ours)

    def _segment(self, flags: str, data: bytes = b"", *, ours: bool, acknowledge: bool = True) -> bytes:
        from scapy.layers.inet import IP, TCP
        from scapy.layers.inet6 import IPv6

        source, target = (self.local, self.remote) if ours else (self.remote, self.local)
        network = IPv6 if ":" in source[0] else IP
        segment = TCP(
            sport=source[1],
            dport=target[1],
            seq=self.next[ours] % 2**32,
            ack=self.next[not ours] % 2**32 if acknowledge else 0,
            flags=flags,
            window=_WINDOW,
        )
        return bytes(network(src=source[0], dst=target[0]) / segment / data)


def _usable(local: tuple[str, int], remote: tuple[str, int]) -> tuple[tuple[str, int], tuple[str, int]]:
    """Both ends, with addresses of one family that fit into an IP header."""
    ends = [(host.split("%", 1)[0], port) for host, port in (local, remote)]
    for host, _ in ends:
        ipaddress.ip_address(host)
    if len({":" in host for host, _ in ends}) > 1:
        raise ValueError(f"the connection from {local[0]} to {remote[0]} mixes two address families")
    return ends[0], ends[1]
