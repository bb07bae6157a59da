"""All packets of a lab, as the ports of its switch get them.

So the capture has the packets of all nodes and of the client, each once, with the port of its sender: also
what is below DCE/RPC, and what the nodes say to each other.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from swn_torture.lab.config import block_of_port, namespace
from swn_torture.lab.errors import LabError
from swn_torture.lab.namespaces import enter_network, lab_of_namespace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from types import TracebackType

MOST_OCTETS: Final = 64 * 1024 * 1024
"""Octets after which a capture keeps nothing more. An ordinary case has less than 2 MiB."""

_ETH_P_ALL: Final = 0x0003
_PACKET_OUTGOING: Final = 4
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_BUFFER: Final = 16 * 1024 * 1024
_LOOK_SECONDS: Final = 0.2
_START_SECONDS: Final = 5.0
_LONGEST: Final = 65536


class Frame(NamedTuple):
    """One Ethernet frame.

    Attributes:
        time: when the switch got it, in seconds since the epoch.
        port: of the switch: the node that sent it, or ``client``.
        octets: the frame.
    """

    time: float
    port: str
    octets: bytes


class LabCapture:
    """Captures inside its block. What it has captured stays in memory.

    Args:
        client_namespace: the network namespace of the client of the lab.

    Attributes:
        frames: what was captured.
        complete: whether nothing was left out.

    Raises:
        LabError: at the begin of the block: this process may not capture.
    """

    def __init__(self, client_namespace: str) -> None:
        self.frames: list[Frame] = []
        self.complete = True
        self._switch = namespace(lab_of_namespace(client_namespace) or client_namespace, "switch")
        self._began = threading.Event()
        self._ended = threading.Event()
        self._until = 0.0
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="packets of the lab", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._began.wait(_START_SECONDS) or self._problem:
            self.stop()
            raise LabError(f"The packets of the lab cannot be captured: {self._problem or 'no answer'}.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the capture; a second call does nothing. What came before is kept."""
        if not self._ended.is_set():
            self._until = time.time()
            self._ended.set()
        self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        try:
            # Only this thread enters the namespace. A socket stays in the one in which it was made.
            enter_network(self._switch)
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as raw:
                raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
                raw.settimeout(_LOOK_SECONDS)
                ports = {name for _, name in socket.if_nameindex() if name not in {"lo", "bridge"}}
                self._began.set()
                self._receive(raw, ports)
                _, dropped = struct.unpack("@II", raw.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
                self.complete = self.complete and not dropped
        except (LabError, OSError) as problem:
            self._problem = str(problem)
            self.complete = False
        finally:
            self._began.set()

    def _receive(self, raw: socket.socket, ports: set[str]) -> None:
        kept = 0
        while True:
            try:
                octets, extra, _, sender = raw.recvmsg(_LONGEST, 64)
            except TimeoutError:
                if self._ended.is_set():
                    return
                continue
            at = _time_of(extra)
            # The socket may still have packets that came before the end: the last ones before a finding.
            if self._ended.is_set() and at > self._until:
                return
            port, direction = sender[0], sender[2]
            if direction == _PACKET_OUTGOING or port not in ports:
                continue
            if kept + len(octets) > MOST_OCTETS:
                self.complete = False
                continue
            kept += len(octets)
            self.frames.append(Frame(at, port, octets))


def frames_between(frames: Iterable[Frame], blocks: Collection[int]) -> list[Frame]:
    """Return the frames of some of the clusters on a switch: of their nodes, and of the client to them.

    Frames of the client, or of the domain controller, to a node of another cluster are left out.

    Args:
        frames: of all ports.
        blocks: of the clusters (`swn_torture.lab.addresses`).
    """
    found = list(frames)
    others = {port for port in {frame.port for frame in found} if block_of_port(port) not in {None, *blocks}}
    elsewhere = {frame.octets[6:12] for frame in found if frame.port in others}
    return [frame for frame in found if frame.port not in others and frame.octets[:6] not in elsewhere]


def _time_of(extra: list[tuple[int, int, bytes]]) -> float:
    """When the kernel got a packet, in seconds since the epoch."""
    (value,) = (data for level, kind, data in extra if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS))
    seconds: int
    nanoseconds: int
    seconds, nanoseconds = struct.unpack("@ll", value[: struct.calcsize("@ll")])
    return seconds + nanoseconds / 1e9
