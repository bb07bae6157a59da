"""The remote management interface: identity, opnums, messages (C706 Appendix Q, MS-RPCE 2.2.1.3)."""

from __future__ import annotations

from enum import IntEnum
from uuid import UUID

from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.status import describe_status
from swn_torture.dcerpc.stub import StubReader
from swn_torture.stubdata.syntax import SyntaxId

MGMT = SyntaxId(UUID("afa8bd80-7d8a-11c9-bef4-08002b102989"), 1, 0)

STATUS_STRING_TOO_LONG = 0x000006CF
STATUS_NO_PRINC_NAME = 0x0000071E
"""Win32 codes of inq_princ_name: RPC_S_STRING_TOO_LONG, RPC_S_NO_PRINC_NAME."""

_MAX_INTERFACES = 4096
"""Not from the text: what we are ready to believe that one server serves."""


class MgmtOpnum(IntEnum):
    """The five operations."""

    INQ_IF_IDS = 0
    INQ_STATS = 1
    IS_SERVER_LISTENING = 2
    STOP_SERVER_LISTENING = 3
    INQ_PRINC_NAME = 4


class ManagementError(RpcError):
    """A management call was answered with a status that is not 0.

    Attributes:
        status: 32 bits.
    """

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(f"{what}: {describe_status(status)}")


def read_if_ids(stub: bytes, byte_order: str = "little") -> list[SyntaxId]:
    """Read the out parameters of inq_if_ids. Raises as :func:`inq_if_ids` does."""
    reader = StubReader(stub, byte_order)
    served: list[SyntaxId] = []
    if reader.u32("if_id_vector.referent"):
        maximum = reader.counted("if_id_vector.max_count", _MAX_INTERFACES)
        count = reader.u32("if_id_vector.count")
        if count != maximum:
            reader.fail(f"{count} elements in an array of {maximum}", "if_id_vector.count")
        present = [reader.u32("if_id.referent") != 0 for _ in range(count)]
        served = [
            SyntaxId(reader.uuid("uuid"), reader.u16("major"), reader.u16("minor"))
            for there in present
            if there
        ]
    status = reader.u32("status")
    if status:
        raise ManagementError(status, "inq_if_ids")
    return served
