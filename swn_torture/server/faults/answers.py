"""How faults lay hands on answers: the base of those that change what is said, not what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.server.endpoint import WitnessEndpoint
from swn_torture.server.methods import RpcFault
from swn_torture.server.responses import Responder
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import AnyResponse
from swn_torture.witness.notifications import IpAddrInfoList, encode_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from swn_torture.dcerpc.interface import ServerCall
    from swn_torture.server.options import PendingKind
    from swn_torture.server.registrations import PendingChange
    from swn_torture.witness.fields import Wrong
    from swn_torture.witness.messages import RespAsyncNotify
    from swn_torture.witness.notifications import IpAddrInfo

Answer = AnyResponse | RpcFault


class Answers(WitnessEndpoint):
    """A server whose answers pass through `other` before they go out."""

    def answer(self, call: ServerCall, response: Answer) -> None:
        """Answer one call."""
        super().answer(call, self.other(call, response))

    def other(self, call: ServerCall, response: Answer) -> Answer:
        """What to say instead."""
        return response


class Stubs(WitnessEndpoint):
    """A server that writes some fields of its stubs wrongly."""

    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        """The stub of a response."""
        order = call.byte_order if self.reply_byte_order == "caller" else "little"
        return encode(response, call.syntax, byte_order=order, wrong=self.wrong(response))

    def wrong(self, response: AnyResponse) -> Wrong | None:
        """What to write instead, by field name (`codec.encode`)."""
        return None


def recode(response: Answer, kind: type, old: int, new: int) -> Answer:
    """A response of this kind with the code `new` where it has `old`; any other as it is."""
    if isinstance(response, RpcFault) or not isinstance(response, kind) or response.result != old:
        return response
    return replace(response, result=new)


class Buffers(Responder):
    """A server whose notifications pass through `other` before they go out."""

    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        """RESOURCE_CHANGE_NOTIFICATION."""
        return self.other("change", super().resource_changes(changes))

    def addresses(self, kind: PendingKind, destination: str) -> RespAsyncNotify | None:
        """The notification of a move or of changed addresses."""
        told = super().addresses(kind, destination)
        return told and self.other(kind, told)

    def other(self, kind: PendingKind, told: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead."""
        return told


class Changes(Buffers):
    """A server that tells state changes otherwise, and everything else as it should."""

    def other(self, kind: PendingKind, told: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead."""
        return self.change(told) if kind == "change" else told

    def change(self, told: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead of a state change."""
        return told


class Lists(Buffers):
    """A server that tells addresses otherwise, and state changes as it should."""

    def other(self, kind: PendingKind, told: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead."""
        return told if kind == "change" else self.addresses_told(told)

    def addresses_told(self, told: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead of the addresses of a destination."""
        return told


def rewritten(told: RespAsyncNotify, wrong: Callable[[int], Wrong]) -> RespAsyncNotify:
    """The same with the buffer's fields written wrongly; `wrong` tells for the number of a structure."""
    items = told.decode().items
    fields = {name: value for index in range(len(items)) for name, value in wrong(index).items()}
    return replace(told, message_buffer=encode_buffer(items, wrong=fields))


def entries_of(told: RespAsyncNotify) -> tuple[IpAddrInfo, ...]:
    """The addresses that a notification tells."""
    return tuple(
        entry for item in told.decode().items if isinstance(item, IpAddrInfoList) for entry in item.addresses
    )


def with_entries(told: RespAsyncNotify, entries: Iterable[IpAddrInfo]) -> RespAsyncNotify:
    """The same with other addresses."""
    return replace(told, message_buffer=encode_buffer([IpAddrInfoList(tuple(entries))]))
