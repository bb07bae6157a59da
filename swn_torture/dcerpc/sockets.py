"""What is done to TCP itself: ends that are resets, and peers that fall silent."""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

_SO_ATTACH_FILTER: Final = 26
"""Linux's SO_ATTACH_FILTER, which Python does not name."""

_BPF_RETURN: Final = 0x06
"""The instruction BPF_RET | BPF_K: how many octets of a packet to keep; with 0 none, and it is dropped."""

_PROBES: Final = 3
"""How many probes of TCP may stay unanswered."""


def reset_on_close(transport: asyncio.Transport) -> None:
    """Make the end of a connection a TCP reset instead of a FIN."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def probe_when_silent(transport: asyncio.Transport, seconds: float) -> None:
    """Give up a connection whose peer is silent for so long and then answers no probe, of one a second.

    Not only an idle connection: also one whose peer does not acknowledge what it was sent.
    """
    idle = max(1, round(seconds))
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPINTVL", 1),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", 1000 * (idle + _PROBES)),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def drop_incoming(transport: asyncio.Transport) -> None:
    """Have the kernel drop every segment that arrives on a connection, before TCP sees it (Linux)."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
    filter_ = struct.pack("@HP", 1, ctypes.addressof(program))
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
