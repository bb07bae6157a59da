"""The common header and the sec_trailer of connection-oriented PDUs."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.errors import LocalProtocolError, RemoteProtocolError
from swn_torture.values import value_class

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder

MAX_CALL_ID: Final = 0x7FFFFFFF
"""The largest call_id that Windows accepts (MS-RPCE note 123)."""

HEADER_SIZE: Final = 16
TRAILER_SIZE: Final = 8

LITTLE_ENDIAN: Final = b"\x10\x00\x00\x00"
"""Data representation: little-endian, ASCII, IEEE. NDR64 contexts allow no other (MS-RPCE 2.2.5)."""

BIG_ENDIAN: Final = b"\x00\x00\x00\x00"
"""Data representation: big-endian, ASCII, IEEE."""


class PduType(IntEnum):
    """PDU types (C706 12.6.1, MS-RPCE 2.2.2.10). Those without a class in this package are connectionless."""

    REQUEST = 0
    PING = 1
    RESPONSE = 2
    FAULT = 3
    WORKING = 4
    NOCALL = 5
    REJECT = 6
    ACK = 7
    CL_CANCEL = 8
    FACK = 9
    CANCEL_ACK = 10
    BIND = 11
    BIND_ACK = 12
    BIND_NAK = 13
    ALTER_CONTEXT = 14
    ALTER_CONTEXT_RESP = 15
    AUTH3 = 16
    SHUTDOWN = 17
    CO_CANCEL = 18
    ORPHANED = 19


class PfcFlags(IntFlag):
    """``pfc_flags`` (C706 12.6.3.1). The meaning of 0x04 depends on the PDU type (MS-RPCE 2.2.2.3)."""

    NONE = 0
    FIRST = 0x01
    LAST = 0x02
    SUPPORT_HEADER_SIGN = 0x04
    PENDING_CANCEL = 0x04
    RESERVED = 0x08
    CONC_MPX = 0x10
    DID_NOT_EXECUTE = 0x20
    MAYBE = 0x40
    OBJECT_UUID = 0x80


# Plain integers: an operation on an IntFlag takes 1 to 2 µs, and there are some ten for each fragment.
FIRST: Final[int] = PfcFlags.FIRST.value
LAST: Final[int] = PfcFlags.LAST.value
PENDING_CANCEL: Final[int] = PfcFlags.PENDING_CANCEL.value
OBJECT_UUID: Final[int] = PfcFlags.OBJECT_UUID.value
CONC_MPX: Final[int] = PfcFlags.CONC_MPX.value
SUPPORT_HEADER_SIGN: Final[int] = PfcFlags.SUPPORT_HEADER_SIGN.value

WHOLE: Final[int] = FIRST | LAST
"""The flags of a PDU that is the first and the last fragment."""

_LITTLE: Final = struct.Struct("<BBBB4sHHI")
_BIG: Final = struct.Struct(">BBBB4sHHI")
_HEADER = {"little": _LITTLE, "big": _BIG}
_TRAILER = {"little": struct.Struct("<BBBBI"), "big": struct.Struct(">BBBBI")}


def type_name(ptype: int) -> str:
    """Return ``request (0)`` for a known PDU type, ``PDU type 77`` for any other."""
    return f"{PduType(ptype).name.lower()} ({ptype})" if 0 <= ptype <= max(PduType) else f"PDU type {ptype}"


def byte_order_of(drep: bytes) -> ByteOrder:
    """Return the byte order of a data representation (C706 14.1).

    Raises:
        RemoteProtocolError: C706 does not define the integer representation.
    """
    representation = drep[0] >> 4
    if representation > 1:
        raise RemoteProtocolError(
            f"integer representation {representation} is not defined", field="drep", offset=4
        )
    return "little" if representation else "big"


@value_class(frozen=True, slots=True)
class Header:
    """The common header: the first 16 octets of every PDU (C706 12.6.3.1).

    Attributes:
        ptype: PDU type, any octet.
        flags: ``pfc_flags``, any octet.
        frag_length: octets of the whole PDU, according to its sender.
        auth_length: octets of the authentication token, according to its sender; 0 also means no sec_trailer.
        call_id: 32 bits.
        drep: data representation, 4 octets.
        version: major and minor.
    """

    ptype: int
    flags: int
    frag_length: int
    auth_length: int
    call_id: int
    drep: bytes = LITTLE_ENDIAN
    version: tuple[int, int] = (5, 0)

    @property
    def byte_order(self) -> ByteOrder:
        """The byte order of :attr:`drep`; raises RemoteProtocolError if it is undefined."""
        return byte_order_of(self.drep)

    def pack(self) -> bytes:
        """Return the 16 octets in the byte order of :attr:`drep` (little-endian if it is undefined)."""
        return pack_header(
            self.ptype,
            self.flags,
            self.frag_length,
            self.auth_length,
            self.call_id,
            self.drep,
            self.version,
        )

    @classmethod
    def unpack(cls, octets: bytes | bytearray | memoryview) -> Header:
        """Read a header; raises RemoteProtocolError if it is too short or its byte order is undefined."""
        if len(octets) < HEADER_SIZE:
            raise RemoteProtocolError(
                f"a header needs 16 octets, there are {len(octets)}", octets=bytes(octets)
            )
        representation = octets[4] >> 4
        if representation > 1:
            byte_order_of(bytes(octets[4:8]))  # raises the error
        order = _LITTLE if representation else _BIG
        major, minor, ptype, flags, drep, frag, auth, call_id = order.unpack_from(octets)
        return cls(ptype, flags, frag, auth, call_id, drep, (major, minor))


def pack_header(
    ptype: int,
    flags: int,
    frag_length: int,
    auth_length: int,
    call_id: int,
    drep: bytes,
    version: tuple[int, int],
) -> bytes:
    """Return the octets of a :class:`Header`, without making one."""
    order = _BIG if drep[0] >> 4 == 0 else _LITTLE
    return order.pack(*version, ptype, flags, drep, frag_length, auth_length, call_id)


@value_class(frozen=True, slots=True)
class SecTrailer:
    """The sec_trailer: the 8 octets before an authentication token (MS-RPCE 2.2.2.11).

    Attributes:
        auth_type: security provider, see :class:`~swn_torture.dcerpc.security.levels.AuthType`.
        auth_level: see :class:`~swn_torture.dcerpc.security.levels.AuthLevel`.
        pad_length: octets of padding before the sec_trailer.
        context_id: the id of the security context.
        reserved: zero.
    """

    auth_type: int
    auth_level: int
    pad_length: int = 0
    context_id: int = 0
    reserved: int = 0

    def pack(self, byte_order: ByteOrder = "little") -> bytes:
        """Return the 8 octets."""
        return _TRAILER[byte_order].pack(
            self.auth_type, self.auth_level, self.pad_length, self.reserved, self.context_id
        )

    @classmethod
    def unpack(cls, octets: bytes | memoryview, byte_order: ByteOrder) -> SecTrailer:
        """Read a sec_trailer; ``octets`` must have at least 8."""
        auth_type, level, pad, reserved, context_id = _TRAILER[byte_order].unpack_from(octets)
        return cls(auth_type, level, pad, context_id, reserved)


# Name -> (offset, size). alloc_hint and context_id have the same place in requests, responses and faults.
_HEADER_FIELDS: Final = {
    "version": (0, 1),
    "version_minor": (1, 1),
    "ptype": (2, 1),
    "flags": (3, 1),
    "frag_length": (8, 2),
    "auth_length": (10, 2),
    "call_id": (12, 4),
    "alloc_hint": (16, 4),
    "context_id": (20, 2),
    "opnum": (22, 2),
}
_TRAILER_FIELDS: Final = {
    "auth_type": (0, 1),
    "auth_level": (1, 1),
    "auth_pad_length": (2, 1),
    "auth_reserved": (3, 1),
    "auth_context_id": (4, 4),
}


def rewrite(octets: bytes, *, drep: bytes | None = None, **fields: int) -> bytes:
    """Return a finished PDU with some of its fields overwritten. Nothing else changes.

    A test makes a correct PDU, signed or not, wrong in exactly one place with it.

    Args:
        octets: a complete PDU.
        drep: the four octets of the data representation to write. The other fields keep the old byte order.
        fields: ``version``, ``version_minor``, ``ptype``, ``flags``, ``frag_length``, ``auth_length``,
            ``call_id``; of requests, responses and faults ``alloc_hint`` and ``context_id``; of requests
            ``opnum``; of PDUs with a verifier ``auth_type``, ``auth_level``, ``auth_pad_length``,
            ``auth_reserved`` and ``auth_context_id``.

    Raises:
        LocalProtocolError: the PDU does not have the field.
    """
    header = Header.unpack(octets)
    trailer = header.frag_length - header.auth_length - TRAILER_SIZE if header.auth_length else None
    out = bytearray(octets)
    for name, value in fields.items():
        if name in _HEADER_FIELDS:
            offset, size = _HEADER_FIELDS[name]
        elif name in _TRAILER_FIELDS and trailer is not None:
            offset, size = _TRAILER_FIELDS[name]
            offset += trailer
        else:
            raise LocalProtocolError(f"this PDU has no field {name!r}")
        if not 0 <= offset <= len(out) - size:
            raise LocalProtocolError(f"field {name!r} would be at octet {offset} of a PDU of {len(out)}")
        out[offset : offset + size] = value.to_bytes(size, header.byte_order)
    if drep is not None:
        out[4:8] = drep
    return bytes(out)
