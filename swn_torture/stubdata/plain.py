"""Stub data as it is: without replacements, and without a record of the names of its fields.

:class:`PlainWriter` writes the same octets as :class:`~swn_torture.stubdata.ndr.Writer` without ``wrong``, in
less than half the time (``bench/codec.py``): a field is one append, and the three counts of a string are
packed at once. A server with thousands of clients, and a program that plays them, spend much time here.
"""

from typing import Final

from swn_torture.stubdata.fields import ByteOrder, EncodeError
from swn_torture.stubdata.ndr import THREE_COUNTS, Writer
from swn_torture.stubdata.syntax import SyntaxId

__all__ = ["PlainWriter"]

_GAPS: Final = tuple(bytes(size) for size in range(8))


class PlainWriter(Writer):
    """Writes stub data.

    Args:
        syntax: NDR32 or NDR64.
        byte_order: of the data representation.
    """

    def __init__(self, syntax: SyntaxId, byte_order: ByteOrder = "little") -> None:
        super().__init__(syntax, byte_order)
        self._three_counts = THREE_COUNTS[byte_order, self.wide].pack

    def align(self, field: str, boundary: int) -> None:  # noqa: ARG002 - no name is recorded
        """Fill up to a multiple of ``boundary`` octets, at most 8, with zeros."""
        gap = -len(self._octets) % boundary
        if gap:
            self._octets += _GAPS[gap]

    def integer(self, field: str, value: int, size: int) -> None:
        """Write an unsigned integer of ``size`` octets; raises EncodeError when the value does not fit."""
        try:
            self._octets += value.to_bytes(size, self.byte_order)
        except OverflowError as error:
            raise EncodeError(field, f"{value} does not fit into {size} octets (unsigned)") from error

    def octets(self, field: str, value: bytes) -> None:  # noqa: ARG002 - no name is recorded
        """Write octets as they are."""
        self._octets += value

    def pointee(self, name: str, value: str) -> None:  # noqa: ARG002 - no name is recorded
        """Write a conformant varying string: its counts, its units and its terminator."""
        units = self.utf16(value)
        length = len(units) // 2 + 1
        gap = -len(self._octets) % self.wide
        if gap:
            self._octets += _GAPS[gap]
        self._octets += self._three_counts(length, 0, length)
        self._octets += units
        self._octets += b"\0\0"

    def finish(self) -> bytes:
        """Return the octets written."""
        return bytes(self._octets)
