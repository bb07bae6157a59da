"""The witness interface in impacket's NDR: an independent implementation to compare with.

The definitions follow the IDL (MS-SWN 6) and do not use this project's codec. impacket differs in these
points, which a comparison must leave out:

* Gaps contain 0xaa and other octets, and referents are random numbers of 16 bits.
* It accepts octets after the end, counts that contradict each other, and string offsets.
* A null string and an empty string are the same after it reads them.
* It supports little-endian only.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any
from uuid import UUID

from impacket.dcerpc.v5.dtypes import LPWSTR, NULL, PBYTE, UINT, ULONG, USHORT
from impacket.dcerpc.v5.ndr import NDRCALL, NDRPOINTER, NDRSTRUCT, NDRUniConformantArray, NDRUniFixedArray

from swn_torture.stubdata.syntax import NDR64, SyntaxId
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

if TYPE_CHECKING:
    from collections.abc import Callable


class GroupName(NDRUniFixedArray):  # type: ignore[misc]
    def getDataLen(self, data: bytes, offset: int = 0) -> int:  # noqa: ARG002, N802
        return 520

    def getAlignment(self) -> int:  # noqa: N802
        return 2


class Ipv6Units(NDRUniFixedArray):  # type: ignore[misc]
    def getDataLen(self, data: bytes, offset: int = 0) -> int:  # noqa: ARG002, N802
        return 16

    def getAlignment(self) -> int:  # noqa: N802
        return 2


class CONTEXT_HANDLE(NDRSTRUCT):  # type: ignore[misc]  # noqa: N801
    align = 1
    structure = (("Data", '20s=b""'),)

    def getAlignment(self) -> int:  # noqa: N802
        return 4


class WITNESS_INTERFACE_INFO(NDRSTRUCT):  # type: ignore[misc]  # noqa: N801
    structure = (
        ("InterfaceGroupName", GroupName),
        ("Version", ULONG),
        ("State", USHORT),
        ("IPV4", ULONG),
        ("IPV6", Ipv6Units),
        ("Flags", UINT),
    )


class InterfaceArray(NDRUniConformantArray):  # type: ignore[misc]
    item = WITNESS_INTERFACE_INFO


class PInterfaceArray(NDRPOINTER):  # type: ignore[misc]
    referent = (("Data", InterfaceArray),)


class WITNESS_INTERFACE_LIST(NDRSTRUCT):  # type: ignore[misc]  # noqa: N801
    structure = (("NumberOfInterfaces", UINT), ("InterfaceInfo", PInterfaceArray))


class PWITNESS_INTERFACE_LIST(NDRPOINTER):  # type: ignore[misc]  # noqa: N801
    referent = (("Data", WITNESS_INTERFACE_LIST),)


class RESP_ASYNC_NOTIFY(NDRSTRUCT):  # type: ignore[misc]  # noqa: N801
    structure = (
        ("MessageType", UINT),
        ("Length", UINT),
        ("NumberOfMessages", UINT),
        ("MessageBuffer", PBYTE),
    )


class PRESP_ASYNC_NOTIFY(NDRPOINTER):  # type: ignore[misc]  # noqa: N801
    referent = (("Data", RESP_ASYNC_NOTIFY),)


class GetInterfaceListIn(NDRCALL):  # type: ignore[misc]
    structure = ()


class GetInterfaceListOut(NDRCALL):  # type: ignore[misc]
    structure = (("InterfaceList", PWITNESS_INTERFACE_LIST), ("ErrorCode", ULONG))


class RegisterIn(NDRCALL):  # type: ignore[misc]
    structure = (
        ("Version", ULONG),
        ("NetName", LPWSTR),
        ("IpAddress", LPWSTR),
        ("ClientComputerName", LPWSTR),
    )


class HandleIn(NDRCALL):  # type: ignore[misc]
    structure = (("Context", CONTEXT_HANDLE),)


class HandleOut(NDRCALL):  # type: ignore[misc]
    structure = (("Context", CONTEXT_HANDLE), ("ErrorCode", ULONG))


class UnRegisterOut(NDRCALL):  # type: ignore[misc]
    structure = (("ErrorCode", ULONG),)


class AsyncNotifyOut(NDRCALL):  # type: ignore[misc]
    structure = (("pResp", PRESP_ASYNC_NOTIFY), ("ErrorCode", ULONG))


class RegisterExIn(NDRCALL):  # type: ignore[misc]
    structure = (
        ("Version", ULONG),
        ("NetName", LPWSTR),
        ("ShareName", LPWSTR),
        ("IpAddress", LPWSTR),
        ("ClientComputerName", LPWSTR),
        ("Flags", ULONG),
        ("KeepAliveTimeout", ULONG),
    )


CALLS: dict[type, type] = {
    GetInterfaceListRequest: GetInterfaceListIn,
    GetInterfaceListResponse: GetInterfaceListOut,
    RegisterRequest: RegisterIn,
    RegisterResponse: HandleOut,
    UnRegisterRequest: HandleIn,
    UnRegisterResponse: UnRegisterOut,
    AsyncNotifyRequest: HandleIn,
    AsyncNotifyResponse: AsyncNotifyOut,
    RegisterExRequest: RegisterExIn,
    RegisterExResponse: HandleOut,
    UnRegisterExRequest: HandleIn,
    UnRegisterExResponse: HandleOut,
}


def encode(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> bytes:
    """Let impacket write a message."""
    call = CALLS[type(message)](isNDR64=syntax == NDR64)
    _FILL[type(message)](call, message)
    octets: bytes = call.getData()
    return octets


def decode(kind: type, octets: bytes, syntax: SyntaxId) -> AnyRequest | AnyResponse:
    """Let impacket read a message of this kind."""
    call = CALLS[kind](octets, isNDR64=syntax == NDR64)
    message: AnyRequest | AnyResponse = _READ[kind](call)
    return message


def _is_null(structure: Any, field: str) -> bool:
    return bool(structure.fields[field].fields["ReferentID"] == 0)


def _text(value: str | None) -> Any:
    return NULL if value is None else f"{value}\0"


def _read_text(call: Any, field: str) -> str | None:
    value = call[field]
    if value in (b"", ""):
        return None
    assert value.endswith("\0")
    return str(value[:-1])


def _fill_register(call: Any, message: RegisterRequest | RegisterExRequest) -> None:
    call["Version"] = message.version
    call["NetName"] = _text(message.net_name)
    call["IpAddress"] = _text(message.ip_address)
    call["ClientComputerName"] = _text(message.client_computer_name)
    if isinstance(message, RegisterExRequest):
        call["ShareName"] = _text(message.share_name)
        call["Flags"] = message.flags
        call["KeepAliveTimeout"] = message.keep_alive_timeout


def _read_register(call: Any) -> RegisterRequest:
    names = ("NetName", "IpAddress", "ClientComputerName")
    return RegisterRequest(call["Version"], *(_read_text(call, name) for name in names))


def _read_register_ex(call: Any) -> RegisterExRequest:
    return RegisterExRequest(
        version=call["Version"],
        net_name=_read_text(call, "NetName"),
        share_name=_read_text(call, "ShareName"),
        ip_address=_read_text(call, "IpAddress"),
        client_computer_name=_read_text(call, "ClientComputerName"),
        flags=call["Flags"],
        keep_alive_timeout=call["KeepAliveTimeout"],
    )


def _fill_handle(call: Any, message: Any) -> None:
    call["Context"] = message.context.pack()
    _fill_result(call, message)


def _read_handle(call: Any) -> ContextHandle:
    octets = call["Context"]
    return ContextHandle(int.from_bytes(octets[:4], "little"), UUID(bytes_le=octets[4:]))


def _fill_result(call: Any, message: Any) -> None:
    if hasattr(message, "result"):
        call["ErrorCode"] = message.result


def _fill_interface_list(call: Any, message: GetInterfaceListResponse) -> None:
    _fill_result(call, message)
    if message.interface_list is None:
        call["InterfaceList"] = NULL
        return
    interfaces = message.interface_list.interfaces
    call["InterfaceList"]["NumberOfInterfaces"] = len(interfaces or ())
    if interfaces is None:
        call["InterfaceList"]["InterfaceInfo"] = NULL
    for interface in interfaces or ():
        info = WITNESS_INTERFACE_INFO(isNDR64=call._isNDR64)
        info["InterfaceGroupName"] = interface.group_name.encode("utf-16-le").ljust(520, b"\0")
        info["Version"] = interface.version
        info["State"] = interface.state
        info["IPV4"] = int.from_bytes(interface.ipv4.packed, "little")
        info["IPV6"] = interface.ipv6.packed
        info["Flags"] = interface.flags
        call["InterfaceList"]["InterfaceInfo"].append(info)


def _read_interface_list(call: Any) -> GetInterfaceListResponse:
    if _is_null(call, "InterfaceList"):
        return GetInterfaceListResponse(None, call["ErrorCode"])
    inner = call["InterfaceList"]
    if _is_null(inner, "InterfaceInfo"):
        return GetInterfaceListResponse(InterfaceList(None), call["ErrorCode"])
    interfaces = tuple(
        InterfaceInfo(
            info["InterfaceGroupName"].decode("utf-16-le").split("\0", 1)[0],
            info["Version"],
            info["State"],
            IPv4Address(info["IPV4"].to_bytes(4, "little")),
            IPv6Address(bytes(info["IPV6"])),
            info["Flags"],
        )
        for info in inner["InterfaceInfo"]
    )
    assert inner["NumberOfInterfaces"] == len(interfaces)
    return GetInterfaceListResponse(InterfaceList(interfaces), call["ErrorCode"])


def _fill_notification(call: Any, message: AsyncNotifyResponse) -> None:
    _fill_result(call, message)
    if message.response is None:
        call["pResp"] = NULL
        return
    resp = call["pResp"]
    resp["MessageType"] = message.response.message_type
    resp["Length"] = len(message.response.message_buffer or b"")
    resp["NumberOfMessages"] = message.response.number_of_messages
    buffer = message.response.message_buffer
    resp["MessageBuffer"] = NULL if buffer is None else buffer


def _read_notification(call: Any) -> AsyncNotifyResponse:
    if _is_null(call, "pResp"):
        return AsyncNotifyResponse(None, call["ErrorCode"])
    resp = call["pResp"]
    buffer = None if _is_null(resp, "MessageBuffer") else b"".join(resp["MessageBuffer"])
    assert resp["Length"] == len(buffer or b"")
    return AsyncNotifyResponse(
        RespAsyncNotify(resp["MessageType"], resp["NumberOfMessages"], buffer), call["ErrorCode"]
    )


_FILL: dict[type, Callable[[Any, Any], None]] = {
    GetInterfaceListRequest: _fill_result,
    GetInterfaceListResponse: _fill_interface_list,
    RegisterRequest: _fill_register,
    RegisterResponse: _fill_handle,
    UnRegisterRequest: _fill_handle,
    UnRegisterResponse: _fill_result,
    AsyncNotifyRequest: _fill_handle,
    AsyncNotifyResponse: _fill_notification,
    RegisterExRequest: _fill_register,
    RegisterExResponse: _fill_handle,
    UnRegisterExRequest: _fill_handle,
    UnRegisterExResponse: _fill_handle,
}

_READ: dict[type, Callable[[Any], Any]] = {
    GetInterfaceListRequest: lambda _call: GetInterfaceListRequest(),
    GetInterfaceListResponse: _read_interface_list,
    RegisterRequest: _read_register,
    RegisterResponse: lambda call: RegisterResponse(_read_handle(call), call["ErrorCode"]),
    UnRegisterRequest: lambda call: UnRegisterRequest(_read_handle(call)),
    UnRegisterResponse: lambda call: UnRegisterResponse(call["ErrorCode"]),
    AsyncNotifyRequest: lambda call: AsyncNotifyRequest(_read_handle(call)),
    AsyncNotifyResponse: _read_notification,
    RegisterExRequest: _read_register_ex,
    RegisterExResponse: lambda call: RegisterExResponse(_read_handle(call), call["ErrorCode"]),
    UnRegisterExRequest: lambda call: UnRegisterExRequest(_read_handle(call)),
    UnRegisterExResponse: lambda call: UnRegisterExResponse(_read_handle(call), call["ErrorCode"]),
}
