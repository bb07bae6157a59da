"""The octets of all servers of a cluster as a pcapng file, with the lines of the log as comments.

The TCP layer is synthesised as in `report.exchange.captures`. Octets appear as they were on the network, so
sealed stub data stay sealed; the comments say what is in them. A packet with a response, a fault or a
bind_nak has the lines about its call. A connection that ends without an answer has the reason at its FIN.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any, Final

from swn_torture.report.exchange.captures import LINKTYPE_RAW, Packet, SynthesisedConnection
from swn_torture.report.exchange.records import Record
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from swn_torture.dcerpc.transcript import Kind

_MOST_COMMENTS: Final = 64
"""Comments of a connection that wait for a packet; older ones are dropped."""

_LONGEST: Final = 2000
"""Characters of a comment."""

_ENDS: Final = frozenset({"fin", "reset", "closed-by-peer", "reset-by-peer"})


class Capture:
    """A pcapng file that grows while the cluster runs. Each packet is complete in the file once it is sent.

    Args:
        path: the file.
        failed: called once with the reason if the file cannot be written any more; the cluster continues.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, failed: Callable[[OSError], None] = lambda _: None) -> None:
        from scapy.packet import Raw
        from scapy.utils import PcapNgWriter

        self._failed = failed
        self._packet = Raw
        self._writer: Any = PcapNgWriter(str(path))
        self._writer.linktype = LINKTYPE_RAW
        self._writer.sync = True
        self._writer.write_header(None)
        self._connections = 0
        self._broken = False

    def server(self) -> ServerCapture:
        """Return the recorder of one server."""
        return ServerCapture(self)

    def number(self) -> int:
        """Return the number of the next connection of all servers."""
        self._connections += 1
        return self._connections

    def write(self, packet: Packet) -> None:
        """Write a packet with its comments."""
        if self._broken:
            return
        shown = self._packet(packet.octets)
        shown.comments = [visible(text)[:_LONGEST].encode() for text in packet.comments] or None
        try:
            self._writer.write_packet(shown, sec=packet.time)
        except OSError as problem:
            self._broken = True
            self._failed(problem)

    def close(self) -> None:
        """Close the file."""
        try:
            self._writer.close()
        except OSError as problem:
            if not self._broken:
                self._failed(problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ServerCapture:
    """Records the connections of one server (a `dcerpc.server.watcher.Recorder`)."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._connections: dict[int, SynthesisedConnection] = {}
        self._comments: dict[int, list[tuple[int | None, str]]] = {}

    def comment(self, connection: int, call_id: int | None, text: str) -> None:
        """Keep a comment for the next packet about this call, or for the end of the connection."""
        if connection not in self._connections:
            return
        waiting = self._comments.setdefault(connection, [])
        waiting.append((call_id, text))
        del waiting[:-_MOST_COMMENTS]

    def add(
        self,
        connection: int,
        kind: Kind,
        local: tuple[str, int],
        remote: tuple[str, int],
        data: bytes = b"",
    ) -> None:
        """Write an event that has just happened."""
        record = Record(time.time(), connection, kind, local, remote, data)
        shown = self._connections.get(connection)
        if shown is None:
            if kind != "open":
                return  # it has ended
            numbered = Record(record.time, self._capture.number(), kind, local, remote, data)
            shown = SynthesisedConnection(numbered, opened_by_us=False, comments_of=self._of(connection))
            self._connections[connection] = shown
            self._write(shown.open(record.time))
            return
        self._write(shown.show(record))
        if kind in _ENDS and (kind != "fin" or shown.ended[False]):
            self._connections.pop(connection, None)
            self._comments.pop(connection, None)

    def _write(self, packets: Any) -> None:
        for packet in packets:
            self._capture.write(packet)

    def _of(self, connection: int) -> Callable[[bytes], tuple[str, ...]]:
        """Return a function that takes the comments for a PDU; `b""` is the end of the connection."""

        def comments(pdu: bytes) -> tuple[str, ...]:
            waiting = self._comments.get(connection)
            if not waiting:
                return ()
            call_id = _call_id(pdu)
            taken = [each for each in waiting if call_id is None or each[0] in {None, call_id}]
            waiting[:] = [each for each in waiting if each not in taken]
            return tuple(text for _, text in taken)

        return comments


def _call_id(pdu: bytes) -> int | None:
    """Return the call_id of a PDU that this server sent, None for the end of the connection."""
    if len(pdu) < 16:
        return None
    number: int = struct.unpack_from("<I" if pdu[4] & 0x10 else ">I", pdu, 12)[0]
    return number
