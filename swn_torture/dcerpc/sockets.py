"""TCP options: a reset at the end, silent peers, dropped segments; and why there is no connection."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

_SO_ATTACH_FILTER: Final = 26
"""SO_ATTACH_FILTER of Linux; Python has no name for it."""

_BPF_RETURN: Final = 0x06
"""The instruction BPF_RET | BPF_K. Its operand is the number of octets to keep; 0 drops the packet."""

_PROBES: Final = 3
"""How many keep-alive probes TCP sends without an answer."""


def reset_on_close(transport: asyncio.Transport) -> None:
    """Make the connection end with a TCP reset instead of a FIN when it is closed."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def probe_when_silent(transport: asyncio.Transport, seconds: float) -> None:
    """Make TCP end a connection when its peer does not answer.

    After ``seconds`` without a segment from the peer, TCP sends a probe every second and ends the connection
    when three stay unanswered. The same time applies to octets that the peer does not acknowledge.
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
    """Make the kernel drop every segment that arrives on a connection, before TCP processes it (Linux)."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
    filter_ = struct.pack("@HP", 1, ctypes.addressof(program))
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


def reason_of(error: OSError) -> str:
    """Why a connection was not possible. The text of asyncio, "Connect call failed", does not say it."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)


def endpoint_of(name: Any) -> tuple[str, int]:
    """Return (host, port) of a socket name of Python, ``("", 0)`` for none."""
    return (str(name[0]), int(name[1])) if name else ("", 0)
