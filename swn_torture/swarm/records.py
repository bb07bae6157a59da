"""What a client of the swarm reports: when it registered, what it was told, and what failed."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """What happened to a client."""

    REGISTERED = "registered"
    """RegisterEx succeeded; from now on the server has a registration for `address`."""
    ENDED = "ended"
    """The registration ended: the connection was lost, or the client or the server removed it."""
    TOLD = "told"
    """A notification arrived."""
    FAILED = "failed"
    """A connection, a logon or a call failed; `text` says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened to one client.

    Attributes:
        client: the number of the client, unique in the swarm.
        kind: what happened.
        at: when, in seconds of ``time.time()`` on the client's machine.
        node: the node whose witness service the client uses.
        address: the IpAddress of its registration.
        message_type: of a notification, a ``MessageType``; 0 otherwise.
        change: the ChangeType of a RESOURCE_CHANGE.
        text: the resource or the addresses of a notification, or what failed.
    """

    client: int
    kind: Kind
    at: float
    node: str = ""
    address: str = ""
    message_type: int = 0
    change: int = 0
    text: str = ""

    def to_json(self) -> str:
        """Return one line of JSON, without what is empty."""
        values = dataclasses.asdict(self)
        return json.dumps({name: value for name, value in values.items() if value or name == "client"})

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Return the record that :meth:`to_json` wrote."""
        return cls(**{**values, "kind": Kind(values["kind"])})
