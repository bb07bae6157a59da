"""An RPC interface defined by a table: how to decode, execute and encode each operation.

The companion interfaces use it, with both transfer syntaxes. The witness interface has a separate endpoint
(`nodes.endpoint`), because it also needs cancels, timers and faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.server.interface import ServerInterface
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.fields import ByteOrder, DecodeError
from swn_torture.stubdata.ndr import Reader, Writer
from swn_torture.stubdata.syntax import NDR32, NDR64

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.stubdata.syntax import SyntaxId

_LOG = logging.getLogger(__name__)

Request = TypeVar("Request")
Response = TypeVar("Response")


@dataclass(frozen=True, slots=True)
class Operation(Generic[Request, Response]):
    """One method of an interface.

    Attributes:
        read: decodes the in parameters of the stub data; raises DecodeError.
        run: executes the operation, as a function or a coroutine.
        write: encodes the out parameters as stub data.
    """

    read: Callable[[Reader], Request]
    run: Callable[[ServerCall, Request], Response | Awaitable[Response]]
    write: Callable[[Writer, Response], None]


class TableInterface(ServerInterface):
    """An RPC interface that serves the operations of a table.

    Args:
        syntax: the interface.
        operations: the operations by opnum. Other opnums return nca_s_op_rng_error.
        transfer_syntaxes: the transfer syntaxes to offer, in order of preference.
        reply_byte_order: the byte order of responses (`ServerOptions.reply_byte_order`).
        minimum_level: calls below this authentication level return a fault with ERROR_ACCESS_DENIED (0x5).
    """

    def __init__(
        self,
        syntax: SyntaxId,
        operations: Mapping[int, Operation[Any, Any]],
        transfer_syntaxes: Sequence[SyntaxId] = (NDR64, NDR32),
        reply_byte_order: Literal["little", "caller"] = "little",
        minimum_level: int = AuthLevel.NONE,
    ) -> None:
        self.syntax = syntax
        self.operations = operations
        self.transfer_syntaxes = transfer_syntaxes
        self.reply_byte_order = reply_byte_order
        self.minimum_level = minimum_level
        self._running: set[asyncio.Task[None]] = set()

    def call(self, call: ServerCall) -> None:
        """Execute a request and send its response, or a fault."""
        operation = self.operations.get(call.opnum)
        if operation is None:
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)
            return
        if call.caller.level < self.minimum_level:
            call.fault(FaultStatus.ERROR_ACCESS_DENIED, did_not_execute=True)
            return
        try:
            request = operation.read(Reader(call.stub, call.syntax, call.byte_order))
        except DecodeError as problem:
            _LOG.debug("invalid stub data for opnum %d of %s: %s", call.opnum, self.syntax, problem)
            call.fault(FaultStatus.RPC_X_BAD_STUB_DATA, problem=str(problem))
            return
        with _errors_as_faults(call):
            response = operation.run(call, request)
            if inspect.isawaitable(response):
                task = asyncio.ensure_future(self._finish(call, operation, response))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            else:
                self._answer(call, operation, response)

    def end_of_parameters(self, opnum: int, stub: bytes, syntax: SyntaxId, byte_order: ByteOrder) -> int:
        """Return the first offset of a verification trailer; 0 if the stub cannot be decoded."""
        operation = self.operations.get(opnum)
        if operation is None:
            return 0
        reader = Reader(stub, syntax, byte_order)
        try:
            operation.read(reader)
        except DecodeError:
            return 0
        return reader.offset

    async def _finish(
        self, call: ServerCall, operation: Operation[Any, Response], response: Awaitable[Response]
    ) -> None:
        with _errors_as_faults(call):
            self._answer(call, operation, await response)

    def _answer(self, call: ServerCall, operation: Operation[Any, Response], response: Response) -> None:
        writer = Writer(call.syntax, call.byte_order if self.reply_byte_order == "caller" else "little")
        operation.write(writer, response)
        call.reply(writer.finish())


@contextlib.contextmanager
def _errors_as_faults(call: ServerCall) -> Iterator[None]:
    """Send a fault for an unexpected exception, so that the client does not wait; report the exception."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the event loop's exception handler reports every error
        call.fault(FaultStatus.NCA_S_FAULT_UNSPEC)
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": f"error in opnum {call.opnum}", "exception": error})
