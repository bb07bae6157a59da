"""Messages to the witness server processes of Samba, for registrations that `net witness` leaves out.

`net witness client-move` and `share-move` read the database of registrations, compare the names themselves,
and send a message to the server process of each registration that matches. The message has the key of the
registration and the destination, and no name. The process compares the key with those of its registrations.
For a share move it then checks whether the registration has a ShareName.

`net witness share-move` sends no message for a registration without ShareName, whatever the options say. So
the server would never have to decide about it. Here the same message is sent without `net witness`, by a
short program with the Python bindings of Samba (`samba.messaging`, package python3-samba).

Sources: `source3/librpc/idl/rpcd_witness.idl` and `source3/utils/net_witness.c` of Samba, 4.20 to 4.25.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from swn_torture.control.base import ControllerError
from swn_torture.control.ctdb.output import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Address, IPv6Address
    from uuid import UUID

    from swn_torture.witness.messages import RespAsyncNotify

Move = Literal["client-move", "share-move"]
"""The kinds of moves, as the subcommands of `net witness`."""

#: Move -> the types of its messages: to a node, to an IPv4 address, to an IPv6 address.
_TYPES: Final[Mapping[Move, tuple[int, int, int]]] = {"client-move": (1, 2, 3), "share-move": (4, 5, 6)}

SEND: Final = """\
import os, sys, time
from samba.messaging import Messaging
from samba.param import LoadParm
settings = LoadParm()
settings.load_default()
node = int(sys.argv[1])
answered = set()
messages = Messaging((os.getpid(), 0, node), lp_ctx=settings)
messages.register((lambda context, kind, sender, data: answered.add(sender.pid), None), 3)
pids = set()
for argument in sys.argv[2:]:
    pid, octets = argument.split(":")
    messages.send((int(pid), 0, node), 0x680, bytes.fromhex(octets))
    pids.add(int(pid))
for pid in pids:
    messages.send((pid, 0, node), 2, b"swn-torture")
end = time.time() + 5
while answered != pids and time.time() < end:
    messages.loop_once(0.1)
print(*answered)
"""
"""The program: it sends messages to processes of its node, and prints the processes that have read them.

Its arguments are the PNN of the node, and `PID:OCTETS` for each message. A process reads its messages in
order, so one that answers the MSG_PING (2) after them with MSG_PONG (3) has read them.
"""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a registration is: what `net witness list` says of it besides the fields of the client."""

    pnn: int
    pid: int
    handle_type: int
    """The first four octets of the context handle."""
    client_computer_name: str
    share_name: str | None


def parse_recipients(text: str) -> dict[str, Recipient]:
    """Return the registrations in the JSON of `net witness list`: key -> where it is.

    Raises:
        ControllerError: the text is not that JSON.
    """
    try:
        return {
            key: Recipient(
                int(entry["server_id"]["vnn"]),
                int(entry["server_id"]["pid"]),
                int(entry["context_handle"]["handle_type"]),
                entry["client_computer_name"],
                entry.get("share_name"),
            )
            for key, entry in parse_json(text)["registrations"].items()
        }
    except KeyError as missing:
        raise ControllerError(f"net witness printed registrations without {missing}") from missing


def move_message(
    move: Move, key: UUID, handle_type: int, destination: int | IPv4Address | IPv6Address
) -> bytes:
    """The octets of a message that moves one registration: rpcd_witness_registration_updateB in NDR32.

    Args:
        move: the kind of the move.
        key: the UUID of the context handle.
        handle_type: the first four octets of the context handle.
        destination: the PNN of a node, or an IP address.

    >>> from uuid import UUID
    >>> move_message("share-move", UUID(int=1), 1, 2).hex(" ", 4)
    '01000000 00000000 00000000 00000000 00000001 04000400 02000000'
    """
    to_node, to_ipv4, to_ipv6 = _TYPES[move]
    if isinstance(destination, int):
        kind, where = to_node, destination.to_bytes(4, "little")
    else:
        kind, where = (to_ipv4 if destination.version == 4 else to_ipv6), destination.packed
    return struct.pack("<I16sHH", handle_type, key.bytes_le, kind, kind) + where


def arguments(pnn: int, messages: Iterable[tuple[int, bytes]]) -> tuple[str, ...]:
    """The arguments of `SEND` for messages to processes of a node: the PNN, and each PID with its octets."""
    return (str(pnn), *(f"{pid}:{octets.hex()}" for pid, octets in messages))


def response_json(response: RespAsyncNotify) -> dict[str, Any]:
    """Return a RESP_ASYNC_NOTIFY as the JSON that `net witness force-response` reads."""
    from swn_torture.witness.notifications import IpAddrInfoList, ResourceChange, decode_buffer

    content = response.message_buffer or b""
    decoded = decode_buffer(response.message_type, response.number_of_messages, content)
    messages: list[Any] = []
    for item in decoded.items:
        if isinstance(item, ResourceChange):
            messages.append({"type": int(item.change_type), "name": item.resource_name})
        elif isinstance(item, IpAddrInfoList):
            messages.append(
                [{"flags": int(a.flags), "ipv4": str(a.ipv4), "ipv6": str(a.ipv6)} for a in item.addresses]
            )
    return {"type": int(response.message_type), "messages": messages}
