"""Observes the servers of the nodes and writes what happens, one line for each thing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.server.events import (
    CallCancelled,
    CallReceived,
    ContextsNegotiated,
    LoggedOn,
    ProtocolViolation,
)
from swn_torture.dcerpc.server.refusal import SHOWN_OCTETS
from swn_torture.dcerpc.status import FaultStatus, describe_status
from swn_torture.server.activity.reasons import denied, reason
from swn_torture.server.activity.words import (
    answer,
    method_name,
    negotiated,
    parameters,
    request_of,
    response_of,
    security_name,
)
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.win32 import Win32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.server.events import ServerEvent
    from swn_torture.dcerpc.server.interface import ConnectionInfo, ServerCall
    from swn_torture.dcerpc.transcript import Kind
    from swn_torture.server.activity.capture import Capture, ServerCapture
    from swn_torture.server.state.service import WitnessService

_ENDS = {
    "fin": "closed by the server",
    "reset": "reset by the server",
    "closed-by-peer": "closed by the client",
    "reset-by-peer": "reset by the client",
}

_NORMAL = frozenset({Win32.ERROR_SUCCESS, Win32.ERROR_TIMEOUT, Win32.ERROR_CANCELLED})
"""Results of AsyncNotify, and success: no client did anything wrong."""

LONGEST_LINE = 4000
"""Characters of a line. A client can send a name of two million."""

_LONGEST_OCTETS = 1024
"""Octets of a rejected PDU or of stub data in a JSON line."""

_UNKNOWN_OPNUM = "the interface has no such opnum"


class ActivityLog:
    """Writes lines to a logger, and the same lines as comments to a capture.

    Args:
        logger: gets the lines; each record has the members of a JSON line as its attribute `swn`.
        capture: gets octets and comments; None for no capture.
    """

    def __init__(self, logger: logging.Logger, capture: Capture | None = None) -> None:
        self._logger = logger
        self._capture = capture

    def server(self, node: str, name: str, service: Callable[[], WitnessService | None]) -> ServerLog:
        """Return the observer of one server of a node.

        Args:
            node: name of the node.
            name: what the server is: `witness` or `epm`.
            service: returns the state machine of the node, for the reasons of error codes.
        """
        capture = None if self._capture is None else self._capture.server()
        return ServerLog(self._logger, node, name, service, capture)

    def happened(self, kind: str, text: str, **fields: Any) -> None:
        """Write a line about the cluster: an event, a command of the administration, a node."""
        self._logger.info("%s", text, extra={"swn": {"event": kind, **fields}})


class ServerLog:
    """The observer of one server (a `dcerpc.server.watcher.Watcher`); see `ActivityLog.server`.

    Attributes:
        capture: records the octets of the server; None for no capture.
    """

    def __init__(
        self,
        logger: logging.Logger,
        node: str,
        name: str,
        service: Callable[[], WitnessService | None],
        capture: ServerCapture | None,
    ) -> None:
        self.capture = capture
        self._logger = logger
        self._names = {"node": node, "server": name}
        self._service = service

    def connection(self, info: ConnectionInfo, kind: Kind) -> None:
        """Write that a connection opened or ended."""
        if kind == "open":
            text = f"connected from {_end(info.peer)} to {_end(info.local)}"
            ends: dict[str, Any] = {"peer": list(info.peer), "local": list(info.local)}
            self._line(info, "connected", text, comment=False, **ends)
        else:
            self._line(info, "closed", _ENDS.get(kind, kind))

    def event(self, info: ConnectionInfo, event: ServerEvent) -> None:
        """Write what a connection reports."""
        match event:
            case ContextsNegotiated():
                self._negotiated(info, event)
            case LoggedOn(call_id, entry):
                self._logged_on(info, call_id, entry.context.principal, entry.problem, entry)
            case CallReceived(call):
                self._received(call)
            case CallCancelled(call, orphaned):
                what = "orphaned" if orphaned else "cancelled"
                text = f"call {call.call_id}, {method_name(call)}: {what} by the client"
                self._line(info, "cancelled", text, call_id=call.call_id)
            case ProtocolViolation(_, refusal) if refusal is not None:
                self._line(
                    info,
                    "refused",
                    str(refusal),
                    level=logging.WARNING,
                    call_id=refusal.call_id,
                    problem=refusal.problem,
                    field=refusal.where.field,
                    offset=refusal.where.offset,
                    rule=refusal.where.rule,
                    octets=refusal.octets[:_LONGEST_OCTETS].hex(),
                    answer=refusal.answer,
                )
            case _:
                pass

    def answered(self, call: ServerCall, stub: bytes | None, status: int) -> None:
        """Write how an interface answers a call. An error has a reason."""
        if stub is None:
            self._faulted(call, request_of(call), status)
            return
        response = response_of(call, stub)
        text = f"{len(stub)} octets of stub data" if response is None else answer(response)
        code = 0 if response is None else response.result
        why = "" if code in _NORMAL else self._denied(call, code) or self._reason(call, code)
        level = logging.INFO if code in _NORMAL else logging.WARNING
        text = f"call {call.call_id}, {method_name(call)} returns {text}{f': {why}' if why else ''}"
        self._line(
            call.connection, "answered", text, level=level, call_id=call.call_id, result=code, reason=why
        )

    def _denied(self, call: ServerCall, code: int) -> str:
        service = self._service()
        return "" if service is None else denied(service, call.caller, code)

    def _reason(self, call: ServerCall, code: int) -> str:
        service, request = self._service(), request_of(call)
        if service is None or request is None or isinstance(request, DecodeError):
            return ""
        return reason(service, request, code)

    def _faulted(self, call: ServerCall, request: Any, status: int) -> None:
        fields: dict[str, Any] = {"status": status}
        why = call.problem
        if isinstance(request, DecodeError):
            at = request.offset
            why = f"{request.field}: {request.problem}; at offset {at} of the stub data: "
            why += (call.stub[at : at + SHOWN_OCTETS].hex(" ") or "no octets") + "; MS-RPCE 3.1.3.5.2"
            fields |= {"field": request.field, "offset": at, "octets": call.stub[:_LONGEST_OCTETS].hex()}
            fields["rule"] = "MS-RPCE 3.1.3.5.2"
        elif not why and status == FaultStatus.NCA_S_OP_RNG_ERROR:
            why = f"{_UNKNOWN_OPNUM}; C706 Appendix E"
        elif not why:
            why = self._denied(call, status)
        text = f"call {call.call_id}, {method_name(call)} ends in fault {describe_status(status)}"
        self._line(
            call.connection,
            "answered",
            f"{text}: {why}" if why else text,
            level=logging.INFO if status == FaultStatus.NCA_S_FAULT_CANCEL else logging.WARNING,
            call_id=call.call_id,
            reason=why,
            **fields,
        )

    def _received(self, call: ServerCall) -> None:
        if not self._logger.isEnabledFor(logging.INFO) and self.capture is None:
            return
        request = request_of(call)
        if request is None or isinstance(request, DecodeError):
            shown = f"{len(call.stub)} octets of stub data"
        else:
            shown = parameters(request) or "no parameters"
        text = f"call {call.call_id}, {method_name(call)}: {shown}"
        self._line(call.connection, "call", text, call_id=call.call_id, opnum=call.opnum, comment=False)

    def _negotiated(self, info: ConnectionInfo, event: ContextsNegotiated) -> None:
        pdu = event.pdu
        security = _security(pdu)
        text = (
            f"{pdu.ptype.name.lower()}, call {pdu.call_id}: {negotiated(pdu, event.results)}"
            f"; fragments of {event.size} octets, association 0x{event.association.id:08X}{security}"
        )
        unusable = not any(result.accepted for result in event.results)
        level = logging.WARNING if unusable else logging.INFO
        self._line(info, "bind", text, level=level, call_id=pdu.call_id)

    def _logged_on(
        self, info: ConnectionInfo, call_id: int, principal: str | None, problem: str, entry: Any
    ) -> None:
        security = security_name(entry.auth_type, entry.level)
        if problem:
            text = f"logon failed, security context {entry.id}, {security}: {problem}; MS-RPCE 3.3.1.5.2.1"
            self._line(info, "logon", text, level=logging.WARNING, call_id=call_id, reason=problem)
            return
        who = principal or "an anonymous client"
        text = f"logon of {who}, security context {entry.id}, {security}"
        self._line(info, "logon", text, call_id=call_id, principal=principal)

    def _line(
        self,
        info: ConnectionInfo,
        kind: str,
        text: str,
        *,
        level: int = logging.INFO,
        comment: bool = True,
        **fields: Any,
    ) -> None:
        text = text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}… ({len(text)} characters)"
        if self.capture is not None and comment:
            # An auth3 has no answer, so the line about its logon goes with the next packet.
            call_id = None if kind == "logon" else fields.get("call_id")
            self.capture.comment(info.id, call_id, text)
        if self._logger.isEnabledFor(level):
            given = _without_none(fields.items())
            swn = {**self._names, "connection": info.id, "event": kind, **given}
            self._logger.log(level, "%s", text, extra={"swn": swn})


def _without_none(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if value is not None and value != ""}


def _security(pdu: Bind) -> str:
    trailer = pdu.trailer
    if trailer is None:
        return ""
    return f"; {security_name(trailer.auth_type, trailer.auth_level)}, security context {trailer.context_id}"


def _end(end: tuple[str, int]) -> str:
    host, port = end
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
