"""The verification trailer, which repeats fields of a request after its stub data (MS-RPCE 2.2.2.13)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.header import LITTLE_ENDIAN, PduType
from swn_torture.stubdata.syntax import SYNTAX_SIZE, SyntaxId

SIGNATURE: Final = bytes.fromhex("8ae3137102f43671")
"""The first octets of every verification trailer (MS-RPCE 2.2.2.13.1)."""

CLIENT_SUPPORT_HEADER_SIGNING: Final = 0x00000001
"""The only bit of bitmask 1: the bind had PFC_SUPPORT_HEADER_SIGN (MS-RPCE 2.2.2.13.2)."""

END: Final = 0x4000
MUST_PROCESS: Final = 0x8000
_TYPE_MASK: Final = 0x3FFF

_HEADER2: Final = struct.Struct("<BBH4sIHH")


class CommandType(IntEnum):
    """The commands that MS-RPCE defines."""

    BITMASK_1 = 1
    PCONTEXT = 2
    HEADER2 = 3


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a trailer: ``SEC_VT`` and its data, always in little-endian.

    Attributes:
        command: 16 bits: the type in the lower 14 bits, ``END`` and ``MUST_PROCESS`` above.
        data: the octets after the command header.
        length: the number of data octets to write, ``None`` for the correct one.
    """

    command: int
    data: bytes = b""
    length: int | None = None

    @property
    def type(self) -> int:
        """The type of the command, without ``END`` and ``MUST_PROCESS``."""
        return self.command & _TYPE_MASK

    @property
    def must_process(self) -> bool:
        """Whether a server that does not know the command must reject the request."""
        return bool(self.command & MUST_PROCESS)

    def pack(self) -> bytes:
        """Return the octets."""
        length = len(self.data) if self.length is None else self.length
        return struct.pack("<HH", self.command, length) + self.data


@dataclass(frozen=True, slots=True)
class VerificationTrailer:
    """A verification trailer: a sequence of commands. :func:`trailer` makes a correct one.

    Attributes:
        commands: written as they are, with their END bits.
        signature: :data:`SIGNATURE`, or a wrong one for a test.
    """

    commands: tuple[Command, ...]
    signature: bytes = SIGNATURE

    def pack(self) -> bytes:
        """Return the octets. Their place is at a multiple of 4 octets from the start of the PDU."""
        return self.signature + b"".join(command.pack() for command in self.commands)


def trailer(*commands: Command) -> VerificationTrailer:
    """Return a trailer of these commands. Only the last one has the END bit."""
    plain = [replace(command, command=command.command & ~END) for command in commands]
    plain[-1] = replace(plain[-1], command=plain[-1].command | END)
    return VerificationTrailer(tuple(plain))


def bitmask1(bits: int = CLIENT_SUPPORT_HEADER_SIGNING) -> Command:
    """Return the command that repeats the header signing flag of the bind (MS-RPCE 2.2.2.13.2)."""
    return Command(CommandType.BITMASK_1, struct.pack("<I", bits))


def pcontext(abstract: SyntaxId, transfer: SyntaxId) -> Command:
    """Return the command that repeats the negotiated presentation context (MS-RPCE 2.2.2.13.4)."""
    return Command(CommandType.PCONTEXT, abstract.pack() + transfer.pack())


def header2(
    *,
    call_id: int,
    context_id: int,
    opnum: int,
    ptype: int = PduType.REQUEST,
    drep: bytes = LITTLE_ENDIAN,
) -> Command:
    """Return the command that repeats the header of the request (MS-RPCE 2.2.2.13.3)."""
    return Command(CommandType.HEADER2, _HEADER2.pack(ptype, 0, 0, drep, call_id, context_id, opnum))


@dataclass(frozen=True, slots=True)
class ExpectedTrailer:
    """The values of a received request that its verification trailer must repeat.

    Attributes:
        header_signing: the client's bind had PFC_SUPPORT_HEADER_SIGN.
        abstract: the interface as the client proposed it.
        transfer: the accepted transfer syntax.
        drep: data representation of the request.
        call_id: of the request.
        context_id: its presentation context.
        opnum: its operation number.
    """

    header_signing: bool
    abstract: SyntaxId
    transfer: SyntaxId
    drep: bytes
    call_id: int
    context_id: int
    opnum: int


def find(stub: bytes, start: int = 0) -> tuple[int, VerificationTrailer] | None:
    """Find the trailer after the parameters of a request, wherever it begins (MS-RPCE 2.2.2.13).

    The last occurrence of the signature from ``start`` on counts, because the parameters may contain it, too.

    Args:
        stub: the stub data without authentication padding.
        start: the octet after the parameters, 0 if it is not known.

    Returns:
        The octet at which the trailer begins, and the trailer; ``None`` if there is none.

    Raises:
        RemoteProtocolError: a signature is not followed by a well-formed sequence of commands.
    """
    start = stub.rfind(SIGNATURE, start)
    if start < 0:
        return None
    offset = start + len(SIGNATURE)
    commands: list[Command] = []
    while not commands or not commands[-1].command & END:
        if offset + 4 > len(stub):
            raise _malformed("no command has the END bit", offset)
        command, length = struct.unpack_from("<HH", stub, offset)
        offset += 4
        if length % 4 or offset + length > len(stub):
            raise _malformed(f"a command of {length} octets, {len(stub) - offset} are left", offset - 2)
        commands.append(Command(command, stub[offset : offset + length]))
        offset += length
    if len({command.type for command in commands}) < len(commands):
        raise _malformed("two commands of one type", start)
    return start, VerificationTrailer(tuple(commands))


def contradiction(found: VerificationTrailer, expected: ExpectedTrailer) -> str | None:
    """Return which command of a trailer does not agree with the request or is unknown, ``None`` if none.

    Raises:
        RemoteProtocolError: a known command has a wrong size.
    """
    for command in found.commands:
        match command.type:
            case CommandType.BITMASK_1:
                (bits,) = struct.unpack("<I", _sized(command, 4))
                if bits & CLIENT_SUPPORT_HEADER_SIGNING and not expected.header_signing:
                    return "bitmask1 says header signing, but the bind did not offer it"
            case CommandType.PCONTEXT:
                data = _sized(command, 2 * SYNTAX_SIZE)
                if data != expected.abstract.pack() + expected.transfer.pack():
                    return "pcontext has another presentation context"
            case CommandType.HEADER2:
                ptype, _, _, drep, call_id, context_id, opnum = _HEADER2.unpack(_sized(command, 16))
                claimed = (ptype, drep, call_id, context_id, opnum)
                if claimed != (
                    PduType.REQUEST,
                    expected.drep,
                    expected.call_id,
                    expected.context_id,
                    expected.opnum,
                ):
                    return "header2 has the header of another request"
            case unknown if command.must_process:
                return f"command 0x{unknown:04X} is unknown and must be processed"
    return None


def _sized(command: Command, size: int) -> bytes:
    if len(command.data) != size:
        raise _malformed(f"command {command.type} has {len(command.data)} octets, not {size}", None)
    return command.data


def _malformed(problem: str, offset: int | None) -> RemoteProtocolError:
    return RemoteProtocolError(problem, field="verification_trailer", offset=offset)
