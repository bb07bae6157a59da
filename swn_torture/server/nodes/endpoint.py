"""The witness interface on an RPC server: decodes requests, calls the state machine, encodes responses.

The parts of a call that are not in `state.service` are here: the opnum range, stubs that cannot be decoded,
the access check, cancels, and the timer that calls `tick` of the state machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.interface import ServerInterface
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.server.state.methods import FIRST_REPLIES, Reply, RpcFault
from swn_torture.server.state.registrations import Owner
from swn_torture.stubdata.fields import ByteOrder, DecodeError
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.codec import UnknownOpnumError, decode_request, encode, request_size
from swn_torture.witness.constants import WITNESS
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AnyRequest,
    AnyResponse,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.dcerpc.server.interface import Association, Caller, ConnectionInfo, ServerCall
    from swn_torture.server.state.service import WitnessService
    from swn_torture.stubdata.syntax import SyntaxId

_LOG = logging.getLogger(__name__)

REPLIES_AT_ONCE: Final = FIRST_REPLIES
"""Replies that are encoded, signed and sent before the event loop processes other events."""


class WitnessEndpoint(ServerInterface):
    """Serves one node's `WitnessService`.

    Args:
        service: the state machine. Its clock runs `Options.time_scale` times as fast as the event loop's.
        transfer_syntaxes: the transfer syntaxes to offer, in order of preference.
        reply_byte_order: the byte order of responses (`ServerOptions.reply_byte_order`).
    """

    _last_list: tuple[tuple[GetInterfaceListResponse, SyntaxId, ByteOrder] | None, bytes] = (None, b"")
    """The last interface list that was sent, and its stub data."""

    def __init__(
        self,
        service: WitnessService,
        transfer_syntaxes: Sequence[SyntaxId] = (NDR64, NDR32),
        reply_byte_order: Literal["little", "caller"] = "little",
    ) -> None:
        self.syntax = WITNESS
        self.transfer_syntaxes = transfer_syntaxes
        self.service = service
        service.first_replies = self.send
        self.options = service.options
        self.reply_byte_order = reply_byte_order
        self._timer: asyncio.TimerHandle | None = None
        self._replies: deque[Reply] = deque()
        """Replies that are still to be made and sent, oldest first."""
        self._next_replies: asyncio.Handle | None = None

    # Called by the RPC server

    def call(self, call: ServerCall) -> None:
        """Process a request. The response can follow later."""
        if not self.service.supports(call.opnum):
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)
            return
        denied = self.denied(call.caller)
        if denied and self.options.denied_by == "fault":
            call.fault(denied)
            return
        try:
            request = self.decode(call)
        except DecodeError as problem:
            _LOG.debug("invalid stub data for opnum %d: %s", call.opnum, problem)
            call.fault(FaultStatus.RPC_X_BAD_STUB_DATA, problem=str(problem))
            return
        if denied:
            self.answer(call, error_response(request, denied))
            return
        self.send(self.service.handle(call, self.owner(call), request))

    def end_of_parameters(self, opnum: int, stub: bytes, syntax: SyntaxId, byte_order: ByteOrder) -> int:
        """Return the first offset of a verification trailer; 0 if the stub cannot be decoded.

        The offset is necessary because names can contain the signature of a trailer.
        """
        try:
            return request_size(opnum, stub, syntax, byte_order=byte_order)
        except (DecodeError, UnknownOpnumError):
            return 0

    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        """End a call that the client cancelled or orphaned (C706 12.6.4.6, 12.6.4.8)."""
        if orphaned:
            self.service.cancel(call, call.association)
        elif self.options.honour_cancel and self.service.cancel(call, call.association):
            call.fault(FaultStatus.NCA_S_FAULT_CANCEL)
        self.schedule_scan()

    def disconnected(self, connection: ConnectionInfo, association: Association) -> None:
        """Process the end of a connection."""
        self.send(self.service.disconnected(connection, association))

    def rundown(self, association: Association) -> None:
        """Process the end of the last connection of an association: its registrations end."""
        self.service.rundown(association)
        self.schedule_scan()

    # Steps

    def decode(self, call: ServerCall) -> AnyRequest:
        """Decode the request strictly, but allow octets after it (MS-RPCE 2.2.2.13).

        Raises:
            DecodeError: the stub data do not match the IDL.
        """
        return decode_request(
            call.opnum, call.stub, call.syntax, byte_order=call.byte_order, allow_trailing=True
        )

    def denied(self, caller: Caller) -> Win32:
        """Return the error code for a caller without access, or ERROR_SUCCESS.

        The rules are those of MS-SWN 3.1.4, note 4 (AMB-22).
        """
        if not self.options.enforce_security:
            return Win32.ERROR_SUCCESS
        if caller.auth_type == AuthType.NONE:
            return self.options.unauthenticated
        if self.options.refused_accounts:
            account = (caller.principal or "").rpartition("\\")[2].partition("@")[0].casefold()
            if account in {name.casefold() for name in self.options.refused_accounts}:
                return Win32.ERROR_ACCESS_DENIED
        # On a connection-oriented transport CALL is the same as PKT (MS-RPCE 2.2.1.1.8).
        level = AuthLevel.PKT if caller.level == AuthLevel.CALL else caller.level
        return Win32.ERROR_SUCCESS if level >= self.options.minimum_level else Win32.ERROR_ACCESS_DENIED

    def owner(self, call: ServerCall) -> Owner:
        """Return the caller for the state machine."""
        return Owner(call.association, call.connection, call.caller.principal, call.connection.local[0])

    def send(self, replies: Iterable[Reply]) -> None:
        """Send replies in this order, after those of earlier events, then schedule the next scan.

        An event can complete the calls of a thousand clients. So the event loop sends `REPLIES_AT_ONCE`
        replies, and processes other events, before the next ones are encoded and signed.
        """
        self._replies += replies
        if self._next_replies is None:
            self._send_next_replies()
        self.schedule_scan()

    def send_all(self) -> None:
        """Make the remaining replies without a pause, because the node stops."""
        while self._replies:
            self._send_next_replies()

    def _send_next_replies(self) -> None:
        if self._next_replies is not None:
            self._next_replies.cancel()
            self._next_replies = None
        for _ in range(min(REPLIES_AT_ONCE, len(self._replies))):
            call, response = self._replies.popleft()
            self.answer(call, response)  # type: ignore[arg-type]  # our tokens are the calls themselves
        if self._replies:
            self._next_replies = asyncio.get_running_loop().call_soon(self._send_next_replies)

    def answer(self, call: ServerCall, response: AnyResponse | RpcFault) -> None:
        """Complete one call with a response or a fault."""
        if isinstance(response, RpcFault):
            call.fault(response.status)
        else:
            call.reply(self.encode(call, response))

    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        """Return the stub data of a response, in the byte order of the response PDU."""
        order = call.byte_order if self.reply_byte_order == "caller" else "little"
        if not isinstance(response, GetInterfaceListResponse):
            return encode(response, call.syntax, byte_order=order)
        # The list seldom changes, and to encode it takes a tenth of the time of the call.
        what = (response, call.syntax, order)
        if what != self._last_list[0]:
            self._last_list = what, encode(response, call.syntax, byte_order=order)
        return self._last_list[1]

    # Time

    def schedule_scan(self) -> None:
        """Start the timer for the next scan of the state machine, if a scan is necessary."""
        due = self.service.next_deadline()
        if due is None:
            self.cancel_scan()
        elif self._timer is None:
            delay = max(0.0, due - self.service.clock()) / self.options.time_scale
            self._timer = asyncio.get_running_loop().call_later(delay, self._scan)

    def cancel_scan(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _scan(self) -> None:
        self._timer = None
        self.send(self.service.tick())


def error_response(request: AnyRequest, code: Win32) -> AnyResponse:
    """Return the response of a method that fails with `code` and has no other effect."""
    match request:
        case GetInterfaceListRequest():
            return GetInterfaceListResponse(None, code)
        case RegisterRequest():
            return RegisterResponse(NULL_HANDLE, code)
        case RegisterExRequest():
            return RegisterExResponse(NULL_HANDLE, code)
        case UnRegisterRequest():
            return UnRegisterResponse(code)
        case UnRegisterExRequest():
            return UnRegisterExResponse(request.context, code)
        case AsyncNotifyRequest():
            return AsyncNotifyResponse(None, code)
