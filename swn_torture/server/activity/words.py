"""Calls and answers in words, for a log."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any, Final

from swn_torture.dcerpc.epm.messages import EPM, EpmOpnum
from swn_torture.dcerpc.mgmt import MGMT, MgmtOpnum
from swn_torture.dcerpc.pdu.bind import ProviderReason, ResultCode
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.server.companions.clusapi.messages import CLUSAPI
from swn_torture.server.companions.srvsvc.messages import SRVSVC
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import describe as describe_code
from swn_torture.witness.codec import UnknownOpnumError, decode_request, decode_response
from swn_torture.witness.constants import WITNESS, ChangeType, MessageType, Opnum, RegisterFlags, describe
from swn_torture.witness.messages import (
    AnyRequest,
    AnyResponse,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    UnRegisterExResponse,
)
from swn_torture.witness.notifications import IpAddrInfo, ResourceChange

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind, ContextResult
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.stubdata.syntax import SyntaxId

_SYNTAXES: Final = {
    WITNESS.uuid: "witness",
    EPM.uuid: "endpoint mapper",
    MGMT.uuid: "management",
    CLUSAPI.uuid: "ClusAPI",
    SRVSVC.uuid: "server service",
}
_TRANSFERS: Final = {NDR32: "NDR32", NDR64: "NDR64"}


def syntax_name(syntax: SyntaxId) -> str:
    """Return `witness 1.1`, `NDR64`, or the UUID and version of another syntax."""
    if syntax in _TRANSFERS:
        return _TRANSFERS[syntax]
    known = _SYNTAXES.get(syntax.uuid)
    return str(syntax) if known is None else f"{known} {syntax.major}.{syntax.minor}"


def security_name(auth_type: int, level: int) -> str:
    """Return `NTLM PKT_INTEGRITY`, or the numbers of unknown values."""
    kind = AuthType.of(auth_type)
    return f"{kind.name if isinstance(kind, AuthType) else f'type {auth_type}'} {level_name(level)}"


def level_name(level: int) -> str:
    """Return the name of an authentication level as in MS-RPCE 2.2.1.1.8: `PKT_INTEGRITY`."""
    known = AuthLevel.of(level)
    if not isinstance(known, AuthLevel):
        return f"level {level}"
    return f"PKT_{known.name}" if known in {AuthLevel.INTEGRITY, AuthLevel.PRIVACY} else known.name


def negotiated(pdu: Bind, results: tuple[ContextResult, ...]) -> str:
    """Return what became of each presentation context of a bind or alter_context.

    A server with a fault may return fewer results, or more.
    """
    return ", ".join(
        f"context {element.context_id} {syntax_name(element.abstract)} "
        f"{_outcome(result) if result else 'without a result'}"
        for element, result in itertools.zip_longest(pdu.contexts, results[: len(pdu.contexts)])
    )


def _outcome(result: ContextResult) -> str:
    if result.accepted:
        return f"accepted with {syntax_name(result.transfer)}"
    if result.result == ResultCode.NEGOTIATE_ACK:
        return f"bind-time features {result.reason:#x} confirmed"
    known = result.reason in set(ProviderReason)
    return f"rejected, {ProviderReason(result.reason).name.lower() if known else result.reason}"


def method_name(call: ServerCall) -> str:
    """Return the name of the method that a call asks for, or its opnum and interface."""
    for syntax, opnums in ((WITNESS, Opnum), (EPM, EpmOpnum), (MGMT, MgmtOpnum)):
        if call.abstract_syntax.uuid == syntax.uuid and call.opnum in set(opnums):
            opnum = opnums(call.opnum)
            return (
                opnum.method if isinstance(opnum, Opnum) else f"{_SYNTAXES[syntax.uuid]} {opnum.name.lower()}"
            )
    return f"{syntax_name(call.abstract_syntax)} opnum {call.opnum}"


def request_of(call: ServerCall) -> AnyRequest | DecodeError | None:
    """Return the request of a witness call, the error of its stub data, or None for any other call."""
    if call.abstract_syntax.uuid != WITNESS.uuid:
        return None
    try:
        return decode_request(
            call.opnum, call.stub, call.syntax, byte_order=call.byte_order, allow_trailing=True
        )
    except DecodeError as error:
        return error
    except UnknownOpnumError:
        return None


def response_of(call: ServerCall, stub: bytes) -> AnyResponse | None:
    """Return the response to a witness call; None if it does not decode, as with a fault of `--fault`."""
    if call.abstract_syntax.uuid != WITNESS.uuid:
        return None
    for order in ("little", "big"):
        try:
            return decode_response(call.opnum, stub, call.syntax, byte_order=order, allow_trailing=True)
        except (DecodeError, UnknownOpnumError):
            continue
    return None


def parameters(request: AnyRequest) -> str:
    """Return the parameters of a request with the names of the IDL: `NetName "X", Flags 0x0`."""
    return ", ".join(
        f"{_idl_name(field.name)} {_value(field.name, getattr(request, field.name))}"
        for field in dataclasses.fields(request)
    )


def _idl_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _value(name: str, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f'"{value}"'
    if name == "version":
        return f"{value:#010x}"
    if name == "flags":
        return describe(RegisterFlags, value) if value else "0"
    return "null handle" if isinstance(value, ContextHandle) and value.is_null else str(value)


def answer(response: AnyResponse) -> str:
    """Return a response in words: the result, then the handle, the interfaces or the notification."""
    result = describe_code(response.result)
    match response:
        case GetInterfaceListResponse():
            detail = f"{len(response.interfaces)} interfaces" if response.result == 0 else ""
        case AsyncNotifyResponse():
            detail = "" if response.response is None else _notification(response)
        case _:
            handle = getattr(response, "context", None)
            shown = response.result == 0 and not isinstance(response, UnRegisterExResponse)
            detail = f"registration {handle}" if handle is not None and shown else ""
    return f"{result}, {detail}" if detail else result


def _notification(response: AsyncNotifyResponse) -> str:
    content = response.response
    assert content is not None
    kind = describe(MessageType, content.message_type)
    try:
        items = content.decode().items
    except DecodeError as error:
        return f"{kind} with a buffer that does not decode: {error}"
    shown = [
        f"{item.resource_name} {describe(ChangeType, item.change_type)}"
        if isinstance(item, ResourceChange)
        else " ".join(map(_address, item.addresses)) or "no address"
        for item in items
    ]
    return f"{kind}: {', '.join(shown)}"


def _address(info: IpAddrInfo) -> str:
    valid = [str(each) for bit, each in ((1, info.ipv4), (2, info.ipv6)) if info.flags & bit]
    return "/".join(valid) or f"flags {info.flags:#x}"
