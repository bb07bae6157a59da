"""The part of NDR that the witness interface needs, for NDR32 and NDR64 and in either byte order.

C706 chapter 14 describes NDR, MS-RPCE 2.2.5 what NDR64 changes: pointers, counts and offsets take 8 octets on
an 8-octet boundary, and structures are filled up to a multiple of their alignment (no structure of this
interface needs filling: their sizes, 552, 16 and 24 octets, are multiples already).

Field names extend those of ``fields``: a unique pointer ``NAME`` writes ``NAME.referent``; a conformant
varying string writes ``NAME.referent``, ``NAME.max_count``, ``NAME.offset``, ``NAME.actual_count``, ``NAME``
and ``NAME.terminator``; a conformant array ``NAME.max_count``. A gap before field ``NAME`` is called
``NAME.padding``, and ``padding`` stands for all of them.

MS-RPCE 2.2.5 allows NDR64 in little-endian only. Big-endian NDR64 can be written and read all the same: a
hostile caller may send it.
"""

from typing import Final

from swn_torture.stubdata.fields import ByteOrder, DecodeError, EncodeError, FieldReader, FieldWriter, Wrong
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId

__all__ = ["FIRST_REFERENT", "Reader", "Writer", "wide_size"]

FIRST_REFERENT: Final = 0x00020000
"""Referent of the first pointer of a stub; the next ones follow in steps of 4, as Windows and Samba count."""


def wide_size(syntax: SyntaxId) -> int:
    """Octets of a pointer, count or offset in this transfer syntax.

    Raises:
        ValueError: it is neither NDR32 nor NDR64.
    """
    if syntax == NDR64:
        return 8
    if syntax == NDR32:
        return 4
    raise ValueError(f"no NDR for transfer syntax {syntax}")


class Writer(FieldWriter):
    """Writes stub data.

    Args:
        syntax: NDR32 or NDR64.
        byte_order: the data representation's.
        wrong: see ``FieldWriter``; moreover a gap may be given an int (the octet to fill it with) or octets,
            and these are cut or repeated to fit for ``padding``, but written as they are for
            ``NAME.padding``, where they may also be longer, shorter or stand where no gap should be.
    """

    always = ("padding", "trailing")

    def __init__(
        self, syntax: SyntaxId, byte_order: ByteOrder = "little", wrong: Wrong | None = None
    ) -> None:
        super().__init__(byte_order, wrong)
        self.wide: Final = wide_size(syntax)
        self._next_referent = FIRST_REFERENT
        # One answer for all gaps may be given to a message that has none.
        self._filling = self._instead("padding") or 0
        self.names.clear()
        self.starts.clear()

    def align(self, field: str, boundary: int) -> None:
        """Fill up to a multiple of ``boundary`` octets before a field, by zeros unless told otherwise."""
        gap = -len(self._octets) % boundary
        name = f"{field}.padding"
        if gap or name in self._wrong:
            own = self._instead(name)
            filling = self._filling if own is None else own
            if isinstance(filling, int):
                if not 0 <= filling <= 0xFF:
                    raise EncodeError(name, f"{filling} is no octet")
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
        """A count, an offset or a pointer's representation: 4 octets in NDR32, 8 in NDR64."""
        self.align(field, self.wide)
        self.integer(field, value, self.wide)

    def pointer(self, name: str, *, present: bool) -> None:
        """A unique pointer: a referent that no other has, or 0 for null (C706 14.3.11)."""
        referent = 0
        if present:
            referent = self._next_referent
            self._next_referent += 4
        self.count(f"{name}.referent", referent)

    def string(self, name: str, value: str | None) -> None:
        """A ``[string, unique]`` parameter: pointer, then conformant varying string (C706 14.3.5)."""
        self.pointer(name, present=value is not None)
        if value is not None:
            self.pointee(name, value)

    def pointee(self, name: str, value: str) -> None:
        """A conformant varying string alone: behind a ``[ref]`` pointer, or behind those of a structure."""
        units = self.utf16(value)
        length = len(units) // 2 + 1
        self.count(f"{name}.max_count", length)
        self.count(f"{name}.offset", 0)
        self.count(f"{name}.actual_count", length)
        self.octets(name, units)
        self.integer(f"{name}.terminator", 0, 2)

    def wide_chars(self, name: str, value: str, length: int) -> None:
        """A fixed array of ``length`` WCHARs, filled up with NULs; a text of full length goes without any.

        Raises:
            EncodeError: the text is longer than the array.
        """
        units = self.utf16(value)
        if len(units) > 2 * length:
            raise EncodeError(name, f"{len(units) // 2} UTF-16 units do not fit into {length}")
        self.align(name, 2)
        self.octets(name, units.ljust(2 * length, b"\0"))


class Reader(FieldReader):
    """Reads stub data, strictly; octets in gaps may have any value (C706 14.2.2).

    Args:
        octets: the stub data.
        syntax: NDR32 or NDR64.
        byte_order: the data representation's.
    """

    def __init__(self, octets: bytes | memoryview, syntax: SyntaxId, byte_order: ByteOrder) -> None:
        super().__init__(octets, byte_order)
        self.wide: Final = wide_size(syntax)

    def align(self, boundary: int) -> None:
        """Skip to a multiple of ``boundary`` octets."""
        self.offset += -self.offset % boundary

    def u16(self, field: str) -> int:
        """USHORT."""
        self.align(2)
        return self.integer(field, 2)

    def u32(self, field: str) -> int:
        """ULONG, UINT, DWORD."""
        self.align(4)
        return self.integer(field, 4)

    def count(self, field: str) -> int:
        """A count, an offset or a pointer's representation: 4 octets in NDR32, 8 in NDR64."""
        self.align(self.wide)
        return self.integer(field, self.wide)

    def pointer(self, name: str) -> bool:
        """Whether a unique pointer has a referent. Any non-zero value will do: runtimes look no closer."""
        return self.count(f"{name}.referent") != 0

    def string(self, name: str) -> str | None:
        """A ``[string, unique]`` parameter, without its terminator; NULs before that stay in the text.

        Raises:
            DecodeError: it is cut short, has an offset, counts that contradict each other, or no terminator.
        """
        return self.pointee(name) if self.pointer(name) else None

    def pointee(self, name: str) -> str:
        """A conformant varying string alone; errors are those of ``string``."""
        max_count = self.count(f"{name}.max_count")
        offset = self.count(f"{name}.offset")
        if offset:
            raise DecodeError(f"{name}.offset", self.offset - self.wide, f"{offset}, but strings begin at 0")
        actual = self.count(f"{name}.actual_count")
        if actual > max_count:
            problem = f"{actual} exceeds the max_count of {max_count}"
            raise DecodeError(f"{name}.actual_count", self.offset - self.wide, problem)
        if not actual:
            raise DecodeError(
                f"{name}.actual_count", self.offset - self.wide, "0 leaves no room for a terminator"
            )
        units = self.octets(name, 2 * actual)
        if units[-2:] != b"\0\0":
            raise DecodeError(
                f"{name}.terminator", self.offset - 2, f"{units[-2:].hex()} ends the string, not NUL"
            )
        return self.decode_utf16(units[:-2])

    def conformance(self, name: str, count_field: str, expected: int) -> None:
        """The max_count of a conformant array, which must be what the field in its size_is says.

        Raises:
            DecodeError: it is another number, or missing.
        """
        max_count = self.count(f"{name}.max_count")
        if max_count != expected:
            problem = f"{max_count} elements, but {count_field} says {expected}"
            raise DecodeError(f"{name}.max_count", self.offset - self.wide, problem)

    def wide_chars(self, name: str, length: int) -> str:
        """A fixed array of ``length`` WCHARs holding a string: what stands before its first NUL.

        Raises:
            DecodeError: it is cut short, or there is no NUL in it.
        """
        self.align(2)
        units = self.octets(name, 2 * length)
        end = next((at for at in range(0, len(units), 2) if units[at : at + 2] == b"\0\0"), None)
        if end is None:
            raise DecodeError(name, self.offset - len(units), f"no terminator among {length} UTF-16 units")
        return self.decode_utf16(units[:end])
