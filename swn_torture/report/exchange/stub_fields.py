"""The stub data of witness calls by the names of the IDL, in the frames of an exchange.

A reader of a finding sees ``InterfaceInfo[0].State`` beside its octets, and the octet from which stub data do
not decode. Sealed stub data, fragments and stub data of other interfaces stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import Bind, BindAck
from swn_torture.dcerpc.pdu.pdus import Request, Response, unpack
from swn_torture.report.exchange.pdu_fields import Field
from swn_torture.stubdata.fields import DecodeError
from swn_torture.witness.codec import decode_request, decode_response, field_spans
from swn_torture.witness.constants import WITNESS
from swn_torture.witness.messages import AsyncNotifyResponse
from swn_torture.witness.notifications import buffer_spans, decode_buffer, encode_buffer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from swn_torture.report.exchange.records import Frame
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.messages import AnyRequest, AnyResponse, RespAsyncNotify

#: The label of readable stub data in a frame (`pdu_fields`).
_STUB = "stub data"

#: The name of the notifications in a response to AsyncNotify.
_BUFFER = "MessageBuffer"

#: The beginnings of the labels of octets that do not belong there.
UNDECODED = "does not decode"
AFTER_PARAMETERS = "octets after the last parameter"
AFTER_STRUCTURES = "octets after the last structure"


def with_stub_fields(exchange: Iterable[Frame]) -> list[Frame]:
    """The same frames, with the stub data of requests and responses field by field where they can be read."""
    names = _Names()
    return [names.of(frame) for frame in exchange]


class _Names:
    """Follows the presentation contexts and the calls of an exchange."""

    def __init__(self) -> None:
        self._binds: dict[tuple[int, int], Bind] = {}
        self._syntaxes: dict[tuple[int, int], SyntaxId] = {}
        self._opnums: dict[tuple[int, int], tuple[int, SyntaxId]] = {}

    def of(self, frame: Frame) -> Frame:
        """The frame with names."""
        try:
            pdu = unpack(frame.octets) if frame.octets else None
        except (RemoteProtocolError, ValueError):
            return frame
        if isinstance(pdu, Bind):
            self._binds[frame.connection, pdu.call_id] = pdu
        elif isinstance(pdu, BindAck):
            bind = self._binds.pop((frame.connection, pdu.call_id), None)
            for context, result in zip(bind.contexts if bind else (), pdu.results, strict=False):
                if result.result == 0 and context.abstract == WITNESS:
                    self._syntaxes[frame.connection, context.context_id] = result.transfer
        elif isinstance(pdu, Request | Response) and pdu.flags & 3 == 3:
            return self._named(frame, pdu)
        return frame

    def _named(self, frame: Frame, pdu: Request | Response) -> Frame:
        key = frame.connection, pdu.call_id
        if isinstance(pdu, Request):
            syntax = self._syntaxes.get((frame.connection, pdu.context_id))
            if syntax is None:
                return frame
            self._opnums[key] = pdu.opnum, syntax
        if key not in self._opnums:
            return frame
        opnum, syntax = self._opnums[key]
        decode = decode_request if isinstance(pdu, Request) else decode_response
        fields: list[Field] = []
        for field in frame.fields:
            if field.label != _STUB:
                fields.append(field)
                continue
            octets = frame.octets[field.offset : field.offset + field.length]
            try:
                message = decode(opnum, octets, syntax, byte_order=pdu.byte_order, allow_trailing=True)
            except DecodeError as problem:
                fields += _until(field, problem)
            except LookupError:
                fields.append(field)
            else:
                fields += _with_notifications(_parts(field, field_spans(message, syntax)), message)
        return replace(frame, fields=tuple(fields))


def _parts(stub: Field, spans: dict[str, range]) -> list[Field]:
    parts = [Field(stub.offset + span.start, len(span), name) for name, span in spans.items()]
    end = max((part.offset + part.length for part in parts), default=stub.offset)
    if end < stub.offset + stub.length:
        parts.append(Field(end, stub.offset + stub.length - end, AFTER_PARAMETERS))
    return [part for part in parts if part.offset + part.length <= stub.offset + stub.length]


def _with_notifications(fields: list[Field], message: AnyRequest | AnyResponse) -> Iterator[Field]:
    """The fields, with MessageBuffer structure by structure where it can be read."""
    for field in fields:
        if (
            field.label == _BUFFER
            and isinstance(message, AsyncNotifyResponse)
            and message.response is not None
        ):
            yield from _notifications(field, message.response)
        else:
            yield field


def _notifications(field: Field, response: RespAsyncNotify) -> Iterator[Field]:
    buffer = response.message_buffer or b""
    try:
        found = decode_buffer(response.message_type, response.number_of_messages, buffer)
    except DecodeError as problem:
        yield from _until(field, problem, what=_BUFFER)
        return
    if any(found.padding) or not buffer.startswith(encode_buffer(found.items)):
        yield field
        return
    spans = buffer_spans(found.items)
    yield from (
        Field(field.offset + span.start, len(span), f"{_BUFFER}{name}") for name, span in spans.items()
    )
    if found.slack:
        yield Field(field.offset + len(buffer) - len(found.slack), len(found.slack), AFTER_STRUCTURES)


def _until(stub: Field, problem: DecodeError, what: str = _STUB) -> list[Field]:
    """Stub data in two parts: before the field that does not decode, and from it on."""
    at = min(problem.offset, stub.length)
    before = [Field(stub.offset, at, f"{what} before the error")] if at else []
    return [*before, Field(stub.offset + at, stub.length - at, f"{UNDECODED}: {problem}")]
