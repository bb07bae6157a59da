"""Reads the fields of a PDU. Errors name the field and its offset."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from uuid import UUID

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.header import HEADER_SIZE
from swn_torture.stubdata.syntax import SYNTAX_SIZE, SyntaxId

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.header import Header


class Reader:
    """Reads the fields of one PDU in their order.

    Args:
        octets: the complete PDU. Offsets in errors count from its first octet.
        header: its header.
        end: where the fields end: the offset of the sec_trailer, or the end of the PDU.
    """

    def __init__(self, octets: bytes, header: Header, end: int) -> None:
        self.header = header
        self.offset = HEADER_SIZE
        self._octets = octets
        self._order = header.byte_order
        self._prefix = "<" if self._order == "little" else ">"
        self._end = end

    @property
    def left(self) -> int:
        """The number of octets not read yet."""
        return self._end - self.offset

    def take(self, size: int, field: str) -> bytes:
        """Read ``size`` octets; raises RemoteProtocolError when they are missing."""
        if size > self.left:
            raise RemoteProtocolError(
                f"needs {size} octets, {max(self.left, 0)} are left",
                field=field,
                offset=self.offset,
                octets=self._octets,
            )
        start = self.offset
        self.offset += size
        return self._octets[start : self.offset]

    def fields(self, layout: str, field: str) -> tuple[int, ...]:
        """Read several integers; ``layout`` is a :mod:`struct` format without a byte order."""
        format_ = self._prefix + layout
        return struct.unpack(format_, self.take(struct.calcsize(format_), field))

    def uuid(self, field: str) -> UUID:
        """Read a UUID in the byte order of the PDU."""
        raw = self.take(16, field)
        return UUID(bytes_le=raw) if self._order == "little" else UUID(bytes=raw)

    def syntax(self, field: str) -> SyntaxId:
        """Read a syntax identifier."""
        return SyntaxId.unpack(self.take(SYNTAX_SIZE, field), self._order)

    def align(self, boundary: int, field: str) -> None:
        """Skip to the next multiple of ``boundary`` octets from the start of the PDU."""
        self.take(-self.offset % boundary, field)

    def rest(self) -> bytes:
        """Read all octets that are left."""
        return self.take(max(self.left, 0), "rest")
