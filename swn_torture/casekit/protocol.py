"""The witness protocol for cases: messages, constants, codec, transfer syntaxes and Win32 codes.

Cases import these names from here, not from the rooms below.
"""

from swn_torture.stubdata.fields import ByteOrder, Wrong
from swn_torture.stubdata.ndr import wide_size
from swn_torture.stubdata.syntax import (
    KEEP_CONNECTION_ON_ORPHAN,
    NDR32,
    NDR64,
    NULL_SYNTAX,
    SECURITY_CONTEXT_MULTIPLEXING,
    SyntaxId,
    bind_time_features,
)
from swn_torture.stubdata.win32 import Win32, is_assigned
from swn_torture.stubdata.win32 import describe as describe_code
from swn_torture.witness.client import PendingCall, WitnessClient
from swn_torture.witness.codec import DecodeError, decode_response, encode
from swn_torture.witness.constants import (
    GROUP_NAME_UNITS,
    INTERFACE_UUID,
    WITNESS,
    AddressFlags,
    ChangeType,
    InterfaceFlags,
    InterfaceState,
    MessageType,
    Opnum,
    ProtocolVersion,
    RegisterFlags,
    describe,
)
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AnyRequest,
    AsyncNotifyRequest,
    ContextHandle,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    InterfaceInfo,
    RegisterRequest,
    Request,
    RespAsyncNotify,
    UnRegisterExRequest,
    UnRegisterRequest,
)
from swn_torture.witness.notifications import ResourceChange

__all__ = [
    "GROUP_NAME_UNITS",
    "INTERFACE_UUID",
    "KEEP_CONNECTION_ON_ORPHAN",
    "NDR32",
    "NDR64",
    "NULL_HANDLE",
    "NULL_SYNTAX",
    "SECURITY_CONTEXT_MULTIPLEXING",
    "WITNESS",
    "AddressFlags",
    "AnyRequest",
    "AsyncNotifyRequest",
    "ByteOrder",
    "ChangeType",
    "ContextHandle",
    "DecodeError",
    "GetInterfaceListRequest",
    "GetInterfaceListResponse",
    "InterfaceFlags",
    "InterfaceInfo",
    "InterfaceState",
    "MessageType",
    "Opnum",
    "PendingCall",
    "ProtocolVersion",
    "RegisterFlags",
    "RegisterRequest",
    "Request",
    "ResourceChange",
    "RespAsyncNotify",
    "SyntaxId",
    "UnRegisterExRequest",
    "UnRegisterRequest",
    "Win32",
    "WitnessClient",
    "Wrong",
    "bind_time_features",
    "decode_response",
    "describe",
    "describe_code",
    "encode",
    "is_assigned",
    "wide_size",
]
