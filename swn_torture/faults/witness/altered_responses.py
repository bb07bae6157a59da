"""Base classes of faults that alter what a server sends, not what it does."""

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

ResponseOrFault = AnyResponse | RpcFault


class AlteredResponses(WitnessEndpoint):
    """A server that sends what `alter_response` makes of each response."""

    @override
    def answer(self, call: ServerCall, response: ResponseOrFault) -> None:
        """Send the response of one call."""
        super().answer(call, self.alter_response(call, response))

    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        """Return the response to send instead."""
        return response


class AlteredStubs(WitnessEndpoint):
    """A server that writes some fields of its response stubs wrongly."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        """Encode the stub of a response."""
        order = call.byte_order if self.reply_byte_order == "caller" else "little"
        return encode(response, call.syntax, byte_order=order, wrong=self.wrong_fields(response))

    def wrong_fields(self, response: AnyResponse) -> Wrong | None:
        """Return what to write instead, by field name (`codec.encode`); None for no change."""
        return None


def replace_code(response: ResponseOrFault, kind: type, old: int, new: int) -> ResponseOrFault:
    """Return a response of type `kind` with code `new` in place of `old`; any other response unchanged."""
    if isinstance(response, RpcFault) or not isinstance(response, kind) or response.result != old:
        return response
    return replace(response, result=new)


class AlteredNotifications(Responder):
    """A server that sends what `alter_notification` makes of each notification."""

    @override
    def resource_changes(self, changes: Iterable[PendingChange]) -> RespAsyncNotify:
        """Build and alter a RESOURCE_CHANGE_NOTIFICATION."""
        return self.alter_notification("change", super().resource_changes(changes))

    @override
    def addresses(self, kind: PendingKind, destination: str) -> RespAsyncNotify | None:
        """Build and alter the notification of a move or an IP change."""
        notification = super().addresses(kind, destination)
        return notification and self.alter_notification(kind, notification)

    def alter_notification(self, kind: PendingKind, notification: RespAsyncNotify) -> RespAsyncNotify:
        """Return the notification to send instead."""
        return notification


class AlteredChanges(AlteredNotifications):
    """A server that alters resource change notifications and no others."""

    @override
    def alter_notification(self, kind: PendingKind, notification: RespAsyncNotify) -> RespAsyncNotify:
        """Return the notification to send instead."""
        return self.alter_change(notification) if kind == "change" else notification

    def alter_change(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        """Return the resource change notification to send instead."""
        return notification


class AlteredAddressLists(AlteredNotifications):
    """A server that alters notifications of moves and IP changes and no others."""

    @override
    def alter_notification(self, kind: PendingKind, notification: RespAsyncNotify) -> RespAsyncNotify:
        """Return the notification to send instead."""
        return notification if kind == "change" else self.alter_addresses(notification)

    def alter_addresses(self, notification: RespAsyncNotify) -> RespAsyncNotify:
        """Return the notification of a move or IP change to send instead."""
        return notification


def with_wrong_fields(notification: RespAsyncNotify, wrong: Callable[[int], Wrong]) -> RespAsyncNotify:
    """Return the notification with fields of its buffer written wrongly.

    Args:
        notification: the right one.
        wrong: for the index of a structure, what to write instead, by field name.
    """
    items = notification.decode().items
    fields = {name: value for index in range(len(items)) for name, value in wrong(index).items()}
    return replace(notification, message_buffer=encode_buffer(items, wrong=fields))


def addresses_of(notification: RespAsyncNotify) -> tuple[IpAddrInfo, ...]:
    """The addresses in a notification."""
    return tuple(
        entry
        for item in notification.decode().items
        if isinstance(item, IpAddrInfoList)
        for entry in item.addresses
    )


def with_addresses(notification: RespAsyncNotify, entries: Iterable[IpAddrInfo]) -> RespAsyncNotify:
    """Return the notification with other addresses."""
    return replace(notification, message_buffer=encode_buffer([IpAddrInfoList(tuple(entries))]))
