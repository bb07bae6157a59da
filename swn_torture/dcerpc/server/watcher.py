"""What a server tells an observer of its connections, such as a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from swn_torture.dcerpc.server.interface import AnswerWatcher

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.events import ServerEvent
    from swn_torture.dcerpc.server.interface import ConnectionInfo
    from swn_torture.dcerpc.transcript import Kind


class Watcher(AnswerWatcher, Protocol):
    """Observes the connections of one server. Its methods run in the event loop and must not raise."""

    def connection(self, info: ConnectionInfo, kind: Kind) -> None:
        """A connection opened, or one of its ends closed or reset it."""

    def event(self, info: ConnectionInfo, event: ServerEvent) -> None:
        """The connection reports an event. The answer is not sent yet."""


class Recorder(Protocol):
    """Records the octets of connections. A :class:`~swn_torture.dcerpc.transcript.Transcript` is one."""

    def add(
        self,
        connection: int,
        kind: Kind,
        local: tuple[str, int],
        remote: tuple[str, int],
        data: bytes = b"",
    ) -> None:
        """Append an event that has just happened."""
