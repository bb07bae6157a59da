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

from swn_torture.casekit.blame import NO_MAX_COUNT, missing_notification
from swn_torture.casekit.outcome import SILENCE, SUCCESS, Outcome, outcome_of, returns
from swn_torture.casekit.raw.notification import Notification, Unreadable
from swn_torture.casekit.witness import NotTestable
from swn_torture.dcerpc.errors import RpcError
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import MessageType
from swn_torture.witness.messages import UnRegisterRequest

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.steps.host_nodes import HostNode
    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller
    from swn_torture.witness.client import PendingCall, WitnessClient
    from swn_torture.witness.messages import AsyncNotifyResponse, ContextHandle

_NOT_FOUND = returns(Win32.ERROR_NOT_FOUND)

#: NumberOfMessages is the number of structures in MessageBuffer.
_COUNT = "SWN-2.2.2.4-count"

#: The part of the unused timeout for which the server surely keeps an unused registration. ``last_use`` is
#: measured by the client, and a slow response may come a part of a second after the server counted the use.
_SURELY_KEPT = 0.8

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
        second_call: another pending AsyncNotify; it takes the place of ``call`` when that has completed.
        outcome: how that call ended; None while the case has not waited for it.
        notifications: every notification so far.
        last_use: when it was registered, or AsyncNotify was called or completed last, in seconds of
            ``time.monotonic``.
        has_connection: whether the connection is its own, and no other registration of the case uses it.
        version: 1 if it was registered by WitnessrRegister, 2 by WitnessrRegisterEx.
    """

    def __init__(
        self, witness: Witness, client: WitnessClient, handle: ContextHandle, fields: dict[str, Any]
    ) -> None:
        self.witness = witness
        self.client = client
        self.handle = handle
        self.fields = fields
        self.call: PendingCall[AsyncNotifyResponse] | None = None
        self.second_call: PendingCall[AsyncNotifyResponse] | None = None
        self.outcome: Outcome | None = None
        self.notifications: list[Notification] = []
        self.last_use = time.monotonic()
        self.has_connection = False
        self.version = 2

    @property
    def name(self) -> str:
        """ClientComputerName of the registration."""
        return str(self.fields["client_computer_name"])

    @property
    def address(self) -> str:
        """IpAddress of the registration."""
        return str(self.fields["ip_address"])

    @property
    def key(self) -> str:
        """The key of the registration as controllers write it: the UUID of its context handle."""
        return str(self.handle.uuid)

    @property
    def received(self) -> str:
        """All notifications so far, or how its last call ended, for a report."""
        return "; ".join(map(str, self.notifications)) or str(self.outcome)

    def async_notify(self) -> PendingCall[AsyncNotifyResponse]:
        """Call AsyncNotify, unless the last call is still pending; returns the call and does not wait."""
        if self.call is None or self.outcome not in {None, SILENCE}:
            self.call, self.second_call = self.second_call or self.client.async_notify(self.handle), None
            self.outcome = None
            self.last_use = time.monotonic()
        return self.call

    @property
    def is_old(self) -> bool:
        """Whether the last use is so long ago that the server may remove it if no AsyncNotify is pending."""
        unused_timeout = self.witness.expect.unused_timeout
        return time.monotonic() - self.last_use >= _SURELY_KEPT * unused_timeout

    @property
    def may_be_gone(self) -> bool:
        """Whether it was unused for so long that the server may have removed it (MS-SWN 3.1.5.1).

        What such a registration shows later is not a finding: it may be the result of an earlier one. Ask
        before an AsyncNotify that follows a time without a pending one.
        """
        pending = self.call is not None and self.outcome in {None, SILENCE} and not self.call.done()
        return self.is_old and not pending

    @property
    def expired(self) -> bool:
        """Whether it ended after the unused timeout, for version 1 perhaps with a call pending (AMB-14)."""
        return self.outcome == _NOT_FOUND and self.is_old

    async def wait_for_notifications(self, timeout: float) -> Outcome:
        """Wait up to ``timeout`` seconds for AsyncNotify to complete; call it first if none is pending."""
        outcome = await outcome_of(self.async_notify(), timeout)
        if outcome not in {SILENCE, _NOT_FOUND}:
            self.last_use = time.monotonic()
        if outcome == SUCCESS:
            notification = self._read()
            self.notifications += [notification] if notification else []
            if notification and notification.hides_structures:
                self._record_count(len(notification.structures))
            outcome = dataclasses.replace(outcome, detail=str(notification or "pResp is null"))
        self.outcome = outcome
        return outcome

    def _record_count(self, structures: int) -> None:
        """Record once that a client finds no structure, unless the case is about NumberOfMessages itself.

        The case goes on: what it says about the structures counts, too.
        """
        spec = self.witness.spec
        if _COUNT not in {*spec.requirements, *(check.requirement for check in spec.failed)}:
            spec.add(
                _COUNT,
                passed=False,
                expected=(f"NumberOfMessages {structures}, one for each structure",),
                observed="NumberOfMessages 0",
                note="AsyncNotify",
            )

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

    def notification(self, spec: Spec, *ids: str, event: str = "", note: str = "") -> Notification:
        """The last notification.

        Args:
            spec: the checks of the case.
            ids: the requirements that the case checks with it. Those that say that a client is notified are
                violated if there is none; those on its content are not.
            event: the rule of the event that the notification is about, where ``ids`` do not say it. Then
                they are not violated if there is no notification.
            note: where in the case this was.

        Raises:
            CaseStopped: the last AsyncNotify ended without a notification.
            NotTestable: it is still pending, and neither ``ids`` nor ``event`` say which event should end it.
        """
        outcome = self.outcome
        assert outcome is not None, "call wait_for_notifications() first"
        notification: Notification | None = None
        blame = outcome.blame
        readable = blame is None or not (blame.of_transport or blame == NO_MAX_COUNT)
        if readable and (outcome.kind == "malformed" or outcome == SUCCESS):
            try:
                notification = self._read()
            except Unreadable as problem:
                outcome = dataclasses.replace(outcome, kind="malformed", detail=str(problem))
        if notification is None:
            raise self._none_came(spec, outcome, ids, event, note)
        return notification

    @staticmethod
    def _none_came(spec: Spec, outcome: Outcome, ids: tuple[str, ...], event: str, note: str) -> Exception:
        """Record that no notification came, as a finding about the rule that says so; returns CaseStopped."""
        expected = "ERROR_SUCCESS (0x0) with a notification"
        rule = missing_notification(ids, event)
        if outcome.kind == "malformed":
            rule = "SWN-2.2.2.4-layout"
        elif rule is not None and outcome != SILENCE:
            rule = "SWN-3.1.4.4-returns-success"
        if rule == "":
            return NotTestable("no notification arrived, so there is nothing to check")
        if rule is not None:
            return spec.precondition_failed(rule, expected=expected, observed=outcome, note=note)
        spec(*ids).holds(False, expected=expected, observed=outcome, note=note)  # noqa: FBT003 - there is none
        return spec.stop()

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
        client: the connection, or another of its association if it cannot take one more call; by default a
            new one.
        version: 1 registers by WitnessrRegister, 2 by WitnessrRegisterEx; by default the highest version of
            the target.
        async_notify: whether to call AsyncNotify.
        fields: parameters of the registration; by default a new ClientComputerName, and ``address_for`` the
            connection.

    Raises:
        CaseStopped: registering fails, which is recorded as a violation.
        NotTestable: the server can hold no more registrations, or it implements version 1 only.
    """
    version = version or witness.expect.version
    witness.require_version(version)
    has_connection = client is None
    client = await witness.idle_connection(client) if client else await witness.connect()
    fields = {"client_computer_name": witness.client_name(), "net_name": witness.net_name, **fields}
    if "ip_address" not in fields:
        fields["ip_address"] = await witness.address_for(client)
    register = witness.register if version == 1 else witness.register_ex
    began = time.monotonic()
    listener = Listener(witness, client, await register(client, **fields), fields)
    listener.last_use, listener.has_connection, listener.version = began, has_connection, version
    if async_notify:
        listener.async_notify()
    return listener


async def end(*listeners: Listener) -> None:
    """End registrations that a case no longer needs: UnRegister, and close connections of their own.

    A server chooses how many registrations and connections it holds.
    """

    async def end_one(listener: Listener) -> None:
        with contextlib.suppress(RpcError, NotTestable):
            if listener.has_connection:
                await listener.client.rpc.close()
            else:
                client = await listener.witness.idle_connection(listener.client)
                call = client.start(UnRegisterRequest(listener.handle))
                await outcome_of(call, listener.witness.expect.reply_deadline)

    await asyncio.gather(*map(end_one, listeners))


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

    Then the server had queued a notification without completing the pending call. Otherwise the second call
    becomes the next AsyncNotify of the listener.
    """
    quiet = listener.witness.expect.quiet_time
    first = listener.async_notify()
    second = (await listener.witness.idle_connection(listener.client)).async_notify(listener.handle)
    outcomes = await asyncio.gather(*(outcome_of(call, quiet) for call in (first, second)))
    listener.second_call = second if outcomes[1] == SILENCE else None
    return SUCCESS in outcomes


async def wait_or_move_client(
    spec: Spec,
    cluster: Controller,
    listener: Listener,
    kind: MessageType,
    host: HostNode,
    *same_client: Listener,
    timeout: float | None = None,
    before_move: float | None = None,
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
        before_move: seconds to wait before the client is moved, where the case has already waited for the
            event; by default ``timeout``.
    """
    outcome = await wait_past(listener, MessageType.RESOURCE_CHANGE, timeout=before_move or timeout)
    if outcome == SUCCESS:
        spec.choice("AMB-17", f"{kind.name}: completes a pending AsyncNotify")
    elif outcome == SILENCE:
        await cluster.move_client(listener.name, host.node)
        await wait_for_notifications(*same_client)
        others = (MessageType.RESOURCE_CHANGE, MessageType.CLIENT_MOVE)
        # What the server sends along with the CLIENT_MOVE is queued already.
        quiet = listener.witness.expect.quiet_time
        outcome = await wait_past(listener, *others, timeout=timeout, after_skipped=quiet)
        if outcome == SUCCESS:
            spec.choice("AMB-17", f"{kind.name}: sent only along with another notification")
        elif outcome == _NOT_FOUND:
            # Some servers remove a registration after a move. That says nothing of the other notification.
            listener.outcome = outcome = SILENCE
    return outcome


async def wait_past(
    listener: Listener,
    *others: MessageType,
    timeout: float | None = None,
    after_skipped: float | None = None,
) -> Outcome:
    """Wait for a notification of another message type than ``others``, which are skipped.

    Args:
        listener: the registration.
        others: the message types to skip.
        timeout: seconds to wait for each notification; by default the event deadline.
        after_skipped: seconds to wait for each notification that follows a skipped one; by default as long.
    """
    (outcome,) = await wait_for_notifications(listener, timeout=timeout)
    for _ in range(_MAX_NOTIFICATIONS):
        if (
            outcome != SUCCESS
            or not listener.notifications
            or listener.notifications[-1].message_type not in others
        ):
            break
        (outcome,) = await wait_for_notifications(listener, timeout=after_skipped or timeout)
    return outcome
