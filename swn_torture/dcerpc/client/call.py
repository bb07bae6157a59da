"""A call that has been sent, and the waiting for what becomes of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from swn_torture.dcerpc.errors import DeadlineExceeded, RpcError

if TYPE_CHECKING:
    from swn_torture.dcerpc.client.events import Answered

Result = TypeVar("Result")


class Waiting(Generic[Result]):
    """A place for one outcome, a result or an error. It complains to nobody when nobody asks for it."""

    def __init__(self) -> None:
        self._settled = asyncio.Event()
        self._result: Result | None = None
        self._error: RpcError | None = None

    def attach_result(self, outcome: Result | RpcError) -> None:
        """Put the outcome in; only the first one counts."""
        if self._settled.is_set():
            return
        if isinstance(outcome, RpcError):
            self._error = outcome
        else:
            self._result = outcome
        self._settled.set()

    def done(self) -> bool:
        """Whether the outcome is there."""
        return self._settled.is_set()

    @property
    def result(self) -> Result | None:
        """The result; ``None`` as long as there is none, or an error instead."""
        return self._result

    async def wait(self, timeout: float | None, what: str) -> Result:
        """Return the result or raise the error, at the latest after ``timeout`` seconds (``None``: no limit).

        Raises:
            DeadlineExceeded: neither came; ``what`` says of what.
        """
        try:
            await asyncio.wait_for(self._settled.wait(), timeout)
        except TimeoutError:
            raise DeadlineExceeded(f"{what}: nothing in {timeout:g} s") from None
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result


class Call:
    """One outstanding or finished call.

    Attributes:
        call_id: its number on the connection.
        opnum: operation number, -1 when the caller wrote the request by hand.
    """

    def __init__(self, call_id: int, opnum: int = -1) -> None:
        self.call_id = call_id
        self.opnum = opnum
        self._waiting: Waiting[Answered] = Waiting()

    def attach_result(self, outcome: Answered | RpcError) -> None:
        """Finish the call (the connection does that)."""
        self._waiting.attach_result(outcome)

    def done(self) -> bool:
        """Whether a response, a fault or the end of the connection has come."""
        return self._waiting.done()

    @property
    def response_meta(self) -> Answered | None:
        """The response with all its PDUs: context id, byte order, level; ``None`` before it is there."""
        return self._waiting.result

    async def reply(self, timeout: float | None = 10.0) -> bytes:
        """Return the out parameters.

        Args:
            timeout: in seconds, ``None`` for no limit. The call stays outstanding when it is over.

        Raises:
            Fault: the call was answered by a fault.
            ConnectionLost: the connection went first.
            RemoteProtocolError: the server broke the protocol on this connection.
            DeadlineExceeded: nothing came in time.
        """
        return (await self._waiting.wait(timeout, f"call {self.call_id} (opnum {self.opnum})")).stub

    def __repr__(self) -> str:
        state = "done" if self.done() else "outstanding"
        return f"<Call {self.call_id} opnum={self.opnum} {state}>"
