"""The management interface as a server implements it (C706 Appendix Q, MS-RPCE 2.2.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.mgmt import (
    MAX_PRINCIPAL,
    MGMT,
    STATUS_INSUFFICIENT_BUFFER,
    STATUS_UNKNOWN_AUTHN_SERVICE,
    MgmtOpnum,
)
from swn_torture.dcerpc.server.interface import ServerInterface
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.ndr import Reader, Writer
from swn_torture.stubdata.syntax import NDR32, SyntaxId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from swn_torture.dcerpc.server.interface import ServerCall

_MAX_STATISTICS = 50


class Management(ServerInterface):
    """Reports what a server serves. Like Windows, it denies a request to stop the server.

    Args:
        interfaces: what the server serves now. The list that a client gets is without the management
            interface, as in Windows and Samba: each server has it.
        statistics: calls in, calls out, packets in, packets out since the server started.
        principal_name: the server's principal for an authentication type, ``""`` without one, ``None`` for a
            type that the server does not have.
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
        """Answer a call at once."""
        handlers: dict[int, Callable[[Reader, Writer], None]] = {
            MgmtOpnum.INQ_IF_IDS: self._inq_if_ids,
            MgmtOpnum.INQ_STATS: self._inq_stats,
            MgmtOpnum.IS_SERVER_LISTENING: _is_server_listening,
            MgmtOpnum.STOP_SERVER_LISTENING: _stop_server_listening,
            MgmtOpnum.INQ_PRINC_NAME: self._inq_princ_name,
        }
        handler = handlers.get(call.opnum)
        if handler is None:
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)
            return
        # Referents 1, 2, 3, ... in order: Windows Server 2003 accepts no others for full pointers.
        writer = Writer(NDR32, first_referent=1, referent_step=1)
        try:
            handler(Reader(call.stub, NDR32, call.byte_order), writer)
        except DecodeError as error:
            call.fault(FaultStatus.RPC_X_BAD_STUB_DATA, problem=str(error))
            return
        call.reply(writer.finish())

    def _inq_if_ids(self, _reader: Reader, writer: Writer) -> None:
        served = [syntax for syntax in dict.fromkeys(self._interfaces()) if syntax != MGMT]
        writer.pointer("if_id_vector", present=True)
        writer.count("if_id_vector.max_count", len(served))
        writer.u32("if_id_vector.count", len(served))
        for index in range(len(served)):
            writer.pointer(f"if_id[{index}]", present=True)
        for index, syntax in enumerate(served):
            writer.uuid(f"if_id[{index}].uuid", syntax.uuid)
            writer.u16(f"if_id[{index}].major", syntax.major)
            writer.u16(f"if_id[{index}].minor", syntax.minor)
        writer.u32("status", 0)

    def _inq_stats(self, reader: Reader, writer: Writer) -> None:
        count = reader.u32("count", maximum=_MAX_STATISTICS)
        values = tuple(value & 0xFFFFFFFF for value in self._statistics())[:count]
        writer.u32("count", len(values))
        writer.count("statistics.max_count", len(values))
        for index, value in enumerate(values):
            writer.u32(f"statistics[{index}]", value)
        writer.u32("status", 0)

    def _inq_princ_name(self, reader: Reader, writer: Writer) -> None:
        auth_type = reader.u32("authn_proto")
        size = reader.u32("princ_name_size", maximum=MAX_PRINCIPAL)
        if not size:
            raise DecodeError("princ_name_size", reader.offset - 4, "0, which leaves no place for the zero")
        name = self._principal_name(auth_type)
        status = 0 if name is not None else STATUS_UNKNOWN_AUTHN_SERVICE
        octets = (name or "").encode("utf-8") + b"\0"
        if len(octets) > size:
            octets, status = b"\0", STATUS_INSUFFICIENT_BUFFER
        writer.varying_counts("princ_name", size, len(octets))
        writer.octets("princ_name", octets)
        writer.u32("status", status)


def _is_server_listening(_reader: Reader, writer: Writer) -> None:
    writer.u32("status", 0)
    writer.u32("ReturnValue", 1)


def _stop_server_listening(_reader: Reader, writer: Writer) -> None:
    writer.u32("status", FaultStatus.ERROR_ACCESS_DENIED)
