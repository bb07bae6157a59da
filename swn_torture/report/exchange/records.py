"""The exchange of a case: octet records of its transcript, and their assembly into PDUs.

A record is one event of one connection. Its JSON form has the members ``time`` (seconds since the epoch),
``connection`` (a number), ``kind`` (``open``, ``sent``, ``received``, ``fin``, ``reset``, ``closed-by-peer``,
``reset-by-peer``), ``local`` and ``remote`` (address, port) and ``data`` (base64). A record holds the octets
of one read or write, which need not be one PDU; :func:`frames` splits and joins them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from swn_torture.report.exchange.pdu_fields import Association, Field, describe_pdu, pdu_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Direction = Literal["sent", "received", ""]

#: Titles of the kinds of record that have no octets.
EVENTS = {
    "open": "connection opened",
    "fin": "the client closed the connection (FIN)",
    "reset": "the client reset the connection (RST)",
    "closed-by-peer": "the target closed the connection (FIN)",
    "reset-by-peer": "the target reset the connection (RST)",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One event of a connection; the docstring of this module explains the members."""

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
            KeyError, ValueError: a member is missing or of the wrong type, or the octets are not base64.
        """
        local, remote = data.get("local") or ("", 0), data.get("remote") or ("", 0)
        try:
            return cls(
                time=float(data["time"]),
                connection=int(data["connection"]),
                kind=str(data["kind"]),
                local=(str(local[0]), int(local[1])),
                remote=(str(remote[0]), int(remote[1])),
                data=base64.b64decode(data.get("data") or "", validate=True),
            )
        except (IndexError, TypeError) as problem:
            raise ValueError(str(problem)) from problem


@dataclass(frozen=True, slots=True)
class Frame:
    """A PDU, octets that are not a PDU, or an event of the connection.

    Attributes:
        time: seconds from the first record of the exchange to the last octet of the frame.
        connection: number of the connection.
        direction: whether the suite sent or received it; empty for events.
        title: ``request, call 3, opnum 1 WitnessrRegister``.
        octets: the octets; empty for events.
        fields: the octets field by field, in order and without gaps.
    """

    time: float
    connection: int
    direction: Direction
    title: str
    octets: bytes = b""
    fields: tuple[Field, ...] = ()


def read_records(transcript: Iterable[Mapping[str, Any]]) -> tuple[Record, ...]:
    """The records of a case in order of time; records with the same time keep their order."""
    return tuple(sorted((Record.from_json(item) for item in transcript), key=lambda record: record.time))


def frames(records: Sequence[Record]) -> list[Frame]:
    """The exchange PDU by PDU, in the order in which the PDUs became complete."""
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
            found.append(
                _stray(at, record.connection, direction, octets, "octets that are not a DCE/RPC PDU")
            )
        elif octets:
            pending[record.connection, direction] = octets
    for (connection, way), octets in pending.items():
        found.append(
            _stray(last, connection, "sent" if way == "sent" else "received", octets, "an incomplete PDU")
        )
    return found


def _stray(at: float, connection: int, direction: Direction, octets: bytes, title: str) -> Frame:
    return Frame(at, connection, direction, title, octets, (Field(0, len(octets), title),))
