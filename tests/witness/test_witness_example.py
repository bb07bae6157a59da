"""The example of MS-SWN 4.1, field by field.

It shows values, not octets. The octets here are written by hand from these values, in NDR32, because the
referents of the example have 4 octets.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from uuid import UUID

from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.codec import decode_request, decode_response, encode
from swn_torture.witness.constants import InterfaceFlags, InterfaceState, MessageType, ProtocolVersion
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterRequest,
    RegisterResponse,
    RespAsyncNotify,
    UnRegisterRequest,
    UnRegisterResponse,
)
from swn_torture.witness.notifications import NO_IPV6, ResourceChange

HANDLE = ContextHandle(0, UUID("8FC957B7-6C9B-9790-496A-F8A0F2193318"))
HANDLE_OCTETS = bytes.fromhex("00000000 b757c98f 9b6c 9097 496af8a0f2193318")


def wide(text: str, units: int) -> bytes:
    octets = text.encode("utf-16-le")
    return octets + bytes(2 * units - len(octets))


def string(referent: int, text: str, count: int) -> bytes:
    octets = struct.pack("<IIII", referent, count, 0, count) + wide(text, count)
    return octets + bytes(-len(octets) % 4)


def test_the_interface_list_of_the_example() -> None:
    def element(name: str, address: bytes, flags: int) -> bytes:
        return (
            wide(name, 260)
            + struct.pack("<I", 0xFFFFFFFF)
            + struct.pack("<H", 1)
            + bytes(2)  # padding1
            + address
            + bytes(16)
            + struct.pack("<I", flags)
        )

    octets = (
        struct.pack("<III", 0x00020000, 2, 0x00020004)
        + struct.pack("<I", 2)
        + element("NODE02", bytes((192, 168, 1, 22)), 5)
        + element("NODE01", bytes((192, 168, 1, 12)), 1)
        + struct.pack("<I", 0)
    )
    v4, witness = InterfaceFlags.IPV4, InterfaceFlags.WITNESS
    # MS-SWN does not define this version; Windows sends it since Server 2012 R2 (AMB-9).
    other = InterfaceInfo(
        "NODE02", 0xFFFFFFFF, InterfaceState.AVAILABLE, IPv4Address("192.168.1.22"), NO_IPV6, v4 | witness
    )
    own = InterfaceInfo(
        "NODE01", 0xFFFFFFFF, InterfaceState.AVAILABLE, IPv4Address("192.168.1.12"), NO_IPV6, v4
    )
    message = GetInterfaceListResponse(InterfaceList((other, own)), 0)
    assert encode(message, NDR32) == octets
    assert decode_response(0, octets, NDR32) == message


def test_the_registration_of_the_example() -> None:
    octets = (
        struct.pack("<I", 65537)
        + string(0x00020000, "generalfs", 10)
        + string(0x00020004, "192.168.1.200", 14)
        + string(0x00020008, "CLIENT01.contoso.com", 21)
    )
    octets = octets[:-2]  # no gap after the last string, because no field follows
    message = RegisterRequest(ProtocolVersion.V1, "generalfs", "192.168.1.200", "CLIENT01.contoso.com")
    assert encode(message, NDR32) == octets
    assert decode_request(1, octets, NDR32) == message


def test_the_handle_of_the_example() -> None:
    octets = HANDLE_OCTETS + struct.pack("<I", 0)
    assert encode(RegisterResponse(HANDLE, 0), NDR32) == octets
    assert decode_response(1, octets, NDR32) == RegisterResponse(HANDLE, 0)
    assert HANDLE.pack() == HANDLE_OCTETS


def test_the_notification_of_the_example() -> None:
    octets = (
        struct.pack("<IIIIII", 0x00020000, 1, 28, 1, 0x00020004, 28)
        + struct.pack("<II", 28, 0xFF)
        + wide("GENERALFS", 10)
        + struct.pack("<I", 0)
    )
    change = ResourceChange(0xFF, "GENERALFS")
    message = AsyncNotifyResponse(RespAsyncNotify.of(change), 0)
    assert encode(message, NDR32) == octets
    decoded = decode_response(3, octets, NDR32)
    assert decoded == message
    assert isinstance(decoded, AsyncNotifyResponse)
    assert decoded.response is not None
    assert decoded.response.message_type == MessageType.RESOURCE_CHANGE
    assert decoded.response.decode().items == (change,)


def test_async_notify_and_unregister_of_the_example() -> None:
    for opnum, message in ((3, AsyncNotifyRequest(HANDLE)), (2, UnRegisterRequest(HANDLE))):
        assert encode(message, NDR32) == HANDLE_OCTETS
        assert decode_request(opnum, HANDLE_OCTETS, NDR32) == message
    assert decode_response(2, bytes(4), NDR32) == UnRegisterResponse(0)
