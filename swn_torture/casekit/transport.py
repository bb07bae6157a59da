"""DCE/RPC for cases: connections, PDUs and their fields, authentication, fault statuses.

Cases import these names from here, not from the rooms below.
"""

from swn_torture.dcerpc.client.call import Call
from swn_torture.dcerpc.client.client import RpcClient
from swn_torture.dcerpc.client.client import connect as connect_rpc
from swn_torture.dcerpc.errors import (
    AuthenticationError,
    BindRefused,
    ConnectionLost,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
    RpcError,
)
from swn_torture.dcerpc.pdu.bind import (
    AlterContextResp,
    BindAck,
    BindNak,
    BindNakReason,
    ContextResult,
    PresentationContext,
    ProviderReason,
    ResultCode,
)
from swn_torture.dcerpc.pdu.header import (
    BIG_ENDIAN,
    HEADER_SIZE,
    LITTLE_ENDIAN,
    WHOLE,
    Header,
    PduType,
    PfcFlags,
    SecTrailer,
    rewrite,
)
from swn_torture.dcerpc.pdu.pdus import Auth3, CoCancel, FaultPdu, Orphaned, Pdu, Request, Response, Shutdown
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType, effective_level
from swn_torture.dcerpc.security.protection import AUTH_ALIGNMENT, CONNECT_TOKEN
from swn_torture.dcerpc.status import FORBIDDEN_STATUSES, FaultStatus, describe_status

__all__ = [
    "AUTH_ALIGNMENT",
    "BIG_ENDIAN",
    "CONNECT_TOKEN",
    "FORBIDDEN_STATUSES",
    "HEADER_SIZE",
    "LITTLE_ENDIAN",
    "WHOLE",
    "AlterContextResp",
    "Auth3",
    "AuthLevel",
    "AuthType",
    "AuthenticationError",
    "BindAck",
    "BindNak",
    "BindNakReason",
    "BindRefused",
    "Call",
    "CoCancel",
    "ConnectionLost",
    "ContextRefused",
    "ContextResult",
    "Credentials",
    "DeadlineExceeded",
    "Fault",
    "FaultPdu",
    "FaultStatus",
    "Header",
    "Orphaned",
    "Pdu",
    "PduType",
    "PfcFlags",
    "PresentationContext",
    "ProviderReason",
    "RemoteProtocolError",
    "Request",
    "Response",
    "ResultCode",
    "RpcClient",
    "RpcError",
    "SecTrailer",
    "Shutdown",
    "connect_rpc",
    "describe_status",
    "effective_level",
    "initiator",
    "rewrite",
]
