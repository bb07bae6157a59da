"""Packets that tell that an address moved, or that a connection ended.

CTDB announces an address that a node takes over by gratuitous ARP or an unsolicited neighbour advertisement.
It tickles the clients of the former host: an ACK with sequence and acknowledgement number 0. The client
answers, and the new host resets the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection


def takeover_of(
    packet: Any, addresses: Collection[str] | None = None, ports: Collection[int] | None = None
) -> tuple[str, str] | None:
    """What a packet says, and about which address; None for any other packet.

    Args:
        packet: a packet of scapy.
        addresses: only about these; None for any.
        ports: only about connections to these; None for any. Then the orderly end (FIN) says nothing.
    """
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import ICMPv6ND_NA, IPv6
    from scapy.layers.l2 import ARP

    if ARP in packet:
        arp = packet[ARP]
        own = arp.psrc == arp.pdst and (addresses is None or arp.psrc in addresses)
        return ("gratuitous ARP", arp.psrc) if own else None
    if ICMPv6ND_NA in packet:
        advertised = packet[ICMPv6ND_NA]
        own = not advertised.S and (addresses is None or advertised.tgt in addresses)
        return ("unsolicited neighbour advertisement", advertised.tgt) if own else None
    if TCP not in packet or not (ports is None or packet[TCP].dport in ports):
        return None
    segment = packet[TCP]
    source = packet[IP].src if IP in packet else packet[IPv6].src if IPv6 in packet else ""
    if segment.flags.R:
        return "RST", source
    if segment.flags.F and ports is not None:
        return "FIN", source
    tickles = segment.flags == "A" and segment.seq == 0 and segment.ack == 0
    return ("tickle ACK", source) if tickles else None
