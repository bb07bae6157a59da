"""An RPC interface as a table: how each operation is read, carried out and answered.

For the interfaces that a cluster serves beside witness. They have to be right, and to live in both transfer
syntaxes; the witness interface, which also has to be cancelled, timed and broken on purpose, has an endpoint
of its own.
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
        read: takes the in parameters from a stub; raises DecodeError.
        run: carries it out, at once or as a coroutine.
        write: puts the out parameters into a stub.
    """

    read: Callable[[Reader], Request]
    run: Callable[[ServerCall, Request], Response | Awaitable[Response]]
    write: Callable[[Writer, Response], None]


class TableInterface(ServerInterface):
    """Serves the operations of a table.

    Args:
        syntax: the interface.
        operations: by operation number; all others are out of range.
        transfer_syntaxes: those offered, the preferred one first.
        reply_byte_order: what the RPC server declares of responses (`ServerOptions.reply_byte_order`).
        minimum_level: the authentication level below which every call is refused.
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
        """Carry a request out, and answer it."""
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
            _LOG.debug("bad stub for opnum %d of %s: %s", call.opnum, self.syntax, problem)
            call.fault(FaultStatus.RPC_X_BAD_STUB_DATA)
            return
        with _mistakes_as_faults(call):
            response = operation.run(call, request)
            if inspect.isawaitable(response):
                task = asyncio.ensure_future(self._finish(call, operation, response))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            else:
                self._answer(call, operation, response)

    def end_of_parameters(self, opnum: int, stub: bytes, syntax: SyntaxId, byte_order: ByteOrder) -> int:
        """Where a verification trailer may begin at the earliest."""
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
        with _mistakes_as_faults(call):
            self._answer(call, operation, await response)

    def _answer(self, call: ServerCall, operation: Operation[Any, Response], response: Response) -> None:
        writer = Writer(call.syntax, call.byte_order if self.reply_byte_order == "caller" else "little")
        operation.write(writer, response)
        call.reply(writer.finish())


@contextlib.contextmanager
def _mistakes_as_faults(call: ServerCall) -> Iterator[None]:
    """Let no client wait for the answer to a call that a mistake of ours has ended; we are told of it."""
    try:
        yield
    except Exception as mistake:  # noqa: BLE001 - whatever it is, it goes on to whoever reports it
        call.fault(FaultStatus.NCA_S_FAULT_UNSPEC)
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": f"opnum {call.opnum} ended badly", "exception": mistake})
