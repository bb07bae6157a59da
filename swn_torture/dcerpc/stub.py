"""Just enough NDR32 for the auxiliary interfaces, epm and mgmt (C706 chapter 14).

The witness interface has a codec of its own that also knows NDR64 and can be told to write what is wrong;
these two interfaces only have to be right. Integers are read in either byte order and written little-endian.
"""

from __future__ import annotations

import struct
from uuid import UUID

from swn_torture.dcerpc.errors import RemoteProtocolError

__all__ = ["StubReader", "StubWriter"]


class StubReader:
    """Reads stub data from its beginning. Every method raises RemoteProtocolError where the octets end."""

    def __init__(self, stub: bytes, byte_order: str = "little") -> None:
        self._stub = stub
        self._sign = "<" if byte_order == "little" else ">"
        self.offset = 0

    def octets(self, count: int, field: str) -> bytes:
        """Return the next ``count`` octets."""
        end = self.offset + count
        if end > len(self._stub):
            raise RemoteProtocolError(
                f"needs {count} octets, {len(self._stub) - self.offset} are left",
                field=field,
                offset=self.offset,
                octets=self._stub,
            )
        taken, self.offset = self._stub[self.offset : end], end
        return taken

    def align(self, boundary: int) -> None:
        """Skip padding."""
        self.offset = min(self.offset + -self.offset % boundary, len(self._stub))

    def u16(self, field: str) -> int:
        """Return an aligned unsigned short."""
        self.align(2)
        value: int = struct.unpack(self._sign + "H", self.octets(2, field))[0]
        return value

    def u32(self, field: str) -> int:
        """Return an aligned unsigned long, a referent or a count."""
        self.align(4)
        value: int = struct.unpack(self._sign + "I", self.octets(4, field))[0]
        return value

    def counted(self, field: str, most: int) -> int:
        """Return a count, refusing one above ``most`` before anything is allocated for it."""
        count = self.u32(field)
        if count > most:
            self.fail(f"{count} is above {most}", field)
        return count

    def uuid(self, field: str) -> UUID:
        """Return an aligned UUID."""
        self.align(4)
        raw = self.octets(16, field)
        return UUID(bytes_le=raw) if self._sign == "<" else UUID(bytes=raw)

    def handle(self, field: str) -> bytes:
        """Return a context handle's 20 octets in little-endian order, whatever order they came in."""
        attributes, uuid = self.u32(field), self.uuid(field)
        return struct.pack("<I", attributes) + uuid.bytes_le

    def fail(self, problem: str, field: str) -> None:
        """Raise RemoteProtocolError for what was read last."""
        raise RemoteProtocolError(problem, field=field, offset=self.offset, octets=self._stub)


class StubWriter:
    """Collects stub data, little-endian, each primitive aligned to its size with zero octets."""

    def __init__(self) -> None:
        self._stub = bytearray()
        self._referents = 0

    def align(self, boundary: int) -> StubWriter:
        """Write padding."""
        self._stub += bytes(-len(self._stub) % boundary)
        return self

    def octets(self, octets: bytes) -> StubWriter:
        """Write octets as they are."""
        self._stub += octets
        return self

    def u16(self, value: int) -> StubWriter:
        """Write an unsigned short."""
        return self.align(2).octets(struct.pack("<H", value))

    def u32(self, *values: int) -> StubWriter:
        """Write unsigned longs."""
        return self.align(4).octets(struct.pack(f"<{len(values)}I", *values))

    def uuid(self, value: UUID) -> StubWriter:
        """Write a UUID."""
        return self.align(4).octets(value.bytes_le)

    def pointer(self, present: bool = True) -> StubWriter:
        """Write a referent: 1, 2, 3, ... or 0 for a null pointer.

        Small numbers in the order of appearance: Windows Server 2003 takes no others for full pointers.
        """
        self._referents += present
        return self.u32(self._referents if present else 0)

    def pack(self) -> bytes:
        """Return what was written."""
        return bytes(self._stub)
