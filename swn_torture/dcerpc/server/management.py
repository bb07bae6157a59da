"""The management interface as a server implements it (C706 Appendix Q, MS-RPCE 2.2.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.server.interface import ServerInterface
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.dcerpc.stub import StubReader, StubWriter
from swn_torture.stubdata.syntax import NDR32, SyntaxId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from swn_torture.dcerpc.server.interface import ServerCall

from swn_torture.dcerpc.mgmt import MGMT, STATUS_NO_PRINC_NAME, STATUS_STRING_TOO_LONG, MgmtOpnum

_MAX_STATISTICS = 50
_MAX_PRINCIPAL = 4096


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
