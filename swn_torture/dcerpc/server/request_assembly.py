"""The order in which a server accepts requests and their fragments (MS-RPCE 3.3.3.5.2 to 3.3.3.5.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.pdu.header import FIRST, LAST, MAX_CALL_ID, PENDING_CANCEL
from swn_torture.dcerpc.server.refusal import ALLOC_HINT, CALL_ID, NOWHERE, PFC_FLAGS, Where
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.values import value_class

if TYPE_CHECKING:
    from collections.abc import Container

    from swn_torture.dcerpc.pdu.pdus import Request
    from swn_torture.dcerpc.server.options import ServerOptions

_CALL_ID_ORDER: Final = Where("call_id", CALL_ID, "MS-RPCE 3.3.3.5.2")

SEPARATE_FRAGMENTS: Final = 64
"""Fragments of a request that are kept as they are; a peer can send empty ones without end."""

OLD_CALL_WINDOW: Final = 150
"""A late fragment is ignored if its call_id is less than this below the current one (MS-RPCE 3.3.3.5.6)."""


class Rejection(Exception):  # noqa: N818  an answer to the client, not an error of this server
    """A request is answered with a fault before it reaches an interface.

    Attributes:
        status: of the fault.
        problem: what is wrong.
        close: the connection ends after the fault, because it is not reliable any more.
        context_id: the presentation context id for the fault, 0 before one is known.
        did_not_execute: set PFC_DID_NOT_EXECUTE. The request is not executed in any case. Windows sets the
            flag for some statuses only, and so does this server.
        call_id: the call_id for the fault, ``None`` for that of the PDU.
        where: the field and the rule, for the log.
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
        where: Where = NOWHERE,
    ) -> None:
        self.status = status
        self.problem = problem
        self.close = close
        self.context_id = context_id
        self.did_not_execute = did_not_execute
        self.call_id = call_id
        self.where = where
        super().__init__(problem)


def protocol_error(problem: str, where: Where = NOWHERE) -> Rejection:
    """Return the rejection of a request that breaks the protocol (MS-RPCE 3.3.3.5.7)."""
    return Rejection(FaultStatus.NCA_S_PROTO_ERROR, problem, close=True, where=where)


@value_class(frozen=True, slots=True)
class AssembledRequest:
    """A complete request.

    Attributes:
        first: its first fragment, for all fields except the stub data.
        stub: the stub data of all fragments.
        cancelled: the client cancelled it before its last fragment.
    """

    first: Request
    stub: bytes
    cancelled: bool


class RequestAssembler:
    """Admits the fragments of requests and assembles requests from them, one request at a time.

    Several complete requests may be outstanding, but the fragments of two requests must not mix.

    Args:
        options: the server's choices.

    Attributes:
        current: the highest call_id of a request so far, -1 before the first request.
        multiplexed: both ends have set PFC_CONC_MPX. A fault for a PDU of another call, while a request is
            incomplete, names the call of this PDU then; without multiplexing it names the incomplete call. A
            fault for a fragment without a first one has its presentation context then, else 0. So do Windows
            and Samba.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.current = -1
        self.multiplexed = False
        self._options = options
        self._parts: list[Request] = []
        self._size = 0
        self._cancelled = False

    def admit(self, pdu: Request, pending: Container[int], *, may_start: bool) -> bool:
        """Decide whether to accept a fragment.

        Args:
            pdu: the fragment. Its stub data is not checked.
            pending: call_ids of the calls without an answer yet.
            may_start: another request may begin now.

        Returns:
            ``False`` for a fragment to ignore, because its call has ended.

        Raises:
            Rejection: the fragment breaks the protocol.
        """
        if not pdu.flags & FIRST:
            if self._parts:
                self._check_continues(pdu)
                return True
            if self.current - OLD_CALL_WINDOW < pdu.call_id <= self.current:
                return False
            raise Rejection(
                FaultStatus.NCA_S_PROTO_ERROR,
                f"a fragment of call {pdu.call_id} without a first fragment",
                close=True,
                context_id=pdu.context_id if self.multiplexed else 0,
                where=Where("pfc_flags", PFC_FLAGS, "MS-RPCE 3.3.3.5.6, 3.3.3.5.7"),
            )
        if self._parts:
            raise self._mixed(
                pdu, f"call {pdu.call_id} begins before the last fragment of call {self._parts[0].call_id}"
            )
        if pdu.call_id > MAX_CALL_ID:
            raise protocol_error(
                f"call_id 0x{pdu.call_id:08X} is above 0x{MAX_CALL_ID:08X}",
                Where("call_id", CALL_ID, "MS-RPCE 3.3.3.5.2, note 123"),
            )
        if pdu.call_id < self.current + (0 if self._options.equal_call_ids else 1):
            raise protocol_error(f"call_id {pdu.call_id} follows {self.current}", _CALL_ID_ORDER)
        if pdu.call_id in pending:
            raise protocol_error(f"call_id {pdu.call_id} is in use by a pending call", _CALL_ID_ORDER)
        if not may_start:
            raise protocol_error(
                "a second request on a connection without multiplexing",
                Where("call_id", CALL_ID, "MS-RPCE 3.3.1.5.8"),
            )
        self.current = pdu.call_id
        return True

    def add(self, pdu: Request) -> AssembledRequest | None:
        """Add an admitted fragment. Return the request if this is its last fragment.

        Raises:
            Rejection: the request is too long, or its alloc_hint is wrong.
        """
        self._keep(pdu)
        self._size += len(pdu.stub)
        self._cancelled |= bool(pdu.flags & PENDING_CANCEL)
        announced = 0 if pdu.flags & LAST else pdu.alloc_hint or 0
        if max(self._size, announced) > self._options.max_request:
            # The alloc_hint of an earlier fragment can announce too much already. That of the last one
            # cannot.
            raise Rejection(
                FaultStatus.ERROR_ACCESS_DENIED,
                f"a request of more than {self._options.max_request} octets of stub data",
                close=True,
                context_id=pdu.context_id,
                where=Where("alloc_hint", ALLOC_HINT, "MS-RPCE 3.3.3.5.4"),
            )
        if not pdu.flags & LAST:
            return None
        parts, cancelled, size = self._parts, self._cancelled, self._size
        self.drop()
        if self._options.check_alloc_hint and (parts[0].alloc_hint or 0) > size:
            raise Rejection(
                FaultStatus.NCA_S_PROTO_ERROR,
                f"alloc_hint {parts[0].alloc_hint} exceeds {size} octets of stub data",
                where=Where("alloc_hint", ALLOC_HINT, "MS-RPCE 2.2.2.6"),
            )
        return AssembledRequest(parts[0], b"".join(part.stub for part in parts), cancelled)

    def _keep(self, pdu: Request) -> None:
        """Keep a fragment. Later small ones are joined, so that their number does not fill the memory."""
        parts, size = self._parts, len(pdu.stub)
        first = len(parts)
        while first > SEPARATE_FRAGMENTS and len(parts[first - 1].stub) <= size:
            first -= 1
            size += len(parts[first].stub)
        if first < len(parts):
            pdu = replace(pdu, stub=b"".join([*(part.stub for part in parts[first:]), pdu.stub]))
            del parts[first:]
        parts.append(pdu)

    def assembling(self, call_id: int) -> bool:
        """Return whether the request with this call_id is incomplete."""
        return bool(self._parts) and self._parts[0].call_id == call_id

    def cancel(self) -> None:
        """Mark the incomplete request as cancelled."""
        self._cancelled = True

    def drop(self) -> None:
        """Drop the incomplete request. Its further fragments are ignored as late ones."""
        self._parts, self._size, self._cancelled = [], 0, False

    def _check_continues(self, pdu: Request) -> None:
        first = self._parts[0]
        if pdu.call_id != first.call_id:
            raise self._mixed(
                pdu, f"a fragment of call {pdu.call_id} before the last one of call {first.call_id}"
            )
        if (pdu.context_id, pdu.opnum, pdu.drep) != (first.context_id, first.opnum, first.drep):
            raise self._mixed(pdu, f"fragments of call {pdu.call_id} differ in context, opnum or drep")
        trailer, other = first.trailer, pdu.trailer
        problem = f"fragments of call {pdu.call_id} differ in their security context"
        if trailer is None or other is None:
            if trailer is not other:
                raise self._mixed(pdu, problem)
            return
        if (trailer.auth_type, trailer.auth_level, trailer.context_id) != (
            other.auth_type,
            other.auth_level,
            other.context_id,
        ):
            raise self._mixed(pdu, problem, FaultStatus.RPC_S_SEC_PKG_ERROR)

    def _mixed(self, pdu: Request, problem: str, status: int = FaultStatus.NCA_S_PROTO_ERROR) -> Rejection:
        """Return the rejection of a PDU that does not fit the incomplete request."""
        first = self._parts[0]
        if self.multiplexed and pdu.call_id != first.call_id:
            return protocol_error(problem)
        return Rejection(status, problem, close=True, context_id=first.context_id, call_id=first.call_id)
