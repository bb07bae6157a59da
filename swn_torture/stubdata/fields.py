"""Named fields on their way to and from octets.

Whatever is written here is written under a name, and any name can be told to carry something else: a wrong
count, a referent of zero, raw octets of any length. That is how a torture test lies about exactly one thing
while all the rest stays right. Reading is the strict counterpart: an error says which field, at which offset,
and what was wrong.

This level knows integers, octets and UTF-16 text, laid out one after the other without gaps, as in the
notification buffers (MS-SWN 2.2.2.1-2.2.2.3); ``ndr`` adds alignment, pointers and conformance.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, TypeAlias

__all__ = ["ByteOrder", "DecodeError", "EncodeError", "FieldReader", "FieldWriter", "Wrong"]

ByteOrder: TypeAlias = Literal["little", "big"]

Wrong: TypeAlias = Mapping[str, int | bytes | str]
"""What to write instead, by field name: an int for a number, octets as they are, or text as UTF-16."""

_UTF16: Final[Mapping[ByteOrder, str]] = {"little": "utf-16-le", "big": "utf-16-be"}


class EncodeError(ValueError):
    """A message cannot be written as asked.

    Attributes:
        field: the name of the field concerned.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class DecodeError(ValueError):
    """Octets are not what they should be.

    Attributes:
        field: the name of the field that could not be read, such as ``"NetName.max_count"``.
        offset: where that field begins, in octets from the start of what was decoded.
        problem: what was found there.
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
        wrong: what to write instead of the right thing, by field name. An int replaces a number, octets
            replace anything and may have any length; text does the same, as UTF-16 without a terminator.
            What other fields say does not follow. ``trailing`` is appended after the last field.

    Attributes:
        names: the names of the fields written so far.
        starts: for each of them, the octet it begins at.
    """

    always: ClassVar[tuple[str, ...]] = ("trailing",)
    """What ``wrong`` may name for any message, beside the fields."""

    def __init__(self, byte_order: ByteOrder, wrong: Wrong | None = None) -> None:
        self.byte_order: Final = byte_order
        self.names: Final[list[str]] = []
        self.starts: Final[list[int]] = []
        self._octets = bytearray()
        self._wrong = wrong or {}
        self._used_names: set[str] = set()

    def integer(self, field: str, value: int, size: int) -> None:
        """Write an unsigned integer of ``size`` octets; raises EncodeError when the value does not fit."""
        instead = self._instead(field)
        if isinstance(instead, bytes):
            self._octets += instead
            return
        if instead is not None:
            value = instead
        try:
            self._octets += value.to_bytes(size, self.byte_order)
        except OverflowError as error:
            raise EncodeError(field, f"{value} does not fit into {size} octets without a sign") from error

    def octets(self, field: str, value: bytes) -> None:
        """Write octets as they are; raises EncodeError when ``wrong`` has a number for them."""
        instead = self._instead(field)
        if isinstance(instead, int):
            raise EncodeError(field, f"consists of octets, so the number {instead} cannot stand for it")
        self._octets += value if instead is None else instead

    def text(self, field: str, value: str) -> None:
        """Write UTF-16 text (field ``NAME``) and its terminator (field ``NAME.terminator``)."""
        self.octets(field, self.utf16(value))
        self.integer(f"{field}.terminator", 0, 2)

    def utf16(self, value: str) -> bytes:
        """Text as UTF-16 units without a terminator; lone surrogates and NULs pass, for tests send them."""
        return value.encode(_UTF16[self.byte_order], "surrogatepass")

    def finish(self) -> bytes:
        """What was written.

        Raises:
            EncodeError: ``wrong`` names a field that this message does not have; it lists those there are.
        """
        if "trailing" in self._wrong:
            self.octets("trailing", b"")
        unrelated_cases = sorted(self._wrong.keys() - self._used_names)
        if unrelated_cases:
            known = ", ".join(dict.fromkeys([*self.names, *self.always]))
            raise EncodeError(
                unrelated_cases[0],
                f"no field named {', '.join(map(repr, unrelated_cases))} here; there are: {known}",
            )
        return bytes(self._octets)

    def _instead(self, field: str) -> int | bytes | None:
        """Note that this field is written now, and look up what to write instead."""
        self.names.append(field)
        self.starts.append(len(self._octets))
        if field not in self._wrong:
            return None
        self._used_names.add(field)
        instead = self._wrong[field]
        return self.utf16(instead) if isinstance(instead, str) else instead


class FieldReader:
    """Reads fields one after the other, strictly.

    Args:
        octets: what to read.
        byte_order: of integers and of UTF-16 units.
    """

    def __init__(self, octets: bytes | memoryview, byte_order: ByteOrder = "little") -> None:
        self.byte_order: Final = byte_order
        self.offset = 0
        self._octets = bytes(octets)

    @property
    def left(self) -> int:
        """How many octets have not been read yet (negative when alignment led beyond the end)."""
        return len(self._octets) - self.offset

    def integer(self, field: str, size: int) -> int:
        """Read an unsigned integer of ``size`` octets; raises DecodeError when they are not there."""
        return int.from_bytes(self.octets(field, size), self.byte_order)

    def octets(self, field: str, count: int) -> bytes:
        """Read ``count`` octets; raises DecodeError when they are not there."""
        start = self.offset
        if count > len(self._octets) - start:
            left = max(0, self.left)
            raise DecodeError(field, start, f"needs {count} octets, but only {left} are left")
        self.offset = start + count
        return self._octets[start : start + count]

    def decode_utf16(self, units: bytes) -> str:
        """UTF-16 units as text, lone surrogates included: what a peer sent must not be lost to prettiness."""
        return units.decode(_UTF16[self.byte_order], "surrogatepass")

    def finish(self) -> None:
        """Raise DecodeError if anything is left."""
        if self.left > 0:
            raise DecodeError("trailing", self.offset, f"{self.left} octets too many: {self._excerpt()}")

    def rest(self) -> bytes:
        """Everything that is left; afterwards nothing is."""
        rest = self._octets[self.offset :]
        self.offset = max(self.offset, len(self._octets))
        return rest

    def _excerpt(self) -> str:
        shown = self._octets[self.offset : self.offset + 16].hex(" ")
        return f"{shown} ..." if self.left > 16 else shown
