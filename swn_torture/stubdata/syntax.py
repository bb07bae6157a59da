"""Identifiers of interfaces and of transfer syntaxes: a UUID with a version."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from swn_torture.stubdata.fields import DecodeError

SYNTAX_SIZE: Final = 20
"""Octets of a syntax identifier in a PDU."""

_FEATURE_PREFIX: Final = UUID("6cb71c2c-9812-4540-0000-000000000000").bytes[:8]


@dataclass(frozen=True, slots=True, order=True)
class SyntaxId:
    """An abstract syntax (interface) or a transfer syntax: ``p_syntax_id_t`` (C706 12.6.3.1).

    ``major`` and ``minor`` have 16 bits each. C706 has one 32-bit version; its low half is the major version.
    """

    uuid: UUID
    major: int
    minor: int = 0

    def pack(self, byte_order: str = "little") -> bytes:
        """Return the 20 octets in ``byte_order`` (``"little"`` or ``"big"``)."""
        if byte_order == "little":
            return self.uuid.bytes_le + struct.pack("<HH", self.major, self.minor)
        # The 32-bit version is swapped as a whole, so its halves change places.
        return self.uuid.bytes + struct.pack(">HH", self.minor, self.major)

    @classmethod
    def unpack(cls, octets: bytes | memoryview, byte_order: str = "little") -> SyntaxId:
        """Read 20 octets. Raises :class:`DecodeError` when there are fewer."""
        raw = bytes(octets[:SYNTAX_SIZE])
        if len(raw) < SYNTAX_SIZE:
            raise DecodeError("syntax", 0, f"a syntax identifier needs 20 octets, {len(raw)} are left")
        return _kept(raw, byte_order)

    def serves(self, requested: SyntaxId) -> bool:
        """Return whether a server of this interface may serve a client that requests another (C706 6.1.2).

        The UUIDs and the major versions must be equal. The client's minor version must not be above this one.
        """
        return self.uuid == requested.uuid and self.major == requested.major and requested.minor <= self.minor

    @property
    def features(self) -> int | None:
        """The 64 bits of a bind-time feature element, ``None`` for any other syntax (MS-RPCE 3.3.1.5.3).

        Only the two lowest bits have a meaning, the others are reserved.
        """
        if self.uuid.bytes[:8] != _FEATURE_PREFIX or (self.major, self.minor) != (1, 0):
            return None
        return int.from_bytes(self.uuid.bytes[8:], "little")

    def __str__(self) -> str:
        return f"{self.uuid} v{self.major}.{self.minor}"


def _unpacked(raw: bytes, byte_order: str) -> SyntaxId:
    if byte_order == "little":
        major, minor = struct.unpack_from("<HH", raw, 16)
        found = SyntaxId(UUID(bytes_le=raw[:16]), major, minor)
    else:
        minor, major = struct.unpack_from(">HH", raw, 16)
        found = SyntaxId(UUID(bytes=raw[:16]), major, minor)
    return next((known for known in (NDR32, NDR64) if known == found), found)


_kept = lru_cache(maxsize=256)(_unpacked)
"""Each bind has the same ones. NDR32 and NDR64 are always the same objects, so ``is`` finds them at once."""

NDR32: Final = SyntaxId(UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2, 0)
"""NDR, the transfer syntax of C706 chapter 14."""

NDR64: Final = SyntaxId(UUID("71710533-beba-4937-8319-b5dbef9ccc36"), 1, 0)
"""NDR64 (MS-RPCE 2.2.5)."""

NULL_SYNTAX: Final = SyntaxId(UUID(int=0), 0, 0)
"""The transfer syntax of a result that does not accept a presentation context."""

SECURITY_CONTEXT_MULTIPLEXING: Final = 0x01
"""Feature bit: several security contexts on one connection (MS-RPCE 2.2.2.14)."""

KEEP_CONNECTION_ON_ORPHAN: Final = 0x02
"""Feature bit: the connection stays open after an orphaned PDU (MS-RPCE 2.2.2.14)."""


def bind_time_features(
    flags: int = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN,
) -> SyntaxId:
    """Return the transfer syntax with which a client proposes bind-time features (MS-RPCE 3.3.1.5.3).

    Args:
        flags: up to 64 bits; a test may set reserved ones, to see that the server clears them.
    """
    return SyntaxId(UUID(bytes=_FEATURE_PREFIX + flags.to_bytes(8, "little")), 1, 0)
