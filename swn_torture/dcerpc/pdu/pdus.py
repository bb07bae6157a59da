"""The base class of all PDUs, and the PDUs of calls. The PDUs of a bind exchange are in ``bind``.

A PDU is a value: it can be packed, compared, and changed with :func:`dataclasses.replace`. A length or count
of ``None`` is packed correctly; another value is packed as it is, also a wrong one. In a parsed PDU they are
``None``, because a PDU with wrong lengths is not parsed. alloc_hint is only a hint, so it keeps its value.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, ClassVar, Final

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.header import (
    HEADER_SIZE,
    LITTLE_ENDIAN,
    OBJECT_UUID,
    TRAILER_SIZE,
    WHOLE,
    Header,
    PduType,
    SecTrailer,
    pack_header,
    type_name,
)
from swn_torture.dcerpc.pdu.reader import Reader
from swn_torture.values import value_class

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from swn_torture.stubdata.fields import ByteOrder

_CLASSES: Final[dict[int, type[Pdu]]] = {}


@value_class(frozen=True, slots=True, kw_only=True)
class Pdu:
    """The base class of all connection-oriented PDUs (C706 12.6.3.1, MS-RPCE 2.2.2.1).

    Attributes:
        call_id: 32 bits.
        flags: ``pfc_flags``.
        drep: data representation; the PDU is packed in its byte order.
        version: RPC version, major and minor.
        frag_length: octets of the whole PDU, ``None`` for the correct number.
        auth_length: octets of the token, ``None`` for the correct number.
        padding: octets between the last field (or the stub data) and the sec_trailer or the end.
        trailer: the sec_trailer, ``None`` without one.
        auth_value: the authentication token after the sec_trailer.
    """

    ptype: ClassVar[PduType]

    call_id: int = 1
    flags: int = WHOLE
    drep: bytes = LITTLE_ENDIAN
    version: tuple[int, int] = (5, 0)
    frag_length: int | None = None
    auth_length: int | None = None
    padding: bytes = b""
    trailer: SecTrailer | None = None
    auth_value: bytes = b""

    @property
    def byte_order(self) -> ByteOrder:
        """The byte order of every integer in the PDU."""
        return "little" if self.drep[0] >> 4 else "big"

    @property
    def _prefix(self) -> str:
        return "<" if self.drep[0] >> 4 else ">"

    def _fixed(self) -> bytes:
        """Return the fields between the common header and the stub data."""
        raise NotImplementedError

    def _stub(self) -> bytes:
        """Return the stub data of a request or response, ``b""`` for other PDUs."""
        return b""

    def segments(
        self,
        auth_size: int | None = None,
        *,
        padding: bytes | None = None,
        trailer: SecTrailer | None = None,
    ) -> tuple[bytes, bytes, bytes]:
        """Return header, body and sec_trailer, the parts that a security context protects (MS-RPCE 2.2.2.1).

        The header is everything before the stub data; the body is the stub data with its padding.

        Args:
            auth_size: octets of the token that will follow, if :attr:`auth_value` is not known yet.
            padding: instead of :attr:`padding`.
            trailer: instead of :attr:`trailer`.
        """
        fixed, stub = self._fixed(), self._stub() + (self.padding if padding is None else padding)
        chosen = self.trailer if trailer is None else trailer
        tail = b"" if chosen is None else chosen.pack(self.byte_order)
        token = len(self.auth_value) if auth_size is None else auth_size
        length = HEADER_SIZE + len(fixed) + len(stub) + len(tail) + token
        header = pack_header(
            self.ptype,
            self.flags,
            # The caller chose the fragment size, and is responsible for a length that does not fit.
            (length if self.frag_length is None else self.frag_length) & 0xFFFF,
            token if self.auth_length is None else self.auth_length,
            self.call_id,
            self.drep,
            self.version,
        )
        return header + fixed, stub, tail

    def pack(self) -> bytes:
        """Return the octets."""
        return b"".join((*self.segments(), self.auth_value))

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        """Read the fields of this PDU type. The octets that are left become :attr:`padding`."""
        raise NotImplementedError

    def __init_subclass__(cls) -> None:
        if "ptype" in cls.__dict__:
            _CLASSES[cls.ptype] = cls


def unpack(octets: bytes | bytearray | memoryview, header: Header | None = None) -> Pdu:
    """Read one complete PDU.

    Args:
        octets: its octets.
        header: its header, if the caller has read it already.

    Raises:
        RemoteProtocolError: the PDU type is not connection-oriented, or a field does not fit in the PDU.
            Flags, counters and codes are not checked.
    """
    raw = bytes(octets)
    header = header or Header.unpack(raw)
    if header.frag_length != len(raw):
        raise RemoteProtocolError(
            f"{header.frag_length}, but there are {len(raw)} octets",
            field="frag_length",
            offset=8,
            octets=raw,
        )
    cls = _CLASSES.get(header.ptype)
    if cls is None:
        raise RemoteProtocolError(
            f"{type_name(header.ptype)} is not connection-oriented", field="ptype", offset=2, octets=raw
        )
    read = _AT_ONCE.get(header.ptype)
    whole = None if read is None else read(raw, header)
    if whole is not None:
        return whole
    end = len(raw)
    fields: dict[str, Any] = {}
    if header.auth_length:
        end -= header.auth_length + TRAILER_SIZE
        if end < HEADER_SIZE:
            raise RemoteProtocolError(
                f"a token of {header.auth_length} octets does not fit in a PDU of {len(raw)}",
                field="auth_length",
                offset=10,
                octets=raw,
            )
        fields["trailer"] = SecTrailer.unpack(raw[end : end + TRAILER_SIZE], header.byte_order)
        fields["auth_value"] = raw[end + TRAILER_SIZE :]
    reader = Reader(raw, header, end)
    fields |= cls._read(reader)
    if "stub" in fields and "trailer" in fields:
        _split_padding(fields, end, raw)
    fields.setdefault("padding", reader.rest())
    return cls(call_id=header.call_id, flags=header.flags, drep=header.drep, version=header.version, **fields)


# The PDUs of a call, little-endian and without an object, are read at once, which takes half the time. What
# does not fit is left to `unpack`, which names what is wrong.

_REQUEST_FIELDS: Final = struct.Struct("<IHH")
_RESPONSE_FIELDS: Final = struct.Struct("<IHBB")
_CALL_FIELDS: Final = 24
"""Octets of the header and of these fields."""


def _common(raw: bytes, header: Header) -> dict[str, Any] | None:
    """Return the fields that requests and responses have in common, ``None`` if they do not fit."""
    if len(raw) < _CALL_FIELDS or header.drep[0] >> 4 != 1:
        return None
    stub_end = end = len(raw)
    trailer, token = None, b""
    if header.auth_length:
        end -= header.auth_length + TRAILER_SIZE
        if end < _CALL_FIELDS:
            return None
        stub_end = end - raw[end + 2]  # auth_pad_length
        if stub_end < _CALL_FIELDS:
            return None
        trailer = SecTrailer.unpack(raw[end : end + TRAILER_SIZE], "little")
        token = raw[end + TRAILER_SIZE :]
    return {
        "call_id": header.call_id,
        "flags": header.flags,
        "drep": header.drep,
        "version": header.version,
        "stub": raw[_CALL_FIELDS:stub_end],
        "padding": raw[stub_end:end],
        "trailer": trailer,
        "auth_value": token,
    }


def _request_at_once(raw: bytes, header: Header) -> Request | None:
    common = None if header.flags & OBJECT_UUID else _common(raw, header)
    if common is None:
        return None
    hint, context_id, opnum = _REQUEST_FIELDS.unpack_from(raw, HEADER_SIZE)
    return Request(alloc_hint=hint, context_id=context_id, opnum=opnum, **common)


def _response_at_once(raw: bytes, header: Header) -> Response | None:
    common = _common(raw, header)
    if common is None:
        return None
    hint, context_id, cancels, reserved = _RESPONSE_FIELDS.unpack_from(raw, HEADER_SIZE)
    return Response(alloc_hint=hint, context_id=context_id, cancel_count=cancels, reserved=reserved, **common)


_AT_ONCE: Final[dict[int, Callable[[bytes, Header], Pdu | None]]] = {
    PduType.REQUEST.value: _request_at_once,
    PduType.RESPONSE.value: _response_at_once,
}


def _split_padding(fields: dict[str, Any], end: int, raw: bytes) -> None:
    """Divide the octets before the sec_trailer into stub data and padding."""
    stub, pad_length = fields["stub"], fields["trailer"].pad_length
    if pad_length > len(stub):
        raise RemoteProtocolError(
            f"{pad_length} octets of padding, but only {len(stub)} octets before the sec_trailer",
            field="sec_trailer.auth_pad_length",
            offset=end + 2,
            octets=raw,
        )
    keep = len(stub) - pad_length
    fields["stub"], fields["padding"] = stub[:keep], stub[keep:]


@value_class(frozen=True, slots=True, kw_only=True)
class Request(Pdu):
    """A request, or one fragment of it (C706 12.6.4.9).

    Attributes:
        opnum: operation number.
        stub: the stub data of this fragment.
        context_id: presentation context.
        object_uuid: written unless ``None``. The caller sets PFC_OBJECT_UUID in :attr:`flags`.
        alloc_hint: stub octets of this and the following fragments; ``None`` for those of this fragment.
    """

    ptype = PduType.REQUEST

    opnum: int = 0
    stub: bytes = b""
    context_id: int = 0
    object_uuid: UUID | None = None
    alloc_hint: int | None = None

    def _fixed(self) -> bytes:
        hint = len(self.stub) if self.alloc_hint is None else self.alloc_hint
        fixed = struct.pack(self._prefix + "IHH", hint, self.context_id, self.opnum)
        if self.object_uuid is not None:
            little = self.byte_order == "little"
            fixed += self.object_uuid.bytes_le if little else self.object_uuid.bytes
        return fixed

    def _stub(self) -> bytes:
        return self.stub

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        hint, context_id, opnum = reader.fields("IHH", "request")
        target = reader.uuid("object") if reader.header.flags & OBJECT_UUID else None
        return {
            "alloc_hint": hint,
            "context_id": context_id,
            "opnum": opnum,
            "object_uuid": target,
            "stub": reader.rest(),
        }


@value_class(frozen=True, slots=True, kw_only=True)
class Response(Pdu):
    """A response, or one fragment of it (C706 12.6.4.10). The fields are those of :class:`Request`."""

    ptype = PduType.RESPONSE

    stub: bytes = b""
    context_id: int = 0
    cancel_count: int = 0
    alloc_hint: int | None = None
    reserved: int = 0

    def _fixed(self) -> bytes:
        hint = len(self.stub) if self.alloc_hint is None else self.alloc_hint
        return struct.pack(self._prefix + "IHBB", hint, self.context_id, self.cancel_count, self.reserved)

    def _stub(self) -> bytes:
        return self.stub

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        hint, context_id, cancels, reserved = reader.fields("IHBB", "response")
        return {
            "alloc_hint": hint,
            "context_id": context_id,
            "cancel_count": cancels,
            "reserved": reserved,
            "stub": reader.rest(),
        }


@value_class(frozen=True, slots=True, kw_only=True)
class FaultPdu(Pdu):
    """A fault, the answer to a failed call (C706 12.6.4.7, MS-RPCE 2.2.2.8).

    Attributes:
        status: 32 bits.
        alloc_hint: 32 plus the octets of extended error information after the fields.
        reserved: bit 0 is set if there is extended error information (MS-EERR).
    """

    ptype = PduType.FAULT

    status: int = 0
    context_id: int = 0
    cancel_count: int = 0
    alloc_hint: int = 0x20
    reserved: int = 0
    reserved2: int = 0

    def _fixed(self) -> bytes:
        return struct.pack(
            self._prefix + "IHBBII",
            self.alloc_hint,
            self.context_id,
            self.cancel_count,
            self.reserved,
            self.status,
            self.reserved2,
        )

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        names = ("alloc_hint", "context_id", "cancel_count", "reserved", "status", "reserved2")
        return dict(zip(names, reader.fields("IHBBII", "fault"), strict=True))


@value_class(frozen=True, slots=True, kw_only=True)
class Auth3(Pdu):
    """The third leg of a security context. It has no answer (MS-RPCE 2.2.2.10)."""

    ptype = PduType.AUTH3

    pad: bytes = bytes(4)

    def _fixed(self) -> bytes:
        return self.pad

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        return {"pad": reader.take(4, "pad")}


class _Bare(Pdu):
    """A PDU without fields of its own."""

    __slots__ = ()

    def _fixed(self) -> bytes:
        return b""

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:  # noqa: ARG003  there is nothing to read
        return {}


@value_class(frozen=True, slots=True, kw_only=True)
class CoCancel(_Bare):
    """The client asks the server to cancel a call (C706 12.6.4.6)."""

    ptype = PduType.CO_CANCEL


@value_class(frozen=True, slots=True, kw_only=True)
class Orphaned(_Bare):
    """The client does not wait for the answer to a call any more (C706 12.6.4.8)."""

    ptype = PduType.ORPHANED


@value_class(frozen=True, slots=True, kw_only=True)
class Shutdown(_Bare):
    """The server asks the client to close the connection (C706 12.6.4.11)."""

    ptype = PduType.SHUTDOWN
