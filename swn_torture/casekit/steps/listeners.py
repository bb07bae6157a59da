"""What many cases do: register, listen, have the cluster move, and wait together for what that tells.

A case stays a story: it makes its listeners, has something happen, and asks who heard what::

    moved, other = await listen(witness), await listen(witness)
    await cluster.move_client(moved.name, destination.node)

    await hear(moved)
    (silent,) = await hear_nothing(other)
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

#: How many answers in a row are more than any case can have caused.
_PATIENCE = 10


class Listener:
    """A registration of a case, and the AsyncNotify it may have outstanding.

    Attributes:
        witness: where it is registered.
        client: the connection it was made on.
        handle: its context handle.
        fields: what it was registered with, by parameter; ``name`` and ``address`` are two of them.
        call: its outstanding or last AsyncNotify.
        outcome: how that ended; None while nobody waited for it.
        told: every notification so far.
        last_use: when it was registered, asked, or answered last, in seconds of ``time.monotonic``.
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
        self.notified: list[Notification] = []
        self.last_use = time.monotonic()

    @property
    def name(self) -> str:
        """ClientComputerName."""
        return str(self.fields["client_computer_name"])

    @property
    def address(self) -> str:
        """IpAddress."""
        return str(self.fields["ip_address"])

    def ask(self) -> PendingCall[AsyncNotifyResponse]:
        """Call AsyncNotify unless the last call is still outstanding; returns at once."""
        if self.call is None or self.outcome not in {None, SILENCE}:
            self.call, self.outcome = self.client.async_notify(self.handle), None
            self.last_use = time.monotonic()
        return self.call

    @property
    def may_be_gone(self) -> bool:
        """Whether it was left alone for so long that a server may have dropped it (MS-SWN 3.1.5.1)."""
        unused_timeout = self.witness.expect.unused_timeout
        return time.monotonic() - self.last_use >= 0.9 * unused_timeout

    async def wait_for_notifications(self, timeout: float) -> Outcome:
        """Wait up to ``timeout`` seconds for the answer; asks first where no call is outstanding."""
        outcome = await outcome_of(self.ask(), timeout)
        if outcome != SILENCE:
            self.last_use = time.monotonic()
        if outcome == SUCCESS:
            notification = self._read()
            self.notified += [notification] if notification else []
            outcome = dataclasses.replace(outcome, detail=str(notification or "pResp is null"))
        self.outcome = outcome
        return outcome

    @property
    def states_notified(self) -> list[int]:
        """The ChangeTypes of all state changes so far."""
        return [
            c.change_type
            for notification in self.notifications_of(MessageType.RESOURCE_CHANGE)
            for c in notification.changes
        ]

    def notifications_of(self, kind: MessageType) -> list[Notification]:
        """The notifications of a kind so far."""
        return [notification for notification in self.notified if notification.message_type == kind]

    def notification(self, spec: Spec, *ids: str, note: str = "") -> Notification:
        """What the last answer told. One that tells nothing fails these rules, and the case ends with it."""
        outcome = self.outcome
        assert outcome is not None, "nobody waited for the answer yet"
        notification: Notification | None = None
        if outcome.kind == "malformed" or outcome == SUCCESS:
            try:
                notification = self._read()
            except Unreadable as problem:
                outcome = dataclasses.replace(outcome, detail=str(problem))
        if notification is None:
            spec(*ids).holds(
                False,  # noqa: FBT003 - told nothing
                expected="ERROR_SUCCESS (0x0) with a notification",
                observed=outcome,
                note=note,
            )
            raise spec.stop()
        return notification

    def _read(self) -> Notification | None:
        answer = self.call.call.response_meta if self.call else None
        assert answer is not None
        return Notification.read(answer.stub, self.client.syntax, answer.byte_order)


def versions(witness: Witness) -> tuple[int, ...]:
    """The protocol versions that clients of the target can register with."""
    return (1, 2)[: witness.expect.version]


async def listen(
    witness: Witness,
    client: WitnessClient | None = None,
    *,
    version: int | None = None,
    asks: bool = True,
    **fields: Any,
) -> Listener:
    """Register, and have AsyncNotify outstanding.

    Args:
        witness: where.
        client: the connection; one of its own without.
        version: 1 registers by WitnessrRegister, 2 by WitnessrRegisterEx; the target's highest without.
        asks: whether to call AsyncNotify right away.
        fields: parameters of the registration; by default a name that nobody else uses, at an address of the
            first node.
    """
    client = client or await witness.connect()
    fields = {"client_computer_name": witness.client_name(), "net_name": witness.net_name, **fields}
    if "ip_address" not in fields:
        fields["ip_address"] = await witness.address_of(0)
    version = version or witness.expect.version
    register = witness.register if version == 1 else witness.register_ex
    listener = Listener(witness, client, await register(client, **fields), fields)
    if asks:
        listener.ask()
    return listener


async def either_syntax(witness: Witness, node: int = 0) -> list[WitnessClient]:
    """A connection that speaks NDR32 and, where the target has it, one that speaks NDR64."""
    clients = [await witness.connect(node, syntax=NDR32)]
    with contextlib.suppress(NotTestable):
        clients.append(await witness.connect(node, syntax=NDR64))
    return clients


async def wait_for_notifications(*listeners: Listener, timeout: float | None = None) -> tuple[Outcome, ...]:
    """Wait for the answers of all of them together, each as long as an event may take."""
    return tuple(
        await asyncio.gather(
            *(
                waited.wait_for_notifications(timeout or waited.witness.expect.event_deadline)
                for waited in listeners
            )
        )
    )


async def wait_quiet_time(*listeners: Listener) -> tuple[Outcome, ...]:
    """Watch all of them together for as long as makes a call count as pending (SILENCE)."""
    return tuple(
        await asyncio.gather(
            *(waited.wait_for_notifications(waited.witness.expect.quiet_time) for waited in listeners)
        )
    )


async def drain_notifications(*listeners: Listener) -> tuple[Outcome, ...]:
    """Hear all that is pending for each: ask until a call stays unanswered for the quiet time, or fails.

    ``Listener.told`` has what it was. A server that never runs dry is given up after some answers.
    """

    async def drain(listener: Listener) -> Outcome:
        outcome = (await wait_quiet_time(listener))[0]
        for _ in range(_PATIENCE):
            if outcome != SUCCESS:
                break
            outcome = (await wait_quiet_time(listener))[0]
        return outcome

    return tuple(await asyncio.gather(*map(drain, listeners)))


async def answered_when_called_again(listener: Listener) -> bool:
    """Whether another AsyncNotify of a registration whose call was not answered brings an answer to either.

    Then the server had news, and did not awaken the call that waited for it.
    """
    quiet = listener.witness.expect.quiet_time
    calls = listener.ask(), listener.client.async_notify(listener.handle)
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
    """Wait for news that, by one reading, does not end the wait but comes along with other news (AMB-17).

    If nothing comes, the client is moved too; what it is told of that is not looked at. State changes are
    passed over, for an address that is added may cost the registered one its place.

    Args:
        law: the law of the case; the reading that the target follows is recorded there.
        cluster: moves the client.
        listener: who is to hear it.
        kind: share move or IP change.
        home: where to move the client if need be.
        same_client: other registrations of the client, who hear of that move, too.
        timeout: seconds to wait before; as long as an event may take without.
    """
    outcome = await wait_past(listener, MessageType.RESOURCE_CHANGE, timeout=timeout)
    if outcome == SUCCESS:
        spec.choice("AMB-17", f"{kind.name}: ends the wait")
    elif outcome == SILENCE:
        await cluster.move_client(listener.name, host.node)
        await wait_for_notifications(*same_client)
        others = (MessageType.RESOURCE_CHANGE, MessageType.CLIENT_MOVE)
        outcome = await wait_past(listener, *others, timeout=timeout)
        if outcome == SUCCESS:
            spec.choice("AMB-17", f"{kind.name}: comes only along with other news")
    return outcome


async def wait_past(listener: Listener, *others: MessageType, timeout: float | None = None) -> Outcome:
    """Wait for an answer of another kind than ``others``, each as long as an event may take."""
    (outcome,) = await wait_for_notifications(listener, timeout=timeout)
    for _ in range(_PATIENCE):
        if outcome != SUCCESS or not listener.notified or listener.notified[-1].message_type not in others:
            break
        (outcome,) = await wait_for_notifications(listener, timeout=timeout)
    return outcome
