"""The messages of the endpoint mapper, in NDR32 (C706 Appendix O, MS-RPCE 2.2.1.2).

Integers are read in either byte order and written in little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING
from uuid import UUID

from swn_torture.dcerpc.epm.towers import MAX_TOWER_OCTETS
from swn_torture.dcerpc.errors import stub_data_of_peer
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.ndr import Reader, Writer
from swn_torture.stubdata.syntax import NDR32, SyntaxId

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder

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
"""The null ept_lookup_handle_t: a request with it starts a search, a reply with it ends one."""

NIL = UUID(int=0)

MAX_ELEMENTS = 500
"""The end of the ``[range]`` of max_towers and max_ents."""

_MAX_ANNOTATION = 64


class EpmOpnum(IntEnum):
    """The operations. Servers do not offer those that change the map (MS-RPCE 2.2.1.2.6, 2.2.1.2.7)."""

    INSERT = 0
    DELETE = 1
    LOOKUP = 2
    MAP = 3
    LOOKUP_HANDLE_FREE = 4
    INQ_OBJECT = 5
    MGMT_DELETE = 6


class EptStatus(IntEnum):
    """Values of ``status``; any other Win32 code is a failure, too (MS-RPCE 2.2.1.2.4)."""

    OK = 0x00000000
    CANT_PERFORM_OP = 0x16C9A0CD
    NOT_REGISTERED = 0x16C9A0D6

    @classmethod
    def describe(cls, code: int) -> str:
        """Return name and value, ``ept_s_not_registered (0x16C9A0D6)``; an unknown value alone."""
        try:
            return f"ept_s_{cls(code).name.lower()} (0x{code:08X})"
        except ValueError:
            return f"0x{code:08X}"


class InquiryType(IntEnum):
    """Which elements of the map a look-up returns."""

    ALL_ELEMENTS = 0
    MATCH_BY_INTERFACE = 1
    MATCH_BY_OBJECT = 2
    MATCH_BY_BOTH = 3


class VersionOption(IntEnum):
    """How the interface version of an element must relate to the requested version."""

    ALL = 1
    COMPATIBLE = 2
    EXACT = 3
    MAJOR_ONLY = 4
    UP_TO = 5


def _writer() -> Writer:
    # Referents 1, 2, 3, ... in order: Windows Server 2003 accepts no others for full pointers.
    return Writer(NDR32, first_referent=1, referent_step=1)


def _write_handle(writer: Writer, handle: bytes) -> None:
    writer.align("entry_handle", 4)
    writer.octets("entry_handle", handle)


def _read_handle(reader: Reader) -> bytes:
    """Return the 20 octets of a look-up handle in little-endian, in whatever byte order they arrive."""
    attributes, uuid = reader.context_handle("entry_handle")
    return attributes.to_bytes(4, "little") + uuid.bytes_le


def _write_object(writer: Writer, value: UUID | None) -> None:
    writer.pointer("object", present=value is not None)
    if value is not None:
        writer.uuid("object", value)


def _read_object(reader: Reader) -> UUID | None:
    return reader.uuid("object") if reader.pointer("object") else None


def _write_tower(writer: Writer, name: str, tower: bytes) -> None:
    writer.count(f"{name}.max_count", len(tower))
    writer.u32(f"{name}.tower_length", len(tower))
    writer.octets(f"{name}.tower_octet_string", tower)


def _read_tower(reader: Reader, name: str) -> bytes:
    max_count = reader.count(f"{name}.max_count", maximum=MAX_TOWER_OCTETS)
    at = reader.offset
    length = reader.u32(f"{name}.tower_length")
    if length != max_count:
        problem = f"{length} octets, but the array has a max_count of {max_count}"
        raise DecodeError(f"{name}.tower_length", at, problem)
    return reader.octets(f"{name}.tower_octet_string", length)


def _read_counts(reader: Reader, number_field: str, array: str) -> int:
    """Read the number of elements and the counts of their array; return how many elements follow."""
    number = reader.u32(number_field)
    at = reader.offset - 4
    count = reader.varying_counts(array, maximum=MAX_ELEMENTS)
    if number != count:
        raise DecodeError(number_field, at, f"{number}, but {array} has an actual_count of {count}")
    return count


@dataclass(frozen=True, slots=True)
class MapRequest:
    """The in parameters of ept_map: asks for the towers of an interface over given transports.

    Attributes:
        tower: the tower octet string to search for; ``None`` for a null pointer.
        object: object UUID; ``None`` for a null pointer.
        handle: of the search to continue, 20 octets.
        max_towers: the most towers that the reply may contain.
    """

    tower: bytes | None
    object: UUID | None = None
    handle: bytes = NULL_HANDLE
    max_towers: int = 4

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = _writer()
        _write_object(writer, self.object)
        writer.pointer("map_tower", present=self.tower is not None)
        if self.tower is not None:
            _write_tower(writer, "map_tower", self.tower)
        _write_handle(writer, self.handle)
        writer.u32("max_towers", self.max_towers)
        return writer.finish()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: ByteOrder = "little") -> MapRequest:
        """Read stub data; raises RemoteProtocolError."""
        with stub_data_of_peer(stub):
            reader = Reader(stub, NDR32, byte_order)
            obj = _read_object(reader)
            tower = _read_tower(reader, "map_tower") if reader.pointer("map_tower") else None
            handle = _read_handle(reader)
            return cls(tower, obj, handle, reader.u32("max_towers", maximum=MAX_ELEMENTS))


@dataclass(frozen=True, slots=True)
class MapResponse:
    """The out parameters of ept_map.

    Attributes:
        towers: octet strings of the towers found.
        status: see :class:`EptStatus`.
        handle: of the search if it has more results, else :data:`NULL_HANDLE`.
        max_towers: as in the request; it is the max_count of the array.
    """

    towers: tuple[bytes, ...] = ()
    status: int = EptStatus.OK
    handle: bytes = NULL_HANDLE
    max_towers: int = 4

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = _writer()
        _write_handle(writer, self.handle)
        writer.u32("num_towers", len(self.towers))
        writer.varying_counts("towers", self.max_towers, len(self.towers))
        for index in range(len(self.towers)):
            writer.pointer(f"towers[{index}]", present=True)
        for index, tower in enumerate(self.towers):
            _write_tower(writer, f"towers[{index}]", tower)
        writer.u32("status", self.status)
        return writer.finish()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: ByteOrder = "little") -> MapResponse:
        """Read stub data; raises RemoteProtocolError. Null pointers among the towers are left out."""
        with stub_data_of_peer(stub):
            reader = Reader(stub, NDR32, byte_order)
            handle = _read_handle(reader)
            count = _read_counts(reader, "num_towers", "towers")
            present = [reader.pointer(f"towers[{index}]") for index in range(count)]
            towers = tuple(_read_tower(reader, f"towers[{i}]") for i in range(count) if present[i])
            return cls(towers, reader.u32("status"), handle, max(len(towers), 1))


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """The in parameters of ept_lookup: asks for elements of the endpoint map.

    Attributes:
        inquiry: an :class:`InquiryType`, or any other 32 bits.
        object: object UUID to search for, ``None`` for a null pointer.
        interface: interface to search for, ``None`` for a null pointer.
        version_option: a :class:`VersionOption`, or any other 32 bits.
        handle: of the search to continue, 20 octets.
        max_entries: the most elements that the reply may contain.
    """

    inquiry: int = InquiryType.ALL_ELEMENTS
    object: UUID | None = None
    interface: SyntaxId | None = None
    version_option: int = VersionOption.ALL
    handle: bytes = NULL_HANDLE
    max_entries: int = 100

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = _writer()
        writer.u32("inquiry_type", self.inquiry)
        _write_object(writer, self.object)
        writer.pointer("Ifid", present=self.interface is not None)
        if self.interface is not None:
            writer.uuid("Ifid.uuid", self.interface.uuid)
            writer.u16("Ifid.major", self.interface.major)
            writer.u16("Ifid.minor", self.interface.minor)
        writer.u32("vers_option", self.version_option)
        _write_handle(writer, self.handle)
        writer.u32("max_ents", self.max_entries)
        return writer.finish()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: ByteOrder = "little") -> LookupRequest:
        """Read stub data; raises RemoteProtocolError."""
        with stub_data_of_peer(stub):
            reader = Reader(stub, NDR32, byte_order)
            inquiry = reader.u32("inquiry_type")
            obj = _read_object(reader)
            interface = None
            if reader.pointer("Ifid"):
                interface = SyntaxId(
                    reader.uuid("Ifid.uuid"), reader.u16("Ifid.major"), reader.u16("Ifid.minor")
                )
            option = reader.u32("vers_option")
            handle = _read_handle(reader)
            return cls(inquiry, obj, interface, option, handle, reader.u32("max_ents", maximum=MAX_ELEMENTS))


@dataclass(frozen=True, slots=True)
class LookupEntry:
    """One element of the map: ept_entry_t.

    Attributes:
        tower: the tower octet string; ``None`` for a null pointer.
        object: object UUID, nil without one.
        annotation: a description, up to 63 characters.
    """

    tower: bytes | None
    object: UUID = NIL
    annotation: str = ""


@dataclass(frozen=True, slots=True)
class LookupResponse:
    """The out parameters of ept_lookup.

    Attributes:
        entries: the elements found.
        status: see :class:`EptStatus`.
        handle: of the search if it has more results, else :data:`NULL_HANDLE`.
        max_entries: as in the request; it is the max_count of the array.
    """

    entries: tuple[LookupEntry, ...] = ()
    status: int = EptStatus.OK
    handle: bytes = NULL_HANDLE
    max_entries: int = 100

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = _writer()
        _write_handle(writer, self.handle)
        writer.u32("num_ents", len(self.entries))
        writer.varying_counts("entries", self.max_entries, len(self.entries))
        for index, entry in enumerate(self.entries):
            name = f"entries[{index}]"
            annotation = entry.annotation.encode("utf-8")[: _MAX_ANNOTATION - 1] + b"\0"
            writer.uuid(f"{name}.object", entry.object)
            writer.pointer(f"{name}.tower", present=entry.tower is not None)
            writer.u32(f"{name}.annotation.offset", 0)
            writer.u32(f"{name}.annotation.actual_count", len(annotation))
            writer.octets(f"{name}.annotation", annotation)
        for index, entry in enumerate(self.entries):
            if entry.tower is not None:
                _write_tower(writer, f"entries[{index}].tower", entry.tower)
        writer.u32("status", self.status)
        return writer.finish()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: ByteOrder = "little") -> LookupResponse:
        """Read stub data; raises RemoteProtocolError."""
        with stub_data_of_peer(stub):
            reader = Reader(stub, NDR32, byte_order)
            handle = _read_handle(reader)
            count = _read_counts(reader, "num_ents", "entries")
            heads = [_read_entry_head(reader, f"entries[{index}]") for index in range(count)]
            entries = tuple(
                LookupEntry(_read_tower(reader, f"entries[{i}].tower") if present else None, obj, text)
                for i, (obj, present, text) in enumerate(heads)
            )
            return cls(entries, reader.u32("status"), handle, max(count, 1))


def _read_entry_head(reader: Reader, name: str) -> tuple[UUID, bool, str]:
    """Read what the array has for one element: object, whether a tower follows the array, annotation."""
    obj, present = reader.uuid(f"{name}.object"), reader.pointer(f"{name}.tower")
    offset = reader.u32(f"{name}.annotation.offset")
    if offset:
        raise DecodeError(f"{name}.annotation.offset", reader.offset - 4, f"{offset} instead of 0")
    length = reader.u32(f"{name}.annotation.actual_count", maximum=_MAX_ANNOTATION)
    text = reader.octets(f"{name}.annotation", length).partition(b"\0")[0]
    return obj, present, text.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class FreeRequest:
    """The in parameters of ept_lookup_handle_free: ends a search."""

    handle: bytes

    def pack(self) -> bytes:
        """Return the stub data."""
        return self.handle

    @classmethod
    def unpack(cls, stub: bytes, byte_order: ByteOrder = "little") -> FreeRequest:
        """Read stub data; raises RemoteProtocolError."""
        with stub_data_of_peer(stub):
            return cls(_read_handle(Reader(stub, NDR32, byte_order)))


@dataclass(frozen=True, slots=True)
class FreeResponse:
    """The out parameters of ept_lookup_handle_free."""

    handle: bytes = NULL_HANDLE
    status: int = EptStatus.OK

    def pack(self) -> bytes:
        """Return the stub data."""
        writer = _writer()
        _write_handle(writer, self.handle)
        writer.u32("status", self.status)
        return writer.finish()

    @classmethod
    def unpack(cls, stub: bytes, byte_order: ByteOrder = "little") -> FreeResponse:
        """Read stub data; raises RemoteProtocolError."""
        with stub_data_of_peer(stub):
            reader = Reader(stub, NDR32, byte_order)
            return cls(_read_handle(reader), reader.u32("status"))
