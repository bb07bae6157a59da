"""The messages of the six methods as values.

There is one frozen dataclass for each request and each response. It contains what MS-SWN 3.1.4 sends, and
nothing else. Numbers are plain integers, so that values outside the specification can be sent and received.
They compare equal to the enumerations of ``constants``. The ``result`` of a response is a Win32 code;
``win32.describe`` names it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Final, Generic, TypeAlias, TypeVar
from uuid import UUID

from swn_torture.stubdata.fields import ByteOrder
from swn_torture.witness.constants import InterfaceFlags, InterfaceState, MessageType, Opnum, describe
from swn_torture.witness.notifications import (
    DecodedBuffer,
    Notification,
    ResourceChange,
    decode_buffer,
    encode_buffer,
)

__all__ = [
    "NULL_HANDLE",
    "AnyRequest",
    "AnyResponse",
    "AsyncNotifyRequest",
    "AsyncNotifyResponse",
    "ContextHandle",
    "GetInterfaceListRequest",
    "GetInterfaceListResponse",
    "InterfaceInfo",
    "InterfaceList",
    "RegisterExRequest",
    "RegisterExResponse",
    "RegisterRequest",
    "RegisterResponse",
    "Request",
    "RespAsyncNotify",
    "Response",
    "UnRegisterExRequest",
    "UnRegisterExResponse",
    "UnRegisterRequest",
    "UnRegisterResponse",
]


class ContextHandle:
    """An RPC context handle: 20 octets, opaque to the client (MS-SWN 2.2.1.1).

    RPC reserves ``attributes``. Windows sends 0, Samba 1 (AMB-34); a client returns either unchanged.

    Args:
        attributes: 32 bits.
        uuid: the other 16 octets.

    Attributes:
        octets: the 20 octets as they are in little-endian stub data. A handle is a value: do not change them.

    Raises:
        OverflowError: ``attributes`` does not fit into 32 bits.
    """

    # No dataclass with two fields: a server only compares handles, and a UUID takes 1 µs to make.
    __slots__ = ("octets",)

    def __init__(self, attributes: int, uuid: UUID) -> None:
        self.octets = attributes.to_bytes(4, "little") + uuid.bytes_le

    @classmethod
    def unpack(cls, octets: bytes) -> "ContextHandle":
        """The handle of these 20 octets of little-endian stub data."""
        handle = cls.__new__(cls)
        handle.octets = octets
        return handle

    def pack(self, byte_order: ByteOrder = "little") -> bytes:
        """The 20 octets in the given byte order."""
        if byte_order == "little":
            return self.octets
        return self.octets[3::-1] + self.uuid.bytes

    @property
    def attributes(self) -> int:
        """The 32 bits that RPC reserves."""
        return int.from_bytes(self.octets[:4], "little")

    @property
    def uuid(self) -> UUID:
        """The UUID after the attributes."""
        return UUID(bytes_le=self.octets[4:])

    @property
    def is_null(self) -> bool:
        """Whether this is the null handle."""
        return self == NULL_HANDLE

    def __eq__(self, other: object) -> bool:
        return self.octets == other.octets if isinstance(other, ContextHandle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.octets)

    def __repr__(self) -> str:
        return f"ContextHandle({self.attributes}, {self.uuid!r})"

    def __str__(self) -> str:
        return f"{self.uuid}" if not self.attributes else f"{self.uuid}/{self.attributes:#x}"


NULL_HANDLE: Final = ContextHandle(0, UUID(int=0))
"""The handle that a failing call returns (C706 5.1.6), and an UnRegisterEx that succeeds."""


@dataclass(frozen=True, slots=True)
class InterfaceInfo:
    """WITNESS_INTERFACE_INFO (MS-SWN 2.2.2.5), with an ``InterfaceState`` and ``InterfaceFlags``."""

    group_name: str
    version: int
    state: int
    ipv4: IPv4Address
    ipv6: IPv6Address
    flags: int

    def __str__(self) -> str:
        """For a report: the group name, the state, both address fields, Flags and Version."""
        state, flags = describe(InterfaceState, self.state), describe(InterfaceFlags, self.flags)
        return f"{self.group_name} {state} {self.ipv4} {self.ipv6} {flags} version {self.version:#x}"


@dataclass(frozen=True, slots=True)
class InterfaceList:
    """WITNESS_INTERFACE_LIST (MS-SWN 2.2.2.6). ``None`` is a null array, ``()`` one without elements."""

    interfaces: tuple[InterfaceInfo, ...] | None


@dataclass(frozen=True, slots=True)
class RespAsyncNotify:
    """RESP_ASYNC_NOTIFY (MS-SWN 2.2.2.4). Its Length is that of ``message_buffer``, 0 for ``None``."""

    message_type: int
    number_of_messages: int
    message_buffer: bytes | None

    @classmethod
    def of(cls, *items: Notification, message_type: int | None = None) -> "RespAsyncNotify":
        """Pack notifications of one kind.

        Args:
            items: the notifications.
            message_type: their kind, a ``MessageType``. Resource changes do not need it. Address lists do,
                because three kinds have them.

        Raises:
            ValueError: ``message_type`` is missing.
            EncodeError: a value does not fit into its field.
        """
        if message_type is None:
            if not items or not all(isinstance(item, ResourceChange) for item in items):
                raise ValueError(
                    "give message_type: an address list can be CLIENT_MOVE, SHARE_MOVE or IP_CHANGE"
                )
            message_type = MessageType.RESOURCE_CHANGE
        return cls(message_type, len(items), encode_buffer(items))

    def decode(self) -> DecodedBuffer:
        """Read the notifications; raises DecodeError when the buffer does not match type and number."""
        return decode_buffer(self.message_type, self.number_of_messages, self.message_buffer or b"")


class Response:
    """Base class of the responses. Each one has a ``result``, the Win32 code that the method returned."""

    __slots__ = ()
    opnum: ClassVar[Opnum]
    result: int


R_co = TypeVar("R_co", bound=Response, covariant=True)


class Request(Generic[R_co]):
    """Base class of the requests, generic in the type of the response."""

    __slots__ = ()
    opnum: ClassVar[Opnum]
    response_type: ClassVar[type[Response]]


@dataclass(frozen=True, slots=True)
class GetInterfaceListResponse(Response):
    """Response of WitnessrGetInterfaceList. The list may be null, as it is with an error code."""

    opnum: ClassVar = Opnum.GET_INTERFACE_LIST
    interface_list: InterfaceList | None
    result: int

    @property
    def interfaces(self) -> tuple[InterfaceInfo, ...]:
        """The interfaces; ``()`` if the list or the array is null."""
        return (self.interface_list.interfaces or ()) if self.interface_list else ()


@dataclass(frozen=True, slots=True)
class GetInterfaceListRequest(Request[GetInterfaceListResponse]):
    """WitnessrGetInterfaceList (opnum 0, MS-SWN 3.1.4.1). It has no parameters."""

    opnum: ClassVar = Opnum.GET_INTERFACE_LIST
    response_type: ClassVar = GetInterfaceListResponse


@dataclass(frozen=True, slots=True)
class RegisterResponse(Response):
    """Response of WitnessrRegister."""

    opnum: ClassVar = Opnum.REGISTER
    context: ContextHandle
    result: int


@dataclass(frozen=True, slots=True)
class RegisterRequest(Request[RegisterResponse]):
    """WitnessrRegister (opnum 1, MS-SWN 3.1.4.2). A string of ``None`` is a null pointer."""

    opnum: ClassVar = Opnum.REGISTER
    response_type: ClassVar = RegisterResponse
    version: int
    net_name: str | None
    ip_address: str | None
    client_computer_name: str | None


@dataclass(frozen=True, slots=True)
class UnRegisterResponse(Response):
    """Response of WitnessrUnRegister."""

    opnum: ClassVar = Opnum.UNREGISTER
    result: int


@dataclass(frozen=True, slots=True)
class UnRegisterRequest(Request[UnRegisterResponse]):
    """WitnessrUnRegister (opnum 2, MS-SWN 3.1.4.3)."""

    opnum: ClassVar = Opnum.UNREGISTER
    response_type: ClassVar = UnRegisterResponse
    context: ContextHandle


@dataclass(frozen=True, slots=True)
class AsyncNotifyResponse(Response):
    """Response of WitnessrAsyncNotify: a notification, or ERROR_TIMEOUT (0x5B4) after KeepAliveTimeout."""

    opnum: ClassVar = Opnum.ASYNC_NOTIFY
    response: RespAsyncNotify | None
    result: int


@dataclass(frozen=True, slots=True)
class AsyncNotifyRequest(Request[AsyncNotifyResponse]):
    """WitnessrAsyncNotify (opnum 3, MS-SWN 3.1.4.4)."""

    opnum: ClassVar = Opnum.ASYNC_NOTIFY
    response_type: ClassVar = AsyncNotifyResponse
    context: ContextHandle


@dataclass(frozen=True, slots=True)
class RegisterExResponse(Response):
    """Response of WitnessrRegisterEx."""

    opnum: ClassVar = Opnum.REGISTER_EX
    context: ContextHandle
    result: int


@dataclass(frozen=True, slots=True)
class RegisterExRequest(Request[RegisterExResponse]):
    """WitnessrRegisterEx (opnum 4, MS-SWN 3.1.4.5).

    ``flags`` are ``RegisterFlags``, ``keep_alive_timeout`` is in seconds.
    """

    opnum: ClassVar = Opnum.REGISTER_EX
    response_type: ClassVar = RegisterExResponse
    version: int
    net_name: str | None
    share_name: str | None
    ip_address: str | None
    client_computer_name: str | None
    flags: int
    keep_alive_timeout: int


@dataclass(frozen=True, slots=True)
class UnRegisterExResponse(Response):
    """Response of WitnessrUnRegisterEx. Its handle is null after success."""

    opnum: ClassVar = Opnum.UNREGISTER_EX
    context: ContextHandle
    result: int


@dataclass(frozen=True, slots=True)
class UnRegisterExRequest(Request[UnRegisterExResponse]):
    """WitnessrUnRegisterEx (opnum 5, MS-SWN 3.1.4.6, since revision 14.0)."""

    opnum: ClassVar = Opnum.UNREGISTER_EX
    response_type: ClassVar = UnRegisterExResponse
    context: ContextHandle


AnyRequest: TypeAlias = (
    GetInterfaceListRequest
    | RegisterRequest
    | UnRegisterRequest
    | AsyncNotifyRequest
    | RegisterExRequest
    | UnRegisterExRequest
)

AnyResponse: TypeAlias = (
    GetInterfaceListResponse
    | RegisterResponse
    | UnRegisterResponse
    | AsyncNotifyResponse
    | RegisterExResponse
    | UnRegisterExResponse
)
