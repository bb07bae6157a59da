"""The part of NDR that the interfaces of this project need: NDR32 and NDR64, in either byte order.

C706 chapter 14 describes NDR; MS-RPCE 2.2.5 describes what NDR64 changes. In NDR64 pointers, counts and
offsets take 8 octets on an 8-octet boundary, and structures are filled up to a multiple of their alignment.
Nothing here writes that filling: a codec writes the gap itself where a structure needs one. The structures of
the witness interface do not need one: their sizes of 552, 16 and 24 octets are such multiples.

The field names extend those of ``fields``:

- A unique pointer ``NAME`` writes ``NAME.referent``.
- A conformant array writes ``NAME.max_count``; a conformant varying array writes ``NAME.max_count``,
  ``NAME.offset`` and ``NAME.actual_count``; a string has ``NAME`` and ``NAME.terminator`` after these.
- A context handle writes ``NAME.attributes`` and ``NAME.uuid``.
- The gap before a field ``NAME`` is called ``NAME.padding``; ``padding`` stands for all gaps.

MS-RPCE 2.2.5 allows NDR64 in little-endian only. Big-endian NDR64 can be written and read here all the same,
because a hostile client may send it.
"""

import struct
from typing import Final
from uuid import UUID

from swn_torture.stubdata.fields import ByteOrder, DecodeError, EncodeError, FieldReader, FieldWriter, Wrong
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId

__all__ = ["FIRST_REFERENT", "REFERENT_STEP", "Reader", "Writer", "wide_size"]

FIRST_REFERENT: Final = 0x00020000
"""The referent of the first pointer in stub data, as Windows and Samba write it."""

REFERENT_STEP: Final = 4
"""How much the referent of each further pointer is larger, as Windows and Samba write it."""


THREE_COUNTS: Final = {
    ("little", 4): struct.Struct("<III"),
    ("big", 4): struct.Struct(">III"),
    ("little", 8): struct.Struct("<QQQ"),
    ("big", 8): struct.Struct(">QQQ"),
}
"""max_count, offset and actual_count, by byte order and :func:`wide_size`."""


def wide_size(syntax: SyntaxId) -> int:
    """Octets of a pointer, count or offset in this transfer syntax: 4 in NDR32, 8 in NDR64.

    Raises:
        ValueError: the syntax is neither NDR32 nor NDR64.
    """
    if syntax is NDR32 or syntax == NDR32:  # two syntaxes are compared in 0.5 µs
        return 4
    if syntax == NDR64:
        return 8
    raise ValueError(f"transfer syntax {syntax} is neither NDR32 nor NDR64")


class Writer(FieldWriter):
    """Writes stub data.

    Args:
        syntax: NDR32 or NDR64.
        byte_order: of the data representation.
        wrong: see ``FieldWriter``. A gap can also be replaced, by an int (the octet to fill it with) or by
            octets. For ``padding`` the octets are cut or repeated to the length of each gap. For
            ``NAME.padding`` they are written as they are: they may be longer or shorter than the gap, or
            stand where there should be no gap.
        first_referent: the referent of the first pointer.
        referent_step: how much the referent of each further pointer is larger.
    """

    always = ("padding", "trailing")

    def __init__(
        self,
        syntax: SyntaxId,
        byte_order: ByteOrder = "little",
        wrong: Wrong | None = None,
        *,
        first_referent: int = FIRST_REFERENT,
        referent_step: int = REFERENT_STEP,
    ) -> None:
        super().__init__(byte_order, wrong)
        self.wide: Final = wide_size(syntax)
        self._next_referent = first_referent
        self._referent_step = referent_step
        self._filling: int | bytes = 0
        if wrong and "padding" in wrong:
            # A message without gaps accepts a replacement for all gaps, too.
            self._filling = self._replacement("padding") or 0
            self.names.clear()
            self.starts.clear()

    def align(self, field: str, boundary: int) -> None:
        """Fill up to a multiple of ``boundary`` octets before a field, with zeros unless replaced."""
        gap = -len(self._octets) % boundary
        name = f"{field}.padding"
        if gap or name in self._wrong:
            own = self._replacement(name)
            filling = self._filling if own is None else own
            if isinstance(filling, int):
                if not 0 <= filling <= 0xFF:
                    raise EncodeError(name, f"{filling} is not an octet (0 to 255)")
                filling = bytes([filling]) * gap
            elif own is None:
                filling = (filling * gap)[:gap]
            self._octets += filling

    def u16(self, field: str, value: int) -> None:
        """USHORT."""
        self.align(field, 2)
        self.integer(field, value, 2)

    def u32(self, field: str, value: int) -> None:
        """ULONG, UINT, DWORD."""
        self.align(field, 4)
        self.integer(field, value, 4)

    def count(self, field: str, value: int) -> None:
        """A count, an offset or the representation of a pointer: 4 octets in NDR32, 8 in NDR64."""
        self.align(field, self.wide)
        self.integer(field, value, self.wide)

    def uuid(self, field: str, value: UUID) -> None:
        """A UUID (C706 A.1). Its first three members are integers, so the byte order applies to them."""
        self.align(field, 4)
        self.octets(field, self._uuid_octets(value))

    def context_handle(self, name: str, attributes: int, uuid: UUID) -> None:
        """A context handle, ``ndr_context_handle``: 20 octets in both transfer syntaxes."""
        self.u32(f"{name}.attributes", attributes)
        self.octets(f"{name}.uuid", self._uuid_octets(uuid))

    def pointer(self, name: str, *, present: bool) -> None:
        """A unique or full pointer: a referent that no other pointer has, or 0 for null (C706 14.3.11)."""
        referent = 0
        if present:
            referent = self._next_referent
            self._next_referent += self._referent_step
        self.count(f"{name}.referent", referent)

    def varying_counts(self, name: str, max_count: int, actual_count: int) -> None:
        """The counts of a conformant varying array that begins at its first element (C706 14.3.3.4)."""
        self.count(f"{name}.max_count", max_count)
        self.count(f"{name}.offset", 0)
        self.count(f"{name}.actual_count", actual_count)

    def string(self, name: str, value: str | None) -> None:
        """A ``[string, unique]`` parameter: a pointer, then a conformant varying string (C706 14.3.4)."""
        self.pointer(name, present=value is not None)
        if value is not None:
            self.pointee(name, value)

    def pointee(self, name: str, value: str) -> None:
        """A conformant varying string alone: the pointee of a ``[ref]`` pointer or of a member's pointer."""
        units = self.utf16(value)
        length = len(units) // 2 + 1
        self.varying_counts(name, length, length)
        self.octets(name, units)
        self.integer(f"{name}.terminator", 0, 2)

    def wide_chars(self, name: str, value: str, length: int) -> None:
        """A fixed array of ``length`` WCHARs, filled up with NULs. Text of that length has no NUL after it.

        Raises:
            EncodeError: the text is longer than the array.
        """
        units = self.utf16(value)
        if len(units) > 2 * length:
            raise EncodeError(name, f"{len(units) // 2} UTF-16 units do not fit into {length}")
        self.align(name, 2)
        self.octets(name, units.ljust(2 * length, b"\0"))

    def _uuid_octets(self, value: UUID) -> bytes:
        return value.bytes_le if self.byte_order == "little" else value.bytes


class Reader(FieldReader):
    """Reads stub data, strictly. The octets in gaps may have any value (C706 14.2.2).

    Args:
        octets: the stub data.
        syntax: NDR32 or NDR64.
        byte_order: of the data representation.
    """

    def __init__(self, octets: bytes | memoryview, syntax: SyntaxId, byte_order: ByteOrder) -> None:
        super().__init__(octets, byte_order)
        self.wide: Final = wide_size(syntax)
        self._three_counts = THREE_COUNTS[byte_order, self.wide].unpack_from

    def align(self, boundary: int) -> None:
        """Skip to a multiple of ``boundary`` octets."""
        self.offset += -self.offset % boundary

    def u16(self, field: str) -> int:
        """USHORT."""
        self.align(2)
        return self.integer(field, 2)

    def u32(self, field: str, *, maximum: int | None = None) -> int:
        """ULONG, UINT, DWORD.

        Raises:
            DecodeError: it is cut short, or larger than ``maximum``, the end of its ``[range]``.
        """
        return self._aligned(field, 4, maximum)

    def three_u32(self, first: str, second: str, third: str) -> tuple[int, int, int]:
        """Three ULONGs that follow each other: in one step, an eighth less time for a notification.

        Raises:
            DecodeError: one is cut short.
        """
        start = self.offset + -self.offset % 4
        if start + 12 > len(self._octets):
            return self.u32(first), self.u32(second), self.u32(third)  # names the one that is cut short
        self.offset = start + 12
        values: tuple[int, int, int] = THREE_COUNTS[self.byte_order, 4].unpack_from(self._octets, start)
        return values

    def count(self, field: str, *, maximum: int | None = None) -> int:
        """A count, an offset or the representation of a pointer: 4 octets in NDR32, 8 in NDR64.

        Raises:
            DecodeError: it is cut short, or larger than ``maximum``; nothing is allocated for such a count.
        """
        return self._aligned(field, self.wide, maximum)

    def uuid(self, field: str) -> UUID:
        """A UUID (C706 A.1)."""
        self.align(4)
        return self._uuid(field)

    def context_handle(self, name: str) -> tuple[int, UUID]:
        """The attributes and the UUID of a context handle, ``ndr_context_handle``."""
        return self.u32(f"{name}.attributes"), self._uuid(f"{name}.uuid")

    def pointer(self, name: str) -> bool:
        """Whether a pointer has a referent. Any value other than zero counts, as in other implementations."""
        return self._aligned(f"{name}.referent", self.wide, None) != 0

    def varying_counts(self, name: str, *, maximum: int | None = None) -> int:
        """The number of elements that follow the counts of a conformant varying array (C706 14.3.3.4).

        Raises:
            DecodeError: the counts are cut short or contradict each other, the array does not begin at its
                first element, or max_count is larger than ``maximum``.
        """
        wide = self.wide
        self.offset = start = self.offset + -self.offset % wide
        if maximum is None and start + 3 * wide <= len(self._octets):
            # One step instead of three; what is wrong is found, and named, field by field below.
            max_count, offset, actual = self._three_counts(self._octets, start)
            if not offset and actual <= max_count:
                self.offset = start + 3 * wide
                return int(actual)
        max_count = self.count(f"{name}.max_count", maximum=maximum)
        offset = self.count(f"{name}.offset")
        if offset:
            raise DecodeError(f"{name}.offset", self.offset - self.wide, f"{offset} instead of 0")
        actual = self.count(f"{name}.actual_count")
        if actual > max_count:
            raise DecodeError(
                f"{name}.actual_count",
                self.offset - self.wide,
                f"{actual} exceeds the max_count of {max_count}",
            )
        return actual

    def string(self, name: str) -> str | None:
        """A ``[string, unique]`` parameter without its terminator; NULs before the terminator are kept.

        Raises:
            DecodeError: it is cut short, has an offset, counts that contradict each other, or no terminator.
        """
        return self.pointee(name) if self.pointer(name) else None

    def pointee(self, name: str) -> str:
        """A conformant varying string alone; raises what ``string`` raises."""
        actual = self.varying_counts(name)
        if not actual:
            raise DecodeError(
                f"{name}.actual_count", self.offset - self.wide, "0 leaves no room for a terminator"
            )
        units = self.octets(name, 2 * actual)
        if units[-2:] != b"\0\0":
            raise DecodeError(
                f"{name}.terminator",
                self.offset - 2,
                f"the string ends with {units[-2:].hex()}, not with NUL",
            )
        return self.decode_utf16(units[:-2])

    def conformance(self, name: str, count_field: str, expected: int) -> None:
        """Read the max_count of a conformant array and check it against the field that its size_is names.

        Raises:
            DecodeError: max_count is cut short or differs from ``expected``, the value of that field.
        """
        max_count = self.count(f"{name}.max_count")
        if max_count != expected:
            problem = f"{max_count} elements, but {count_field} says {expected}"
            raise DecodeError(f"{name}.max_count", self.offset - self.wide, problem)

    def wide_chars(self, name: str, length: int) -> str:
        """A fixed array of ``length`` WCHARs that holds a string: the text before its first NUL.

        Raises:
            DecodeError: it is cut short, or contains no NUL.
        """
        self.align(2)
        units = self.octets(name, 2 * length)
        text, terminator, _ = self.decode_utf16(units).partition("\0")
        if not terminator:
            raise DecodeError(name, self.offset - len(units), f"no terminator among {length} UTF-16 units")
        return text

    def _uuid(self, field: str) -> UUID:
        octets = self.octets(field, 16)
        return UUID(bytes_le=octets) if self.byte_order == "little" else UUID(bytes=octets)

    def _aligned(self, field: str, size: int, maximum: int | None) -> int:
        """Read an unsigned integer at a multiple of its size: half of what a small message takes."""
        octets, start = self._octets, self.offset + -self.offset % size
        self.offset = end = start + size
        if end > len(octets):
            self.offset = start
            self.octets(field, size)  # raises the error
        value = int.from_bytes(octets[start:end], self.byte_order)
        if maximum is not None and value > maximum:
            raise DecodeError(field, start, f"{value} exceeds the maximum of {maximum}")
        return value
