"""The exchange of a case: octet records as they were taken, put together to PDUs.

A record is what a transcript holds for one moment of one connection; its JSON form has the members ``time``
(seconds since the epoch), ``connection`` (a number), ``kind`` (``open``, ``sent``, ``received``, ``fin``,
``reset``, ``closed-by-peer``, ``reset-by-peer``), ``local`` and ``remote`` (address, port) and ``data``
(base64). What a record holds is what one read or write moved, which need not be one PDU: :func:`frames` cuts
and joins.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from swn_torture.report.exchange.pdu_fields import Association, Field, describe_pdu, pdu_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Direction = Literal["sent", "received", ""]

#: What kinds of record without octets mean to a reader.
EVENTS = {
    "open": "connection opened",
    "fin": "we closed the connection (FIN)",
    "reset": "we reset the connection (RST)",
    "closed-by-peer": "the target closed the connection (FIN)",
    "reset-by-peer": "the target reset the connection (RST)",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened on a connection; see the head of this module for the members."""

    time: float
    connection: int
    kind: str
    local: tuple[str, int]
    remote: tuple[str, int]
    data: bytes

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a record.

        Raises:
            KeyError, ValueError: it lacks a member, or its octets are not base64.
        """
        local, remote = data.get("local") or ("", 0), data.get("remote") or ("", 0)
        return cls(
            time=float(data["time"]),
            connection=int(data["connection"]),
            kind=str(data["kind"]),
            local=(str(local[0]), int(local[1])),
            remote=(str(remote[0]), int(remote[1])),
            data=base64.b64decode(data.get("data") or "", validate=True),
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """A PDU, or octets that are none, or something that happened to the connection.

    Attributes:
        time: seconds since the first record of the exchange, when its last octet passed.
        connection: its number.
        direction: who sent it, seen from us; empty for events.
        title: ``request 3, opnum 1 WitnessrRegister``.
        octets: what passed; empty for events.
        fields: its octets, named, in order and without gaps.
    """

    time: float
    connection: int
    direction: Direction
    title: str
    octets: bytes = b""
    fields: tuple[Field, ...] = ()


def read_records(transcript: Iterable[Mapping[str, Any]]) -> tuple[Record, ...]:
    """The records of a case, in order of time (records of the same time keep their order)."""
    return tuple(sorted((Record.from_json(item) for item in transcript), key=lambda record: record.time))


def frames(records: Sequence[Record]) -> list[Frame]:
    """What passed, PDU by PDU, in the order in which each was complete."""
    found: list[Frame] = []
    pending: dict[tuple[int, str], bytes] = {}
    associations: dict[int, Association] = {}
    start = records[0].time if records else 0.0
    last = start
    for record in records:
        last = at = record.time - start
        if record.kind not in {"sent", "received"}:
            found.append(Frame(at, record.connection, "", EVENTS.get(record.kind, record.kind)))
            continue
        direction: Direction = "sent" if record.kind == "sent" else "received"
        association = associations.setdefault(record.connection, Association())
        octets = pending.pop((record.connection, direction), b"") + record.data
        while (length := pdu_length(octets)) and length <= len(octets):
            title, fields = describe_pdu(octets[:length], association)
            found.append(Frame(at, record.connection, direction, title, octets[:length], fields))
            octets = octets[length:]
        if length == 0 and octets:
            found.append(_stray(at, record.connection, direction, octets, "octets that are no DCE/RPC PDU"))
        elif octets:
            pending[record.connection, direction] = octets
    for (connection, way), octets in pending.items():
        found.append(
            _stray(last, connection, "sent" if way == "sent" else "received", octets, "an unfinished PDU")
        )
    return found


def _stray(at: float, connection: int, direction: Direction, octets: bytes, title: str) -> Frame:
    return Frame(at, connection, direction, title, octets, (Field(0, len(octets), title),))
