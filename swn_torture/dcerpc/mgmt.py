"""The remote management interface: identifier, opnums, messages (C706 Appendix Q, MS-RPCE 2.2.1.3).

The messages are in NDR32. ``server.management`` implements the interface, ``client.management`` calls it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING
from uuid import UUID

from swn_torture.dcerpc.errors import RpcError, stub_data_of_peer
from swn_torture.dcerpc.status import describe_status
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.ndr import Reader, Writer
from swn_torture.stubdata.syntax import NDR32, SyntaxId

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder

MGMT = SyntaxId(UUID("afa8bd80-7d8a-11c9-bef4-08002b102989"), 1, 0)

STATUS_INSUFFICIENT_BUFFER = 0x0000007A
STATUS_UNKNOWN_AUTHN_SERVICE = 0x000006D3
"""Win32 codes that inq_princ_name returns: ERROR_INSUFFICIENT_BUFFER for a name that is longer than
princ_name_size, RPC_S_UNKNOWN_AUTHN_SERVICE for an authentication type that the server does not have."""

_MAX_INTERFACES = 4096
"""The most interfaces that a list may announce. C706 has no limit; this one keeps a wrong count harmless."""


MAX_PRINCIPAL = 4096
"""The most octets of a principal name (``princ_name_size``) here: the range of Appendix Q."""


class MgmtOpnum(IntEnum):
    """The five operations of the interface."""

    INQ_IF_IDS = 0
    INQ_STATS = 1
    IS_SERVER_LISTENING = 2
    STOP_SERVER_LISTENING = 3
    INQ_PRINC_NAME = 4


class ManagementError(RpcError):
    """The server answered a management call with a status other than 0.

    Attributes:
        status: 32 bits.
    """

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(f"{what}: {describe_status(status)}")


def read_if_ids(stub: bytes, byte_order: ByteOrder = "little") -> list[SyntaxId]:
    """Read the out parameters of inq_if_ids: an ``rpc_if_id_vector_t`` and a status.

    Raises:
        ManagementError: the status is not 0.
        RemoteProtocolError: the stub data is not such an answer.
    """
    with stub_data_of_peer(stub):
        reader = Reader(stub, NDR32, byte_order)
        served: list[SyntaxId] = []
        if reader.pointer("if_id_vector"):
            maximum = reader.count("if_id_vector.max_count", maximum=_MAX_INTERFACES)
            at = reader.offset
            count = reader.u32("if_id_vector.count")
            if count != maximum:
                raise DecodeError(
                    "if_id_vector.count", at, f"{count} elements, but the array has a max_count of {maximum}"
                )
            present = [reader.pointer(f"if_id[{index}]") for index in range(count)]
            served = [_read_if_id(reader, f"if_id[{index}]") for index in range(count) if present[index]]
        status = reader.u32("status")
    if status:
        raise ManagementError(status, "inq_if_ids")
    return served


def princ_name_request(auth_type: int, size: int = MAX_PRINCIPAL) -> bytes:
    """Return the in parameters of inq_princ_name, in the little-endian order.

    Args:
        auth_type: the authentication service whose principal is asked for.
        size: how many octets there are for the name, with its zero.
    """
    writer = Writer(NDR32)
    writer.u32("authn_proto", auth_type)
    writer.u32("princ_name_size", size)
    return writer.finish()


def read_princ_name(stub: bytes, byte_order: ByteOrder = "little") -> str:
    """Read the out parameters of inq_princ_name: a string of octets and a status.

    Raises:
        ManagementError: the status is not 0.
        RemoteProtocolError: the stub data is not such an answer.
    """
    with stub_data_of_peer(stub):
        reader = Reader(stub, NDR32, byte_order)
        length = reader.varying_counts("princ_name", maximum=MAX_PRINCIPAL)
        octets = reader.octets("princ_name", length)
        status = reader.u32("status")
    if status:
        raise ManagementError(status, "inq_princ_name")
    return bytes(octets).partition(b"\0")[0].decode("utf-8", "replace")


def _read_if_id(reader: Reader, name: str) -> SyntaxId:
    return SyntaxId(reader.uuid(f"{name}.uuid"), reader.u16(f"{name}.major"), reader.u16(f"{name}.minor"))
