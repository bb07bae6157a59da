"""The remote management interface that every server has, both ends (C706 Appendix Q, MS-RPCE 2.2.1.3)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING
from uuid import UUID

from swn_torture.dcerpc.client.bound_client import ask, bound_client
from swn_torture.dcerpc.errors import RemoteProtocolError, RpcError
from swn_torture.dcerpc.server.interface import ServerInterface
from swn_torture.dcerpc.status import FaultStatus, describe_status
from swn_torture.dcerpc.stub import StubReader, StubWriter
from swn_torture.stubdata.syntax import NDR32, SyntaxId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from swn_torture.dcerpc.server.interface import ServerCall

__all__ = ["MGMT", "Management", "ManagementError", "MgmtOpnum", "inq_if_ids"]

MGMT = SyntaxId(UUID("afa8bd80-7d8a-11c9-bef4-08002b102989"), 1, 0)

STATUS_STRING_TOO_LONG = 0x000006CF
STATUS_NO_PRINC_NAME = 0x0000071E
"""Win32 codes of inq_princ_name: RPC_S_STRING_TOO_LONG, RPC_S_NO_PRINC_NAME."""

_MAX_STATISTICS = 50
_MAX_PRINCIPAL = 4096
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


class Management(ServerInterface):
    """Tells what a server serves. Stopping it over the network is refused, as Windows does by default.

    Args:
        interfaces: what the server serves now; the management interface is added if it is not among them.
        statistics: calls in, calls out, packets in, packets out since the server started.
        principal_name: the server's principal for an authentication type, None for a type it does not serve.
    """

    def __init__(
        self,
        interfaces: Callable[[], Iterable[SyntaxId]],
        statistics: Callable[[], Sequence[int]] = lambda: (0, 0, 0, 0),
        principal_name: Callable[[int], str | None] = lambda _: None,
    ) -> None:
        self.syntax = MGMT
        self.transfer_syntaxes: Sequence[SyntaxId] = (NDR32,)
        self._interfaces = interfaces
        self._statistics = statistics
        self._principal_name = principal_name

    def call(self, call: ServerCall) -> None:
        """Answer one call at once."""
        handlers: dict[int, Callable[[StubReader], bytes]] = {
            MgmtOpnum.INQ_IF_IDS: self._inq_if_ids,
            MgmtOpnum.INQ_STATS: self._inq_stats,
            MgmtOpnum.IS_SERVER_LISTENING: lambda _: StubWriter().u32(0, 1).pack(),
            MgmtOpnum.STOP_SERVER_LISTENING: lambda _: (
                StubWriter().u32(FaultStatus.ERROR_ACCESS_DENIED).pack()
            ),
            MgmtOpnum.INQ_PRINC_NAME: self._inq_princ_name,
        }
        handler = handlers.get(call.opnum)
        if handler is None:
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)
            return
        try:
            answer = handler(StubReader(call.stub, call.byte_order))
        except RemoteProtocolError:
            call.fault(FaultStatus.RPC_X_BAD_STUB_DATA)
            return
        call.reply(answer)

    def _inq_if_ids(self, reader: StubReader) -> bytes:
        del reader
        served = list(dict.fromkeys((*self._interfaces(), MGMT)))
        writer = StubWriter().pointer().u32(len(served), len(served))
        for _ in served:
            writer.pointer()
        for syntax in served:
            writer.octets(syntax.pack())
        return writer.u32(0).pack()

    def _inq_stats(self, reader: StubReader) -> bytes:
        count = reader.counted("count", _MAX_STATISTICS)
        values = tuple(value & 0xFFFFFFFF for value in self._statistics())[:count]
        return StubWriter().u32(len(values), len(values), *values, 0).pack()

    def _inq_princ_name(self, reader: StubReader) -> bytes:
        auth_type = reader.u32("authn_proto")
        size = reader.counted("princ_name_size", _MAX_PRINCIPAL)
        name = self._principal_name(auth_type)
        status = 0 if name is not None else STATUS_NO_PRINC_NAME
        octets = (name or "").encode("utf-8") + b"\0"
        if len(octets) > size:
            octets, status = b"\0"[:size], status or STATUS_STRING_TOO_LONG
        return StubWriter().u32(size, 0, len(octets)).octets(octets).u32(status).pack()


async def inq_if_ids(address: str, port: int, *, timeout: float = 5.0) -> list[SyntaxId]:
    """Return the interfaces that the server at this TCP port says it serves.

    Args:
        address: of the server.
        port: of the server.
        timeout: for all of it, in seconds.

    Raises:
        ManagementError: the server answers with a status other than 0.
        RpcError: it cannot be reached, has no management interface, or does not answer in its form.
    """
    async with bound_client(address, port, MGMT, timeout) as rpc:
        answer = await ask(rpc, MgmtOpnum.INQ_IF_IDS, b"", timeout)
    return read_if_ids(*answer)


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
