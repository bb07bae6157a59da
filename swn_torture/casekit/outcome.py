"""How a call ended, as one value: a result, a fault, a close, silence, or octets that make no sense.

A case about a refusal lists every ending the text allows; a server may refuse by the method's own code, by a
fault of the RPC runtime, or by closing the connection, and which it chose is part of the finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from swn_torture.dcerpc.errors import (
    BindRefused,
    ConnectionLost,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
    RpcError,
)
from swn_torture.dcerpc.status import describe_status
from swn_torture.stubdata.win32 import describe
from swn_torture.witness.codec import DecodeError

if TYPE_CHECKING:
    from swn_torture.witness.client import PendingCall

Kind = Literal["result", "fault", "closed", "silence", "bind-nak", "malformed", "pdu"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    Attributes:
        kind: ``result`` (the method returned), ``fault``, ``closed`` (FIN or RST without an answer),
            ``silence`` (nothing within the time given), ``bind-nak``, ``malformed`` (octets that do not
            decode), ``pdu`` (any other PDU, told by its detail; an expectation of it covers none of them).
        code: the method's return value, the fault status or the reject reason; None where there is none or,
            in an expectation, where any will do.
        response: the decoded response of a result.
        detail: more for a person.
    """

    kind: Kind
    code: int | None = None
    response: Any = field(default=None, compare=False, repr=False)
    detail: str = field(default="", compare=False)

    def matches(self, observed: Outcome) -> bool:
        """Whether this expectation covers what was observed."""
        return self.kind == observed.kind != "pdu" and (self.code is None or self.code == observed.code)

    def __str__(self) -> str:
        """For a report: kind and code with its symbol."""
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
    """The method returns this code (any without)."""
    return Outcome("result", None if code is None else int(code))


def faults(status: int | None = None) -> Outcome:
    """The call ends in a fault of this status (any without)."""
    return Outcome("fault", None if status is None else int(status))


def refuses_bind(reason: int | None = None) -> Outcome:
    """The bind is answered by a bind_nak of this reason (any without)."""
    return Outcome("bind-nak", None if reason is None else int(reason))


#: The server closes the connection instead of answering.
CLOSED = Outcome("closed")
#: Nothing comes within the time given.
SILENCE = Outcome("silence")


async def outcome_of(call: PendingCall[Any], timeout: float = 10.0) -> Outcome:
    """Wait up to ``timeout`` seconds for a call and tell how it ended; never raises what a peer can cause."""
    try:
        response = await call.reply(timeout)
    except (RpcError, DecodeError) as ending:
        return ending_of(ending, timeout)
    return Outcome("result", getattr(response, "result", None), response)


def ending_of(error: RpcError | DecodeError, timeout: float | None = None) -> Outcome:
    """The outcome that an error stands for; one that is our own doing is raised again."""
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
            return Outcome("malformed", detail=str(error))
    raise error
