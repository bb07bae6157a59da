"""Shared by the tests of the witness package: Samba's vectors, their meaning, strategies for messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from hypothesis import strategies as st

from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.codec import decode_request, decode_response, encode, field_names
from swn_torture.witness.constants import (
    ChangeType,
    InterfaceFlags,
    InterfaceState,
    MessageType,
    ProtocolVersion,
)
from swn_torture.witness.messages import (
    NULL_HANDLE,
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
    Request,
    RespAsyncNotify,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, Notification, ResourceChange

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder

FIXTURES = Path(__file__).parents[2] / "fixtures"

HANDLE = ContextHandle(0, UUID("11223344-5566-7788-99aa-bbccddeeff00"))

SYNTAXES = {"ndr32": NDR32, "ndr64": NDR64}


def interfaces(count: int) -> tuple[InterfaceInfo, ...]:
    """The interfaces that Samba's vectors list."""
    states = (InterfaceState.UNAVAILABLE, InterfaceState.AVAILABLE, InterfaceState.UNKNOWN)
    return tuple(
        InterfaceInfo(
            group_name=f"NODE{k}",
            version=ProtocolVersion.V1 if k == 1 else ProtocolVersion.V2,
            state=states[k % 3],
            ipv4=IPv4Address(f"198.51.100.{10 + k}"),
            ipv6=IPv6Address(f"2001:db8::1:{10 + k}"),
            flags=(1, InterfaceFlags.IPV4 | InterfaceFlags.WITNESS, 7)[k % 3],
        )
        for k in range(count)
    )


def v4(flags: int, address: str, ipv6: str = "::") -> IpAddrInfo:
    """An address entry."""
    return IpAddrInfo(flags, IPv4Address(address), IPv6Address(ipv6))


def notify_response(message_type: MessageType, *items: Notification) -> AsyncNotifyResponse:
    """Return a successful AsyncNotify response."""
    return AsyncNotifyResponse(RespAsyncNotify.of(*items, message_type=message_type), 0)


NOTIFICATIONS: dict[str, tuple[Notification, ...]] = {
    "an_out_rc1": (ResourceChange(ChangeType.UNAVAILABLE, "NODE1"),),
    "an_out_rc2": (
        ResourceChange(ChangeType.UNAVAILABLE, "NODE1"),
        ResourceChange(ChangeType.AVAILABLE, "SWNCLUSTER"),
    ),
    "an_out_mv": (IpAddrInfoList((v4(1, "198.51.100.11"),)),),
    "an_out_ipc": (IpAddrInfoList((v4(0xB, "198.51.100.11", "2001:db8::b"), v4(0x11, "198.51.100.12"))),),
}

MEANING: dict[str, AnyRequest | AnyResponse] = {
    "gil_in": GetInterfaceListRequest(),
    "gil_out_0": GetInterfaceListResponse(InterfaceList(None), 0),
    "gil_out_1": GetInterfaceListResponse(InterfaceList(interfaces(1)), 0),
    "gil_out_3": GetInterfaceListResponse(InterfaceList(interfaces(3)), 0),
    "reg_in_a": RegisterRequest(ProtocolVersion.V1, "SWNCLUSTER", "198.51.100.10", "CLIENT1"),
    "reg_in_b": RegisterRequest(ProtocolVersion.V1, "ODD", "1.2.3.4", "C"),
    "reg_in_nul": RegisterRequest(ProtocolVersion.V1, None, None, "X"),
    "reg_out": RegisterResponse(HANDLE, 0),
    "regex_in_a": RegisterExRequest(
        ProtocolVersion.V2, "SWNCLUSTER", "SHARE", "198.51.100.10", "CLIENT1", flags=1, keep_alive_timeout=120
    ),
    "regex_in_nul": RegisterExRequest(
        ProtocolVersion.V2, "N", None, None, "X", flags=1, keep_alive_timeout=120
    ),
    "regex_out": RegisterExResponse(HANDLE, 0),
    "unreg_in": UnRegisterRequest(HANDLE),
    "unreg_out": UnRegisterResponse(0),
    "an_in": AsyncNotifyRequest(HANDLE),
    "an_out_rc1": notify_response(MessageType.RESOURCE_CHANGE, *NOTIFICATIONS["an_out_rc1"]),
    "an_out_rc2": notify_response(MessageType.RESOURCE_CHANGE, *NOTIFICATIONS["an_out_rc2"]),
    "an_out_mv": notify_response(MessageType.CLIENT_MOVE, *NOTIFICATIONS["an_out_mv"]),
    "an_out_ipc": notify_response(MessageType.IP_CHANGE, *NOTIFICATIONS["an_out_ipc"]),
    "an_out_null": AsyncNotifyResponse(None, 0),
}
"""The messages that Samba encoded, by the name of the vector without its transfer syntax."""


@dataclass(frozen=True)
class Vector:
    """Octets that Samba wrote, and the message that they mean."""

    name: str
    syntax: SyntaxId
    octets: bytes
    message: AnyRequest | AnyResponse

    def __str__(self) -> str:
        return f"{self.name}-{'ndr64' if self.syntax == NDR64 else 'ndr32'}"

    @property
    def padded_by_samba(self) -> bool:
        """Whether this is a response in which Samba writes a wrong Length in NDR64.

        Samba adds 12 octets for the fields before the buffer, rounded up to 4, and sends as many zeros after
        the last notification (``ndr_size_witness_notifyResponse``). A receiver that uses NumberOfMessages
        reads the notifications correctly.
        """
        return self.name in NOTIFICATIONS and self.syntax == NDR64


def load_vectors(file: str) -> list[Vector]:
    """Read the vectors that ``make_samba_vectors`` made with Samba 4.22.11."""
    found = []
    for name, octets in json.loads((FIXTURES / file).read_text("ascii")).items():
        shape, _, width = name.rpartition("_")
        found.append(Vector(shape, NDR64 if width == "64" else NDR32, bytes.fromhex(octets), MEANING[shape]))
    return found


VECTORS = load_vectors("samba-ndr-vectors.json")

BIG_ENDIAN_VECTORS = load_vectors("samba-ndr-vectors-big-endian.json")


def decode(
    message: AnyRequest | AnyResponse, octets: bytes, syntax: SyntaxId, byte_order: ByteOrder = "little"
) -> AnyRequest | AnyResponse:
    """Decode octets as the same kind of message."""
    if isinstance(message, Request):
        return decode_request(message.opnum, octets, syntax, byte_order=byte_order)
    return decode_response(message.opnum, octets, syntax, byte_order=byte_order)


def referents(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> list[str]:
    """The fields with the referent of a pointer other than null, where any other number is correct, too."""
    right = encode(message, syntax)
    return [
        name
        for name in field_names(message, syntax)
        if name.endswith(".referent") and encode(message, syntax, wrong={name: 0}) != right
    ]


EVERY_KIND: list[AnyRequest | AnyResponse] = [
    *MEANING.values(),
    GetInterfaceListResponse(None, 0x103),
    GetInterfaceListResponse(InterfaceList(()), 0),
    AsyncNotifyResponse(RespAsyncNotify(1, 0, None), 0),
    RegisterResponse(NULL_HANDLE, 0x57),
    UnRegisterExRequest(HANDLE),
    UnRegisterExResponse(NULL_HANDLE, 0),
]
"""A message of every kind and shape."""


# -- strategies ----------------------------------------------------------------------------------------

dwords = st.integers(0, 2**32 - 1)
words = st.integers(0, 2**16 - 1)
#: Any code point, also lone surrogates and NULs: a [string] has a count and can contain them all.
any_text = st.text(st.characters(), max_size=20)
#: Text without a NUL, because a NUL ends the text in arrays and notifications.
names = st.text(st.characters(exclude_characters="\0"), max_size=20)
ipv4s = st.builds(IPv4Address, dwords)
ipv6s = st.builds(IPv6Address, st.integers(0, 2**128 - 1))
handles = st.builds(ContextHandle, dwords, st.uuids())
byte_orders = st.sampled_from(("little", "big"))
syntaxes = st.sampled_from((NDR32, NDR64))

changes = st.builds(ResourceChange, dwords, names)
addresses = st.builds(IpAddrInfo, dwords, ipv4s, ipv6s)
address_lists = st.builds(IpAddrInfoList, st.lists(addresses, max_size=4).map(tuple), dwords)
resp_async_notifies = st.builds(RespAsyncNotify, dwords, dwords, st.none() | st.binary(max_size=70))


def kinds_with(
    text: st.SearchStrategy[str], names: st.SearchStrategy[str]
) -> dict[type[AnyRequest | AnyResponse], st.SearchStrategy[AnyRequest | AnyResponse]]:
    """Messages by their kind, with ``text`` in their string parameters and ``names`` in their arrays."""
    string = st.none() | text
    infos = st.builds(InterfaceInfo, names, dwords, words, ipv4s, ipv6s, dwords)
    lists = st.builds(InterfaceList, st.none() | st.lists(infos, max_size=3).map(tuple))
    return {
        GetInterfaceListRequest: st.builds(GetInterfaceListRequest),
        RegisterRequest: st.builds(RegisterRequest, dwords, string, string, string),
        UnRegisterRequest: st.builds(UnRegisterRequest, handles),
        AsyncNotifyRequest: st.builds(AsyncNotifyRequest, handles),
        RegisterExRequest: st.builds(
            RegisterExRequest, dwords, string, string, string, string, dwords, dwords
        ),
        UnRegisterExRequest: st.builds(UnRegisterExRequest, handles),
        GetInterfaceListResponse: st.builds(GetInterfaceListResponse, st.none() | lists, dwords),
        RegisterResponse: st.builds(RegisterResponse, handles, dwords),
        UnRegisterResponse: st.builds(UnRegisterResponse, dwords),
        AsyncNotifyResponse: st.builds(AsyncNotifyResponse, st.none() | resp_async_notifies, dwords),
        RegisterExResponse: st.builds(RegisterExResponse, handles, dwords),
        UnRegisterExResponse: st.builds(UnRegisterExResponse, handles, dwords),
    }


def messages_with(
    text: st.SearchStrategy[str], names: st.SearchStrategy[str]
) -> st.SearchStrategy[AnyRequest | AnyResponse]:
    """Messages of all kinds; see ``kinds_with``."""
    return st.one_of(*kinds_with(text, names).values())


def notify_responses_with(
    names: st.SearchStrategy[str],
) -> dict[MessageType, st.SearchStrategy[AsyncNotifyResponse]]:
    """Successful AsyncNotify responses by kind: one to three notifications with ``names`` in them."""
    lists = st.builds(IpAddrInfoList, st.lists(addresses, max_size=3).map(tuple))
    items: dict[MessageType, st.SearchStrategy[Notification]] = dict.fromkeys(MessageType, lists)
    items[MessageType.RESOURCE_CHANGE] = st.builds(ResourceChange, dwords, names)
    return {
        kind: st.builds(
            lambda several, kind: notify_response(kind, *several),
            st.lists(item, min_size=1, max_size=3),
            st.just(kind),
        )
        for kind, item in items.items()
    }


messages = messages_with(any_text, names)
