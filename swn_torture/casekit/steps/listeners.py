"""Register, call AsyncNotify, and wait for notifications of several registrations at the same time.

A case makes its listeners, changes the cluster, and waits for the notifications::

    moved, other = await listen(witness), await listen(witness)
    await cluster.move_client(moved.name, host.node)

    await wait_for_notifications(moved)
    (outcome,) = await wait_quiet_time(other)
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import SILENCE, Outcome, outcome_of, returns
from swn_torture.casekit.raw.notification import Notification, Unreadable
from swn_torture.casekit.witness import NotTestable
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import MessageType

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.steps.host_nodes import HostNode
    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller
    from swn_torture.witness.client import PendingCall, WitnessClient
    from swn_torture.witness.messages import AsyncNotifyResponse, ContextHandle

SUCCESS = returns(Win32.ERROR_SUCCESS)

#: More notifications in a row than any case can have caused.
_MAX_NOTIFICATIONS = 10


class Listener:
    """A registration of a case, and its pending AsyncNotify.

    Attributes:
        witness: the target.
        client: the connection it was registered on.
        handle: its context handle.
        fields: the parameters of the registration, by field name of the request.
        call: its pending or last AsyncNotify; None before the first.
        outcome: how that call ended; None while the case has not waited for it.
        notifications: every notification so far.
        last_use: when it was registered, or AsyncNotify was called or completed last, in seconds of
            ``time.monotonic``.
    """

    def __init__(
        self, witness: Witness, client: WitnessClient, handle: ContextHandle, fields: dict[str, Any]
    ) -> None:
        self.witness = witness
        self.client = client
        self.handle = handle
        self.fields = fields
        self.call: PendingCall[AsyncNotifyResponse] | None = None
        self.outcome: Outcome | None = None
        self.notifications: list[Notification] = []
        self.last_use = time.monotonic()

    @property
    def name(self) -> str:
        """ClientComputerName of the registration."""
        return str(self.fields["client_computer_name"])

    @property
    def address(self) -> str:
        """IpAddress of the registration."""
        return str(self.fields["ip_address"])

    def async_notify(self) -> PendingCall[AsyncNotifyResponse]:
        """Call AsyncNotify, unless the last call is still pending; returns the call and does not wait."""
        if self.call is None or self.outcome not in {None, SILENCE}:
            self.call, self.outcome = self.client.async_notify(self.handle), None
            self.last_use = time.monotonic()
        return self.call

    @property
    def may_be_gone(self) -> bool:
        """Whether it was unused for so long that the server may have removed it (MS-SWN 3.1.5.1)."""
        unused_timeout = self.witness.expect.unused_timeout
        return time.monotonic() - self.last_use >= 0.9 * unused_timeout

    async def wait_for_notifications(self, timeout: float) -> Outcome:
        """Wait up to ``timeout`` seconds for AsyncNotify to complete; call it first if none is pending."""
        outcome = await outcome_of(self.async_notify(), timeout)
        if outcome != SILENCE:
            self.last_use = time.monotonic()
        if outcome == SUCCESS:
            notification = self._read()
            self.notifications += [notification] if notification else []
            outcome = dataclasses.replace(outcome, detail=str(notification or "pResp is null"))
        self.outcome = outcome
        return outcome

    @property
    def states_notified(self) -> list[int]:
        """The ChangeTypes of every RESOURCE_CHANGE so far."""
        return [
            c.change_type
            for notification in self.notifications_of(MessageType.RESOURCE_CHANGE)
            for c in notification.changes
        ]

    def notifications_of(self, kind: MessageType) -> list[Notification]:
        """The notifications of one message type so far."""
        return [notification for notification in self.notifications if notification.message_type == kind]

    def notification(self, spec: Spec, *ids: str, note: str = "") -> Notification:
        """The last notification.

        Args:
            spec: the checks of the case.
            ids: the requirements that are violated if there is none.
            note: where in the case this was.

        Raises:
            CaseStopped: the last AsyncNotify ended without a notification.
        """
        outcome = self.outcome
        assert outcome is not None, "call wait_for_notifications() first"
        notification: Notification | None = None
        if outcome.kind == "malformed" or outcome == SUCCESS:
            try:
                notification = self._read()
            except Unreadable as problem:
                outcome = dataclasses.replace(outcome, detail=str(problem))
        if notification is None:
            spec(*ids).holds(
                False,  # noqa: FBT003 - there is no notification
                expected="ERROR_SUCCESS (0x0) with a notification",
                observed=outcome,
                note=note,
            )
            raise spec.stop()
        return notification

    def _read(self) -> Notification | None:
        response = self.call.call.response_meta if self.call else None
        assert response is not None
        return Notification.read(response.stub, self.client.syntax, response.byte_order)


def versions(witness: Witness) -> tuple[int, ...]:
    """The protocol versions that clients of the target can register with."""
    return (1, 2)[: witness.expect.version]


async def listen(
    witness: Witness,
    client: WitnessClient | None = None,
    *,
    version: int | None = None,
    async_notify: bool = True,
    **fields: Any,
) -> Listener:
    """Register, and call AsyncNotify without waiting for it.

    Args:
        witness: the target.
        client: the connection; by default a new one.
        version: 1 registers by WitnessrRegister, 2 by WitnessrRegisterEx; by default the highest version of
            the target.
        async_notify: whether to call AsyncNotify.
        fields: parameters of the registration; by default a new ClientComputerName, and an address of the
            first node.

    Raises:
        CaseStopped: registering fails, which is recorded as a violation.
    """
    client = client or await witness.connect()
    fields = {"client_computer_name": witness.client_name(), "net_name": witness.net_name, **fields}
    if "ip_address" not in fields:
        fields["ip_address"] = await witness.address_of(0)
    version = version or witness.expect.version
    register = witness.register if version == 1 else witness.register_ex
    listener = Listener(witness, client, await register(client, **fields), fields)
    if async_notify:
        listener.async_notify()
    return listener


async def connect_each_syntax(witness: Witness, node: int = 0) -> list[WitnessClient]:
    """A connection with NDR32 and, if the target supports it, one with NDR64."""
    clients = [await witness.connect(node, syntax=NDR32)]
    with contextlib.suppress(NotTestable):
        clients.append(await witness.connect(node, syntax=NDR64))
    return clients


async def wait_for_notifications(*listeners: Listener, timeout: float | None = None) -> tuple[Outcome, ...]:
    """Wait for the AsyncNotify of each at the same time; by default until the event deadline."""
    return tuple(
        await asyncio.gather(
            *(
                listener.wait_for_notifications(timeout or listener.witness.expect.event_deadline)
                for listener in listeners
            )
        )
    )


async def wait_quiet_time(*listeners: Listener) -> tuple[Outcome, ...]:
    """Wait for the AsyncNotify of each for the quiet time: a call that is pending then ends in SILENCE."""
    return tuple(
        await asyncio.gather(
            *(listener.wait_for_notifications(listener.witness.expect.quiet_time) for listener in listeners)
        )
    )


async def drain_notifications(*listeners: Listener) -> tuple[Outcome, ...]:
    """Call AsyncNotify of each until a call stays pending for the quiet time, or fails.

    ``Listener.notifications`` then has every notification that was queued. A server that never stops sending
    is left after some notifications.
    """

    async def drain(listener: Listener) -> Outcome:
        outcome = (await wait_quiet_time(listener))[0]
        for _ in range(_MAX_NOTIFICATIONS):
            if outcome != SUCCESS:
                break
            outcome = (await wait_quiet_time(listener))[0]
        return outcome

    return tuple(await asyncio.gather(*map(drain, listeners)))


async def answered_when_called_again(listener: Listener) -> bool:
    """Call AsyncNotify again while one is pending; returns whether either call returns a notification.

    Then the server had queued a notification without completing the pending call.
    """
    quiet = listener.witness.expect.quiet_time
    calls = listener.async_notify(), listener.client.async_notify(listener.handle)
    return SUCCESS in await asyncio.gather(*(outcome_of(call, quiet) for call in calls))


async def wait_or_move_client(
    spec: Spec,
    cluster: Controller,
    listener: Listener,
    kind: MessageType,
    host: HostNode,
    *same_client: Listener,
    timeout: float | None = None,
) -> Outcome:
    """Wait for a share move or an IP change, and move the client if the notification does not come (AMB-17).

    By one reading of 3.1.4.4 these two do not complete a pending AsyncNotify; they are sent only along with
    another notification. So if nothing comes, the client is moved, and its CLIENT_MOVE is not checked. Every
    RESOURCE_CHANGE is skipped: a new address may make the registered address UNAVAILABLE.

    Args:
        spec: the checks of the case; the reading that the target follows is recorded as a choice.
        cluster: the controller, which moves the client.
        listener: the registration that must be notified.
        kind: SHARE_MOVE or IP_CHANGE.
        host: where to move the client.
        same_client: other registrations of the same client, which are notified of that move too.
        timeout: seconds to wait before the client is moved, and again afterwards; by default the event
            deadline.
    """
    outcome = await wait_past(listener, MessageType.RESOURCE_CHANGE, timeout=timeout)
    if outcome == SUCCESS:
        spec.choice("AMB-17", f"{kind.name}: completes a pending AsyncNotify")
    elif outcome == SILENCE:
        await cluster.move_client(listener.name, host.node)
        await wait_for_notifications(*same_client)
        others = (MessageType.RESOURCE_CHANGE, MessageType.CLIENT_MOVE)
        outcome = await wait_past(listener, *others, timeout=timeout)
        if outcome == SUCCESS:
            spec.choice("AMB-17", f"{kind.name}: sent only along with another notification")
    return outcome


async def wait_past(listener: Listener, *others: MessageType, timeout: float | None = None) -> Outcome:
    """Wait for a notification of another message type than ``others``, which are skipped.

    Args:
        listener: the registration.
        others: the message types to skip.
        timeout: seconds to wait for each notification; by default the event deadline.
    """
    (outcome,) = await wait_for_notifications(listener, timeout=timeout)
    for _ in range(_MAX_NOTIFICATIONS):
        if (
            outcome != SUCCESS
            or not listener.notifications
            or listener.notifications[-1].message_type not in others
        ):
            break
        (outcome,) = await wait_for_notifications(listener, timeout=timeout)
    return outcome
