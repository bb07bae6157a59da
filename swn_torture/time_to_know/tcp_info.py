"""What the kernel of Linux knows about a TCP connection, and when it would give it up (tcp(7))."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# The beginning of struct tcp_info in linux/tcp.h: eight octets, then 32 bit numbers.
_NUMBERS: Final = struct.Struct("=8B8I")
_RTO_MIN: Final = 0.2
_RTO_MAX: Final = 120.0
_DEFAULT_RETRIES: Final = 15


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """The state of a connection.

    Attributes:
        retransmissions: how often the oldest octets that are not acknowledged were sent again.
        retransmission_timeout: seconds until they are sent again.
        unacknowledged: segments that the other end has not acknowledged.
    """

    retransmissions: int
    retransmission_timeout: float
    unacknowledged: int


def tcp_info(connection: socket.socket) -> TcpInfo | None:
    """Return the state of a connection; None where the kernel does not tell it."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return None
    try:
        octets = connection.getsockopt(socket.IPPROTO_TCP, option, _NUMBERS.size)
    except OSError:
        return None
    if len(octets) < _NUMBERS.size:
        return None
    fields = _NUMBERS.unpack(octets)
    return TcpInfo(fields[2], fields[8] / 1e6, fields[12])


def retries() -> int:
    """How often this machine sends the same octets again: tcp_retries2 of the network namespace."""
    try:
        return int(Path("/proc/sys/net/ipv4/tcp_retries2").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return _DEFAULT_RETRIES


def gives_up_after(retransmissions: int) -> float:
    """Seconds after which Linux ends a connection whose octets nobody acknowledges.

    The time-out doubles with each retransmission, from 0.2 s to at most 120 s. With the default, 15, the
    sum is 924.6 s (ip-sysctl, tcp_retries2).

    Args:
        retransmissions: tcp_retries2.
    """
    return sum(min(_RTO_MIN * (1 << number), _RTO_MAX) for number in range(retransmissions + 1))
