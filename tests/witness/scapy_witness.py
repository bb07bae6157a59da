"""The witness interface in scapy's NDR, with definitions that scapy-rpc generated from MS-SWN 6.

Neither the NDR nor the definitions belong to this project. scapy differs in these points, which a comparison
must take into account:

* Every pointer has the same referent, ``REFERENT``, but C706 14.3.11 requires different ones.
* It counts a string that it writes in UTF-8 octets, so only ASCII text is correct. It returns the strings
  that it reads in UTF-8. Neither can contain a lone surrogate.
* IPV6, eight numbers, is generated as text of eight characters, so addresses like fe80::dcd8:1 are changed.
  This member is defined here as octets; the three classes around it are only needed for that.
* It accepts octets after the end, as a payload.
* A global setting selects NDR64, unless each packet gets it.
* It reads and writes UTF-16 in little-endian only.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from msrpcs import ms_swn
from scapy.fields import StrFixedLenField
from scapy.layers.dcerpc import (
    NDRConfPacketListField,
    NDRContextHandle,
    NDRFullEmbPointerField,
    NDRFullPointerField,
    NDRIntField,
    NDRPacket,
    NDRPacketField,
)

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

REFERENT: Final = 0x20000
"""The referent of every pointer that scapy writes."""


class _InterfaceInfo(NDRPacket):  # type: ignore[misc]
    ALIGNMENT = ms_swn.PWITNESS_INTERFACE_INFO.ALIGNMENT
    fields_desc: ClassVar = [
        StrFixedLenField("IPV6", b"", length=16) if field.name == "IPV6" else field
        for field in ms_swn.PWITNESS_INTERFACE_INFO.fields_desc
    ]


class _InterfaceList(NDRPacket):  # type: ignore[misc]
    ALIGNMENT = ms_swn.PWITNESS_INTERFACE_LIST.ALIGNMENT
    fields_desc: ClassVar = [
        NDRIntField("NumberOfInterfaces", None, size_of="InterfaceInfo"),
        NDRFullEmbPointerField(
            NDRConfPacketListField(
                "InterfaceInfo", [], _InterfaceInfo, size_is=lambda listed: listed.NumberOfInterfaces
            )
        ),
    ]


class _GetInterfaceListResponse(NDRPacket):  # type: ignore[misc]
    fields_desc: ClassVar = [
        NDRFullPointerField(NDRPacketField("InterfaceList", _InterfaceList(), _InterfaceList)),
        NDRIntField("status", 0),
    ]


_CALLS: Final[dict[type, type]] = {
    GetInterfaceListRequest: ms_swn.WitnessrGetInterfaceList_Request,
    GetInterfaceListResponse: _GetInterfaceListResponse,
    RegisterRequest: ms_swn.WitnessrRegister_Request,
    RegisterResponse: ms_swn.WitnessrRegister_Response,
    UnRegisterRequest: ms_swn.WitnessrUnRegister_Request,
    UnRegisterResponse: ms_swn.WitnessrUnRegister_Response,
    AsyncNotifyRequest: ms_swn.WitnessrAsyncNotify_Request,
    AsyncNotifyResponse: ms_swn.WitnessrAsyncNotify_Response,
    RegisterExRequest: ms_swn.WitnessrRegisterEx_Request,
    RegisterExResponse: ms_swn.WitnessrRegisterEx_Response,
    UnRegisterExRequest: ms_swn.WitnessrUnRegisterEx_Request,
    UnRegisterExResponse: ms_swn.WitnessrUnRegisterEx_Response,
}


def encode(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> bytes:
    """Let scapy write a message."""
    how = {"ndr64": syntax == NDR64}
    kind = type(message)
    return bytes(_CALLS[kind](**_MEMBERS[kind](message, how), **how))


def decode(kind: type, octets: bytes, syntax: SyntaxId) -> AnyRequest | AnyResponse:
    """Let scapy read a message of this kind. Octets after its end, scapy's payload, are an error."""
    call = _CALLS[kind](octets, ndr64=syntax == NDR64)
    assert not call.payload, call.payload
    message: AnyRequest | AnyResponse = _READ[kind](call)
    return message


# -- writing -------------------------------------------------------------------------------------------


def _register_members(message: RegisterRequest | RegisterExRequest, _how: dict[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {
        "Version": message.version,
        "NetName": message.net_name,
        "IpAddress": message.ip_address,
        "ClientComputerName": message.client_computer_name,
    }
    if isinstance(message, RegisterExRequest):
        members["ShareName"] = message.share_name
        members["Flags"] = message.flags
        members["KeepAliveTimeout"] = message.keep_alive_timeout
    return members


def _handle(name: str) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    def members(message: Any, how: dict[str, Any]) -> dict[str, Any]:
        context = message.context
        handle = NDRContextHandle(attributes=context.attributes, uuid=context.pack()[4:], **how)
        return {name: handle, **_status(message, how)}

    return members


def _status(message: Any, _how: dict[str, Any]) -> dict[str, Any]:
    return {"status": message.result} if hasattr(message, "result") else {}


def _interface_members(message: GetInterfaceListResponse, how: dict[str, Any]) -> dict[str, Any]:
    listed = None
    if message.interface_list is not None:
        interfaces = message.interface_list.interfaces
        infos = None if interfaces is None else [_info(interface, how) for interface in interfaces]
        listed = _InterfaceList(InterfaceInfo=infos, **how)
    return {"InterfaceList": listed, **_status(message, how)}


def _info(interface: InterfaceInfo, how: dict[str, Any]) -> Any:
    return _InterfaceInfo(
        InterfaceGroupName=interface.group_name,
        Version=interface.version,
        State=interface.state,
        IPV4=int.from_bytes(interface.ipv4.packed, "little"),
        IPV6=interface.ipv6.packed,
        Flags=interface.flags,
        **how,
    )


def _notification_members(message: AsyncNotifyResponse, how: dict[str, Any]) -> dict[str, Any]:
    response = None
    if message.response is not None:
        response = ms_swn.PRESP_ASYNC_NOTIFY(
            MessageType=message.response.message_type,
            NumberOfMessages=message.response.number_of_messages,
            MessageBuffer=message.response.message_buffer,
            **how,
        )
    return {"pResp": response, **_status(message, how)}


_MEMBERS: Final[dict[type, Callable[[Any, dict[str, Any]], dict[str, Any]]]] = {
    GetInterfaceListRequest: _status,
    GetInterfaceListResponse: _interface_members,
    RegisterRequest: _register_members,
    RegisterResponse: _handle("ppContext"),
    UnRegisterRequest: _handle("pContext"),
    UnRegisterResponse: _status,
    AsyncNotifyRequest: _handle("pContext"),
    AsyncNotifyResponse: _notification_members,
    RegisterExRequest: _register_members,
    RegisterExResponse: _handle("ppContext"),
    UnRegisterExRequest: _handle("ppContext"),
    UnRegisterExResponse: _handle("ppContext"),
}


# -- reading -------------------------------------------------------------------------------------------


def _text(call: Any, field: str) -> str | None:
    value = call.valueof(field)
    return None if value is None else bytes(value).decode()


def _context(call: Any, field: str) -> ContextHandle:
    handle = call.valueof(field)
    return ContextHandle(handle.attributes, UUID(bytes_le=handle.uuid))


def _read_register_ex(call: Any) -> RegisterExRequest:
    return RegisterExRequest(
        version=call.Version,
        net_name=_text(call, "NetName"),
        share_name=_text(call, "ShareName"),
        ip_address=_text(call, "IpAddress"),
        client_computer_name=_text(call, "ClientComputerName"),
        flags=call.Flags,
        keep_alive_timeout=call.KeepAliveTimeout,
    )


def _read_register(call: Any) -> RegisterRequest:
    names = ("NetName", "IpAddress", "ClientComputerName")
    return RegisterRequest(call.Version, *(_text(call, name) for name in names))


def _read_interface_list(call: Any) -> GetInterfaceListResponse:
    listed = call.valueof("InterfaceList")
    if listed is None:
        return GetInterfaceListResponse(None, call.status)
    infos = listed.valueof("InterfaceInfo")
    assert listed.NumberOfInterfaces == len(infos or ())
    return GetInterfaceListResponse(
        InterfaceList(None if infos is None else tuple(map(_read_info, infos))), call.status
    )


def _read_info(info: Any) -> InterfaceInfo:
    return InterfaceInfo(
        info.InterfaceGroupName.rstrip("\0"),
        info.Version,
        info.State,
        IPv4Address(info.IPV4.to_bytes(4, "little")),
        IPv6Address(info.IPV6),
        info.Flags,
    )


def _read_notification(call: Any) -> AsyncNotifyResponse:
    response = call.valueof("pResp")
    if response is None:
        return AsyncNotifyResponse(None, call.status)
    buffer = response.valueof("MessageBuffer")
    assert response.Length == len(buffer or b"")
    return AsyncNotifyResponse(
        RespAsyncNotify(response.MessageType, response.NumberOfMessages, buffer), call.status
    )


_READ: Final[dict[type, Callable[[Any], Any]]] = {
    GetInterfaceListRequest: lambda _call: GetInterfaceListRequest(),
    GetInterfaceListResponse: _read_interface_list,
    RegisterRequest: _read_register,
    RegisterResponse: lambda call: RegisterResponse(_context(call, "ppContext"), call.status),
    UnRegisterRequest: lambda call: UnRegisterRequest(_context(call, "pContext")),
    UnRegisterResponse: lambda call: UnRegisterResponse(call.status),
    AsyncNotifyRequest: lambda call: AsyncNotifyRequest(_context(call, "pContext")),
    AsyncNotifyResponse: _read_notification,
    RegisterExRequest: _read_register_ex,
    RegisterExResponse: lambda call: RegisterExResponse(_context(call, "ppContext"), call.status),
    UnRegisterExRequest: lambda call: UnRegisterExRequest(_context(call, "ppContext")),
    UnRegisterExResponse: lambda call: UnRegisterExResponse(_context(call, "ppContext"), call.status),
}
