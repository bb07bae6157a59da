"""The verification trailer: what a client swears to about its request, behind the stub (MS-RPCE 2.2.2.13)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.header import LITTLE_ENDIAN, PduType
from swn_torture.stubdata.syntax import SYNTAX_SIZE, SyntaxId

SIGNATURE: Final = bytes.fromhex("8ae3137102f43671")
"""The octets every verification trailer begins with (MS-RPCE 2.2.2.13.1)."""

CLIENT_SUPPORT_HEADER_SIGNING: Final = 0x00000001
"""The one bit of bitmask 1: the bind had PFC_SUPPORT_HEADER_SIGN (MS-RPCE 2.2.2.13.2)."""

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
    """One command of a trailer: ``SEC_VT`` and its data. Little-endian whatever the PDU is.

    Attributes:
        command: 16 bits: the type in the lower 14, ``END`` and ``MUST_PROCESS`` above.
        data: what follows the command header.
        length: what to write as the number of data octets, ``None`` for the right one.
    """

    command: int
    data: bytes = b""
    length: int | None = None

    @property
    def type(self) -> int:
        """The command without its processing rules."""
        return self.command & _TYPE_MASK

    @property
    def must_process(self) -> bool:
        """Whether a server that does not know the command has to refuse the request."""
        return bool(self.command & MUST_PROCESS)

    def pack(self) -> bytes:
        """Return the octets."""
        length = len(self.data) if self.length is None else self.length
        return struct.pack("<HH", self.command, length) + self.data


@dataclass(frozen=True, slots=True)
class VerificationTrailer:
    """A sequence of commands; :func:`trailer` makes a conforming one.

    Attributes:
        commands: written as they are, END bits included.
        signature: wrong on purpose if not :data:`SIGNATURE`.
    """

    commands: tuple[Command, ...]
    signature: bytes = SIGNATURE

    def pack(self) -> bytes:
        """Return the octets; they belong at a multiple of 4 octets from the start of the PDU."""
        return self.signature + b"".join(command.pack() for command in self.commands)


def trailer(*commands: Command) -> VerificationTrailer:
    """Return a trailer of these commands with the END bit on the last one and nowhere else."""
    plain = [replace(command, command=command.command & ~END) for command in commands]
    plain[-1] = replace(plain[-1], command=plain[-1].command | END)
    return VerificationTrailer(tuple(plain))


def bitmask1(bits: int = CLIENT_SUPPORT_HEADER_SIGNING) -> Command:
    """Return the command that repeats what the bind said of header signing (MS-RPCE 2.2.2.13.2)."""
    return Command(CommandType.BITMASK_1, struct.pack("<I", bits))


def pcontext(abstract: SyntaxId, transfer: SyntaxId) -> Command:
    """Return the command that repeats what was negotiated (MS-RPCE 2.2.2.13.4)."""
    return Command(CommandType.PCONTEXT, abstract.pack() + transfer.pack())


def header2(
    *,
    call_id: int,
    context_id: int,
    opnum: int,
    ptype: int = PduType.REQUEST,
    drep: bytes = LITTLE_ENDIAN,
) -> Command:
    """Return the command that repeats the request's header (MS-RPCE 2.2.2.13.3)."""
    return Command(CommandType.HEADER2, _HEADER2.pack(ptype, 0, 0, drep, call_id, context_id, opnum))


@dataclass(frozen=True, slots=True)
class ExpectedTrailer:
    """What a received request really was, to hold a trailer against.

    Attributes:
        header_signing: the client's bind had PFC_SUPPORT_HEADER_SIGN.
        abstract: the interface as the client proposed it.
        transfer: the transfer syntax accepted.
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
    """Look for a trailer behind the parameters, wherever it begins (MS-RPCE 2.2.2.13).

    Args:
        stub: what stands in front of the authentication padding.
        start: octet behind the parameters, which may hold the octets of the signature themselves. 0 where
            nobody knows: then the last occurrence of the signature counts.

    Returns:
        The octet at which the trailer begins, and the trailer; ``None`` if there is none.

    Raises:
        RemoteProtocolError: there is a signature, but no well-formed sequence of commands behind it.
    """
    start = stub.rfind(SIGNATURE, start)
    if start < 0:
        return None
    offset = start + len(SIGNATURE)
    commands: list[Command] = []
    while not commands or not commands[-1].command & END:
        if offset + 4 > len(stub):
            raise _broken("ends without a command that says END", offset)
        command, length = struct.unpack_from("<HH", stub, offset)
        offset += 4
        if length % 4 or offset + length > len(stub):
            raise _broken(f"a command of {length} octets, {len(stub) - offset} are left", offset - 2)
        commands.append(Command(command, stub[offset : offset + length]))
        offset += length
    if len({command.type for command in commands}) < len(commands):
        raise _broken("a command comes twice", start)
    return start, VerificationTrailer(tuple(commands))


def contradiction(found: VerificationTrailer, expected: ExpectedTrailer) -> str | None:
    """Return what in a trailer does not agree with the request or cannot be processed, ``None`` if all does.

    Raises:
        RemoteProtocolError: a known command has another size than MS-RPCE gives it.
    """
    for command in found.commands:
        match command.type:
            case CommandType.BITMASK_1:
                (bits,) = struct.unpack("<I", _sized(command, 4))
                if bits & CLIENT_SUPPORT_HEADER_SIGNING and not expected.header_signing:
                    return "bitmask1 claims header signing, which the bind did not offer"
            case CommandType.PCONTEXT:
                data = _sized(command, 2 * SYNTAX_SIZE)
                if data != expected.abstract.pack() + expected.transfer.pack():
                    return "pcontext names another presentation context"
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
                    return "header2 names another request"
            case unknown if command.must_process:
                return f"command 0x{unknown:04X} must be processed and is not known"
    return None


def _sized(command: Command, size: int) -> bytes:
    if len(command.data) != size:
        raise _broken(f"command {command.type} has {len(command.data)} octets, not {size}", None)
    return command.data


def _broken(problem: str, offset: int | None) -> RemoteProtocolError:
    return RemoteProtocolError(problem, field="verification_trailer", offset=offset)
