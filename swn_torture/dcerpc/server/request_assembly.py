"""The order in which a server takes requests and their fragments (MS-RPCE 3.3.3.5.2 to 3.3.3.5.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.pdu.header import MAX_CALL_ID, PfcFlags
from swn_torture.dcerpc.status import FaultStatus

if TYPE_CHECKING:
    from collections.abc import Container

    from swn_torture.dcerpc.pdu.pdus import Request
    from swn_torture.dcerpc.server.options import ServerOptions

OLD_CALL_WINDOW: Final = 150
"""How far below the current call id a late fragment may lie to be ignored (MS-RPCE 3.3.3.5.6)."""


class Rejection(Exception):  # noqa: N818  it is an answer to the client, not an error of ours
    """A request that is answered by a fault before any interface sees it.

    Attributes:
        status: of the fault.
        problem: what is wrong.
        close: the connection cannot be trusted any more and ends behind the fault.
        context_id: the presentation context to name in the fault, 0 before one is known.
        did_not_execute: set PFC_DID_NOT_EXECUTE. Nothing has been executed in any case; Windows says so only
            for some statuses, and so do we.
        call_id: the call to fault, ``None`` for that of the PDU.
    """

    def __init__(
        self,
        status: int,
        problem: str,
        *,
        close: bool = False,
        context_id: int = 0,
        did_not_execute: bool = False,
        call_id: int | None = None,
    ) -> None:
        self.status = status
        self.problem = problem
        self.close = close
        self.context_id = context_id
        self.did_not_execute = did_not_execute
        self.call_id = call_id
        super().__init__(problem)


def protocol_error(problem: str) -> Rejection:
    """Return the rejection for a request that breaks the protocol (MS-RPCE 3.3.3.5.7)."""
    return Rejection(FaultStatus.NCA_S_PROTO_ERROR, problem, close=True)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A whole request.

    Attributes:
        first: its first fragment, for everything but the stub.
        stub: the stub data of all fragments.
        cancelled: the client wanted to cancel it while it was still being sent.
    """

    first: Request
    stub: bytes
    cancelled: bool


class RequestAssembler:
    """Puts fragments together. One request at a time: only whole requests may be outstanding together.

    Attributes:
        current: the highest call id seen in a request so far, -1 before the first.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.current = -1
        self._options = options
        self._parts: list[Request] = []
        self._size = 0
        self._cancelled = False

    def admit(self, pdu: Request, pending: Container[int], *, may_start: bool) -> bool:
        """Decide whether a fragment is due.

        Args:
            pdu: the fragment; its stub is not looked at.
            pending: call ids that are not answered yet.
            may_start: another request may begin now.

        Returns:
            ``False`` for a fragment to be ignored: it belongs to a call that is over.

        Raises:
            Rejection: a protocol error.
        """
        if not pdu.flags & PfcFlags.FIRST:
            if self._parts:
                self._check_continues(pdu)
                return True
            if self.current - OLD_CALL_WINDOW < pdu.call_id <= self.current:
                return False
            raise protocol_error(f"fragment of call {pdu.call_id}, which has not begun")
        if self._parts:
            # It is the call that has been waiting for its end which fails, as with Windows and Samba.
            first = self._parts[0]
            raise Rejection(
                FaultStatus.NCA_S_PROTO_ERROR,
                f"call {pdu.call_id} begins inside call {first.call_id}",
                close=True,
                context_id=first.context_id,
                call_id=first.call_id,
            )
        if pdu.call_id > MAX_CALL_ID:
            raise protocol_error(f"call id 0x{pdu.call_id:08X} is above 0x{MAX_CALL_ID:08X}")
        if pdu.call_id < self.current + (0 if self._options.equal_call_ids else 1):
            raise protocol_error(f"call id {pdu.call_id} comes after {self.current}")
        if pdu.call_id in pending:
            raise protocol_error(f"call id {pdu.call_id} is in use by a pending call")
        if not may_start:
            raise protocol_error("a second request on a connection without multiplexing")
        self.current = pdu.call_id
        return True

    def add(self, pdu: Request) -> Incoming | None:
        """Take an admitted fragment; return the request when this was its last one.

        Raises:
            Rejection: the request has grown too long.
        """
        self._parts.append(pdu)
        self._size += len(pdu.stub)
        self._cancelled |= bool(pdu.flags & PfcFlags.PENDING_CANCEL)
        announced = 0 if pdu.flags & PfcFlags.LAST else pdu.alloc_hint or 0
        if max(self._size, announced) > self._options.max_request:
            # A first fragment may tell already that there will be too much; a last one tells no such thing.
            raise Rejection(
                FaultStatus.ERROR_ACCESS_DENIED,
                f"a request of more than {self._options.max_request} octets of stub data",
                close=True,
                context_id=pdu.context_id,
            )
        if not pdu.flags & PfcFlags.LAST:
            return None
        parts, cancelled, size = self._parts, self._cancelled, self._size
        self.drop()
        if self._options.check_alloc_hint and (parts[0].alloc_hint or 0) > size:
            raise Rejection(
                FaultStatus.NCA_S_PROTO_ERROR,
                f"alloc_hint {parts[0].alloc_hint} exceeds {size} octets of stub data",
            )
        return Incoming(parts[0], b"".join(part.stub for part in parts), cancelled)

    def assembling(self, call_id: int) -> bool:
        """Tell whether the fragments of this call are still coming."""
        return bool(self._parts) and self._parts[0].call_id == call_id

    def cancel(self) -> None:
        """Note that the request being assembled has been cancelled."""
        self._cancelled = True

    def drop(self) -> None:
        """Forget the request being assembled; its other fragments will be ignored as old ones."""
        self._parts, self._size, self._cancelled = [], 0, False

    def _check_continues(self, pdu: Request) -> None:
        first = self._parts[0]
        if pdu.call_id != first.call_id:
            raise protocol_error(f"fragment of call {pdu.call_id} inside call {first.call_id}")
        if (pdu.context_id, pdu.opnum, pdu.drep) != (first.context_id, first.opnum, first.drep):
            raise protocol_error(f"fragments of call {pdu.call_id} differ in context, opnum or drep")
        ours, theirs = first.trailer, pdu.trailer
        if (ours is None) != (theirs is None) or (
            ours is not None
            and theirs is not None
            and (ours.auth_type, ours.auth_level, ours.context_id)
            != (theirs.auth_type, theirs.auth_level, theirs.context_id)
        ):
            raise protocol_error(f"fragments of call {pdu.call_id} differ in their security context")
