"""How faults lay hands on answers: the base of those that change what is said, not what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.methods import RpcFault
from swn_torture.server.state.responses import Responder
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import AnyResponse
from swn_torture.witness.notifications import IpAddrInfoList, encode_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.state.options import PendingKind
    from swn_torture.server.state.registrations import PendingChange
    from swn_torture.stubdata.fields import Wrong
    from swn_torture.witness.messages import RespAsyncNotify
    from swn_torture.witness.notifications import IpAddrInfo

Answer = AnyResponse | RpcFault


class Answers(WitnessEndpoint):
    """A server whose answers pass through `other` before they go out."""

    @override
    def answer(self, call: ServerCall, response: Answer) -> None:
        """Answer one call."""
        super().answer(call, self.other(call, response))

    def other(self, call: ServerCall, response: Answer) -> Answer:
        """What to say instead."""
        return response


class Stubs(WitnessEndpoint):
    """A server that writes some fields of its stubs wrongly."""

    @override
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

    @override
    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        """RESOURCE_CHANGE_NOTIFICATION."""
        return self.other("change", super().resource_changes(changes))

    @override
    def addresses(self, kind: PendingKind, destination: str) -> RespAsyncNotify | None:
        """The notification of a move or of changed addresses."""
        notified = super().addresses(kind, destination)
        return notified and self.other(kind, notified)

    def other(self, kind: PendingKind, notified: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead."""
        return notified


class Changes(Buffers):
    """A server that tells state changes otherwise, and everything else as it should."""

    @override
    def other(self, kind: PendingKind, notified: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead."""
        return self.change(notified) if kind == "change" else notified

    def change(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead of a state change."""
        return notified


class Lists(Buffers):
    """A server that tells addresses otherwise, and state changes as it should."""

    @override
    def other(self, kind: PendingKind, notified: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead."""
        return notified if kind == "change" else self.addresses_told(notified)

    def addresses_told(self, notified: RespAsyncNotify) -> RespAsyncNotify:
        """What to tell instead of the addresses of a destination."""
        return notified


def rewritten(notified: RespAsyncNotify, wrong: Callable[[int], Wrong]) -> RespAsyncNotify:
    """The same with the buffer's fields written wrongly; `wrong` tells for the number of a structure."""
    items = notified.decode().items
    fields = {name: value for index in range(len(items)) for name, value in wrong(index).items()}
    return replace(notified, message_buffer=encode_buffer(items, wrong=fields))


def entries_of(notified: RespAsyncNotify) -> tuple[IpAddrInfo, ...]:
    """The addresses that a notification tells."""
    return tuple(
        entry
        for item in notified.decode().items
        if isinstance(item, IpAddrInfoList)
        for entry in item.addresses
    )


def with_entries(notified: RespAsyncNotify, entries: Iterable[IpAddrInfo]) -> RespAsyncNotify:
    """The same with other addresses."""
    return replace(notified, message_buffer=encode_buffer([IpAddrInfoList(tuple(entries))]))
