"""A node fails, with clients registered at another node: what these must be told (MS-SWN 3.1.6.1)."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.casekit.outcome import SILENCE, SUCCESS, outcome_of
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.effects import ClusterWatch
from swn_torture.casekit.steps.host_nodes import HostNode, index_of, other_nodes, unaffected_address
from swn_torture.casekit.steps.interface_list import listed_and_hosted_states, show_states
from swn_torture.casekit.steps.listeners import (
    Listener,
    connect_each_syntax,
    listen,
    versions,
    wait_for_notifications,
    wait_quiet_time,
)
from swn_torture.casekit.steps.registering import (
    CONTEXT_MISMATCH,
    NOT_FOUND,
    forget,
    methods_of,
    succeeded,
    with_handle,
)
from swn_torture.witness.constants import ChangeType, MessageType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Capability, Controller
    from swn_torture.witness.messages import ContextHandle


@dataclass
class FailureScenario:
    """A cluster in which one node will fail, with registrations at another node.

    Attributes:
        witness: the target.
        spec: the checks of the case.
        cluster: the controller.
        host: the node that will fail, with its interfaces.
        index: the index of that node in the profile.
        affected: registrations for its addresses, of each version and in each transfer syntax.
        without_call: another registration for its first address, with no pending AsyncNotify at the failure.
        unaffected: registrations for an address of another node, if the list has one.
    """

    witness: Witness
    spec: Spec
    cluster: Controller
    host: HostNode
    index: int
    affected: list[Listener]
    without_call: Listener
    unaffected: list[Listener]

    @classmethod
    async def prepare(cls, witness: Witness, spec: Spec, cluster: Controller) -> FailureScenario:
        """Choose the node that will fail, and register at another node."""
        host = max(await other_nodes(witness, cluster), key=lambda each: len(each.addresses))
        index = index_of(witness, host.node)
        affected = [
            await listen(witness, client, version=version, ip_address=address)
            for client in await connect_each_syntax(witness)
            for address in host.addresses
            for version in versions(witness)
        ]
        other_address = await unaffected_address(witness, host)
        unaffected = [
            await listen(witness, version=version, ip_address=other_address)
            for version in versions(witness)
            if other_address
        ]
        # Last, because a server may remove it after the unused timeout.
        without_call = await listen(witness, ip_address=host.addresses[0], async_notify=False)
        return cls(witness, spec, cluster, host, index, affected, without_call, unaffected)

    async def check_failure_notified(self, failure: Awaitable[None], capability: Capability) -> None:
        """Check that registrations for the node's addresses get UNAVAILABLE, and no others do.

        Args:
            failure: the call of the controller that takes the node out of service.
            capability: the capability that this call needs.
        """
        spec = self.spec
        async with ClusterWatch(self.cluster) as watch:
            await failure
            await wait_for_notifications(*self.affected)
            unaffected = asyncio.create_task(wait_quiet_time(*self.unaffected))
            notified = [*self.affected]
            if not self.without_call.may_be_gone:
                await wait_for_notifications(self.without_call)
                notified.append(self.without_call)
            await unaffected
        self.check_each_notified(notified)
        # A registration without this notification is not checked again.
        self.affected = [each for each in self.affected if each.notifications]
        for listener in self.affected:
            listener.async_notify()
        for listener in self.unaffected:
            # The cluster may move other addresses when a node goes out of service.
            if listener.address not in watch.touched:
                check_not_notified(
                    spec("SWN-3.1.6.1-other-ip-untouched"),
                    self.cluster.stimulus(capability),
                    listener,
                    notified=bool(listener.notifications_of(MessageType.RESOURCE_CHANGE)),
                    expected="no RESOURCE_CHANGE",
                    note=f"registered for {listener.address}, not an address of {self.host.node}",
                )

    def check_each_notified(self, listeners: Iterable[Listener]) -> None:
        """Check that registrations for the node's addresses were notified, and of UNAVAILABLE first."""
        spec = self.spec
        for listener in listeners:
            # A registration of version 1 may end after the unused timeout with a call pending (AMB-14).
            if listener.version == 1 and listener.expired:
                continue
            note = f"registered for {listener.address} of {self.host.node}"
            note += ", AsyncNotify after the failure" if listener is self.without_call else ""
            outcome = listener.outcome or SILENCE
            if not spec("SWN-3.1.6.1-queues-change").allows(outcome, SUCCESS, note=note):
                continue
            if listener is not self.without_call:
                spec("SWN-3.1.6.1-wake-async").allows(outcome, SUCCESS, note=note)
            self._check_unavailable(listener, note)

    async def check_return_notified(self, recovery: Awaitable[None]) -> None:
        """Bring the node back and check that registrations for its addresses get AVAILABLE.

        Another node may have taken over the addresses before that. A server may drop a registration after it
        sent UNAVAILABLE (AMB-30); it then sends no more notifications for it.

        Args:
            recovery: the call of the controller that brings the node back.
        """
        spec = self.spec
        received_before = {listener: len(listener.notifications) for listener in self.affected}
        expect, loop = self.witness.expect, asyncio.get_running_loop()
        end = math.inf

        async def recover() -> None:
            nonlocal end
            await recovery
            end = loop.time() + expect.event_deadline

        async def wait_until_available(listener: Listener) -> None:
            while not self._last_is_available(listener):
                outcome = await listener.wait_for_notifications(expect.quiet_time)
                if outcome != SUCCESS and (outcome != SILENCE or loop.time() > end):
                    return

        await asyncio.gather(recover(), *map(wait_until_available, self.affected))
        for listener in self.affected:
            available = self._last_is_available(listener)
            if not available and listener.outcome == NOT_FOUND:
                spec.choice("AMB-30", "a registration is dropped after UNAVAILABLE was sent")
                continue
            # No notification violates a SHOULD; a notification of another state violates a MUST.
            rules = ["SWN-3.1.6.1-queues-change"]
            if available or len(listener.notifications) > received_before[listener]:
                rules += ["SWN-3.1.6.1-change-state", "SWN-3.1.4.4-change-otherwise-available"]
            spec(*rules).holds(
                available,
                expected="RESOURCE_CHANGE, AVAILABLE (0x1)",
                observed=f"{'; '.join(map(str, listener.notifications))}; then {listener.outcome}",
                note=f"registered for {listener.address} of {self.host.node}, which is in service again",
            )

    @staticmethod
    def _last_is_available(listener: Listener) -> bool:
        changes = [
            c
            for notification in listener.notifications_of(MessageType.RESOURCE_CHANGE)
            for c in notification.changes
        ]
        return bool(changes) and changes[-1].change_type == ChangeType.AVAILABLE

    def _check_unavailable(self, listener: Listener, note: str) -> None:
        """Check that the first change in the last notification is UNAVAILABLE."""
        notification = listener.notification(self.spec, "SWN-3.1.6.1-queues-change")
        if self.spec("SWN-3.1.6.1-queues-change").holds(
            notification.message_type == MessageType.RESOURCE_CHANGE and bool(notification.changes),
            expected="RESOURCE_CHANGE",
            observed=notification,
            note=note,
        ):
            self.spec("SWN-3.1.4.4-change-unavailable", "SWN-3.1.6.1-change-state").equal(
                notification.changes[0].change_type,
                ChangeType.UNAVAILABLE,
                show=show_as(ChangeType),
                note=note,
            )

    async def check_list(self, event: str) -> None:
        """Check that the list has each address of the node AVAILABLE if a node hosts it, else UNAVAILABLE."""
        listed, hosted = await listed_and_hosted_states(
            self.witness, self.cluster, self.host.listed_addresses, may_wait=not self.unaffected
        )
        self.spec("SWN-3.1.6.1-sets-state", "SWN-3.1.4.1-state").equal(
            listed,
            hosted,
            show=show_states,
            note=f"interface list of {self.witness.nodes[0].name}, after {self.host.node} {event}",
        )

    async def check_new_registration(self) -> None:
        """Check that clients can register again for the node's addresses, by Register and RegisterEx."""
        client = await self.witness.connect()
        for address in self.host.addresses:
            for method in methods_of(self.witness):
                reply = await method.reply(self.witness, client, ip_address=address)
                self.spec(method.rule("returns-success")).holds(
                    succeeded(reply),
                    expected="ERROR_SUCCESS (0x0) with a handle",
                    observed=with_handle(reply),
                    note=f"registration for {address}, {self.host.node} in service again",
                )
                await forget(self.witness, client, reply)

    async def register_at_failing_node(self) -> ContextHandle:
        """Register at the node that will fail; the failure ends this registration."""
        client = await self.witness.connect(self.index)
        return await self.witness.register(client)

    async def check_handle_unknown(self, lost: ContextHandle, *, restarted: bool) -> None:
        """Check that the recovered node rejects a handle that it issued before the failure.

        Args:
            lost: the handle.
            restarted: whether its witness service has started again. Else its answer is only recorded: the
                connection of the client may have survived the failure.
        """
        self.witness.forget_ports()
        client = await self.witness.connect(self.index)
        outcome = await outcome_of(client.async_notify(lost), self.witness.expect.reply_deadline)
        note = f"AsyncNotify with a handle from before {self.host.node} failed"
        if restarted:
            self.spec("SWN-3.1.3-registrations-empty").allows(outcome, NOT_FOUND, CONTEXT_MISMATCH, note=note)
        else:
            self.spec("SWN-3.1.3-registrations-empty").record(outcome, f"{note}; its service did not restart")
