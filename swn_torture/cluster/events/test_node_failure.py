"""Node failures: a node fails or is disabled, and clients registered at another node are notified.

This is the purpose of the protocol (MS-SWN 1.3); the rules are those of MS-SWN 3.1.6.1.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import SILENCE, case, outcome_of
from swn_torture.casekit.cluster import Failure
from swn_torture.casekit.protocol import ChangeType, MessageType
from swn_torture.casekit.rules.notification_rules import show_as
from swn_torture.casekit.steps.host_nodes import HostNode, destinations, index_of
from swn_torture.casekit.steps.interface_list import listed_and_hosted_states, show_states
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
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
    methods_of,
    succeeded,
    with_handle,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ContextHandle
    from swn_torture.casekit.witness import Witness

_RULES = (
    "SWN-3.1.6.1-queues-change",
    "SWN-3.1.6.1-change-state",
    "SWN-3.1.6.1-wake-async",
    "SWN-3.1.6.1-other-ip-untouched",
    "SWN-3.1.6.1-sets-state",
    "SWN-3.1.4.1-state",
    "SWN-3.1.4.4-change-unavailable",
    "SWN-3.1.4.4-change-otherwise-available",
    "SWN-3.1.4.2-returns-success",
    "SWN-3.1.4.5-returns-success",
)


@case(
    *_RULES,
    needs=("disable-node", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
)
async def test_node_disabled(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Disable and enable a node: clients registered through another node are notified of both."""
    scenario = await FailureScenario.prepare(witness, spec, cluster)

    await cluster.disable(scenario.host.node)
    await scenario.check_failure_notified()
    await scenario.check_list("was disabled")

    await scenario.check_return_notified(cluster.enable(scenario.host.node))
    await scenario.check_list("was enabled")
    await scenario.check_new_registration()


@case(
    *_RULES,
    "SWN-3.1.3-registrations-empty",
    needs=("list-nodes", "two-nodes"),
    disturbs=True,
    lasts=60,
)
@pytest.mark.parametrize("how", [Failure.CRASH, Failure.POWER_OFF], ids=str)
async def test_node_fails(witness: Witness, spec: Spec, cluster: Controller, how: Failure) -> None:
    """A node fails and recovers: clients at another node are notified; its own handles become unknown."""
    cluster.require(how.capability)
    scenario = await FailureScenario.prepare(witness, spec, cluster)
    lost = await scenario.register_at_failing_node()

    await cluster.fail(scenario.host.node, how)
    await scenario.check_failure_notified()
    await scenario.check_list("failed")

    await scenario.check_return_notified(cluster.recover(scenario.host.node))
    await scenario.check_list("recovered")
    await scenario.check_new_registration()
    await scenario.check_handle_unknown(lost)


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
        unaffected: registrations for an address of the other node.
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
        own_address = await witness.address_of(0)
        candidates = await destinations(witness, cluster, other_than=own_address)
        host = max(candidates, key=lambda each: len(each.addresses))
        index = index_of(witness, host.node)

        async def register(address: str, **options: Any) -> Listener:
            return await listen(witness, ip_address=address, **{"version": versions(witness)[-1], **options})

        affected = [
            await listen(witness, client, version=version, ip_address=address)
            for client in await connect_each_syntax(witness)
            for address in host.addresses
            for version in versions(witness)
        ]
        without_call = await register(host.addresses[0], async_notify=False)
        unaffected = [await register(own_address, version=version) for version in versions(witness)]
        return cls(witness, spec, cluster, host, index, affected, without_call, unaffected)

    async def check_failure_notified(self) -> None:
        """Check that registrations for the node's addresses get UNAVAILABLE, and no others do."""
        spec = self.spec
        await wait_for_notifications(*self.affected)
        unaffected = asyncio.create_task(wait_quiet_time(*self.unaffected))
        await wait_for_notifications(self.without_call)
        for listener in (*self.affected, self.without_call):
            note = f"registered for {listener.address} of {self.host.node}"
            note += ", AsyncNotify after the failure" if listener is self.without_call else ""
            outcome = listener.outcome or SILENCE
            if not spec("SWN-3.1.6.1-queues-change").allows(outcome, SUCCESS, note=note):
                continue
            if listener is not self.without_call:
                spec("SWN-3.1.6.1-wake-async").allows(outcome, SUCCESS, note=note)
            self._check_unavailable(listener, note)
        await unaffected
        for listener in self.unaffected:
            spec("SWN-3.1.6.1-other-ip-untouched").holds(
                not listener.notifications_of(MessageType.RESOURCE_CHANGE),
                expected="no RESOURCE_CHANGE",
                observed="; ".join(map(str, listener.notifications)) or listener.outcome,
                note=f"registered for {listener.address}, not an address of {self.host.node}",
            )

    async def check_return_notified(self, recovery: Awaitable[None]) -> None:
        """Bring the node back and check that registrations for its addresses get AVAILABLE.

        Another node may have taken over the addresses before that. A server may drop a registration after it
        sent UNAVAILABLE (AMB-30); it then sends no more notifications for it.

        Args:
            recovery: the call of the controller that brings the node back.
        """
        spec = self.spec
        received_before = {listener: len(listener.notifications) for listener in self.affected}
        recovered = asyncio.ensure_future(recovery)
        loop = asyncio.get_running_loop()
        end = loop.time() + self.witness.expect.event_deadline

        async def wait_until_available(listener: Listener) -> None:
            while not self._last_is_available(listener):
                if await listener.wait_for_notifications(max(0.0, end - loop.time())) != SUCCESS:
                    return

        await asyncio.gather(recovered, *map(wait_until_available, self.affected))
        for listener in self.affected:
            available = self._last_is_available(listener)
            if not available and listener.outcome == NOT_FOUND:
                spec.choice("AMB-30", "a registration is dropped after UNAVAILABLE was sent")
                continue
            # No notification violates a SHOULD; a notification of another state violates a MUST.
            rules = ["SWN-3.1.6.1-queues-change", "SWN-3.1.6.1-change-state"]
            if available or len(listener.notifications) > received_before[listener]:
                rules.append("SWN-3.1.4.4-change-otherwise-available")
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
        listed, hosted = await listed_and_hosted_states(self.witness, self.cluster, self.host.addresses)
        self.spec("SWN-3.1.6.1-sets-state", "SWN-3.1.4.1-state").equal(
            listed,
            hosted,
            show=show_states,
            note=f"interface list of {self.witness.nodes[0].name}, after {self.host.node} {event}",
        )

    async def check_new_registration(self) -> None:
        """Check that clients can register again for the node's addresses, by Register and RegisterEx."""
        for address in self.host.addresses:
            for method in methods_of(self.witness):
                reply = await method.reply(self.witness, self.affected[0].client, ip_address=address)
                self.spec(method.rule("returns-success")).holds(
                    succeeded(reply),
                    expected="ERROR_SUCCESS (0x0) with a handle",
                    observed=with_handle(reply),
                    note=f"registration for {address}, {self.host.node} in service again",
                )

    async def register_at_failing_node(self) -> ContextHandle:
        """Register at the node that will fail; the failure ends this registration."""
        client = await self.witness.connect(self.index)
        return await self.witness.register(client, ip_address=self.unaffected[0].address)

    async def check_handle_unknown(self, lost: ContextHandle) -> None:
        """Check that the recovered node rejects a handle that it issued before the failure."""
        self.witness.forget_ports()
        client = await self.witness.connect(self.index)
        quiet = self.witness.expect.quiet_time
        outcome = await outcome_of(client.async_notify(lost), quiet)
        self.spec("SWN-3.1.3-registrations-empty").allows(
            outcome,
            NOT_FOUND,
            CONTEXT_MISMATCH,
            note=f"AsyncNotify with a handle from before {self.host.node} failed",
        )
