"""Calls that wait, and what ends their wait, wrong in one circumstance: when several wait, or not long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.witness.layout import NotifyStubs
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.methods import Reply
from swn_torture.server.state.registrations import WaitingCall
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.syntax import NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ChangeType, MessageType
from swn_torture.witness.messages import AsyncNotifyResponse
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import ClassVar

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.state.registrations import Owner, Registration, Selection
    from swn_torture.stubdata.fields import Wrong
    from swn_torture.witness.messages import AnyResponse, AsyncNotifyRequest, RespAsyncNotify

# Which registration, and for how long


@violates("SWN-3.1.4.4-search-by-key")
class SecondCallServesTheFirst(WitnessService):
    """A call of a caller that has one waiting already, for the same address, waits where that one does."""

    @override
    def async_notify(self, token: Hashable, owner: Owner, request: AsyncNotifyRequest) -> list[Reply]:
        asked = self.find(owner, request.context)
        first = next((r for r in self.registrations.of(owner.association) if r.waiting), None)
        if asked is None or first is None or asked.pending_kinds() or not self.alike(first, asked):
            return super().async_notify(token, owner, request)
        first.waiting.append(WaitingCall(token, owner, self.clock()))
        return []

    def alike(self, first: Registration, asked: Registration) -> bool:
        """Whether it takes one registration for the other."""
        return (first.owner, first.ip_address, first.timeout) == (
            asked.owner,
            asked.ip_address,
            asked.timeout,
        )


@violates("SWN-3.1.4.4-waits")
class CallsEndTogether(WitnessService):
    """When the KeepAliveTime of one call is over, all calls of the connection are answered."""

    @override
    def expire_calls(self, registration: Registration, now: float) -> list[Reply]:
        replies = super().expire_calls(registration, now)
        for mate in self.registrations.of(registration.owner.association) if replies else ():
            calls = [call for call in mate.waiting if call.owner == registration.owner]
            for call in calls:
                mate.waiting.remove(call)
            replies += [Reply(call.token, AsyncNotifyResponse(None, Win32.ERROR_TIMEOUT)) for call in calls]
        return replies


@violates("SWN-3.1.4.4-v2-async-registered-on-entry")
class ShortWaitsAreNoUse(WitnessService):
    """A call that waits keeps its registration from being unused only if it may wait for an hour."""

    @override
    def is_unused(self, registration: Registration, now: float) -> bool:
        short = registration.keepalive is not None and registration.keepalive < 3600
        idle = registration.last_use + self.options.unused_timeout < now
        return (idle and short) or super().is_unused(registration, now)


@violates("SWN-3.1.6.2-wake")
class OneConnectionWoken(WitnessService):
    """A client that is moved is told on the connection where it registered first; its others wait on."""

    @override
    def client_move(self, selection: Selection, destination: str) -> list[Reply]:
        first_of: dict[str, Hashable] = {}
        replies: list[Reply] = []
        for registration in self.selected(selection):
            registration.client_move = destination
            association = registration.owner.association
            if first_of.setdefault(registration.client_name, association) == association:
                replies += self.deliver(registration)
        return replies


# Length of what is told


class LengthsWrong(NotifyStubs):
    """A server that tells one more than the length of some notifications of one kind."""

    kind: ClassVar[MessageType]

    @override
    def wrong(self, response: AnyResponse) -> Wrong | None:
        """What to write instead."""
        notified = response.response if isinstance(response, AsyncNotifyResponse) else None
        concerned = notified is not None and notified.message_type == self.kind and self.concerns(notified)
        return super().wrong(response) if concerned else None

    @override
    def wrong_notification(self, length: int) -> Wrong:
        """What to write instead where the buffer has `length` octets."""
        return {"Length": length + 1}

    def concerns(self, notified: RespAsyncNotify) -> bool:
        """Whether it is wrong for this one of the kind."""
        return True


@violates("SWN-3.1.4.4-change-total-length")
class UnavailableLengthOneMore(LengthsWrong):
    """Length of a change to UNAVAILABLE is one more than its buffer has."""

    kind = MessageType.RESOURCE_CHANGE

    @override
    def concerns(self, notified: RespAsyncNotify) -> bool:
        changes = (item for item in notified.decode().items if isinstance(item, ResourceChange))
        return any(change.change_type == ChangeType.UNAVAILABLE for change in changes)


@violates("SWN-3.1.4.4-move-total-length")
class MoveLengthOneMore(LengthsWrong):
    """Length of a client move is one more than its buffer has, in NDR64."""

    kind = MessageType.CLIENT_MOVE

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        if call.syntax == NDR64:
            return super().encode(call, response)
        return WitnessEndpoint.encode(self, call, response)


@violates("SWN-3.1.4.4-share-total-length")
class ShareMoveLengthOneMore(LengthsWrong):
    """Length of a share move is one more than its buffer has."""

    kind = MessageType.SHARE_MOVE


@violates("SWN-3.1.4.4-ip-total-length")
class IpChangeLengthOneMore(LengthsWrong):
    """Length of an IP change is one more than its buffer has."""

    kind = MessageType.IP_CHANGE
