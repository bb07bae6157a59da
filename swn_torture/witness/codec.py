"""Messages to stub data and back (MS-SWN 3.1.4 and 6), for NDR32 and NDR64, in either byte order.

``encode`` writes a message, with wrong octets in named fields if a test asks for them. ``decode_request`` and
``decode_response`` are strict. All are pure functions.

Field names are those of the IDL: parameters and members have their own name (``NetName``, ``Length``),
elements also have their index (``InterfaceInfo[0].Flags``), and the return value is ``ReturnValue``.
"""

import itertools
import struct
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, TypeVar

from swn_torture.stubdata.fields import ByteOrder, DecodeError, EncodeError, Wrong
from swn_torture.stubdata.ndr import Reader, Writer
from swn_torture.stubdata.plain import PlainWriter
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.constants import GROUP_NAME_UNITS, Opnum
from swn_torture.witness.messages import (
    AnyRequest,
    AnyResponse,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    RespAsyncNotify,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)

__all__ = [
    "DecodeError",
    "EncodeError",
    "UnknownOpnumError",
    "decode_request",
    "decode_response",
    "encode",
    "field_names",
    "field_spans",
    "read_handle",
    "request_size",
    "write_handle",
]

HANDLE_SIZE: Final = 20
"""Octets of a context handle; the same in both syntaxes."""

_INTERFACE_INFO_SIZE: Final = 552
"""Octets of a WITNESS_INTERFACE_INFO with its gap of 2 octets after State; the same in both syntaxes."""


_INTERFACE_LAYOUT: Final = struct.Struct(f"<{2 * GROUP_NAME_UNITS}sIHxx4s16sI")
"""A WITNESS_INTERFACE_INFO, little-endian, with the octets of its addresses in network order."""


class UnknownOpnumError(LookupError):
    """The interface has no method with this opnum."""

    def __init__(self, opnum: int) -> None:
        super().__init__(f"the witness interface has no method {opnum}; its opnums are 0 to {max(Opnum)}")


def encode(
    message: AnyRequest | AnyResponse,
    syntax: SyntaxId,
    *,
    byte_order: ByteOrder = "little",
    wrong: Wrong | None = None,
) -> bytes:
    """Write the stub data of a message.

    Args:
        message: any request or response. A number may have any value that fits into its field.
        syntax: NDR32 or NDR64.
        byte_order: of the data representation in the PDU.
        wrong: replacements for fields, by field name; ``field_names`` lists the names. See ``Writer``.

    Raises:
        EncodeError: a value does not fit into its field, or ``wrong`` names a field that this message does
            not have.
        ValueError: the syntax is neither NDR32 nor NDR64.
    """
    if not wrong and byte_order == "little" and (syntax is NDR32 or syntax is NDR64):
        write = _WRITERS_AT_ONCE.get(type(message))
        octets = None if write is None else write(message)
        if octets is not None:
            return octets
    writer = Writer(syntax, byte_order, wrong) if wrong else PlainWriter(syntax, byte_order)
    _WRITERS[type(message)](writer, message)
    return writer.finish()


def field_names(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> tuple[str, ...]:
    """The names of all fields and gaps of a message, in the order of the stub data.

    ``wrong`` may also contain ``padding`` (all gaps) and ``trailing`` (octets after the end) for every
    message.
    """
    writer = Writer(syntax)
    _WRITERS[type(message)](writer, message)
    return tuple(writer.names)


def field_spans(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> dict[str, range]:
    """The octets of each field and gap of a message in its stub data, in their order; no range is empty."""
    writer = Writer(syntax)
    _WRITERS[type(message)](writer, message)
    edges = [*writer.starts, len(writer.finish())]
    spans = zip(writer.names, itertools.pairwise(edges), strict=True)
    return {name: range(start, end) for name, (start, end) in spans if start < end}


def decode_request(
    opnum: int,
    stub: bytes | memoryview,
    syntax: SyntaxId,
    *,
    byte_order: ByteOrder = "little",
    allow_trailing: bool = False,
) -> AnyRequest:
    """Read the stub data of a request.

    Args:
        opnum: of the method.
        stub: the complete stub data.
        syntax: the transfer syntax of the presentation context.
        byte_order: of the data representation in the PDU.
        allow_trailing: ignore octets after the last parameter, as Windows and Samba do.

    Raises:
        UnknownOpnumError: the interface has no method with this opnum.
        DecodeError: the stub data is not a request of this method.
    """
    if byte_order == "little" and (syntax is NDR32 or syntax is NDR64):
        if len(stub) == HANDLE_SIZE:
            kind = _HANDLE_REQUESTS.get(opnum)
            if kind is not None:
                return kind(ContextHandle.unpack(bytes(stub)))
        elif not stub and opnum == _LIST:
            return _GET_INTERFACE_LIST
    return _decode(_REQUEST_READERS, opnum, Reader(stub, syntax, byte_order), allow_trailing=allow_trailing)


def request_size(
    opnum: int, stub: bytes | memoryview, syntax: SyntaxId, *, byte_order: ByteOrder = "little"
) -> int:
    """The octets of the parameters of a request; raises the errors of ``decode_request``."""
    reader = Reader(stub, syntax, byte_order)
    _decode(_REQUEST_READERS, opnum, reader, allow_trailing=True)
    return reader.offset


def decode_response(
    opnum: int,
    stub: bytes | memoryview,
    syntax: SyntaxId,
    *,
    byte_order: ByteOrder = "little",
    allow_trailing: bool = False,
) -> AnyResponse:
    """Read the stub data of a response; see ``decode_request`` for arguments and errors."""
    if byte_order == "little" and (syntax is NDR32 or syntax is NDR64):
        size = len(stub)
        if size == _HANDLE_AND_RESULT_SIZE:
            kind = _HANDLE_RESPONSES.get(opnum)
            if kind is not None:
                octets, result = _HANDLE_AND_RESULT.unpack(stub)
                return kind(ContextHandle.unpack(octets), result)
        elif size == 4 and opnum == _UNREGISTER:
            return UnRegisterResponse(int.from_bytes(stub, "little"))
    return _decode(_RESPONSE_READERS, opnum, Reader(stub, syntax, byte_order), allow_trailing=allow_trailing)


M = TypeVar("M")


def _decode(
    readers: Mapping[int, Callable[[Reader], M]], opnum: int, reader: Reader, *, allow_trailing: bool
) -> M:
    if opnum not in readers:
        raise UnknownOpnumError(opnum)
    message = readers[opnum](reader)
    if not allow_trailing:
        reader.finish()
    return message


# A [ref] pointer to a context handle has no representation at top level (C706 14.3.12.1).


def write_handle(writer: Writer, name: str, handle: ContextHandle) -> None:
    """Write a context handle."""
    writer.context_handle(name, handle.attributes, handle.uuid)


def read_handle(reader: Reader, name: str) -> ContextHandle:
    """Read a context handle."""
    return ContextHandle(*reader.context_handle(name))


# Addresses in WITNESS_INTERFACE_INFO. In little-endian stub data they are in network order, although the IDL
# declares ULONG and USHORT[8] (AMB-25): the integers are those that a little-endian host reads from a socket
# address, and NDR transports these integers. So big-endian stub data has their octets swapped, as every stub
# compiled from the IDL swaps them, and both kinds of receiver get the same address. Samba's IDL instead
# declares both members as always big-endian, which is network order in all stub data. Real servers do not
# show who is right, because all known servers answer in little-endian.


def _address_octets(packed: bytes, unit: int, byte_order: ByteOrder) -> bytes:
    if byte_order == "little":
        return packed
    return b"".join(packed[at : at + unit][::-1] for at in range(0, len(packed), unit))


def _write_interface(writer: Writer, name: str, interface: InterfaceInfo) -> None:
    writer.align(name, 4)  # the alignment of the structure, from its ULONGs
    writer.wide_chars(f"{name}.InterfaceGroupName", interface.group_name, GROUP_NAME_UNITS)
    writer.u32(f"{name}.Version", interface.version)
    writer.u16(f"{name}.State", interface.state)
    writer.align(f"{name}.IPV4", 4)
    writer.octets(f"{name}.IPV4", _address_octets(interface.ipv4.packed, 4, writer.byte_order))
    writer.octets(f"{name}.IPV6", _address_octets(interface.ipv6.packed, 2, writer.byte_order))
    writer.u32(f"{name}.Flags", interface.flags)


def _read_interface(reader: Reader, name: str) -> InterfaceInfo:
    reader.align(4)
    whole = reader.structure(_INTERFACE_LAYOUT) if reader.byte_order == "little" else None
    if whole is not None:  # at once instead of field by field: a list takes a third less
        units, version, state, address, address_6, flags = whole
        text, terminator, _ = reader.decode_utf16(units).partition("\0")
        if terminator:
            return InterfaceInfo(text, version, state, IPv4Address(address), IPv6Address(address_6), flags)
        reader.offset -= _INTERFACE_INFO_SIZE  # what is wrong is named below
    group_name = reader.wide_chars(f"{name}.InterfaceGroupName", GROUP_NAME_UNITS)
    version = reader.u32(f"{name}.Version")
    state = reader.u16(f"{name}.State")
    reader.align(4)
    ipv4 = IPv4Address(_address_octets(reader.octets(f"{name}.IPV4", 4), 4, reader.byte_order))
    ipv6 = IPv6Address(_address_octets(reader.octets(f"{name}.IPV6", 16), 2, reader.byte_order))
    return InterfaceInfo(group_name, version, state, ipv4, ipv6, reader.u32(f"{name}.Flags"))


# WitnessrGetInterfaceList (opnum 0)


def _write_get_interface_list(_writer: Writer, _message: GetInterfaceListRequest) -> None:
    """Write nothing: its only parameter is the binding handle, which is not sent."""


def _read_get_interface_list(_reader: Reader) -> GetInterfaceListRequest:
    return GetInterfaceListRequest()


def _write_interface_list(writer: Writer, message: GetInterfaceListResponse) -> None:
    listed = message.interface_list
    writer.pointer("InterfaceList", present=listed is not None)
    if listed is not None:
        interfaces = listed.interfaces
        writer.u32("NumberOfInterfaces", len(interfaces or ()))
        writer.pointer("InterfaceInfo", present=interfaces is not None)
        if interfaces is not None:
            writer.count("InterfaceInfo.max_count", len(interfaces))
            for index, interface in enumerate(interfaces):
                _write_interface(writer, f"InterfaceInfo[{index}]", interface)
    writer.u32("ReturnValue", message.result)


def _read_interface_list(reader: Reader) -> GetInterfaceListResponse:
    listed = None
    if reader.pointer("InterfaceList"):
        number = reader.u32("NumberOfInterfaces")
        at = reader.offset - 4
        if not reader.pointer("InterfaceInfo"):
            if number:
                at = reader.offset - reader.wide
                problem = f"{number} interfaces, but InterfaceInfo is null"
                raise DecodeError("InterfaceInfo.referent", at, problem)
            listed = InterfaceList(None)
        else:
            reader.conformance("InterfaceInfo", "NumberOfInterfaces", number)
            if number * _INTERFACE_INFO_SIZE > reader.left:
                problem = (
                    f"{number} interfaces of {_INTERFACE_INFO_SIZE} octets, but only {reader.left} are left"
                )
                raise DecodeError("NumberOfInterfaces", at, problem)
            listed = InterfaceList(
                tuple(_read_interface(reader, f"InterfaceInfo[{i}]") for i in range(number))
            )
    return GetInterfaceListResponse(listed, reader.u32("ReturnValue"))


# WitnessrRegister (opnum 1)


def _write_register(writer: Writer, message: RegisterRequest) -> None:
    writer.u32("Version", message.version)
    writer.string("NetName", message.net_name)
    writer.string("IpAddress", message.ip_address)
    writer.string("ClientComputerName", message.client_computer_name)


def _read_register(reader: Reader) -> RegisterRequest:
    return RegisterRequest(
        version=reader.u32("Version"),
        net_name=reader.string("NetName"),
        ip_address=reader.string("IpAddress"),
        client_computer_name=reader.string("ClientComputerName"),
    )


# The responses of Register, RegisterEx and UnRegisterEx contain a handle and the return value.


def _write_handle_response(
    writer: Writer, message: RegisterResponse | RegisterExResponse | UnRegisterExResponse
) -> None:
    write_handle(writer, "ppContext", message.context)
    writer.u32("ReturnValue", message.result)


def _read_handle_response(reader: Reader) -> tuple[ContextHandle, int]:
    return read_handle(reader, "ppContext"), reader.u32("ReturnValue")


# WitnessrUnRegister (opnum 2) and WitnessrAsyncNotify (opnum 3)


def _write_handle_request(writer: Writer, message: UnRegisterRequest | AsyncNotifyRequest) -> None:
    write_handle(writer, "pContext", message.context)


def _write_unregistered(writer: Writer, message: UnRegisterResponse) -> None:
    writer.u32("ReturnValue", message.result)


def _write_notification(writer: Writer, message: AsyncNotifyResponse) -> None:
    response = message.response
    writer.pointer("pResp", present=response is not None)
    if response is not None:
        buffer = response.message_buffer
        writer.u32("MessageType", response.message_type)
        writer.u32("Length", len(buffer or b""))
        writer.u32("NumberOfMessages", response.number_of_messages)
        writer.pointer("MessageBuffer", present=buffer is not None)
        if buffer is not None:
            writer.count("MessageBuffer.max_count", len(buffer))
            writer.octets("MessageBuffer", buffer)
    writer.u32("ReturnValue", message.result)


def _read_notification(reader: Reader) -> AsyncNotifyResponse:
    response = None
    if reader.pointer("pResp"):
        message_type, length, number = reader.three_u32("MessageType", "Length", "NumberOfMessages")
        buffer = None
        if reader.pointer("MessageBuffer"):
            reader.conformance("MessageBuffer", "Length", length)
            buffer = reader.octets("MessageBuffer", length)
        elif length:
            at = reader.offset - reader.wide
            raise DecodeError("MessageBuffer.referent", at, f"{length} octets, but MessageBuffer is null")
        response = RespAsyncNotify(message_type, number, buffer)
    return AsyncNotifyResponse(response, reader.u32("ReturnValue"))


# WitnessrRegisterEx (opnum 4)


def _write_register_ex(writer: Writer, message: RegisterExRequest) -> None:
    writer.u32("Version", message.version)
    writer.string("NetName", message.net_name)
    writer.string("ShareName", message.share_name)
    writer.string("IpAddress", message.ip_address)
    writer.string("ClientComputerName", message.client_computer_name)
    writer.u32("Flags", message.flags)
    writer.u32("KeepAliveTimeout", message.keep_alive_timeout)


def _read_register_ex(reader: Reader) -> RegisterExRequest:
    return RegisterExRequest(
        version=reader.u32("Version"),
        net_name=reader.string("NetName"),
        share_name=reader.string("ShareName"),
        ip_address=reader.string("IpAddress"),
        client_computer_name=reader.string("ClientComputerName"),
        flags=reader.u32("Flags"),
        keep_alive_timeout=reader.u32("KeepAliveTimeout"),
    )


# WitnessrUnRegisterEx (opnum 5): its handle is [in, out], so it has the same name in both directions


def _write_unregister_ex(writer: Writer, message: UnRegisterExRequest) -> None:
    write_handle(writer, "ppContext", message.context)


_WRITERS: Final[Mapping[type, Callable[[Writer, Any], None]]] = {
    GetInterfaceListRequest: _write_get_interface_list,
    GetInterfaceListResponse: _write_interface_list,
    RegisterRequest: _write_register,
    RegisterResponse: _write_handle_response,
    UnRegisterRequest: _write_handle_request,
    UnRegisterResponse: _write_unregistered,
    AsyncNotifyRequest: _write_handle_request,
    AsyncNotifyResponse: _write_notification,
    RegisterExRequest: _write_register_ex,
    RegisterExResponse: _write_handle_response,
    UnRegisterExRequest: _write_unregister_ex,
    UnRegisterExResponse: _write_handle_response,
}

# Most messages are empty, a handle, a number, or a handle and a number. In little-endian their octets are the
# same in NDR32 and NDR64. They are written and read at once, instead of field by field: that takes a third of
# the time or less (bench/codec.py). What does not fit is read or written field by field.


def _handle_octets(message: UnRegisterRequest | AsyncNotifyRequest | UnRegisterExRequest) -> bytes:
    return message.context.octets


def _handle_and_result(message: RegisterResponse | RegisterExResponse | UnRegisterExResponse) -> bytes | None:
    try:
        return _HANDLE_AND_RESULT.pack(message.context.octets, message.result)
    except struct.error:
        return None


def _result_octets(message: UnRegisterResponse) -> bytes | None:
    try:
        return message.result.to_bytes(4, "little")
    except OverflowError:
        return None


_HANDLE_AND_RESULT: Final = struct.Struct(f"<{HANDLE_SIZE}sI")
_HANDLE_AND_RESULT_SIZE: Final = _HANDLE_AND_RESULT.size

# Plain integers, which are compared in half the time.
_LIST: Final[int] = Opnum.GET_INTERFACE_LIST.value
_UNREGISTER: Final[int] = Opnum.UNREGISTER.value

_WRITERS_AT_ONCE: Final[Mapping[type, Callable[[Any], bytes | None]]] = {
    GetInterfaceListRequest: lambda _: b"",
    RegisterResponse: _handle_and_result,
    UnRegisterRequest: _handle_octets,
    UnRegisterResponse: _result_octets,
    AsyncNotifyRequest: _handle_octets,
    RegisterExResponse: _handle_and_result,
    UnRegisterExRequest: _handle_octets,
    UnRegisterExResponse: _handle_and_result,
}

_GET_INTERFACE_LIST: Final = GetInterfaceListRequest()

_HANDLE_REQUESTS: Final[Mapping[int, Callable[[ContextHandle], AnyRequest]]] = {
    Opnum.UNREGISTER.value: UnRegisterRequest,
    Opnum.ASYNC_NOTIFY.value: AsyncNotifyRequest,
    Opnum.UNREGISTER_EX.value: UnRegisterExRequest,
}

_HANDLE_RESPONSES: Final[Mapping[int, Callable[[ContextHandle, int], AnyResponse]]] = {
    Opnum.REGISTER.value: RegisterResponse,
    Opnum.REGISTER_EX.value: RegisterExResponse,
    Opnum.UNREGISTER_EX.value: UnRegisterExResponse,
}

_REQUEST_READERS: Final[Mapping[int, Callable[[Reader], AnyRequest]]] = {
    Opnum.GET_INTERFACE_LIST: _read_get_interface_list,
    Opnum.REGISTER: _read_register,
    Opnum.UNREGISTER: lambda reader: UnRegisterRequest(read_handle(reader, "pContext")),
    Opnum.ASYNC_NOTIFY: lambda reader: AsyncNotifyRequest(read_handle(reader, "pContext")),
    Opnum.REGISTER_EX: _read_register_ex,
    Opnum.UNREGISTER_EX: lambda reader: UnRegisterExRequest(read_handle(reader, "ppContext")),
}

_RESPONSE_READERS: Final[Mapping[int, Callable[[Reader], AnyResponse]]] = {
    Opnum.GET_INTERFACE_LIST: _read_interface_list,
    Opnum.REGISTER: lambda reader: RegisterResponse(*_read_handle_response(reader)),
    Opnum.UNREGISTER: lambda reader: UnRegisterResponse(reader.u32("ReturnValue")),
    Opnum.ASYNC_NOTIFY: _read_notification,
    Opnum.REGISTER_EX: lambda reader: RegisterExResponse(*_read_handle_response(reader)),
    Opnum.UNREGISTER_EX: lambda reader: UnRegisterExResponse(*_read_handle_response(reader)),
}
