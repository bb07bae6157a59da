"""How a call ended, as one value: a return value, a fault, a closed connection, no answer, malformed octets.

A case about a rejected call lists every outcome that the specification allows. A server may reject a call
with a return value of the method, with a fault of the RPC runtime, or by closing the connection. The report
shows which of them it used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from swn_torture.casekit.blame import blame_of
from swn_torture.dcerpc.errors import (
    BindRefused,
    ConnectionLost,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
    RpcError,
)
from swn_torture.dcerpc.status import describe_status
from swn_torture.stubdata.win32 import Win32, describe
from swn_torture.witness.codec import DecodeError
from swn_torture.witness.constants import Opnum

if TYPE_CHECKING:
    from swn_torture.casekit.blame import Blame
    from swn_torture.witness.client import PendingCall

Kind = Literal["result", "fault", "closed", "silence", "bind-nak", "malformed", "pdu"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    Attributes:
        kind: ``result`` (the method returned), ``fault``, ``closed`` (FIN or RST without an answer),
            ``silence`` (no answer within the time given), ``bind-nak``, ``malformed`` (octets that do not
            decode), ``pdu`` (any other PDU, which ``detail`` names; it matches nothing).
        code: the return value of the method, the fault status or the reject reason. None where the kind has
            none, and in an allowed outcome where any value is allowed.
        response: the decoded response of a result.
        detail: more about it, for a reader of the report. It is not compared.
        blame: the requirement that octets violate which do not decode, whatever the call was for; else None.
            It is not compared.
        opnum: the method of the call; None where it is not known. It is not compared.
    """

    kind: Kind
    code: int | None = None
    response: Any = field(default=None, compare=False, repr=False)
    detail: str = field(default="", compare=False)
    blame: Blame | None = field(default=None, compare=False, repr=False)
    opnum: int | None = field(default=None, compare=False, repr=False)

    def matches(self, observed: Outcome) -> bool:
        """Whether this outcome, as an allowed one, includes the observed outcome."""
        return self.kind == observed.kind != "pdu" and (self.code is None or self.code == observed.code)

    @property
    def ends_any_call(self) -> bool:
        """Whether an ordinary call that ends like this says that calls of any method do."""
        return self.kind in {"closed", "silence"} and self.opnum != Opnum.ASYNC_NOTIFY

    def __str__(self) -> str:
        """For a report: the kind, and the code as symbol and value."""
        if self.kind == "pdu":
            return self.detail
        match self.kind:
            case "result":
                text = describe(self.code) if self.code is not None else "any return value"
            case "fault":
                return f"fault {describe_status(self.code)}" if self.code is not None else "any fault"
            case "bind-nak":
                return "bind_nak" + (f" reason {self.code}" if self.code is not None else "")
            case "closed":
                text = "connection closed"
            case "silence":
                text = "no answer"
            case _:
                text = "octets that do not decode"
        return f"{text} ({self.detail})" if self.detail else text


def returns(code: int | None = None) -> Outcome:
    """The method returns this code; any code without one."""
    return Outcome("result", None if code is None else int(code))


def faults(status: int | None = None) -> Outcome:
    """The server completes the call with a fault of this status; of any status without one."""
    return Outcome("fault", None if status is None else int(status))


def refuses_bind(reason: int | None = None) -> Outcome:
    """The server answers the bind with a bind_nak of this reason; of any reason without one."""
    return Outcome("bind-nak", None if reason is None else int(reason))


#: The method succeeds.
SUCCESS = returns(Win32.ERROR_SUCCESS)
#: The server closes the connection instead of answering.
CLOSED = Outcome("closed")
#: The server sends nothing within the time given: the call stays pending.
SILENCE = Outcome("silence")


async def outcome_of(call: PendingCall[Any], timeout: float = 10.0) -> Outcome:
    """Wait up to ``timeout`` seconds for a call that has been started; returns how it ended.

    Whatever the server does is an outcome and not an exception.
    """
    opnum = getattr(getattr(call, "request", None), "opnum", None)
    try:
        response = await call.reply(timeout)
    except (RpcError, DecodeError) as error:
        return replace(outcome_of_error(error, timeout), opnum=opnum)
    return Outcome("result", getattr(response, "result", None), response, opnum=opnum)


def outcome_of_error(error: RpcError | DecodeError, timeout: float | None = None) -> Outcome:
    """The outcome that an error of the client stands for.

    Args:
        error: what the client raised.
        timeout: seconds waited; shown with ``silence`` in place of the text of the error.

    Raises:
        RpcError: the error is a mistake on the client's side, and not an outcome of a call.
    """
    match error:
        case Fault():
            return Outcome("fault", error.status)
        case BindRefused():
            return Outcome("bind-nak", error.reason)
        case ConnectionLost():
            return Outcome("closed", detail=str(error))
        case DeadlineExceeded():
            return Outcome("silence", detail=str(error) if timeout is None else f"waited {timeout:g} s")
        case DecodeError() | RemoteProtocolError():
            return Outcome("malformed", detail=str(error), blame=blame_of(error))
    raise error
