"""The endpoint mapper's messages, in NDR32 (C706 Appendix O, MS-RPCE 2.2.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from swn_torture.dcerpc.epm.towers import MAX_TOWER_OCTETS
from swn_torture.dcerpc.stub import StubReader, StubWriter
from swn_torture.stubdata.syntax import SyntaxId

__all__ = [
    "EPM",
    "EPM_PORT",
    "NULL_HANDLE",
    "EpmOpnum",
    "EptStatus",
    "FreeRequest",
    "FreeResponse",
    "InquiryType",
    "LookupEntry",
    "LookupRequest",
    "LookupResponse",
    "MapRequest",
    "MapResponse",
    "VersionOption",
]

EPM = SyntaxId(UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa"), 3, 0)
EPM_PORT = 135

NULL_HANDLE = bytes(20)
"""An ept_lookup_handle_t that stands for no search."""

NIL = UUID(int=0)

MAX_ELEMENTS = 500
"""The range of max_towers and max_ents."""

_MAX_ANNOTATION = 64


class EpmOpnum(IntEnum):
    """Operations; those that change the map are not offered (MS-RPCE 2.2.1.2.6 and 7)."""

    INSERT = 0
    DELETE = 1
    LOOKUP = 2
    MAP = 3
    LOOKUP_HANDLE_FREE = 4
    INQ_OBJECT = 5
    MGMT_DELETE = 6


class EptStatus(IntEnum):
    """What ``status`` says; any other Win32 code is a failure, too (MS-RPCE 2.2.1.2.4)."""

    OK = 0x00000000
    CANT_PERFORM_OP = 0x16C9A0CD
    NOT_REGISTERED = 0x16C9A0D6

    @classmethod
    def describe(cls, code: int) -> str:
        """Return name and value, ``ept_s_not_registered (0x16C9A0D6)``."""
        try:
            return f"ept_s_{cls(code).name.lower()} (0x{code:08X})"
        except ValueError:
            return f"0x{code:08X}"


class InquiryType(IntEnum):
    """Which elements a look-up is after."""

    ALL_ELEMENTS = 0
    MATCH_BY_INTERFACE = 1
    MATCH_BY_OBJECT = 2
    MATCH_BY_BOTH = 3


class VersionOption(IntEnum):
    """How an element's interface version has to relate to the one asked for."""

    ALL = 1
    COMPATIBLE = 2
    EXACT = 3
    MAJOR_ONLY = 4
    UP_TO = 5


def _write_tower(writer: StubWriter, tower: bytes) -> None:
    writer.u32(len(tower), len(tower)).octets(tower)


def _read_tower(reader: StubReader, field: str) -> bytes:
    maximum = reader.counted(f"{field}.max_count", MAX_TOWER_OCTETS)
    length = reader.u32(f"{field}.tower_length")
    if length != maximum:
        reader.fail(f"{length} octets in an array of {maximum}", f"{field}.tower_length")
    return reader.octets(length, field)


def _read_varying(reader: StubReader, field: str, most: int) -> int:
    """Read the three counts of a conformant varying array, return how many elements follow."""
    maximum = reader.counted(f"{field}.max_count", most)
    first = reader.u32(f"{field}.offset")
    count = reader.u32(f"{field}.actual_count")
    if first or count > maximum:
        reader.fail(f"offset {first}, {count} elements in an array of {maximum}", field)
    return count


@dataclass(frozen=True, slots=True)
class MapRequest:
    """ept_map in: which towers lead to this one's interface and transports?

    Attributes:
        tower: octet string of the tower searched for; None for a null pointer.
        object: object UUID; None for a null pointer.
        handle: of the search to go on with, 20 octets.
        max_towers: how many the reply may hold.
    """

    tower: bytes | None
    object: UUID | None = None
    handle: bytes = NULL_HANDLE
    max_towers: int = 4

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = StubWriter().pointer(self.object is not None)
        if self.object is not None:
            writer.uuid(self.object)
        writer.pointer(self.tower is not None)
        if self.tower is not None:
            _write_tower(writer, self.tower)
        return writer.align(4).octets(self.handle).u32(self.max_towers).pack()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: str = "little") -> MapRequest:
        """Read stub data; raises RemoteProtocolError."""
        reader = StubReader(stub, byte_order)
        obj = reader.uuid("object") if reader.u32("object.referent") else None
        tower = _read_tower(reader, "map_tower") if reader.u32("map_tower.referent") else None
        handle = reader.handle("entry_handle")
        return cls(tower, obj, handle, reader.counted("max_towers", MAX_ELEMENTS))


@dataclass(frozen=True, slots=True)
class MapResponse:
    """ept_map out.

    Attributes:
        towers: octet strings of the towers found.
        status: see :class:`EptStatus`.
        handle: of a search with more to come, else :data:`NULL_HANDLE`.
        max_towers: what the request said; the array is written with it.
    """

    towers: tuple[bytes, ...] = ()
    status: int = EptStatus.OK
    handle: bytes = NULL_HANDLE
    max_towers: int = 4

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = StubWriter().octets(self.handle).u32(len(self.towers))
        writer.u32(self.max_towers, 0, len(self.towers))
        for _ in self.towers:
            writer.pointer()
        for tower in self.towers:
            _write_tower(writer, tower)
        return writer.u32(self.status).pack()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: str = "little") -> MapResponse:
        """Read stub data; raises RemoteProtocolError. Null pointers among the towers are left out."""
        reader = StubReader(stub, byte_order)
        handle = reader.handle("entry_handle")
        number = reader.u32("num_towers")
        count = _read_varying(reader, "towers", MAX_ELEMENTS)
        if number != count:
            reader.fail(f"num_towers {number}, {count} in the array", "num_towers")
        present = [reader.u32("towers.referent") != 0 for _ in range(count)]
        towers = tuple(_read_tower(reader, f"towers[{i}]") for i, there in enumerate(present) if there)
        return cls(towers, reader.u32("status"), handle, max(count, 1))


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """ept_lookup in: what is in the map?

    Attributes:
        inquiry: an :class:`InquiryType`, or whatever was sent in its place.
        object: object UUID searched for, None for a null pointer.
        interface: interface searched for, None for a null pointer.
        version_option: a :class:`VersionOption`, or whatever was sent in its place.
        handle: of the search to go on with, 20 octets.
        max_entries: how many the reply may hold.
    """

    inquiry: int = InquiryType.ALL_ELEMENTS
    object: UUID | None = None
    interface: SyntaxId | None = None
    version_option: int = VersionOption.ALL
    handle: bytes = NULL_HANDLE
    max_entries: int = 100

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = StubWriter().u32(self.inquiry).pointer(self.object is not None)
        if self.object is not None:
            writer.uuid(self.object)
        writer.pointer(self.interface is not None)
        if self.interface is not None:
            writer.align(4).octets(self.interface.pack())
        return writer.u32(self.version_option).octets(self.handle).u32(self.max_entries).pack()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: str = "little") -> LookupRequest:
        """Read stub data; raises RemoteProtocolError."""
        reader = StubReader(stub, byte_order)
        inquiry = reader.u32("inquiry_type")
        obj = reader.uuid("object") if reader.u32("object.referent") else None
        interface = None
        if reader.u32("Ifid.referent"):
            interface = SyntaxId(reader.uuid("Ifid.uuid"), reader.u16("Ifid.major"), reader.u16("Ifid.minor"))
        option, handle = reader.u32("vers_option"), reader.handle("entry_handle")
        return cls(inquiry, obj, interface, option, handle, reader.counted("max_ents", MAX_ELEMENTS))


@dataclass(frozen=True, slots=True)
class LookupEntry:
    """One element of the map: ept_entry_t.

    Attributes:
        tower: octet string of the tower; None for a null pointer.
        object: object UUID, nil for none.
        annotation: up to 63 characters for people.
    """

    tower: bytes | None
    object: UUID = NIL
    annotation: str = ""


@dataclass(frozen=True, slots=True)
class LookupResponse:
    """ept_lookup out.

    Attributes:
        entries: the elements found.
        status: see :class:`EptStatus`.
        handle: of a search with more to come, else :data:`NULL_HANDLE`.
        max_entries: what the request said; the array is written with it.
    """

    entries: tuple[LookupEntry, ...] = ()
    status: int = EptStatus.OK
    handle: bytes = NULL_HANDLE
    max_entries: int = 100

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = StubWriter().octets(self.handle).u32(len(self.entries))
        writer.u32(self.max_entries, 0, len(self.entries))
        for entry in self.entries:
            annotation = entry.annotation.encode("utf-8")[: _MAX_ANNOTATION - 1] + b"\0"
            writer.uuid(entry.object).pointer(entry.tower is not None)
            writer.u32(0, len(annotation)).octets(annotation).align(4)
        for entry in self.entries:
            if entry.tower is not None:
                writer.align(4)
                _write_tower(writer, entry.tower)
        return writer.u32(self.status).pack()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: str = "little") -> LookupResponse:
        """Read stub data; raises RemoteProtocolError."""
        reader = StubReader(stub, byte_order)
        handle = reader.handle("entry_handle")
        number = reader.u32("num_ents")
        count = _read_varying(reader, "entries", MAX_ELEMENTS)
        if number != count:
            reader.fail(f"num_ents {number}, {count} in the array", "num_ents")
        heads: list[tuple[UUID, bool, str]] = []
        for i in range(count):
            obj, present = reader.uuid(f"entries[{i}].object"), reader.u32(f"entries[{i}].tower") != 0
            if reader.u32(f"entries[{i}].annotation.offset"):
                reader.fail("the string does not begin at its beginning", f"entries[{i}].annotation.offset")
            length = reader.counted(f"entries[{i}].annotation.actual_count", _MAX_ANNOTATION)
            text = reader.octets(length, f"entries[{i}].annotation").partition(b"\0")[0]
            heads.append((obj, present, text.decode("utf-8", "replace")))
        entries = tuple(
            LookupEntry(_read_tower(reader, f"entries[{i}].tower") if present else None, obj, text)
            for i, (obj, present, text) in enumerate(heads)
        )
        return cls(entries, reader.u32("status"), handle, max(count, 1))


@dataclass(frozen=True, slots=True)
class FreeRequest:
    """ept_lookup_handle_free in: end this search."""

    handle: bytes

    def pack(self) -> bytes:
        """Return the stub data."""
        return self.handle

    @classmethod
    def unpack(cls, stub: bytes, byte_order: str = "little") -> FreeRequest:
        """Read stub data; raises RemoteProtocolError."""
        return cls(StubReader(stub, byte_order).handle("entry_handle"))


@dataclass(frozen=True, slots=True)
class FreeResponse:
    """ept_lookup_handle_free out."""

    handle: bytes = NULL_HANDLE
    status: int = EptStatus.OK

    def pack(self) -> bytes:
        """Return the stub data."""
        return StubWriter().octets(self.handle).u32(self.status).pack()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: str = "little") -> FreeResponse:
        """Read stub data; raises RemoteProtocolError."""
        reader = StubReader(stub, byte_order)
        return cls(reader.handle("entry_handle"), reader.u32("status"))
