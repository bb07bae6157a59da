"""What was measured, and its figures."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = "swn-torture-time-to-know/1"


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a registered client heard, and when.

    Attributes:
        what: `RESOURCE_CHANGE UNAVAILABLE`, `connection reset` and so on; `nothing`.
        seconds: after the event; None for nothing.
    """

    what: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What TCP told a client without witness.

    Attributes:
        what: the connection.
        address: of the server.
        port: of the server.
        how: reset, closed, timed out, unreachable; or, while it is open: open, served, not acknowledged,
            acknowledged, no answer.
        seconds: from the event to its end; None while it is open.
        watched: seconds from the event to the last look at it, while it is open.
        retransmissions: how often its request was sent again until then.
        gives_up_after: seconds after which the kernel would end it.
    """

    what: str
    address: str
    port: int
    how: str
    seconds: float | None = None
    watched: float | None = None
    retransmissions: int | None = None
    gives_up_after: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all as values for JSON."""
        return {
            "connection": self.what,
            "address": self.address,
            "port": self.port,
            "how": self.how,
            "seconds": _round(self.seconds),
            "watched": _round(self.watched),
            "retransmissions": self.retransmissions,
            "gives_up_after": _round(self.gives_up_after),
        }

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.how} after {duration(self.seconds)}"
        after = f"{self.how} after {duration(self.watched or 0.0)}"
        if self.gives_up_after is not None:
            after += (
                f", {self.retransmissions} retransmissions; the kernel gives up after "
                f"{self.gives_up_after:.0f} s"
            )
        return after


@dataclass(frozen=True, slots=True)
class PacketSeen:
    """One packet that says something about an address.

    Attributes:
        what: gratuitous ARP, unsolicited neighbour advertisement, tickle ACK, RST or FIN.
        address: which it is about.
        host: the hardware address that sent it.
        seconds: after the event.
        count: how many of them were seen; `seconds` is the first.
    """

    what: str
    address: str
    host: str
    seconds: float
    count: int = 1

    def __str__(self) -> str:
        times = f", {self.count} times" if self.count > 1 else ""
        return f"{self.what} for {self.address} from {self.host} after {duration(self.seconds)}{times}"


@dataclass(slots=True)
class Measurement:
    """One failure, and what so many clients heard of it.

    Attributes:
        failure: its kind; `disable` for an orderly one.
        node: the node that failed.
        clients: how many clients were to register.
        at: when, in seconds since 1970.
        heard: what each registered client heard.
        cluster_saw: seconds until the own tools of the cluster showed the failure.
        connections: what TCP told clients without witness.
        no_connections: why there are none.
        packets: what the network showed.
        problem: why it could not be measured, or not with all clients.
        waited: seconds from the event until the last look.
    """

    failure: str
    node: str
    clients: int
    at: float = 0.0
    heard: list[Hearing] = field(default_factory=list)
    cluster_saw: float | None = None
    connections: list[Ending] = field(default_factory=list)
    no_connections: str = ""
    packets: list[PacketSeen] = field(default_factory=list)
    problem: str = ""
    waited: float = 0.0

    @property
    def times(self) -> list[float]:
        """Seconds after the event of those that heard something, in order."""
        return sorted(each.seconds for each in self.heard if each.seconds is not None)

    @property
    def figures(self) -> dict[str, float] | None:
        """First, median, p99 and last of `times`; None if nobody heard anything."""
        times = self.times
        if not times:
            return None
        return {
            "first": times[0],
            "median": quantile(times, 0.5),
            "p99": quantile(times, 0.99),
            "last": times[-1],
        }

    @property
    def what_was_heard(self) -> dict[str, int]:
        """What was heard, with the number of clients, the most frequent first."""
        return dict(Counter(each.what for each in self.heard).most_common())

    def to_json(self) -> dict[str, Any]:
        """Return all as values for JSON; seconds in thousandths."""
        tcp = [each.to_json() for each in self.connections]
        return {
            "failure": self.failure,
            "node": self.node,
            "at": round(self.at, 3),
            "clients": self.clients,
            "registered": len(self.heard),
            "heard": self.what_was_heard,
            **{name: _round(value) for name, value in (self.figures or _NO_FIGURES).items()},
            "cluster_saw": _round(self.cluster_saw),
            "waited": _round(self.waited),
            "times": [_round(each) for each in self.times],
            "tcp": tcp,
            "no_tcp": self.no_connections,
            "packets": [
                {
                    "what": each.what,
                    "address": each.address,
                    "host": each.host,
                    "seconds": _round(each.seconds),
                    "count": each.count,
                }
                for each in self.packets
            ],
            "problem": self.problem,
        }


_NO_FIGURES: dict[str, float | None] = dict.fromkeys(("first", "median", "p99", "last"))


@dataclass(slots=True)
class Study:
    """All measurements of a target.

    Attributes:
        target: its name.
        title: its title.
        product: name and version of the product; empty where the profile does not say it.
        version: of this package.
        measurements: in the order in which they were made.
    """

    target: str
    title: str
    product: str
    version: str
    measurements: list[Measurement] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return all as values for JSON."""
        return {
            "schema": SCHEMA,
            "target": self.target,
            "title": self.title,
            "product": self.product,
            "version": self.version,
            "measurements": [each.to_json() for each in self.measurements],
        }


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return the smallest value that at least this part of the values does not exceed (nearest rank).

    Args:
        ordered: the values, at least one, in order.
        part: above 0, at most 1.
    """
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def duration(seconds: float) -> str:
    """Seconds as text, with three digits at least."""
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
