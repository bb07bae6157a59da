"""What packets say about an address that moves; the capture and its comments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import ICMPv6ND_NA, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.utils import rdpcap

from swn_torture.time_to_know.packets import Packets, write

if TYPE_CHECKING:
    from pathlib import Path

HOST, OLD = "02:00:00:00:00:02", "02:00:00:00:00:03"
MOVED, MOVED_6, OTHER = "192.0.2.1", "2001:db8::1", "192.0.2.9"
PORT, EVENT = 40000, 1000.0


def at(seconds: float, layers: Any, host: str = HOST) -> Any:
    packet = Ether(bytes(Ether(src=host, dst="ff:ff:ff:ff:ff:ff") / layers))
    packet.time = EVENT + seconds
    return packet


def segment(port: int = PORT, **fields: Any) -> Any:
    return IP(src=MOVED, dst=OTHER) / TCP(sport=445, dport=port, **fields)


PACKETS = [
    at(-1.0, segment(flags="R"), OLD),
    at(1.0, ARP(op=2, psrc=MOVED, pdst=MOVED)),
    at(1.5, ARP(op=1, psrc=MOVED, pdst=OTHER)),
    at(1.6, ARP(op=2, psrc=OTHER, pdst=OTHER)),
    at(2.0, ARP(op=2, psrc=MOVED, pdst=MOVED)),
    at(2.1, IPv6(src=MOVED_6, dst="ff02::1") / ICMPv6ND_NA(tgt=MOVED_6, S=0)),
    at(2.2, IPv6(src=MOVED_6, dst="ff02::1") / ICMPv6ND_NA(tgt=MOVED_6, S=1)),
    at(3.0, segment(flags="A", seq=5, ack=7)),
    at(3.5, segment(flags="A", seq=0, ack=0)),
    at(3.6, segment(PORT + 1, flags="R")),
    at(4.0, segment(flags="R", seq=7)),
    at(5.0, segment(flags="FA", seq=7)),
]


def captured() -> Packets:
    made = Packets()
    made.packets = [packet.copy() for packet in PACKETS]
    for packet, original in zip(made.packets, PACKETS, strict=True):
        packet.time = original.time
    return made


def test_events_of_the_address_are_found() -> None:
    seen = captured().seen({MOVED, MOVED_6}, {PORT}, EVENT)
    assert [(each.what, each.address, each.host, round(each.seconds, 3), each.count) for each in seen] == [
        ("gratuitous ARP", MOVED, HOST, 1.0, 2),
        ("unsolicited neighbour advertisement", MOVED_6, HOST, 2.1, 1),
        ("tickle ACK", MOVED, HOST, 3.5, 1),
        ("RST", MOVED, HOST, 4.0, 1),
        ("FIN", MOVED, HOST, 5.0, 1),
    ]
    assert str(seen[0]) == f"gratuitous ARP for {MOVED} from {HOST} after 1.000 s, 2 times"


def test_capture_names_the_events(tmp_path: Path) -> None:
    made, file = captured(), tmp_path / "events.pcapng"
    made.seen({MOVED}, {PORT}, EVENT)
    write(file, made.packets)
    read = rdpcap(str(file))
    assert len(read) == len(PACKETS)
    comments = [packet.comment for packet in read if packet.comment]
    assert comments[0] == f"gratuitous ARP for {MOVED}, 1.000 s after the failure".encode()
    assert f"tickle ACK for {MOVED}, 3.500 s after the failure".encode() in comments
