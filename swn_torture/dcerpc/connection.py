"""The part that both ends of a connection share, without I/O: octets in, events and octets out.

:class:`~swn_torture.dcerpc.client.connection.ClientConnection` and
:class:`~swn_torture.dcerpc.server.connection.ServerConnection` are the two ends. The owner passes the octets
of the peer to ``receive_data`` and calls ``next_event`` until it returns ``None``. The methods of each end
return the octets to send. They must be sent in the order in which they were made: each protected PDU takes a
sequence number, and the peer counts them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from swn_torture.dcerpc.errors import LocalProtocolError, RemoteProtocolError
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.header import FIRST, HEADER_SIZE, LAST, TRAILER_SIZE, WHOLE, Header
from swn_torture.dcerpc.pdu.pdus import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.stubdata.syntax import SyntaxId

MAX_FRAGMENT: Final = 5840
"""Octets of the largest fragment that Windows and Samba propose and send over TCP: four Ethernet segments."""

MIN_FRAGMENT: Final = 2048
"""Octets of the smallest fragment size to which Windows and Samba agree, whatever is proposed."""

_REQUEST_HEADER: Final = 24
_OBJECT_SIZE: Final = 16
_ANY_VERIFIER: Final = 512
"""More octets than header, sec_trailer and verifier have."""

CallPdu = TypeVar("CallPdu", bound=Request | Response)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """A presentation context that was accepted.

    Attributes:
        abstract: the interface as the client proposed it.
        transfer: the transfer syntax in use.
    """

    abstract: SyntaxId
    transfer: SyntaxId


class Connection:
    """The state that both ends keep of one connection (MS-RPCE 3.3.1.1.2).

    Args:
        limit: returns for a header how many octets its PDU may have.

    Attributes:
        contexts: accepted presentation contexts by id.
        security: security contexts by id.
        header_signing: both ends have set PFC_SUPPORT_HEADER_SIGN.
        multiplexed: both ends have set PFC_CONC_MPX.
        max_xmit: octets of the largest fragment to send.
        assoc_group: the id of the association, 0 before the bind.
        framer: cuts the received octets into PDUs.
        pdu_size: octets of the PDU that a server processes.
    """

    def __init__(self, limit: Callable[[Header], int]) -> None:
        self.contexts: dict[int, Negotiated] = {}
        self.security: dict[int, SecurityEntry] = {}
        self.header_signing = False
        self.multiplexed = False
        self.max_xmit = MAX_FRAGMENT
        self.assoc_group = 0
        self.framer = Framer(limit)
        self.pdu_size = 0

    def receive_data(self, octets: bytes | bytearray | memoryview) -> None:
        """Take octets from the transport, in portions of any size."""
        self.framer.receive_data(octets)

    def agree_header_signing(self) -> None:
        """Record that both ends agree to sign header and sec_trailer, too (MS-RPCE 3.3.1.5.2.2)."""
        self.header_signing = True
        for entry in self.security.values():
            entry.context.header_signing = True


def fragments(
    whole: CallPdu,
    entry: SecurityEntry | None,
    *,
    size: int,
    chunk: int | None = None,
    tail: bytes = b"",
) -> list[CallPdu]:
    """Cut a request or response into fragments (C706 12.6.3.1). They are not protected yet.

    Args:
        whole: the PDU with the complete stub. Only the first fragment keeps its FIRST flag, only the last one
            its LAST flag.
        entry: the security context that will protect each fragment; its verifier needs space.
        size: octets of the largest fragment.
        chunk: stub octets in each fragment, to make smaller fragments than ``size`` requires.
        tail: octets for the last fragment, aligned to 4 octets and not divided.

    Raises:
        LocalProtocolError: ``size`` leaves no space for stub data.
    """
    if size - len(whole.stub) > _ANY_VERIFIER and chunk is None and not tail:
        return [whole]  # as most of them: how much space there is exactly does not matter
    room = size - _REQUEST_HEADER
    if isinstance(whole, Request) and whole.object_uuid is not None:
        room -= _OBJECT_SIZE
    if entry is not None:
        room -= TRAILER_SIZE + entry.token_size
    # Each fragment begins at a multiple of the largest alignment of NDR. Protected ones have multiples of the
    # sec_trailer's alignment, so that only the last one needs padding.
    room -= room % (8 if entry is None else 16)
    if chunk is not None:
        room = min(room, chunk)
    if room <= 0:
        raise LocalProtocolError(f"a fragment of {size} octets has no space for stub data")
    stub = whole.stub + bytes(-len(whole.stub) % 4) if tail else whole.stub
    chunks = [stub[start : start + room] for start in range(0, len(stub), room)] or [b""]
    if tail and len(chunks[-1]) + len(tail) <= room:
        chunks[-1] += tail
    elif tail:
        chunks.append(tail)
    if len(chunks) == 1 and not tail:
        return [whole]  # its alloc_hint is the length of its stub data, unless it has another one
    left = sum(map(len, chunks))
    ends = whole.flags & WHOLE
    out = []
    for index, part in enumerate(chunks):
        flags = whole.flags & ~WHOLE
        flags |= ends & FIRST if index == 0 else 0
        flags |= ends & LAST if index == len(chunks) - 1 else 0
        hint = left if whole.alloc_hint is None else whole.alloc_hint
        out.append(replace(whole, stub=part, flags=flags, alloc_hint=hint))
        left -= len(part)
    return out


def check_version(header: Header, raw: bytes = b"") -> None:
    """Reject any RPC version other than 5.0 (MS-RPCE 3.3.1.5.1).

    Raises:
        RemoteProtocolError: the header has another version.
    """
    if header.version != (5, 0):
        major, minor = header.version
        raise RemoteProtocolError(
            f"version {major}.{minor} is not 5.0", field="rpc_vers", offset=0, octets=raw[:HEADER_SIZE]
        )
