"""The calls of an exchange: each request and each bind, with the answer to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import AlterContextResp, Bind, BindAck, BindNak
from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Pdu, Request, Response, unpack
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.report.exchange.records import EVENTS
from swn_torture.stubdata.fields import DecodeError
from swn_torture.witness.codec import decode_response
from swn_torture.witness.constants import Opnum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.report.exchange.records import Frame
    from swn_torture.stubdata.syntax import SyntaxId

_WHOLE = PfcFlags.FIRST | PfcFlags.LAST
_ENDS = {EVENTS["closed-by-peer"], EVENTS["reset-by-peer"]}

_WAITED = re.compile(r"^no answer \(waited (\d+(?:\.\d+)?) s\)")
_VALUE = re.compile(r"\b(?:ERROR_\w+|unknown code) \(0x([0-9A-F]+)\)")
_SEEN_FAULT = re.compile(r"\bfault (?:\w+ )?\(?0x([0-9A-F]+)\)?")


@dataclass(slots=True)
class Call:
    """A request or a bind, and the answer to it.

    Attributes:
        request: the PDU; of a request in fragments, with the stub data of all of them.
        at: when it was sent, in seconds.
        syntax: transfer syntax of its presentation context; None if that was not negotiated.
        sealed: whether its stub data are sealed.
        registered: whether a Register or RegisterEx before it made a registration.
        whole: whether the record has it from the first to the last fragment.
        answer: the answer; of several fragments, the first.
        received: its octets.
        after: seconds until the answer, or until the target ended the connection; None if neither came.
    """

    request: Request | Bind
    at: float
    syntax: SyntaxId | None
    sealed: bool
    registered: bool
    whole: bool
    answer: Response | FaultPdu | BindAck | BindNak | None = None
    received: bytes = b""
    after: float | None = None

    @property
    def opnum(self) -> int | None:
        """The opnum of a request."""
        return self.request.opnum if isinstance(self.request, Request) else None


class _Reader:
    def __init__(self) -> None:
        self.found: list[Call] = []
        self.open: dict[tuple[int, int], Call] = {}
        self.syntaxes: dict[tuple[int, int], SyntaxId] = {}
        self.registered = False

    def sent(self, frame: Frame, pdu: Request | Bind) -> None:
        key = frame.connection, pdu.call_id
        begun = self.open.get(key)
        if isinstance(pdu, Request) and not pdu.flags & PfcFlags.FIRST and begun and not begun.whole:
            assert isinstance(begun.request, Request)
            begun.request = replace(begun.request, stub=begun.request.stub + pdu.stub)
            begun.whole = bool(pdu.flags & PfcFlags.LAST and begun.request.flags & PfcFlags.FIRST)
            begun.at = frame.time
            return
        syntax = self.syntaxes.get((frame.connection, pdu.context_id)) if isinstance(pdu, Request) else None
        sealed = pdu.trailer is not None and pdu.trailer.auth_level == AuthLevel.PRIVACY
        call = Call(
            pdu,
            frame.time,
            syntax,
            sealed,
            registered=self.registered,
            whole=pdu.flags & _WHOLE == _WHOLE,
        )
        self.found.append(call)
        self.open[key] = call

    def received(self, frame: Frame, pdu: Pdu) -> None:
        call = self.open.get((frame.connection, pdu.call_id))
        if call is None:
            return
        if isinstance(pdu, Response | FaultPdu | BindAck | BindNak) and call.answer is None:
            call.answer, call.received, call.after = pdu, frame.octets, frame.time - call.at
            self.registered = self.registered or registers(call)
        if isinstance(pdu, BindAck) and isinstance(call.request, Bind):
            for context, result in zip(call.request.contexts, pdu.results, strict=False):
                if result.result == 0:
                    self.syntaxes[frame.connection, context.context_id] = result.transfer

    def ended(self, frame: Frame) -> None:
        for (connection, _), call in self.open.items():
            if connection == frame.connection and call.answer is None and call.after is None:
                call.after = frame.time - call.at


def read_calls(exchange: Iterable[Frame]) -> list[Call]:
    """The requests and binds of an exchange in the order in which they were sent."""
    reader = _Reader()
    for frame in exchange:
        if frame.title in _ENDS:
            reader.ended(frame)
        if not frame.octets:
            continue
        try:
            pdu = unpack(frame.octets)
        except (RemoteProtocolError, ValueError):
            continue
        if frame.direction == "sent" and isinstance(pdu, Request | Bind):
            reader.sent(frame, pdu)
        elif frame.direction == "received":
            reader.received(frame, pdu)
    return reader.found


def answered_with(calls: Iterable[Call], observed: str) -> list[Call]:
    """The calls whose answer is what a finding observed.

    Args:
        calls: the calls of its case.
        observed: ``fault nca_s_op_rng_error (0x1C010002)``, ``no answer (waited 5 s)``.
    """
    fits = [call for call in calls if _fits(call, observed)]
    if observed.startswith("connection closed"):
        return [call for call in fits if call.after is not None] or fits
    return fits


def _fits(call: Call, observed: str) -> bool:
    waited = _WAITED.match(observed)
    if waited and call.after is not None:
        return call.after >= 0.95 * float(waited[1])
    match call.answer:
        case None:
            fits = observed.startswith(("no answer", "connection closed"))
        case BindNak():
            fits = "bind_nak" in observed
        case AlterContextResp():
            fits = "alter_context_resp" in observed
        case BindAck():
            fits = "bind_ack" in observed
        case FaultPdu(status=status):
            seen = _SEEN_FAULT.search(observed)
            fits = seen is not None and int(seen[1], 16) == status
        case Response(stub=stub, byte_order=order):
            # The return value is at the end, also where the presentation context is not known.
            seen = None if call.sealed else _VALUE.search(observed)
            fits = seen is not None and int(seen[1], 16) == int.from_bytes(stub[-4:], order)
    return fits


def decodes(call: Call) -> bool | None:
    """Whether the response to a call decodes; None where that is not known."""
    if call.sealed or call.syntax is None or not isinstance(call.answer, Response):
        return None
    if call.answer.flags & _WHOLE != _WHOLE:
        return None  # a fragment
    return return_value(call) is not None


def return_value(call: Call) -> int | None:
    """The return value in the response to a call; None if there is none, or if it does not decode."""
    if call.opnum is None or call.syntax is None or not isinstance(call.answer, Response):
        return None
    try:
        return decode_response(
            call.opnum, call.answer.stub, call.syntax, byte_order=call.answer.byte_order
        ).result
    except (DecodeError, LookupError):
        return None


def registers(call: Call) -> bool:
    """Whether a call made a registration: the return value of Register or RegisterEx is ERROR_SUCCESS."""
    register = call.opnum in {Opnum.REGISTER, Opnum.REGISTER_EX}
    return register and isinstance(call.answer, Response) and call.answer.stub[-4:] == bytes(4)
