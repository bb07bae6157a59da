"""Named fields and their octets.

Every field is written under a name. A caller can replace any named field by something wrong: another count, a
referent of zero, octets of any length. So a test can change exactly one field and leave the rest correct.
Reading is strict: an error names the field, its offset, and what is wrong.

This module knows integers, octets and UTF-16 text, one after the other without gaps, as in the notification
buffers (MS-SWN 2.2.2.1-2.2.2.3). ``ndr`` adds alignment, pointers and conformance.
"""

import codecs
import struct
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, TypeAlias

__all__ = ["ByteOrder", "DecodeError", "EncodeError", "FieldReader", "FieldWriter", "Wrong"]

ByteOrder: TypeAlias = Literal["little", "big"]

Wrong: TypeAlias = Mapping[str, int | bytes | str]
"""What to write instead of the correct value, by field name: a number, octets as they are, or UTF-16 text."""

# The functions behind `str.encode` and `bytes.decode`, which look for the encoding anew each time, and take
# three times as long for a name.
_TO_UTF16: Final = {"little": codecs.utf_16_le_encode, "big": codecs.utf_16_be_encode}
_FROM_UTF16: Final = {"little": codecs.utf_16_le_decode, "big": codecs.utf_16_be_decode}


class EncodeError(ValueError):
    """A message cannot be written as requested.

    Attributes:
        field: the name of the field concerned.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class DecodeError(ValueError):
    """Octets do not form the expected message.

    Attributes:
        field: the name of the field that cannot be read, for example ``"NetName.max_count"``.
        offset: where that field begins, in octets from the start of the decoded octets.
        problem: what is wrong there.
    """

    def __init__(self, field: str, offset: int, problem: str) -> None:
        self.field = field
        self.offset = offset
        self.problem = problem
        super().__init__(f"{field} at offset {offset}: {problem}")


class FieldWriter:
    """Writes fields one after the other.

    Args:
        byte_order: of integers and of UTF-16 units.
        wrong: replacements by field name. An int replaces a number. Octets replace any field and may have any
            length. Text does the same, as UTF-16 without a terminator. Other fields, such as counts, do not
            change. ``trailing`` is appended after the last field.

    Attributes:
        names: the names of the fields written so far.
        starts: for each of them, the octet at which it begins.
    """

    always: ClassVar[tuple[str, ...]] = ("trailing",)
    """The names that ``wrong`` may contain for every message, in addition to its fields."""

    def __init__(self, byte_order: ByteOrder, wrong: Wrong | None = None) -> None:
        self.byte_order: Final = byte_order
        self.names: Final[list[str]] = []
        self.starts: Final[list[int]] = []
        self._octets = bytearray()
        self._wrong = wrong or {}
        self._used_names: set[str] = set()

    def integer(self, field: str, value: int, size: int) -> None:
        """Write an unsigned integer of ``size`` octets; raises EncodeError when the value does not fit."""
        replacement = self._replacement(field)
        if isinstance(replacement, bytes):
            self._octets += replacement
            return
        if replacement is not None:
            value = replacement
        try:
            self._octets += value.to_bytes(size, self.byte_order)
        except OverflowError as error:
            raise EncodeError(field, f"{value} does not fit into {size} octets (unsigned)") from error

    def octets(self, field: str, value: bytes) -> None:
        """Write octets as they are; raises EncodeError when ``wrong`` has a number for them."""
        replacement = self._replacement(field)
        if isinstance(replacement, int):
            raise EncodeError(field, f"consists of octets; the number {replacement} cannot replace them")
        self._octets += value if replacement is None else replacement

    def text(self, field: str, value: str) -> None:
        """Write UTF-16 text (field ``NAME``) and its terminator (field ``NAME.terminator``)."""
        self.octets(field, self.utf16(value))
        self.integer(f"{field}.terminator", 0, 2)

    def utf16(self, value: str) -> bytes:
        """Text as UTF-16 units without a terminator. Lone surrogates and NULs are allowed for tests."""
        return _TO_UTF16[self.byte_order](value, "surrogatepass")[0]

    def finish(self) -> bytes:
        """The octets written.

        Raises:
            EncodeError: ``wrong`` names a field that this message does not have; the error lists its fields.
        """
        if "trailing" in self._wrong:
            self.octets("trailing", b"")
        unknown = sorted(self._wrong.keys() - self._used_names)
        if unknown:
            known = ", ".join(dict.fromkeys([*self.names, *self.always]))
            raise EncodeError(
                unknown[0], f"no field named {', '.join(map(repr, unknown))} here; known: {known}"
            )
        return bytes(self._octets)

    def _replacement(self, field: str) -> int | bytes | None:
        """Record that this field is written now, and return what ``wrong`` has for it."""
        self.names.append(field)
        self.starts.append(len(self._octets))
        if field not in self._wrong:
            return None
        self._used_names.add(field)
        replacement = self._wrong[field]
        return self.utf16(replacement) if isinstance(replacement, str) else replacement


class FieldReader:
    """Reads fields one after the other, strictly.

    Args:
        octets: what to read.
        byte_order: of integers and of UTF-16 units.

    Attributes:
        offset: where the next field is read, in octets from the start.
    """

    def __init__(self, octets: bytes | memoryview, byte_order: ByteOrder = "little") -> None:
        self.byte_order: Final = byte_order
        self.offset = 0
        self._octets = bytes(octets)

    @property
    def left(self) -> int:
        """The number of octets not read yet; negative when alignment went beyond the end."""
        return len(self._octets) - self.offset

    def integer(self, field: str, size: int) -> int:
        """Read an unsigned integer of ``size`` octets; raises DecodeError when they are missing."""
        start = self.offset
        end = start + size
        if end > len(self._octets):
            self.octets(field, size)  # raises the error
        self.offset = end
        return int.from_bytes(self._octets[start:end], self.byte_order)

    def octets(self, field: str, count: int) -> bytes:
        """Read ``count`` octets; raises DecodeError when they are missing."""
        start = self.offset
        if count > len(self._octets) - start:
            left = max(0, self.left)
            raise DecodeError(field, start, f"needs {count} octets, but only {left} are left")
        self.offset = start + count
        return self._octets[start : start + count]

    def structure(self, layout: struct.Struct) -> tuple[Any, ...] | None:
        """Read all fields of a structure at once; ``None``, and nothing read, if octets are missing."""
        start, end = self.offset, self.offset + layout.size
        if end > len(self._octets):
            return None
        self.offset = end
        return layout.unpack_from(self._octets, start)

    def decode_utf16(self, units: bytes) -> str:
        """UTF-16 units as text. Lone surrogates are kept: the text shows exactly what the peer sent."""
        return _FROM_UTF16[self.byte_order](units, "surrogatepass", True)[0]  # noqa: FBT003 - these are all

    def finish(self) -> None:
        """Raise DecodeError if octets are left."""
        if self.left > 0:
            raise DecodeError("trailing", self.offset, f"{self.left} octets too many: {self._excerpt()}")

    def rest(self) -> bytes:
        """Read all octets that are left."""
        rest = self._octets[self.offset :]
        self.offset = max(self.offset, len(self._octets))
        return rest

    def _excerpt(self) -> str:
        shown = self._octets[self.offset : self.offset + 16].hex(" ")
        return f"{shown} ..." if self.left > 16 else shown
