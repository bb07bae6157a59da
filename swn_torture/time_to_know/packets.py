"""What the network shows when an address fails or moves: ARP, neighbour advertisements, tickle ACKs, resets.

Records only. The packets are those that reach this machine, or the network namespace of the client.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from swn_torture.report.exchange.takeovers import takeover_of
from swn_torture.time_to_know.model import PacketSeen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

_START_SECONDS: Final = 5.0


class CannotCapture(Exception):  # noqa: N818 - it reports a property of this machine
    """This process may not capture; the text says why."""


class Packets:
    """Captures all packets of the network from `start` to `stop`."""

    def __init__(self) -> None:
        self._sniffer: Any = None
        self.packets: list[Any] = []

    def start(self) -> None:
        """Begin, and return when it has begun.

        Raises:
            CannotCapture: this process may not.
        """
        # Without its layers, scapy does not know what it captures.
        import scapy.layers.inet6  # noqa: F401
        from scapy.config import conf
        from scapy.sendrecv import AsyncSniffer

        began = threading.Event()
        conf.ifaces.reload()  # this process may have entered another network namespace
        names = [name for _, name in socket.if_nameindex() if name != "lo"]
        try:
            conf.L2listen(iface=names[0] if names else None).close()
        except OSError as problem:
            raise CannotCapture(f"packets cannot be captured: {problem.strerror}") from problem
        self._sniffer = AsyncSniffer(iface=names or None, store=True, started_callback=began.set)
        self._sniffer.start()
        if not began.wait(_START_SECONDS):
            raise CannotCapture(f"no capture began within {_START_SECONDS:g} s")

    def stop(self) -> None:
        """End; `packets` has what was captured."""
        if self._sniffer is not None:
            self._sniffer.stop()
            self.packets = list(self._sniffer.results or ())
            self._sniffer = None

    def seen(self, addresses: Collection[str], ports: Collection[int], event: float) -> list[PacketSeen]:
        """What the packets after the event say about some addresses; each packet gets a comment.

        Args:
            addresses: those of the node that failed.
            ports: of the client, whose TCP connections are watched.
            event: when it failed, in seconds since 1970.
        """
        found: dict[tuple[str, str, str], PacketSeen] = {}
        for packet in self.packets:
            what = takeover_of(packet, set(addresses), set(ports))
            if what is None or packet.time < event:
                continue
            kind, address = what
            seconds = float(packet.time) - event
            packet.comment = f"{kind} for {address}, {seconds:.3f} s after the failure".encode()
            key = (kind, address, str(packet.src))
            before = found.get(key)
            found[key] = (
                PacketSeen(*key, seconds)
                if before is None
                else PacketSeen(*key, before.seconds, before.count + 1)
            )
        return sorted(found.values(), key=lambda each: each.seconds)


def write(path: Path, packets: Iterable[Any]) -> None:
    """Write packets with their comments as pcapng.

    Raises:
        OSError: the file cannot be written.
    """
    from scapy.utils import PcapNgWriter

    with PcapNgWriter(str(path)) as writer:
        for packet in packets:
            writer.write(packet)
