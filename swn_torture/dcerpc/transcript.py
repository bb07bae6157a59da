"""The octets sent and received by connections, in order: the evidence for every verdict."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["open", "sent", "received", "fin", "reset", "closed-by-peer", "reset-by-peer"]
"""``fin`` and ``reset`` are sent by this end; the last two are received from the peer."""

_KINDS: Final = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Octets:
    """One event of one connection.

    Attributes:
        time: seconds since the epoch.
        connection: number of the connection within its transcript, from 1.
        kind: what happened.
        local: (host, port) of this end.
        remote: (host, port) of the peer.
        data: the octets sent or received. They are a part of the stream, not necessarily one PDU.
    """

    time: float
    connection: int
    kind: Kind
    local: tuple[str, int]
    remote: tuple[str, int]
    data: bytes = b""

    def to_dict(self) -> dict[str, Any]:
        """Return a form for JSON; the octets are in base64."""
        return {
            "time": self.time,
            "connection": self.connection,
            "kind": self.kind,
            "local": list(self.local),
            "remote": list(self.remote),
            "data": base64.b64encode(self.data).decode("ascii"),
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Octets:
        """Read the output of :meth:`to_dict`. Raises ValueError or KeyError for any other input."""
        if record["kind"] not in _KINDS:
            raise ValueError(f"unknown kind of transcript entry: {record['kind']!r}")
        local_host, local_port = record["local"]
        remote_host, remote_port = record["remote"]
        return cls(
            float(record["time"]),
            int(record["connection"]),
            record["kind"],
            (str(local_host), int(local_port)),
            (str(remote_host), int(remote_port)),
            base64.b64decode(record["data"], validate=True),
        )


@dataclass(slots=True)
class Transcript:
    """A list of :class:`Octets`, appended to by all connections of one test."""

    entries: list[Octets] = field(default_factory=list)
    _connections: int = 0

    def connection(self) -> int:
        """Return the number of the next connection."""
        self._connections += 1
        return self._connections

    def add(
        self,
        connection: int,
        kind: Kind,
        local: tuple[str, int],
        remote: tuple[str, int],
        data: bytes = b"",
    ) -> None:
        """Append an event that has just happened."""
        self.entries.append(Octets(time.time(), connection, kind, local, remote, data))

    def stream(self, connection: int, kind: Kind) -> bytes:
        """Return all octets of one connection in one direction (``"sent"`` or ``"received"``)."""
        return b"".join(e.data for e in self.entries if e.connection == connection and e.kind == kind)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a form for JSON."""
        return [entry.to_dict() for entry in self.entries]

    @classmethod
    def from_dicts(cls, records: Iterable[dict[str, Any]]) -> Transcript:
        """Read the output of :meth:`to_dicts`."""
        entries = [Octets.from_dict(record) for record in records]
        return cls(entries, max((entry.connection for entry in entries), default=0))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Octets]:
        return iter(self.entries)


def beginning(entries: Iterable[Octets], limit: int) -> list[Octets]:
    """Return a transcript without the end of what it has too much of.

    The first octets of each connection stay, without a gap, and every event of a connection.

    Args:
        entries: a transcript.
        limit: octets to keep of each connection in each direction.
    """
    left: dict[tuple[int, str], int] = {}
    kept = []
    for entry in entries:
        key = (entry.connection, entry.kind)
        room = left.get(key, limit) - len(entry.data)
        left[key] = room if room >= 0 else -1
        if not entry.data or room >= 0:
            kept.append(entry)
    return kept
