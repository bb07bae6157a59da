"""A right response to a request, with the values of a target, made by the codec of the reference."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from swn_torture.dcerpc.pdu.header import LITTLE_ENDIAN
from swn_torture.dcerpc.pdu.pdus import Request, Response
from swn_torture.report.exchange.pdu_fields import Association, Field, describe_pdu
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.win32 import Win32
from swn_torture.stubdata.win32 import describe as describe_win32
from swn_torture.witness.codec import decode_request, encode, field_spans
from swn_torture.witness.constants import (
    AddressFlags,
    ChangeType,
    InterfaceFlags,
    MessageType,
    Opnum,
    ProtocolVersion,
)
from swn_torture.witness.messages import (
    NULL_HANDLE,
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
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange, encode_buffer

if TYPE_CHECKING:
    from swn_torture.report.exchange.calls import Call
    from swn_torture.report.model import TargetInfo
    from swn_torture.witness.messages import AnyRequest, AnyResponse

#: Octets of stub data on the line for a terminal: a handle and the return value.
_LINE_OCTETS = 24

#: A handle that a server could return: any value except null.
_HANDLE = ContextHandle(0, UUID("5a17f7a1-0b3c-4e52-9d4e-3f1c2b6a7d88"))


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """An answer that conforms.

    Attributes:
        title: ``response, call 3, to opnum 1 WitnessrRegister: ERROR_SUCCESS (0x0)``.
        octets: the PDU, without the verifier that a protected connection adds.
        fields: its octets field by field, the stub data by the names of the IDL.
        protected: whether the verifier has to be added.
        instead: the PDU that came; empty if none did.
    """

    title: str
    octets: bytes
    fields: tuple[Field, ...]
    protected: bool = False
    instead: bytes = b""

    def to_json(self) -> dict[str, Any]:
        """Title, octets in hexadecimal, and the fields."""
        fields = [{"offset": each.offset, "length": each.length, "label": each.label} for each in self.fields]
        return {
            "title": self.title,
            "octets": self.octets.hex(),
            "fields": fields,
            "verifier_follows": self.protected,
        }

    def line(self) -> str:
        """The answer on one short line for a terminal: its title and the first octets of its stub data."""
        if self.octets[2] != Response.ptype:
            return self.title
        stub = self.octets[24:]
        more = f" ... ({len(stub)} octets)" if len(stub) > _LINE_OCTETS else ""
        return f"{self.title}, stub data {stub[:_LINE_OCTETS].hex(' ', 4)}{more}"


def right_response(
    call: Call, request: Request, code: int, target: TargetInfo, kind: MessageType
) -> RightAnswer | None:
    """A right response to a request; None where its stub data cannot be read.

    Args:
        call: the call.
        request: its request.
        code: the return value.
        target: the target, whose nodes an interface list names.
        kind: of the notification, for AsyncNotify with ERROR_SUCCESS (0x0).
    """
    if call.syntax is None or (call.sealed and request.opnum != Opnum.GET_INTERFACE_LIST):
        return None
    stub = b"" if call.sealed else request.stub  # GetInterfaceList has no parameters
    try:
        asked = decode_request(
            request.opnum, stub, call.syntax, byte_order=request.byte_order, allow_trailing=True
        )
    except (DecodeError, LookupError):
        return None
    message = _response(asked, code, target, kind)
    stub = encode(message, call.syntax)
    pdu = Response(call_id=request.call_id, stub=stub, context_id=request.context_id, drep=LITTLE_ENDIAN)
    octets = pdu.pack()
    _, fields = describe_pdu(octets, Association())
    head = tuple(field for field in fields if field.offset + field.length <= 24)
    names = field_spans(message, call.syntax)
    parts = tuple(Field(24 + span.start, len(span), name) for name, span in names.items())
    title = f"response, call {request.call_id}, to {type(asked).__name__.removesuffix('Request')}"
    what = f", {kind.name} ({kind.value})" if getattr(message, "response", None) is not None else ""
    return RightAnswer(
        f"{title}: {describe_win32(code)}{what}",
        octets,
        (*head, *parts),
        protected=request.trailer is not None,
    )


def _response(request: AnyRequest, code: int, target: TargetInfo, kind: MessageType) -> AnyResponse:
    """A response with this code; with a result if it is ERROR_SUCCESS."""
    good = code == Win32.ERROR_SUCCESS
    handle = _HANDLE if good else NULL_HANDLE
    made: AnyResponse
    match request:
        case GetInterfaceListRequest():
            made = GetInterfaceListResponse(_interfaces(target) if good else None, code)
        case RegisterRequest():
            made = RegisterResponse(handle, code)
        case RegisterExRequest():
            made = RegisterExResponse(handle, code)
        case UnRegisterRequest():
            made = UnRegisterResponse(code)
        case UnRegisterExRequest():
            made = UnRegisterExResponse(NULL_HANDLE if good else request.context, code)
        case AsyncNotifyRequest():
            made = AsyncNotifyResponse(_notification(target, kind) if good else None, code)
    return made


def _nodes(target: TargetInfo) -> list[tuple[str, str]]:
    """The nodes as (name, address); the texts of the target are ``NODE1 (192.0.2.11)``."""
    found = [re.fullmatch(r"(\S+) \(([^)\s]+)\)", text) for text in target.nodes]
    return [(match[1], match[2]) for match in found if match]


def _interfaces(target: TargetInfo) -> InterfaceList:
    none4, none6 = ipaddress.IPv4Address(0), ipaddress.IPv6Address(0)
    infos = []
    for number, (name, text) in enumerate(_nodes(target) or [("NODE1", "192.0.2.11")]):
        address = ipaddress.ip_address(text)
        flags = InterfaceFlags.IPV4 if address.version == 4 else InterfaceFlags.IPV6
        if number:
            flags |= InterfaceFlags.WITNESS
        infos.append(
            InterfaceInfo(
                name[:15].upper(),
                ProtocolVersion.V2,
                ChangeType.AVAILABLE,
                address if isinstance(address, ipaddress.IPv4Address) else none4,
                address if isinstance(address, ipaddress.IPv6Address) else none6,
                flags,
            )
        )
    return InterfaceList(tuple(infos))


def _notification(target: TargetInfo, kind: MessageType) -> RespAsyncNotify:
    """A notification of this kind: of a change of the last node, or with the addresses of the nodes."""
    nodes = _nodes(target) or [("NODE1", "192.0.2.11")]
    if kind == MessageType.RESOURCE_CHANGE:
        buffer = encode_buffer([ResourceChange(ChangeType.UNAVAILABLE, nodes[-1][0].upper())])
        return RespAsyncNotify(kind, 1, buffer)
    # A client moves to one node, and learns that its address is available (MS-SWN 3.1.4.4).
    online = AddressFlags.ONLINE if kind == MessageType.CLIENT_MOVE else AddressFlags(0)
    addresses = []
    for _, text in nodes if kind == MessageType.IP_CHANGE else nodes[-1:]:
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv4Address):
            addresses.append(IpAddrInfo(AddressFlags.V4 | online, ipv4=address))
        else:
            addresses.append(IpAddrInfo(AddressFlags.V6 | online, ipv6=address))
    return RespAsyncNotify(kind, 1, encode_buffer([IpAddrInfoList(tuple(addresses))]))
