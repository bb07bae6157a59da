"""Pending calls that are wrong under one condition, such as a second pending call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.transport.calls import OneCallAtATime
from swn_torture.faults.witness.layout import AlteredNotificationStubs
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.methods import Reply
from swn_torture.server.state.registrations import WaitingCall
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.syntax import NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ChangeType, MessageType, Opnum
from swn_torture.witness.messages import AsyncNotifyResponse
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import ClassVar

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.state.registrations import Owner, Registration, Selection
    from swn_torture.stubdata.fields import Wrong
    from swn_torture.witness.messages import AnyResponse, AsyncNotifyRequest, RespAsyncNotify

# Which registration, when a call completes


@violates("SWN-3.1.4.4-search-by-key")
class SecondCallWaitsOnFirstRegistration(WitnessService):
    """A second AsyncNotify of a caller for the same address waits on the first call's registration."""

    @override
    def async_notify(self, token: Hashable, owner: Owner, request: AsyncNotifyRequest) -> list[Reply]:
        asked = self.find(owner, request.context)
        first = next((r for r in self.registrations.of(owner.association) if r.waiting), None)
        if asked is None or first is None or asked.pending_kinds() or not self.confuses(first, asked):
            return super().async_notify(token, owner, request)
        first.waiting.append(WaitingCall(token, owner, self.clock()))
        return []

    def confuses(self, first: Registration, asked: Registration) -> bool:
        """Whether the server confuses the two registrations."""
        return (first.owner, first.ip_address, first.timeout) == (
            asked.owner,
            asked.ip_address,
            asked.timeout,
        )


@violates("SWN-3.1.4.4-waits")
class CallsEndTogether(WitnessService):
    """When one AsyncNotify times out, all calls of its connection time out."""

    @override
    def expire_calls(self, registration: Registration, now: float) -> list[Reply]:
        replies = super().expire_calls(registration, now)
        for other in self.registrations.of(registration.owner.association) if replies else ():
            calls = [call for call in other.waiting if call.owner == registration.owner]
            for call in calls:
                other.waiting.remove(call)
            replies += [Reply(call.token, AsyncNotifyResponse(None, Win32.ERROR_TIMEOUT)) for call in calls]
        return replies


@violates("SWN-3.1.4.4-v2-async-registered-on-entry")
class ShortWaitsDoNotCountAsUse(WitnessService):
    """A pending AsyncNotify keeps its registration in use only if it may wait for an hour."""

    @override
    def is_unused(self, registration: Registration, now: float) -> bool:
        short = registration.keepalive is not None and registration.keepalive < 3600
        idle = registration.last_use + self.options.unused_timeout < now
        return (idle and short) or super().is_unused(registration, now)


@violates("SWN-3.1.6.2-wake")
class OneConnectionWoken(WitnessService):
    """A client move completes calls only in the association where the client registered first."""

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


# Cases of the requirements in `near` also call GetInterfaceList while a call is pending.
@violates(
    "RPC-MPX-parallel-calls",
    near=("RPC-AUTH-level-of-response-to-pending", "SWN-3.1.6.5-silent-death"),
    slow=True,
)
class ListBehindWaitingCalls(OneCallAtATime):
    """GetInterfaceList waits until all earlier calls of its connection are answered."""

    @override
    def is_first(self, call: ServerCall) -> bool:
        return call.opnum != Opnum.GET_INTERFACE_LIST or super().is_first(call)


# Length of notifications


class LengthOneMore(AlteredNotificationStubs):
    """A server that writes Length one too large in some notifications of one kind.

    Attributes:
        kind: the kind.
    """

    kind: ClassVar[MessageType]

    @override
    def wrong_fields(self, response: AnyResponse) -> Wrong | None:
        """Return what to write instead, by field name; None for no change."""
        notification = response.response if isinstance(response, AsyncNotifyResponse) else None
        applies = (
            notification is not None
            and notification.message_type == self.kind
            and self.applies_to(notification)
        )
        return super().wrong_fields(response) if applies else None

    @override
    def wrong_notification_fields(self, length: int) -> Wrong:
        """Return what to write instead where MessageBuffer has `length` octets."""
        return {"Length": length + 1}

    def applies_to(self, notification: RespAsyncNotify) -> bool:
        """Whether to alter this notification of the kind."""
        return True


@violates("SWN-3.1.4.4-change-total-length")
class UnavailableLengthOneMore(LengthOneMore):
    """Length of a notification of a change to UNAVAILABLE is one more than its buffer has."""

    kind = MessageType.RESOURCE_CHANGE

    @override
    def applies_to(self, notification: RespAsyncNotify) -> bool:
        changes = (item for item in notification.decode().items if isinstance(item, ResourceChange))
        return any(change.change_type == ChangeType.UNAVAILABLE for change in changes)


@violates("SWN-3.1.4.4-move-total-length")
class MoveLengthOneMore(LengthOneMore):
    """In NDR64 Length of a client move is one more than its buffer has."""

    kind = MessageType.CLIENT_MOVE

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        if call.syntax == NDR64:
            return super().encode(call, response)
        return WitnessEndpoint.encode(self, call, response)


@violates("SWN-3.1.4.4-share-total-length")
class ShareMoveLengthOneMore(LengthOneMore):
    """Length of a share move is one more than its buffer has."""

    kind = MessageType.SHARE_MOVE


@violates("SWN-3.1.4.4-ip-total-length")
class IpChangeLengthOneMore(LengthOneMore):
    """Length of an IP change is one more than its buffer has."""

    kind = MessageType.IP_CHANGE
